//! Waiting for a future on a thread that no runtime drives: what the `blocking_*` methods of this module do.

use crate::context;
use crate::runtime::{BlockOnError, block_on_simulated};
use crate::scheduler::park::Parker;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

struct Sleeper(Parker);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark(|| {});
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark(|| {});
    }
}

/// Sleeps until the future is ready. It needs no runtime; the future may not need one either.
///
/// # Panics
/// On a thread that drives a runtime, which it would stall.
#[track_caller]
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    assert!(!context::is_blocking_disallowed(), "{}", BlockOnError::InsideRuntime);
    let mut future = pin!(future);
    if let Some(output) = block_on_simulated(future.as_mut()) {
        return output;
    }
    let sleeper = Arc::new(Sleeper(Parker::new()));
    let waker = Waker::from(sleeper.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        sleeper.0.park(None);
    }
}
