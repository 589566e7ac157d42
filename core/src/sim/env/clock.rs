//! The time of one simulated machine: the world's time, seen through a clock that may be wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The wall-clock time at which every simulation begins: the first second of 2026.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);

/// Where a machine's monotonic clock starts, so that code which subtracts from `now` behaves as on a real one.
const START: u64 = 1_000_000_000;

/// The most a clock may be too fast or too slow, in parts of a million.
const DRIFT_MAX: i32 = 500_000;

/// Nanoseconds since the world began; all machines look at the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorldTime(Arc<AtomicU64>);

impl WorldTime {
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, nanos: u64) {
        self.0.store(nanos, Ordering::Release);
    }
}

/// How wrong the clock of a machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    /// Nanoseconds by which the wall clock is ahead; negative: behind.
    pub ahead_ns: i64,
    /// Config of a million by which both clocks run fast; negative: slow. At most half.
    pub drift_ppm: i32,
}

/// The clock of one machine, from its start on.
#[derive(Clone, Debug)]
pub(crate) struct MachineClock {
    world: WorldTime,
    born: u64,
    skew: Skew,
}

impl MachineClock {
    pub(crate) fn new(world: WorldTime, skew: Skew) -> Self {
        let skew = Skew { drift_ppm: skew.drift_ppm.clamp(-DRIFT_MAX, DRIFT_MAX), ..skew };
        Self { born: world.now(), world, skew }
    }

    /// Nanoseconds on the monotonic clock.
    pub(crate) fn now(&self) -> u64 {
        START + self.elapsed()
    }

    pub(crate) fn unix(&self) -> Duration {
        let begin = EPOCH + Duration::from_nanos(self.born);
        let ahead = Duration::from_nanos(self.skew.ahead_ns.unsigned_abs());
        let begin = if self.skew.ahead_ns < 0 { begin.saturating_sub(ahead) } else { begin + ahead };
        begin + Duration::from_nanos(self.elapsed())
    }

    /// The world's time at which this clock will show `local`, rounded up.
    pub(crate) fn world_time_of(&self, local: u64) -> u64 {
        let elapsed = u128::from(local.saturating_sub(START)) * 1_000_000;
        let rate = self.rate();
        let world = elapsed.div_ceil(rate);
        self.born.saturating_add(u64::try_from(world).unwrap_or(u64::MAX))
    }

    fn elapsed(&self) -> u64 {
        let world = u128::from(self.world.now() - self.born);
        u64::try_from(world * self.rate() / 1_000_000).unwrap_or(u64::MAX)
    }

    fn rate(&self) -> u128 {
        (1_000_000 + i64::from(self.skew.drift_ppm)).unsigned_abs().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_drifts_is_turned_back_exactly() {
        for drift_ppm in [-200_000, -1, 0, 3, 100_000] {
            let world = WorldTime::default();
            world.set(5_000_000_000);
            let clock = MachineClock::new(world.clone(), Skew { ahead_ns: -1, drift_ppm });
            for local in [clock.now() + 1, clock.now() + 999_999_937] {
                world.set(clock.world_time_of(local));
                assert!(clock.now() >= local);
                world.set(clock.world_time_of(local) - 1);
                assert!(clock.now() < local);
            }
        }
    }
}
