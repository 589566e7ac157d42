//! Tasks that wait until a condition holds: the part that `watch`, `broadcast`, `Barrier` and `SetOnce` share.
//!
//! Never holds the condition itself. Invariant: who makes the condition true does so first and calls
//! [`WaitSet::wake_all`] then. A waiter looks at the condition under the lock of the list, so it either sees that it
//! holds or stands in the list when `wake_all` takes the lock.

use crate::loom::const_unless_loom;
use crate::loom::sync::Mutex;
use crate::raw_task::coop;
use crate::raw_task::poll_waker::PollWaker;
use crate::raw_task::wait_kind::WaitKind;
use crate::wait_list::{WaitList, WaiterKey, wake_in_rounds};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

#[derive(Debug)]
pub(crate) struct WaitSet(Mutex<WaitList<()>>);

impl WaitSet {
    const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(WaitList::new()))
        }
    }

    /// Waits until `condition` gives something. The condition runs under a lock: it is a look at an atomic or the like.
    ///
    /// The future leaves nothing behind when it is dropped.
    pub(crate) fn until<R, C: FnMut() -> Option<R> + Unpin>(&self, kind: WaitKind, condition: C) -> Until<'_, C> {
        Until { set: self, kind, key: WaiterKey::default(), condition }
    }

    /// As [`until`](Self::until), with a key that its owner keeps; who drops the key calls [`leave`](Self::leave).
    pub(crate) fn poll_until<R>(
        &self,
        kind: WaitKind,
        key: &mut WaiterKey,
        cx: &Context<'_>,
        mut condition: impl FnMut() -> Option<R>,
    ) -> Poll<R> {
        let mut waker = PollWaker::of(cx, kind);
        let mut waiters = self.0.lock();
        if let Some(result) = condition() {
            let left = waiters.remove(key);
            drop(waiters);
            drop(left);
            return Poll::Ready(result);
        }

        // Woken, and the condition does not hold: it waits again, at the end of the line.
        let prev = waiters.poll_or_push(key, (), &mut waker);
        drop(waiters);
        drop(prev);
        Poll::Pending
    }

    /// Takes a waiter out, if it still waits.
    pub(crate) fn leave(&self, key: &mut WaiterKey) {
        if !key.is_idle() {
            let left = self.0.lock().remove(key);
            drop(left);
        }
    }

    /// Wakes all who wait now. Who comes while this lasts has seen the condition as it is.
    pub(crate) fn wake_all(&self) {
        let newcomer = self.0.lock().next_ticket();
        wake_in_rounds(|woken| self.0.lock().pop_before(newcomer, woken));
    }
}

impl Default for WaitSet {
    fn default() -> Self {
        Self::new()
    }
}

/// The future of [`WaitSet::until`]. It takes a unit of the budget when it is ready.
#[must_use = "waits for nothing unless it is awaited"]
pub(crate) struct Until<'a, C> {
    /// Where it waits while the condition does not hold.
    set: &'a WaitSet,
    /// What the set is to who waits.
    kind: WaitKind,
    /// Its place there; idle before the first poll and at the end.
    key: WaiterKey,
    /// Looked at under the lock of the set, in each poll.
    condition: C,
}

impl<R, C: FnMut() -> Option<R> + Unpin> Future for Until<'_, C> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let progress = ready!(coop::poll_proceed(cx));
        let this = &mut *self;
        let result = ready!(this.set.poll_until(this.kind, &mut this.key, cx, &mut this.condition));
        progress.made_progress();
        Poll::Ready(result)
    }
}

impl<C> Drop for Until<'_, C> {
    fn drop(&mut self) {
        self.set.leave(&mut self.key);
    }
}

impl<C> fmt::Debug for Until<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Until").field("key", &self.key).finish_non_exhaustive()
    }
}
