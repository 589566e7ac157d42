//! Two honest nodes with different bounds: each bound is crossed, everybody is answered, and the connection stays.

use crate::probe::{Probe, Probing, echo, find, id_of, moment, peer, probe_of, server, state};
use posse::WhereisError;
use posse::cluster::{NodeConfig, PeerState};
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::task::JoinHandle;
use posse::time::{Instant, sleep};
use std::time::Duration;

/// Makes one bound a low one.
type Change = fn(&mut NodeConfig);

/// Bounds as low as they may be, one at a time, and some that go together. Not `control_bytes_max`: who may have 8 KiB of answers waiting is overloaded
/// by hundreds of lookups in one moment, and says so.
const BOUNDS: &[(&str, Change)] = &[
    ("message_bytes_max", |config| config.message_bytes_max = 1024),
    ("decoded_bytes_max", |config| (config.message_bytes_max, config.decoded_bytes_max) = (64 * 1024, 64 * 1024)),
    ("receiving_bytes_max", |config| (config.message_bytes_max, config.receiving_bytes_max) = (1 << 20, 1 << 20)),
    ("unsettled_bytes_max", |config| config.unsettled_bytes_max = 1024),
    ("unsettled_max", |config| config.unsettled_max = 1),
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

#[posse::test(sim, seeds = 22)]
async fn nodes_with_different_bounds_stay_together_and_answer_everybody(sim: Sim) {
    let (what, low) = BOUNDS[sim.random_below(BOUNDS.len())];
    cross(&sim, what, low).await;
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
