//! Where a runtime gets its time from: the machine, or a hand.
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

    /// Returns the time this clock shows.
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Real => Instant(real_nanos()),
            // Acquire: who advanced the clock wrote what it did before. Partner: `advance`.
            Source::Manual(nanos) => Instant(nanos.load(Ordering::Acquire)),
        }
    }

    /// Returns true for a clock that only a hand turns.
    pub fn is_manual(&self) -> bool {
        matches!(self.0, Source::Manual(_))
    }

    /// Turns a manual clock; a real one is not affected.
    pub fn advance(&self, time: Duration) {
        if let Source::Manual(nanos) = &self.0 {
            let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            let add = |now: u64| Some(now.saturating_add(time));
            // The update cannot fail: it always gives a value.
            let _ = nanos.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks for the time")]
fn real_nanos() -> u64 {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    let origin = ORIGIN.get_or_init(std::time::Instant::now);
    // One more than nothing, so that no instant is the origin itself.
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
}
