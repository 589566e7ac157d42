//! Ticks at a fixed period.

use super::{Instant, Sleep, sleep_until};
use futures_core::Stream;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What happens after ticks were missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// The missed ticks follow at once, until it has caught up. The default.
    #[default]
    Burst,
    /// The next tick is one period after the late one.
    Delay,
    /// The missed ticks are left out; the next one is at a multiple of the period.
    Skip,
}

/// Ticks every `period`, the first time at once. A period of zero counts as one nanosecond.
///
/// # Panics
/// Outside of a runtime.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// posse::runtime::Runtime::new()?.block_on(async {
///     let mut ticks = posse::time::interval(Duration::from_millis(1));
///     let first = ticks.tick().await;
///     assert_eq!(ticks.tick().await, first + Duration::from_millis(1));
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks every `period`, the first time at `start`.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    let period = period.max(Duration::from_nanos(1));
    Interval { sleep: sleep_until(start), period, missed: MissedTickBehavior::default() }
}

/// A source of ticks; see [`interval`]. As a stream it never ends.
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
    missed: MissedTickBehavior,
}

impl Interval {
    /// Waits for the next tick and returns when it was due.
    ///
    /// # Cancel safety
    /// No tick is lost by dropping the future.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let due = self.sleep.deadline();
        let next = self.after(due, Instant::now());
        self.sleep.reset(next);
        Poll::Ready(due)
    }

    pub(super) fn after(&self, due: Instant, now: Instant) -> Instant {
        let next = due + self.period;
        if next > now {
            return next;
        }
        match self.missed {
            MissedTickBehavior::Burst => next,
            MissedTickBehavior::Delay => now + self.period,
            MissedTickBehavior::Skip => {
                let period = self.period.as_nanos();
                let behind = (now - due).as_nanos() % period;
                let ahead = u64::try_from(period - behind).unwrap_or(u64::MAX);
                now + Duration::from_nanos(ahead)
            }
        }
    }

    /// Returns the period.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Sets what happens after missed ticks. Default: [`MissedTickBehavior::Burst`].
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }

    /// Returns what happens after missed ticks.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Starts over: the next tick is due now.
    pub fn reset_immediately(&mut self) {
        self.sleep.reset(Instant::now());
    }

    /// Starts over: the next tick is due after so long.
    pub fn reset_after(&mut self, after: Duration) {
        self.sleep.reset(Instant::now() + after);
    }

    /// Starts over: the next tick is due at a point in time.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.sleep.reset(deadline);
    }

    /// Starts over: the next tick is one period from now.
    pub fn reset(&mut self) {
        self.sleep.reset(Instant::now() + self.period);
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}
