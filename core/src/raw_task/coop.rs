//! The cooperative budget: how much a task may do in one poll before it yields to its neighbours.
//!
//! Each leaf operation (a channel, a socket, a timer) takes one unit when it makes progress. A task whose units are
//! spent sees `Pending` from every leaf, having been woken already, so it runs again after its neighbours.

use super::current;
use crate::util::scoped::Scoped;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};

/// Units a task gets for one poll. Guessed; in the range where neither fairness nor throughput was measured to suffer.
const UNITS_PER_POLL: u8 = 128;

thread_local! {
    /// Called when a task has no budget left: the worker that runs on this thread counts it.
    static ON_FORCED_YIELD: Cell<fn()> = const { Cell::new(|| {}) };
}

/// Until the guard is dropped each task that has no budget left is told of on this thread.
pub(crate) fn on_forced_yield(count: fn()) -> Scoped<fn()> {
    Scoped::set(&ON_FORCED_YIELD, count)
}

/// Units that are left; `None` outside of a task.
pub(crate) type Budget = Option<u8>;

/// The budget of a poll that begins.
pub(crate) fn fresh() -> Budget {
    Some(if crate::buggify(0.02) { 1 } else { UNITS_PER_POLL })
}

/// Runs `f` with a fresh budget and restores the previous one afterwards.
pub(crate) fn budget<R>(f: impl FnOnce() -> R) -> R {
    with(fresh(), f)
}

/// Runs `f` without any budget and restores the previous one afterwards.
pub(crate) fn unlimited<R>(f: impl FnOnce() -> R) -> R {
    with(None, f)
}

fn with<R>(budget: Budget, f: impl FnOnce() -> R) -> R {
    struct Restore(Budget);

    impl Drop for Restore {
        fn drop(&mut self) {
            current::with_budget(|current| current.set(self.0));
        }
    }

    // Also after a panic: the code around goes on with what it had.
    let _restore = Restore(current::with_budget(|current| current.replace(budget)));
    f()
}

/// Takes a unit of the task's cooperative budget for an operation that may turn out not to be ready. The unit is given
/// back unless [`Progress::made_progress`] is called, so a task that waits for many things at once does not run out of
/// budget by looking at those that are not ready. `Pending` when no unit is left: the task has been woken and runs again
/// after its neighbours.
///
/// # Examples
/// ```
/// use posse::task::coop::poll_proceed;
/// use std::collections::VecDeque;
/// use std::future::poll_fn;
/// use std::task::{Poll, ready};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut queue = VecDeque::from([1, 2]);
/// let next = poll_fn(|cx| {
///     let progress = ready!(poll_proceed(cx));
///     let Some(item) = queue.pop_front() else { return Poll::Pending };
///     progress.made_progress();
///     Poll::Ready(item)
/// });
/// assert_eq!(next.await, 1);
/// # });
/// ```
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<Progress> {
    let before = take_unit();
    if before == Some(0) { refuse(cx) } else { Poll::Ready(Progress { is_taken: before.is_some() }) }
}

/// Makes a future take part in the budget: it takes a unit when it is ready, and waits while none is left.
///
/// # Cancel safety
/// As the future.
pub async fn cooperative<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let progress = ready!(poll_proceed(cx));
        let output = ready!(future.as_mut().poll(cx));
        progress.made_progress();
        Poll::Ready(output)
    })
    .await
}

/// Runs a future without any budget: what it uses is always ready if it can be, however often. Other tasks wait for as long as it does
/// not wait itself.
///
/// # Cancel safety
/// As the future.
pub async fn unconstrained<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| unlimited(|| future.as_mut().poll(cx))).await
}

/// Returns true if the task has units of its budget left in this poll; true outside of a task.
pub fn has_budget_remaining() -> bool {
    current::with_budget(Cell::get) != Some(0)
}

/// Takes one unit for good; see [`poll_proceed`].
#[inline]
pub(crate) fn poll_spend(cx: &mut Context<'_>) -> Poll<()> {
    if take_unit() == Some(0) { refuse(cx) } else { Poll::Ready(()) }
}

/// Takes a unit, if there is one, and returns what there was before.
#[inline]
fn take_unit() -> Budget {
    current::with_budget(|budget| {
        let before = budget.get();
        budget.set(before.map(|units| units.saturating_sub(1)));
        before
    })
}

/// `Pending` if no unit is left, which is what every leaf would say; takes none. For what looks at several leaves at once.
#[inline]
pub(crate) fn poll_left(cx: &mut Context<'_>) -> Poll<()> {
    if has_budget_remaining() { Poll::Ready(()) } else { refuse(cx) }
}

/// No unit is left.
fn refuse<T>(cx: &Context<'_>) -> Poll<T> {
    wake_refused(cx);
    Poll::Pending
}

/// The task runs again after its neighbours.
#[cold]
#[inline(never)]
fn wake_refused(cx: &Context<'_>) {
    ON_FORCED_YIELD.get()();
    cx.waker().wake_by_ref();
}

/// One unit taken by [`poll_proceed`]; given back on drop unless the operation made progress.
#[derive(Debug)]
#[must_use]
pub struct Progress {
    is_taken: bool,
}

impl Progress {
    /// Keeps the unit: the operation was ready.
    pub fn made_progress(mut self) {
        self.is_taken = false;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_taken {
            // The one unit and not what there was before: what the operation has spent itself stays spent.
            current::with_budget(|budget| budget.set(budget.get().map(|units| units.saturating_add(1))));
        }
    }
}
