//! What nodes say, against the table of the guide: each event of theirs is produced, with its level and its fields.

use crate::heard::{Heard, listen, matches_the_guide, with_text};
use crate::probe::{Probing, find, id_of, idle, probe_of, server, state};
use crate::rogue::{Frame, Rogue};
use posse::cluster::{DisconnectReason, NodeEvent, PeerState};
use posse::prelude::*;
use posse::sim::{Options, Sim, SimMachine, Skew, run_seed};
use posse::time::sleep;
use posse_wire::{CloseReason, FrameKind};
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex};

/// What is said while a test runs, once.
fn said<F, Fut>(body: F) -> Vec<Heard>
where
    F: Fn(Sim) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (report, heard) = listen(|| run_seed(Options::new(0), &body));
    assert_eq!(report.failure, None);
    heard
}

/// A node comes and leaves, one breaks the protocol, somebody speaks another language.
async fn come_and_go(sim: Sim) {
    let (a, b, host) = (server(&sim, "a").await, sim.node("b").await, idle(&sim, "host").await);
    find(&b, &a).await;
    b.with(|node| async move { node.shutdown().await }).await;
    let address = a.address();
    host.run(async move {
        let mut rogue = Rogue::enter(address, "rogue").await;
        rogue.send(&Frame::new(FrameKind::Ack).words([1, 0, 0, 0, 0, 0])).await;
        rogue.ends(secs(5)).await;
        let mut stranger = TcpStream::connect(address).await.unwrap();
        stranger.write_all(b"GET / HTTP/1.1").await.unwrap();
        crate::probe::until_closed(&mut stranger, secs(5)).await;
    })
    .await;
}

/// Two processes of one name, as long as it takes: the first one tries again and again.
async fn two_of_one_name(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    find(&b, &a).await;
    let (first, forth, back) = (id_of(&a), b.address(), a.address());
    let twin = sim.host("twin", move || async move {
        let node = Node::builder().name("a").listen("twin:7000").await?;
        assert!(node.join(back).await.is_err());
        node.join(forth).await?;
        std::future::pending().await
    });
    let _twin = twin.await;
    sim.wait_for(secs(5), "the first one is down", || state(&b, first) == Some(PeerState::Down)).await;
    let address = b.address();
    a.spawn(a_node_of(address));
    sleep(secs(25)).await;
}

/// One more node that is refused as it has a name that another one has.
async fn a_node_of(address: std::net::SocketAddr) {
    for _ in 0..20 {
        let stale = Rogue::hello("a");
        let Ok(stream) = TcpStream::connect(address).await else { return };
        assert!(Rogue::shake_hands(stream, posse_wire::Role::Initiator, stale).await.is_none());
    }
}

/// The clock goes back before a restart; two are apart for too long.
async fn return_as_another(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    find(&b, &a).await;
    sim.restart_with_skew(&a, Skew { ahead_ns: -3_600_000_000_000, drift_ppm: 0 }).await;
    sim.wait_for(secs(10), "they meet", || state(&b, id_of(&a)) == Some(PeerState::Connected)).await;
    sim.partition([&a], [&b]).during(secs(20)).await;
    sim.wait_for(secs(10), "they meet again", || state(&b, id_of(&a)) == Some(PeerState::Connected)).await;
    probe_of(&b, &a).await;
}

/// The one that is missing takes a fault of the system: running out of descriptors or memory, and connections that break before
/// they are taken, are the listener's own business.
#[test]
fn events_of_nodes_are_as_the_guide_has_them() {
    let mut all = said(come_and_go);
    let left = with_text(&all, "disconnected").find(|event| event.fields["node.name"] == "b").unwrap();
    assert_eq!((&*left.fields["reason"], &*left.fields["lost"]), ("the other node ended it: the node shuts down", "0"));
    let ended = with_text(&all, "this node ends the connection").next().unwrap();
    assert_eq!(
        (&*ended.fields["node.name"], &*ended.fields["detail"]),
        ("rogue", "an acknowledgement of what was not sent")
    );

    let twins = said(two_of_one_name);
    let refused: Vec<_> = with_text(&twins, "a handshake was refused").collect();
    let stale = |event: &&&Heard| event.fields["by"] == "this node" && event.fields["node.name"] == "a";
    let times = refused.iter().filter(stale).count();
    assert!((1..=4).contains(&times), "said {times} times in 25 s");
    let unsaid = |event: &Heard| event.fields["unsaid"].parse::<u64>().unwrap();
    let counted = refused.iter().filter(stale).map(|event| 1 + unsaid(event)).sum::<u64>();
    let at_last: u64 = with_text(&twins, "handshakes were refused").map(unsaid).sum();
    assert!(counted + at_last >= 20, "{counted} and {at_last}");
    all.extend(twins);
    all.extend(said(return_as_another));
    matches_the_guide(&all, "posse::node", &["a connection could not be accepted"]);
}

#[test]
fn a_closure_that_stays_behind_is_said_as_the_guide_has_it() {
    let all = said(|sim| async move {
        let host = idle(&sim, "host").await;
        host.run(async {
            posse::task::spawn_blocking(|| {
                struct Waits;
                impl Drop for Waits {
                    fn drop(&mut self) {
                        posse::runtime::Handle::current().block_on(std::future::pending::<()>());
                    }
                }
                while catch_unwind(|| drop(Waits)).is_err() {}
            });
        })
        .await;
        sleep(secs(1)).await;
    });
    let left: Vec<_> = with_text(&all, "a blocking closure could not be unwound with its machine").collect();
    assert_eq!(left.len(), 1, "{all:?}");
    assert!(left[0].level == "WARN" && left[0].target == "posse::runtime" && left[0].fields.is_empty());
}

/// Why the connections to others were gone, as a node's events have it.
fn reasons(machine: &SimMachine) -> Arc<Mutex<Vec<DisconnectReason>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mut events, all) = (machine.node().unwrap().events(), seen.clone());
    machine.spawn(async move {
        while let Some(event) = events.next().await {
            if let NodeEvent::Disconnected { reason, .. } = event {
                all.lock().unwrap().push(reason);
            }
        }
    });
    seen
}

async fn meet(sim: &Sim, a: &SimMachine, b: &SimMachine) {
    for (from, to) in [(a, b), (b, a)] {
        sim.wait_for(secs(10), "they are together", || state(from, id_of(to)) == Some(PeerState::Connected)).await;
    }
}

/// However a connection ends, the program hears how.
#[posse::test(sim, seeds = 10)]
async fn each_end_of_a_connection_has_its_reason(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    find(&b, &a).await;
    let (at_a, at_b) = (reasons(&a), reasons(&b));
    meet(&sim, &a, &b).await;

    sim.reset_connections(&a, &b);
    sleep(secs(1)).await;
    meet(&sim, &a, &b).await;
    for reasons in [&at_a, &at_b] {
        let reasons = std::mem::take(&mut *reasons.lock().unwrap());
        let is_silent = |reason| matches!(reason, &DisconnectReason::Failed(_) | &DisconnectReason::Closed);
        assert!(!reasons.is_empty() && reasons.iter().all(is_silent), "{reasons:?}");
    }

    sim.partition_oneway(&b, &a).during(secs(6)).await;
    sleep(secs(2)).await;
    meet(&sim, &a, &b).await;
    let at_a = at_a.lock().unwrap().clone();
    let is_silence = |reason: &DisconnectReason| {
        matches!(reason, DisconnectReason::LocallyClosed { code: CloseReason::IdleTimeout, .. })
    };
    assert!(at_a.iter().any(is_silence), "{at_a:?}");

    let host = idle(&sim, "host").await;
    let address = a.address();
    let all = reasons(&a);
    host.run(async move {
        let mut rogue = Rogue::enter(address, "rogue").await;
        rogue.send(&Frame::new(FrameKind::GoAway).body([vec![9], vec![0; 15], b"enough".to_vec()].concat())).await;
        rogue.ends(secs(5)).await;
        let mut rogue = Rogue::enter(address, "other").await;
        rogue.send(&Frame::new(FrameKind::Ack).words([1, 0, 0, 0, 0, 0])).await;
        rogue.ends(secs(5)).await;
    })
    .await;
    sim.wait_for(secs(10), "both are told", || all.lock().unwrap().len() == 2).await;
    let (peer, own) = (CloseReason::Overloaded, CloseReason::Protocol);
    assert_eq!(all.lock().unwrap()[0], DisconnectReason::ClosedByPeer { code: peer, detail: "enough".into() });
    let detail = "an acknowledgement of what was not sent".into();
    assert_eq!(all.lock().unwrap()[1], DisconnectReason::LocallyClosed { code: own, detail });
    let probe: ActorRef<Probing> = probe_of(&b, &a).await;
    drop(probe);
}
