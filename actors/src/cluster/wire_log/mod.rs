//! Wire log: what the nodes of a simulation send to each other, compared with what arrives: in order, once, and only at the
//! incarnation it was meant for.
//!
//! Without the feature `sim` nothing is noted: the same type is of no size.

#[cfg(feature = "sim")]
mod books;
#[cfg(not(feature = "sim"))]
mod nothing;

#[cfg(feature = "sim")]
pub(super) use books::WireLog;
#[cfg(not(feature = "sim"))]
pub(super) use nothing::WireLog;
