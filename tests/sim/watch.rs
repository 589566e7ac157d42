//! Failure scenarios of monitors, numbered as in the design of the node protocol.

use crate::probe::{Probe, Probing, echo, find, id_of, moment, numbers, peer, seen, server, state};
use posse::cluster::{NodeConfig, PeerState};
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::time::sleep;

/// An actor on a machine, with a name that others find it by.
async fn register(machine: &SimMachine, name: &'static str, capacity: usize) -> LocalRef<Probe> {
    machine
        .with(move |node| async move {
            let actor = posse::spawn(Spec::new(Probe::default).capacity(capacity));
            node.register(name, actor.share::<Probing>()).await.unwrap();
            actor
        })
        .await
}

async fn lookup(machine: &SimMachine, name: &'static str) -> ActorRef<Probing> {
    machine.with(move |node| async move { node.whereis::<Probing>(name).await.unwrap() }).await
}

fn downs(seen: &[String]) -> Vec<&String> {
    seen.iter().filter(|entry| entry.starts_with("down")).collect()
}

/// Watch 33: the target tells the watcher things and ends. `Down` is the last word, also if the watcher's mailbox is full.
#[posse::test(sim, seeds = 30)]
async fn down_comes_after_the_last_message(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    find(&b, &a).await;
    let watcher = register(&b, "watcher", 1 + sim.random_below(20)).await;
    let near = watcher.share::<Probing>();
    let target = register(&a, "target", 16).await;
    let far = lookup(&b, "target").await;
    let (me, whom) = (near.clone(), far.clone());
    b.run(async move { me.watch(whom).await }).await.unwrap();
    // Otherwise the wish to watch may be on its way when the target is gone.
    assert!(seen(&b, &near).await.is_empty());

    let (count, crash) = (1 + sim.random_below(200) as u64, sim.random_below(2) == 0);
    let (me, busy) = (near.clone(), sim.random_below(2) == 0);
    b.run(async move {
        if busy {
            let slow = me.clone();
            posse::task::spawn(async move { slow.slow(200).within(secs(10)).await });
        }
        far.count_and_end(me, count, crash).await
    })
    .await
    .unwrap();
    target.closed().await;
    let mut all = Vec::new();
    for _ in 0..100 {
        all = seen(&b, &near).await;
        if !downs(&all).is_empty() {
            break;
        }
        sleep(ms(100)).await;
    }
    all.retain(|entry| !entry.starts_with("slow"));
    assert_eq!(numbers(&all), (0..count).collect::<Vec<_>>());
    assert!(all.last().unwrap().starts_with("down"), "{all:?}");
    assert_eq!(downs(&all).len(), 1);
    assert_eq!(all.last().unwrap().contains("on purpose"), crash);
}

/// Watch 35: the target dies while the wish to watch it is on its way. Each watcher hears of it once.
#[posse::test(sim, seeds = 30)]
async fn watch_that_meets_the_end_fires_once(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    find(&b, &a).await;
    let watcher = register(&b, "watcher", 64).await;
    let near = watcher.share::<Probing>();
    let target = register(&a, "target", 16).await;
    let far = lookup(&b, "target").await;
    let (me, whom, wishes) = (near.clone(), far.clone(), 5);
    let (rest, resets) = (moment(&sim, 4), sim.random_below(3) == 0);
    let watching = b.spawn(async move {
        for _ in 0..wishes {
            me.watch(whom.clone()).await.unwrap();
            sleep(rest).await;
        }
    });
    sleep(moment(&sim, 15)).await;
    if resets {
        sim.reset_connections(&a, &b);
    }
    if sim.random_below(2) == 0 {
        target.kill()
    } else {
        target.stop()
    }
    let closed = b.run(async move { far.closed().await }).await;
    assert!(matches!(closed, ExitReason::Normal | ExitReason::Killed | ExitReason::NoSuchActor), "{closed}");
    watching.await.unwrap();
    sleep(secs(2)).await;
    let all = seen(&b, &near).await;
    assert_eq!(downs(&all).len(), wishes, "{all:?}");
    sleep(secs(2)).await;
    assert_eq!(seen(&b, &near).await, all);
}

/// Watch 36: connections break while monitors are set, fire and are renewed. Each fires once.
#[posse::test(sim, seeds = 20)]
async fn monitors_fire_once_across_broken_connections(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    find(&b, &a).await;
    let near = register(&b, "watcher", 64).await.share::<Probing>();
    for round in 1..=5 {
        let target = register(&a, "target", 16).await;
        let far = lookup(&b, "target").await;
        let me = near.clone();
        b.run(async move { me.watch(far).await }).await.unwrap();
        for _ in 0..sim.random_below(3) {
            sleep(moment(&sim, 8)).await;
            sim.reset_connections(&a, &b);
        }
        target.stop();
        if sim.random_below(2) == 0 {
            sleep(moment(&sim, 3)).await;
            sim.reset_connections(&a, &b);
        }
        target.closed().await;
        sleep(secs(2)).await;
        assert_eq!(downs(&seen(&b, &near).await).len(), round);
    }
}

/// Watch 37: the watcher's node restarts. The old wish dies with it, the new one gets its own word.
#[posse::test(sim, seeds = 20)]
async fn watcher_that_restarts_hears_only_what_it_asked_for_anew(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    find(&b, &a).await;
    let target = register(&a, "target", 16).await;
    let old = id_of(&b);
    let (near, far) = (register(&b, "watcher", 64).await.share::<Probing>(), lookup(&b, "target").await);
    b.run(async move { near.watch(far).await }).await.unwrap();
    sleep(moment(&sim, 5)).await;
    if sim.random_below(2) == 0 {
        sim.kill(&b).await
    } else {
        sim.power_off(&b).await
    }
    let ends_meanwhile = sim.random_below(4) == 0;
    if ends_meanwhile {
        target.stop();
    }
    sim.restart(&b).await;
    find(&b, &a).await;
    sim.wait_for(secs(5), "the old one is down", || state(&a, old) == Some(PeerState::Down)).await;

    let near = register(&b, "watcher", 64).await.share::<Probing>();
    if !ends_meanwhile {
        let (me, far) = (near.clone(), lookup(&b, "target").await);
        b.run(async move { me.watch(far).await }).await.unwrap();
        sleep(secs(1)).await;
        assert!(seen(&b, &near).await.is_empty());
        target.stop();
    }
    sleep(secs(2)).await;
    assert_eq!(downs(&seen(&b, &near).await).len(), usize::from(!ends_meanwhile));
}

/// Sets a monitor, and cancels it or leaves that to its own end.
struct Guest;
impl Actor for Guest {}

#[derive(Message)]
struct Visit(ActorRef<Probing>, bool);

impl Handler<Visit> for Guest {
    async fn handle(&mut self, Visit(whom, cancels): Visit, ctx: &mut Context<Self>) {
        let monitor = ctx.monitor(&whom);
        assert!(!cancels || monitor.cancel());
    }
}

impl Handler<Down> for Guest {
    async fn handle(&mut self, _: Down, _: &mut Context<Self>) {}
}

/// Watch 38: a monitor that was cancelled, or whose watcher has ended, leaves nothing at the other node, where its kind is bounded.
#[posse::test(sim, seeds = 10)]
async fn monitor_that_nobody_needs_any_more_leaves_nothing_at_the_other_node(sim: Sim) {
    let mut config = NodeConfig::default();
    config.monitors_max = 4;
    let (a, b) = (server(&sim, "a").config(config).await, server(&sim, "b").await);
    find(&b, &a).await;
    let target = register(&a, "target", 16).await;
    let far = lookup(&b, "target").await;
    for visit in 0..20 {
        let far = far.clone();
        b.run(async move {
            let guest = posse::spawn(|| Guest);
            guest.ask(Visit(far, visit % 2 == 0)).await.unwrap();
            guest.stop();
            guest.closed().await;
        })
        .await;
    }

    let near = register(&b, "watcher", 64).await.share::<Probing>();
    let me = near.clone();
    b.run(async move { me.watch(far).await }).await.unwrap();
    sleep(secs(1)).await;
    target.stop();
    sleep(secs(1)).await;
    assert_eq!(seen(&b, &near).await, ["down: it came to its end"]);
    assert_eq!(state(&b, id_of(&a)), Some(PeerState::Connected));
}

/// Watch 39: more monitors than one of the two nodes takes, of which the other may know nothing. Those that are too many are told
/// so at once, and cost nobody anything; room that becomes free is used.
#[posse::test(sim, seeds = 12)]
async fn monitors_that_are_too_many_are_told_so_and_the_connection_stays(sim: Sim) {
    let config = |monitors_max| {
        let mut config = NodeConfig::default();
        config.monitors_max = monitors_max;
        config
    };
    let (of_a, of_b) = [(4, 4), (4, 100), (100, 4)][sim.random_below(3)];
    let (a, b) = (server(&sim, "a").config(config(of_a)).await, server(&sim, "b").config(config(of_b)).await);
    let probe = find(&b, &a).await;
    let (target, next) = (register(&a, "target", 16).await, register(&a, "next", 16).await);
    let (far, later) = (lookup(&b, "target").await, lookup(&b, "next").await);
    let near = register(&b, "watcher", 64).await.share::<Probing>();
    let watch = async |whom: &ActorRef<Probing>| {
        let (me, whom) = (near.clone(), whom.clone());
        b.run(async move { me.watch(whom).await }).await.unwrap();
    };
    for _ in 0..6 {
        watch(&far).await;
        sleep(moment(&sim, 100)).await;
    }
    // Longer than silence may be, and over a connection that asks for the monitors again.
    let resets = sim.random_below(2) == 0;
    for n in 0..20 {
        sleep(ms(500)).await;
        assert_eq!(echo(&b, &probe, ms(400)).await.as_deref(), Ok("there?"), "{of_a} {of_b}");
        if n == 10 && resets {
            sim.reset_connections(&a, &b);
        }
    }
    let refused = "down: it is not monitored: there are too many monitors between the two nodes";
    assert_eq!(seen(&b, &near).await, [refused; 2], "{of_a} {of_b}");
    let found = peer(&b, id_of(&a)).unwrap();
    // At a break the acknowledgement of what was answered may be on its way.
    assert!(found.state == PeerState::Connected && found.counters.lost <= u64::from(resets), "{found:?}");

    target.stop();
    target.closed().await;
    sleep(secs(1)).await;
    watch(&later).await;
    // Otherwise the wish to watch may be on its way when it is gone.
    sleep(secs(1)).await;
    next.kill();
    next.closed().await;
    sleep(secs(1)).await;
    let all = seen(&b, &near).await;
    assert_eq!(all[2..6], ["down: it came to its end"; 4]);
    assert_eq!(all[6..], ["down: it was killed"]);
    assert_eq!(state(&b, id_of(&a)), Some(PeerState::Connected));
}
