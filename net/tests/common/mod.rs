//! What the tests of this package share.
#![allow(dead_code, reason = "each test is a program of its own and uses a part of it")]

use posse_core::runtime::Builder;
use posse_core::task::yield_now;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Runs a future on a runtime with one thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// What a future has to say at once, if anything.
pub async fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Polls a future that waits, lets everybody else run, polls it again, and drops it: what a test begins with that is about what comes after. In the
/// workspace `tests/it/drops` drops each function at every moment.
pub async fn cut<F: Future>(future: F) {
    let mut future = pin!(future);
    for _ in 0..2 {
        if now(&mut future).await.is_some() {
            return;
        }
        yield_now().await;
    }
}
