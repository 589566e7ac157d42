//! Events of one kind of which a log takes a limited number: some in each period are said, the others counted.

use posse_core::time::Instant;
use std::time::Duration;

/// Lets a number of them in each period through, and counts what the others stand for.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// How many are said in a period. Does not change.
    said_max: u32,
    /// Does not change.
    period: Duration,
    /// When the period began in which the last one was said. Written by `admit`.
    began: Option<Instant>,
    /// How many were said since then.
    said: u32,
    /// What was counted and not said. Grows while nothing is admitted, and with `defer`; said with the next one.
    unsaid: u64,
}

impl Throttle {
    pub(crate) fn new(said_max: u32, period: Duration) -> Self {
        Self { said_max, period, began: None, said: 0, unsaid: 0 }
    }

    /// If one that stands for `count` may be said: how many were not said before it.
    pub(crate) fn admit(&mut self, now: Instant, count: u64) -> Option<u64> {
        if self.began.is_none_or(|began| now - began >= self.period) {
            (self.began, self.said) = (Some(now), 0);
        }
        if self.said == self.said_max {
            self.unsaid += count;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.unsaid))
    }

    /// Counts what is to be said with the next one.
    pub(crate) fn defer(&mut self, count: u64) {
        self.unsaid += count;
    }

    /// What is still to be said.
    pub(crate) fn unsaid(&self) -> u64 {
        self.unsaid
    }

    /// When its period began.
    pub(crate) fn began(&self) -> Option<Instant> {
        self.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_may_be_are_said_in_each_period_and_the_rest_is_counted() {
        let (mut throttle, start) = (Throttle::new(16, Duration::from_secs(1)), Instant::now());
        let mut said = || throttle.admit(start, 3);
        assert!((0..16).all(|_| said() == Some(0)));
        assert_eq!((said(), said()), (None, None));
        assert_eq!(throttle.admit(start + Duration::from_millis(999), 1), None);
        throttle.defer(2);
        assert_eq!(throttle.unsaid(), 9);
        assert_eq!(throttle.admit(start + Duration::from_secs(1), 1), Some(9));
        assert_eq!(throttle.admit(start + Duration::from_secs(1), 1), Some(0));
    }
}
