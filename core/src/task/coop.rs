//! The cooperative budget: how much a task may do in one poll before it yields to its neighbours.
//!
//! Each leaf operation (a channel, a socket, a timer) takes one unit when it makes progress. A task whose units are
//! spent sees `Pending` from every leaf, having been woken already, so it runs again after its neighbours.

use std::cell::Cell;
use std::task::{Context, Poll};

/// Units a task gets for one poll. Guessed; in the range where neither fairness nor throughput was measured to suffer.
const UNITS_PER_POLL: u8 = 128;

thread_local! {
    /// `None`: outside a task, no limit.
    static BUDGET: Cell<Option<u8>> = const { Cell::new(None) };
}

/// Runs `f` with a fresh budget and restores the former one afterwards.
pub(crate) fn budget<R>(f: impl FnOnce() -> R) -> R {
    let units = if crate::buggify(0.02) { 1 } else { UNITS_PER_POLL };
    with_budget(Some(units), f)
}

/// Runs `f` without any budget and restores the former one afterwards.
pub(crate) fn unlimited<R>(f: impl FnOnce() -> R) -> R {
    with_budget(None, f)
}

fn with_budget<R>(units: Option<u8>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<u8>);

    impl Drop for Restore {
        fn drop(&mut self) {
            BUDGET.set(self.0);
        }
    }

    let _restore = Restore(BUDGET.replace(units));
    f()
}

/// Takes one unit, or wakes the task and returns `Pending` when none is left.
#[inline]
pub(crate) fn poll_proceed(cx: &mut Context<'_>) -> Poll<Progress> {
    let before = BUDGET.get();
    match before {
        Some(0) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Some(units) => {
            BUDGET.set(Some(units - 1));
            Poll::Ready(Progress { refund: before })
        }
        None => Poll::Ready(Progress { refund: None }),
    }
}

/// Takes one unit for good; see [`poll_proceed`].
#[inline]
pub(crate) fn poll_spend(cx: &mut Context<'_>) -> Poll<()> {
    match BUDGET.get() {
        Some(0) => {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Some(units) => BUDGET.set(Some(units - 1)),
        None => {}
    }
    Poll::Ready(())
}

/// One unit taken; given back on drop unless the operation made progress.
#[must_use]
pub(crate) struct Progress {
    refund: Option<u8>,
}

impl Progress {
    /// Keeps the unit: the operation was ready.
    pub(crate) fn made_progress(mut self) {
        self.refund = None;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.refund.is_some() {
            BUDGET.set(self.refund);
        }
    }
}
