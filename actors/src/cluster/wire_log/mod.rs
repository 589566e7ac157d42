//! Wire log: what the nodes of a simulation send to each other, compared with what arrives: in order, once, and only at the
//! incarnation it was meant for.
//!
//! Without the feature `sim` nothing is noted: the same type is of no size.

#[cfg(not(feature = "sim"))]
mod noop;
#[cfg(feature = "sim")]
mod recording;

#[cfg(not(feature = "sim"))]
pub(super) use noop::WireLog;
#[cfg(feature = "sim")]
pub(super) use recording::WireLog;
