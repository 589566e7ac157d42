//! So many senders tell one counter.

use crate::now;
use crate::subject::{Done, Subject, all};
use std::time::Duration;

pub(super) async fn run<S: Subject>(senders: u64, count: u64, done: Done) -> Duration {
    let each = count / senders;
    let counter = S::counter(each * senders, done.clone()).await;
    let start = now();
    let tasks = (0..senders).map(|_| {
        let counter = counter.clone();
        S::task(async move {
            for n in 0..each {
                S::add(&counter, n).await;
            }
        })
    });
    all(tasks).await;
    done.wait().await;
    start.elapsed()
}
