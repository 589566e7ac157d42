//! Long frames that arrive in part, and short ones that are long once they are decoded: what a peer can make a node hold.

use crate::probe::{Probing, find, id_of, idle, message, moment, peer, probe_of, server, settled, state};
use crate::rogue::Rogue;
use posse::cluster::{NodeConfig, PeerState};
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::time::{sleep, timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Room for so many long messages at once.
fn room_for(messages: usize) -> NodeConfig {
    let mut config = NodeConfig::default();
    config.message_bytes_max = 1024 * 1024;
    config.receiving_bytes_max = messages * 1024 * 1024;
    config
}

const LONG: usize = 900_000;

async fn weigh(from: &SimMachine, probe: &ActorRef<Probing>, within: std::time::Duration) -> Result<u64, AskError> {
    let probe = probe.clone();
    from.run(async move { probe.weigh(vec![7; LONG]).within(within).await }).await
}

/// Sends most of a long message, and then of the rest as little as keeps a connection open. Returns what is said at its end.
async fn dawdle(rogue: Rogue, sent: Arc<AtomicUsize>) -> Vec<u8> {
    dawdle_after(rogue, LONG * 9 / 10, sent).await
}

/// As [`dawdle`], of which so many bytes come at once.
async fn dawdle_after(mut rogue: Rogue, most: usize, sent: Arc<AtomicUsize>) -> Vec<u8> {
    let body = [&(LONG as u64).to_le_bytes()[..], &[7; LONG]].concat();
    let frame = rogue.frame(message("weigh"), &body);
    let (mut begun, mut heard) = (0, Vec::new());
    loop {
        let until = if begun < most { most } else { (begun + 4096).min(frame.len() - 1) };
        while begun < until {
            let Ok(Ok(written)) = timeout(secs(20), rogue.stream.write(&frame[begun..until])).await else { break };
            begun += written;
            sent.fetch_add(written, Ordering::Relaxed);
        }
        let rest = timeout(secs(3), rogue.stream.read_to_end(&mut heard)).await;
        if rest.is_ok() {
            return heard;
        }
    }
}

/// Many peers announce long messages and take their time: what the node takes of them is bounded, and one that sends its
/// messages as fast as it can is served, as are all others with short ones.
#[posse::test(sim, seeds = 4)]
async fn peers_that_dawdle_take_no_more_than_there_is_room_and_keep_nobody_out(sim: Sim) {
    let (a, b) = (server(&sim, "a").config(room_for(2)).await, sim.node("b").config(room_for(2)).await);
    let (probe, host, address) = (find(&b, &a).await, idle(&sim, "host").await, a.address());
    let sent = Arc::new(AtomicUsize::new(0));
    let dawdling: Vec<_> = (0..16)
        .map(|n| {
            let sent = sent.clone();
            host.spawn(async move {
                let rogue = Rogue::enter(address, &format!("rogue{n}")).await;
                dawdle(rogue, sent).await
            })
        })
        .collect();
    // Nobody is cut so soon.
    sleep(ms(60)).await;
    // Beside what has room: 128 KiB each, what a read brings beyond, and what is on its way.
    let bound = 2 * 1024 * 1024 + 16 * (128 + 64 + 2 * 64) * 1024;
    let taken = sent.load(Ordering::Relaxed);
    assert!((1_500_000..bound).contains(&taken), "{taken} bytes");
    assert_eq!(crate::probe::echo(&b, &probe, secs(1)).await.unwrap(), "there?");

    assert_eq!(weigh(&b, &probe, secs(60)).await, Ok(LONG as u64));
    assert_eq!(peer(&b, id_of(&a)).unwrap().counters.lost, 0);
    for dawdling in dawdling {
        let said = String::from_utf8_lossy(&dawdling.await.unwrap()).into_owned();
        // The last of them keeps nobody waiting, until it has nothing left to send.
        assert!(said.contains("too slowly while others wait for room") || said.contains("no frame for 4s"), "{said}");
    }
    assert_eq!(weigh(&b, &probe, secs(5)).await, Ok(LONG as u64));
}

/// Fifty peers at a time that dawdle, and come back when they are cut, hold nobody up who sends what it has announced.
#[posse::test(sim, seeds = 3)]
async fn honest_long_message_is_soon_received_among_fifty_that_dawdle(sim: Sim) {
    honest_among_fifty(sim, LONG * 9 / 10).await;
}

/// So it is if they do nothing but announce: nothing of their messages is to be read once there is room for it.
#[posse::test(sim, seeds = 3)]
async fn honest_long_message_is_soon_received_among_fifty_that_only_announce(sim: Sim) {
    honest_among_fifty(sim, 64).await;
}

async fn honest_among_fifty(sim: Sim, at_once: usize) {
    let (a, b) = (server(&sim, "a").config(room_for(4)).await, sim.node("b").config(room_for(4)).await);
    let (probe, host, address) = (find(&b, &a).await, idle(&sim, "host").await, a.address());
    let sent = Arc::new(AtomicUsize::new(0));
    let dawdling: Vec<_> = (0..50)
        .map(|n| {
            let sent = sent.clone();
            host.spawn(async move {
                loop {
                    let rogue = Rogue::enter(address, &format!("rogue{n}")).await;
                    dawdle_after(rogue, at_once, sent.clone()).await;
                    // Until its former connection is closed.
                    sleep(ms(50)).await;
                }
            })
        })
        .collect();
    sleep(moment(&sim, 300)).await;
    for _ in 0..3 {
        let begun = sim.elapsed();
        assert_eq!(weigh(&b, &probe, secs(60)).await, Ok(LONG as u64));
        let took = sim.elapsed() - begun;
        assert!(took < secs(2), "it took {took:?}");
        sleep(moment(&sim, 1000)).await;
    }
    assert_eq!(peer(&b, id_of(&a)).unwrap().counters.lost, 0);
    dawdling.iter().for_each(|task| task.abort());
}

/// Long messages of many nodes at once take turns; none is lost, nobody is given up.
#[posse::test(sim, seeds = 4)]
async fn long_messages_of_many_take_turns(sim: Sim) {
    let a = server(&sim, "a").config(room_for(1)).await;
    let mut others = Vec::new();
    for n in 0..6 {
        let other = sim.node(&format!("b{n}")).config(room_for(1)).await;
        let probe = find(&other, &a).await;
        others.push((other, probe));
    }
    let weighing: Vec<_> = others
        .iter()
        .flat_map(|(other, probe)| {
            (0..4).map(|_| {
                let probe = probe.clone();
                other.spawn(async move { probe.weigh(vec![7; LONG]).within(secs(120)).await })
            })
        })
        .collect();
    for weighing in weighing {
        assert_eq!(weighing.await.unwrap(), Ok(LONG as u64));
    }
    for (other, _) in &others {
        let found = peer(other, id_of(&a)).unwrap();
        assert_eq!((found.state, found.counters.lost), (PeerState::Connected, 0));
    }
}

/// A message that would take much more memory than its bytes is refused with the reason, told or asked; nothing else is.
#[posse::test(sim, seeds = 4)]
async fn message_that_takes_too_much_memory_is_refused_and_says_so(sim: Sim) {
    let mut config = NodeConfig::default();
    (config.message_bytes_max, config.decoded_bytes_max) = (256 * 1024, 256 * 1024);
    let (a, b) = (server(&sim, "a").config(config).await, sim.node("b").await);
    find(&b, &a).await;
    let probe = probe_of(&b, &a).await;
    let ask = |len: usize| {
        let (probe, list) = (probe.clone(), vec![Vec::new(); len]);
        b.run(async move { probe.nested(list).within(secs(5)).await })
    };
    assert_eq!(ask(10_000).await, Ok(0));
    let Err(AskError::Decode(why)) = ask(11_000).await else { panic!("it was taken") };
    assert_eq!(&*why, "it takes more than 262144 bytes of memory");
    let counters = settled(&sim, &b, id_of(&a)).await;
    assert_eq!(
        (counters.rejected[posse_wire::RejectReason::Unreadable as usize], state(&b, id_of(&a))),
        (1, Some(PeerState::Connected))
    );
}
