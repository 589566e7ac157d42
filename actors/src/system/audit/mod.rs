//! Audit: what a simulation notes of actors, so that the promises can be checked after every run.
//!
//! Without the feature `sim` nothing is noted: the same types are of no size, and their methods do nothing.

#[cfg(feature = "sim")]
mod books;
#[cfg(not(feature = "sim"))]
mod nothing;

#[cfg(feature = "sim")]
pub(crate) use books::{Audit, Audited, TrackedAsk, TrackedMonitor};
#[cfg(not(feature = "sim"))]
pub(crate) use nothing::{Audit, TrackedAsk, TrackedMonitor};
