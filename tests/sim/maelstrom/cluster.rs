//! A cluster of servers that run one program, and a machine of clients.

use super::links::Links;
use super::nemesis::Nemesis;
use posse::cluster::NodeConfig;
use posse::prelude::*;
use posse::protocol::Protocol;
use posse::sim::{Sim, SimMachine};
use posse::time::{Instant, sleep};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where a server's program runs.
pub struct Site {
    pub node: Node,
    pub index: usize,
    pub size: usize,
}

impl Site {
    /// Registers the server's actor of a service.
    pub async fn register<P: Protocol>(&self, service: &str, actor: ActorRef<P>) -> posse::Result {
        Ok(self.node.register(&registered_name(service, self.index), actor).await?)
    }

    /// Ways to the actors of a service at all servers.
    pub fn links<P: Protocol>(&self, service: &str) -> Links<P> {
        Links::open(&self.node, service, self.size, Some(self.index))
    }
}

/// The name of a server's actor of a service.
pub fn registered_name(service: &str, index: usize) -> String {
    format!("{service}-{index}")
}

pub fn server_name(index: usize) -> String {
    format!("n{index}")
}

pub struct Cluster {
    pub sim: Sim,
    pub servers: Vec<SimMachine>,
    pub clients: SimMachine,
}

impl Cluster {
    /// Starts servers that run `program` whenever they start.
    pub async fn start<F, Fut>(sim: &Sim, size: usize, program: F) -> Self
    where
        F: Fn(Site) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = posse::Result> + Send + 'static,
    {
        let mut servers = Vec::new();
        for index in 0..size {
            let program = program.clone();
            let server = sim.node(&server_name(index)).config(config());
            servers.push(server.run(move |node| program(Site { node, index, size })).await);
        }
        let clients = sim.node("clients").config(config()).await;
        Self { sim: sim.clone(), servers, clients }
    }

    /// Ways from the clients to the actors of a service, once all are open.
    pub async fn links<P: Protocol>(&self, service: &str) -> Links<P> {
        let (service, size) = (service.to_owned(), self.servers.len());
        let links = self.clients.with(move |node| async move { Links::<P>::open(&node, &service, size, None) }).await;
        let all = links.clone();
        self.sim.wait_for(secs(20), "the clients reach all servers", || (0..size).all(|i| all.to(i).is_some())).await;
        links
    }

    /// Runs so many clients until the nemesis has done its worst and everything is whole again.
    pub async fn drive<F, Fut>(&self, clients: usize, nemesis: Nemesis, client: F)
    where
        F: Fn(Client) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let enough = Arc::new(AtomicBool::new(false));
        let start = |process| {
            let (sim, enough, servers) = (self.sim.clone(), enough.clone(), self.servers.len());
            self.clients.spawn(client(Client { sim, process, servers, enough }))
        };
        let running: Vec<_> = (0..clients).map(start).collect();
        nemesis.run(self).await;
        enough.store(true, Ordering::Relaxed);
        for client in running {
            if let Err(error) = client.await {
                match error.try_into_panic() {
                    Ok(payload) => std::panic::resume_unwind(payload),
                    Err(error) => panic!("a client ended: {error}"),
                }
            }
        }
    }

    /// Looks, from the clients' machine, until all is well; fails the test with what is not.
    pub async fn eventually<F, Fut>(&self, within: Duration, look: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let looking = async move {
            let deadline = Instant::now() + within;
            while let Err(wrong) = look().await {
                assert!(Instant::now() < deadline, "not within {within:?}: {wrong}");
                sleep(ms(100)).await;
            }
        };
        self.clients.run(looking).await;
    }
}

/// A client, one of several.
pub struct Client {
    pub sim: Sim,
    pub process: usize,
    servers: usize,
    enough: Arc<AtomicBool>,
}

impl Client {
    /// Thinks for a moment. False once there is no more to do.
    pub async fn goes_on(&self, think: Duration) -> bool {
        let micros = usize::try_from(think.as_micros()).unwrap_or(usize::MAX);
        sleep(Duration::from_micros(self.sim.random_below(micros) as u64)).await;
        !self.enough.load(Ordering::Relaxed)
    }

    pub fn any_server(&self) -> usize {
        self.sim.random_below(self.servers)
    }
}

/// Nodes that lose sight of each other for longer than the grace never talk again unless one is started anew; what the
/// nemesis does in a row may take longer than the default of 10 s.
fn config() -> NodeConfig {
    let mut config = NodeConfig::default();
    config.down_after = secs(60);
    config
}
