//! The echo cluster: asks, a partition, a kill and a restart.

use crate::probe::{Probing, find, server};
use posse::cluster::PeerState;
use posse::prelude::*;
use posse::sim::{Options, Sim, SimMachine, run_seed};

#[posse::test(sim, seeds = 20)]
async fn echo_survives_a_partition(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let tester = find(&b, &a).await;
    let near = tester.clone();
    assert_eq!(b.run(async move { near.echo("hello".into()).await }).await.unwrap(), "hello");

    sim.partition([&a], [&b]).during(secs(6)).await;
    let late = b.run(async move { tester.echo("again".into()).within(secs(60)).await }).await;
    assert_eq!(late.unwrap(), "again");
}

#[posse::test(sim, seeds = 20)]
async fn killed_node_is_down_and_its_successor_is_found(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let old = find(&b, &a).await;
    sim.kill(&a).await;
    sim.restart(&a).await;
    let gone = old.clone();
    let answer = b.run(async move { gone.echo("anybody?".into()).await }).await;
    assert_eq!(answer.unwrap_err(), AskError::NodeDown);

    let node = b.node().unwrap();
    let again = a.node().unwrap().id();
    sim.wait_for(secs(10), "the successor is joined by itself", || {
        node.peers().iter().any(|peer| peer.id == again && peer.state == PeerState::Connected)
    })
    .await;
    let fresh: ActorRef<Probing> = b.with(|node| async move { node.whereis("probe").await }).await.unwrap();
    assert_eq!(b.run(async move { fresh.echo("here".into()).await }).await.unwrap(), "here");
}

/// The smaller node's request for a connection hung in its kernel's pauses and kept the other's attempts out for seconds.
#[posse::test(sim, seeds = 20)]
async fn nodes_are_together_again_within_a_second_after_a_partition(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    find(&b, &a).await;
    let partition = sim.partition([&a], [&b]);
    posse::time::sleep(ms(4000 + sim.random_below(4000) as u64)).await;
    partition.repair();
    let (node, id) = (b.node().unwrap(), a.node().unwrap().id());
    sim.wait_for(secs(1), "they are together", || {
        node.peers().iter().any(|peer| peer.id == id && peer.state == PeerState::Connected)
    })
    .await;
}

/// The clock of the test began with the real one, and stood still if the process had run for long.
#[posse::test(sim, seeds = 3)]
async fn time_begins_at_zero_and_is_the_worlds(sim: Sim) {
    assert!(sim.elapsed() < ms(100));
    let before = sim.elapsed();
    posse::time::sleep(secs(3)).await;
    assert!((secs(3)..ms(3001)).contains(&(sim.elapsed() - before)));
}

/// The node that waited for it dialled it every 400 ms for ever, and was refused each time.
#[test]
fn a_node_that_came_back_and_joined_by_itself_is_not_dialled_any_more() {
    let body = |sim: Sim| async move {
        let a = sim.node("a").run(|node: Node| async move {
            while node.join("b:7000").await.is_err() {
                posse::time::sleep(ms(10)).await;
            }
            Ok(())
        });
        let (a, b) = (a.await, sim.node("b").await);
        join(&b, &a).await;
        sim.kill(&a).await;
        posse::time::sleep(ms(1000)).await;
        sim.restart(&a).await;
        posse::time::sleep(secs(10)).await;
        Err::<(), _>("show the journals")
    };
    for seed in 0..20 {
        let journals = run_seed(Options::new(seed), &body).failure.unwrap();
        assert!(journals.contains("show the journals"), "{journals}");
        let connections = journals.matches("connected to port 7000").count();
        assert!(connections <= 12, "seed {seed}: {connections} connections\n{journals}");
    }
}

async fn join(from: &SimMachine, server: &SimMachine) {
    let address = server.address();
    from.with(move |node| async move { node.join(address).await.unwrap() }).await;
}
