//! Starting, stopping, draining, killing; children; panics in every callback.

use crate::common::{Add, Break, Fail, Hang, Log, Worker, settle};
use posse::prelude::*;

#[posse::test]
async fn an_actor_lives_from_started_to_stopped() {
    let log = Log::default();
    let recipe = log.clone();
    let worker = posse::spawn(move || Worker::new("a", &recipe));
    assert_eq!(worker.ask(Add(2)).await.unwrap(), 2);
    assert_eq!(worker.ask(Add(3)).await.unwrap(), 5);
    worker.stop();
    assert_eq!(worker.closed().await, ExitReason::Normal);
    assert_eq!(log.take(), ["a started", "a stopped: it came to its end"]);
    assert_eq!(worker.ask(Add(1)).await, Err(AskError::Stopped));
    assert!(matches!(worker.try_tell(Add(1)), Err(TellError { reason: SendReason::Stopped, message: Add(1) })));
}

#[posse::test]
async fn draining_handles_what_is_queued_first() {
    let log = Log::default();
    let worker = posse::spawn(Spec::once(Worker::new("a", &log)));
    for _ in 0..100 {
        worker.try_tell(Add(1)).unwrap();
    }
    let last = worker.ask(Add(1)).within(secs(1));
    let last = posse::task::spawn(last);
    settle().await;
    worker.drain();
    assert_eq!(last.await.unwrap(), Ok(101));
    assert_eq!(worker.closed().await, ExitReason::Normal);
}

#[posse::test]
async fn a_kill_drops_a_handler_that_waits_and_skips_stopped() {
    let log = Log::default();
    let worker = posse::spawn(Spec::once(Worker::new("a", &log)));
    let hanging = posse::task::spawn(worker.ask(Hang));
    settle().await;
    worker.kill();
    assert_eq!(worker.closed().await, ExitReason::Killed);
    assert_eq!(hanging.await.unwrap(), Err(AskError::Failed));
    assert_eq!(log.take(), ["a started", "a handler dropped"]);
}

#[posse::test]
async fn a_panic_ends_the_actor_and_tells_its_asker() {
    let log = Log::default();
    let worker = posse::spawn(Spec::once(Worker::new("a", &log)));
    assert_eq!(worker.ask(Break).await, Err(AskError::Failed));
    let reason = worker.closed().await;
    assert_eq!(reason, ExitReason::Failed("broken on purpose".into()));
    assert_eq!(log.take(), ["a started", "a stopped: it failed: broken on purpose"]);
}

#[posse::test]
async fn a_reply_is_given_before_a_failure_that_the_handler_asked_for() {
    let worker = posse::spawn(Spec::once(Worker::new("a", &Log::default())));
    assert_eq!(worker.ask(Fail).await, Ok(()));
    assert_eq!(worker.closed().await, ExitReason::Failed("failed on purpose".into()));
}

struct Panics(&'static str);

impl Actor for Panics {
    async fn started(&mut self, _: &mut Context<Self>) -> posse::Result {
        assert!(self.0 != "started", "in started");
        Ok(())
    }

    async fn run(&mut self, _: &mut Context<Self>) -> posse::Result {
        assert!(self.0 != "run", "in run");
        Ok(())
    }

    async fn stopped(&mut self, _: &ExitReason, _: &mut Context<Self>) {
        assert!(self.0 != "stopped", "in stopped");
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        assert!(self.0 != "drop", "in drop");
    }
}

#[posse::test]
async fn a_panic_in_any_callback_is_the_reason_of_the_end() {
    for place in ["started", "run", "stopped", "drop"] {
        let actor = posse::spawn(Spec::once(Panics(place)));
        assert_eq!(actor.closed().await, ExitReason::Failed(format!("in {place}").into()));
    }
    let unmade = posse::spawn(|| -> Panics { panic!("in recipe") });
    assert_eq!(unmade.closed().await, ExitReason::Failed("in recipe".into()));
    assert_eq!(posse::System::current().alive(), 0);
}

struct Parent(Log);

impl Actor for Parent {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        for name in ["first", "second", "third"] {
            let log = self.0.clone();
            ctx.spawn(move || Worker::new(name, &log));
        }
        Ok(())
    }
}

#[posse::test]
async fn children_end_with_their_parent() {
    let log = Log::default();
    let parent = posse::spawn(Spec::once(Parent(log.clone())));
    settle().await;
    assert_eq!(posse::System::current().alive(), 4);
    parent.stop();
    parent.closed().await;
    assert_eq!(posse::System::current().alive(), 0);
    let log = log.take();
    assert_eq!(
        log.iter().filter(|entry| entry.ends_with("stopped: it was shut down") || entry.contains("stopped")).count(),
        3
    );
}

struct Process(Log, bool);

impl Actor for Process {
    async fn run(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        if self.1 {
            ctx.stopping().await;
            self.0.add("left by itself");
            return Ok(());
        }
        std::future::pending::<()>().await;
        Ok(())
    }
}

#[posse::test]
async fn a_process_is_stopped_at_its_await_unless_it_looks_itself() {
    for looks in [false, true] {
        let log = Log::default();
        let process = posse::spawn(Spec::once(Process(log.clone(), looks)));
        settle().await;
        process.stop();
        assert_eq!(process.closed().await, ExitReason::Normal);
        assert_eq!(log.take().len(), usize::from(looks));
    }
}

#[test]
fn actors_end_once_when_their_runtime_is_dropped() {
    let runtime = posse::runtime::Runtime::new().unwrap();
    let worker = runtime.block_on(async { posse::spawn(Spec::once(Worker::new("a", &Log::default()))) });
    drop(runtime);
    let other = posse::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(other.block_on(worker.closed()), ExitReason::Shutdown);
}

#[test]
fn fifty_runtimes_with_actors_share_nothing() {
    let runtimes: Vec<_> = (0..50).map(|_| posse::runtime::Builder::new_current_thread().build().unwrap()).collect();
    for runtime in &runtimes {
        runtime.block_on(async {
            let system = posse::System::current();
            let worker = posse::spawn(Spec::once(Worker::new("a", &Log::default())));
            assert_eq!(worker.id().to_string(), "#1");
            system.register("worker", &worker).unwrap();
            assert_eq!((system.alive(), system.names()), (1, 1));
        });
    }
}
