//! How soon the death of a node is seen, and how soon a connection that broke is there again.

use crate::probe::{Probing, echo, find, id_of, idle, moment, server, state};
use posse::ExitReason;
use posse::cluster::{NodeConfig, PeerState};
use posse::prelude::*;
use posse::sim::{Network, Sim, SimMachine};
use posse::sync::oneshot;
use posse::time::sleep;
use std::time::Duration;

/// A way that takes one millisecond, always.
fn even(sim: &Sim, a: &SimMachine, b: &SimMachine) {
    let mut network = Network::default();
    network.latency = Duration::from_micros(990)..ms(1);
    network.slow_latency = ms(1);
    sim.set_link(a, b, network.clone());
    sim.set_link(b, a, network);
}

/// A machine whose node does not listen. It is joined to `server`, and holds on to the server's probe.
async fn caller(sim: &Sim, server: &SimMachine) -> (SimMachine, Node, ActorRef<Probing>) {
    let host = idle(sim, "caller").await;
    even(sim, &host, server);
    let address = server.address();
    let (node, probe) = host
        .run(async move {
            let node = Node::builder().name("caller").connect(address).await.unwrap();
            let probe = node.whereis::<Probing>("probe").await.unwrap();
            (node, probe)
        })
        .await;
    (host, node, probe)
}

/// The process ends, its kernel says so, and no node listens at its address any more: two times there and back.
#[posse::test(sim, seeds = 20)]
async fn death_of_a_node_that_listens_is_seen_at_once(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    even(&sim, &a, &b);
    let probe = find(&b, &a).await;
    let watched = probe.clone();
    let watching = b.spawn(async move { watched.closed().await });
    sleep(moment(&sim, 30)).await;
    let (id, killed) = (id_of(&a), sim.elapsed());
    sim.kill(&a).await;
    assert_eq!(watching.await.unwrap(), ExitReason::NodeDown);
    let took = sim.elapsed() - killed;
    assert!(took < ms(10), "{took:?}");
    assert_eq!(state(&b, id), Some(PeerState::Down));
}

/// Nobody can ask at the address of a node that only connected. It has a moment to come back, not the whole grace.
#[posse::test(sim, seeds = 20)]
async fn death_of_a_node_that_only_connected_is_seen_in_a_moment(sim: Sim) {
    let a = server(&sim, "a").await;
    let (host, node, _probe) = caller(&sim, &a).await;
    let id = node.id();
    assert_eq!(state(&a, id), Some(PeerState::Connected));
    sleep(moment(&sim, 30)).await;
    let killed = sim.elapsed();
    sim.kill(&host).await;
    sim.wait_for(secs(1), "it is down", || state(&a, id) == Some(PeerState::Down)).await;
    let took = sim.elapsed() - killed;
    assert!(took < NodeConfig::default().return_timeout + ms(10), "{took:?}");
}

/// A connection that is reset while both nodes live is there again after two round trips, whichever of them listens.
#[posse::test(sim, seeds = 20)]
async fn broken_connection_is_mended_at_once(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    even(&sim, &a, &b);
    find(&b, &a).await;
    let (host, node, probe) = caller(&sim, &a).await;
    let (id, own) = (node.id(), id_of(&b));
    for (other, id) in [(&host, id), (&b, own)] {
        sleep(moment(&sim, 30)).await;
        sim.reset_connections(&a, other);
        sim.wait_for(ms(2), "it is away", || state(&a, id) != Some(PeerState::Connected)).await;
        sim.wait_for(ms(20), "it is back", || state(&a, id) == Some(PeerState::Connected)).await;
    }
    assert_eq!(echo(&host, &probe, secs(1)).await.unwrap(), "there?");
    assert_eq!(node.id(), id);
}

/// The monitor that a node which only connected holds, and those that are held on its actors, outlive a reset.
#[posse::test(sim, seeds = 10)]
async fn monitors_of_a_node_that_only_connected_outlive_a_reset(sim: Sim) {
    let a = server(&sim, "a").await;
    let (host, node, probe) = caller(&sim, &a).await;
    let (seen, end) = oneshot::channel();
    let watched = probe.clone();
    host.spawn(async move { seen.send(watched.closed().await) });
    for _ in 0..3 {
        sleep(moment(&sim, 30)).await;
        sim.reset_connections(&a, &host);
        sim.wait_for(ms(500), "it is back", || state(&a, node.id()) == Some(PeerState::Connected)).await;
    }
    assert_eq!(echo(&host, &probe, secs(1)).await.unwrap(), "there?");
    sim.kill(&a).await;
    assert_eq!(end.await, Ok(ExitReason::NodeDown));
}
