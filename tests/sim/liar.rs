//! Hostile peers that are let in and say what they like: honest nodes talk to each other as if they were not there.

use crate::probe::{Probe, Probing, echo, find, id_of, idle, moment, server, settled, state};
use crate::rogue::{Frame, Rogue};
use posse::cluster::PeerState;
use posse::prelude::*;
use posse::sim::Sim;
use posse::time::sleep;
use posse_wire::{FrameKind, Role};
use std::net::SocketAddr;
use std::time::Duration;

/// Whatever a liar says, in whatever order, whether it reads the answers or not: honest nodes talk to each other as if it
/// were not there.
#[posse::test(sim, seeds = 40)]
async fn liar_harms_nobody_else(sim: Sim) {
    let (a, b, host) = (server(&sim, "a").await, sim.node("b").await, idle(&sim, "host").await);
    let probe = find(&b, &a).await;
    let (address, dice) = (a.address(), sim.clone());
    let lying = host.spawn(async move {
        for n in 0..3 {
            let mut liar = Rogue::enter(address, &format!("liar{n}")).await;
            liar.script(&dice, 100).await;
        }
    });
    for _ in 0..20 {
        // The probe may be busy for what liars asked of it before: 3 s for each ask in its turn at most.
        assert_eq!(echo(&b, &probe, secs(1000)).await.unwrap(), "there?");
        sleep(moment(&sim, 50)).await;
        assert_eq!(state(&b, id_of(&a)), Some(PeerState::Connected));
    }
    lying.abort();
}

/// One of a kind, as often as one likes.
fn of_kind(rogue: &Rogue, kind: usize, n: u64) -> Frame {
    let id = n | 1 << 32;
    match kind {
        0 => Frame::new(FrameKind::Resolve).correlation(n).body([vec![0; 8], n.to_le_bytes().to_vec()].concat()),
        1 => Frame::new(FrameKind::Watch).correlation(n).to(rogue.probe),
        2 => Frame::new(FrameKind::Unwatch).correlation(n / 2),
        3 => rogue.ask("echo", &1_u64.to_le_bytes().iter().chain(b"x").copied().collect::<Vec<_>>(), n),
        4 => Frame::new(FrameKind::Cancel).correlation(n / 2),
        5 => Frame::new(FrameKind::Ping).words([n, n]),
        6 => Frame::new(FrameKind::Pong).words([n, n]),
        7 => {
            let name = format!("third-{n}");
            let id = posse::NodeId::new(&name, n);
            let body = [&(name.len() as u16).to_le_bytes()[..], name.as_bytes(), b"host:1"].concat();
            Frame::new(FrameKind::NodeInfo).words([id.name_hash, id.incarnation]).and_body(&body)
        }
        8 => Frame::new(FrameKind::Backlog).words([n, 1, 1]),
        9 => Frame::new(FrameKind::Ack).words([0; 6]),
        10 => Frame::new(FrameKind::Reply).correlation(id).body([0; 8]),
        11 => Frame::new(FrameKind::Types).body([(n as u32).to_le_bytes(), (n as u32).to_le_bytes()].concat()),
        12 => Frame::new(FrameKind::GoAway).body([vec![n as u8 % 16], vec![0; 15]].concat()),
        _ => rogue.tell_nobody(n),
    }
}

/// Floods of one kind, anything drawn, and anything with a bit turned; at any moment, also within a frame, it leaves.
async fn flood(sim: Sim, node: SocketAddr, name: String) {
    let probe = Rogue::enter(node, &name).await.probe;
    for _ in 0..4 {
        // Its former connection may not be closed yet.
        let Ok(stream) = TcpStream::connect(node).await else { return };
        let Some(mut rogue) = Rogue::shake_hands(stream, Role::Initiator, Rogue::hello(&name)).await else {
            sleep(moment(&sim, 100)).await;
            continue;
        };
        rogue.probe = probe;
        let (kind, reads, is_wild) = (sim.random_below(16), sim.random_below(2) == 0, sim.random_below(3) == 0);
        let lasts = 20 + sim.random_below(400) as u64;
        for n in 1..lasts {
            let frame = if kind < 14 { of_kind(&rogue, kind, n) } else { rogue.draw(&sim) };
            let mut bytes = frame.bytes();
            if is_wild && sim.random_below(20) == 0 {
                let at = sim.random_below(bytes.len());
                bytes[at] ^= 1 << sim.random_below(8);
            }
            let cut = if n + 1 == lasts { sim.random_below(bytes.len()) } else { bytes.len() };
            if !rogue.send_bytes(&bytes[..cut]).await || (reads && !rogue.read_for(ms(1)).await) {
                break;
            }
        }
        if sim.random_below(2) == 0 {
            let _ = rogue.stream.set_linger(Some(Duration::ZERO));
        }
        drop(rogue);
        sleep(moment(&sim, 100)).await;
    }
}

/// Hostile peers flood a node with frames of every kind, true, drawn and broken, and leave within them, while honest nodes
/// talk to it: every honest ask is answered. When they are gone, nothing of them is left: the audit after the run checks the
/// accounts of every relation that is down.
#[posse::test(sim, seeds = 40)]
async fn floods_of_every_kind_leave_every_honest_ask_answered_and_nothing_behind(sim: Sim) {
    let (a, b, c) = (server(&sim, "a").await, sim.node("b").await, server(&sim, "c").await);
    let host = idle(&sim, "host").await;
    // Not the one that rogues know: they have it sleep for as long as they like.
    let apart = a.run(async { posse::spawn(Probe::default).share::<Probing>() }).await;
    a.with(|node| async move { node.register("apart", apart).await }).await.unwrap();
    find(&b, &a).await;
    find(&c, &a).await;
    let find_apart = |node: Node| async move { node.whereis::<Probing>("apart").await.unwrap() };
    let probes = [b.with(find_apart).await, find(&b, &c).await, c.with(find_apart).await];
    let floods: Vec<_> = (0..3).map(|n| host.spawn(flood(sim.clone(), a.address(), format!("rogue{n}")))).collect();
    let mut answered = 0;
    while answered < 20 || floods.iter().any(|flood| !flood.is_finished()) {
        for (from, probe) in [&b, &b, &c].into_iter().zip(&probes) {
            assert_eq!(echo(from, probe, secs(5)).await.unwrap(), "there?");
        }
        answered += 1;
        sleep(moment(&sim, 50)).await;
        assert_eq!(state(&b, id_of(&a)), Some(PeerState::Connected));
        assert_eq!(state(&c, id_of(&a)), Some(PeerState::Connected));
    }
    for flood in floods {
        flood.await.unwrap();
    }
    let rogues =
        || a.node().unwrap().peers().into_iter().filter(|peer| peer.name.starts_with("rogue")).collect::<Vec<_>>();
    sim.wait_for(secs(30), "the rogues are down", || rogues().iter().all(|peer| peer.state == PeerState::Down)).await;
    assert!(!rogues().is_empty());
    assert!(rogues().iter().all(|peer| peer.counters.unsettled == 0));
    settled(&sim, &b, id_of(&a)).await;
    settled(&sim, &c, id_of(&a)).await;
}
