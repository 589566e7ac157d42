//! Tests of what arrives, without a network: an actor with as much room as the test gives it.

use super::*;
use crate::actor::Actor;
use crate::cluster::events::DownReason;
use crate::cluster::session::peer::tests::{in_runtime, other_with, request};
use crate::protocol::MessageType;
use crate::protocol::dispatch::EncodedReply;
use crate::protocol::scope;
use crate::refs::LocalRef;
use crate::refs::actor_ref::Repr;
use crate::refs::target::{RemoteReservation, Reserve, Waiter};
use crate::watch::shared::ActorShared;
use bytes::BytesMut;
use posse_core::lock::Mutex;
use posse_core::mailbox::Reservation;
use posse_core::runtime::{Builder, Handle, TaskMeta};
use posse_core::sync::oneshot;
use posse_wire::{CloseReason, NodeId, NodeInfo, TypeInfo};
use std::any::Any;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

struct Idle;
impl Actor for Idle {}

const MESSAGE: MessageType = MessageType::new("message", "", 1);

/// Its mailbox.
struct Door {
    actor: LocalRef<Idle>,
    room: AtomicUsize,
    /// So often it says that there is room, and another sender is quicker.
    lies: AtomicUsize,
    /// How often a place in the line was asked for.
    reserved: AtomicUsize,
    taken: Mutex<Vec<u8>>,
}

fn take_one(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok()
}

impl Door {
    fn take(&self, body: &[u8]) -> Result<(), DeliveryError> {
        if !take_one(&self.room) {
            return Err(DeliveryError::Full);
        }
        self.taken.lock().extend(body);
        Ok(())
    }
}

impl Endpoint for Door {
    fn shared(&self) -> &ActorShared {
        &self.actor.0
    }

    fn protocol(&self) -> u64 {
        7
    }

    fn messages(&self) -> &'static [MessageType] {
        &[MESSAGE]
    }

    fn reserve(&self) -> &dyn Reserve {
        self
    }

    fn has_room(&self, _: &Reservation) -> bool {
        self.room.load(Ordering::Relaxed) > 0
    }

    fn local(&self, _: usize, _: &mut dyn Any) {}

    fn tell(&self, _: usize, _: &mut Reservation, body: &[u8]) -> Result<(), DeliveryError> {
        self.take(body)
    }

    fn ask(&self, _: usize, _: &mut Reservation, body: &[u8]) -> Result<EncodedReply, DeliveryError> {
        self.take(body)?;
        Ok(Box::pin(pending()))
    }
}

impl Reserve for Door {
    fn poll_reserve(&self, _: &mut Waiter, _: &mut Context<'_>) -> Poll<()> {
        self.reserved.fetch_add(1, Ordering::Relaxed);
        let has_room = self.room.load(Ordering::Relaxed) > 0 || take_one(&self.lies);
        if has_room { Poll::Ready(()) } else { Poll::Pending }
    }

    fn cancel_reserve(&self, _: &mut Waiter) {}

    fn runtime(&self) -> Option<Handle> {
        Some(Handle::current())
    }

    fn is_current(&self) -> bool {
        false
    }
}

/// Spawning a task runs a hook of the program's, which may export an actor: nothing is spawned under the lock of the types.
#[test]
fn protocol_that_becomes_known_starts_nothing() {
    let spawned = Arc::new(AtomicUsize::new(0));
    let count = spawned.clone();
    let hook = move |_: &TaskMeta| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    Builder::new_current_thread().on_task_spawn(hook).build().unwrap().block_on(async {
        let (node, _) = other_with(NodeConfig::default());
        let third = NodeInfo { node: NodeId::new("third", 1), name: "third".into(), address: "a:1".into() };
        let id = third.node;
        node.learn_node(third);
        // Another task asks, and has not started the relation yet.
        let asker = Requester::Resolve(oneshot::channel().0);
        let other = node.peer(id).unwrap();
        other.with_session(|session| session.resolve(1, "name", asker).map_err(|_| ()).unwrap());
        let [room, lies, reserved] = [(); 3].map(|()| AtomicUsize::new(0));
        let actor = crate::spawn(|| Idle);
        let door: Arc<dyn Endpoint> = Arc::new(Door { actor, room, lies, reserved, taken: Mutex::default() });
        let before = spawned.load(Ordering::Relaxed);
        node.export(&door);
        assert_eq!((node.types().len(), spawned.load(Ordering::Relaxed) - before), (1, 0));
    });
}

struct Stage {
    peer: Arc<Peer>,
    receiver: Receiver,
    door: Arc<Door>,
    key: ActorKey,
}

impl Stage {
    fn new(config: NodeConfig) -> Self {
        let (node, peer) = other_with(config);
        let mut receiver = Receiver::new(node.clone(), peer.clone(), 0);
        receiver.allow(10);
        let (room, lies, reserved) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let door = Arc::new(Door { actor: crate::spawn(|| Idle), room, lies, reserved, taken: Mutex::default() });
        let served: Arc<dyn Endpoint> = door.clone();
        let key = node.export(&served).key;
        Self { peer, receiver, door, key }
    }

    fn message(&self, n: u8) -> Delivery {
        let body = BytesMut::from(&[n][..]);
        Delivery { to: self.key, type_key: TypeKey { id: MESSAGE.id, schema: None }, body, frame_bytes: 17 }
    }

    fn act(&mut self, event: Event<Requester>) -> Option<DisconnectReason> {
        self.receiver.handle_events([event].into_iter())
    }

    fn tell(&mut self, n: u8) {
        let message = self.message(n);
        self.act(Event::Tell(message));
    }

    fn ask(&mut self, n: u8) {
        let message = self.message(n);
        self.act(Event::Ask(message, request(n.into()), Duration::MAX));
    }

    /// Makes room. Returns what the actor has got so far.
    fn make_room(&mut self, messages: usize) -> Vec<u8> {
        self.door.room.fetch_add(messages, Ordering::Relaxed);
        self.receiver.poll_backlog(&mut Context::from_waker(Waker::noop()));
        self.door.taken.lock().clone()
    }
}

#[test]
fn backlog_keeps_its_order_also_if_others_take_the_room() {
    in_runtime(async {
        let mut stage = Stage::new(NodeConfig::default());
        (1..=3).for_each(|n| stage.tell(n));
        stage.door.lies.store(2, Ordering::Relaxed);
        assert_eq!(stage.make_room(0), []);
        assert_eq!(stage.make_room(1), [1]);
        stage.tell(4);
        assert_eq!((stage.make_room(2), stage.receiver.backlog_messages), (vec![1, 2, 3], 1));
        assert_eq!((stage.make_room(2), stage.receiver.backlog_messages), (vec![1, 2, 3, 4], 0));
        stage.tell(5);
        assert_eq!(*stage.door.taken.lock(), [1, 2, 3, 4, 5]);
    });
}

#[test]
fn many_in_a_backlog_go_in_at_once_without_a_place_in_the_line_for_each() {
    in_runtime(async {
        let mut stage = Stage::new(NodeConfig::default());
        (1..=9).for_each(|n| stage.tell(n));
        assert_eq!(stage.make_room(8), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(stage.door.reserved.load(Ordering::Relaxed), 1, "for the ninth");
    });
}

#[test]
fn asks_that_are_given_up_in_a_backlog_are_not_begun_and_not_remembered_for_long() {
    in_runtime(async {
        let mut config = NodeConfig::default();
        config.unsettled_max = 4;
        let mut stage = Stage::new(config);
        stage.tell(1);
        stage.ask(2);
        stage.tell(3);
        assert_eq!(stage.receiver.backlog_asks.len(), 1);
        // Those that are not here, as many as a peer may like, leave nothing and crowd out no other.
        for id in 10..20 {
            stage.act(Event::Cancel(request(id)));
        }
        stage.act(Event::Cancel(request(2)));
        assert!(stage.receiver.backlog_asks.is_empty());
        assert_eq!((stage.make_room(3), stage.receiver.backlog_messages), (vec![1, 3], 0));
        stage.ask(4);
        assert_eq!(stage.door.taken.lock().last().copied(), Some(4));
    });
}

#[test]
fn go_away_of_a_shutdown_is_the_end_of_the_node_and_another_one_is_not() {
    in_runtime(async {
        let mut stage = Stage::new(NodeConfig::default());
        let bye = |code| Event::GoAway(code, String::new());
        for code in [CloseReason::Shutdown, CloseReason::Protocol] {
            let reason = DisconnectReason::ClosedByPeer { code, detail: "".into() };
            assert_eq!(stage.act(bye(code)), Some(reason));
        }
        assert!(stage.act(Event::Unwatch(request(1))).is_none());
    });
}

#[test]
fn reference_that_comes_home_with_another_protocol_leads_nowhere() {
    in_runtime(async {
        let stage = Stage::new(NodeConfig::default());
        let (node, key) = (&stage.receiver.node, stage.key);
        let import = |protocol, expected| {
            let wire = WireRef { node: node.id(), key, protocol };
            scope::within(node.clone(), || scope::import(wire, expected)).0
        };
        assert!(matches!(import(7, 7), Ok(Repr::Local(_))));
        assert!(matches!(import(8, 8), Ok(Repr::Stale(_))), "the actor does not speak it");
        assert!(import(7, 8).is_err() && import(8, 7).is_err());
        let wire = WireRef { node: node.id(), key, protocol: 7 };
        assert!(scope::import(wire, 7).is_err(), "outside of a message");
    });
}

#[test]
fn messages_of_an_exported_actor_are_numbered_once() {
    in_runtime(async {
        let stage = Stage::new(NodeConfig::default());
        let served: Arc<dyn Endpoint> = stage.door.clone();
        assert_eq!(stage.receiver.node.export(&served).key, stage.key);
        let types = stage.receiver.node.types();
        assert_eq!(types, [TypeInfo { id: MESSAGE.id, schema: MESSAGE.schema }]);
    });
}

#[derive(Default)]
struct Count(AtomicUsize);
impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_waits_for_room_looks_after_an_answer_or_an_acknowledgement_and_when_the_node_is_down() {
    in_runtime(async {
        let mut config = NodeConfig::default();
        config.asks_max = 1;
        let mut stage = Stage::new(config);
        let to = ActorKey { slot: 3, generation: 1 };
        let token = || Requester::Ask(oneshot::channel().0);
        let ask = |peer: &Peer| {
            let message = TypeInfo { id: 1, schema: 1 };
            let asked = peer.with_session(|session| session.ask(to, message, b"", Duration::MAX, token()));
            asked.map_err(|(error, _)| error).expect("there is room")
        };
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut place = RemoteReservation::default();
        let peer = stage.peer.clone();
        let mut waits = || peer.poll_reserve(&mut place, to, &mut Context::from_waker(&waker)).is_pending();

        let mut id = ask(&stage.peer);
        for (n, event) in [Event::Settled, Event::Reply(token(), BytesMut::new())].into_iter().enumerate() {
            assert!(waits());
            stage.act(Event::Settled);
            assert_eq!(count.0.load(Ordering::Relaxed), n, "there is no room yet");
            stage.peer.with_session(|session| session.cancel(id));
            stage.act(event);
            assert_eq!(count.0.load(Ordering::Relaxed), n + 1);
            assert!(!waits());
            id = ask(&stage.peer);
        }
        assert!(waits());
        stage.peer.mark_down(DownReason::Left);
        assert_eq!(count.0.load(Ordering::Relaxed), 3);
        assert!(!waits(), "to hear that it is down");
    });
}

#[test]
fn an_actor_that_makes_room_at_its_turns_is_waited_for_and_a_slow_one_once() {
    in_runtime(async {
        let mut stage = Stage::new(NodeConfig::default());
        let door = stage.door.clone();
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = turns.clone();
        // Room for one in every tenth turn, for the first four.
        posse_core::task::spawn(async move {
            for turn in 1.. {
                counted.store(turn, Ordering::Relaxed);
                door.room.fetch_add(usize::from(turn % 10 == 0 && turn <= 40), Ordering::Relaxed);
                yield_now().await;
            }
        });
        (1..=4).for_each(|n| stage.tell(n));
        assert_eq!(stage.receiver.backlog_messages, 4);
        stage.receiver.let_actors_catch_up().await;
        assert_eq!((stage.make_room(0), stage.receiver.backlog_messages), (vec![1, 2, 3, 4], 0));

        (5..=6).for_each(|n| stage.tell(n));
        let before = turns.load(Ordering::Relaxed);
        stage.receiver.let_actors_catch_up().await;
        let after = turns.load(Ordering::Relaxed);
        assert!((TURNS_MAX..=TURNS_MAX + 2).contains(&(after - before)), "{after} {before}");
        stage.tell(7);
        stage.receiver.let_actors_catch_up().await;
        assert_eq!((turns.load(Ordering::Relaxed), stage.receiver.backlog_messages), (after, 3));

        // It has caught up, and is waited for again.
        assert_eq!(stage.make_room(3), [1, 2, 3, 4, 5, 6, 7]);
        stage.receiver.let_actors_catch_up().await;
        stage.tell(8);
        stage.receiver.let_actors_catch_up().await;
        assert!(turns.load(Ordering::Relaxed) >= after + TURNS_MAX);
    });
}

#[test]
fn messages_that_are_handled_together_are_each_for_whom_they_are() {
    in_runtime(async {
        let mut stage = Stage::new(NodeConfig::default());
        stage.door.room.store(10, Ordering::Relaxed);
        let (to, unknown) = (stage.key, ActorKey { slot: 1, generation: 1 });
        let tell = |n, to| Event::Tell(Delivery { to, ..stage.message(n) });
        let events = [tell(1, to), tell(2, unknown), tell(3, to), Event::Settled, tell(4, to)];
        assert!(stage.receiver.handle_events(events.into_iter()).is_none());
        assert_eq!(*stage.door.taken.lock(), [1, 3, 4]);
        assert_eq!((stage.receiver.taken, stage.receiver.settlements.len()), ((3, 3 * 17), 1));
        assert!(stage.receiver.last.is_none(), "nothing is kept of an actor");
        assert!(scope::import(WireRef { node: stage.receiver.node.id(), key: to, protocol: 7 }, 7).is_err());
    });
}

#[test]
fn actor_that_outlives_its_node_keeps_nothing_of_it() {
    in_runtime(async {
        let Stage { receiver, door, key, .. } = Stage::new(NodeConfig::default());
        let served: Arc<dyn Endpoint> = door.clone();
        assert_eq!(receiver.node.export(&served).key, key);
        assert_eq!(door.actor.0.monitors.len(), 1);
        drop(receiver);
        assert_eq!(door.actor.0.monitors.len(), 0);
    });
}
