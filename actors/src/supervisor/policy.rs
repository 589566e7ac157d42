//! The restart decision, pure: who ended, why, what happened before, what time it is, in; what to do, out.

use crate::exit::ExitReason;
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

/// When a child starts over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Always. The default.
    #[default]
    Permanent,
    /// After it failed or was killed.
    Transient,
    /// Never.
    Temporary,
}

/// How long to wait before a restart: doubling with each restart within the period, with jitter.
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
    fn wait(&self, attempt: usize, random: u64) -> Duration {
        let doublings = u32::try_from(attempt).unwrap_or(u32::MAX).min(30);
        let full = self.min.saturating_mul(1 << doublings).min(self.max);
        let jitter = f64::from((random >> 32) as u32) / f64::from(u32::MAX);
        full.mul_f64(0.5 + jitter / 2.0)
    }
}

/// What a supervisor does about the end of a child.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The child starts over after the wait, and so do the children with these indices, itself excepted.
    Restart { after: Duration, others: Range<usize> },
    /// The child stays ended.
    Leave,
    /// Too many restarts: the supervisor itself fails.
    Escalate,
}

/// A child that has ended: how it is restarted, why it ended, its index, and how many children there are.
#[derive(Debug)]
pub(crate) struct End<'a> {
    pub(crate) restart: Restart,
    pub(crate) reason: &'a ExitReason,
    pub(crate) child: usize,
    pub(crate) children: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) strategy: Strategy,
    pub(crate) limit: usize,
    pub(crate) period: Duration,
    pub(crate) backoff: Backoff,
}

impl Policy {
    /// Decides, and notes a restart in `history`, which holds the times of those within the period.
    pub(crate) fn decide(&self, end: &End<'_>, history: &mut VecDeque<Instant>, now: Instant, random: u64) -> Decision {
        let &End { restart, reason, child, children } = end;
        let wanted = match restart {
            Restart::Permanent => true,
            Restart::Transient => reason.is_abnormal(),
            Restart::Temporary => false,
        };
        if !wanted || *reason == ExitReason::Shutdown {
            return Decision::Leave;
        }

        while history.front().is_some_and(|&restarted| now - restarted >= self.period) {
            history.pop_front();
        }
        if history.len() >= self.limit {
            return Decision::Escalate;
        }
        let after = self.backoff.wait(history.len(), random);
        history.push_back(now);
        let others = match self.strategy {
            Strategy::OneForOne => child..child,
            Strategy::OneForAll => 0..children,
            Strategy::RestForOne => child..children,
        };
        Decision::Restart { after, others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    fn policy(limit: usize) -> Policy {
        Policy {
            strategy: Strategy::OneForOne,
            limit,
            period: Duration::from_secs(10),
            backoff: Backoff::exponential(Duration::from_millis(50)..Duration::from_secs(5)),
        }
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_within_a_period(
            gaps in proptest::collection::vec(0u64..5_000, 1..100),
            limit in 0usize..6,
        ) {
            let policy = policy(limit);
            let mut history = VecDeque::new();
            let mut now = Instant::now();
            let mut restarts = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                let failed = ExitReason::failed("x");
                let end = End { restart: Restart::Permanent, reason: &failed, child: 0, children: 1 };
                match policy.decide(&end, &mut history, now, gap) {
                    Decision::Restart { after, .. } => {
                        prop_assert!(after <= Duration::from_secs(5));
                        restarts.push(now);
                    }
                    Decision::Escalate => {
                        let recent = restarts.iter().filter(|&&at| now - at < policy.period).count();
                        prop_assert!(recent >= limit);
                    }
                    Decision::Leave => prop_assert!(false),
                }
                let recent = restarts.iter().filter(|&&at| now - at < policy.period).count();
                prop_assert!(recent <= limit);
            }
        }
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
    fn restart_types_are_kept_and_strategies_name_the_others() {
        let mut history = VecDeque::new();
        let now = Instant::now();
        let mut decide = |restart, reason: &ExitReason| {
            let end = End { restart, reason, child: 1, children: 4 };
            Policy { strategy: Strategy::RestForOne, ..policy(9) }.decide(&end, &mut history, now, 0)
        };
        let failed = ExitReason::failed("x");
        assert_eq!(decide(Restart::Temporary, &failed), Decision::Leave);
        assert_eq!(decide(Restart::Transient, &ExitReason::Normal), Decision::Leave);
        assert!(matches!(decide(Restart::Transient, &failed), Decision::Restart { others, .. } if others == (1..4)));
        assert!(matches!(decide(Restart::Permanent, &ExitReason::Normal), Decision::Restart { .. }));
    }
}
