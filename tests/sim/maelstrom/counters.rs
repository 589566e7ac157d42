//! Counters that only grow, and that shrink as well: state-based CRDTs, merged by gossip. Source: "A comprehensive study
//! of Convergent and Commutative Replicated Data Types" (Shapiro and others, 2011), G-Counter and PN-Counter.

use super::cluster::{Client, Cluster, Site};
use super::history::History;
use super::links::Links;
use super::nemesis::{ALL, Nemesis};
use super::{Disk, is_found};
use posse::prelude::*;
use posse::sim::Sim;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[posse::protocol]
pub trait Counting {
    async fn add(n: i64) -> ();
    async fn sum() -> i64;
    async fn merge(counts: Counts);
}

/// By server: what was added and what was taken away there. Both only grow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts(BTreeMap<u64, (i64, i64)>);

impl Counts {
    fn add(&mut self, server: u64, n: i64) {
        let (more, less) = self.0.entry(server).or_default();
        *more += n.max(0);
        *less -= n.min(0);
    }

    fn merge(&mut self, other: &Self) {
        for (server, (more, less)) in &other.0 {
            let ours = self.0.entry(*server).or_default();
            *ours = (ours.0.max(*more), ours.1.max(*less));
        }
    }

    fn sum(&self) -> i64 {
        self.0.values().map(|(more, less)| more - less).sum()
    }
}

#[derive(Message)]
struct Gossip;

struct Counter {
    counts: Disk<Counts>,
    links: Links<Counting>,
    own: usize,
}

impl Actor for Counter {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        ctx.send_every(ms(500), || Gossip);
        Ok(())
    }
}

impl Handler<Add> for Counter {
    async fn handle(&mut self, Add { n }: Add, _: &mut Context<Self>) {
        self.counts.lock().add(self.own as u64, n);
    }
}

impl Reader<Sum> for Counter {
    async fn read(&self, _: Sum, _: &Context<Self>) -> i64 {
        self.counts.lock().sum()
    }
}

impl Handler<Merge> for Counter {
    async fn handle(&mut self, Merge { counts }: Merge, _: &mut Context<Self>) {
        self.counts.lock().merge(&counts);
    }
}

impl Handler<Gossip> for Counter {
    async fn handle(&mut self, _: Gossip, _: &mut Context<Self>) {
        let counts = self.counts.lock().clone();
        for (_, other) in self.links.all().filter(|(index, _)| *index != self.own) {
            // If it is not taken, the next round says it again.
            let _ = other.try_tell(Merge { counts: counts.clone() });
        }
    }
}

const SIZE: usize = 3;

/// What clients add lies in `-below..=10`. With the mistake, the disk is wiped by a restart.
async fn all_count_the_same(sim: Sim, below: i64, forgets: bool) {
    let disks: Vec<Disk<Counts>> = Disk::of_each(SIZE);
    let program = move |site: Site| {
        let disk = disks[site.index].clone();
        async move {
            if forgets {
                *disk.lock() = Counts::default();
            }
            let (links, own) = (site.links("counter"), site.index);
            let recipe = move || Counter { counts: disk.clone(), links: links.clone(), own };
            site.register("counter", posse::spawn(recipe).share::<Counting>()).await
        }
    };
    let cluster = Cluster::start(&sim, SIZE, program).await;
    let links = cluster.links::<Counting>("counter").await;

    let added = History::new();
    let nemesis = Nemesis { harms: ALL, rounds: 4, longest: secs(3) };
    cluster.drive(3, nemesis, |c| client(c, links.clone(), added.clone(), below)).await;

    // What was not acknowledged counts or does not.
    let certain: i64 = added.acknowledged().iter().sum();
    let open = added.entries().into_iter().filter(|entry| entry.done.is_none()).map(|entry| entry.input);
    let (less, more) = open.fold((0, 0), |(less, more), n| (less + n.min(0), more + n.max(0)));
    let bounds = certain + less..=certain + more;
    let everywhere = move || {
        let (links, bounds) = (links.clone(), bounds.clone());
        async move {
            let mut sums = Vec::new();
            for index in 0..SIZE {
                let counter = links.to(index).ok_or(format!("server {index} is not found"))?;
                sums.push(counter.sum().await.map_err(|error| format!("server {index}: {error}"))?);
            }
            let right = sums.iter().all(|sum| *sum == sums[0] && bounds.contains(sum));
            if right { Ok(()) } else { Err(format!("the sums are {sums:?}, expected {bounds:?}")) }
        }
    };
    cluster.eventually(secs(20), everywhere).await;
}

async fn client(client: Client, links: Links<Counting>, added: History<i64, ()>, below: i64) {
    let mut seen = BTreeMap::new();
    while client.goes_on(ms(200)).await {
        let server = client.any_server();
        let Some(counter) = links.to(server) else { continue };
        let n = client.sim.random_below((11 + below) as usize) as i64 - below;
        added.during(n, counter.add(n).within(secs(1))).await;
        let Ok(sum) = counter.sum().within(secs(1)).await else { continue };
        let before = seen.insert(server, sum).unwrap_or(sum);
        assert!(below > 0 || sum >= before, "server {server} has counted to {before} and is at {sum}");
    }
}

#[posse::test(sim, seeds = 12)]
async fn g_counters_come_to_the_sum_of_what_was_added(sim: Sim) {
    all_count_the_same(sim, 0, false).await;
}

#[posse::test(sim, seeds = 12)]
async fn pn_counters_come_to_the_sum_of_what_was_added_and_taken(sim: Sim) {
    all_count_the_same(sim, 10, false).await;
}

#[test]
fn counters_without_a_disk_are_found() {
    is_found("no disk", 20, "sums are", |sim| all_count_the_same(sim, 10, true));
}
