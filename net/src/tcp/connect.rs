//! Connecting to one of several addresses: Happy Eyeballs, version 2 (RFC 8305, sections 4 and 5).

use posse_core::time::{self, Sleep};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long an attempt is alone before the next one is begun beside it: the delay that RFC 8305 recommends.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address that answers; the others are given up.
pub(super) async fn connect<T, F>(addresses: Vec<SocketAddr>, attempt: impl FnMut(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut attempt = attempt;
    if let [address] = addresses[..] {
        return attempt(address).await.map_err(|error| failure(None, address, &error));
    }
    let mut race =
        Race { waiting: interleave(addresses).into_iter(), attempt, running: Vec::new(), next: None, failed: None };
    poll_fn(|cx| race.poll(cx)).await
}

/// Puts the addresses in an order in which the families take turns, beginning with the first one's.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    // The resolver's order says which family is preferred.
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut order: Vec<_> = first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    order.extend(second);
    order
}

/// The attempts to connect, of which one is to win.
struct Race<A, F> {
    waiting: std::vec::IntoIter<SocketAddr>,
    attempt: A,
    running: Vec<(SocketAddr, Pin<Box<F>>)>,
    /// When the next attempt is begun, unless one fails before.
    next: Option<Sleep>,
    failed: Option<io::Error>,
}

impl<T, A, F> Race<A, F>
where
    A: FnMut(SocketAddr) -> F,
    F: Future<Output = io::Result<T>>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            let mut index = 0;
            let mut has_failed = false;
            while index < self.running.len() {
                let (address, attempt) = &mut self.running[index];
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => index += 1,
                    Poll::Ready(Ok(connected)) => return Poll::Ready(Ok(connected)),
                    Poll::Ready(Err(error)) => {
                        self.failed = Some(failure(self.failed.take(), *address, &error));
                        drop(self.running.swap_remove(index));
                        has_failed = true;
                    }
                }
            }

            // The next attempt begins when its time has come, and at once if one has failed or none is under way.
            let is_time = match &mut self.next {
                _ if has_failed || self.running.is_empty() => true,
                Some(next) => Pin::new(next).poll(cx).is_ready(),
                None => false,
            };
            if !is_time {
                return Poll::Pending;
            }
            // All were begun: those that run decide.
            let Some(address) = self.waiting.next() else {
                self.next = None;
                let none = || io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
                return if self.running.is_empty() {
                    Poll::Ready(Err(self.failed.take().unwrap_or_else(none)))
                } else {
                    Poll::Pending
                };
            };
            self.running.push((address, Box::pin((self.attempt)(address))));
            // The last attempt is waited for without a limit of ours.
            self.next = (self.waiting.len() > 0).then(|| time::sleep(ATTEMPT_DELAY));
        }
    }
}

/// Adds what became of an address to what became of those before.
fn failure(before: Option<io::Error>, address: SocketAddr, error: &io::Error) -> io::Error {
    let before = before.map_or_else(String::new, |before| format!("{before}; "));
    io::Error::new(error.kind(), format!("{before}{address}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use posse_core::runtime::Builder;
    use posse_core::time::Instant;
    use std::cell::RefCell;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        let order = interleave(addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]));
        assert_eq!(order, addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
        let order = interleave(addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]));
        assert_eq!(order, addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]));
    }

    /// Connects while the clock is turned by hand, and says when each attempt was begun.
    fn race(answers: &'static [(u64, bool)]) -> (io::Result<usize>, Vec<u64>) {
        let runtime = Builder::new_current_thread().manual_clock().build().unwrap();
        let handle = runtime.handle().clone();
        let started = RefCell::new(Vec::new());
        let result = runtime.block_on(async {
            let begin = Instant::now();
            let list = addresses(&["1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1"][..answers.len()]);
            let attempt = |address: SocketAddr| {
                let SocketAddr::V4(address) = address else { unreachable!("all are of one family") };
                let index = usize::from(address.ip().octets()[0]) - 1;
                started.borrow_mut().push((Instant::now() - begin).as_millis() as u64);
                async move {
                    let (after, works) = answers[index];
                    time::sleep(Duration::from_millis(after)).await;
                    if works { Ok(index) } else { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) }
                }
            };
            let mut connecting = std::pin::pin!(connect(list, attempt));
            let mut turned = 0;
            poll_fn(|cx| match connecting.as_mut().poll(cx) {
                Poll::Pending => {
                    turned += 1;
                    assert!(turned < 1_000, "it never ends");
                    handle.advance(Duration::from_millis(10));
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                ready => ready,
            })
            .await
        });
        (result, started.into_inner())
    }

    #[test]
    fn an_address_that_does_not_answer_gets_a_rival_after_a_quarter_of_a_second() {
        let (winner, started) = race(&[(5_000, true), (100, true)]);
        assert_eq!((winner.unwrap(), started), (1, vec![0, 250]));
        // The first may still win.
        let (winner, started) = race(&[(300, true), (5_000, true), (1, true)]);
        assert_eq!((winner.unwrap(), started), (0, vec![0, 250]));
    }

    #[test]
    fn an_address_that_fails_is_followed_at_once() {
        let (winner, started) = race(&[(20, false), (20, false), (20, true)]);
        assert_eq!((winner.unwrap(), started), (2, vec![0, 20, 40]));
    }

    #[test]
    fn the_error_names_all_addresses() {
        let (error, _) = race(&[(20, false), (20, false)]);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("1.1.1.1:1: ") && text.contains("2.2.2.2:1: "), "{text}");
        let (nothing, _) = race(&[]);
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
