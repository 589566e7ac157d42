//! Deterministic simulation: the real executor, timers and sockets' callers of many machines, on one thread, from one seed.
//!
//! A [`World`] holds machines. Each has a runtime of its own whose workers take one step at a time ([`Stepper`]), a clock
//! that may be wrong, and an address in a simulated network. Which worker steps next, whom it steals from, whether it
//! prefers its LIFO slot, how long a packet travels: every choice is drawn from the seed and recorded ([`Dice`]). Time
//! jumps ahead when nobody can step. Nothing here starts a thread, sleeps, or asks the operating system for anything.
//!
//! This is what `posse::sim` stands on; use that.

mod clock;
mod control;
mod dice;
mod journal;
pub(crate) mod net;
#[cfg(test)]
mod net_tests;
mod policy;
mod simulation;
mod stepper;
#[cfg(test)]
mod tests;
mod world;

pub use clock::Skew;
pub use control::{Boot, Control, Death, MachineId, MachineSpec};
pub use dice::{Decision, Dice, Divergence, Kind, Record};
pub use net::Network;
pub use policy::Policy;
pub use simulation::Simulation;
pub use stepper::Stepper;
pub use world::{Auditor, Failure, Moment, Options, World};

pub(crate) use clock::MachineClock;
