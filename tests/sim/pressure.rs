//! Two nodes under pressure: replies that are not read, actors that do not return, ways that are stuck or cut for any time.

use crate::probe::{
    Note, Probe, Probing, echo, find, id_of, idle, message, moment, numbers, peer, probe_of, seen, server, settled,
    state,
};
use crate::rogue::Rogue;
use posse::cluster::{NodeConfig, PeerState};
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::sync::CancellationToken;
use posse::task::coop::poll_proceed;
use posse::time::{sleep, timeout};
use posse_wire::Event;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

/// A sixteenth of the usual bounds, so that what is large is quick to simulate.
fn small() -> NodeConfig {
    let mut config = NodeConfig::default();
    config.message_bytes_max = 1024 * 1024;
    config.control_bytes_max = 8 * 1024 * 1024;
    config
}

/// Nobody says anything for minutes: signs of life alone keep the two together, whichever comes first.
#[posse::test(sim, seeds = 10)]
async fn idle_nodes_stay_together(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    find(&b, &a).await;
    sleep(moment(&sim, 1000)).await;
    for _ in 0..600 {
        sleep(ms(200)).await;
        assert_eq!(state(&b, id_of(&a)), Some(PeerState::Connected));
        assert_eq!(state(&a, id_of(&b)), Some(PeerState::Connected));
    }
}

/// Large replies to many asks at once, from one actor and from several, are read as fast as they come: all arrive.
#[posse::test(sim, seeds = 6)]
async fn large_replies_to_many_asks_at_once_all_arrive(sim: Sim) {
    let (a, b) = (server(&sim, "a").config(small()).await, sim.node("b").config(small()).await);
    let probe = find(&b, &a).await;
    let mut probes = vec![probe];
    for n in 0..8 {
        let name = format!("extra{n}");
        a.with(move |node| async move {
            node.register(&name, posse::spawn(Probe::default).share::<Probing>()).await.unwrap();
        })
        .await;
        let name = format!("extra{n}");
        probes.push(b.with(move |node| async move { node.whereis::<Probing>(&name).await.unwrap() }).await);
    }
    for (count, bytes) in [(64, 64 * 1024), (200, 16 * 1024), (8, 960 * 1024)] {
        let spread = sim.random_below(2) == 0;
        let asks: Vec<_> = (0..count)
            .map(|n| {
                let probe = probes[if spread { n % probes.len() } else { 0 }].clone();
                b.spawn(async move { probe.give(bytes).within(secs(60)).await })
            })
            .collect();
        for ask in asks {
            assert_eq!(ask.await.unwrap().map(|given| given.len() as u64), Ok(bytes));
        }
    }
    let found = peer(&b, id_of(&a)).unwrap();
    assert_eq!((found.state, found.counters.lost), (PeerState::Connected, 0));
}

/// A peer asks for much and reads nothing. Few of its asks are begun, what waits for it is bounded, nobody is given up; when
/// it reads, it gets everything.
#[posse::test(sim, seeds = 8)]
async fn asks_of_who_reads_no_replies_wait_until_it_does(sim: Sim) {
    let mut config = NodeConfig::default();
    (config.message_bytes_max, config.control_bytes_max) = (256 * 1024, 1024 * 1024);
    let (a, b, host) = (server(&sim, "a").config(config).await, sim.node("b").await, idle(&sim, "host").await);
    let probe = find(&b, &a).await;
    let (address, begun) = (a.address(), Arc::new(AtomicU64::new(0)));
    let given = begun.clone();
    let asking = host.spawn(async move {
        let mut rogue = Rogue::enter(address, "rogue").await;
        for _ in 0..200 {
            let (probe, give) = (rogue.probe, message("give"));
            rogue.session.ask(probe, give, &40_000_u64.to_le_bytes(), secs(60), "give").unwrap();
        }
        rogue.flush().await;
        sleep(secs(3)).await;
        for _ in 0..200 {
            assert!(matches!(rogue.next().await, Event::Reply("give", body) if body.len() == 40_008));
            given.fetch_add(1, Ordering::Relaxed);
        }
    });
    sleep(ms(2500)).await;
    // Somebody else is served as before.
    assert_eq!(echo(&b, &probe, secs(1)).await.unwrap(), "there?");
    let gives = seen(&b, &probe).await.iter().filter(|entry| entry.starts_with("give")).count();
    assert!(gives > 0 && gives <= 1024 * 1024 / 40_000, "{gives} begun");
    asking.await.unwrap();
    assert_eq!(begun.load(Ordering::Relaxed), 200);
}

/// A large reply that nobody waits for any more is dropped, and others find the room.
#[posse::test(sim, seeds = 8)]
async fn reply_that_expires_unread_makes_room(sim: Sim) {
    let mut config = NodeConfig::default();
    (config.message_bytes_max, config.control_bytes_max) = (256 * 1024, 1024 * 1024);
    let (a, host) = (server(&sim, "a").config(config).await, idle(&sim, "host").await);
    let address = a.address();
    host.run(async move {
        let mut rogue = Rogue::enter(address, "rogue").await;
        let (probe, give) = (rogue.probe, message("give"));
        for _ in 0..30 {
            rogue.session.ask(probe, give, &200_000_u64.to_le_bytes(), secs(1), "stale").unwrap();
        }
        rogue.flush().await;
        sleep(ms(2500)).await;
        rogue.session.ask(probe, give, &10_u64.to_le_bytes(), secs(60), "fresh").unwrap();
        let mut stale = 0;
        while let Event::Reply("stale", _) | Event::ReplyErr("stale", ..) = rogue.next().await {
            stale += 1;
        }
        assert!(stale <= 30);
    })
    .await;
}

/// An actor that takes few messages, registered under a name.
async fn narrow(at: &SimMachine, from: &SimMachine, name: &'static str) -> ActorRef<Probing> {
    with_capacity(at, from, name, 4).await
}

async fn with_capacity(at: &SimMachine, from: &SimMachine, name: &'static str, capacity: usize) -> ActorRef<Probing> {
    at.with(move |node| async move {
        let recipe = Spec::new(Probe::default).capacity(capacity);
        node.register(name, posse::spawn(recipe).share::<Probing>()).await.unwrap();
    })
    .await;
    from.with(move |node| async move { node.whereis::<Probing>(name).await.unwrap() }).await
}

/// Actors that never return, each with more messages than the nodes have room for; others are served at once.
#[posse::test(sim, seeds = 12)]
async fn actors_that_never_return_leave_room_for_others(sim: Sim) {
    let mut config = NodeConfig::default();
    config.unsettled_max = 200;
    let (a, b) = (server(&sim, "a").config(config.clone()).await, sim.node("b").config(config).await);
    let probe = find(&b, &a).await;
    let mut telling = Vec::new();
    for name in ["stuck1", "stuck2", "stuck3"] {
        let stuck = narrow(&a, &b, name).await;
        let busy = stuck.clone();
        telling.push(b.spawn(async move { drop(busy.slow(3_600_000).within(secs(3600)).await) }));
        for _ in 0..4 {
            let stuck = stuck.clone();
            telling.push(b.spawn(async move {
                for n in 0..1000 {
                    stuck.note(n).await.unwrap();
                }
            }));
        }
    }
    sleep(ms(500)).await;
    for _ in 0..30 {
        assert_eq!(echo(&b, &probe, ms(300)).await.unwrap(), "there?");
    }
    // It goes on for longer than silence may.
    sleep(secs(6)).await;
    assert_eq!(echo(&b, &probe, ms(300)).await.unwrap(), "there?");
    let found = peer(&b, id_of(&a)).unwrap();
    assert_eq!((found.state, found.counters.lost), (PeerState::Connected, 0));
    telling.iter().for_each(|task| task.abort());
}

/// A slow actor gets everything in order, however much it is behind, and its neighbour waits for none of that.
#[posse::test(sim, seeds = 8)]
async fn slow_actor_gets_everything_in_order(sim: Sim) {
    let mut config = NodeConfig::default();
    config.unsettled_max = 100;
    let (a, b) = (server(&sim, "a").config(config.clone()).await, sim.node("b").config(config).await);
    let probe = find(&b, &a).await;
    let slow = narrow(&a, &b, "slow").await;
    let told = slow.clone();
    let telling = b.spawn(async move {
        for n in 0..400 {
            told.note(n).await.unwrap();
            if n % 20 == 0 {
                let told = told.clone();
                posse::task::spawn(async move { drop(told.slow(20).within(secs(60)).await) });
            }
        }
    });
    for _ in 0..20 {
        assert_eq!(echo(&b, &probe, ms(300)).await.unwrap(), "there?");
    }
    telling.await.unwrap();
    assert_eq!(numbers(&seen(&b, &slow).await), (0..400).collect::<Vec<_>>());
    assert_eq!(settled(&sim, &b, id_of(&a)).await.lost, 0);
}

/// What is asked while both nodes live and are connected is answered within a bound, whatever happened before.
async fn ask_on(
    sim: Sim,
    b: SimMachine,
    a: SimMachine,
    probe: ActorRef<Probing>,
    faults: Arc<AtomicU64>,
    stop: CancellationToken,
) -> u64 {
    let (id, mut answered) = (id_of(&a), 0);
    while !stop.is_cancelled() {
        let before = faults.load(Ordering::Relaxed);
        let connected = state(&b, id) == Some(PeerState::Connected);
        let answer = echo(&b, &probe, secs(1)).await;
        // An odd number: a fault is on, or was until a moment ago.
        let quiet = before & 1 == 0 && before == faults.load(Ordering::Relaxed) && connected;
        match answer {
            Ok(_) => answered += 1,
            Err(AskError::NodeDown) => return answered,
            Err(error) => assert!(!quiet, "{error:?} while nothing was wrong, at {:?}", sim.elapsed()),
        }
        sleep(ms(20)).await;
    }
    answered
}

/// Ways that are cut, held or dead in one direction, and machines that stand still, for 0.1 to 60 s, under constant traffic.
#[posse::test(sim, seeds = 10)]
async fn faults_of_any_length_lose_only_what_was_on_its_way(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let (faults, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
    let asking: Vec<_> = (0..3)
        .map(|_| {
            posse::task::spawn(ask_on(sim.clone(), b.clone(), a.clone(), probe.clone(), faults.clone(), stop.clone()))
        })
        .collect();
    let (told, ended) = (probe.clone(), stop.clone());
    let telling = b.spawn(async move {
        let mut n = 0;
        while !ended.is_cancelled() && matches!(timeout(secs(120), told.note(n)).await, Ok(Ok(()))) {
            n += 1;
            sleep(ms(10)).await;
        }
        // False if the two were apart for so long that they met again as others.
        (n, ended.is_cancelled())
    });
    let id = id_of(&a);
    for _ in 0..3 {
        sleep(secs(1) + moment(&sim, 500)).await;
        // 0.1 to 60 s, short ones as often as long ones.
        let time = ms(100).mul_f64(600_f64.powf(sim.random_below(1000) as f64 / 1000.0));
        faults.fetch_add(1, Ordering::Relaxed);
        match sim.random_below(5) {
            0 => sim.partition([&a], [&b]).during(time).await,
            1 => sim.hold(&a, &b).during(time).await,
            2 => sim.partition_oneway(&a, &b).during(time).await,
            3 => sim.partition_oneway(&b, &a).during(time).await,
            _ => {
                let machine = if sim.random_below(2) == 0 { &a } else { &b };
                sim.pause(machine);
                sleep(time).await;
                sim.resume(machine);
            }
        }
        // A connection that looks alive may be found dead once more, by silence; then they meet again, or are apart for good.
        let rest = NodeConfig::default().max_idle_timeout + secs(2);
        sleep(rest).await;
        faults.fetch_add(1, Ordering::Relaxed);
        if state(&b, id) == Some(PeerState::Down) {
            break;
        }
        sim.wait_for(secs(5), "they are together, or apart for good", || {
            matches!(state(&b, id), Some(PeerState::Connected | PeerState::Down))
        })
        .await;
    }
    sleep(secs(1)).await;
    stop.cancel();
    let mut answered = 0;
    for task in asking {
        answered += task.await.unwrap();
    }
    assert!(answered > 100, "{answered}");
    let (told, same) = telling.await.unwrap();
    // The last ones may still be on their way when they were told.
    let counters = if same { Some(settled(&sim, &b, id).await) } else { None };
    let near = probe_of(&a, &a).await;
    let noted = numbers(&seen(&a, &near).await).len() as u64;
    assert!(noted <= told + 1, "{told} told, {noted} noted");
    if let Some(counters) = counters {
        assert!(noted + counters.lost >= told, "{told} told, {noted} noted, {counters:?}");
    }
}

/// A message that is held for a full mailbox keeps its place before those that came later, whoever else fills the mailbox.
#[posse::test(sim, seeds = 20)]
async fn backlog_keeps_its_order_beside_local_senders(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    find(&b, &a).await;
    let far = narrow(&a, &b, "narrow").await;
    let near = a.with(|node| async move { node.whereis::<Probing>("narrow").await.unwrap() }).await;
    let pushing = a.spawn(async move {
        for _ in 0..200 {
            near.slow(1).within(secs(60)).await.unwrap();
        }
    });
    let told = far.clone();
    b.run(async move {
        for n in 0..300 {
            told.note(n).await.unwrap();
        }
    })
    .await;
    pushing.await.unwrap();
    assert_eq!(numbers(&seen(&b, &far).await), (0..300).collect::<Vec<_>>());
}

/// Beside many senders at the actor's node that never rest, messages that are held go in all the same, in their order. How many of the others go
/// in between is the scheduler's choice, which may leave a task without a turn for as long as it likes.
#[posse::test(sim, seeds = 8)]
async fn backlog_has_its_turn_among_local_senders(sim: Sim) {
    const LOCAL: usize = 40;
    const HELD: u64 = 200;
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    find(&b, &a).await;
    let far = with_capacity(&a, &b, "crowded", 32).await;
    let near = a.with(|node| async move { node.whereis::<Probing>("crowded").await.unwrap() }).await;
    let pushing: Vec<_> = (0..LOCAL)
        .map(|_| {
            let near = near.clone();
            a.spawn(async move { while near.note(HELD).await.is_ok() {} })
        })
        .collect();
    let told = far.clone();
    b.run(async move {
        for n in 0..HELD {
            told.note(n).await.unwrap();
        }
    })
    .await;
    settled(&sim, &b, id_of(&a)).await;
    pushing.iter().for_each(|task| task.abort());
    let noted: Vec<u64> = seen(&b, &far).await.iter().map(|n| n.parse().unwrap()).collect();
    let held: Vec<u64> = noted.iter().copied().filter(|n| *n != HELD).collect();
    assert!(held.iter().copied().eq(0..HELD), "{held:?}");
}

static DECODED: AtomicU64 = AtomicU64::new(0);

/// Counts how often one was decoded.
#[derive(serde::Serialize)]
pub struct Counted(u64);

impl<'de> serde::Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::Relaxed);
        u64::deserialize(deserializer).map(Self)
    }
}

#[posse::protocol]
pub trait Taking {
    /// Returns after a while.
    async fn take(what: Counted) -> u64;
}

struct Taker;
impl Actor for Taker {}

impl Handler<Take> for Taker {
    async fn handle(&mut self, Take { what }: Take, _: &mut Context<Self>) -> u64 {
        sleep(ms(20)).await;
        what.0
    }
}

/// Whether there is room is asked before a message is decoded, so one that has to be held is not decoded twice.
#[posse::test(sim, seeds = 8)]
async fn message_is_decoded_once_however_often_the_mailbox_is_full(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    find(&b, &a).await;
    a.with(|node| async move {
        let taker = posse::spawn(Spec::new(|| Taker).capacity(1)).share::<Taking>();
        node.register("taker", taker).await.unwrap();
    })
    .await;
    let before = DECODED.load(Ordering::Relaxed);
    b.with(|node| async move {
        let taker: ActorRef<Taking> = node.whereis("taker").await.unwrap();
        for n in 0..10 {
            // One is handled, one is in the mailbox, the third is held.
            let asks = posse::join!(taker.take(Counted(n)), taker.take(Counted(n)), taker.take(Counted(n)));
            assert_eq!((asks.0.unwrap(), asks.1.unwrap(), asks.2.unwrap()), (n, n, n));
        }
    })
    .await;
    assert_eq!(DECODED.load(Ordering::Relaxed) - before, 30);
}

/// Asks of a node that is gone are not begun any more.
#[posse::test(sim, seeds = 15)]
async fn asks_of_a_node_that_dies_are_not_begun(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    for time in [2000, 1, 2, 3] {
        let probe = probe.clone();
        b.spawn(async move { drop(probe.slow(time).within(secs(60)).await) });
        sleep(ms(300)).await;
    }
    sim.kill(&b).await;
    sleep(secs(3)).await;
    let near = probe_of(&a, &a).await;
    assert_eq!(seen(&a, &near).await, ["slow 2000"]);
}

/// A node that shuts down says so: nobody waits for it to come back, though it cannot be asked.
#[posse::test(sim, seeds = 15)]
async fn node_that_shuts_down_is_down_at_once(sim: Sim) {
    let (a, host) = (server(&sim, "a").await, idle(&sim, "host").await);
    let address = a.address();
    host.run(async move {
        let node = Node::connect(address).await.unwrap();
        node.shutdown().await;
    })
    .await;
    sim.wait_for(ms(100), "it is down", || a.node().unwrap().peers()[0].state == PeerState::Down).await;
}

/// Senders that wait for room at another node are served in the order they came, in whatever order they look, and nobody
/// who comes later is before them.
#[posse::test(sim, seeds = 10)]
async fn senders_that_wait_for_room_are_served_in_their_order(sim: Sim) {
    let mut config = NodeConfig::default();
    config.unsettled_max = 4;
    let (a, b) = (server(&sim, "a").await, sim.node("b").config(config).await);
    let probe = find(&b, &a).await;
    let (told, mut joined) = (probe.clone(), 0);
    b.run(async move {
        let mut tells: Vec<_> = (0..40).map(|n| Some(told.note(n))).collect();
        std::future::poll_fn(|cx| {
            // Those that wait already are asked in the wrong order.
            let waiting: Vec<_> = (0..joined).rev().filter(|at| tells[*at].is_some()).collect();
            if !waiting.is_empty() {
                assert!(
                    matches!(told.try_tell(Note { n: 1000 }), Err(TellError { reason: SendReason::Full, .. })),
                    "it overtook"
                );
            }
            for at in waiting {
                tells[at].take_if(|tell| Pin::new(tell).poll(cx).is_ready());
            }
            // One whose poll is out of budget has not come yet.
            while joined < tells.len() && poll_proceed(cx).is_ready() {
                tells[joined].take_if(|tell| Pin::new(tell).poll(cx).is_ready());
                joined += 1;
            }
            if tells.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    })
    .await;
    settled(&sim, &b, id_of(&a)).await;
    assert_eq!(numbers(&seen(&b, &probe).await), (0..40).collect::<Vec<_>>());
}

/// An ask that is held for a full mailbox, while as many asks are begun as may be, is begun once there is room for both: it waits
/// for no timer of the connection.
#[posse::test(sim, seeds = 8)]
async fn ask_in_a_backlog_is_begun_as_soon_as_others_were_answered(sim: Sim) {
    let mut config = NodeConfig::default();
    (config.message_bytes_max, config.control_bytes_max) = (1 << 20, 4 << 20);
    (config.ack_delay, config.keep_alive_interval, config.max_idle_timeout) = (secs(20), secs(30), secs(90));
    let (a, b) = (server(&sim, "a").config(config.clone()).await, sim.node("b").config(config).await);
    find(&b, &a).await;
    let (held, other) = (narrow(&a, &b, "held").await, narrow(&a, &b, "other").await);
    let near = a.with(|node| async move { node.whereis::<Probing>("held").await.unwrap() }).await;
    // Of its own node: the connection has no part in it.
    a.spawn(async move {
        let busy = near.clone();
        posse::task::spawn(async move { drop(busy.slow(300).within(secs(60)).await) });
        sleep(ms(20)).await;
        for n in 0..4 {
            near.note(n).await.unwrap();
        }
    });
    sleep(ms(60)).await;
    let waits = b.spawn(async move {
        let start = posse::time::Instant::now();
        let answer = held.echo("x".into()).within(secs(60)).await;
        (answer, start.elapsed())
    });
    sleep(ms(20)).await;
    // One at a time may be begun.
    let asking = b.spawn(async move { other.slow(600).within(secs(60)).await });
    let (answer, took) = waits.await.unwrap();
    assert_eq!(answer.as_deref(), Ok("x"));
    assert!(took < secs(1), "{took:?}");
    asking.await.unwrap().unwrap();
}
