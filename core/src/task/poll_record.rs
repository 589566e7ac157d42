//! What a task keeps of its polls: how many there were, and when and where the last one began.
//!
//! Written by whoever holds the right to run the task, with plain stores. Telling the time costs more than many a poll, so the worker
//! looks at the clock now and then, and its tasks get the [`Stamp`] it made of that.

use crate::loom::sync::atomic::{AtomicU64, Ordering};
use crate::scheduler::counters::Count;
use crate::time::Instant;

/// A worker and the time of its last look at the clock, in steps of about a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// A step of time is 2^20 ns, 1.05 ms.
const TIME_SHIFT: u32 = 20;

/// Low bits: the index of the worker and one more, at most 1,024. The other 53 bits count steps for longer than a clock runs.
const WORKER_BITS: u32 = 11;
const WORKER_MASK: u64 = (1 << WORKER_BITS) - 1;

impl Stamp {
    /// By no worker: a thread of the blocking pool, say.
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn new(worker: usize, now: Instant) -> Self {
        Self(((now.0 >> TIME_SHIFT) << WORKER_BITS) | (worker as u64 + 1))
    }

    fn worker(self) -> Option<usize> {
        (self.0 & WORKER_MASK).checked_sub(1).map(|worker| worker as usize)
    }

    fn time(self) -> Instant {
        Instant((self.0 >> WORKER_BITS) << TIME_SHIFT)
    }
}

#[derive(Debug)]
pub(crate) struct PollRecord {
    count: Count,
    last: AtomicU64,
}

impl PollRecord {
    pub(crate) fn new() -> Self {
        Self { count: Count::default(), last: AtomicU64::new(Stamp::NONE.0) }
    }

    /// Before the state word says that the task runs: who sees it running sees by whom.
    #[inline]
    pub(crate) fn begin(&self, stamp: Stamp) {
        self.count.add(1);
        self.last.store(stamp.0, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    /// When the last poll began, as of the worker's last look at the clock before it.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.stamp().worker().map(|_| self.stamp().time())
    }

    pub(crate) fn last_worker(&self) -> Option<usize> {
        self.stamp().worker()
    }

    fn stamp(&self) -> Stamp {
        Stamp(self.last.load(Ordering::Relaxed))
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_its_worker_and_the_time_to_a_millisecond() {
        for (worker, nanos) in [(0, 1), (1023, 10_000_000_000), (7, u64::MAX >> 2)] {
            let stamp = Stamp::new(worker, Instant(nanos));
            assert_eq!(stamp.worker(), Some(worker));
            assert!(nanos - stamp.time().0 < 1 << TIME_SHIFT);
        }
        assert_eq!(Stamp::NONE.worker(), None);
    }
}
