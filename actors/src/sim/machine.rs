//! A machine of a simulation: what it runs whenever it starts, and how a test gets at it.

use super::NODE_PORT;
use crate::cluster::{Node, NodeConfig};
use crate::system::System;
use posse_core::OnDrop;
use posse_core::lock::Mutex;
use posse_core::runtime::Handle;
use posse_core::sim::{MachineId, MachineSpec, Skew, WorldHandle};
use posse_core::sync::Notify;
use posse_core::task::JoinHandle;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

type Running = Pin<Box<dyn Future<Output = crate::Result> + Send>>;

/// What a machine with a node runs.
pub(super) struct Program(Arc<dyn Fn(Node) -> Running + Send + Sync>);

impl Program {
    pub(super) fn none() -> Self {
        Self(Arc::new(|_| Box::pin(async { Ok(()) })))
    }
}

/// A machine to be; awaiting it starts it.
#[must_use = "a machine starts when this is awaited"]
pub struct MachineBuilder {
    control: WorldHandle,
    name: String,
    workers: usize,
    skew: Skew,
    config: NodeConfig,
    cluster: String,
    node: Option<Program>,
    bare: Option<Arc<dyn Fn() -> Running + Send + Sync>>,
}

impl MachineBuilder {
    pub(super) fn new(control: WorldHandle, name: &str, node: Option<Program>) -> Self {
        Self {
            control,
            name: name.to_owned(),
            workers: 2,
            skew: Skew::default(),
            config: NodeConfig::default(),
            cluster: "default".to_owned(),
            node,
            bare: None,
        }
    }

    pub(super) fn bare<F, Fut>(mut self, program: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = crate::Result> + Send + 'static,
    {
        self.bare = Some(Arc::new(move || Box::pin(program())));
        self
    }

    /// Sets what the machine runs once its node listens. It runs anew, with a new node, whenever the machine starts; an
    /// error or a panic of it fails the test. When it returns, the node lives on until the machine is asked to end. A program that awaits
    /// the machine waits for its node, and not for this.
    pub fn run<F, Fut>(mut self, program: F) -> Self
    where
        F: Fn(Node) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = crate::Result> + Send + 'static,
    {
        self.node = Some(Program(Arc::new(move |node| Box::pin(program(node)))));
        self
    }

    /// Sets the number of logical workers. Default: 2.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Makes the machine's clocks wrong. Default: right.
    pub fn skew(mut self, skew: Skew) -> Self {
        self.skew = skew;
        self
    }

    /// Sets the bounds of the node.
    pub fn config(mut self, config: NodeConfig) -> Self {
        self.config = config;
        self
    }

    /// Names the node's cluster. Default: `default`.
    pub fn cluster(mut self, cluster: &str) -> Self {
        self.cluster = cluster.to_owned();
        self
    }

    async fn start(self) -> SimMachine {
        let inside = Arc::new(MachineState::default());
        let (name, control) = (self.name.clone(), self.control.clone());
        let (workers, skew) = (self.workers, self.skew);
        let (boots, this) = (inside.clone(), Arc::new(self));
        // Each start of the machine, the first one and those after a crash, runs the program anew.
        let boot = Arc::new(move |handle: &Handle| {
            let (inside, this) = (boots.clone(), this.clone());
            let simulation = handle.simulation().cloned();
            handle.spawn(async move {
                let name = this.name.clone();
                let program = posse_core::task::spawn(this.program(inside));
                if let Err(text) = outcome(program).await {
                    if let Some(simulation) = simulation {
                        simulation.report(format!("the program of {name} failed: {text}"));
                    }
                }
            });
        });
        let spec = MachineSpec { name: name.clone(), workers, skew, boot };
        let id = control.add(spec).await.expect("the simulation runs while its test does");
        let machine = SimMachine { control, id, name: name.into(), inside };
        // The test goes on with a machine that it can use.
        machine.started().await;
        machine
    }

    /// Everything a machine does from its start to its orderly end.
    fn program(&self, inside: Arc<MachineState>) -> impl Future<Output = crate::Result> + Send + 'static {
        let (name, cluster, config) = (self.name.clone(), self.cluster.clone(), self.config.clone());
        let node = self.node.as_ref().map(|program| program.0.clone());
        let bare = self.bare.clone();
        async move {
            #[cfg(unix)]
            let terminated = posse_core::signal::terminate();
            // The simulation delivers what is a signal of Unix.
            #[cfg(not(unix))]
            let terminated = std::future::pending::<std::io::Result<()>>();
            let Some(program) = node else {
                inside.set_started(None);
                if let Some(bare) = bare {
                    bare().await?;
                }
                return Ok(terminated.await?);
            };
            let address = format!("{name}:{NODE_PORT}");
            let node = Node::builder().name(&name).cluster(&cluster).config(config).listen(address).await?;
            // Whatever ends the machine, what the test may still hold of the node goes with it.
            let _end = OnDrop::new({
                let inside = inside.clone();
                move || inside.set_node(None)
            });
            inside.set_started(Some(node.clone()));
            program(node.clone()).await?;
            terminated.await?;
            node.shutdown().await;
            Ok(())
        }
    }
}

async fn outcome(program: JoinHandle<crate::Result>) -> Result<(), String> {
    match program.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        // The machine was ended: no failure of the program.
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

impl IntoFuture for MachineBuilder {
    type Output = SimMachine;
    type IntoFuture = Pin<Box<dyn Future<Output = SimMachine> + Send>>;

    /// Starts the machine.
    ///
    /// # Cancel safety
    /// The machine is added at the first poll, also if the future is dropped; no handle to it is left then.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl fmt::Debug for MachineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MachineBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the test sees of what runs inside.
#[derive(Default)]
struct MachineState {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    node: Option<Node>,
    started: bool,
}

impl MachineState {
    fn set_node(&self, node: Option<Node>) {
        let previous = std::mem::replace(&mut self.state.lock().node, node);
        // Outside of the lock: it may be the last one, and the node leaves.
        drop(previous);
    }

    fn set_started(&self, node: Option<Node>) {
        self.set_node(node);
        self.state.lock().started = true;
        self.changed.notify_waiters();
    }
}

/// A machine of a simulation. Clones are the same one.
#[derive(Clone)]
pub struct SimMachine {
    control: WorldHandle,
    id: MachineId,
    name: Arc<str>,
    inside: Arc<MachineState>,
}

impl SimMachine {
    pub(super) fn id(&self) -> MachineId {
        self.id
    }

    /// Returns its name, under which others find its address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its address.
    pub fn ip(&self) -> Ipv4Addr {
        self.control.ip(self.id)
    }

    /// Returns where its node listens.
    pub fn address(&self) -> SocketAddr {
        (self.ip(), NODE_PORT).into()
    }

    /// Returns its node; `None` while it is not up, or has none.
    pub fn node(&self) -> Option<Node> {
        self.inside.state.lock().node.clone()
    }

    /// Returns true while it runs.
    pub fn is_up(&self) -> bool {
        self.control.handle(self.id).is_some()
    }

    /// Returns the actors' system of this incarnation of the machine; `None` while it is not up.
    pub fn system(&self) -> Option<Arc<System>> {
        self.control.handle(self.id).map(|handle| System::of(&handle))
    }

    /// Starts a task on the machine. It is cancelled when the machine ends.
    ///
    /// # Panics
    /// While the machine is not up.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.control.handle(self.id) {
            Some(handle) => handle.spawn(future),
            None => panic!("{} is not up", self.name),
        }
    }

    /// Runs a future on the machine and waits for it.
    ///
    /// # Panics
    /// While the machine is not up, if it ends meanwhile, and if the future panics.
    ///
    /// # Cancel safety
    /// The future on the machine is started at the first poll, and runs on if this one is dropped.
    pub async fn run<F>(&self, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self.spawn(future).await {
            Ok(output) => output,
            Err(error) => match error.try_into_panic() {
                Ok(payload) => std::panic::resume_unwind(payload),
                Err(_) => panic!("{} ended while it ran what the test waits for", self.name),
            },
        }
    }

    /// Runs something on the machine with its node, and waits for it.
    ///
    /// # Panics
    /// As [`run`](Self::run), and if the machine has no node.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn with<F, Fut>(&self, f: F) -> Fut::Output
    where
        F: FnOnce(Node) -> Fut + Send + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
    {
        let node = self.node().unwrap_or_else(|| panic!("{} has no node", self.name));
        self.run(async move { f(node).await }).await
    }

    /// A start that was not waited for is not the one that comes.
    pub(super) fn forget_start(&self) {
        self.inside.state.lock().started = false;
    }

    /// Waits until this incarnation has started.
    pub(super) async fn started(&self) {
        loop {
            let changed = self.inside.changed.notified();
            if std::mem::take(&mut self.inside.state.lock().started) {
                return;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for SimMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimMachine({})", self.name)
    }
}
