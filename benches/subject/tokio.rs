//! Bare tokio: a task and a channel with room for 1,024 messages stand for an actor.

use super::{Done, Subject, WORKERS};
use std::future::Future;
use tokio::sync::{mpsc, oneshot};

/// Tasks and channels of tokio.
#[derive(Debug)]
pub struct Tokio;

/// What a counter is sent.
#[derive(Debug)]
pub enum Request {
    /// Add this.
    Add(u64),
    /// Answer with the sum.
    Sum(oneshot::Sender<u64>),
}

impl Tokio {
    /// Runs a future in a tokio runtime with two workers.
    pub fn run_on_tokio<F: Future<Output = ()> + Send + 'static>(future: F) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async { tokio::spawn(future).await.expect("no panic") });
    }
}

impl Subject for Tokio {
    const NAME: &'static str = "tokio";
    type Counter = mpsc::Sender<Request>;

    fn run<F: Future<Output = ()> + Send + 'static>(future: F) {
        Self::run_on_tokio(future);
    }

    async fn task<F: Future<Output = ()> + Send + 'static>(future: F) {
        tokio::spawn(future).await.expect("no panic");
    }

    async fn counter(goal: u64, done: Done) -> Self::Counter {
        let (send, mut receive) = mpsc::channel(1024);
        tokio::spawn(async move {
            let (mut sum, mut left) = (0, goal);
            while let Some(request) = receive.recv().await {
                match request {
                    Request::Sum(reply) => drop(reply.send(sum)),
                    Request::Add(n) => {
                        sum += n;
                        left -= 1;
                        if left == 0 {
                            done.open();
                        }
                    }
                }
            }
        });
        send
    }

    async fn add(counter: &Self::Counter, n: u64) {
        counter.send(Request::Add(n)).await.expect("the counter lives");
    }

    async fn sum(counter: &Self::Counter) -> u64 {
        let (reply, answer) = oneshot::channel();
        counter.send(Request::Sum(reply)).await.expect("the counter lives");
        answer.await.expect("the counter answers")
    }

    async fn rally(hops: u64, done: Done) {
        let (to_ping, ping) = mpsc::channel(1024);
        let (to_pong, pong) = mpsc::channel(1024);
        tokio::spawn(play(ping, to_pong, done.clone()));
        tokio::spawn(play(pong, to_ping.clone(), done));
        to_ping.send(hops).await.expect("the player lives");
    }

    async fn survey(counter: Self::Counter, count: u64, done: Done) {
        let (send, mut receive) = mpsc::channel(1024);
        tokio::spawn(async move {
            while let Some(count) = receive.recv().await {
                for _ in 0..count {
                    Self::sum(&counter).await;
                }
                done.open();
            }
        });
        send.send(count).await.expect("the asker lives");
    }

    async fn spawn_and_stop() {
        let (send, mut receive) = mpsc::channel::<u64>(1024);
        let task = tokio::spawn(async move { while receive.recv().await.is_some() {} });
        drop(send);
        task.await.expect("no panic");
    }
}

async fn play(mut mine: mpsc::Receiver<u64>, other: mpsc::Sender<u64>, done: Done) {
    while let Some(left) = mine.recv().await {
        if left == 0 {
            done.open();
            return;
        }
        if other.send(left - 1).await.is_err() {
            return;
        }
    }
}
