//! The present, which is the current runtime's. The rest of this folder's ground knows no runtime.

use super::{Clock, Duration, Instant};
use crate::context;

impl Instant {
    /// Returns the time on the current runtime's clock, or on the real clock outside of any runtime.
    pub fn now() -> Self {
        context::with_current(|handle| match handle {
            Some(handle) => handle.clock().now(),
            None => Clock::real().now(),
        })
    }

    /// Returns the time that has passed since, zero if it lies ahead.
    pub fn elapsed(self) -> Duration {
        Self::now().saturating_duration_since(self)
    }
}
