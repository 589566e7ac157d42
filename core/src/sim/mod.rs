//! Deterministic simulation: the real executor, timers and sockets' callers of many machines, one thread at a time, from one seed.
//!
//! A [`World`] holds machines. Each has a runtime of its own whose workers take one step at a time ([`Stepper`]), a clock
//! that may be wrong, and an address in a simulated network. Which worker steps next, whom it steals from, whether it
//! prefers its LIFO slot, how long a packet travels: every choice is drawn from the seed and recorded ([`SimRng`]). Time
//! jumps ahead when no worker can step. Nothing here sleeps, or asks the operating system for anything but a thread for each closure
//! that may block: it runs only while the simulation waits for it.
//!
//! This is what `posse::sim` stands on; use that.

pub(crate) mod env;
pub(crate) mod world;

pub use env::{ChoiceKind, Decision, Divergence, Network, SimContext, SimRng, Skew, Trace};
pub use world::{
    Boot, Checkpoint, Crash, Failure, MachineId, MachineSpec, Options, Oracle, Policy, Stepper, World, WorldHandle,
};
