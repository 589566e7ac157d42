//! Futures and streams that are polled by hand, and what their polls must have said.

use futures_core::Stream;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Whether a wake-up came since it was looked at last.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Makes a future or a stream one that is polled by hand, with a waker of its own. It needs no runtime; what it waits for may.
///
/// # Examples
/// ```
/// use posse::testing::{assert_pending, assert_ready, spawn};
/// use posse::sync::Notify;
///
/// let notify = Notify::new();
/// let mut notified = spawn(notify.notified());
/// assert_pending!(notified.poll());
/// assert!(!notified.is_woken());
/// notify.notify_one();
/// assert!(notified.is_woken());
/// assert_ready!(notified.poll());
/// ```
pub fn spawn<T>(inner: T) -> Spawn<T> {
    Spawn { inner: Box::pin(inner), woken: Arc::default() }
}

/// A future or a stream that is polled by hand; see [`spawn`].
pub struct Spawn<T> {
    inner: Pin<Box<T>>,
    woken: Arc<Woken>,
}

impl<T> Spawn<T> {
    /// Returns true if it was woken since it was polled last, or since [`enter`](Self::enter).
    pub fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }

    /// Returns how many wakers of it are kept.
    pub fn waker_ref_count(&self) -> usize {
        Arc::strong_count(&self.woken) - 1
    }

    /// Calls something with the context that a poll would have, as `poll_*` methods want it, and forgets earlier wake-ups.
    pub fn enter<R>(&mut self, f: impl FnOnce(&mut Context<'_>, Pin<&mut T>) -> R) -> R {
        self.woken.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.woken.clone());
        f(&mut Context::from_waker(&waker), self.inner.as_mut())
    }

    /// Returns what is polled.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns what is polled for changing it.
    pub fn get_mut(&mut self) -> &mut T
    where
        T: Unpin,
    {
        &mut self.inner
    }

    /// Returns what was polled.
    pub fn into_inner(self) -> T
    where
        T: Unpin,
    {
        *Pin::into_inner(self.inner)
    }
}

impl<T: Future> Spawn<T> {
    /// Polls the future.
    pub fn poll(&mut self) -> Poll<T::Output> {
        self.enter(|cx, future| future.poll(cx))
    }
}

impl<T: Stream> Spawn<T> {
    /// Polls the stream for its next item.
    pub fn poll_next(&mut self) -> Poll<Option<T::Item>> {
        self.enter(|cx, stream| stream.poll_next(cx))
    }
}

/// Awaited, it goes on in the task that awaits it.
impl<T: Future> Future for Spawn<T> {
    type Output = T::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Spawn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawn").field("is_woken", &self.is_woken()).finish_non_exhaustive()
    }
}

/// Returns the output of a poll, which must be ready. A text and its arguments may follow, as with `assert!`.
///
/// # Panics
/// If it is pending.
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_ready {
    ($poll:expr $(,)?) => {
        match $poll {
            ::std::task::Poll::Ready(output) => output,
            ::std::task::Poll::Pending => ::std::panic!("pending, and must be ready"),
        }
    };
    ($poll:expr, $($text:tt)+) => {
        match $poll {
            ::std::task::Poll::Ready(output) => output,
            ::std::task::Poll::Pending => ::std::panic!("pending, and must be ready: {}", ::std::format_args!($($text)+)),
        }
    };
}

/// Returns the value of a poll, which must be ready with an `Ok`.
///
/// # Panics
/// If it is pending or an error.
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_ready_ok {
    ($poll:expr $(, $($text:tt)*)?) => {
        match $crate::testing::assert_ready!($poll $(, $($text)*)?) {
            ::std::result::Result::Ok(value) => value,
            ::std::result::Result::Err(error) => ::std::panic!("an error, and must be ok: {error:?}"),
        }
    };
}

/// Returns the error of a poll, which must be ready with an `Err`.
///
/// # Panics
/// If it is pending or no error.
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_ready_err {
    ($poll:expr $(, $($text:tt)*)?) => {
        match $crate::testing::assert_ready!($poll $(, $($text)*)?) {
            ::std::result::Result::Ok(value) => ::std::panic!("ok, and must be an error: {value:?}"),
            ::std::result::Result::Err(error) => error,
        }
    };
}

/// Compares the output of a poll, which must be ready, as `assert_eq!` does.
///
/// # Panics
/// If it is pending or another value.
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_ready_eq {
    ($poll:expr, $expected:expr $(, $($text:tt)*)?) => {
        ::std::assert_eq!($crate::testing::assert_ready!($poll), $expected $(, $($text)*)?)
    };
}

/// A poll must be pending. A text and its arguments may follow, as with `assert!`.
///
/// # Panics
/// If it is ready.
#[doc(hidden)]
#[macro_export]
macro_rules! __assert_pending {
    ($poll:expr $(,)?) => {
        match $poll {
            ::std::task::Poll::Pending => {}
            ::std::task::Poll::Ready(output) => ::std::panic!("ready, and must be pending: {output:?}"),
        }
    };
    ($poll:expr, $($text:tt)+) => {
        match $poll {
            ::std::task::Poll::Pending => {}
            ::std::task::Poll::Ready(output) => {
                ::std::panic!("ready, and must be pending: {output:?}: {}", ::std::format_args!($($text)+))
            }
        }
    };
}
