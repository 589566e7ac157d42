//! The restart policy: when a child is started again, and after how long. Pure: the time and random numbers are arguments.

use crate::actor::spec::Restart;
use crate::id::ExitReason;
pub use posse_core::time::Backoff;
use posse_core::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Who else starts over when a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// No other child.
    OneForOne,
    /// All its siblings.
    OneForAll,
    /// Its younger siblings.
    RestForOne,
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
    /// The wait before a restart. A child that has run for the period begins with the least wait again.
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
    fn restart_types_are_kept() {
        let failed = ExitReason::failed("x");
        assert!(!Restart::Temporary.wants(&failed));
        assert!(!Restart::Transient.wants(&ExitReason::Normal) && Restart::Transient.wants(&failed));
        assert!(Restart::Permanent.wants(&ExitReason::Normal) && !Restart::Permanent.wants(&ExitReason::Shutdown));
    }
}
