//! `Down` comes exactly once, and never before an earlier message.

use crate::common::{Break, Log, Worker, settle};
use posse::prelude::*;

struct Watcher(Log);
impl Actor for Watcher {}

#[derive(Message)]
struct Watch(LocalRef<Worker>);

#[derive(Message)]
struct Say(String);

impl Handler<Watch> for Watcher {
    async fn handle(&mut self, Watch(worker): Watch, ctx: &mut Context<Self>) {
        ctx.monitor(&worker);
    }
}

impl Handler<Say> for Watcher {
    async fn handle(&mut self, Say(text): Say, _: &mut Context<Self>) {
        self.0.add(text);
    }
}

impl Handler<Down> for Watcher {
    async fn handle(&mut self, down: Down, _: &mut Context<Self>) {
        self.0.add(format!("down: {}", down.reason));
    }
}

/// Tells the watcher a number of things and then panics.
#[derive(Message)]
struct SayAndBreak(LocalRef<Watcher>);

impl Handler<SayAndBreak> for Worker {
    async fn handle(&mut self, SayAndBreak(watcher): SayAndBreak, _: &mut Context<Self>) {
        for n in 0..100 {
            watcher.tell(Say(n.to_string())).await.unwrap();
        }
        panic!("after the last word");
    }
}

#[posse::test]
async fn down_comes_after_the_last_message() {
    let log = Log::default();
    let watcher = posse::spawn(Spec::once(Watcher(log.clone())));
    let worker = posse::spawn(Spec::once(Worker::new("a", &Log::default())));
    watcher.ask(Watch(worker.clone())).await.unwrap();
    worker.tell(SayAndBreak(watcher.clone())).await.unwrap();
    worker.closed().await;
    watcher.ask(Say("end".into())).await.unwrap();
    let mut expected: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    expected.extend(["down: it failed: after the last word".into(), "end".into()]);
    assert_eq!(log.take(), expected);
}

#[posse::test]
async fn down_comes_at_once_for_an_actor_that_has_ended() {
    let log = Log::default();
    let watcher = posse::spawn(Spec::once(Watcher(log.clone())));
    let worker = posse::spawn(Spec::once(Worker::new("a", &Log::default())));
    worker.kill();
    worker.closed().await;
    watcher.ask(Watch(worker)).await.unwrap();
    watcher.ask(Say("end".into())).await.unwrap();
    assert_eq!(log.take(), ["down: it was killed", "end"]);
}

#[posse::test]
async fn a_restart_is_no_end() {
    let log = Log::default();
    let watcher = posse::spawn(Spec::once(Watcher(log.clone())));
    let supervisor = Supervisor::one_for_one().spawn();
    let worker = supervisor.start_child(Spec::new(|| Worker::new("a", &Log::default())).name("a")).await.unwrap();
    watcher.ask(Watch(worker.clone())).await.unwrap();
    assert!(worker.ask(Break).await.is_err());
    settle().await;
    watcher.ask(Say("restarted".into())).await.unwrap();
    supervisor.shutdown().await;
    watcher.ask(Say("end".into())).await.unwrap();
    assert_eq!(log.take(), ["restarted", "down: it was shut down", "end"]);
}

/// Monitors another actor whenever it starts.
struct Guard(LocalRef<Worker>, Log);

impl Actor for Guard {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        ctx.monitor(&self.0);
        Ok(())
    }
}

impl Handler<Break> for Guard {
    async fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("on purpose");
    }
}

impl Handler<Down> for Guard {
    async fn handle(&mut self, down: Down, _: &mut Context<Self>) {
        self.1.add(format!("down: {}", down.reason));
    }
}

#[posse::test]
async fn a_monitor_ends_with_the_incarnation_that_set_it() {
    let log = Log::default();
    let worker = posse::spawn(Spec::once(Worker::new("a", &Log::default())));
    let supervisor = Supervisor::one_for_one().backoff(Backoff::none()).spawn();
    let (guarded, told) = (worker.clone(), log.clone());
    let guard = supervisor.start_child(Spec::new(move || Guard(guarded.clone(), told.clone()))).await.unwrap();
    for _ in 0..3 {
        guard.ask(Break).await.unwrap_err();
    }
    worker.stop();
    worker.closed().await;
    settle().await;
    assert_eq!(log.take().len(), 1);
    supervisor.shutdown().await;
}
