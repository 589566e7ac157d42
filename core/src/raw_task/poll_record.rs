//! The record of a task's polls: how many there were, and when and where the last one began.
//!
//! Written by the thread that holds the right to run the task, with plain stores. Telling the time costs more than many a poll, so the worker
//! looks at the clock now and then, and its tasks get the [`PollStart`] it made of that.
//!
//! What the task waits for is kept with the count: what gives its waker to a list says so by [`PollRecord::waits_for`], and the next poll takes it
//! back without an instruction of its own.

use super::wait_kind::WaitKind;
use crate::loom::sync::atomic::{AtomicU64, Ordering};
use std::sync::atomic::AtomicU64 as StdAtomicU64;

/// A time on the runtime's clock, of which the ground knows no more: the nanoseconds of an `Instant`.
pub(crate) type Nanos = u64;

/// A worker and the time of its last look at the clock, in steps of about a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollStart(u64);

/// A step of time is 2^20 ns, 1.05 ms.
const TIME_SHIFT: u32 = 20;

/// Low bits: the index of the worker and one more, at most 1,024. The other bits count steps for longer than a clock runs.
const WORKER_BITS: u32 = 11;
const WORKER_MASK: u64 = (1 << WORKER_BITS) - 1;

impl PollStart {
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

/// Marks the time, in nanoseconds, at which a task was put into a queue. No [`PollStart`] has this bit before a clock has run for 146 years.
const SCHEDULED: u64 = 1 << 63;

/// Low bits of the count: polls for nine years at a million a second. Then it begins anew.
const COUNT_BITS: u32 = 48;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

#[derive(Debug)]
pub(crate) struct PollRecord {
    /// Polls begun, in the low bits, and the kinds of what the last one has left a waker with, above them. It orders nothing and decides nothing,
    /// so it is the standard library's atomic in the models too. Written within the poll; a thread that is lent the waker, and waits by it, may cost
    /// the count a poll.
    count: StdAtomicU64,
    /// The [`PollStart`] of the last poll, or with `SCHEDULED` since when the task waits for the next.
    last: AtomicU64,
}

impl PollRecord {
    pub(crate) fn new() -> Self {
        Self { count: StdAtomicU64::new(0), last: AtomicU64::new(PollStart::NONE.0) }
    }

    /// Before the state word says that the task runs: who sees it running sees by whom.
    #[inline]
    pub(crate) fn begin(&self, poll_start: PollStart) {
        let before = self.count.load(Ordering::Relaxed) & COUNT_MASK;
        self.count.store(before + 1, Ordering::Relaxed);
        self.last.store(poll_start.0, Ordering::Relaxed);
    }

    /// The task waits for a worker since `now`, by the thread that is about to put it into a queue. Until the poll that is kept in place of the last
    /// one, if it is measured at all.
    pub(crate) fn set_scheduled(&self, now: Nanos) {
        self.last.store(now | SCHEDULED, Ordering::Relaxed);
    }

    /// Since when the task waits for a worker, if that is measured and it does.
    pub(crate) fn scheduled(&self) -> Option<Nanos> {
        let last = self.last.load(Ordering::Relaxed);
        (last & SCHEDULED != 0).then_some(last & !SCHEDULED)
    }

    /// The poll leaves the task's waker with something of this kind.
    #[inline]
    pub(super) fn waits_for(&self, kind: WaitKind) {
        let before = self.count.load(Ordering::Relaxed);
        self.count.store(before | (kind.bit() << COUNT_BITS), Ordering::Relaxed);
    }

    /// What the last poll has left a waker with.
    pub(crate) fn wait_kinds(&self) -> impl Iterator<Item = WaitKind> + use<> {
        WaitKind::of_bits(self.count.load(Ordering::Relaxed) >> COUNT_BITS)
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed) & COUNT_MASK
    }

    /// When the last poll began, as of the worker's last look at the clock before it.
    pub(crate) fn last(&self) -> Option<Nanos> {
        self.poll_start().worker().map(|_| self.poll_start().time())
    }

    pub(crate) fn last_worker(&self) -> Option<usize> {
        self.poll_start().worker()
    }

    fn poll_start(&self) -> PollStart {
        let last = self.last.load(Ordering::Relaxed);
        if last & SCHEDULED == 0 { PollStart(last) } else { PollStart::NONE }
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_its_worker_and_the_time_to_a_millisecond() {
        for (worker, nanos) in [(0, 1), (1023, 10_000_000_000), (7, u64::MAX >> 2)] {
            let poll_start = PollStart::new(worker, nanos);
            assert_eq!(poll_start.worker(), Some(worker));
            assert!(nanos - poll_start.time() < 1 << TIME_SHIFT);
        }
        assert_eq!(PollStart::NONE.worker(), None);
    }

    #[test]
    fn what_a_poll_waits_for_is_told_until_the_next_one() {
        let record = PollRecord::new();
        record.begin(PollStart::NONE);
        record.waits_for(WaitKind::Mutex);
        record.waits_for(WaitKind::Blocking);
        record.waits_for(WaitKind::Mutex);
        assert_eq!(record.wait_kinds().collect::<Vec<_>>(), [WaitKind::Mutex, WaitKind::Blocking]);
        assert_eq!(record.count(), 1);
        record.begin(PollStart::NONE);
        assert_eq!((record.wait_kinds().count(), record.count()), (0, 2));
    }
}
