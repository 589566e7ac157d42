//! A cancellation signal, shared by clones and passed on to children.

use super::wait_list::{WaitList, WaiterKey, wake_in_rounds};
use crate::loom::sync::Mutex;
use crate::raw_task::coop;
use crate::raw_task::poll_waker::PollWaker;
use crate::raw_task::wait_kind::WaitKind;
use crate::util::slab::Slab;
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::{Hash, Hasher};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

/// A token that can be cancelled once; clones and children see it.
///
/// Its children see it also when no handle to it is left: it is kept, in some hundred bytes, until the last of them is dropped.
///
/// # Examples
/// ```
/// use posse::sync::CancellationToken;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let token = CancellationToken::new();
/// let child = token.child_token();
/// let task = posse::task::spawn(async move { child.cancelled().await });
/// token.cancel();
/// task.await.unwrap();
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancellationToken {
    node: Arc<Node>,
}

/// Equal are clones of one token, not a token and its child.
impl PartialEq for CancellationToken {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.node, &other.node)
    }
}

impl Eq for CancellationToken {}

impl Hash for CancellationToken {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.node).hash(state);
    }
}

#[derive(Default)]
struct Node {
    /// `None` at a root, and at a child of what was cancelled before.
    parent_slot: Option<ParentSlot>,
    state: Mutex<State>,
}

/// Where a node stands: up the line it is owned, down the line it is only known.
struct ParentSlot {
    parent: Arc<Node>,
    slot: usize,
}

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    /// Those that live, each in a slot of its own, which it leaves when it is dropped. Nothing once it was cancelled.
    children: Slab<Weak<Node>>,
    waiters: WaitList<()>,
}

/// Slots that are kept for the next child when the last one has left. Guessed.
const SLOTS_KEPT: usize = 8;

impl Node {
    fn wake_all(&self) {
        wake_in_rounds(|woken| self.state.lock().waiters.pop_before(u64::MAX, woken));
    }
}

/// Without the parents: there may be any number of them.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Leaves the parent. If that was the last to keep it, it goes the same way: up the line in a loop, however long it is.
impl Drop for Node {
    fn drop(&mut self) {
        let mut last = self.parent_slot.take();
        while let Some(ParentSlot { parent, slot }) = last {
            let mut state = parent.state.lock();
            // Nothing is there if all were taken out at once, by the cancelling. The weak reference frees memory at most.
            drop(state.children.remove(slot));
            state.children.shrink_if_empty(SLOTS_KEPT);
            drop(state);
            last = Arc::into_inner(parent).and_then(|mut node| node.parent_slot.take());
        }
    }
}

impl CancellationToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is cancelled with this one, and may be cancelled alone.
    pub fn child_token(&self) -> Self {
        let mut state = self.node.state.lock();
        let slot = state.children.next_index();
        let parent_slot = (!state.cancelled).then(|| ParentSlot { parent: self.node.clone(), slot });
        let of_child = Mutex::new(State { cancelled: state.cancelled, ..State::default() });
        let node = Arc::new(Node { parent_slot, state: of_child });
        if !state.cancelled {
            state.children.insert(Arc::downgrade(&node));
        }
        Self { node }
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

    /// Children there are, while it is not cancelled.
    #[cfg(all(test, not(posse_loom)))]
    pub(super) fn child_count(&self) -> usize {
        self.node.state.lock().children.len()
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
        let mut waker = PollWaker::of(cx, WaitKind::Cancellation);
        let mut state = this.node.state.lock();
        if state.cancelled {
            let left = state.waiters.remove(&mut this.key);
            drop(state);
            drop(left);
            progress.made_progress();
            return Poll::Ready(());
        }
        let prev = state.waiters.poll_or_push(&mut this.key, (), &mut waker);
        drop(state);
        drop(prev);
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

    fn cancelling_reaches_who_waits(root: CancellationToken, leaf: &CancellationToken, meanwhile: impl FnOnce()) {
        let canceller = loom::thread::spawn(move || root.cancel());
        let (wakes, waker) = counting_waker();
        let mut cancelled = leaf.cancelled();
        let first = poll_with(Pin::new(&mut cancelled), &waker);
        meanwhile();
        canceller.join().unwrap();
        if first.is_pending() {
            assert_eq!(wakes.count(), 1);
            assert!(poll_with(Pin::new(&mut cancelled), &waker).is_ready());
        }
    }

    #[test]
    fn loom_cancelling_reaches_who_waits_at_a_child() {
        loom::model(|| {
            let root = CancellationToken::new();
            let child = root.child_token();
            cancelling_reaches_who_waits(root, &child, || {});
        });
    }

    /// Handles between the two are dropped, another child comes and another one goes, while it is cancelled.
    #[test]
    fn loom_cancelling_reaches_the_leaf_of_a_line_whose_middle_goes_meanwhile() {
        loom::model(|| {
            let root = CancellationToken::new();
            let (middle, goes) = (root.child_token(), root.child_token());
            let leaf = middle.child_token();
            cancelling_reaches_who_waits(root, &leaf, move || {
                let late = middle.child_token();
                drop((middle, goes));
                assert!(!late.is_cancelled() || late.child_token().is_cancelled());
            });
            assert!(leaf.is_cancelled());
        });
    }

    /// The last two children go at once: one of them takes the line above down, and nothing is left.
    #[test]
    fn loom_the_last_child_to_go_takes_the_line_with_it() {
        loom::model(|| {
            let root = CancellationToken::new();
            let middle = root.child_token();
            let (a, b) = (middle.child_token(), middle.child_token());
            drop(middle);
            let other = loom::thread::spawn(move || drop(a));
            drop(b);
            other.join().unwrap();
            assert_eq!(root.node.state.lock().children.len(), 0);
            assert_eq!(Arc::strong_count(&root.node), 1);
        });
    }
}
