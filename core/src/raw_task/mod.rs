//! The ground that tasks stand on: their memory, their state, their handles. It knows its scheduler by a trait alone.
//!
//! A task is one allocation whose life cycle is one atomic word:
//!
//! ```text
//!           wake                    start                 ready / panic / cancelled
//!   idle ----------> SCHEDULED ------------> RUNNING ------------------------------> COMPLETE
//!     ^                  ^                      |
//!     |                  | woken while running  | pending
//!     +------------------+----------------------+
//! ```
//!
//! Who may touch what: the future belongs to the worker between `start` and `pause`; the output belongs to the
//! `JoinHandle` if there is one when the task completes, else to the worker; everything else is atomic or locked.
//! A future is dropped exactly once, by a worker (or by the thread that shuts the runtime down), never by `abort` or a wake.

pub mod coop;
pub(crate) mod current;
mod join;
#[cfg(all(test, posse_loom))]
mod loom_models;
mod nested;
pub(crate) mod panic;
pub(crate) mod poll_record;
pub(crate) mod poll_waker;
mod raw;
mod schedule;
mod state;
pub(crate) mod wait_kind;
pub(crate) mod waker;
pub(crate) mod waker_slot;
pub(crate) mod yielding;

pub use join::{AbortHandle, JoinError, JoinHandle};
pub(crate) use raw::{Header, Joiner, Runnable, TaskRef, TypedRef, new, new_unchecked};
pub(crate) use schedule::Schedule;
pub use state::TaskState;

use std::fmt;

/// Identifies a task among all tasks of its runtime, past and present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(crate) u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
