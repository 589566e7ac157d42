//! Two actors tell each other a ball.

use crate::now;
use crate::subject::{Done, Subject};
use std::time::Duration;

pub(super) async fn run<S: Subject>(count: u64, done: Done) -> Duration {
    let start = now();
    S::rally(count, done.clone()).await;
    done.wait().await;
    start.elapsed()
}
