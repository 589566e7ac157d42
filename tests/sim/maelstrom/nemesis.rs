//! Does harm to a cluster, by a schedule that follows from the seed, and makes everything whole again.

use super::cluster::Cluster;
use posse::ms;
use posse::sim::{Fault, SimMachine};
use posse::time::sleep;
use std::time::Duration;

/// What it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Splits the servers at random, in both directions.
    Split,
    /// Cuts one direction from one server to some others.
    OneWay,
    /// As `Split`, and the clients are on one of the sides.
    SplitClients,
    /// Kills a server and starts it again.
    Kill,
    /// Takes the power from a server, silently, and starts it again.
    PowerOff,
    /// Stops a server's steps for a while.
    Pause,
    /// Breaks all connections between two servers.
    Reset,
}

/// Harm between servers alone.
pub const NETWORK: &[Harm] = &[Harm::Split, Harm::OneWay, Harm::Reset];

pub const ALL: &[Harm] =
    &[Harm::Split, Harm::OneWay, Harm::SplitClients, Harm::Kill, Harm::PowerOff, Harm::Pause, Harm::Reset];

pub struct Nemesis {
    pub harms: &'static [Harm],
    /// How often it strikes.
    pub rounds: usize,
    /// The longest that harm lasts.
    pub longest: Duration,
}

/// Harm that is being done.
enum UnderWay {
    Cut(Vec<Fault>),
    Dead(usize),
    Paused(usize),
    Nothing,
}

impl Nemesis {
    /// The whole schedule. At its end all servers run and all ways are open.
    pub async fn run(self, cluster: &Cluster) {
        for _ in 0..self.rounds {
            between(cluster, ms(50), ms(800)).await;
            let mut under_way = vec![self.begin(cluster).await];
            if cluster.sim.random_below(3) == 0 {
                between(cluster, ms(1), ms(500)).await;
                under_way.push(self.begin(cluster).await);
            }
            between(cluster, ms(200), self.longest).await;
            for harm in under_way {
                end(cluster, harm).await;
            }
        }
    }

    async fn begin(&self, cluster: &Cluster) -> UnderWay {
        let (sim, servers) = (&cluster.sim, &cluster.servers);
        let one = sim.random_below(servers.len());
        match self.harms[sim.random_below(self.harms.len())] {
            Harm::Split => UnderWay::Cut(split(cluster, servers.iter().collect())),
            Harm::SplitClients => UnderWay::Cut(split(cluster, servers.iter().chain([&cluster.clients]).collect())),
            Harm::OneWay => {
                let others = servers.iter().enumerate().filter(|(index, _)| *index != one);
                let chosen = others.filter(|_| sim.random_below(2) == 0);
                UnderWay::Cut(chosen.map(|(_, other)| sim.partition_oneway(&servers[one], other)).collect())
            }
            Harm::Kill => {
                sim.kill(&servers[one]).await;
                UnderWay::Dead(one)
            }
            Harm::PowerOff => {
                sim.power_off(&servers[one]).await;
                UnderWay::Dead(one)
            }
            Harm::Pause => {
                sim.pause(&servers[one]);
                UnderWay::Paused(one)
            }
            Harm::Reset => {
                let other = (one + 1 + sim.random_below(servers.len() - 1)) % servers.len();
                sim.reset_connections(&servers[one], &servers[other]);
                UnderWay::Nothing
            }
        }
    }
}

fn split(cluster: &Cluster, machines: Vec<&SimMachine>) -> Vec<Fault> {
    let (left, right): (Vec<_>, Vec<_>) = machines.into_iter().partition(|_| cluster.sim.random_below(2) == 0);
    vec![cluster.sim.partition(left, right)]
}

async fn end(cluster: &Cluster, harm: UnderWay) {
    match harm {
        UnderWay::Cut(faults) => faults.into_iter().for_each(Fault::repair),
        UnderWay::Dead(index) => {
            let server = &cluster.servers[index];
            if !server.is_up() {
                cluster.sim.restart(server).await;
            }
        }
        UnderWay::Paused(index) => cluster.sim.resume(&cluster.servers[index]),
        UnderWay::Nothing => {}
    }
}

async fn between(cluster: &Cluster, least: Duration, most: Duration) {
    let millis = (most - least).as_millis() as usize;
    sleep(least + ms(cluster.sim.random_below(millis) as u64)).await;
}
