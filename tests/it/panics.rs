//! A panic ends one actor and nothing else, wherever it comes from: a callback, what a callback left behind, or the drop
//! of a message, a reply, a state, even of a panic's payload.

use crate::common::{Log, settle};
use posse::ChildError;
use posse::prelude::*;
use std::panic::panic_any;

/// Panics when it is dropped.
struct Bomb(&'static str);

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{} went off", self.0);
    }
}

/// Breaks wherever it is told to. It never ends by itself.
struct Breaking {
    at: &'static str,
    log: Log,
}

impl Breaking {
    fn recipe(at: &'static str, log: &Log) -> impl FnMut() -> Self + Send + 'static {
        let (log, mut made) = (log.clone(), 0);
        move || {
            // One incarnation breaks. A child whose very first start fails is not kept.
            let breaks = if matches!(at, "recipe" | "started") { 2 } else { 1 };
            made += 1;
            let at = if made == breaks { at } else { "nowhere" };
            if at == "recipe" {
                panic_any(Bomb("a payload of the recipe"));
            }
            log.add(format!("made to break {at}"));
            Self { at, log: log.clone() }
        }
    }
}

impl Actor for Breaking {
    async fn started(&mut self, _: &mut Context<Self>) -> posse::Result {
        if self.at == "started" {
            panic_any(Bomb("a payload of started"));
        }
        Ok(())
    }

    async fn stopped(&mut self, _: &ExitReason, _: &mut Context<Self>) {
        if self.at == "stopped" {
            panic_any(Bomb("a payload of stopped"));
        }
    }
}

impl Drop for Breaking {
    fn drop(&mut self) {
        self.log.add("dropped");
        if self.at == "drop" {
            panic_any(Bomb("a payload of the state"));
        }
    }
}

#[derive(Message)]
#[message(reply = ())]
struct Ping;

impl Handler<Ping> for Breaking {
    async fn handle(&mut self, _: Ping, _: &mut Context<Self>) {
        if self.at == "handler" {
            panic_any(Bomb("a payload of the handler"));
        }
    }
}

/// Waits for ever, with something in hand that panics when it is dropped.
#[derive(Message)]
#[message(reply = ())]
struct Wait;

impl Handler<Wait> for Breaking {
    async fn handle(&mut self, _: Wait, _: &mut Context<Self>) {
        let _in_hand = Bomb("what the handler held");
        std::future::pending().await
    }
}

#[derive(Message)]
#[message(reply = ())]
struct Carry(Bomb);

impl Handler<Carry> for Breaking {
    async fn handle(&mut self, Carry(bomb): Carry, _: &mut Context<Self>) {
        std::mem::forget(bomb);
    }
}

#[derive(Message)]
#[message(reply = Bomb)]
struct Fetch;

impl Handler<Fetch> for Breaking {
    async fn handle(&mut self, _: Fetch, _: &mut Context<Self>) -> Bomb {
        posse::task::yield_now().await;
        Bomb("a reply that nobody took")
    }
}

#[posse::test]
async fn a_payload_that_panics_when_it_is_dropped_is_a_failure_like_any_other() {
    let log = Log::default();
    let supervisor = Supervisor::one_for_one().restart_limit(10, secs(60)).spawn();
    for at in ["recipe", "started", "handler", "stopped", "drop"] {
        let actor = supervisor.start_child(Spec::new(Breaking::recipe(at, &log)).name(at)).await.unwrap();
        match at {
            "recipe" | "started" => {
                let failed = supervisor.restart_child(at).await;
                assert!(matches!(failed, Err(ChildError::Failed(ExitReason::Failed(_)))), "{failed:?}");
            }
            "handler" => assert_eq!(actor.ask(Ping).await, Err(AskError::Failed)),
            "stopped" | "drop" => {
                actor.ask(Ping).await.unwrap();
                actor.stop();
            }
            _ => {}
        }
        // The next incarnation serves.
        settle().await;
        assert_eq!(actor.ask(Ping).await, Ok(()), "{at}");
    }
    assert_eq!(posse::System::current().restarts(), 7);
    supervisor.shutdown().await;
    assert_eq!(posse::System::current().alive(), 0);
}

#[posse::test]
async fn what_a_killed_handler_held_may_panic_and_the_supervisor_decides_all_the_same() {
    let log = Log::default();
    let supervisor = Supervisor::one_for_one().spawn();
    let actor = supervisor.start_child(Spec::new(Breaking::recipe("nowhere", &log)).name("a")).await.unwrap();
    let waiting = posse::task::spawn(actor.ask(Wait));
    settle().await;
    actor.kill();
    assert_eq!(waiting.await.unwrap(), Err(AskError::Failed));
    assert_eq!(actor.ask(Ping).await, Ok(()));
    assert_eq!(log.take(), ["made to break nowhere", "dropped", "made to break nowhere"]);
    supervisor.shutdown().await;
}

#[posse::test]
async fn messages_and_replies_that_panic_when_they_are_dropped_harm_nobody() {
    let log = Log::default();
    let actor = posse::spawn(Breaking::recipe("nowhere", &log));
    // A reply whose asker has left, while the handler was at it.
    let asking = posse::task::spawn(actor.ask(Fetch));
    while actor.queued() > 0 {
        posse::task::yield_now().await;
    }
    asking.abort();
    assert!(asking.await.is_err());
    assert_eq!(actor.ask(Ping).await, Ok(()));

    // Messages that are queued when the actor ends, and one that comes after.
    let waiting = posse::task::spawn(actor.ask(Wait));
    settle().await;
    for _ in 0..10 {
        actor.try_tell(Carry(Bomb("a queued message"))).unwrap();
    }
    actor.kill();
    assert!(matches!(actor.closed().await, ExitReason::Killed | ExitReason::Failed(_)));
    assert_eq!(waiting.await.unwrap(), Err(AskError::Failed));
    match actor.try_tell(Carry(Bomb("a late message"))) {
        Err(refused) => std::mem::forget(refused),
        Ok(()) => panic!("it has ended"),
    }
    let system = posse::System::current();
    assert_eq!((system.alive(), system.dead_letters().count(posse::DeadLetterReason::Stopped)), (0, 10));
}

/// A payload that is still somewhere keeps this alive.
struct Payload(#[expect(dead_code, reason = "held")] std::sync::Arc<()>);

#[derive(Message)]
struct BreakWith(Payload);

struct Breakable;
impl Actor for Breakable {}

impl Handler<BreakWith> for Breakable {
    async fn handle(&mut self, BreakWith(payload): BreakWith, _: &mut Context<Self>) {
        panic_any(payload);
    }
}

#[posse::test]
async fn what_an_actor_panics_with_is_not_kept() {
    let payload = std::sync::Arc::new(());
    let breakable = posse::spawn(|| Breakable);
    breakable.tell(BreakWith(Payload(payload.clone()))).await.unwrap();
    assert!(breakable.closed().await.is_abnormal());
    assert_eq!(std::sync::Arc::strong_count(&payload), 1);
}

/// Has no text: who asks for it panics. So does who drops it.
struct Unspeakable;

impl std::fmt::Debug for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic_any(Bomb("a payload of Debug"))
    }
}

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic_any(Bomb("a payload of Display"))
    }
}

impl Drop for Unspeakable {
    fn drop(&mut self) {
        panic_any(Bomb("a payload of an error"));
    }
}

impl std::error::Error for Unspeakable {}

/// Fails in its first incarnation, and in the drop after it.
struct Failing {
    at: &'static str,
    log: Log,
}

impl Actor for Failing {
    fn started(&mut self, _: &mut Context<Self>) -> impl Future<Output = posse::Result> + Send {
        if self.at == "the call of started" {
            panic_any(Bomb("a payload of the call"));
        }
        async { if self.at == "started" { Err(Unspeakable.into()) } else { Ok(()) } }
    }

    async fn run(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        if self.at == "run" { Err(Unspeakable.into()) } else { ctx.serve(self).await }
    }

    async fn stopped(&mut self, _: &ExitReason, _: &mut Context<Self>) {
        self.log.add(format!("stopped {}", self.at));
    }
}

#[posse::test]
async fn an_error_without_a_text_and_a_callback_without_a_future_are_failures_that_the_supervisor_hears_of() {
    for at in ["started", "run", "the call of started"] {
        let (log, mut made) = (Log::default(), 0);
        let noted = log.clone();
        let recipe = move || {
            made += 1;
            Failing { at: if made == 1 { at } else { "nowhere" }, log: noted.clone() }
        };
        let child = Spec::new(recipe).name("failing");
        let supervisor = Supervisor::one_for_one().child(child).child(Spec::new(|| Breakable).name("next")).spawn();
        settle().await;
        let states: Vec<_> = supervisor.which_children().await.into_iter().map(|child| child.state).collect();
        assert_eq!(states, [posse::ChildState::Running, posse::ChildState::Running], "{at}");
        supervisor.shutdown().await;
        assert_eq!(log.take().last().map(String::as_str), Some("stopped nowhere"));
    }
    assert_eq!(posse::System::current().restarts(), 3);
}
