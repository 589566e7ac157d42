//! The time driver: clocks, points in time, and the timers of a runtime, whose wheels are pure data.
//!
//! It lies below the scheduler, which fires the timers; what waits for time stands on the runtime, in the folder above.

mod attendance;
pub(super) mod clock;
mod instant;
mod timers;
mod wheel;

pub use clock::Clock;
pub use instant::Instant;

pub(crate) use timers::{Entry, Timers};
