//! Actors that start and stop, one after the other.

use crate::now;
use crate::subject::Subject;
use std::time::Duration;

pub(super) async fn run<S: Subject>(count: u64) -> Duration {
    let start = now();
    for _ in 0..count {
        S::spawn_and_stop().await;
    }
    start.elapsed()
}
