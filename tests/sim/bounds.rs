//! Two honest nodes with different bounds: each bound is crossed, everybody is answered, and the connection stays.

use crate::probe::{Probe, Probing, echo, find, id_of, idle, moment, peer, probe_of, server, state};
use crate::rogue::{Frame, Rogue};
use posse::cluster::{NodeConfig, PeerState};
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::task::JoinHandle;
use posse::time::{Instant, sleep};
use posse::{NodeId, WhereisError};
use posse_wire::FrameKind;
use std::time::Duration;

/// Makes one bound a low one.
type Change = fn(&mut NodeConfig);

/// Bounds as low as they may be, one at a time, and some that go together.
const BOUNDS: &[(&str, Change)] = &[
    ("message_bytes_max", |config| config.message_bytes_max = 1024),
    ("decoded_bytes_max", |config| (config.message_bytes_max, config.decoded_bytes_max) = (64 * 1024, 64 * 1024)),
    ("receiving_bytes_max", |config| (config.message_bytes_max, config.receiving_bytes_max) = (1 << 20, 1 << 20)),
    ("unsettled_bytes_max", |config| config.unsettled_bytes_max = 1024),
    ("unsettled_max", |config| config.unsettled_max = 1),
    ("control_bytes_max", |config| (config.message_bytes_max, config.control_bytes_max) = (16 * 1024, 64 * 1024)),
    ("asks_max", |config| config.asks_max = 1),
    ("monitors_max", |config| config.monitors_max = 1),
    ("no monitors at all", |config| config.monitors_max = 0),
    ("half_open_max", |config| config.half_open_max = 1),
    ("peers_max", |config| config.peers_max = 1),
];

/// How long anybody may have to wait.
const WITHIN: Duration = Duration::from_secs(60);

/// Everything that is sent in one direction, more of each kind than fits: each part ends by itself, in time.
fn press(
    from: &SimMachine,
    to: &SimMachine,
    probe: &ActorRef<Probing>,
    mortal: &ActorRef<Probing>,
) -> Vec<JoinHandle<()>> {
    let mut parts = Vec::new();
    for n in 0..200_usize {
        let probe = probe.clone();
        let text = "x".repeat(n * n % 3000);
        parts.push(from.spawn(async move {
            let answer = probe.echo(text).within(WITHIN).await;
            let is_answer = matches!(answer, Ok(_) | Err(AskError::Full | AskError::TooLarge | AskError::Encode(_)));
            assert!(is_answer, "{answer:?}");
        }));
    }
    for n in 0..4 {
        let probe = probe.clone();
        parts.push(from.spawn(async move {
            let answer = probe.weigh(vec![7; 150_000 * n]).within(WITHIN).await;
            let is_answer = matches!(answer, Ok(_) | Err(AskError::Full | AskError::TooLarge | AskError::Decode(_)));
            assert!(is_answer, "{answer:?}");
        }));
    }
    // Given up at once, all in one moment.
    for _ in 0..400 {
        let probe = probe.clone();
        parts.push(from.spawn(async move { drop(probe.echo(String::new()).within(ms(1)).await) }));
    }
    let told = probe.clone();
    parts.push(from.spawn(async move {
        for n in 0..200 {
            told.note(n).await.unwrap();
        }
    }));
    for _ in 0..400 {
        let mortal = mortal.clone();
        parts.push(from.spawn(async move {
            let end = mortal.closed().await;
            let is_end = matches!(end, ExitReason::Normal | ExitReason::NoSuchActor | ExitReason::TooManyMonitors);
            assert!(is_end, "{end:?}");
        }));
    }
    for n in 0..300 {
        let (node, name) =
            (from.node().unwrap(), if n % 2 == 0 { format!("probe-{}", to.name()) } else { "nobody".into() });
        parts.push(from.spawn(async move {
            match node.whereis::<Probing>(&name).await {
                Ok(_) => assert_ne!(name, "nobody"),
                Err(WhereisError::NotFound { .. }) => assert_eq!(name, "nobody"),
                Err(error) => assert!(matches!(error, WhereisError::Overloaded { .. }), "{error}"),
            }
        }));
    }
    parts
}

/// A probe that ends when it is told, found from the other machine.
async fn mortal(at: &SimMachine, from: &SimMachine) -> (LocalRef<Probe>, ActorRef<Probing>) {
    let actor = at
        .with(|node| async move {
            let actor = posse::spawn(Probe::default);
            node.register("mortal", actor.share::<Probing>()).await.unwrap();
            actor
        })
        .await;
    let name = at.name().to_owned();
    let found = from.with(move |node| async move {
        assert_ne!(node.name(), name);
        node.whereis::<Probing>("mortal").await.unwrap()
    });
    (actor, found.await)
}

async fn cross(sim: &Sim, what: &str, low: fn(&mut NodeConfig)) {
    let (mut lower, other) = (NodeConfig::default(), NodeConfig::default());
    low(&mut lower);
    let (of_a, of_b) = if sim.random_below(2) == 0 { (lower, other) } else { (other, lower) };
    let (a, b) = (server(sim, "a").config(of_a).await, server(sim, "b").config(of_b).await);
    let at_a = find(&b, &a).await;
    let at_b = probe_of(&a, &b).await;
    let (dies, seen_dying) = mortal(&a, &b).await;
    let begin = Instant::now();
    let mut parts = press(&b, &a, &at_a, &seen_dying);
    parts.extend(press(&a, &b, &at_b, &at_b).drain(..605));
    sleep(moment(sim, 400)).await;
    dies.stop();
    for part in parts {
        part.await.unwrap();
    }
    assert!(begin.elapsed() < WITHIN, "{what}: {:?}", begin.elapsed());
    for (from, to, probe) in [(&b, &a, &at_a), (&a, &b, &at_b)] {
        assert_eq!(echo(from, probe, secs(5)).await.as_deref(), Ok("there?"), "{what}");
        let found = peer(from, id_of(to)).unwrap();
        assert_eq!((found.state, found.counters.lost), (PeerState::Connected, 0), "{what}");
        assert_eq!(state(to, id_of(from)), Some(PeerState::Connected), "{what}");
    }
}

#[posse::test(sim, seeds = 24)]
async fn nodes_with_different_bounds_stay_together_and_answer_everybody(sim: Sim) {
    let (what, low) = BOUNDS[sim.random_below(BOUNDS.len())];
    cross(&sim, what, low).await;
}

/// Hundreds of names are looked up at once at a node with the least room for answers, by one node or by several: each is
/// answered, and nobody is given up.
#[posse::test(sim, seeds = 12)]
async fn hundreds_of_lookups_at_once_are_answered_whatever_the_room(sim: Sim) {
    let mut least = NodeConfig::default();
    (least.message_bytes_max, least.control_bytes_max) = (16 * 1024, 64 * 1024);
    let a = server(&sim, "a").config(least.clone()).await;
    let config = if sim.random_below(2) == 0 { least } else { NodeConfig::default() };
    let b = server(&sim, "b").config(config).await;
    find(&b, &a).await;
    find(&a, &b).await;
    let mut lookups = Vec::new();
    for n in 0..400 {
        for (from, to) in [(&a, &b), (&b, &a)] {
            let name = if n % 3 == 0 { format!("nobody-{n}") } else { format!("probe-{}", to.name()) };
            let node = from.node().unwrap();
            lookups.push(from.spawn(async move { node.whereis::<Probing>(&name).await.map(|_| n) }));
        }
    }
    // Some leave the line.
    lookups.iter().filter(|_| sim.random_below(10) == 0).for_each(JoinHandle::abort);
    for lookup in lookups {
        match lookup.await {
            Ok(Ok(n)) => assert_ne!(n % 3, 0),
            Ok(Err(error)) => assert!(matches!(error, WhereisError::NotFound { .. }), "{error}"),
            Err(aborted) => assert!(aborted.is_cancelled()),
        }
    }
    for (from, to) in [(&a, &b), (&b, &a)] {
        let found = peer(from, id_of(to)).unwrap();
        assert_eq!((found.state, found.counters.lost), (PeerState::Connected, 0));
    }
}

/// A hostile node sends whatever is held: messages to an actor that does not return, asks whose replies it does not read, monitors, lookups,
/// third nodes, and half of a frame. What is held for it is at no moment more than [`NodeConfig::peer_bytes_max`], which the audit of the
/// simulation looks at whenever the machine rests, and others are served.
#[posse::test(sim, seeds = 8)]
async fn what_a_hostile_node_can_make_another_one_hold_has_a_bound(sim: Sim) {
    let mut config = NodeConfig::default();
    (config.message_bytes_max, config.decoded_bytes_max) = (16 * 1024, 64 * 1024);
    (config.control_bytes_max, config.unsettled_bytes_max, config.unsettled_max) = (64 * 1024, 64 * 1024, 100);
    let (a, b, host) = (server(&sim, "a").config(config).await, sim.node("b").await, idle(&sim, "host").await);
    let probe = find(&b, &a).await;
    a.with(|node| async move {
        let stuck = posse::spawn(Spec::new(Probe::default).capacity(1)).share::<Probing>();
        node.register("stuck", stuck.clone()).await.unwrap();
        posse::task::spawn(async move { drop(stuck.slow(3_600_000).within(secs(3600)).await) });
    })
    .await;
    let (address, dice) = (a.address(), sim.clone());
    let flooding = host.spawn(async move {
        for round in 0..3 {
            let mut rogue = Rogue::enter(address, &format!("rogue{round}")).await;
            let (probe, stuck) = (rogue.probe, rogue.find("Probing", "stuck").await);
            for n in 1..2000 {
                rogue.probe = probe;
                let third = [&1_u16.to_le_bytes()[..], b"n", b"x:1"].concat();
                let long = [&9_000_u64.to_le_bytes()[..], &[7; 9_000]].concat();
                let frame = match dice.random_below(6) {
                    0 => Frame { to: stuck, ..rogue.ask("weigh", &long, n) },
                    1 => rogue.ask("give", &9_000_u64.to_le_bytes(), n),
                    2 => Frame::new(FrameKind::Watch).correlation(n).to(probe),
                    3 => Frame::new(FrameKind::Resolve).correlation(n).body([0; 16]),
                    4 => Frame::new(FrameKind::NodeInfo).words([NodeId::new("n", n).name_hash, n]).and_body(&third),
                    _ => rogue.tell_nobody(n),
                };
                let bytes = frame.bytes();
                let cut = if n == 1999 { bytes.len() - 1 } else { bytes.len() };
                if !rogue.send_bytes(&bytes[..cut]).await {
                    break;
                }
            }
            sleep(moment(&dice, 3000)).await;
        }
    });
    while !flooding.is_finished() {
        assert_eq!(echo(&b, &probe, secs(5)).await.as_deref(), Ok("there?"));
        sleep(ms(50)).await;
    }
    flooding.await.unwrap();
    assert_eq!(state(&b, id_of(&a)), Some(PeerState::Connected));
}

/// Each time of a node's settings, as long as there are. Not `reconnect_min`: of two nodes that dial each other at once both attempts may
/// fail, and who then waits for ever does not come back.
const TIMES: &[fn(&mut NodeConfig, Duration)] = &[
    |config, time| config.handshake_timeout = time,
    |config, time| config.max_idle_timeout = time,
    |config, time| (config.keep_alive_interval, config.max_idle_timeout) = (time - Duration::from_nanos(1), time),
    |config, time| config.down_after = time,
    |config, time| config.return_timeout = time,
    |config, time| config.ack_delay = time,
    |config, time| config.reconnect_max = time,
    |config, time| config.connect_timeout = time,
];

/// A time without a limit is no limit, and nothing overflows: before a connection, on it, and after it broke.
#[posse::test(sim, seeds = 20)]
async fn no_time_of_the_settings_is_too_long(sim: Sim) {
    let mut config = NodeConfig::default();
    let chosen = sim.random_below(TIMES.len() + 1);
    for (n, set) in TIMES.iter().enumerate() {
        if n == chosen || chosen == TIMES.len() {
            set(&mut config, Duration::MAX);
        }
    }
    let (a, b) = (server(&sim, "a").config(config.clone()).await, server(&sim, "b").config(config).await);
    let probe = find(&b, &a).await;
    for _ in 0..3 {
        for _ in 0..20 {
            assert_eq!(echo(&b, &probe, secs(5)).await.as_deref(), Ok("there?"), "{chosen}");
            sleep(moment(&sim, 500)).await;
        }
        let id = id_of(&a);
        sim.reset_connections(&a, &b);
        sim.wait_for(secs(5), "they are together again", || state(&b, id) == Some(PeerState::Connected)).await;
    }
}
