//! Unique ids: no id is given twice, and every part of a partition gives some.

use super::cluster::{Client, Cluster, Site};
use super::history::History;
use super::links::Links;
use super::nemesis::{ALL, NETWORK, Nemesis};
use super::{Disk, is_found};
use posse::prelude::*;
use posse::sim::Sim;
use std::collections::BTreeSet;

#[posse::protocol]
pub trait Numbering {
    async fn generate() -> (u64, u64, u64);
}

/// An id is where it comes from, how often that server has started, and a number.
struct Numberer {
    server: u64,
    boot: u64,
    next: u64,
}

impl Actor for Numberer {}
impl Handler<Generate> for Numberer {
    async fn handle(&mut self, _: Generate, _: &mut Context<Self>) -> (u64, u64, u64) {
        self.next += 1;
        (self.server, self.boot, self.next)
    }
}

/// With the mistake, a server forgets how often it has started.
async fn start(sim: &Sim, forgets: bool) -> (Cluster, Links<Numbering>) {
    let boots: Vec<Disk<u64>> = Disk::of_each(3);
    let program = move |site: Site| {
        let boots = boots[site.index].clone();
        async move {
            *boots.lock() += u64::from(!forgets);
            let (server, boot) = (site.index as u64, *boots.lock());
            let numberer = posse::spawn(move || Numberer { server, boot, next: 0 });
            site.register("ids", numberer.share::<Numbering>()).await
        }
    };
    let cluster = Cluster::start(sim, 3, program).await;
    let links = cluster.links("ids").await;
    (cluster, links)
}

type Ids = History<usize, (u64, u64, u64)>;

async fn client(client: Client, links: Links<Numbering>, ids: Ids) {
    while client.goes_on(ms(100)).await {
        let server = client.any_server();
        let Some(numberer) = links.to(server) else { continue };
        ids.during(server, numberer.generate().into_future()).await;
    }
}

fn none_is_given_twice(ids: &Ids) {
    let mut given = BTreeSet::new();
    for id in ids.entries().into_iter().filter_map(|entry| entry.done) {
        assert!(given.insert(id.1), "{:?} was given twice", id.1);
    }
}

#[posse::test(sim, seeds = 15)]
async fn ids_are_given_in_every_part_of_a_partition(sim: Sim) {
    let (cluster, links) = start(&sim, false).await;
    let (ids, nemesis) = (Ids::new(), Nemesis { harms: NETWORK, rounds: 4, longest: secs(4) });
    cluster.drive(4, nemesis, |c| client(c, links.clone(), ids.clone())).await;
    none_is_given_twice(&ids);
    assert!(ids.entries().iter().all(|entry| entry.done.is_some()), "a server that the clients reach gave no id");
}

async fn ids_under_kills(sim: Sim, forgets: bool) {
    let (cluster, links) = start(&sim, forgets).await;
    let (ids, nemesis) = (Ids::new(), Nemesis { harms: ALL, rounds: 4, longest: secs(3) });
    cluster.drive(4, nemesis, |c| client(c, links.clone(), ids.clone())).await;
    none_is_given_twice(&ids);
}

#[posse::test(sim, seeds = 15)]
async fn ids_are_unique_though_servers_are_killed(sim: Sim) {
    ids_under_kills(sim, false).await;
}

#[test]
fn ids_without_a_disk_are_found_to_repeat() {
    is_found("no disk", 20, "was given twice", |sim| ids_under_kills(sim, true));
}
