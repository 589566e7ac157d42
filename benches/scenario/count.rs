//! So many senders tell one counter.

use crate::now;
use crate::subject::{Done, Subject};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

pub(super) async fn run<S: Subject>(senders: u64, count: u64, done: Done) -> Duration {
    let each = count / senders;
    let counter = S::counter(each * senders, done.clone()).await;
    let start = now();
    let mut tasks = Vec::new();
    for _ in 0..senders {
        let counter = counter.clone();
        tasks.push(Box::pin(S::task(async move {
            for n in 0..each {
                S::add(&counter, n).await;
            }
        })));
    }
    // The first poll of each starts its task.
    poll_fn(|cx| {
        tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
        if tasks.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.wait().await;
    start.elapsed()
}
