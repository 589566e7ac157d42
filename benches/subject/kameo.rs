//! kameo as its documentation uses it, with room for 1,024 messages.

use kameo::{
    Actor,
    actor::{ActorRef, Spawn},
    mailbox,
    message::{Context, Message},
};

use super::{Done, Subject, Tokio};
use std::future::Future;

/// Actors of kameo on tokio.
#[derive(Debug)]
pub struct Kameo;

impl Subject for Kameo {
    const NAME: &'static str = "kameo";
    type Counter = ActorRef<Counter>;

    fn run<F: Future<Output = ()> + Send + 'static>(future: F) {
        Tokio::run_on_tokio(future);
    }

    async fn task<F: Future<Output = ()> + Send + 'static>(future: F) {
        Tokio::task(future).await;
    }

    async fn counter(goal: u64, done: Done) -> Self::Counter {
        spawn(Counter { sum: 0, left: goal, done })
    }

    async fn add(counter: &Self::Counter, value: u64) {
        counter.tell(Add(value)).await.expect("the counter lives");
    }

    async fn sum(counter: &Self::Counter) -> u64 {
        counter.ask(Sum).await.expect("the counter answers")
    }

    async fn survey(counter: Self::Counter, count: u64, done: Done) {
        let asker = spawn(Asker { counter, done });
        asker.tell(Survey(count)).await.expect("the asker lives");
    }

    async fn spawn_and_stop() {
        let actor = spawn(Counter { sum: 0, left: u64::MAX, done: Done::default() });
        actor.stop_gracefully().await.expect("the actor lives");
        actor.wait_for_shutdown().await;
    }

    async fn rally(hops: u64, done: Done) {
        let ping = spawn(Player { other: None, done: done.clone() });
        let pong = spawn(Player { other: Some(ping.clone()), done });
        ping.tell(Meet(pong)).await.expect("the player lives");
        ping.tell(Ball(hops)).await.expect("the player lives");
    }
}

/// An actor with room for 1,024 messages, as the others have.
fn spawn<A: Actor<Args = A>>(actor: A) -> ActorRef<A> {
    A::spawn_with_mailbox(actor, mailbox::bounded(1024))
}

/// Counts.
#[derive(Actor)]
pub struct Counter {
    sum: u64,
    left: u64,
    done: Done,
}

struct Add(u64);

struct Sum;

impl Message<Add> for Counter {
    type Reply = ();

    async fn handle(&mut self, Add(value): Add, _: &mut Context<Self, ()>) {
        self.sum += value;
        self.left -= 1;
        if self.left == 0 {
            self.done.open();
        }
    }
}

impl Message<Sum> for Counter {
    type Reply = u64;

    async fn handle(&mut self, _: Sum, _: &mut Context<Self, u64>) -> u64 {
        self.sum
    }
}

#[derive(Actor)]
struct Player {
    other: Option<ActorRef<Player>>,
    done: Done,
}

struct Meet(ActorRef<Player>);

struct Ball(u64);

impl Message<Meet> for Player {
    type Reply = ();

    async fn handle(&mut self, Meet(other): Meet, _: &mut Context<Self, ()>) {
        self.other = Some(other);
    }
}

impl Message<Ball> for Player {
    type Reply = ();

    async fn handle(&mut self, Ball(left): Ball, _: &mut Context<Self, ()>) {
        match &self.other {
            _ if left == 0 => self.done.open(),
            Some(other) => other.tell(Ball(left - 1)).await.expect("the other player lives"),
            None => unreachable!("the players meet before the ball"),
        }
    }
}

#[derive(Actor)]
struct Asker {
    counter: ActorRef<Counter>,
    done: Done,
}

struct Survey(u64);

impl Message<Survey> for Asker {
    type Reply = ();

    async fn handle(&mut self, Survey(count): Survey, _: &mut Context<Self, ()>) {
        for _ in 0..count {
            self.counter.ask(Sum).await.expect("the counter answers");
        }
        self.done.open();
    }
}
