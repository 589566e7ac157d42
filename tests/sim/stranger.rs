//! What somebody says before a handshake with it is completed, of itself or of a third node, changes nothing; and what a
//! member says is checked.

use crate::probe::{Probe, Probing, echo, find, id_of, idle, message, moment, probe_of, seen, server, state};
use crate::rogue::Rogue;
use bytes::BytesMut;
use posse::NodeId;
use posse::cluster::{NodeConfig, PeerState};
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::time::{sleep, timeout};
use posse_wire::{ActorKey, AwaitHello, Event, Hello, INCARNATION_MAX, NodeInfo, Role, TypeInfo, WireRef, fnv1a64};
use std::net::SocketAddr;
use std::time::Duration;

/// Says hello as somebody, waits for what is said in return, and leaves.
async fn claim(to: SocketAddr, name: &str, incarnation: u64, address: &str) {
    let mut hello = Hello::new("default", name, incarnation, address, &NodeConfig::default()).unwrap();
    hello.incarnation = incarnation;
    let mut stream = TcpStream::connect(to).await.unwrap();
    let (greeting, bytes) = AwaitHello::new(Role::Initiator, hello);
    stream.write_all(&bytes).await.unwrap();
    let mut input = BytesMut::new();
    while greeting.read(&mut input).unwrap().is_none() {
        match stream.read_buf(&mut input).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
    }
}

fn probe_at(node: NodeId) -> WireRef {
    WireRef { node, key: ActorKey { slot: 7, generation: 7 }, protocol: fnv1a64(b"Probing") }
}

/// A reference as it is encoded in a message.
fn encoded(reference: WireRef) -> Vec<u8> {
    reference.to_bytes().to_vec()
}

/// A stranger takes the name of a node that is connected, with any incarnation there may be, and leaves.
#[posse::test(sim, seeds = 30)]
async fn claim_of_a_name_without_a_handshake_bans_nobody(sim: Sim) {
    let (a, b) = (server(&sim, "a").await, server(&sim, "b").await);
    let (to_a, host) = (find(&b, &a).await, idle(&sim, "host").await);
    let id = id_of(&b);
    let claims = [u64::MAX, INCARNATION_MAX + 1, INCARNATION_MAX, id.incarnation + 1, id.incarnation];
    for _ in 0..3 {
        let (to, incarnation) = (a.address(), claims[sim.random_below(claims.len())]);
        host.run(async move { claim(to, "b", incarnation, "host:7000").await }).await;
        sleep(moment(&sim, 200)).await;
    }
    assert_eq!(state(&a, id), Some(PeerState::Connected));
    assert_eq!(echo(&b, &to_a, secs(1)).await.unwrap(), "there?");
    sim.restart(&b).await;
    let again = find(&b, &a).await;
    assert_eq!(echo(&b, &again, secs(1)).await.unwrap(), "there?");
    assert_eq!(state(&a, id_of(&b)), Some(PeerState::Connected));
}

/// What a member says of the address of a third node is no more than an address to try.
#[posse::test(sim, seeds = 30)]
async fn wrong_address_of_a_third_node_bans_nobody(sim: Sim) {
    let (a, c, host) = (server(&sim, "a").await, server(&sim, "c").await, idle(&sim, "host").await);
    let (d, third) = (server(&sim, "d").await, id_of(&c));
    // Nobody listens there, somebody else does, it is the node that is told, or it listens and says nothing.
    let wrong = ["host:1".to_owned(), "d:7000".to_owned(), "a:7000".to_owned(), "host:9".to_owned()];
    let address = wrong[sim.random_below(4)].clone();
    let (to, pass) = (a.address(), message("pass"));
    let lying = host.spawn(async move {
        let mute = TcpListener::bind("host:9").await.unwrap();
        let mut liar = Rogue::join(to, "liar", 1).await;
        let probe = liar.find("Probing", "probe").await;
        liar.session.send_node_info(&NodeInfo { node: third, name: "c".into(), address }, Duration::ZERO);
        let body = [encoded(probe_at(third)), 1_u64.to_le_bytes().to_vec(), b"x".to_vec()].concat();
        liar.session.ask(probe, pass, &body, secs(60), "").unwrap();
        liar.flush().await;
        // It keeps quiet, and stays for as long as it is not silent.
        let _ = timeout(secs(3), liar.next()).await;
        drop(mute);
    });
    sleep(moment(&sim, 4000)).await;
    let to_a = find(&c, &a).await;
    assert_eq!(echo(&c, &to_a, secs(5)).await.unwrap(), "there?");
    assert_eq!(state(&a, third), Some(PeerState::Connected));
    lying.await.unwrap();
    sleep(secs(12)).await;
    assert_eq!(state(&a, third), Some(PeerState::Connected));
    assert_eq!(id_of(&c), third);
    drop(d);
}

/// What keeps references.
#[posse::protocol]
pub trait Holding {
    async fn hold(list: Vec<ActorRef<Probing>>) -> u64;
}

#[derive(Default)]
struct Holder(Vec<ActorRef<Probing>>);
impl Actor for Holder {}
impl Handler<Hold> for Holder {
    async fn handle(&mut self, Hold { list }: Hold, _: &mut Context<Self>) -> u64 {
        self.0 = list;
        self.0.len() as u64
    }
}

/// References to nodes that nobody speaks to take no place of a node that comes, however many a program holds.
#[posse::test(sim, seeds = 10)]
async fn references_keep_no_node_out(sim: Sim) {
    let mut config = NodeConfig::default();
    config.peers_max = 4;
    let a = sim.node("a").config(config).run(|node: Node| async move {
        node.register("holder", posse::spawn(Holder::default).share::<Holding>()).await?;
        node.register("probe-a", posse::spawn(Probe::default).share::<Probing>()).await?;
        Ok(())
    });
    let (a, host) = (a.await, idle(&sim, "host").await);
    let to = a.address();
    let held = host
        .run(async move {
            let mut member = Rogue::join(to, "member", 1).await;
            let holder = member.find("Holding", "holder").await;
            let mut body = 100_u64.to_le_bytes().to_vec();
            for n in 0..100 {
                let name = format!("third-{n}");
                let node = NodeId::new(&name, 1);
                member.session.send_node_info(&NodeInfo { node, name, address: "host:1".into() }, Duration::ZERO);
                body.extend(encoded(probe_at(node)));
            }
            let hold = <Holding as posse::protocol::Protocol>::MESSAGES[0];
            let hold = TypeInfo { id: hold.id, schema: hold.schema };
            member.session.ask(holder, hold, &body, secs(5), "").unwrap();
            let Event::Reply(_, held) = member.next().await else { panic!("no reply") };
            held
        })
        .await;
    assert_eq!(held[..], 100_u64.to_le_bytes());
    for name in ["b", "c", "d"] {
        let other = sim.node(name).await;
        let probe = find(&other, &a).await;
        assert_eq!(echo(&other, &probe, secs(5)).await.unwrap(), "there?");
    }
}

/// When a later incarnation takes the place of one that is connected, the connection of that one is closed.
#[posse::test(sim, seeds = 20)]
async fn connection_of_an_incarnation_that_was_replaced_is_closed(sim: Sim) {
    let (a, host) = (server(&sim, "a").await, idle(&sim, "host").await);
    let to = a.address();
    host.run(async move {
        let mut former = Rogue::join(to, "x", 1).await;
        for incarnation in 2..20 {
            let next = Rogue::join(to, "x", incarnation).await;
            crate::probe::until_closed(&mut former.stream, ms(200)).await;
            former = next;
        }
    })
    .await;
    let states: Vec<_> = a.node().unwrap().peers().iter().map(|peer| peer.state).collect();
    assert_eq!(states.iter().filter(|state| **state != PeerState::Down).count(), 1, "{states:?}");
}

async fn watch_a_liar(sim: &Sim, a: &SimMachine, answer: fn(&mut Rogue, posse_wire::CorrelationId)) {
    let (to, host, watch) = (a.address(), idle(sim, "host").await, message("watch"));
    let said = host
        .run(async move {
            let mut liar = Rogue::join(to, "liar", 1).await;
            let probe = liar.find("Probing", "probe").await;
            let me = probe_at(NodeId::new("liar", 1));
            liar.session.tell(probe, watch, &encoded(me)).unwrap();
            let id = loop {
                if let Event::Watch(id, _) = liar.next().await {
                    break id;
                }
            };
            answer(&mut liar, id);
            liar.flush().await;
            crate::probe::until_closed(&mut liar.stream, ms(500)).await
        })
        .await;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("another kind"), "{said}");
}

/// A wish to watch that is answered with something else is a violation, and the monitor fires all the same.
#[posse::test(sim, seeds = 10)]
async fn monitor_that_is_answered_with_another_kind_fires_all_the_same(sim: Sim) {
    let a = server(&sim, "a").await;
    match sim.random_below(3) {
        0 => watch_a_liar(&sim, &a, |liar, id| liar.session.reply(id, b"x", None).unwrap()).await,
        1 => watch_a_liar(&sim, &a, |liar, id| liar.session.resolved(id, posse_wire::Resolution::NotFound)).await,
        _ => watch_a_liar(&sim, &a, |liar, id| liar.session.reply_err(id, posse_wire::ReplyCode::Full, "")).await,
    }
    let near = probe_of(&a, &a).await;
    sim.wait_for(secs(12), "the liar is down", || {
        a.node().unwrap().peers().iter().all(|peer| peer.state == PeerState::Down)
    })
    .await;
    sleep(ms(10)).await;
    let downs = seen(&a, &near).await.into_iter().filter(|entry| entry.starts_with("down")).count();
    assert_eq!(downs, 1);
}

/// Who knows one key of an actor does not know the next.
#[posse::test(sim, seeds = 3)]
async fn keys_of_actors_are_not_guessed_from_others(sim: Sim) {
    let (a, host) = (server(&sim, "a").await, idle(&sim, "host").await);
    let address = a.address();
    let known = host.run(async move { Rogue::enter(address, "rogue").await.probe }).await;
    let near = |slot: u32, generation: u32| ActorKey { slot, generation };
    for (slot, generation) in [(0, 1), (1, 1), (known.slot.wrapping_add(1), known.generation)] {
        let host = &host;
        let answer = host
            .run(async move {
                let mut member = Rogue::join(address, "member", u64::from(slot) + 1).await;
                member.session.ask(near(slot, generation), message("seen"), &[], secs(1), "").unwrap();
                member.next().await
            })
            .await;
        assert!(matches!(answer, Event::ReplyErr(_, posse_wire::ReplyCode::NoSuchActor, _)), "{answer:?}");
    }
}

/// What watches for a moment only.
#[posse::protocol]
pub trait Glancing {
    async fn glance(whom: ActorRef<Probing>) -> bool;
}

struct Glancer;
impl Actor for Glancer {}
impl Handler<Glance> for Glancer {
    async fn handle(&mut self, Glance { whom }: Glance, ctx: &mut Context<Self>) -> bool {
        ctx.monitor(&whom).cancel()
    }
}
impl Handler<Down> for Glancer {
    async fn handle(&mut self, _: Down, _: &mut Context<Self>) {
        panic!("nobody watches any more");
    }
}

/// A monitor that is taken back is taken back at the other node.
#[posse::test(sim, seeds = 5)]
async fn monitor_that_is_cancelled_is_unwatched_there(sim: Sim) {
    let a = sim.node("a").run(|node: Node| async move {
        Ok(node.register("glancer", posse::spawn(|| Glancer).share::<Glancing>()).await?)
    });
    let (a, host) = (a.await, idle(&sim, "host").await);
    let to = a.address();
    host.run(async move {
        let mut member = Rogue::join(to, "member", 1).await;
        let glancer = member.find("Glancing", "glancer").await;
        let glance = <Glancing as posse::protocol::Protocol>::MESSAGES[0];
        let glance = TypeInfo { id: glance.id, schema: glance.schema };
        let me = probe_at(NodeId::new("member", 1));
        member.session.ask(glancer, glance, &encoded(me), secs(5), "").unwrap();
        let (mut watched, mut unwatched, mut cancelled) = (None, None, None);
        while watched.is_none() || unwatched.is_none() || cancelled.is_none() {
            match member.next().await {
                Event::Watch(id, _) => watched = Some(id),
                Event::Unwatch(id) => unwatched = Some(id),
                Event::Reply(_, body) => cancelled = Some(body),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(watched, unwatched);
        assert_eq!(cancelled.unwrap()[..], [1]);
        // It ends, and there is nobody left to be told.
        member.session.down(watched.unwrap(), posse_wire::DownCode::Normal, "");
        member.flush().await;
        assert!(timeout(secs(2), member.next()).await.is_err());
    })
    .await;
}

/// A reference that comes home as one of another protocol than its actor speaks leads nowhere.
#[posse::test(sim, seeds = 5)]
async fn reference_that_comes_home_under_another_protocol_leads_nowhere(sim: Sim) {
    let a = sim.node("a").run(|node: Node| async move {
        node.register("holder", posse::spawn(Holder::default).share::<Holding>()).await?;
        Ok(node.register("probe", posse::spawn(Probe::default).share::<Probing>()).await?)
    });
    let (a, host) = (a.await, idle(&sim, "host").await);
    let (to, id, pass) = (a.address(), id_of(&a), message("pass"));
    host.run(async move {
        let mut member = Rogue::join(to, "member", 1).await;
        let holder = member.find("Holding", "holder").await;
        let probe = member.find("Probing", "probe").await;
        let mut replies = Vec::new();
        // The actor of another protocol, nobody, and the actor that is asked itself, which would be a deadlock.
        for key in [holder, ActorKey { slot: 9, generation: 9 }, probe] {
            let reference = WireRef { key, ..probe_at(id) };
            let body = [encoded(reference), 1_u64.to_le_bytes().to_vec(), b"x".to_vec()].concat();
            member.session.ask(probe, pass, &body, secs(5), "").unwrap();
            let Event::Reply(_, body) = member.next().await else { panic!("no reply") };
            replies.push(body);
        }
        assert_eq!(replies[0], replies[1]);
        assert_ne!(replies[0], replies[2]);
    })
    .await;
}
