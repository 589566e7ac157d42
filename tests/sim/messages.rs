//! Failure scenarios of messages, numbered as in the design of the node protocol.

use crate::probe::{
    Probe, Probing, echo, find, id_of, idle, message, moment, peer, probe_of, seen, server, settled, state,
};
use crate::rogue::Rogue;
use posse::cluster::PeerState;
use posse::prelude::*;
use posse::sim::{Network, Sim};
use posse::time::sleep;
use posse_wire::{ActorKey, Event, ReplyCode, TypeInfo};

/// What a liar may put into a message, by what it is answered with.
fn bombs() -> Vec<(TypeInfo, Vec<u8>, ReplyCode)> {
    let (endless, nested) = (u64::MAX.to_le_bytes().to_vec(), message("nested"));
    let wide = [&1000_u64.to_le_bytes()[..], &u64::MAX.to_le_bytes().repeat(1000)].concat();
    vec![
        // A text, a list of bytes and a list of lists that announce more than there is.
        (message("echo"), endless.clone(), ReplyCode::Decode),
        (message("weigh"), endless.clone(), ReplyCode::Decode),
        (nested, endless, ReplyCode::Decode),
        (nested, wide, ReplyCode::Decode),
        // A hundred thousand levels, in bytes that are all there.
        (message("depth"), [1, 0, 0, 0].repeat(100_000), ReplyCode::Decode),
        (message("echo"), Vec::new(), ReplyCode::Decode),
        (message("note"), vec![0; 9], ReplyCode::Decode),
        (message("echo"), [&2_u64.to_le_bytes()[..], &[0xff, 0xfe]].concat(), ReplyCode::Decode),
        // A type that nobody has, and one of another form.
        (TypeInfo { id: 42, schema: 1 }, Vec::new(), ReplyCode::Incompatible),
    ]
}

/// Messages 23: bombs from a peer that speaks by hand. Each costs that one message, in pieces of any size.
#[posse::test(sim, seeds = 15)]
async fn bombs_cost_one_message_each(sim: Sim) {
    let (a, host) = (server(&sim, "a").await, idle(&sim, "host").await);
    let address = a.address();
    host.run(async move {
        let mut rogue = Rogue::enter(address, "rogue").await;
        for (info, body, expected) in bombs() {
            let probe = rogue.probe;
            rogue.session.ask(probe, info, &body, secs(5), "ask").unwrap();
            let Event::ReplyErr("ask", code, _) = rogue.next().await else { panic!("expected an error") };
            assert_eq!(code, expected, "{info:?}");
        }
        let nobody = ActorKey { slot: 99, generation: 7 };
        rogue.session.ask(nobody, message("note"), &[0; 8], secs(5), "ask").unwrap();
        assert!(matches!(rogue.next().await, Event::ReplyErr("ask", ReplyCode::NoSuchActor, _)));
        let (probe, chain) = (rogue.probe, [&[1, 0, 0, 0].repeat(100)[..], &[0; 4]].concat());
        rogue.session.ask(probe, message("depth"), &chain, secs(5), "ask").unwrap();
        assert!(matches!(rogue.next().await, Event::Reply("ask", body) if body == 100_u64.to_le_bytes()[..]));
        let hello = [&2_u64.to_le_bytes()[..], b"hi"].concat();
        let probe = rogue.probe;
        rogue.session.ask(probe, message("echo"), &hello, secs(5), "ask").unwrap();
        assert!(matches!(rogue.next().await, Event::Reply("ask", body) if body == hello));
    })
    .await;
}

/// Messages 23: numbers of types beyond the table, a schema of another form, and bytes at random behind the handshake.
#[posse::test(sim, seeds = 40)]
async fn frames_of_a_liar_harm_nobody_else(sim: Sim) {
    let (a, b, host) = (server(&sim, "a").await, sim.node("b").await, idle(&sim, "host").await);
    let probe = find(&b, &a).await;
    let (address, dice) = (a.address(), sim.clone());
    host.run(async move {
        let mut rogue = Rogue::enter(address, "rogue").await;
        let to = rogue.probe;
        let tell = |number: u16, body: &[u8]| {
            let mut frame = (16 + body.len() as u32).to_le_bytes().to_vec();
            frame.extend([1, 0]);
            frame.extend(number.to_le_bytes());
            frame.extend(to.slot.to_le_bytes());
            frame.extend(to.generation.to_le_bytes());
            frame.extend(body);
            frame
        };
        for number in [500, u16::MAX, u16::MAX - 1] {
            rogue.stream.write_all(&tell(number, &[7; 8])).await.unwrap();
        }
        // The type in full, with a schema that is not ours.
        let note = message("note");
        let mut other = 40_u32.to_le_bytes().to_vec();
        other.extend([1, 16, 0xff, 0xff]);
        other.extend(&tell(0, &[])[8..]);
        other.extend(note.id.to_le_bytes());
        other.extend((note.schema ^ 1).to_le_bytes());
        other.extend([7; 8]);
        rogue.stream.write_all(&other).await.unwrap();
        let noise: Vec<u8> = (0..200).map(|_| dice.random_below(256) as u8).collect();
        let mut noisy = tell(dice.random_below(12) as u16, &noise);
        // One byte anywhere, the length excepted, is another one.
        let place = 4 + dice.random_below(noisy.len() - 4);
        noisy[place] ^= 1 << dice.random_below(8);
        let _ = rogue.stream.write_all(&noisy).await;
        sleep(ms(200)).await;
    })
    .await;
    assert_eq!(echo(&b, &probe, secs(5)).await.unwrap(), "there?");
    assert!(seen(&b, &probe).await.iter().all(|entry| entry.parse::<u64>().is_err()), "a note was made up");
    assert_eq!(state(&b, id_of(&a)), Some(PeerState::Connected));
}

/// Messages 25: the reply comes after the time is up. Nobody else gets it, the next ask gets its own.
#[posse::test(sim, seeds = 25)]
async fn reply_after_its_time_is_dropped(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let asks: Vec<_> = (0..20)
        .map(|_| {
            let (probe, takes) = (probe.clone(), 1 + sim.random_below(30) as u64);
            let within = moment(&sim, 100);
            b.spawn(async move { (takes, probe.slow(takes).within(within).await) })
        })
        .collect();
    for ask in asks {
        let (takes, answer) = ask.await.unwrap();
        assert!(answer == Ok(takes) || answer == Err(AskError::Timeout), "{takes}: {answer:?}");
    }
    for takes in 1..4 {
        let probe = probe.clone();
        assert_eq!(b.run(async move { probe.slow(takes).within(secs(60)).await }).await, Ok(takes));
    }
    let counters = settled(&sim, &b, id_of(&a)).await;
    assert_eq!(counters.lost, 0);
}

/// Messages 26: asks that are given up at any moment. What nobody has begun is not done, and all of it is counted.
#[posse::test(sim, seeds = 25)]
async fn asks_are_cancelled_at_any_moment(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let mut asks = Vec::new();
    for _ in 0..30 {
        let probe = probe.clone();
        asks.push(b.spawn(async move { probe.slow(5).within(secs(60)).await }));
        if sim.random_below(2) == 0 {
            sleep(moment(&sim, 5)).await;
        }
        let victim = sim.random_below(asks.len());
        asks[victim].abort();
    }
    let mut answered = 0;
    for ask in asks {
        match ask.await {
            Ok(answer) => {
                assert_eq!(answer, Ok(5));
                answered += 1;
            }
            Err(error) => assert!(error.is_cancelled()),
        }
    }
    let begun = seen(&b, &probe).await.len();
    assert!((answered..=30).contains(&begun), "{answered} answered, {begun} begun");
    assert_eq!(settled(&sim, &b, id_of(&a)).await.lost, 0);
}

/// Messages 27: the sender dies in the middle of a large message, which then was none.
#[posse::test(sim, seeds = 20)]
async fn large_message_of_a_sender_that_dies_is_none(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let probe = find(&b, &a).await;
    let mut slow = Network::default();
    slow.bandwidth = Some(1_000_000);
    sim.set_link(&b, &a, slow);
    let sender = id_of(&b);
    // 2 MB take two seconds.
    b.spawn(async move { probe.weigh(vec![7; 2_000_000]).within(secs(60)).await });
    sleep(moment(&sim, 1800)).await;
    if sim.random_below(2) == 0 {
        sim.kill(&b).await
    } else {
        sim.power_off(&b).await
    }
    sim.wait_for(secs(20), "the sender is down", || state(&a, sender) == Some(PeerState::Down)).await;
    let near = probe_of(&a, &a).await;
    assert!(seen(&a, &near).await.is_empty());
}

/// Messages 28: the recipient dies with a full mailbox, and messages behind it that its node holds. All are counted.
#[posse::test(sim, seeds = 25)]
async fn messages_for_a_recipient_that_dies_with_a_full_mailbox_are_counted(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, sim.node("b").await);
    let bystander = find(&b, &a).await;
    let actor = a.run(async move { posse::spawn(Spec::new(Probe::default).capacity(4)) }).await;
    let shared = actor.share::<Probing>();
    a.with(move |node| async move { node.register("full", shared).await }).await.unwrap();
    let full = b.with(|node| async move { node.whereis::<Probing>("full").await.unwrap() }).await;

    let busy = full.clone();
    let first = b.spawn(async move { busy.slow(500).within(secs(60)).await });
    sleep(ms(10)).await;
    let told = full.clone();
    let telling = b.spawn(async move {
        for n in 0..100 {
            told.note(n).await.unwrap();
        }
    });
    let asks: Vec<_> = (0..10)
        .map(|_| {
            let full = full.clone();
            b.spawn(async move { full.echo("in line".into()).within(secs(60)).await })
        })
        .collect();
    telling.await.unwrap();
    // Whoever talks to somebody else does not wait.
    assert_eq!(echo(&b, &bystander, ms(400)).await.unwrap(), "there?");

    let by_node = sim.random_below(4) == 0;
    sleep(moment(&sim, 400)).await;
    if by_node {
        sim.kill(&a).await
    } else if sim.random_below(2) == 0 {
        actor.kill()
    } else {
        actor.stop()
    }
    drop(first.await);
    let expected = |error: &AskError| match by_node {
        true => *error == AskError::NodeDown,
        false => matches!(error, AskError::Stopped | AskError::NoSuchActor | AskError::NoReply | AskError::Failed),
    };
    for ask in asks {
        let error = ask.await.unwrap().unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
    if !by_node {
        assert_eq!(echo(&b, &bystander, ms(400)).await.unwrap(), "there?");
        let id = id_of(&a);
        let counters = settled(&sim, &b, id).await;
        assert_eq!(counters.lost, 0);
        assert_eq!(peer(&b, id).unwrap().state, PeerState::Connected);
    }
}
