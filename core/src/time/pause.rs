//! Time that stands still in tests of a current-thread runtime, and jumps to the next timer when nothing else can happen.

use crate::raw_task::yielding::yield_now;
use crate::runtime::Handle;
use std::time::Duration;

/// Stops the time of the current runtime, which has to be a current-thread runtime.
///
/// `Instant::now` shows the same until [`advance`] turns the clock or, when all tasks wait and no blocking closure runs, the runtime itself
/// turns it to the next timer. So a test that sleeps for hours takes no time, and everything happens in the order of the
/// deadlines. A socket that is waited for does not hold the time up: a time-out may then be over before the answer has come.
///
/// A clock that stands still already goes on standing still.
///
/// # Panics
/// Outside of a runtime, and on one with workers of its own.
///
/// # Examples
/// ```
/// use posse::runtime::Builder;
/// use posse::time::{self, Duration, Instant};
///
/// Builder::new_current_thread().build()?.block_on(async {
///     time::pause();
///     let start = Instant::now();
///     time::sleep(Duration::from_secs(3600)).await; // at once
///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
///     time::resume();
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn pause() {
    let paused = Handle::current().clock().pause();
    assert!(paused, "`time::pause` needs a current-thread runtime");
}

/// Lets the time of the current runtime go on from where it stands. Timers keep the instants they were set to.
///
/// A clock that was turned to the last of its 584 years does not go on: it stands at their end, where every sleep is over at once.
///
/// # Panics
/// Outside of a runtime, and on one whose clock cannot be stopped.
#[track_caller]
pub fn resume() {
    let handle = Handle::current();
    let resumed = handle.clock().resume();
    assert!(resumed, "`time::resume` needs a current-thread runtime");
    // A worker that sleeps without a limit has one from now on.
    handle.shared().unpark(0);
}

/// Turns the clock of the current runtime, which stands still, and lets those run that this wakes: each timer that became due fires, in
/// order.
///
/// # Cancel safety
/// The clock is turned at the first poll.
///
/// # Panics
/// Outside of a runtime, and if its clock does not stand still.
///
/// # Examples
/// ```
/// use posse::runtime::Builder;
/// use posse::time::{self, Duration};
///
/// Builder::new_current_thread().start_paused(true).build()?.block_on(async {
///     let start = time::Instant::now();
///     time::advance(Duration::from_millis(70)).await;
///     assert_eq!(start.elapsed(), Duration::from_millis(70));
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
pub async fn advance(duration: Duration) {
    let turned = Handle::current().advance(duration);
    assert!(turned, "`time::advance` needs a clock that stands still: `time::pause`");
    yield_now().await;
}
