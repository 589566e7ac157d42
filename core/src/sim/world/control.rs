//! The handle by which code inside of a simulation asks things of the world: machines, faults, links.

use crate::lock::Mutex;
use crate::runtime::Handle;
use crate::sim::env::net::{HostId, HostState, Net};
use crate::sim::env::{ChoiceKind, Network, SimRng, Skew};
use crate::sync::oneshot;
use std::collections::VecDeque;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// What a machine runs whenever it starts, in the context of its fresh runtime.
pub type Boot = Arc<dyn Fn(&Handle) + Send + Sync>;

/// A machine to be.
#[derive(Clone)]
pub struct MachineSpec {
    /// Its name, which is also how others find its address.
    pub name: String,
    /// Logical workers of its runtime.
    pub workers: usize,
    /// How wrong its clocks are.
    pub skew: Skew,
    /// What it runs.
    pub boot: Boot,
}

/// Names a machine of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId(pub(super) HostId);

/// How a machine ends without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Its process is killed; its kernel closes the connections.
    Kill,
    /// It loses power: the others are not told.
    PowerOff,
}

impl Crash {
    pub(super) fn host_state(self) -> HostState {
        match self {
            Self::Kill => HostState::ProcessDown,
            Self::PowerOff => HostState::PoweredOff,
        }
    }
}

/// What the world does between two steps.
pub(super) enum Command {
    Add(MachineSpec, oneshot::Sender<MachineId>),
    End(HostId, Option<Crash>, oneshot::Sender<()>),
    /// Starts a machine again; with `Some`, its clocks are wrong in another way from now on.
    Start(HostId, Option<Skew>, oneshot::Sender<()>),
    Pause(HostId, bool),
    Slow(HostId, u32),
    Signal(HostId),
}

/// The handle to a simulation's world; clones reach the same one.
#[derive(Clone)]
pub struct WorldHandle {
    commands: Arc<Mutex<VecDeque<Command>>>,
    handles: Arc<Mutex<Vec<Option<Handle>>>>,
    net: Net,
    rng: SimRng,
}

impl WorldHandle {
    pub(super) fn new(net: Net, rng: SimRng) -> Self {
        Self { commands: Arc::default(), handles: Arc::default(), net, rng }
    }

    pub(super) fn take_command(&self) -> Option<Command> {
        self.commands.lock().pop_front()
    }

    pub(super) fn set_handle(&self, machine: HostId, handle: Option<Handle>) {
        let mut handles = self.handles.lock();
        if handles.len() <= machine {
            handles.resize(machine + 1, None);
        }
        let prev = std::mem::replace(&mut handles[machine], handle);
        drop(handles);
        drop(prev);
    }

    fn push(&self, command: Command) {
        self.commands.lock().push_back(command);
    }

    async fn done<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (send, receive) = oneshot::channel();
        self.push(command(send));
        receive.await.ok()
    }

    /// Adds a machine and starts it. `None` if the simulation has ended.
    ///
    /// # Cancel safety
    /// The order is given at the first poll: the machine is added also if the future is dropped.
    pub async fn add(&self, spec: MachineSpec) -> Option<MachineId> {
        self.done(|reply| Command::Add(spec, reply)).await
    }

    /// Ends a machine without a word.
    ///
    /// # Cancel safety
    /// The order is given at the first poll, and carried out also if the future is dropped.
    pub async fn kill(&self, machine: MachineId, crash: Crash) {
        self.done(|reply| Command::End(machine.0, Some(crash), reply)).await;
    }

    /// Ends a machine's runtime as a program ends that returns from `main`: everything is dropped in order.
    ///
    /// # Cancel safety
    /// The order is given at the first poll, and carried out also if the future is dropped.
    pub async fn stop(&self, machine: MachineId) {
        self.done(|reply| Command::End(machine.0, None, reply)).await;
    }

    /// Starts a machine that has ended. One that is up is killed first.
    ///
    /// # Cancel safety
    /// The order is given at the first poll, and carried out also if the future is dropped.
    pub async fn start(&self, machine: MachineId, skew: Option<Skew>) {
        self.done(|reply| Command::Start(machine.0, skew, reply)).await;
    }

    /// Stops the steps of a machine, as SIGSTOP does, or lets them go on.
    pub fn pause(&self, machine: MachineId, paused: bool) {
        self.push(Command::Pause(machine.0, paused));
    }

    /// Makes every step of a machine take `factor` times as long.
    pub fn slow(&self, machine: MachineId, factor: u32) {
        self.push(Command::Slow(machine.0, factor));
    }

    /// Asks a machine's program to end, as SIGTERM does.
    pub fn terminate(&self, machine: MachineId) {
        self.push(Command::Signal(machine.0));
    }

    /// Returns the runtime of a machine; `None` while it is not up.
    pub fn handle(&self, machine: MachineId) -> Option<Handle> {
        self.handles.lock().get(machine.0).cloned().flatten()
    }

    /// Returns the address of a machine.
    pub fn ip(&self, machine: MachineId) -> Ipv4Addr {
        self.net.ip(machine.0)
    }

    /// Sets how the whole network behaves from now on.
    pub fn set_network(&self, network: Network) {
        self.net.set_network(network);
    }

    /// Sets how one direction between two machines behaves from now on.
    pub fn set_link(&self, from: MachineId, to: MachineId, network: Network) {
        self.net.set_link(from.0, to.0, &Arc::new(network));
    }

    /// Cuts one direction between two machines. Cuts add up.
    pub fn partition(&self, from: MachineId, to: MachineId) {
        self.net.note_link(from.0, to.0, "partitioned");
        self.net.partition(from.0, to.0);
    }

    /// Takes one partition back.
    pub fn repair(&self, from: MachineId, to: MachineId) {
        self.net.note_link(from.0, to.0, "repaired");
        self.net.repair(from.0, to.0);
    }

    /// Keeps what travels in one direction between two machines.
    pub fn hold(&self, from: MachineId, to: MachineId) {
        self.net.hold(from.0, to.0);
    }

    /// Lets everything go on that was kept.
    pub fn release(&self, from: MachineId, to: MachineId) {
        self.net.release(from.0, to.0);
    }

    /// Breaks every connection between two machines with a reset.
    pub fn reset_connections(&self, a: MachineId, b: MachineId) {
        self.net.reset_between(a.0, b.0);
    }

    /// Sets how many descriptors a machine's process may have open.
    pub fn set_descriptors_max(&self, machine: MachineId, max: usize) {
        self.net.set_descriptors_max(machine.0, max);
    }

    /// Returns how much of the world's time has passed.
    pub fn elapsed(&self) -> Duration {
        self.net.elapsed()
    }

    /// Draws a number below a bound.
    pub fn random_below(&self, bound: usize) -> usize {
        self.rng.below(ChoiceKind::Random, bound)
    }

    /// Notes something in a machine's event log, which a failure prints.
    pub fn note(&self, machine: MachineId, text: impl FnOnce() -> String) {
        self.net.note(machine.0, text);
    }
}

impl fmt::Debug for WorldHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorldHandle").field("net", &self.net).field("rng", &self.rng).finish_non_exhaustive()
    }
}
