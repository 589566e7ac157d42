//! Audit: what a simulation checks of mailboxes, at every message: the order of each sender's, and the bound.
//!
//! Without the feature `sim` nothing is checked: the same types are of no size, and their methods do nothing.

#[cfg(feature = "sim")]
mod books;
#[cfg(not(feature = "sim"))]
mod nothing;

#[cfg(feature = "sim")]
pub(super) use books::{OrderChecker, OverCapacity, SeqNo, Sequencer};
#[cfg(not(feature = "sim"))]
pub(super) use nothing::{OrderChecker, OverCapacity, SeqNo, Sequencer};
