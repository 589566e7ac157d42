//! Failure scenarios of identity, numbered as in the design of the node protocol.

use crate::probe::{Probe, Probing, echo, find, id_of, moment, peer, probe_of, seen, server, settled, state};
use posse::cluster::{PeerInfo, PeerState};
use posse::prelude::*;
use posse::sim::{Sim, Skew};
use posse::time::sleep;
use posse::{ExitReason, TellError};

/// Identity 17: the same name is back before anybody noticed. References to the old incarnation lead nowhere, monitors fire.
#[posse::test(sim, seeds = 20)]
async fn restart_faster_than_detection_is_noticed(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let old = id_of(&a);
    let asked = probe.clone();
    let ask = b.spawn(async move { asked.slow(50_000).within(secs(100)).await });
    let watched = probe.clone();
    let watching = b.spawn(async move { watched.closed().await });
    sleep(moment(&sim, 30)).await;
    if sim.random_below(2) == 0 {
        sim.power_off(&a).await
    } else {
        sim.kill(&a).await
    }
    sim.restart(&a).await;

    let new = id_of(&a);
    assert!(new.incarnation > old.incarnation);
    sim.wait_for(secs(5), "the new one is joined", || state(&b, new) == Some(PeerState::Connected)).await;
    assert_eq!(state(&b, old), Some(PeerState::Down));
    assert_eq!(ask.await.unwrap(), Err(AskError::NodeDown));
    assert_eq!(watching.await.unwrap(), ExitReason::NodeDown);
    let fresh = probe_of(&b, &a).await;
    assert!(seen(&b, &fresh).await.is_empty(), "it got what was meant for its predecessor");
    settled(&sim, &b, old).await;
}

/// Identity 18: the clock goes back by up to a day before the restart. The incarnation grows all the same.
#[posse::test(sim, seeds = 30)]
async fn incarnation_grows_though_the_clock_went_back(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let old = id_of(&a);
    let back = 1 + sim.random_below(24 * 3600) as i64;
    sim.restart_with_skew(&a, Skew { ahead_ns: -back * 1_000_000_000, drift_ppm: 0 }).await;
    // Who meets whom first is left to chance.
    if sim.random_below(2) == 0 {
        let address = b.address();
        a.with(move |node| async move { node.join(address).await }).await.unwrap();
    }
    let node = b.node().unwrap();
    let is_new = |peer: &PeerInfo| peer.id != old && peer.state == PeerState::Connected;
    let connected = || node.peers().into_iter().find(is_new);
    sim.wait_for(secs(10), "the new one is joined", || connected().is_some()).await;
    let new = connected().unwrap().id;
    assert!(new.incarnation > old.incarnation, "{new} follows {old}");
    assert_eq!(new, id_of(&a));
    assert_eq!(echo(&b, &probe, secs(5)).await, Err(AskError::NodeDown));
    let fresh = probe_of(&b, &a).await;
    assert_eq!(echo(&b, &fresh, secs(5)).await.unwrap(), "there?");
}

/// Identity 19: two processes of the same name. The later one counts, and they do not take turns.
#[posse::test(sim, seeds = 20)]
async fn of_two_nodes_of_one_name_the_later_counts(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    let to_first = find(&b, &a).await;
    let first = id_of(&a);
    let (forth, back) = (b.address(), a.address());
    let twin = sim.host("twin", move || async move {
        let node = Node::builder().name("a").listen("twin:7000").await?;
        node.register("twin", posse::spawn(Probe::default).share::<Probing>()).await?;
        // It is told that the name is taken by the one who has it, and welcome to everybody else.
        assert!(node.join(back).await.is_err());
        node.join(forth).await?;
        std::future::pending().await
    });
    let _twin = twin.await;
    sim.wait_for(secs(5), "the first one is down", || state(&b, first) == Some(PeerState::Down)).await;
    assert_eq!(echo(&b, &to_first, secs(5)).await, Err(AskError::NodeDown));
    let node = b.node().unwrap();
    let names = || node.peers().into_iter().filter(|peer| peer.name == "a").collect::<Vec<_>>();
    sim.wait_for(secs(5), "the later one is there", || names().iter().any(|peer| peer.state == PeerState::Connected))
        .await;
    sleep(secs(20)).await;
    assert_eq!(names().len(), 2, "they take turns: {:?}", names());
    let to_twin = b.with(|node| async move { node.whereis::<Probing>("twin").await.unwrap() }).await;
    assert_eq!(echo(&b, &to_twin, secs(5)).await.unwrap(), "there?");
}

/// Identity 20: a node that was declared down comes back as if nothing had been. It is not let in as what it was: what is
/// left of that leads nowhere, also when the two have met again.
#[posse::test(sim, seeds = 15)]
async fn node_that_was_declared_down_is_not_let_in_again(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let old = [id_of(&a), id_of(&b)];
    let partition = sim.partition([&a], [&b]);
    sleep(secs(17) + moment(&sim, 2000)).await;
    assert_eq!(state(&b, old[0]), Some(PeerState::Down));
    assert_eq!(echo(&b, &probe, secs(5)).await, Err(AskError::NodeDown));
    partition.repair();
    sim.wait_for(secs(5), "they have met again", || state(&b, id_of(&a)) == Some(PeerState::Connected)).await;
    assert_ne!([id_of(&a), id_of(&b)], old);
    assert_eq!(echo(&b, &probe, secs(5)).await, Err(AskError::NodeDown));

    sim.restart(&a).await;
    let new = id_of(&a);
    sim.wait_for(secs(5), "the new one is joined", || state(&b, new) == Some(PeerState::Connected)).await;
    assert_eq!(echo(&b, &probe, secs(5)).await, Err(AskError::NodeDown));
}

/// Identity 21: a reference to a former incarnation, used by its holder, by a third node, and by its own successor.
#[posse::test(sim, seeds = 20)]
async fn old_reference_leads_nowhere_wherever_it_goes(sim: Sim) {
    let (a, b, c) = (server(&sim, "a").await, server(&sim, "b").await, sim.node("c").await);
    let (old, at_b) = (find(&c, &a).await, find(&c, &b).await);
    if sim.random_below(2) == 0 {
        // The third node knows the former incarnation, or it does not.
        find(&b, &a).await;
    }
    sim.restart(&a).await;
    let new = id_of(&a);
    sim.wait_for(secs(5), "the new one is joined", || state(&c, new) == Some(PeerState::Connected)).await;
    let at_new = probe_of(&c, &a).await;

    let told = old.clone();
    let returned = c.run(async move { told.note(7).await }).await;
    assert!(matches!(returned, Err(TellError { reason: SendReason::NodeDown, message }) if message.n == 7));
    for helper in [at_b, at_new.clone()] {
        let old = old.clone();
        let passed = c.run(async move { helper.pass(old, "anybody?".into()).within(secs(30)).await }).await;
        assert!(matches!(passed, Ok(Err(AskError::NodeDown | AskError::NoSuchActor))), "{passed:?}");
    }
    assert!(seen(&c, &at_new).await.is_empty());
}

/// Identity 22: slots are used again, keys never are. A reference to an actor that ended reaches no later one.
#[posse::test(sim, seeds = 15)]
async fn slot_that_is_used_again_is_not_reached_by_an_old_key(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    find(&b, &a).await;
    let mut old = Vec::new();
    for round in 0..20 {
        let actor = a.run(async { posse::spawn(Probe::default) }).await;
        let shared = actor.share::<Probing>();
        a.with(move |node| async move { node.register("guest", shared).await }).await.unwrap();
        let guest = b.with(|node| async move { node.whereis::<Probing>("guest").await.unwrap() }).await;
        let told = guest.clone();
        b.run(async move { told.note(round).await }).await.unwrap();
        for former in &old {
            let error = echo(&b, former, secs(5)).await.unwrap_err();
            assert!(matches!(error, AskError::NoSuchActor | AskError::Stopped), "{error:?}");
            let former: ActorRef<Probing> = ActorRef::clone(former);
            b.run(async move { former.note(999).await }).await.unwrap();
        }
        assert_eq!(seen(&b, &guest).await, [round.to_string()]);
        old.push(guest);
        actor.stop();
        actor.closed().await;
    }
    let counters = settled(&sim, &b, id_of(&a)).await;
    assert_eq!(counters.undelivered(), 190 * 2);
    assert_eq!(peer(&b, id_of(&a)).unwrap().state, PeerState::Connected);
}
