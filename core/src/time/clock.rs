//! The clock of a runtime: the machine's, a manual one, or that of a simulated machine.
//!
//! The one place that asks the operating system for the time.

use super::Instant;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where a manual clock starts: not at zero, so that code which subtracts from `now` behaves as on a real one.
const MANUAL_START: u64 = 1_000_000_000;

/// A clock; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real,
    Manual(Arc<AtomicU64>),
    #[cfg(feature = "sim")]
    Simulated(crate::sim::MachineClock),
}

impl Clock {
    /// The machine's monotonic clock; its origin is shortly before its first use in this process.
    pub fn real() -> Self {
        Self(Source::Real)
    }

    /// A clock that stands still until it is advanced.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(MANUAL_START))))
    }

    #[cfg(feature = "sim")]
    pub(crate) fn simulated(clock: crate::sim::MachineClock) -> Self {
        Self(Source::Simulated(clock))
    }

    /// Returns the time this clock shows.
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Real => Instant(real_nanos()),
            // Acquire: who advanced the clock wrote what it did before. Partner: `advance`.
            Source::Manual(nanos) => Instant(nanos.load(Ordering::Acquire)),
            #[cfg(feature = "sim")]
            Source::Simulated(clock) => Instant(clock.now()),
        }
    }

    /// Returns true for a clock that does not go on by itself: [`advance`](Self::advance) or its simulation moves it.
    pub fn is_manual(&self) -> bool {
        !matches!(self.0, Source::Real)
    }

    /// Advances a manual clock. Returns false, and does nothing, for every other clock.
    pub fn advance(&self, time: Duration) -> bool {
        let Source::Manual(nanos) = &self.0 else { return false };
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let add = |now: u64| Some(now.saturating_add(time));
        // The update cannot fail: it always gives a value.
        let _ = nanos.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        true
    }

    /// Returns the wall-clock time since the Unix epoch. A manual clock has only the time it shows.
    pub fn unix_time(&self) -> Duration {
        match &self.0 {
            Source::Real => real_unix_time(),
            Source::Manual(_) => self.now().since_origin(),
            #[cfg(feature = "sim")]
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
