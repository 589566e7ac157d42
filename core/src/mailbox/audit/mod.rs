//! Audit: what a simulation checks of mailboxes, at every message: the order of each sender's, and the bound.
//!
//! Without the feature `sim` nothing is checked: the same types are of no size, and their methods do nothing.

#[cfg(not(feature = "sim"))]
mod noop;
#[cfg(feature = "sim")]
mod recording;

#[cfg(not(feature = "sim"))]
pub(super) use noop::{OrderChecker, OverCapacity, SeqNo, Sequencer};
#[cfg(feature = "sim")]
pub(super) use recording::{OrderChecker, OverCapacity, SeqNo, Sequencer};
