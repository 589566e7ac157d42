//! Counters of a worker, always kept: written by the worker alone with plain loads and stores, read by any thread.
//!
//! The counts order nothing and decide nothing, so they are the standard library's atomics in the models too.

use crate::time::driver::Instant;
use crate::util::count::Count;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The counts of one worker, in its [`Front`](super::Front).
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) polls: Count,
    pub(crate) busy: BusyTime,
    /// Odd while the worker is asleep.
    pub(crate) parks_and_unparks: Count,
    /// Sleeps that another party ended because there was work.
    pub(crate) wakes: Count,
    /// Sleeps after which the worker found nothing.
    pub(crate) noops: Count,
    pub(crate) steals: Count,
    pub(crate) steal_operations: Count,
    /// Tasks taken from the injector.
    pub(crate) injected: Count,
    pub(crate) forced_yields: Count,
    /// What `polls` was at the last forced yield and at the last sleep.
    forced_at: Count,
    slept_at: Count,
}

impl Counters {
    pub(crate) fn parked(&self, now: Instant) {
        if self.parks_and_unparks.get() > 0 && self.polls.get() == self.slept_at.get() {
            self.noops.add(1);
        }
        self.slept_at.set(self.polls.get());
        self.parks_and_unparks.add(1);
        self.busy.end(now);
    }

    pub(crate) fn unparked(&self, now: Instant, was_woken: bool) {
        self.parks_and_unparks.add(1);
        self.wakes.add(u64::from(was_woken));
        self.busy.begin(now);
    }

    /// A task has no budget left; counted once for each poll, whatever else it asks for.
    pub(crate) fn forced_yield(&self) {
        if self.forced_at.get() != self.polls.get() {
            self.forced_at.set(self.polls.get());
            self.forced_yields.add(1);
        }
    }
}

/// How long a worker was not asleep.
#[derive(Debug, Default)]
pub(crate) struct BusyTime {
    /// While the worker sleeps the total, in nanoseconds; while it is awake, with the highest bit set, the instant at which the total
    /// would have been zero. One word, so that who reads it meanwhile sees the one or the other.
    word: AtomicU64,
    /// The most that any reader was told. A reader and the worker look at the clock on their own, in any order, so the word alone could
    /// tell less than before.
    told: AtomicU64,
}

const AWAKE: u64 = 1 << 63;

impl BusyTime {
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        self.word.load(Ordering::Relaxed) & AWAKE != 0
    }

    /// The worker is awake from `now` on, if it was not already.
    pub(crate) fn begin(&self, now: Instant) {
        if !self.is_running() {
            // As if it had been awake all the time since: then the difference to any later moment is the total.
            let zero = now.0.saturating_sub(self.word.load(Ordering::Relaxed));
            self.word.store(zero | AWAKE, Ordering::Relaxed);
        }
    }

    /// The worker sleeps or leaves its thread.
    pub(crate) fn end(&self, now: Instant) {
        if self.is_running() {
            self.word.store(self.nanos(now), Ordering::Relaxed);
        }
    }

    /// Never less than before. `now` was looked at before the call: what came later would count the worker's sleep.
    pub(crate) fn get(&self, now: Instant) -> Duration {
        let nanos = self.nanos(now);
        Duration::from_nanos(nanos.max(self.told.fetch_max(nanos, Ordering::Relaxed)))
    }

    fn nanos(&self, now: Instant) -> u64 {
        let word = self.word.load(Ordering::Relaxed);
        if word & AWAKE == 0 { word } else { (now.0 & !AWAKE).saturating_sub(word & !AWAKE) }
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn busy_time_counts_what_is_awake_up_to_now() {
        let busy = BusyTime::default();
        let shown = |now| busy.get(Instant(now)).as_nanos();
        busy.begin(Instant(1_000));
        busy.begin(Instant(1_500));
        assert_eq!((shown(1_000), shown(1_700)), (0, 700));
        busy.end(Instant(2_000));
        busy.end(Instant(2_500));
        assert_eq!((shown(2_500), shown(9_000)), (1_000, 1_000));
        busy.begin(Instant(10_000));
        assert_eq!((shown(10_000), shown(10_001)), (1_000, 1_001));
    }

    #[test]
    fn busy_time_never_goes_back_whoever_looked_at_the_clock_first() {
        let busy = BusyTime::default();
        let shown = |now| busy.get(Instant(now)).as_nanos();
        busy.begin(Instant(1_000));
        assert_eq!(shown(1_700), 700);
        // The worker had looked at the clock before the reader did, and says so after it.
        busy.end(Instant(1_600));
        assert_eq!(shown(1_800), 700);
        // The reader had looked at the clock before the worker woke up.
        busy.begin(Instant(9_000));
        assert_eq!(shown(8_000), 700);
        assert_eq!((shown(9_050), shown(9_200)), (700, 800));
    }

    #[test]
    fn a_forced_yield_counts_once_for_each_poll() {
        let counters = Counters::default();
        for _ in 0..3 {
            counters.polls.add(1);
            (0..5).for_each(|_| counters.forced_yield());
        }
        assert_eq!(counters.forced_yields.get(), 3);
    }

    #[test]
    fn a_sleep_that_no_poll_follows_is_a_noop() {
        let counters = Counters::default();
        let now = Instant(1);
        counters.parked(now);
        counters.unparked(now, true);
        counters.polls.add(2);
        counters.parked(now);
        counters.unparked(now, false);
        counters.parked(now);
        assert_eq!((counters.noops.get(), counters.wakes.get(), counters.parks_and_unparks.get()), (1, 1, 5));
    }
}
