//! Accepting while the system may run out of descriptors or memory: listeners of all kinds wait and try again, without
//! spinning, and skip connections that broke before they were taken.

use posse_core::lock::Mutex;
use posse_core::sync::Notify;
use posse_core::time::{self, Backoff, Instant, Sleep};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The first pause after the system ran out of descriptors; each further one is twice as long. Guessed.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The longest pause. Specified: serving again at most 200 ms after descriptors are free.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Between two warnings about it.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// How long a listener waits before it tries again.
///
/// There is one pause for all that accept from it, and a timer for each of them, so each is woken and may leave.
#[derive(Debug, Default)]
pub(crate) struct AcceptBackoff {
    state: Mutex<State>,
    /// A pause has begun. Notified by `judge`, awaited by those who may free descriptors.
    exhausted: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// No attempt is made before.
    until: Option<Instant>,
    /// Attempts in a row that failed.
    failed: u32,
    warned: Option<Instant>,
    /// The timer of the last that called `poll`; futures have their own.
    poller: Option<Sleep>,
}

impl AcceptBackoff {
    /// Accepts, unless it is to wait first.
    pub(crate) async fn accept<T, F>(&self, accept: impl Fn() -> F) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        loop {
            let until = self.state.lock().until;
            if let Some(until) = until {
                time::sleep_until(until).await;
            }
            if let Some(result) = self.judge(accept().await) {
                return result;
            }
        }
    }

    /// As [`accept`](Self::accept), for one that polls.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.poll_pause(cx));
            if let Some(result) = self.judge(ready!(accept(cx))) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_pause(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        let prev = state.poller.take();
        let until = state.until;
        drop(state);
        let Some(until) = until else { return Poll::Ready(()) };

        // Polled outside of the lock: a waker that goes may be the last reference to anything.
        let prev = prev.filter(|sleep| sleep.deadline() == until);
        let mut sleep = prev.unwrap_or_else(|| time::sleep_until(until));
        let polled = Pin::new(&mut sleep).poll(cx);
        if polled.is_pending() {
            let other = self.state.lock().poller.replace(sleep);
            drop(other);
        }
        polled
    }

    /// Completes when a pause begins, from now on.
    pub(crate) fn exhausted(&self) -> impl Future<Output = ()> + Send + use<'_> {
        self.exhausted.notified()
    }

    /// What an attempt has come to; `None` if it is to be repeated.
    fn judge<T>(&self, result: io::Result<T>) -> Option<io::Result<T>> {
        match result {
            Err(error) if is_exhausted(&error) => {
                let begun = self.state.lock().start();
                if begun.is_some() {
                    self.exhausted.notify_waiters();
                }
                if let Some((pause, true)) = begun {
                    let pause = pause.as_secs_f64();
                    posse_core::event!(WARN, "posse::net", "connections cannot be accepted for now", reason = %error; pause = pause);
                }
                None
            }
            Err(error) if is_connection_error(&error) => None,
            Err(error) => Some(Err(error)),
            Ok(accepted) => {
                let mut state = self.state.lock();
                (state.until, state.failed) = (None, 0);
                Some(Ok(accepted))
            }
        }
    }
}

impl State {
    /// Begins a pause, unless the attempt of another task has just begun it. Returns its length, and whether it is time to warn.
    fn start(&mut self) -> Option<(Duration, bool)> {
        let now = Instant::now();
        if self.until.is_some_and(|until| now < until) {
            return None;
        }
        // Without jitter: no other process waits for the descriptors of this one.
        let pause = Backoff::exponential(PAUSE_MIN..PAUSE_MAX).longest(self.failed);
        self.failed = self.failed.saturating_add(1);
        self.until = Some(now + pause);

        let warns = self.warned.is_none_or(|warned| now - warned >= WARNING_INTERVAL);
        if warns {
            self.warned = Some(now);
        }
        Some((pause, warns))
    }
}

/// Out of descriptors or memory: ENFILE 23, EMFILE 24, ENOBUFS 105 (55 on BSD), ENOMEM 12. EPERM 1 as well: a firewall forbids one connection
/// so, and a sandbox all of them, which must not spin.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 55 | 12 | 1))
}

/// What is wrong with the one connection that was to be accepted, and with no other. Linux tells here what the network said of it (accept(2)): EPROTO 71, ENETDOWN, EHOSTDOWN 112, ENONET 64, EHOSTUNREACH, ENETUNREACH.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable,
        TimedOut,
    };
    let of_network = matches!(error.kind(), HostUnreachable | NetworkDown | NetworkUnreachable | TimedOut)
        || matches!(error.raw_os_error(), Some(71 | 112 | 64));
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
        || cfg!(target_os = "linux") && of_network
}

#[cfg(test)]
mod tests {
    use super::*;
    use posse_core::runtime::Builder;
    use posse_core::task;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn running_out_is_waited_for_longer_and_longer_and_a_success_starts_over() {
        const EMFILE: i32 = 24;
        let runtime = Builder::new_current_thread().manual_clock().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.block_on(async {
            let backoff = AcceptBackoff::default();
            let mut tries = 0;
            let mut results = vec![Ok(2), Err(EMFILE), Ok(1), Err(EMFILE), Err(EMFILE), Err(EMFILE)];
            let mut accept = |_: &mut Context<'_>| {
                tries += 1;
                Poll::Ready(results.pop().unwrap().map_err(io::Error::from_raw_os_error))
            };
            for (waits, accepted) in [(&[5, 10, 20][..], 1), (&[5], 2)] {
                for &wait in waits {
                    let now = poll_fn(|cx| Poll::Ready(backoff.poll(cx, &mut accept).is_pending())).await;
                    assert!(now);
                    handle.advance(Duration::from_millis(wait) - Duration::from_nanos(1));
                    let early = poll_fn(|cx| Poll::Ready(backoff.poll(cx, &mut accept).is_pending())).await;
                    assert!(early, "before {wait} ms");
                    handle.advance(Duration::from_nanos(1));
                }
                assert_eq!(poll_fn(|cx| backoff.poll(cx, &mut accept)).await.unwrap(), accepted);
            }
            assert_eq!(tries, 6);
        });
    }

    /// Polls once and says whether it is to wait.
    async fn waits<F: Future>(future: &mut Pin<Box<F>>) -> bool {
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }

    #[test]
    fn all_who_accept_are_woken_after_a_pause_and_one_that_leaves_takes_nobody_with_it() {
        let runtime = Builder::new_current_thread().manual_clock().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.block_on(async {
            let backoff = Arc::new(AcceptBackoff::default());
            let exhausted = Arc::new(AtomicBool::new(true));
            let accepting = || {
                let (backoff, exhausted) = (backoff.clone(), exhausted.clone());
                async move {
                    backoff
                        .accept(|| async {
                            let error = io::Error::from_raw_os_error(24);
                            if exhausted.load(Ordering::Relaxed) { Err(error) } else { Ok(()) }
                        })
                        .await
                }
            };
            let tasks = [task::spawn(accepting()), task::spawn(accepting())];
            for _ in 0..4 {
                task::yield_now().await;
            }
            // The last to wait is no longer there when the time comes.
            let mut leaves = Box::pin(accepting());
            assert!(waits(&mut leaves).await);
            drop(leaves);
            exhausted.store(false, Ordering::Relaxed);
            handle.advance(PAUSE_MIN);
            for _ in 0..4 {
                task::yield_now().await;
            }
            assert!(tasks.iter().all(task::JoinHandle::is_finished));
        });
    }

    #[test]
    fn a_connection_that_broke_before_it_was_taken_is_skipped_and_other_errors_are_told() {
        let backoff = AcceptBackoff::default();
        let mut results = vec![io::ErrorKind::InvalidInput, io::ErrorKind::ConnectionAborted];
        #[cfg(target_os = "linux")]
        results.extend([io::ErrorKind::NetworkDown, io::ErrorKind::HostUnreachable]);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let told = backoff.poll(&mut cx, |_| {
            Poll::Ready(Err::<(), _>(
                results.pop().map_or_else(|| io::Error::other("asked too often"), io::Error::from),
            ))
        });
        assert!(matches!(told, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidInput));
    }
}
