//! The runtime under Posse: a work-stealing executor, a reactor on the operating system's event queue, timers,
//! synchronisation, and the mailbox primitive that actors are built on.

mod blocking;
mod builder;
mod context;
pub mod io;
pub mod mailbox;
mod rng;
pub mod runtime;
mod scheduler;
mod shim;
pub mod signal;
#[cfg(feature = "sim")]
pub mod sim;
pub mod sync;
pub mod task;
pub mod time;
