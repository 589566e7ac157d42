//! When a child is started again, and after how long: pure, the time and random numbers are arguments.

use crate::actor::spec::Restart;
use crate::id::ExitReason;
use posse_core::time::Instant;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// Who else starts over when a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody.
    OneForOne,
    /// All its siblings.
    OneForAll,
    /// Its younger siblings.
    RestForOne,
}

/// How long to wait before a restart: doubling with each restart of the child, with jitter. A child that has run for the
/// period of the supervisor's limit begins with the least wait again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits from `start` up to `end`; each wait is drawn from the upper half of its range.
    pub fn exponential(range: Range<Duration>) -> Self {
        Self { min: range.start, max: range.end.max(range.start) }
    }

    /// Restarts at once.
    pub fn none() -> Self {
        Self { min: Duration::ZERO, max: Duration::ZERO }
    }

    /// The wait before restart number `attempt` (from 0), with a random number for the jitter.
    pub(crate) fn wait(&self, attempt: u32, random: u64) -> Duration {
        let full = self.min.saturating_mul(1 << attempt.min(30)).min(self.max);
        let jitter = f64::from((random >> 32) as u32) / f64::from(u32::MAX);
        full.mul_f64(0.5 + jitter / 2.0)
    }
}

impl Restart {
    /// Returns true if a child that ended for this reason is to be started again.
    pub(crate) fn wants(self, reason: &ExitReason) -> bool {
        match self {
            Self::Permanent => *reason != ExitReason::Shutdown,
            Self::Transient => reason.is_abnormal(),
            Self::Temporary => false,
        }
    }
}

/// The settings of one supervisor.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) strategy: Strategy,
    /// `usize::MAX` is no limit.
    pub(crate) limit: usize,
    pub(crate) period: Duration,
    pub(crate) backoff: Backoff,
}

impl Policy {
    /// Notes a restart in `history`, which holds the times of those within the period, at most `limit` of them. False if it
    /// would be one too many.
    pub(crate) fn admits(&self, history: &mut VecDeque<Instant>, now: Instant) -> bool {
        if self.limit == usize::MAX {
            return true;
        }
        while history.front().is_some_and(|&restarted| now - restarted >= self.period) {
            history.pop_front();
        }
        let admitted = history.len() < self.limit;
        if admitted {
            history.push_back(now);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn never_more_than_the_limit_within_a_period(
            gaps in proptest::collection::vec(0u64..5_000, 1..100),
            limit in 0usize..6,
        ) {
            let policy = Policy {
                strategy: Strategy::OneForOne,
                limit,
                period: Duration::from_secs(10),
                backoff: Backoff::none(),
            };
            let (mut history, mut now, mut restarts) = (VecDeque::new(), Instant::now(), Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                let recent = restarts.iter().filter(|&&at| now - at < policy.period).count();
                prop_assert_eq!(policy.admits(&mut history, now), recent < limit);
                if recent < limit {
                    restarts.push(now);
                }
                prop_assert!(history.len() <= limit);
            }
        }
    }

    #[test]
    fn without_a_limit_nothing_is_noted() {
        let policy = Policy {
            strategy: Strategy::OneForOne,
            limit: usize::MAX,
            period: Duration::from_secs(10),
            backoff: Backoff::none(),
        };
        let mut history = VecDeque::new();
        assert!((0..1000).all(|_| policy.admits(&mut history, Instant::now())));
        assert!(history.is_empty());
    }

    #[test]
    fn the_wait_doubles_and_stays_within_its_range() {
        let backoff = Backoff::exponential(Duration::from_millis(50)..Duration::from_secs(5));
        for attempt in 0..40 {
            let (least, most) = (backoff.wait(attempt, 0), backoff.wait(attempt, u64::MAX));
            assert!(least <= most && most <= Duration::from_secs(5) && least >= Duration::from_millis(25));
        }
        assert_eq!(backoff.wait(2, u64::MAX), Duration::from_millis(200));
    }

    #[test]
    fn restart_types_are_kept() {
        let failed = ExitReason::failed("x");
        assert!(!Restart::Temporary.wants(&failed));
        assert!(!Restart::Transient.wants(&ExitReason::Normal) && Restart::Transient.wants(&failed));
        assert!(Restart::Permanent.wants(&ExitReason::Normal) && !Restart::Permanent.wants(&ExitReason::Shutdown));
    }
}
