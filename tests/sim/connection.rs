//! Failure scenarios of connections, numbered as in the design of the node protocol.

use crate::probe::{
    echo, find, id_of, idle, message, moment, numbers, peer, probe_of, seen, server, settled, state, until_closed,
};
use crate::rogue::Rogue;
use posse::NodeId;
use posse::cluster::{ConnectError, NodeConfig, PeerState};
use posse::prelude::*;
use posse::sim::{Network, Sim, SimMachine};
use posse::time::{sleep, timeout};
use posse_wire::{AwaitHello, Role};
use std::time::Duration;

async fn join(from: &SimMachine, to: &SimMachine) -> Result<NodeId, ConnectError> {
    let address = to.address();
    from.with(move |node| async move { node.join(address).await }).await
}

/// Somebody else is served as before.
async fn still_serves(sim: &Sim, node: &SimMachine) {
    let honest = sim.node("honest").await;
    let probe = find(&honest, node).await;
    assert_eq!(echo(&honest, &probe, secs(5)).await.unwrap(), "there?");
}

/// Connection 1: refused. Nobody listens, and the one who asks hears it at once.
#[posse::test(sim, seeds = 15)]
async fn refused_connection_is_reported_at_once(sim: Sim) {
    let (a, b) = (idle(&sim, "a").await, sim.node("b").await);
    let begun = sim.elapsed();
    let error = join(&b, &a).await.unwrap_err();
    let ConnectError::Unreachable { at: to, cause } = &error else { panic!("{error}") };
    assert_eq!((to, cause.kind()), (&vec![a.address()], io::ErrorKind::ConnectionRefused));
    assert_eq!(error.to_string(), format!("no node can be reached at {}", a.address()));
    assert!(sim.elapsed() - begun < ms(500));
}

/// Connection 1: refused, after a kill under load. Everybody who waits is told within a second.
#[posse::test(sim, seeds = 15)]
async fn killed_node_refuses_connections_and_is_down_within_a_second(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let id = id_of(&a);
    let asks: Vec<_> = (0..10)
        .map(|_| {
            let probe = probe.clone();
            b.spawn(async move { probe.slow(60_000).within(secs(100)).await })
        })
        .collect();
    sleep(moment(&sim, 20)).await;
    sim.kill(&a).await;
    sim.wait_for(secs(1), "it is down", || state(&b, id) == Some(PeerState::Down)).await;
    for ask in asks {
        assert_eq!(timeout(ms(100), ask).await.unwrap().unwrap(), Err(AskError::NodeDown));
    }
    settled(&sim, &b, id).await;
}

/// Connection 2: requests for a connection vanish. It takes as long as a handshake may.
#[posse::test(sim, seeds = 15)]
async fn black_hole_is_given_up_after_the_time_of_a_handshake(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let partition = sim.partition([&a], [&b]);
    let begun = sim.elapsed();
    assert!(matches!(join(&b, &a).await, Err(ConnectError::Timeout { .. })));
    let took = sim.elapsed() - begun;
    assert!((secs(5)..ms(5100)).contains(&took), "{took:?}");
    partition.repair();
    assert_eq!(join(&b, &a).await.unwrap(), id_of(&a));
}

/// Connections 2 and 7: the power fails. No word comes, nobody answers: silence, then the grace, then it is down.
#[posse::test(sim, seeds = 15)]
async fn node_without_power_is_down_after_silence_and_grace(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let id = id_of(&a);
    sleep(moment(&sim, 1500)).await;
    sim.power_off(&a).await;
    let off = sim.elapsed();
    assert_eq!(echo(&b, &probe, secs(60)).await, Err(AskError::NodeDown));
    let took = sim.elapsed() - off;
    let config = NodeConfig::default();
    let most = config.max_idle_timeout + config.down_after + secs(2);
    assert!(took > config.down_after && took < most, "{took:?}");
    assert_eq!(state(&b, id), Some(PeerState::Down));
    settled(&sim, &b, id).await;
}

/// Connection 3: accepted, then silence.
#[posse::test(sim, seeds = 15)]
async fn mute_acceptor_is_given_up_after_the_time_of_a_handshake(sim: Sim) {
    let mute = sim.host("mute", || async {
        let listener = TcpListener::bind("mute:7000").await?;
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await?);
        }
    });
    let (mute, b) = (mute.await, sim.node("b").await);
    sleep(ms(10)).await;
    let begun = sim.elapsed();
    assert!(matches!(join(&b, &mute).await, Err(ConnectError::Timeout { .. })));
    assert!(sim.elapsed() - begun < ms(5100));
    assert!(b.node().unwrap().peers().is_empty());
}

/// Connections 3 and 4: whoever connects and says nothing, or a part of its introduction, is closed in time.
#[posse::test(sim, seeds = 25)]
async fn who_introduces_itself_by_half_is_closed_in_time(sim: Sim) {
    let (a, host) = (server(&sim, "a").await, idle(&sim, "host").await);
    let (_, hello) = AwaitHello::new(Role::Initiator, Rogue::hello("rogue"));
    let part = hello[..sim.random_below(hello.len())].to_vec();
    let (address, end) = (a.address(), sim.random_below(3));
    host.run(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&part).await.unwrap();
        match end {
            0 => drop(until_closed(&mut stream, ms(5200)).await),
            1 => {
                stream.shutdown().await.unwrap();
                until_closed(&mut stream, ms(500)).await;
            }
            _ => stream.set_linger(Some(Duration::ZERO)).unwrap(),
        }
    })
    .await;
    assert!(a.node().unwrap().peers().is_empty());
    still_serves(&sim, &a).await;
}

/// Connection 4: the one who accepts introduces itself by half, and then is silent, or leaves.
#[posse::test(sim, seeds = 25)]
async fn acceptor_that_introduces_itself_by_half_is_given_up(sim: Sim) {
    let (_, hello) = AwaitHello::new(Role::Initiator, Rogue::hello("half"));
    let part = hello[..sim.random_below(hello.len())].to_vec();
    let leaves = sim.random_below(2) == 0;
    let half = sim.host("half", move || {
        let part = part.clone();
        async move {
            let listener = TcpListener::bind("half:7000").await?;
            loop {
                let (mut stream, _) = listener.accept().await?;
                stream.write_all(&part).await?;
                if !leaves {
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                }
            }
        }
    });
    let (half, b) = (half.await, sim.node("b").await);
    sleep(ms(10)).await;
    let begun = sim.elapsed();
    let error = join(&b, &half).await.unwrap_err();
    assert_eq!(matches!(error, ConnectError::Timeout { .. }), !leaves, "{error}");
    assert!(sim.elapsed() - begun < ms(5100));
    assert!(b.node().unwrap().peers().is_empty());
}

/// Connections 5 and 6: a reset, or an orderly end, in the middle of a frame. The half frame is no message.
#[posse::test(sim, seeds = 25)]
async fn frame_that_ends_in_the_middle_is_no_message(sim: Sim) {
    let (a, host) = (server(&sim, "a").await, idle(&sim, "host").await);
    let (address, reset) = (a.address(), sim.random_below(2) == 0);
    let cut = sim.random_below(1000);
    host.run(async move {
        let mut rogue = Rogue::enter(address, "rogue").await;
        let whole = rogue.frame(message("note"), &1_u64.to_le_bytes());
        let half = rogue.frame(message("note"), &2_u64.to_le_bytes());
        rogue.stream.write_all(&whole).await.unwrap();
        rogue.stream.write_all(&half[..cut % half.len()]).await.unwrap();
        sleep(ms(100)).await;
        if reset {
            rogue.stream.set_linger(Some(Duration::ZERO)).unwrap();
        } else {
            rogue.stream.shutdown().await.unwrap();
            rogue.ends(ms(500)).await;
        }
    })
    .await;
    let away = || a.node().unwrap().peers().iter().any(|peer| peer.state != PeerState::Connected);
    sim.wait_for(secs(1), "the rogue is away", away).await;
    let near = probe_of(&a, &a).await;
    assert_eq!(numbers(&seen(&a, &near).await), [1]);
    sim.wait_for(secs(11), "the rogue, which does not listen, is down after the grace", || {
        a.node().unwrap().peers().iter().all(|peer| peer.state == PeerState::Down)
    })
    .await;
    still_serves(&sim, &a).await;
}

/// Connection 5, between two nodes under load: what was on its way is lost and counted, what waited goes on.
#[posse::test(sim, seeds = 20)]
async fn resets_under_load_lose_only_what_was_on_its_way(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let (id, told) = (id_of(&a), probe.clone());
    let telling = b.spawn(async move {
        for n in 0..300 {
            told.note(n).await.unwrap();
            if n % 7 == 0 {
                sleep(ms(1)).await;
            }
        }
    });
    for _ in 0..3 {
        sleep(moment(&sim, 40)).await;
        sim.reset_connections(&a, &b);
    }
    telling.await.unwrap();
    let noted = numbers(&seen(&b, &probe).await).len() as u64;
    let counters = settled(&sim, &b, id).await;
    // Resolving and asking are no notes; an ask that was lost would not have been answered.
    let asks = counters.accepted - 300;
    assert!(noted + counters.lost >= 300 && noted <= 300, "{noted} noted, {counters:?}");
    assert!(counters.acked <= noted + asks);
    assert_eq!(state(&b, id), Some(PeerState::Connected));
}

/// Connection 7: half-open. The power was off for so short a time that nobody noticed; the connection is known to one side.
#[posse::test(sim, seeds = 20)]
async fn half_open_connection_is_noticed_by_the_next_sign_of_life(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let old = id_of(&a);
    sim.power_off(&a).await;
    sleep(moment(&sim, 500)).await;
    sim.restart(&a).await;
    let up = sim.elapsed();
    sim.wait_for(secs(3), "the old one is down", || state(&b, old) == Some(PeerState::Down)).await;
    let new = id_of(&a);
    sim.wait_for(secs(5), "the new one is joined", || state(&b, new) == Some(PeerState::Connected)).await;
    assert!(sim.elapsed() - up < secs(5));
    assert_eq!(echo(&b, &probe, secs(1)).await, Err(AskError::NodeDown));
}

/// Connection 8: nothing gets from A to B for a while, the other way is open.
#[posse::test(sim, seeds = 20)]
async fn one_way_loss_breaks_the_connection_and_it_heals(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let id = id_of(&a);
    let (from, to) = if sim.random_below(2) == 0 { (&a, &b) } else { (&b, &a) };
    let cut = sim.partition_oneway(from, to);
    let time = secs(1) + moment(&sim, 7000);
    let told = probe.clone();
    let telling = b.spawn(async move {
        for n in 0..100 {
            told.note(n).await.unwrap();
            sleep(ms(50)).await;
        }
    });
    cut.during(time).await;
    sim.wait_for(secs(5), "they are together", || state(&b, id) == Some(PeerState::Connected)).await;
    telling.await.unwrap();
    numbers(&seen(&b, &probe).await);
    settled(&sim, &b, id).await;
}

/// Connection 8, for longer than the grace: in the end both agree that the other is gone.
#[posse::test(sim, seeds = 20)]
async fn one_way_loss_beyond_the_grace_is_down_for_both(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let cut = sim.partition_oneway(&a, &b);
    sleep(secs(16) + moment(&sim, 4000)).await;
    let both = || state(&b, id_of(&a)) == Some(PeerState::Down) && state(&a, id_of(&b)) == Some(PeerState::Down);
    sim.wait_for(secs(5), "both are down for each other", both).await;
    cut.repair();
    assert_eq!(echo(&b, &probe, secs(1)).await, Err(AskError::NodeDown));
}

/// Connection 9: half a second of nothing, then everything at once. Nobody is given up, nothing is lost.
#[posse::test(sim, seeds = 20)]
async fn stall_and_burst_lose_nothing(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let (id, told) = (id_of(&a), probe.clone());
    let telling = b.spawn(async move {
        for n in 0..600 {
            told.note(n).await.unwrap();
            sleep(ms(5)).await;
        }
    });
    for _ in 0..4 {
        sim.hold(&a, &b).during(ms(500)).await;
        sleep(moment(&sim, 300)).await;
    }
    telling.await.unwrap();
    assert_eq!(numbers(&seen(&b, &probe).await), (0..600).collect::<Vec<_>>());
    let counters = settled(&sim, &b, id).await;
    assert_eq!((counters.lost, counters.undelivered()), (0, 0));
}

/// Connection 9, for longer than silence may last: the connection is stuck, not broken, with frames written in part and
/// traffic waiting. It is given up; the next one is not ended by what was to be said on it, and what waited arrives.
#[posse::test(sim, seeds = 20)]
async fn what_waits_behind_a_stuck_connection_arrives_over_the_next(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let mut narrow = Network::default();
    narrow.window = 4096;
    sim.set_link(&b, &a, narrow);
    let probe = find(&b, &a).await;
    let (id, told) = (id_of(&a), probe.clone());
    const NOTES: u64 = 9000;
    let telling = b.spawn(async move {
        for n in 0..NOTES {
            told.note(n).await.unwrap();
            if n % 2 == 0 {
                sleep(ms(2)).await;
            }
        }
    });
    sleep(moment(&sim, 300)).await;
    let time = ms(5000) + moment(&sim, 4000);
    if sim.random_below(2) == 0 {
        sim.hold(&a, &b).during(time).await
    } else {
        sim.partition([&a], [&b]).during(time).await
    }
    let together = || state(&b, id) == Some(PeerState::Connected);
    sim.wait_for(secs(2), "they are together", together).await;
    for _ in 0..1000 {
        sleep(ms(1)).await;
        assert!(together(), "the next connection ends too");
    }
    telling.await.unwrap();
    let noted = numbers(&seen(&b, &probe).await).len() as u64;
    let counters = settled(&sim, &b, id).await;
    // What the network can hold, and what was read without the acknowledgement getting back.
    assert!(counters.lost <= 4096 / 24 + 200, "{counters:?}");
    assert!(noted <= NOTES && noted + counters.lost >= NOTES, "{noted} noted, {counters:?}");
}

/// Connection 10: a peer of one byte a second. Its handshake does not end in time, and a frame of it is as good as silence.
#[posse::test(sim, seeds = 15)]
async fn peer_of_one_byte_a_second_is_given_up(sim: Sim) {
    let (a, host) = (server(&sim, "a").await, idle(&sim, "host").await);
    let (address, greets) = (a.address(), sim.random_below(2) == 0);
    let trickling = host.spawn(async move {
        let (mut stream, bytes) = if greets {
            let (_, hello) = AwaitHello::new(Role::Initiator, Rogue::hello("rogue"));
            (TcpStream::connect(address).await.unwrap(), hello)
        } else {
            let mut rogue = Rogue::enter(address, "rogue").await;
            let frame = rogue.frame(message("note"), &1_u64.to_le_bytes());
            (rogue.stream, frame)
        };
        for (written, byte) in bytes.iter().enumerate() {
            if stream.write_all(&[*byte]).await.is_err() {
                return written;
            }
            sleep(secs(1)).await;
        }
        bytes.len()
    });
    let written = timeout(secs(8), trickling).await.expect("it may go on").unwrap();
    assert!(written <= 7, "{written}");
    still_serves(&sim, &a).await;
}

/// Connection 10, the honest case: a large message over a slow way takes longer than silence may, and is no silence.
#[posse::test(sim, seeds = 8)]
async fn large_message_over_a_slow_way_arrives(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let mut slow = Network::default();
    slow.bandwidth = Some(100_000);
    sim.set_link(&b, &a, slow);
    let weighed = probe.clone();
    let weight = b.run(async move { weighed.weigh(vec![7; 1_000_000]).within(secs(60)).await }).await;
    assert_eq!(weight, Ok(1_000_000));
    assert_eq!(peer(&b, id_of(&a)).unwrap().counters.lost, 0);
}

/// Connection 11: both connect at once, in both orders, with all kinds of delays. One connection stays.
#[posse::test(sim, seeds = 40)]
async fn nodes_that_connect_to_each_other_at_once_share_one_connection(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    for (from, to) in [(&a, &b), (&b, &a)] {
        let mut network = Network::default();
        network.latency = Duration::from_micros(100)..ms(1 + sim.random_below(60) as u64);
        sim.set_link(from, to, network);
    }
    let (first, second) = if sim.random_below(2) == 0 { (&a, &b) } else { (&b, &a) };
    let (there, here) = (second.address(), first.address());
    let node = first.node().unwrap();
    let forth = first.spawn(async move { node.join(there).await });
    sleep(moment(&sim, 60)).await;
    let node = second.node().unwrap();
    let back = second.spawn(async move { node.join(here).await });
    assert_eq!(forth.await.unwrap().unwrap(), id_of(second));
    assert_eq!(back.await.unwrap().unwrap(), id_of(first));

    for (from, to) in [(&a, &b), (&b, &a)] {
        let id = id_of(to);
        sim.wait_for(secs(1), "they are together", || state(from, id) == Some(PeerState::Connected)).await;
        assert_eq!(from.node().unwrap().peers().len(), 1);
    }
    let near = probe_of(&a, &a).await;
    assert!(near.is_local());
    sleep(secs(3)).await;
    for (from, to) in [(&a, &b), (&b, &a)] {
        let found = peer(from, id_of(to)).unwrap();
        assert_eq!((found.state, found.counters.lost), (PeerState::Connected, 0));
    }
}
