//! The echo cluster under load, with a kill and a restart in the middle: everything that was sent is accounted for.

use crate::probe::{Probing, find, id_of, moment, numbers, peer, probe_of, server, settled, state};
use posse::cluster::PeerState;
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::sync::CancellationToken;
use posse::time::sleep;
use posse::{ExitReason, NodeId};
use std::time::Duration;

/// Tasks that ask one node at once.
const ASKERS: u64 = 4;

/// What was seen of one incarnation.
#[derive(Debug, Default)]
struct Tally {
    offered: u64,
    answered: u64,
    returned: u64,
    failed: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.answered += other.answered;
        self.returned += other.returned;
        self.failed += other.failed;
    }
}

/// The load on one incarnation of a node.
struct Load {
    node: NodeId,
    probe: ActorRef<Probing>,
    tasks: Vec<posse::task::JoinHandle<Tally>>,
}

impl Load {
    fn start(client: &SimMachine, node: NodeId, probe: &ActorRef<Probing>, stop: &CancellationToken) -> Self {
        let askers = (0..ASKERS).map(|n| client.spawn(ask(probe.clone(), n << 32, stop.clone())));
        let mut tasks: Vec<_> = askers.collect();
        tasks.push(client.spawn(tell(probe.clone(), stop.clone())));
        Self { node, probe: probe.clone(), tasks }
    }

    async fn finish(self) -> (NodeId, ActorRef<Probing>, Tally) {
        let mut tally = Tally::default();
        for task in self.tasks {
            tally.add(&task.await.unwrap());
        }
        (self.node, self.probe, tally)
    }
}

async fn ask(probe: ActorRef<Probing>, first: u64, stop: CancellationToken) -> Tally {
    let (mut tally, mut n) = (Tally::default(), first);
    while !stop.is_cancelled() {
        (n, tally.offered) = (n + 1, tally.offered + 1);
        match probe.echo(n.to_string()).within(secs(60)).await {
            Ok(echoed) => {
                assert_eq!(echoed, n.to_string());
                tally.answered += 1;
            }
            Err(AskError::NodeDown) => {
                tally.failed += 1;
                break;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    tally
}

async fn tell(probe: ActorRef<Probing>, stop: CancellationToken) -> Tally {
    let mut tally = Tally::default();
    while !stop.is_cancelled() {
        tally.offered += 1;
        if probe.note(tally.offered).await.is_err() {
            tally.returned += 1;
            break;
        }
        sleep(Duration::from_micros(300)).await;
    }
    tally
}

/// Three nodes and a client that drives them; one is killed, or loses its power, and starts again.
#[posse::test(sim, seeds = 12)]
async fn every_message_is_accounted_for_across_a_kill_and_a_restart(sim: Sim) {
    let nodes = [server(&sim, "a").await, server(&sim, "b").await, server(&sim, "c").await];
    let client = sim.node("client").await;
    let (stop, mut loads) = (CancellationToken::new(), Vec::new());
    for node in &nodes {
        let probe = find(&client, node).await;
        loads.push(Load::start(&client, id_of(node), &probe, &stop));
    }
    sleep(ms(30) + moment(&sim, 30)).await;

    let victim = sim.random_below(3);
    let (former, watched) = (id_of(&nodes[victim]), loads[victim].probe.clone());
    let watching = client.spawn(async move { watched.closed().await });
    sim.kill(&nodes[victim]).await;
    assert_eq!(watching.await.unwrap(), ExitReason::NodeDown);
    sleep(moment(&sim, 20)).await;
    sim.restart(&nodes[victim]).await;
    let again = id_of(&nodes[victim]);
    sim.wait_for(secs(5), "it is joined again", || state(&client, again) == Some(PeerState::Connected)).await;
    let probe = probe_of(&client, &nodes[victim]).await;
    loads.push(Load::start(&client, again, &probe, &stop));
    sleep(ms(30) + moment(&sim, 30)).await;
    stop.cancel();

    for load in loads {
        let (id, probe, tally) = load.finish().await;
        let before = settled(&sim, &client, id).await;
        if id == former {
            assert!(tally.failed + tally.returned > 0, "nobody heard of the kill: {tally:?}");
            assert!(before.acked <= before.accepted && tally.answered <= before.accepted, "{tally:?} {before:?}");
            // Asks that were refused at once are returned too.
            assert_eq!(tally.offered, before.returned + before.accepted, "{tally:?} {before:?}");
            continue;
        }
        assert_eq!((tally.failed, tally.returned, before.lost, before.undelivered()), (0, 0, 0, 0), "{tally:?}");
        assert_eq!(before.acked, tally.offered);
        let seen = client.run(async move { probe.seen().await }).await.unwrap();
        let notes = numbers(&seen).len() as u64;
        assert_eq!(notes + tally.answered, tally.offered, "{tally:?}");
        assert_eq!(peer(&client, id).unwrap().state, PeerState::Connected);
    }
}
