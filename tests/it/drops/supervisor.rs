//! Orders to supervisors, and what waits for actors, are dropped at every moment. An order that was taken is carried out, and the supervisor works
//! on.

use super::{Moment, at_every_moment};
use crate::common::{Add, Log, Worker, settle};
use posse::prelude::*;
use posse::{ChildInfo, ChildState};

/// A child that waits in its start until it is let go.
async fn gated() -> (SupervisorRef, Gate) {
    (Supervisor::one_for_one().spawn(), Gate::default())
}

#[derive(Clone, Default)]
struct Gate(std::sync::Arc<posse::sync::Notify>);

struct Slow(Gate);

impl Actor for Slow {
    async fn started(&mut self, _: &mut Context<Self>) -> posse::Result {
        self.0.0.notified().await;
        // Restarts find it open.
        self.0.0.notify_one();
        Ok(())
    }

    async fn stopped(&mut self, _: &ExitReason, _: &mut Context<Self>) {
        self.0.0.notified().await;
        self.0.0.notify_one();
    }
}

impl Gate {
    fn open(&self) {
        self.0.notify_one();
    }

    fn child(&self) -> Spec<Slow> {
        let gate = self.clone();
        Spec::new(move || Slow(gate.clone())).name("slow")
    }
}

/// The one child, if there is one.
async fn child(supervisor: &SupervisorRef) -> Option<ChildInfo> {
    let mut children = supervisor.which_children().await;
    assert!(children.len() <= 1, "{children:?}");
    children.pop()
}

/// It takes orders as before.
async fn assert_works(supervisor: SupervisorRef, moment: Moment) {
    let worker = supervisor.start_child(Spec::new(|| Worker::new("w", &Log::default())).name("w")).await.unwrap();
    assert_eq!(worker.ask(Add(1)).await, Ok(1), "{moment:?}");
    supervisor.shutdown().await;
    assert_eq!(posse::System::current().alive(), 0, "{moment:?}");
}

#[test]
fn start_child() {
    at_every_moment(async |moment| {
        let (supervisor, gate) = gated().await;
        let started = moment.cut(supervisor.start_child(gate.child()), || gate.open()).await;
        let ended = started.map(|started| started.unwrap()).is_some();
        // The order was taken at the first poll, or never given.
        let child = child(&supervisor).await;
        assert_eq!(child.is_some_and(|child| child.state == ChildState::Running), moment.begins(), "{moment:?}");
        assert_works(supervisor, moment).await;
        ended
    });
}

/// A child that runs; it ends once the gate is open again.
async fn running() -> (SupervisorRef, Gate, LocalRef<Slow>) {
    let (supervisor, gate) = gated().await;
    gate.open();
    let slow = supervisor.start_child(gate.child()).await.unwrap();
    settle().await;
    // Closed.
    gate.0.notified().await;
    (supervisor, gate, slow)
}

#[test]
fn terminate_child() {
    at_every_moment(async |moment| {
        let (supervisor, gate, slow) = running().await;
        let ended = moment.cut(supervisor.terminate_child("slow"), || gate.open()).await.is_some();
        assert_eq!(slow.is_alive(), !moment.begins(), "{moment:?}");
        let state = if moment.begins() { ChildState::Terminated } else { ChildState::Running };
        assert_eq!(child(&supervisor).await.map(|child| child.state), Some(state), "{moment:?}");
        assert_works(supervisor, moment).await;
        ended
    });
}

#[test]
fn delete_child() {
    at_every_moment(async |moment| {
        let (supervisor, gate, slow) = running().await;
        let ended = moment.cut(supervisor.delete_child("slow"), || gate.open()).await.is_some();
        assert_eq!(slow.is_alive(), !moment.begins(), "{moment:?}");
        assert_eq!(child(&supervisor).await.is_none(), moment.begins(), "{moment:?}");
        assert_works(supervisor, moment).await;
        ended
    });
}

#[test]
fn restart_child() {
    at_every_moment(async |moment| {
        let (supervisor, gate, slow) = running().await;
        let before = child(&supervisor).await.and_then(|child| child.actor);
        let ended = moment.cut(supervisor.restart_child("slow"), || gate.open()).await.is_some();
        let now = child(&supervisor).await.unwrap();
        assert_eq!((now.state, slow.is_alive()), (ChildState::Running, true), "{moment:?}");
        assert!(before.is_some() && now.actor.is_some(), "{moment:?}");
        assert_works(supervisor, moment).await;
        ended
    });
}

#[test]
fn which_children() {
    at_every_moment(async |moment| {
        let supervisor = Supervisor::one_for_one().spawn();
        let children = moment.cut(supervisor.which_children(), || ()).await;
        assert!(children.as_ref().is_none_or(Vec::is_empty));
        assert_works(supervisor, moment).await;
        children.is_some()
    });
}

#[test]
fn shutdown() {
    at_every_moment(async |moment| {
        let (supervisor, gate, slow) = running().await;
        let ended = moment.cut(supervisor.shutdown(), || gate.open()).await.is_some();
        assert_eq!((slow.is_alive(), supervisor.is_alive()), (!moment.begins(), !moment.begins()), "{moment:?}");
        supervisor.shutdown().await;
        ended
    });
}

#[posse::protocol]
trait Adding {
    async fn plus(n: u64) -> u64;
}

impl Handler<Plus> for Worker {
    async fn handle(&mut self, Plus { n }: Plus, _: &mut Context<Self>) -> u64 {
        self.total += n;
        self.total
    }
}

#[test]
fn the_end_of_an_actor_by_a_shared_reference() {
    at_every_moment(async |moment| {
        let worker = posse::spawn(|| Worker::new("w", &Log::default()));
        let shared = worker.share::<Adding>();
        let closed = moment.cut(shared.closed(), || worker.stop()).await;
        assert!(closed.as_ref().is_none_or(|reason| *reason == ExitReason::Normal));
        assert_eq!(shared.closed().await, ExitReason::Normal, "{moment:?}");
        closed.is_some()
    });
}

/// In process style: it waits for its stop itself, and gives the wait up as often as it is told to.
struct Process(Moment, posse::sync::oneshot::Sender<bool>);

impl Actor for Process {
    async fn run(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        let stopping = ctx.stopping();
        let ended = self.0.cut(stopping, || ctx.stop()).await.is_some();
        // Whatever was dropped: the stop is there.
        ctx.stopping().await;
        let (unused, _) = posse::sync::oneshot::channel();
        let _ = std::mem::replace(&mut self.1, unused).send(ended);
        Ok(())
    }
}

#[test]
fn stopping() {
    at_every_moment(async |moment| {
        let (tell, told) = posse::sync::oneshot::channel();
        let tell = std::sync::Mutex::new(Some(tell));
        posse::spawn(Spec::new(move || Process(moment, tell.lock().unwrap().take().unwrap())));
        told.await.unwrap()
    });
}

/// Serves until its gate opens, and again from there: what is queued is handled once.
struct Twice(Moment, posse::sync::oneshot::Sender<bool>, u64);

#[derive(Message)]
#[message(reply = u64)]
struct Count;

impl Handler<Count> for Twice {
    async fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u64 {
        self.2 += 1;
        self.2
    }
}

impl Actor for Twice {
    async fn run(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        let (moment, unused) = (self.0, posse::sync::oneshot::channel().0);
        let told = std::mem::replace(&mut self.1, unused);
        let ended = moment.cut(ctx.serve(self), || ()).await.is_some();
        let _ = told.send(ended);
        ctx.serve(self).await
    }
}

#[test]
fn serving() {
    at_every_moment(async |moment| {
        let (tell, _told) = posse::sync::oneshot::channel();
        let tell = std::sync::Mutex::new(Some(tell));
        let twice = posse::spawn(Spec::new(move || Twice(moment, tell.lock().unwrap().take().unwrap(), 0)));
        let asked: Vec<_> = (0..5).map(|_| twice.ask(Count)).collect();
        let mut sum = 0;
        for ask in asked {
            sum += ask.await.unwrap();
        }
        assert_eq!(sum, 15, "{moment:?}");
        twice.drain();
        twice.closed().await;
        moment.begins()
    });
}
