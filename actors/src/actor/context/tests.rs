//! Tests that what ends leaves nothing behind, whichever ends first: counted in the tables themselves.

use crate::prelude::*;
use crate::{System, spawn};
use posse_core::lock::Mutex;
use posse_core::runtime::Builder;
use posse_core::task::yield_now;
use std::future::pending;
use std::sync::Arc;

/// As many as a test of each kind makes.
const MANY: usize = 1000;

struct Idle;
impl Actor for Idle {}

/// Whom it watches, in what it keeps and in what they keep of it.
struct Watcher;
impl Actor for Watcher {}

struct Watch(Vec<LocalRef<Idle>>);
impl Message for Watch {
    type Reply = ();
}

struct Kept;
impl Message for Kept {
    /// Monitors, children, timers.
    type Reply = [usize; 3];
}

struct Later;
impl Message for Later {
    type Reply = ();
}

struct Start;
impl Message for Start {
    type Reply = Vec<LocalRef<Idle>>;
}

impl Handler<Watch> for Watcher {
    async fn handle(&mut self, Watch(actors): Watch, ctx: &mut Context<Self>) {
        for actor in &actors {
            ctx.monitor(actor);
        }
    }
}

struct Cancel(LocalRef<Idle>);
impl Message for Cancel {
    type Reply = ();
}

impl Handler<Cancel> for Watcher {
    async fn handle(&mut self, Cancel(actor): Cancel, ctx: &mut Context<Self>) {
        let monitors: Vec<_> = (0..MANY).map(|_| ctx.monitor(&actor)).collect();
        assert_eq!(ctx.monitors.len(), MANY);
        for monitor in monitors {
            let same = monitor.clone();
            assert!(monitor.cancel());
            assert!(!same.cancel(), "it is over already");
        }
    }
}

impl Handler<Down> for Watcher {
    async fn handle(&mut self, _: Down, _: &mut Context<Self>) {}
}

impl Handler<Kept> for Watcher {
    async fn handle(&mut self, _: Kept, ctx: &mut Context<Self>) -> [usize; 3] {
        [ctx.monitors.len(), ctx.children(), ctx.timers.len()]
    }
}

impl Handler<Later> for Watcher {
    async fn handle(&mut self, _: Later, ctx: &mut Context<Self>) {
        for _ in 0..MANY {
            ctx.send_after(ms(1), Kept);
            ctx.send_every(secs(1), || Kept).abort();
        }
    }
}

impl Handler<Start> for Watcher {
    async fn handle(&mut self, _: Start, ctx: &mut Context<Self>) -> Vec<LocalRef<Idle>> {
        (0..MANY).map(|_| ctx.spawn(Spec::once(Idle))).collect()
    }
}

/// With a clock that only a hand turns.
fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
    runtime.block_on(test);
}

async fn end(actors: Vec<LocalRef<Idle>>) {
    for actor in actors {
        actor.stop();
        actor.closed().await;
    }
}

#[test]
fn a_monitor_goes_with_the_watched() {
    run(async {
        let watcher = spawn(|| Watcher);
        let watched: Vec<_> = (0..MANY).map(|_| spawn(|| Idle)).collect();
        watcher.ask(Watch(watched.clone())).await.expect("it is watched");
        assert_eq!(watcher.ask(Kept).await, Ok([MANY, 0, 0]));
        end(watched).await;
        assert_eq!(watcher.ask(Kept).await, Ok([0, 0, 0]));
    });
}

#[test]
fn a_monitor_goes_with_the_watcher() {
    run(async {
        let watched = spawn(|| Idle);
        for _ in 0..MANY {
            let watcher = spawn(|| Watcher);
            watcher.ask(Watch(vec![watched.clone()])).await.expect("it is watched");
            watcher.stop();
            watcher.closed().await;
        }
        assert_eq!(watched.0.monitors.len(), 0);
    });
}

#[test]
fn a_monitor_that_is_cancelled_goes_at_once_on_both_sides() {
    run(async {
        let (watched, watcher) = (spawn(|| Idle), spawn(|| Watcher));
        watcher.ask(Cancel(watched.clone())).await.expect("all were cancelled");
        assert_eq!(watched.0.monitors.len(), 0);
        assert_eq!(watcher.ask(Kept).await, Ok([0, 0, 0]));
    });
}

#[test]
fn a_child_goes_when_it_has_ended_and_with_its_parent() {
    run(async {
        let parent = spawn(|| Watcher);
        let children = parent.ask(Start).await.expect("they are started");
        assert_eq!(parent.ask(Kept).await, Ok([0, MANY, 0]));
        end(children).await;
        assert_eq!(parent.ask(Kept).await, Ok([0, 0, 0]));

        let children = parent.ask(Start).await.expect("they are started");
        parent.stop();
        parent.closed().await;
        assert!(children.iter().all(|child| !child.is_alive()));
        assert_eq!(System::current().alive(), 0);
    });
}

#[test]
fn a_timer_goes_when_it_has_fired_or_was_aborted() {
    run(async {
        let timed = spawn(|| Watcher);
        timed.ask(Later).await.expect("they are set");
        // Those that were aborted go when they are next seen to, those that fire when they have told.
        while timed.ask(Kept).await != Ok([0, 0, MANY]) {
            yield_now().await;
        }
        posse_core::runtime::Handle::current().advance(ms(1));
        while timed.ask(Kept).await != Ok([0, 0, 0]) {
            yield_now().await;
        }
    });
}

#[test]
fn a_name_that_is_given_up_is_not_kept_by_its_actor() {
    run(async {
        let (system, actor) = (System::current(), spawn(|| Idle));
        for n in 0..MANY {
            let name = format!("name-{n}");
            system.register(&name, &actor).expect("it is free");
            assert!(system.unregister(&name, &actor));
        }
        assert_eq!((actor.0.names(), system.names()), (0, 0));
    });
}

#[test]
fn an_ask_that_expired_leaves_nothing_in_the_mailbox() {
    run(async {
        let stuck = spawn(|| Stuck);
        for _ in 0..MANY {
            let mut ask = Box::pin(stuck.ask(Wait).within(ms(1)));
            assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(ask.as_mut().poll(cx).is_pending())).await);
            yield_now().await;
            posse_core::runtime::Handle::current().advance(ms(1));
            assert_eq!(ask.await, Err(AskError::Timeout));
        }
        stuck.kill();
        stuck.closed().await;
        assert_eq!(stuck.queued(), 0);
    });
}

struct Stuck;
impl Actor for Stuck {}

struct Wait;
impl Message for Wait {
    type Reply = ();
}

impl Handler<Wait> for Stuck {
    async fn handle(&mut self, _: Wait, _: &mut Context<Self>) {
        pending().await
    }
}

/// Has a child that notes, when it is dropped, whether its parent is there.
struct Family(Option<LocalRef<Family>>, Arc<Mutex<Vec<bool>>>);
impl Actor for Family {}

impl Drop for Family {
    fn drop(&mut self) {
        self.1.lock().extend(self.0.iter().map(LocalRef::is_alive));
    }
}

impl Handler<Wait> for Family {
    async fn handle(&mut self, _: Wait, _: &mut Context<Self>) {
        pending().await
    }
}

struct Adopt;
impl Message for Adopt {
    type Reply = LocalRef<Family>;
}

impl Handler<Adopt> for Family {
    async fn handle(&mut self, _: Adopt, ctx: &mut Context<Self>) -> LocalRef<Family> {
        ctx.spawn(Spec::once(Family(Some(ctx.myself()), self.1.clone())).stop_within(ms(1)))
    }
}

#[test]
fn a_parent_ends_after_a_child_that_had_to_be_killed() {
    run(async {
        let noted = Arc::new(Mutex::new(Vec::new()));
        let parent = spawn(Spec::once(Family(None, noted.clone())));
        let child = parent.ask(Adopt).await.expect("it is started");
        child.try_tell(Wait).expect("there is room");
        for stops in [false, true] {
            if stops {
                parent.stop();
            }
            for _ in 0..10 {
                yield_now().await;
            }
        }
        assert!(child.is_alive() && parent.is_alive(), "the child has its time");
        posse_core::runtime::Handle::current().advance(ms(1));
        parent.closed().await;
        assert_eq!(*noted.lock(), [true]);
    });
}
