//! A task asks an actor, one question after the other.

use crate::now;
use crate::subject::{Done, Subject};
use std::time::Duration;

pub(super) async fn run<S: Subject>(count: u64, done: Done) -> Duration {
    let counter = S::counter(u64::MAX, done).await;
    let start = now();
    for _ in 0..count {
        S::sum(&counter).await;
    }
    start.elapsed()
}
