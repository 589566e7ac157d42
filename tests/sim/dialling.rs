//! How often a node dials one that is away.

use crate::probe::Probing;
use crate::rogue::Rogue;
use posse::cluster::{NodeConfig, PeerState};
use posse::prelude::*;
use posse::sim::Sim;
use posse::time::sleep;
use posse_wire::{Hello, Role};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A node is met, then whoever is at its address accepts connections and closes them, for an hour: it is dialled at once, then
/// with pauses that grow from `reconnect_min` to `reconnect_max`, each in part left to chance.
#[posse::test(sim, seeds = 2)]
async fn node_that_is_away_for_an_hour_is_dialled_with_pauses_that_grow_to_a_bound(sim: Sim) {
    let mut config = NodeConfig::default();
    config.down_after = secs(7200);
    let (min, max, connect_timeout) = (config.reconnect_min, config.reconnect_max, config.connect_timeout);
    let dials: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let (log, clock) = (dials.clone(), sim.clone());
    let dead = sim.host("dead", move || {
        let (log, clock) = (log.clone(), clock.clone());
        async move {
            let listener = TcpListener::bind("dead:7000").await?;
            let hello = Hello::new("default", "dead", 1, "dead:7000", &NodeConfig::default()).unwrap();
            let (stream, _) = listener.accept().await?;
            drop(Rogue::shake_hands(stream, Role::Acceptor, hello).await.unwrap());
            loop {
                drop(listener.accept().await?);
                log.lock().unwrap().push(clock.elapsed());
            }
        }
    });
    let (dead, b) = (dead.await, sim.node("b").config(config).await);
    let address = dead.address();
    b.with(move |node| async move { node.join(address).await.unwrap() }).await;
    sleep(secs(3600)).await;
    assert!(b.node().unwrap().peers().iter().all(|peer| peer.state == PeerState::Disconnected));

    let dials = std::mem::take(&mut *dials.lock().unwrap());
    let gaps: Vec<Duration> = dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Half of a pause is certain. What an attempt takes comes on top, mostly some milliseconds.
    let (attempt, mut pause, mut late) = (ms(20), min, 0);
    for (n, gap) in gaps.iter().enumerate() {
        assert!((pause / 2..pause + connect_timeout).contains(gap), "the {n}th pause of {pause:?} took {gap:?}");
        late += usize::from(*gap >= pause + attempt);
        pause = (pause * 2).min(max);
    }
    assert!(late <= gaps.len() / 100, "{late} of {} took longer", gaps.len());
    // As many as there are pauses of 200 to 400 ms in an hour, most of them about in the middle.
    assert!((11_000..13_000).contains(&dials.len()), "{} dials", dials.len());
    let long = &gaps[10..];
    let (shortest, longest) = (long.iter().min().unwrap(), long.iter().max().unwrap());
    assert!(*shortest < max * 11 / 20 && *longest > max * 19 / 20, "{shortest:?} to {longest:?}");
}

/// A node that was joined and left is not looked for any more after it was declared down.
#[posse::test(sim, seeds = 3)]
async fn node_that_was_left_is_dialled_no_more_once_it_is_down(sim: Sim) {
    let (a, b) = (sim.node("a").await, sim.node("b").await);
    let address = a.address();
    b.with(move |node| async move { node.join(address).await.unwrap() }).await;
    sim.power_off(&a).await;
    sleep(secs(60)).await;
    let is_away = |why| matches!(why, Some(posse::WhereisError::NodeDown { .. }));
    let look = || b.with(|node| async move { node.whereis::<Probing>("nothing").await.err() });
    assert!(is_away(look().await), "it is looked for");
    assert!(b.with(move |node| async move { node.leave(address).await.unwrap() }).await);
    assert!(!is_away(look().await), "it is not missed any more");
}
