//! Waits between attempts that grow. Pure: the random number is an argument, so a simulation stays what its seed says.

use std::ops::Range;
use std::time::Duration;

/// How long to wait before the next attempt: twice as long after each one that failed, with jitter, so that many who failed at once do
/// not try again at once.
///
/// # Examples
/// ```
/// use posse::runtime::Handle;
/// use posse::time::{Backoff, Duration, sleep};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let backoff = Backoff::exponential(Duration::from_millis(1)..Duration::from_millis(8));
/// let mut answers = [Err("busy"), Err("busy"), Ok(5)].into_iter();
/// let mut attempt = 0;
/// let answer = loop {
///     match answers.next().unwrap() {
///         Ok(answer) => break answer,
///         Err(_) => sleep(backoff.wait(attempt, Handle::current().random_u64())).await,
///     }
///     attempt += 1;
/// };
/// assert_eq!((answer, attempt), (5, 2));
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// The longest wait is `start` after the first failure, twice as much after each further one, and never more than `end`. Each
    /// wait is drawn between half of the longest and all of it, so the first may be half of `start`.
    pub fn exponential(range: Range<Duration>) -> Self {
        Self { min: range.start, max: range.end.max(range.start) }
    }

    /// Waits for nothing.
    pub fn none() -> Self {
        Self { min: Duration::ZERO, max: Duration::ZERO }
    }

    /// Returns the wait without jitter after `attempt` failed attempts in a row, counted from 0.
    pub fn longest(&self, attempt: u32) -> Duration {
        self.min.saturating_mul(1 << attempt.min(31)).min(self.max)
    }

    /// Returns the wait after `attempt` failed attempts in a row, counted from 0, with a random number for the jitter; see
    /// [`Handle::random_u64`](crate::runtime::Handle::random_u64).
    pub fn wait(&self, attempt: u32, random: u64) -> Duration {
        let longest = self.longest(attempt);
        let half = longest / 2;
        half + (longest - half).mul_f64(f64::from((random >> 32) as u32) / f64::from(u32::MAX))
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_and_stays_in_the_upper_half_of_its_range() {
        let ms = Duration::from_millis;
        let backoff = Backoff::exponential(ms(50)..ms(5_000));
        assert_eq!([0, 1, 2, 6, 7, u32::MAX].map(|n| backoff.longest(n)), [50, 100, 200, 3_200, 5_000, 5_000].map(ms));
        for attempt in (0..40).chain([u32::MAX]) {
            let longest = backoff.longest(attempt);
            assert_eq!((backoff.wait(attempt, 0), backoff.wait(attempt, u64::MAX)), (longest / 2, longest));
            assert!((longest / 2..=longest).contains(&backoff.wait(attempt, 0x1234_5678_9ABC_DEF0)));
        }
    }

    #[test]
    fn no_range_is_too_wide_and_none_is_empty() {
        let backoff = Backoff::exponential(Duration::MAX..Duration::MAX);
        assert_eq!(backoff.wait(3, u64::MAX), Duration::MAX);
        let reversed = Backoff::exponential(Duration::from_secs(2)..Duration::from_secs(1));
        assert_eq!(reversed.longest(9), Duration::from_secs(2));
        assert_eq!(Backoff::none().wait(5, u64::MAX), Duration::ZERO);
    }
}
