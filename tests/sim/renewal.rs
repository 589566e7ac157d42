//! Nodes that were apart for so long that they declared each other down meet again by themselves, as new incarnations.

use crate::probe::{Probing, echo, find, id_of, idle, moment, probe_of, server, state};
use posse::cluster::{DownReason, NodeEvent, NodeEvents, PeerState};
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::time::sleep;
use posse::{ExitReason, NodeId, WhereisError};
use posse_wire::CloseReason;
use std::sync::{Arc, Mutex};

/// Everything that happens at a node.
fn follow(machine: &SimMachine) -> Arc<Mutex<Vec<NodeEvent>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut events, all): (NodeEvents, _) = (machine.node().unwrap().events(), seen.clone());
    machine.spawn(async move {
        while let Some(event) = events.next().await {
            all.lock().unwrap().push(event);
        }
    });
    seen
}

fn renewals(seen: &Arc<Mutex<Vec<NodeEvent>>>) -> Vec<(NodeId, NodeId)> {
    let renewed = |event: &NodeEvent| match event {
        NodeEvent::Renewed { previous: former, now, .. } => Some((*former, *now)),
        _ => None,
    };
    seen.lock().unwrap().iter().filter_map(renewed).collect()
}

fn are_together(nodes: &[&SimMachine]) -> bool {
    let pairs = nodes.iter().flat_map(|a| nodes.iter().map(move |b| (a, b)));
    pairs.filter(|(a, b)| a.name() != b.name()).all(|(a, b)| state(a, id_of(b)) == Some(PeerState::Connected))
}

/// A cut that lasts longer than the grace, of each way or of one.
#[posse::test(sim, seeds = 30)]
async fn nodes_that_declared_each_other_down_meet_again(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    let old = find(&b, &a).await;
    let (ids, logs) = ([id_of(&a), id_of(&b)], [follow(&a), follow(&b)]);
    let watched = old.clone();
    let watching = b.spawn(async move { watched.closed().await });
    let time = secs(17) + moment(&sim, 20_000);
    match sim.random_below(3) {
        0 => sim.partition_oneway(&a, &b).during(time).await,
        1 => sim.partition_oneway(&b, &a).during(time).await,
        _ => sim.partition([&a], [&b]).during(time).await,
    }
    assert_eq!(watching.await.unwrap(), ExitReason::NodeDown);
    sim.wait_for(secs(5), "they are together again", || are_together(&[&a, &b])).await;

    let renewed = [renewals(&logs[0]), renewals(&logs[1])].concat();
    assert!(!renewed.is_empty(), "nobody became another one");
    for (former, now) in renewed {
        assert!(ids.contains(&former) && now.incarnation > former.incarnation);
    }
    assert_ne!([id_of(&a), id_of(&b)], ids);
    assert_eq!(echo(&b, &old, secs(5)).await, Err(AskError::NodeDown));
    let fresh = probe_of(&b, &a).await;
    assert_eq!(echo(&b, &fresh, secs(5)).await.unwrap(), "there?");
    let back = probe_of(&a, &b).await;
    assert_eq!(echo(&a, &back, secs(5)).await.unwrap(), "there?");
    sleep(secs(20)).await;
    assert!(are_together(&[&a, &b]), "it did not last");
    assert_eq!(echo(&b, &fresh, secs(5)).await.unwrap(), "there?");
}

/// A node that stood still for longer than the grace is the one that becomes another: nobody else has to begin anew.
#[posse::test(sim, seeds = 20)]
async fn node_that_stood_still_comes_back_and_nobody_else_changes(sim: Sim) {
    let nodes = [server(&sim, "a").await, server(&sim, "b").await, server(&sim, "c").await];
    let [a, b, c] = &nodes;
    for (from, to) in [(b, a), (c, a), (c, b)] {
        find(from, to).await;
    }
    let (frozen, log) = (id_of(a), follow(a));
    let others = [id_of(b), id_of(c)];
    sim.pause(a);
    sleep(secs(16) + moment(&sim, 10_000)).await;
    sim.resume(a);
    sim.wait_for(secs(6), "all are together again", || are_together(&[a, b, c])).await;
    assert_eq!([id_of(b), id_of(c)], others);
    assert_eq!(renewals(&log), [(frozen, id_of(a))]);
    let fresh = probe_of(b, a).await;
    assert_eq!(echo(b, &fresh, secs(5)).await.unwrap(), "there?");
}

/// One is cut off from three that see each other: the one begins anew, the three go on.
#[posse::test(sim, seeds = 20)]
async fn few_begin_anew_and_many_go_on(sim: Sim) {
    let nodes = [server(&sim, "a").await, server(&sim, "b").await, server(&sim, "c").await, server(&sim, "d").await];
    let [a, b, c, d] = &nodes;
    for (n, from) in nodes.iter().enumerate() {
        for to in &nodes[..n] {
            find(from, to).await;
        }
    }
    let among = probe_of(b, c).await;
    let alone = sim.random_below(4);
    let rest: Vec<&SimMachine> = (0..4).filter(|n| *n != alone).map(|n| &nodes[n]).collect();
    let before: Vec<NodeId> = rest.iter().map(|node| id_of(node)).collect();
    sim.partition([&nodes[alone]], rest.clone()).during(secs(17) + moment(&sim, 10_000)).await;
    sim.wait_for(secs(6), "all are together again", || are_together(&[a, b, c, d])).await;
    assert_eq!(rest.iter().map(|node| id_of(node)).collect::<Vec<_>>(), before);
    if alone != 1 && alone != 2 {
        assert_eq!(echo(b, &among, secs(5)).await.unwrap(), "there?");
    }
}

/// A node that does not listen comes back as well, and what it joined is found through it.
#[posse::test(sim, seeds = 20)]
async fn node_that_only_connected_comes_back(sim: Sim) {
    let (a, host) = (server(&sim, "a").await, idle(&sim, "host").await);
    let address = a.address();
    let node = host.run(async move { Node::builder().name("caller").connect(address).await.unwrap() }).await;
    let former = node.id();
    sim.pause(&host);
    sleep(secs(16) + moment(&sim, 10_000)).await;
    assert_eq!(state(&a, former), Some(PeerState::Down));
    sim.resume(&host);
    let knows_it = || node.peers().iter().any(|peer| peer.state == PeerState::Connected);
    sim.wait_for(secs(6), "it is back", || state(&a, node.id()) == Some(PeerState::Connected) && knows_it()).await;
    assert_ne!(node.id(), former);
    let finder = node.clone();
    let probe = host.run(async move { finder.whereis::<Probing>("probe").await }).await.unwrap();
    assert_eq!(echo(&host, &probe, secs(5)).await.unwrap(), "there?");
}

/// While the node that was joined is away, and nobody else has the name, that is what `find` says.
#[posse::test(sim, seeds = 5)]
async fn name_of_a_node_that_is_down_is_not_said_to_be_unknown(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    find(&b, &a).await;
    let id = id_of(&a);
    sim.kill(&a).await;
    sim.wait_for(secs(1), "it is down", || state(&b, id) == Some(PeerState::Down)).await;
    let found = b.with(|node| async move { node.whereis::<Probing>("probe").await }).await;
    let error = found.unwrap_err();
    assert_eq!(error, WhereisError::NodeDown { name: "probe".into(), node: "a".into(), at: vec![a.address()] });
    assert_eq!(error.to_string(), format!("node `a` at {}, which may know the name `probe`, is down", a.address()));
    sim.restart(&a).await;
    sim.wait_for(secs(5), "it is back", || state(&b, id_of(&a)) == Some(PeerState::Connected)).await;
    let found = b.with(|node| async move { node.whereis::<Probing>("nobody").await }).await;
    assert_eq!(found.unwrap_err(), WhereisError::NotFound { name: "nobody".into() });
}

/// Another process has taken the name: the first one is told, and says so.
#[posse::test(sim, seeds = 10)]
async fn node_whose_name_was_taken_hears_of_it(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    find(&a, &b).await;
    let (first, log, other) = (id_of(&a), follow(&a), follow(&b));
    let forth = b.address();
    let twin = sim.host("twin", move || async move {
        let node = Node::builder().name("a").listen("twin:7000").await?;
        node.join(forth).await?;
        std::future::pending().await
    });
    let _twin = twin.await;
    let is_told = |event: &NodeEvent| matches!(event, NodeEvent::Superseded { by } if *by > first.incarnation);
    sim.wait_for(secs(5), "it is told", || log.lock().unwrap().iter().any(is_told)).await;
    sim.wait_for(secs(1), "it is refused", || {
        log.lock().unwrap().iter().any(|event| matches!(event, NodeEvent::Refused { code: CloseReason::Stale, .. }))
    })
    .await;
    let found = a.with(|node| async move { node.whereis::<Probing>("elsewhere").await }).await;
    let error = found.unwrap_err();
    let refused = WhereisError::Refused { name: "elsewhere".into(), at: vec![b.address()], code: CloseReason::Stale };
    assert_eq!(error, refused);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), CloseReason::Stale.to_string());
    let replaced = |event: &NodeEvent| matches!(event, NodeEvent::Down { node, reason: DownReason::Replaced, .. } if *node == first);
    assert!(other.lock().unwrap().iter().any(replaced));
    sleep(secs(20)).await;
    assert_eq!(log.lock().unwrap().iter().filter(|event| is_told(event)).count(), 1);
    assert_eq!(id_of(&a), first);
}
