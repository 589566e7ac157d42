//! Broadcast: every acknowledged value comes to be at every node, and no other value does.

use super::cluster::{Client, Cluster, Site};
use super::history::History;
use super::links::Links;
use super::nemesis::{ALL, Nemesis};
use super::{Disk, is_found};
use posse::prelude::*;
use posse::sim::Sim;
use std::collections::BTreeSet;

#[posse::protocol]
pub trait Broadcasting {
    async fn broadcast(value: u64) -> ();
    async fn values() -> BTreeSet<u64>;
    async fn merge(values: BTreeSet<u64>);
}

#[derive(Message)]
struct Gossip;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Right,
    /// Each value is sent once, and never again.
    SendsOnce,
    /// Acknowledges before a value is on the disk, or on its way to others.
    Forgets,
}

struct Broadcaster {
    values: BTreeSet<u64>,
    disk: Disk<BTreeSet<u64>>,
    links: Links<Broadcasting>,
    own: usize,
    variant: Variant,
}

impl Broadcaster {
    fn tell_others(&self, values: &BTreeSet<u64>) {
        for (_, other) in self.links.all().filter(|(index, _)| *index != self.own) {
            // If it is not taken, the next round says it again.
            let _ = other.try_tell(Merge { values: values.clone() });
        }
    }
}

impl Actor for Broadcaster {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        ctx.send_every(ms(500), || Gossip);
        Ok(())
    }
}

impl Handler<Broadcast> for Broadcaster {
    async fn handle(&mut self, Broadcast { value }: Broadcast, _: &mut Context<Self>) {
        self.values.insert(value);
        if self.variant != Variant::Forgets {
            self.disk.lock().insert(value);
            self.tell_others(&[value].into());
        }
    }
}

impl Reader<Values> for Broadcaster {
    async fn read(&self, _: Values, _: &Context<Self>) -> BTreeSet<u64> {
        self.values.clone()
    }
}

impl Handler<Merge> for Broadcaster {
    async fn handle(&mut self, Merge { values }: Merge, _: &mut Context<Self>) {
        self.disk.lock().extend(&values);
        self.values.extend(values);
    }
}

impl Handler<Gossip> for Broadcaster {
    async fn handle(&mut self, _: Gossip, _: &mut Context<Self>) {
        if self.variant != Variant::SendsOnce {
            self.tell_others(&self.values);
        }
    }
}

const SIZE: usize = 5;

async fn values_spread(sim: Sim, variant: Variant) {
    let disks: Vec<Disk<BTreeSet<u64>>> = Disk::of_each(SIZE);
    let program = move |site: Site| {
        let disk = disks[site.index].clone();
        async move {
            let (links, own) = (site.links("broadcast"), site.index);
            let recipe = move || Broadcaster {
                values: disk.lock().clone(),
                disk: disk.clone(),
                links: links.clone(),
                own,
                variant,
            };
            site.register("broadcast", posse::spawn(recipe).share::<Broadcasting>()).await
        }
    };
    let cluster = Cluster::start(&sim, SIZE, program).await;
    let links = cluster.links::<Broadcasting>("broadcast").await;

    let sent = History::new();
    let nemesis = Nemesis { harms: ALL, rounds: 3, longest: secs(3) };
    cluster.drive(3, nemesis, |c| client(c, links.clone(), sent.clone())).await;

    let (acknowledged, asked) = (BTreeSet::from_iter(sent.acknowledged()), BTreeSet::from_iter(sent.asked()));
    assert!(!acknowledged.is_empty());
    let everywhere = move || {
        let (links, acknowledged, asked) = (links.clone(), acknowledged.clone(), asked.clone());
        async move {
            for index in 0..SIZE {
                let broadcaster = links.to(index).ok_or(format!("server {index} is not found"))?;
                let values = broadcaster.values().await.map_err(|error| format!("server {index}: {error}"))?;
                assert!(values.is_subset(&asked), "server {index} has invented a value");
                let missing: Vec<_> = acknowledged.difference(&values).collect();
                if !missing.is_empty() {
                    return Err(format!("server {index} lacks {missing:?}"));
                }
            }
            Ok(())
        }
    };
    cluster.eventually(secs(20), everywhere).await;
}

async fn client(client: Client, links: Links<Broadcasting>, sent: History<u64, ()>) {
    let mut value = client.process as u64;
    while client.goes_on(ms(300)).await {
        let Some(broadcaster) = links.to(client.any_server()) else { continue };
        value += 1000;
        sent.during(value, broadcaster.broadcast(value).within(secs(1))).await;
    }
}

#[posse::test(sim, seeds = 10)]
async fn acknowledged_values_come_to_be_everywhere(sim: Sim) {
    values_spread(sim, Variant::Right).await;
}

#[test]
fn broadcast_without_anti_entropy_is_found() {
    is_found("each value is sent once", 100, "lacks", |sim| values_spread(sim, Variant::SendsOnce));
}

#[test]
fn broadcast_without_a_disk_is_found() {
    is_found("no disk", 100, "lacks", |sim| values_spread(sim, Variant::Forgets));
}
