//! The clock of a runtime: the machine's, a manual one, or that of a simulated machine.
//!
//! The one place that asks the operating system for the time.

use super::Instant;
use crate::sim::env::MachineClock;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Where a manual clock starts: not at zero, so that code which subtracts from `now` behaves as on a real one.
const MANUAL_START: u64 = 1_000_000_000;

/// A clock; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real,
    Manual(Arc<ManualClock>),
    Simulated(MachineClock),
}

/// A clock that stands still, or could. All in nanoseconds.
#[derive(Debug)]
struct ManualClock {
    /// What it shows while it stands still; [`GOES`] while it goes.
    frozen: AtomicU64,
    /// What it is ahead of the real clock while it goes, modulo 2^64.
    ahead: AtomicU64,
    /// The time since the Unix epoch when it showed zero, as of the moment it was stopped.
    epoch: AtomicU64,
    /// It jumps to the next timer when nothing else can happen.
    jumps: AtomicBool,
}

/// No clock that stands still shows this.
const GOES: u64 = 0;

/// What a clock must have left before the end of time to go on: longer than any program runs. It would begin anew at zero, and timers set
/// before that would never fire.
const CENTURY: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

impl ManualClock {
    fn new(frozen: u64, jumps: bool) -> Self {
        let (ahead, epoch) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { frozen: AtomicU64::new(frozen), ahead, epoch, jumps: AtomicBool::new(jumps) }
    }

    fn stands_still(&self) -> bool {
        self.frozen.load(Ordering::Relaxed) != GOES
    }

    fn now(&self) -> u64 {
        // Acquire: who advanced the clock, or let it go on, wrote what it did before. Partners: `advance` and `resume`.
        match self.frozen.load(Ordering::Acquire) {
            GOES => real_nanos().wrapping_add(self.ahead.load(Ordering::Relaxed)),
            frozen => frozen,
        }
    }

    fn pause(&self) {
        if !self.stands_still() {
            // The wall clock goes on from where it stood, and only as far as this one does.
            let now = self.now();
            let unix = nanos(self.unix_time());
            self.epoch.store(unix.saturating_sub(now), Ordering::Relaxed);
            self.jumps.store(true, Ordering::Relaxed);
            self.frozen.store(now.max(GOES + 1), Ordering::Release);
        }
    }

    fn resume(&self) {
        let frozen = self.frozen.load(Ordering::Acquire);
        if frozen > u64::MAX - CENTURY {
            // It was turned to the end, and stays there: every sleep is over.
            self.frozen.store(u64::MAX, Ordering::Release);
        } else if frozen != GOES {
            self.ahead.store(frozen.wrapping_sub(real_nanos()), Ordering::Relaxed);
            self.frozen.store(GOES, Ordering::Release);
        }
    }

    fn unix_time(&self) -> Duration {
        // Never stopped, it is the machine's, whatever becomes of that.
        if !self.stands_still() && self.ahead.load(Ordering::Relaxed) == 0 {
            return real_unix_time();
        }
        Duration::from_nanos(self.now().saturating_add(self.epoch.load(Ordering::Relaxed)))
    }
}

impl Clock {
    /// The machine's monotonic clock; its origin is shortly before its first use in this process.
    pub fn real() -> Self {
        Self(Source::Real)
    }

    /// A clock that stands still until it is advanced.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(ManualClock::new(MANUAL_START, false))))
    }

    /// A clock that stands still until it is advanced, or jumps because nothing else can happen.
    pub(crate) fn paused() -> Self {
        Self(Source::Manual(Arc::new(ManualClock::new(MANUAL_START, true))))
    }

    /// The machine's clock, which may be stopped.
    pub(crate) fn pausable() -> Self {
        Self(Source::Manual(Arc::new(ManualClock::new(GOES, true))))
    }

    /// Returns the time this clock shows.
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Real => Instant(real_nanos()),
            Source::Manual(clock) => Instant(clock.now()),
            Source::Simulated(clock) => Instant(clock.now()),
        }
    }

    /// Returns true for a clock that does not go on by itself: [`advance`](Self::advance) or its simulation moves it.
    pub fn is_manual(&self) -> bool {
        match &self.0 {
            Source::Real => false,
            Source::Manual(clock) => clock.stands_still(),
            Source::Simulated(_) => true,
        }
    }

    /// Stops the clock. False if it is of a kind that cannot be.
    pub(crate) fn pause(&self) -> bool {
        let Source::Manual(clock) = &self.0 else { return false };
        clock.pause();
        true
    }

    /// Lets the clock go on. False if it is of a kind that cannot be stopped.
    pub(crate) fn resume(&self) -> bool {
        let Source::Manual(clock) = &self.0 else { return false };
        clock.resume();
        true
    }

    /// Whether it stands still, and jumps to the next timer when nothing else can happen.
    pub(crate) fn jumps(&self) -> bool {
        matches!(&self.0, Source::Manual(clock) if clock.stands_still() && clock.jumps.load(Ordering::Relaxed))
    }

    /// Advances a clock that stands still. Returns false, and does nothing, for every other clock.
    pub fn advance(&self, time: Duration) -> bool {
        let Source::Manual(clock) = &self.0 else { return false };
        let time = nanos(time);
        let add = |now: u64| (now != GOES).then(|| now.saturating_add(time));
        clock.frozen.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).is_ok()
    }

    /// Returns the wall-clock time since the Unix epoch. A manual clock has only the time it shows.
    pub fn unix_time(&self) -> Duration {
        match &self.0 {
            Source::Real => real_unix_time(),
            Source::Manual(clock) => clock.unix_time(),
            Source::Simulated(clock) => clock.unix(),
        }
    }

    /// When in the simulated world this clock will show `instant`.
    #[cfg(feature = "sim")]
    pub(crate) fn world_time_of(&self, instant: Instant) -> u64 {
        match &self.0 {
            Source::Simulated(clock) => clock.world_time_of(instant.0),
            Source::Real | Source::Manual(_) => u64::MAX,
        }
    }
}

impl From<MachineClock> for Clock {
    fn from(clock: MachineClock) -> Self {
        Self(Source::Simulated(clock))
    }
}

fn real_nanos() -> u64 {
    // One more than nothing, so that no instant is the origin itself.
    nanos(origin().elapsed()).saturating_add(ORIGIN_NANOS)
}

/// The nanoseconds that the real clock shows at its origin.
pub(super) const ORIGIN_NANOS: u64 = 1;

/// The real clock's origin: its first use in this process. What other clocks show counts from it too, once it is given to std.
#[expect(clippy::disallowed_methods, reason = "the one place that asks for the time")]
pub(super) fn origin() -> std::time::Instant {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    *ORIGIN.get_or_init(std::time::Instant::now)
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks for the wall-clock time")]
fn real_unix_time() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}
