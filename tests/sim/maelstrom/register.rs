//! A linearizable register. Source: "Sharing Memory Robustly in Message-Passing Systems" (Attiya, Bar-Noy, Dolev, 1995), for
//! several writers: versions are (timestamp, writer), a write first asks a majority for the latest version, a read writes
//! back what it returns.

use super::cluster::{Client, Cluster, Site};
use super::history::History;
use super::linear::{self, Action, Operation, Verdict};
use super::links::Links;
use super::nemesis::{ALL, Nemesis};
use super::{Disk, is_found};
use posse::Ask;
use posse::prelude::*;
use posse::protocol::{Accepts, Wire};
use posse::runtime::Handle;
use posse::sim::{Network, Sim};
use posse::time::sleep;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// What a replica does.
#[posse::protocol]
pub trait Replicating {
    async fn load(key: u64) -> Versioned;
    async fn store(key: u64, versioned: Versioned) -> ();
}

/// What the clients see.
#[posse::protocol]
pub trait Registering {
    async fn read(key: u64) -> Result<Option<u64>, NoMajority>;
    async fn write(key: u64, value: u64) -> Result<(), NoMajority>;
}

/// Too few replicas have replied. A write may come to be seen all the same.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct NoMajority;

/// Ordered by timestamp, then writer; a writer is one front in one life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Versioned {
    time: u64,
    writer: u64,
    value: Option<u64>,
}

/// Mistakes that are made on purpose.
#[derive(Clone, Copy)]
struct Variant {
    writes_back: bool,
    /// How many replicas must reply.
    quorum: usize,
    /// Whether a write asks for the latest version first.
    asks_first: bool,
    /// Whether a replica's versions are on its disk.
    has_disk: bool,
}

const RIGHT: Variant = Variant { writes_back: true, quorum: SIZE / 2 + 1, asks_first: true, has_disk: true };

const SIZE: usize = 3;
const FRONTS: usize = 3;
const KEYS: usize = 4;

#[derive(Clone, Default)]
struct Stored {
    boots: u64,
    versions: BTreeMap<u64, Versioned>,
}

struct Replica(Disk<Stored>);

impl Actor for Replica {}

impl Reader<Load> for Replica {
    async fn read(&self, Load { key }: Load, _: &Context<Self>) -> Versioned {
        self.0.lock().versions.get(&key).copied().unwrap_or_default()
    }
}

impl Handler<Store> for Replica {
    async fn handle(&mut self, Store { key, versioned }: Store, _: &mut Context<Self>) {
        let mut stored = self.0.lock();
        let ours = stored.versions.entry(key).or_default();
        *ours = versioned.max(*ours);
    }
}

/// Does what clients ask for, one thing at a time. A server has several.
struct Front {
    replicas: Links<Replicating>,
    writer: u64,
    /// The latest timestamp it has used: a write that failed may have left it somewhere.
    time: u64,
    variant: Variant,
}

impl Actor for Front {}

impl Front {
    async fn latest(&self, key: u64) -> Result<Versioned, NoMajority> {
        let replies = self.quorum(|replica| replica.load(key)).await?;
        Ok(replies.into_iter().max().unwrap_or_default())
    }

    async fn spread(&self, key: u64, versioned: Versioned) -> Result<(), NoMajority> {
        self.quorum(|replica| replica.store(key, versioned)).await.map(drop)
    }

    /// Asks all replicas, each a little later or sooner: whoever is asked at once sees all in the same order, and hides
    /// what other networks show.
    async fn quorum<M: Wire>(
        &self,
        ask: impl Fn(&ActorRef<Replicating>) -> Question<M>,
    ) -> Result<Vec<M::Reply>, NoMajority>
    where
        Replicating: Accepts<M>,
    {
        let asks = self.replicas.all().map(|(_, replica)| {
            let ask = ask(&replica).within(ms(700));
            let later = ms(Handle::current().random_u64() % 30);
            Box::pin(async move {
                sleep(later).await;
                ask.await
            })
        });
        first(self.variant.quorum, asks.collect()).await
    }
}

type Question<M> = Ask<M, ActorRef<Replicating>>;

impl Handler<Read> for Front {
    async fn handle(&mut self, Read { key }: Read, _: &mut Context<Self>) -> Result<Option<u64>, NoMajority> {
        let latest = self.latest(key).await?;
        if self.variant.writes_back {
            self.spread(key, latest).await?;
        }
        Ok(latest.value)
    }
}

impl Handler<Write> for Front {
    async fn handle(&mut self, Write { key, value }: Write, _: &mut Context<Self>) -> Result<(), NoMajority> {
        let latest = if self.variant.asks_first { self.latest(key).await? } else { Versioned::default() };
        self.time = latest.time.max(self.time) + 1;
        let versioned = Versioned { time: self.time, writer: self.writer, value: Some(value) };
        self.spread(key, versioned).await
    }
}

/// The first so many replies; the asks that are left over are taken back.
async fn first<T, A>(count: usize, mut asks: Vec<A>) -> Result<Vec<T>, NoMajority>
where
    A: Future<Output = Result<T, AskError>> + Unpin,
{
    let mut replies = Vec::new();
    poll_fn(|cx| {
        asks.retain_mut(|ask| match Pin::new(ask).poll(cx) {
            Poll::Ready(reply) => {
                replies.extend(reply.ok());
                false
            }
            Poll::Pending => true,
        });
        match replies.len() + asks.len() {
            _ if replies.len() >= count => Poll::Ready(Ok(std::mem::take(&mut replies))),
            left if left < count => Poll::Ready(Err(NoMajority)),
            _ => Poll::Pending,
        }
    })
    .await
}

fn front(index: usize) -> String {
    format!("front{index}")
}

async fn serve(site: Site, disk: Disk<Stored>, variant: Variant) -> posse::Result {
    let boot = {
        let mut stored = disk.lock();
        stored.boots += 1;
        if !variant.has_disk {
            stored.versions.clear();
        }
        stored.boots
    };
    site.register("replica", posse::spawn(move || Replica(disk.clone())).share::<Replicating>()).await?;
    let links = site.links("replica");
    for index in 0..FRONTS {
        let (replicas, writer) = (links.clone(), (boot << 16) + (site.index * FRONTS + index) as u64);
        let recipe = move || Front { replicas: replicas.clone(), writer, time: 0, variant };
        site.register(&front(index), posse::spawn(recipe).share::<Registering>()).await?;
    }
    Ok(())
}

type Registers = History<(u64, Option<u64>), Option<u64>>;

/// A client reads or writes one of the keys, by any front of any server.
async fn client(client: Client, links: Vec<Links<Registering>>, history: Registers) {
    let mut value = client.process as u64;
    while client.goes_on(ms(100)).await {
        let key = client.sim.random_below(KEYS) as u64;
        let Some(register) = links[client.sim.random_below(FRONTS)].to(client.any_server()) else { continue };
        let unavailable = |_| AskError::NoReply;
        if client.sim.random_below(4) == 0 {
            value += 1000;
            let written = async { register.write(key, value).within(secs(2)).await?.map_err(unavailable) };
            history.during((key, Some(value)), async { written.await.map(|()| None) }).await;
        } else {
            let read = async { register.read(key).within(secs(2)).await?.map_err(unavailable) };
            history.during((key, None), read).await;
        }
    }
}

async fn registers_are_linearizable(sim: Sim, variant: Variant) {
    let disks: Vec<Disk<Stored>> = Disk::of_each(SIZE);
    let program = move |site: Site| {
        let disk = disks[site.index].clone();
        serve(site, disk, variant)
    };
    let cluster = Cluster::start(&sim, SIZE, program).await;
    let mut links = Vec::new();
    for index in 0..FRONTS {
        links.push(cluster.links::<Registering>(&front(index)).await);
    }

    // Slow packets keep operations half done for long, while others go on.
    let mut network = Network::default();
    (network.slow, network.slow_latency) = (0.1, ms(200));
    sim.set_network(network);
    let history = Registers::new();
    let nemesis = Nemesis { harms: ALL, rounds: 3, longest: secs(4) };
    cluster.drive(8, nemesis, |c| client(c, links.clone(), history.clone())).await;
    for key in 0..KEYS as u64 {
        let operations = operations(&history, key);
        let verdict = linear::check(&operations);
        assert_ne!(verdict, Verdict::TooLong, "key {key}: {} operations", operations.len());
        assert_eq!(verdict, Verdict::Linearizable, "not linearizable: key {key}, {operations:?}");
    }
    writes_work_again(&cluster, links).await;
}

async fn writes_work_again(cluster: &Cluster, links: Vec<Links<Registering>>) {
    let works = move || {
        let links = links[0].clone();
        async move {
            for index in 0..SIZE {
                let register = links.to(index).ok_or(format!("server {index} is not found"))?;
                let written = register.write(0, 1).await.map_err(|error| format!("server {index}: {error}"))?;
                written.map_err(|NoMajority| format!("server {index} reaches no majority"))?;
            }
            Ok(())
        }
    };
    cluster.eventually(secs(20), works).await;
}

fn operations(history: &Registers, key: u64) -> Vec<Operation> {
    let entries = history.entries().into_iter().filter(|entry| entry.input.0 == key);
    let operation = entries.filter_map(|entry| {
        let action = match (entry.input.1, entry.done) {
            (Some(value), _) => Action::Write(value),
            (None, Some((_, value))) => Action::Read(value),
            (None, None) => return None,
        };
        Some(Operation { called: entry.called, returned: entry.done.map(|(at, _)| at), action })
    });
    operation.collect()
}

#[posse::test(sim, seeds = 20)]
async fn quorum_reads_and_writes_are_linearizable(sim: Sim) {
    registers_are_linearizable(sim, RIGHT).await;
}

#[test]
fn reads_that_do_not_write_back_are_found() {
    let variant = Variant { writes_back: false, ..RIGHT };
    is_found("no write-back", 400, "not linearizable", |sim| registers_are_linearizable(sim, variant));
}

#[test]
fn a_quorum_of_one_is_found() {
    let variant = Variant { quorum: 1, ..RIGHT };
    is_found("quorum of 1", 100, "not linearizable", |sim| registers_are_linearizable(sim, variant));
}

#[test]
fn replicas_without_a_disk_are_found() {
    let variant = Variant { has_disk: false, ..RIGHT };
    is_found("no disk", 400, "not linearizable", |sim| registers_are_linearizable(sim, variant));
}

#[test]
fn writes_that_do_not_ask_first_are_found() {
    let variant = Variant { asks_first: false, ..RIGHT };
    is_found("no question first", 100, "not linearizable", |sim| registers_are_linearizable(sim, variant));
}
