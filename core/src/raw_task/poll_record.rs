//! What a task keeps of its polls: how many there were, and when and where the last one began.
//!
//! Written by whoever holds the right to run the task, with plain stores. Telling the time costs more than many a poll, so the worker
//! looks at the clock now and then, and its tasks get the [`Stamp`] it made of that.

use crate::loom::sync::atomic::{AtomicU64, Ordering};
use crate::util::count::Count;

/// A time on the runtime's clock, of which the ground knows no more: the nanoseconds of an `Instant`.
pub(crate) type Nanos = u64;

/// A worker and the time of its last look at the clock, in steps of about a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// A step of time is 2^20 ns, 1.05 ms.
const TIME_SHIFT: u32 = 20;

/// Low bits: the index of the worker and one more, at most 1,024. The other bits count steps for longer than a clock runs.
const WORKER_BITS: u32 = 11;
const WORKER_MASK: u64 = (1 << WORKER_BITS) - 1;

impl Stamp {
    /// By no worker: a thread of the blocking pool, say.
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn new(worker: usize, now: Nanos) -> Self {
        Self(((now >> TIME_SHIFT) << WORKER_BITS) | (worker as u64 + 1))
    }

    fn worker(self) -> Option<usize> {
        (self.0 & WORKER_MASK).checked_sub(1).map(|worker| worker as usize)
    }

    fn time(self) -> Nanos {
        (self.0 >> WORKER_BITS) << TIME_SHIFT
    }
}

/// Marks the time, in nanoseconds, at which a task was put into a queue. No stamp has this bit before a clock has run for 146 years.
const SCHEDULED: u64 = 1 << 63;

#[derive(Debug)]
pub(crate) struct PollRecord {
    /// Polls begun.
    count: Count,
    /// The [`Stamp`] of the last poll, or with `SCHEDULED` since when the task waits for the next.
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

    /// The task waits for a worker since `now`, by whoever is about to put it into a queue. Until the poll that is kept in place of the last
    /// one, if it is measured at all.
    pub(crate) fn set_scheduled(&self, now: Nanos) {
        self.last.store(now | SCHEDULED, Ordering::Relaxed);
    }

    /// Since when the task waits for a worker, if that is measured and it does.
    pub(crate) fn scheduled(&self) -> Option<Nanos> {
        let last = self.last.load(Ordering::Relaxed);
        (last & SCHEDULED != 0).then_some(last & !SCHEDULED)
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.get()
    }

    /// When the last poll began, as of the worker's last look at the clock before it.
    pub(crate) fn last(&self) -> Option<Nanos> {
        self.stamp().worker().map(|_| self.stamp().time())
    }

    pub(crate) fn last_worker(&self) -> Option<usize> {
        self.stamp().worker()
    }

    fn stamp(&self) -> Stamp {
        let last = self.last.load(Ordering::Relaxed);
        if last & SCHEDULED == 0 { Stamp(last) } else { Stamp::NONE }
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_its_worker_and_the_time_to_a_millisecond() {
        for (worker, nanos) in [(0, 1), (1023, 10_000_000_000), (7, u64::MAX >> 2)] {
            let stamp = Stamp::new(worker, nanos);
            assert_eq!(stamp.worker(), Some(worker));
            assert!(nanos - stamp.time() < 1 << TIME_SHIFT);
        }
        assert_eq!(Stamp::NONE.worker(), None);
    }
}
