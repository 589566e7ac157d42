//! Accepting while the system may run out of descriptors or memory: listeners of all kinds wait and try again, without
//! spinning, and skip connections that broke before they were taken.

use posse_core::time::{self, Instant, Sleep};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The first pause after the system ran out of descriptors; each further one is twice as long. Guessed.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The longest pause. Specified: serving again at most 200 ms after descriptors are free.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Between two warnings about it.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// How long a listener waits before it tries again.
#[derive(Debug, Default)]
pub(crate) struct Patience(Mutex<Pause>);

#[derive(Debug, Default)]
struct Pause {
    sleep: Option<Sleep>,
    length: Duration,
    warned: Option<Instant>,
}

impl Patience {
    /// Accepts, unless it is to wait first.
    pub(crate) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut pause = self.pause();
            if let Some(sleep) = &mut pause.sleep {
                ready!(Pin::new(sleep).poll(cx));
                pause.sleep = None;
            }
            drop(pause);

            match ready!(accept(cx)) {
                Err(error) if is_exhausted(&error) => self.pause().begin(&error),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(accepted) => {
                    self.pause().length = Duration::ZERO;
                    return Poll::Ready(Ok(accepted));
                }
            }
        }
    }

    fn pause(&self) -> MutexGuard<'_, Pause> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Pause {
    fn begin(&mut self, error: &io::Error) {
        self.length = (self.length * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.sleep = Some(time::sleep(self.length));

        let now = Instant::now();
        if self.warned.is_none_or(|warned| now - warned >= WARNING_INTERVAL) {
            self.warned = Some(now);
            let pause = self.length.as_secs_f64();
            posse_core::event!(WARN, "posse::net", "connections cannot be accepted for now", reason = %error; pause = pause);
        }
    }
}

/// Out of descriptors or memory: ENFILE 23, EMFILE 24, ENOBUFS 105 (55 on BSD), ENOMEM 12.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 55 | 12))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use posse_core::runtime::Builder;
    use std::future::poll_fn;

    #[test]
    fn running_out_is_waited_for_longer_and_longer_and_a_success_starts_over() {
        const EMFILE: i32 = 24;
        let runtime = Builder::new_current_thread().manual_clock().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.block_on(async {
            let patience = Patience::default();
            let mut tries = 0;
            let mut results = vec![Ok(2), Err(EMFILE), Ok(1), Err(EMFILE), Err(EMFILE), Err(EMFILE)];
            let mut accept = |_: &mut Context<'_>| {
                tries += 1;
                Poll::Ready(results.pop().unwrap().map_err(io::Error::from_raw_os_error))
            };
            for (waits, accepted) in [(&[5, 10, 20][..], 1), (&[5], 2)] {
                for &wait in waits {
                    let now = poll_fn(|cx| Poll::Ready(patience.poll(cx, &mut accept).is_pending())).await;
                    assert!(now);
                    handle.advance(Duration::from_millis(wait) - Duration::from_nanos(1));
                    let early = poll_fn(|cx| Poll::Ready(patience.poll(cx, &mut accept).is_pending())).await;
                    assert!(early, "before {wait} ms");
                    handle.advance(Duration::from_nanos(1));
                }
                assert_eq!(poll_fn(|cx| patience.poll(cx, &mut accept)).await.unwrap(), accepted);
            }
            assert_eq!(tries, 6);
        });
    }

    #[test]
    fn a_connection_that_broke_before_it_was_taken_is_skipped_and_other_errors_are_told() {
        let patience = Patience::default();
        let mut results = vec![io::ErrorKind::InvalidInput, io::ErrorKind::ConnectionAborted];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let told = patience.poll(&mut cx, |_| {
            Poll::Ready(Err::<(), _>(
                results.pop().map_or_else(|| io::Error::other("asked too often"), io::Error::from),
            ))
        });
        assert!(matches!(told, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidInput));
    }
}
