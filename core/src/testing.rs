//! Wakers that say what becomes of them, for the tests and models of this crate.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts how often it is woken.
#[derive(Debug, Default)]
pub(crate) struct CountWakes(AtomicUsize);

impl CountWakes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker of its own, and its count.
pub(crate) fn counting_waker() -> (Arc<CountWakes>, Waker) {
    let count = Arc::new(CountWakes::default());
    (count.clone(), Waker::from(count))
}

/// Polls once, with this waker.
pub(crate) fn poll_with<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[cfg(not(posse_loom))]
pub(crate) use self::hooks::{waker_that_drops, waker_that_is_cloned, waker_that_wakes};

#[cfg(not(posse_loom))]
mod hooks {
    use super::*;
    use std::task::{RawWaker, RawWakerVTable};

    /// Does something when it is woken, or as the last reference to a task may, when it is dropped.
    struct Hooks<W: Fn() + Send + Sync + 'static, D: Fn() + Send + Sync + 'static>(W, D);

    impl<W: Fn() + Send + Sync + 'static, D: Fn() + Send + Sync + 'static> Wake for Hooks<W, D> {
        fn wake(self: Arc<Self>) {
            self.0();
        }
    }

    impl<W: Fn() + Send + Sync + 'static, D: Fn() + Send + Sync + 'static> Drop for Hooks<W, D> {
        fn drop(&mut self) {
            self.1();
        }
    }

    /// A waker that runs something when its last clone is dropped.
    pub(crate) fn waker_that_drops(then: impl Fn() + Send + Sync + 'static) -> Waker {
        Waker::from(Arc::new(Hooks(|| {}, then)))
    }

    type OnClone = Box<dyn Fn() + Send + Sync>;

    static ON_CLONE: RawWakerVTable = RawWakerVTable::new(
        |data| {
            // SAFETY: as of `Arc::into_raw` below, kept by the waker that is cloned.
            unsafe { (*data.cast::<OnClone>())() };
            // SAFETY: as above.
            unsafe { Arc::increment_strong_count(data.cast::<OnClone>()) };
            RawWaker::new(data, &ON_CLONE)
        },
        // SAFETY: the reference of the waker that is used up.
        |data| unsafe { Arc::decrement_strong_count(data.cast::<OnClone>()) },
        |_| {},
        // SAFETY: the reference of the waker that is dropped.
        |data| unsafe { Arc::decrement_strong_count(data.cast::<OnClone>()) },
    );

    /// A waker that runs something when it is cloned, and does nothing when it is woken.
    pub(crate) fn waker_that_is_cloned(then: impl Fn() + Send + Sync + 'static) -> Waker {
        let then: Arc<OnClone> = Arc::new(Box::new(then));
        // SAFETY: the functions above count references to the value behind the pointer, which may be sent and shared.
        unsafe { Waker::from_raw(RawWaker::new(Arc::into_raw(then).cast(), &ON_CLONE)) }
    }

    /// A waker that runs something when it is woken.
    pub(crate) fn waker_that_wakes(then: impl Fn() + Send + Sync + 'static) -> Waker {
        Waker::from(Arc::new(Hooks(then, || {})))
    }
}
