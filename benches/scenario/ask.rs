//! An actor is asked: by a task, one question after the other; by many tasks at once; by another actor.

use crate::now;
use crate::subject::{Done, Subject, all};
use std::time::Duration;

pub(super) async fn run<S: Subject>(askers: u64, count: u64, done: Done) -> Duration {
    let counter = S::counter(u64::MAX, done).await;
    let start = now();
    if askers == 1 {
        ask::<S>(&counter, count).await;
    } else {
        let tasks = (0..askers).map(|_| {
            let counter = counter.clone();
            S::task(async move { ask::<S>(&counter, count / askers).await })
        });
        all(tasks).await;
    }
    start.elapsed()
}

async fn ask<S: Subject>(counter: &S::Counter, count: u64) {
    for _ in 0..count {
        S::sum(counter).await;
    }
}

pub(super) async fn from_an_actor<S: Subject>(count: u64, done: Done) -> Duration {
    let counter = S::counter(u64::MAX, done.clone()).await;
    let start = now();
    S::survey(counter, count, done.clone()).await;
    done.wait().await;
    start.elapsed()
}
