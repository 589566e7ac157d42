//! Posse as its README uses it.

use super::{Done, Subject, WORKERS};
use posse::prelude::*;
use std::future::Future;

/// Actors of Posse.
#[derive(Debug)]
pub struct Posse;

impl Subject for Posse {
    const NAME: &'static str = "posse";
    type Counter = LocalRef<Counter>;

    fn run<F: Future<Output = ()> + Send + 'static>(future: F) {
        let runtime = posse::runtime::Builder::new_multi_thread().worker_threads(WORKERS).build().expect("a runtime");
        let task = runtime.spawn(future);
        runtime.block_on(task).expect("no panic");
    }

    async fn task<F: Future<Output = ()> + Send + 'static>(future: F) {
        posse::task::spawn(future).await.expect("no panic");
    }

    async fn counter(goal: u64, done: Done) -> LocalRef<Counter> {
        posse::spawn(move || Counter { sum: 0, left: goal, done: done.clone() })
    }

    async fn add(counter: &LocalRef<Counter>, n: u64) {
        counter.tell(Add(n)).await.expect("the counter lives");
    }

    async fn sum(counter: &LocalRef<Counter>) -> u64 {
        counter.ask(Sum).await.expect("the counter answers")
    }

    async fn rally(hops: u64, done: Done) {
        let ping = posse::spawn(Spec::once(Player { other: None, done: done.clone() }));
        let pong = posse::spawn(Spec::once(Player { other: Some(ping.clone()), done }));
        ping.tell(Meet(pong)).await.expect("the player lives");
        ping.tell(Ball(hops)).await.expect("the player lives");
    }

    async fn survey(counter: LocalRef<Counter>, count: u64, done: Done) {
        let asker = posse::spawn(Spec::once(Asker { counter, done }));
        asker.tell(Survey(count)).await.expect("the asker lives");
    }

    async fn spawn_and_stop() {
        let actor = posse::spawn(Spec::once(Counter { sum: 0, left: u64::MAX, done: Done::default() }));
        actor.stop();
        actor.closed().await;
    }
}

/// Counts.
#[derive(Debug)]
pub struct Counter {
    sum: u64,
    left: u64,
    done: Done,
}

impl Actor for Counter {}

#[derive(Message)]
struct Add(u64);

#[derive(Message)]
#[message(reply = u64)]
struct Sum;

impl Handler<Add> for Counter {
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) {
        self.sum += n;
        self.left -= 1;
        if self.left == 0 {
            self.done.open();
        }
    }
}

impl Handler<Sum> for Counter {
    async fn handle(&mut self, _: Sum, _: &mut Context<Self>) -> u64 {
        self.sum
    }
}

struct Player {
    other: Option<LocalRef<Player>>,
    done: Done,
}

impl Actor for Player {}

#[derive(Message)]
struct Meet(LocalRef<Player>);

#[derive(Message)]
struct Ball(u64);

impl Handler<Meet> for Player {
    async fn handle(&mut self, Meet(other): Meet, _: &mut Context<Self>) {
        self.other = Some(other);
    }
}

impl Handler<Ball> for Player {
    async fn handle(&mut self, Ball(left): Ball, _: &mut Context<Self>) {
        match &self.other {
            Some(other) if left > 0 => other.tell(Ball(left - 1)).await.expect("the other player lives"),
            _ => self.done.open(),
        }
    }
}

struct Asker {
    counter: LocalRef<Counter>,
    done: Done,
}

impl Actor for Asker {}

#[derive(Message)]
struct Survey(u64);

impl Handler<Survey> for Asker {
    async fn handle(&mut self, Survey(count): Survey, _: &mut Context<Self>) {
        for _ in 0..count {
            self.counter.ask(Sum).await.expect("the counter answers");
        }
        self.done.open();
    }
}
