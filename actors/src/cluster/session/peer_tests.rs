//! The relation to one node, without a network.

use super::*;
use crate::actor::Actor;
use crate::cluster::session::receiver::Receiver;
use posse_core::runtime::{Builder, Handle};
use posse_core::task;
use posse_wire::{Event, Hello, NodeConfig, ReplyCode};
use std::future::{Future, poll_fn};

struct Idle;
impl Actor for Idle {}

pub(crate) fn in_runtime(test: impl Future<Output = ()>) {
    Builder::new_current_thread().build().unwrap().block_on(test);
}

pub(crate) fn other() -> (Arc<NodeState>, Arc<Peer>) {
    other_with(NodeConfig::default())
}

pub(crate) fn other_with(config: NodeConfig) -> (Arc<NodeState>, Arc<Peer>) {
    let hello = Hello::new("c", "me", 5, "", &config).unwrap();
    let node = NodeState::new(Handle::current(), hello, config, |_, _| {});
    let node_info = NodeInfo { node: NodeId::new("other", 1), name: "other".into(), address: "a:1".into() };
    let peer = Peer::new(&node, node_info, &[]);
    (node, peer)
}

pub(crate) fn request(slot: u32) -> CorrelationId {
    CorrelationId { slot, generation: 1 }
}

#[test]
fn handshake_that_may_go_on_reserves_the_relation() {
    in_runtime(async {
        let (_node, peer) = other();
        for (inbound, reserved) in [(true, PeerPhase::HandshakeIn), (false, PeerPhase::HandshakeOut)] {
            peer.change(|status| status.phase = PeerPhase::Disconnected);
            assert_eq!(peer.admit(inbound, true), Collision::Accept);
            assert_eq!(peer.status.borrow().phase, reserved);
            assert_ne!(peer.admit(inbound, true), Collision::Accept);
            assert_eq!(peer.status.borrow().phase, reserved);
        }
    });
}

#[test]
fn handshake_that_fails_frees_what_it_reserved_and_nothing_else() {
    in_runtime(async {
        let (_node, peer) = other();
        let after = |phase, free: &dyn Fn(&Peer)| {
            peer.change(|status| status.phase = phase);
            free(&peer);
            peer.status.borrow().phase
        };
        assert_eq!(after(PeerPhase::HandshakeIn, &|peer| peer.handshake_failed(true)), PeerPhase::Disconnected);
        assert_eq!(after(PeerPhase::HandshakeOut, &|peer| peer.handshake_failed(false)), PeerPhase::Disconnected);
        assert_eq!(after(PeerPhase::Connecting, &Peer::connect_failed), PeerPhase::Disconnected);
        assert_eq!(after(PeerPhase::HandshakeIn, &|peer| peer.handshake_failed(false)), PeerPhase::HandshakeIn);
        assert_eq!(after(PeerPhase::HandshakeOut, &|peer| peer.handshake_failed(true)), PeerPhase::HandshakeOut);
        assert_eq!(after(PeerPhase::HandshakeOut, &Peer::connect_failed), PeerPhase::HandshakeOut);
        assert_eq!(after(PeerPhase::Connected, &|peer| peer.handshake_failed(true)), PeerPhase::Connected);
    });
}

#[test]
fn whoever_was_not_met_is_not_reserved_by_dialling() {
    in_runtime(async {
        let (_node, peer) = other();
        assert!(peer.try_start_connect());
        assert_eq!(peer.status.borrow().phase, PeerPhase::Disconnected);
        assert!(peer.mark_met("b:2"));
        assert_eq!(peer.address(), "b:2");
        assert!(peer.try_start_connect());
        assert_eq!(peer.status.borrow().phase, PeerPhase::Connecting);
        assert!(!peer.try_start_connect());
        peer.mark_down(DownReason::Gone);
        assert!(!peer.mark_met("c:3"));
    });
}

#[test]
fn monitors_of_the_other_node_leave_nothing_behind() {
    in_runtime(async {
        let (_node, peer) = other();
        let actor = crate::spawn(|| Idle);
        let waiting = |count: usize| {
            assert_eq!(format!("{:?}", actor.0.monitors), format!("Monitors {{ waiting: {count} }}"));
            assert_eq!(peer.remote_monitor_count(), count);
        };
        peer.add_remote_monitor(request(1), &actor.0);
        peer.add_remote_monitor(request(1), &actor.0);
        waiting(1);
        peer.add_remote_monitor(request(2), &actor.0);
        waiting(2);
        peer.remove_remote_monitor(request(1));
        peer.remove_remote_monitor(request(1));
        waiting(1);
        // After a reconnect the other node monitors anew.
        for _ in 0..10 {
            peer.on_disconnect(DisconnectReason::Closed);
            waiting(0);
            peer.add_remote_monitor(request(2), &actor.0);
            waiting(1);
        }
        actor.stop();
        actor.closed().await;
        waiting(0);
        peer.add_remote_monitor(request(3), &actor.0);
        waiting(0);

        let actor = crate::spawn(|| Idle);
        peer.add_remote_monitor(request(4), &actor.0);
        assert_eq!((peer.remote_monitor_count(), actor.0.monitors.len()), (1, 1));
        peer.mark_down(DownReason::Left);
        assert_eq!((peer.remote_monitor_count(), actor.0.monitors.len()), (0, 0));
    });
}

#[test]
fn end_of_a_node_gives_everybody_their_answer_once() {
    in_runtime(async {
        let (_node, peer) = other();
        let (sender, answer) = oneshot::channel();
        let told = Arc::new(Mutex::new(0));
        let count = told.clone();
        let notify: DownCallback = Box::new(move |reason| {
            assert_eq!(*reason, ExitReason::NodeDown);
            *count.lock() += 1;
        });
        let to = posse_wire::ActorKey { slot: 1, generation: 1 };
        peer.with_session(|session| session.watch(to, Requester::Monitor(notify, None)).map_err(|_| ()).unwrap());
        peer.with_session(|session| session.resolve(1, "name", Requester::Resolve(sender)).map_err(|_| ()).unwrap());
        peer.mark_down(DownReason::Left);
        peer.mark_down(DownReason::Gone);
        assert_eq!(*told.lock(), 1);
        assert_eq!(answer.await.unwrap(), None);
        assert!(peer.shutdown.is_cancelled());
    });
}

/// All asks that there may be wait for their reply. Whatever ends one lets the next sender look.
#[test]
fn every_ask_less_wakes_who_waits_for_room() {
    in_runtime(async {
        let mut config = NodeConfig::default();
        config.asks_max = 1;
        let (node, peer) = other_with(config);
        let to = posse_wire::ActorKey { slot: 1, generation: 1 };
        let mut receiver = Receiver::new(node, peer.clone(), 0);
        let message = TypeInfo { id: 1, schema: 1 };
        for is_reply in [true, false] {
            let asker = Requester::Ask(oneshot::channel().0);
            let asked = peer.with_session(|session| session.ask(to, message, b"", Duration::MAX, asker));
            let id = asked.map_err(|_| ()).unwrap();
            let sender = peer.clone();
            let waiting = task::spawn(async move {
                let mut place = RemoteReservation::default();
                poll_fn(|cx| sender.poll_reserve(&mut place, to, cx)).await;
                sender.cancel_reserve(&mut place, to);
            });
            task::yield_now().await;
            assert!(!waiting.is_finished(), "there is one ask already");

            // What the session does when the answer comes.
            let answer = peer.with_session(|session| session.cancel(id)).unwrap();
            let event = match is_reply {
                true => Event::Reply(answer, BytesMut::new()),
                false => Event::ReplyErr(answer, ReplyCode::Stopped, String::new()),
            };
            assert!(receiver.handle_events(std::iter::once(event)).is_none());
            task::yield_now().await;
            assert!(waiting.is_finished(), "is_reply: {is_reply}");
        }
    });
}
