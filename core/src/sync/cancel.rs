//! A wish to end, shared by many.

use super::wait_list::{WaitList, WaiterKey, WaiterState, wake_in_rounds};
use crate::loom::sync::Mutex;
use crate::task::coop;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

/// A token that can be cancelled once; clones and children see it.
///
/// # Examples
/// ```
/// use posse_core::sync::CancellationToken;
///
/// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
/// let token = CancellationToken::new();
/// let child = token.child_token();
/// let task = posse_core::task::spawn(async move { child.cancelled().await });
/// token.cancel();
/// task.await.unwrap();
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancellationToken {
    node: Arc<Node>,
}

#[derive(Debug, Default)]
struct Node {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    children: Vec<Weak<Node>>,
    waiters: WaitList<()>,
}

impl Node {
    fn wake_all(&self) {
        wake_in_rounds(|woken| self.state.lock().waiters.pop_before(u64::MAX, woken));
    }
}

impl CancellationToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is cancelled with this one, and may be cancelled alone.
    pub fn child_token(&self) -> Self {
        let child = Self::new();
        let mut state = self.node.state.lock();
        if state.cancelled {
            child.node.state.lock().cancelled = true;
        } else {
            // Those that are gone are forgotten when the list would grow, so that its cost stays in proportion.
            if state.children.len() == state.children.capacity() {
                state.children.retain(|child| child.strong_count() > 0);
            }
            state.children.push(Arc::downgrade(&child.node));
        }
        drop(state);
        child
    }

    /// Cancels this token and all its children, however deep; without recursion.
    pub fn cancel(&self) {
        // All are marked before anybody is woken, who may look at any of them.
        let mut nodes = vec![self.node.clone()];
        let mut seen = 0;
        while let Some(node) = nodes.get(seen).cloned() {
            let mut state = node.state.lock();
            state.cancelled = true;
            let children = std::mem::take(&mut state.children);
            drop(state);
            nodes.extend(children.iter().filter_map(Weak::upgrade));
            seen += 1;
        }
        nodes.iter().for_each(|node| node.wake_all());
    }

    /// Returns true once it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node.state.lock().cancelled
    }

    /// Waits until it is cancelled.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub fn cancelled(&self) -> Cancelled {
        Cancelled { node: self.node.clone(), key: WaiterKey::default() }
    }

    /// Runs a future until it is ready or this is cancelled, which gives `None`. The future is polled first.
    ///
    /// # Cancel safety
    /// As the future.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        let (mut future, mut cancelled) = (pin!(future), self.cancelled());
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // A future that spends the whole budget must not keep the token from being seen.
            Poll::Pending => coop::unlimited(|| Pin::new(&mut cancelled).poll(cx)).map(|()| None),
        })
        .await
    }

    /// Cancels the token when the guard is dropped.
    pub fn drop_guard(self) -> DropGuard {
        DropGuard(Some(self))
    }
}

/// The future of [`CancellationToken::cancelled`].
#[derive(Debug)]
#[must_use = "waits for nothing unless it is awaited"]
pub struct Cancelled {
    node: Arc<Node>,
    key: WaiterKey,
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let progress = ready!(coop::poll_proceed(cx));
        let this = &mut *self;
        let mut state = this.node.state.lock();
        if state.cancelled {
            let left = state.waiters.remove(&mut this.key);
            drop(state);
            drop(left);
            progress.made_progress();
            return Poll::Ready(());
        }
        if this.key.is_idle() {
            state.waiters.push(&mut this.key, (), cx.waker().clone());
        } else if let WaiterState::Waiting(prev) = state.waiters.poll(&mut this.key, cx.waker()) {
            drop(state);
            drop(prev);
        }
        Poll::Pending
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if !self.key.is_idle() {
            let left = self.node.state.lock().waiters.remove(&mut self.key);
            drop(left);
        }
    }
}

/// Cancels its token when it is dropped; see [`CancellationToken::drop_guard`].
#[derive(Debug)]
pub struct DropGuard(Option<CancellationToken>);

impl DropGuard {
    /// Returns the token without cancelling it.
    pub fn disarm(mut self) -> CancellationToken {
        self.0.take().unwrap_or_default()
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = self.0.take() {
            token.cancel();
        }
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};

    #[test]
    fn loom_cancelling_reaches_who_waits_at_a_child() {
        loom::model(|| {
            let root = CancellationToken::new();
            let child = root.child_token();
            let canceller = loom::thread::spawn(move || root.cancel());
            let (wakes, waker) = counting_waker();
            let mut cancelled = child.cancelled();
            let first = poll_with(Pin::new(&mut cancelled), &waker);
            canceller.join().unwrap();
            if first.is_pending() {
                assert_eq!(wakes.count(), 1);
                assert!(poll_with(Pin::new(&mut cancelled), &waker).is_ready());
            }
        });
    }
}
