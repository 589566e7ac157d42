//! Giving way to the other ready tasks: always, or when the budget is spent.

use super::coop;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Lets the other ready tasks run first, then goes on.
///
/// # Cancel safety
/// Dropping the future has no effect.
///
/// # Examples
/// ```
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// posse::task::yield_now().await;
/// # });
/// ```
pub async fn yield_now() {
    YieldNow { yielded: false }.await
}

struct YieldNow {
    yielded: bool,
}

/// Takes a unit of the task's cooperative budget, for a future that may be ready again and again without waiting for
/// anything of this crate. `Pending` when none is left: the task has been woken and runs again after its neighbours. Without
/// the guard of [`coop::poll_proceed`], which gives the unit back: for tells, which are ready or wait for room.
///
/// # Examples
/// ```
/// use std::future::poll_fn;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut sum = 0u64;
/// for n in 0..1000 {
///     poll_fn(posse::task::poll_budget).await;
///     sum += n;
/// }
/// assert_eq!(sum, 499_500);
/// # });
/// ```
#[inline]
pub fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    coop::poll_spend(cx)
}

/// Takes a unit of the task's cooperative budget, and lets the other ready tasks run first if none is left. For a loop that
/// may go on for long without waiting for anything of this crate.
///
/// # Cancel safety
/// Dropping the future has no effect.
///
/// # Examples
/// ```
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut sum = 0u64;
/// for n in 0..1000 {
///     posse::task::consume_budget().await;
///     sum += n;
/// }
/// assert_eq!(sum, 499_500);
/// # });
/// ```
pub async fn consume_budget() {
    std::future::poll_fn(coop::poll_spend).await;
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }

        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
