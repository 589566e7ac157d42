//! Audit: what a simulation notes of actors, so that the promises can be checked after every run.
//!
//! Without the feature `sim` nothing is noted: the same types are of no size, and their methods do nothing.

#[cfg(not(feature = "sim"))]
mod noop;
#[cfg(feature = "sim")]
mod recording;

#[cfg(not(feature = "sim"))]
pub(crate) use noop::{Audit, TrackedAsk, TrackedMonitor};
#[cfg(feature = "sim")]
pub(crate) use recording::{Audit, Audited, TrackedAsk, TrackedMonitor};
