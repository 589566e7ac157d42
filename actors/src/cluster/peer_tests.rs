//! The relation to one node, without a network.

use super::*;
use crate::actor::Actor;
use crate::cluster::inbound::Inbound;
use posse_core::runtime::{Builder, Handle};
use posse_core::task;
use posse_wire::{DownBody, Event, Hello, Limits};
use std::future::{Future, poll_fn};

struct Idle;
impl Actor for Idle {}

pub(in crate::cluster) fn in_runtime(test: impl Future<Output = ()>) {
    Builder::new_current_thread().build().unwrap().block_on(test);
}

pub(in crate::cluster) fn other() -> (Arc<Core>, Arc<Peer>) {
    other_with(Limits::default())
}

pub(in crate::cluster) fn other_with(limits: Limits) -> (Arc<Core>, Arc<Peer>) {
    let hello = Hello::new("c", "me", 5, "", &limits).unwrap();
    let core = Core::new(Handle::current(), hello, limits);
    let introduction = Introduction { node: NodeId::new("other", 1), name: "other".into(), address: "a:1".into() };
    let peer = Peer::new(&core, introduction, &[]);
    (core, peer)
}

pub(in crate::cluster) fn question(slot: u32) -> CorrelationId {
    CorrelationId { slot, generation: 1 }
}

#[test]
fn of_two_connections_that_meet_one_stays() {
    use Phase::{Accepting, Apart, Dialling, Down, Together, Welcomed};
    let refuse = Turn::Refuse;
    in_runtime(async {
        let (_core, peer) = other();
        for accepted in [false, true] {
            for smaller in [false, true] {
                let welcomed = if accepted { Accepting } else { Welcomed };
                let waits_or_not = if smaller { Turn::Wait } else { refuse(Goodbye::Simultaneous) };
                let expected = [
                    (Apart, Turn::Welcome, welcomed),
                    match (accepted, smaller) {
                        (true, true) => (Dialling, refuse(Goodbye::Simultaneous), Dialling),
                        _ => (Dialling, Turn::Welcome, welcomed),
                    },
                    (Welcomed, refuse(Goodbye::Simultaneous), Welcomed),
                    match accepted {
                        true => (Accepting, refuse(Goodbye::Already), Accepting),
                        false => (Accepting, waits_or_not, Accepting),
                    },
                    (Together, refuse(Goodbye::Already), Together),
                    (Down, refuse(Goodbye::Quarantined), Down),
                ];
                for (before, turn, after) in expected {
                    peer.status.lock().phase = before;
                    assert_eq!(peer.turn(accepted, smaller), turn, "{before:?}, {accepted}, {smaller}");
                    assert_eq!(peer.status.lock().phase, after, "{before:?}, {accepted}, {smaller}");
                }
            }
        }
    });
}

#[test]
fn handshake_that_fails_frees_what_it_reserved_and_nothing_else() {
    in_runtime(async {
        let (_core, peer) = other();
        let after = |phase, free: &dyn Fn(&Peer)| {
            peer.status.lock().phase = phase;
            free(&peer);
            peer.status.lock().phase
        };
        assert_eq!(after(Phase::Accepting, &|peer| peer.abandon(true)), Phase::Apart);
        assert_eq!(after(Phase::Welcomed, &|peer| peer.abandon(false)), Phase::Apart);
        assert_eq!(after(Phase::Dialling, &Peer::stop_dialling), Phase::Apart);
        assert_eq!(after(Phase::Accepting, &|peer| peer.abandon(false)), Phase::Accepting);
        assert_eq!(after(Phase::Welcomed, &|peer| peer.abandon(true)), Phase::Welcomed);
        assert_eq!(after(Phase::Welcomed, &Peer::stop_dialling), Phase::Welcomed);
        assert_eq!(after(Phase::Together, &|peer| peer.abandon(true)), Phase::Together);
    });
}

#[test]
fn whoever_was_not_met_is_not_reserved_by_dialling() {
    in_runtime(async {
        let (_core, peer) = other();
        assert!(peer.begin_dialling());
        assert_eq!(peer.status.lock().phase, Phase::Apart);
        assert!(peer.is_at("b:2"));
        assert_eq!(peer.address(), "b:2");
        assert!(peer.begin_dialling());
        assert_eq!(peer.status.lock().phase, Phase::Dialling);
        assert!(!peer.begin_dialling());
        peer.down(DownReason::Gone);
        assert!(!peer.is_at("c:3"));
    });
}

#[test]
fn monitors_of_the_other_node_leave_nothing_behind() {
    in_runtime(async {
        let (_core, peer) = other();
        let actor = crate::spawn(|| Idle);
        let waiting = |count: usize| {
            assert_eq!(format!("{:?}", actor.0.monitors), format!("Monitors {{ waiting: {count} }}"));
            assert_eq!(peer.watcher_count(), count);
        };
        peer.watched_by(question(1), &actor.0);
        peer.watched_by(question(1), &actor.0);
        waiting(1);
        peer.watched_by(question(2), &actor.0);
        waiting(2);
        peer.unwatch(question(1));
        peer.unwatch(question(1));
        waiting(1);
        // After a reconnect the other node monitors anew.
        for _ in 0..10 {
            peer.part();
            waiting(0);
            peer.watched_by(question(2), &actor.0);
            waiting(1);
        }
        actor.stop();
        actor.closed().await;
        waiting(0);
        peer.watched_by(question(3), &actor.0);
        waiting(0);

        let actor = crate::spawn(|| Idle);
        peer.watched_by(question(4), &actor.0);
        assert_eq!((peer.watcher_count(), actor.0.monitors.len()), (1, 1));
        peer.down(DownReason::Left);
        assert_eq!((peer.watcher_count(), actor.0.monitors.len()), (0, 0));
    });
}

#[test]
fn end_of_a_node_gives_everybody_their_answer_once() {
    in_runtime(async {
        let (_core, peer) = other();
        let (sender, answer) = oneshot::channel();
        let told = Arc::new(Mutex::new(0));
        let count = told.clone();
        let notify: DownCallback = Box::new(move |reason| {
            assert_eq!(*reason, ExitReason::NodeDown);
            *count.lock() += 1;
        });
        let to = posse_wire::ActorKey { slot: 1, generation: 1 };
        peer.on_session(|session| session.watch(to, Answer::Watch(notify, None)).map_err(|_| ()).unwrap());
        peer.on_session(|session| session.resolve(1, "name", Answer::Resolve(sender)).map_err(|_| ()).unwrap());
        peer.down(DownReason::Left);
        peer.down(DownReason::Gone);
        assert_eq!(*told.lock(), 1);
        assert_eq!(answer.await.unwrap(), None);
        assert!(peer.closing.is_cancelled());
    });
}

/// All questions that there may be are asked. Whatever ends one lets the next sender look, whoever had asked it.
#[test]
fn every_question_less_wakes_who_waits_for_room() {
    in_runtime(async {
        let mut limits = Limits::default();
        limits.asks_max = 1;
        let (core, peer) = other_with(limits);
        let to = posse_wire::ActorKey { slot: 1, generation: 1 };
        let mut inbound = Inbound::new(core, peer.clone(), 0);
        for is_monitor in [true, false] {
            let asked = peer.on_session(|session| session.watch(to, Answer::Watch(Box::new(|_| {}), None)));
            let id = asked.map_err(|_| ()).unwrap();
            let sender = peer.clone();
            let waiting = task::spawn(async move {
                let mut place = Place::default();
                poll_fn(|cx| sender.poll_room(&mut place, to, cx)).await;
                sender.leave_line(&mut place, to);
            });
            task::yield_now().await;
            assert!(!waiting.is_finished(), "there is one question already");

            // What the session does when the answer comes.
            let answer = peer.on_session(|session| session.cancel(id)).unwrap();
            let event = if is_monitor {
                Event::Down(answer, DownBody { code: DownCode::Normal, text: String::new() })
            } else {
                Event::Resolved(Answer::Resolve(oneshot::channel().0), Resolution::NotFound)
            };
            inbound.act(std::iter::once(event)).map_err(|_| ()).unwrap();
            task::yield_now().await;
            assert!(waiting.is_finished(), "is_monitor: {is_monitor}");
        }
    });
}
