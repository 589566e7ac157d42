//! Deterministic simulation: a whole cluster in one thread, from one seed, as an ordinary test.
//!
//! The same actors, supervisors, nodes and sockets as in production run on machines of a simulated world. Time jumps ahead
//! when no machine has anything to do, the network is late and breaks as told, machines die and start again. Every choice
//! follows from the seed: a run that fails fails again, to the byte.
//!
//! ```
//! use posse::prelude::*;
//! use posse::sim::Sim;
//!
//! #[posse::protocol]
//! pub trait Counting {
//!     async fn add(n: u64) -> u64;
//! }
//!
//! #[derive(Default)]
//! struct Tally(u64);
//! impl Actor for Tally {}
//! impl Handler<Add> for Tally {
//!     async fn handle(&mut self, Add { n }: Add, _: &mut Context<Self>) -> u64 {
//!         self.0 += n;
//!         self.0
//!     }
//! }
//!
//! # /*
//! #[posse::test(sim, seeds = 20)]
//! # */
//! async fn counting_survives_a_partition(sim: Sim) {
//!     let server = sim.node("server").run(|node| async move {
//!         node.register("tally", posse::spawn(Tally::default).share::<Counting>()).await?;
//!         Ok(())
//!     });
//!     let (server, client) = (server.await, sim.node("client").await);
//!     let tally = client.with(|node| async move {
//!         node.join("server:7000").await.unwrap();
//!         node.whereis::<Counting>("tally").await.unwrap()
//!     });
//!     let tally = tally.await;
//!     sim.partition([&server], [&client]).during(secs(6)).await;
//!     let sum = client.run(async move { tally.add(5).within(secs(60)).await });
//!     assert_eq!(sum.await.unwrap(), 5);
//! }
//! # posse::sim::run(posse::sim::Test { name: "guide::counting_survives_a_partition", seeds: 20 }, counting_survives_a_partition);
//! ```
//!
//! The test itself runs on a machine of its own, called `test`, which no fault touches unless it is told to. After every
//! run the promises of the README are checked as well; see `docs/guide/simulation.md`.
//!
//! # Environment
//! `POSSE_SIM_SEED=N` runs that one seed, as a failure says. `POSSE_SIM_SEEDS=N` runs `N` seeds in place of what the
//! attribute says. Each seed is run twice and both runs must decide the same.

mod audit;
mod faults;
mod machine;
mod run;

pub use faults::Fault;
pub use machine::{MachineBuilder, SimMachine};
pub use posse_core::sim::{ChoiceKind, Divergence, Network, Options, Policy, SimRng, Skew, Stepper, Trace};
pub use run::{Report, Test, TestResult, run, run_seed};

use machine::Program;
use posse_core::sim::{Crash, WorldHandle};
use posse_core::time::Instant;
use std::future::Future;
use std::time::Duration;

/// The port that the nodes of a simulation listen on.
pub const NODE_PORT: u16 = 7000;

/// The simulated world, as a test sees it. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Sim {
    control: WorldHandle,
}

impl Sim {
    pub(crate) fn new(control: WorldHandle) -> Self {
        Self { control }
    }

    /// Describes a machine with a [`Node`](crate::cluster::Node) of the same name that listens on port 7000 and, with
    /// [`run`](MachineBuilder::run), a program that uses it. Awaiting it starts the machine.
    pub fn node(&self, name: &str) -> MachineBuilder {
        MachineBuilder::new(self.control.clone(), name, Some(Program::none()))
    }

    /// Describes a machine that runs a program without a node. The program runs anew whenever the machine starts.
    pub fn host<F, Fut>(&self, name: &str, program: F) -> MachineBuilder
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = crate::Result> + Send + 'static,
    {
        MachineBuilder::new(self.control.clone(), name, None).bare(program)
    }

    /// Kills the process of a machine, as SIGKILL does: no code of it runs any more, its kernel closes its connections.
    ///
    /// # Cancel safety
    /// The order is given at the first poll, and carried out also if the future is dropped.
    pub async fn kill(&self, machine: &SimMachine) {
        self.control.kill(machine.id(), Crash::Kill).await;
    }

    /// Takes the power from a machine: it falls silent, no other is told.
    ///
    /// # Cancel safety
    /// The order is given at the first poll, and carried out also if the future is dropped.
    pub async fn power_off(&self, machine: &SimMachine) {
        self.control.kill(machine.id(), Crash::PowerOff).await;
    }

    /// Starts a machine again, which runs its program as a new incarnation. One that is up is killed first.
    ///
    /// # Cancel safety
    /// The order is given at the first poll, and carried out also if the future is dropped.
    pub async fn restart(&self, machine: &SimMachine) {
        machine.forget_start();
        self.control.start(machine.id(), None).await;
        machine.started().await;
    }

    /// As [`restart`](Self::restart), with clocks that are wrong in another way.
    ///
    /// # Cancel safety
    /// The order is given at the first poll, and carried out also if the future is dropped.
    pub async fn restart_with_skew(&self, machine: &SimMachine, skew: Skew) {
        machine.forget_start();
        self.control.start(machine.id(), Some(skew)).await;
        machine.started().await;
    }

    /// Asks the program of a machine to end, as SIGTERM does.
    pub fn terminate(&self, machine: &SimMachine) {
        self.control.terminate(machine.id());
    }

    /// Ends a machine's runtime in order, as a program does whose `main` returns.
    ///
    /// # Cancel safety
    /// The order is given at the first poll, and carried out also if the future is dropped.
    pub async fn stop(&self, machine: &SimMachine) {
        self.control.stop(machine.id()).await;
    }

    /// Stops the steps of a machine, as SIGSTOP does. Its kernel still takes what arrives.
    pub fn pause(&self, machine: &SimMachine) {
        self.control.pause(machine.id(), true);
    }

    /// Lets a paused machine go on, as SIGCONT does.
    pub fn resume(&self, machine: &SimMachine) {
        self.control.pause(machine.id(), false);
    }

    /// Makes everything that a machine computes take `factor` times as long; 1 is as before.
    pub fn slow(&self, machine: &SimMachine, factor: u32) {
        self.control.slow(machine.id(), factor);
    }

    /// Sets how many sockets a machine's process may have open at once.
    pub fn limit_descriptors(&self, machine: &SimMachine, max: usize) {
        self.control.set_descriptors_max(machine.id(), max);
    }

    /// Sets how the whole network behaves from now on.
    pub fn set_network(&self, network: Network) {
        self.control.set_network(network);
    }

    /// Sets how the network from one machine to another behaves from now on.
    pub fn set_link(&self, from: &SimMachine, to: &SimMachine, network: Network) {
        self.control.set_link(from.id(), to.id(), network);
    }

    /// Breaks every connection between two machines with a reset on both sides.
    pub fn reset_connections(&self, a: &SimMachine, b: &SimMachine) {
        self.control.reset_connections(a.id(), b.id());
    }

    /// Returns how much of the world's time has passed.
    pub fn elapsed(&self) -> Duration {
        self.control.elapsed()
    }

    /// Draws a number below a bound, from the seed.
    pub fn random_below(&self, bound: usize) -> usize {
        self.control.random_below(bound)
    }

    /// Waits until something is so, looking every virtual millisecond; fails the test after `within`.
    ///
    /// # Panics
    /// If it is not so in time.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn wait_for(&self, within: Duration, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + within;
        while !is_so() {
            assert!(Instant::now() < deadline, "not within {within:?}: {what}");
            posse_core::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
