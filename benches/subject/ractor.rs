//! ractor as its documentation uses it. Its mailboxes have no bound.

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};

use super::{Done, Subject, Tokio};
use std::future::Future;

/// Actors of ractor on tokio.
#[derive(Debug)]
pub struct Ractor;

impl Subject for Ractor {
    const NAME: &'static str = "ractor";
    type Counter = ActorRef<Request>;

    fn run<F: Future<Output = ()> + Send + 'static>(future: F) {
        Tokio::run_on_tokio(future);
    }

    async fn task<F: Future<Output = ()> + Send + 'static>(future: F) {
        Tokio::task(future).await;
    }

    async fn counter(goal: u64, done: Done) -> Self::Counter {
        let (counter, _) = Actor::spawn(None, Counter, (goal, done)).await.expect("the counter starts");
        counter
    }

    async fn add(counter: &Self::Counter, value: u64) {
        counter.cast(Request::Add(value)).expect("the counter lives");
    }

    async fn sum(counter: &Self::Counter) -> u64 {
        call!(counter, Request::Sum).expect("the counter answers")
    }

    async fn survey(counter: Self::Counter, count: u64, done: Done) {
        let (asker, _) = Actor::spawn(None, Asker, (counter, done)).await.expect("the asker starts");
        asker.cast(count).expect("the asker lives");
    }

    async fn spawn_and_stop() {
        let (actor, task) = Actor::spawn(None, Counter, (u64::MAX, Done::default())).await.expect("the actor starts");
        actor.stop(None);
        task.await.expect("the actor ends well");
    }

    async fn rally(hops: u64, done: Done) {
        let (ping, _) = Actor::spawn(None, Player, done.clone()).await.expect("the player starts");
        let (pong, _) = Actor::spawn(None, Player, done).await.expect("the player starts");
        pong.cast(Serve::Meet(ping.clone())).expect("the player lives");
        ping.cast(Serve::Meet(pong)).expect("the player lives");
        ping.cast(Serve::Ball(hops)).expect("the player lives");
    }
}

struct Counter;

/// What a counter can be sent.
pub enum Request {
    /// Count this.
    Add(u64),
    /// Answer with the sum.
    Sum(RpcReplyPort<u64>),
}

struct Count {
    sum: u64,
    left: u64,
    done: Done,
}

impl Actor for Counter {
    type Msg = Request;
    type State = Count;
    type Arguments = (u64, Done);

    async fn pre_start(
        &self,
        _: ActorRef<Request>,
        (left, done): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(Count { sum: 0, left, done })
    }

    async fn handle(
        &self,
        _: ActorRef<Request>,
        request: Request,
        count: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match request {
            Request::Sum(reply) => reply.send(count.sum)?,
            Request::Add(value) => {
                count.sum += value;
                count.left -= 1;
                if count.left == 0 {
                    count.done.open();
                }
            }
        }
        Ok(())
    }
}

struct Player;

enum Serve {
    Meet(ActorRef<Serve>),
    Ball(u64),
}

struct Match {
    other: Option<ActorRef<Serve>>,
    done: Done,
}

impl Actor for Player {
    type Msg = Serve;
    type State = Match;
    type Arguments = Done;

    async fn pre_start(&self, _: ActorRef<Serve>, done: Done) -> Result<Match, ActorProcessingErr> {
        Ok(Match { other: None, done })
    }

    async fn handle(&self, _: ActorRef<Serve>, serve: Serve, state: &mut Match) -> Result<(), ActorProcessingErr> {
        match (serve, &state.other) {
            (Serve::Meet(other), _) => state.other = Some(other),
            (Serve::Ball(0), _) => state.done.open(),
            (Serve::Ball(left), Some(other)) => other.cast(Serve::Ball(left - 1))?,
            (Serve::Ball(_), None) => return Err("a ball before the other player".into()),
        }
        Ok(())
    }
}

struct Asker;

impl Actor for Asker {
    type Msg = u64;
    type State = (ActorRef<Request>, Done);
    type Arguments = Self::State;

    async fn pre_start(&self, _: ActorRef<u64>, state: Self::State) -> Result<Self::State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<u64>,
        count: u64,
        (counter, done): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        for _ in 0..count {
            call!(counter, Request::Sum)?;
        }
        done.open();
        Ok(())
    }
}
