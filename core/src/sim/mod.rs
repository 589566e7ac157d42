//! Deterministic simulation: the real executor, timers and sockets' callers of many machines, one thread at a time, from one seed.
//!
//! A [`World`] holds machines. Each has a runtime of its own whose workers take one step at a time ([`Stepper`]), a clock
//! that may be wrong, and an address in a simulated network. Which worker steps next, whom it steals from, whether it
//! prefers its LIFO slot, how long a packet travels: every choice is drawn from the seed and recorded ([`SimRng`]). Time
//! jumps ahead when no worker can step. Nothing here sleeps, or asks the operating system for anything but a thread for each closure
//! that may block: it runs only while the simulation waits for it.
//!
//! This is what `posse::sim` stands on; use that.

pub(crate) mod blocking;
#[cfg(test)]
mod blocking_tests;
mod choose;
mod clock;
mod context;
mod control;
mod event_log;
pub(crate) mod net;
#[cfg(test)]
mod net_tests;
mod rng;
pub(crate) mod signal;
mod stepper;
#[cfg(test)]
mod tests;
mod world;

pub use choose::Policy;
pub use clock::Skew;
pub use context::SimContext;
pub use control::{Boot, Crash, MachineId, MachineSpec, WorldHandle};
pub use net::Network;
pub use rng::{ChoiceKind, Decision, Divergence, SimRng, Trace};
pub use stepper::Stepper;
pub use world::{Checkpoint, Failure, Options, Oracle, World};

pub(crate) use clock::MachineClock;
