//! The runtime under Posse: a work-stealing executor, a reactor on the operating system's event queue, timers,
//! synchronisation, and the mailbox primitive that actors are built on.

// Without the simulation its branches are dead, and are to be.
#![cfg_attr(not(feature = "sim"), allow(unreachable_code))]

mod context;
#[doc(hidden)]
pub mod events;
mod extensions;
pub mod io;
#[doc(hidden)]
pub mod lock;
mod loom;
mod macros;
pub mod mailbox;
mod raw_task;
mod rng;
pub mod runtime;
mod scheduler;
#[cfg(unix)]
pub mod signal;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(not(feature = "sim"))]
#[path = "sim_absent.rs"]
mod sim;
pub mod stream;
pub mod sync;
pub mod task;
#[cfg(test)]
mod testing;
pub mod time;
mod util;
#[doc(hidden)]
pub mod wait_list;
mod wait_set;

#[doc(hidden)]
pub use util::on_drop::OnDrop;

/// Returns true with the given probability (0.0 to 1.0) if the code runs in a simulation, and false everywhere else.
///
/// For points in code where being slow, short or early is allowed, and rare enough that no test would meet it.
#[cfg(feature = "sim")]
pub fn buggify(probability: f64) -> bool {
    context::with_current(|handle| {
        handle.and_then(runtime::Handle::simulation).is_some_and(|simulation| simulation.misbehaves(probability))
    })
}

/// Returns false: without the feature `sim` nothing runs in a simulation.
#[cfg(not(feature = "sim"))]
#[inline(always)]
pub fn buggify(_: f64) -> bool {
    false
}

/// What the macros write down.
#[doc(hidden)]
pub mod __macros {
    pub use crate::macros::{Selected, poll_budget_left, random_below, rotated};
}

/// The program of the package's README, compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
