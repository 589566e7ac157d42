//! A channel that keeps the latest value: many receivers see each the newest one and none of those before it.
//!
//! A value that was replaced before a receiver looked is never seen by it; use [`broadcast`](super::broadcast) or
//! [`mpsc`](super::mpsc) where each value counts. One word holds the version of the value and whether all senders are
//! gone; it changes before receivers are woken.

use super::wait_list::WaiterKey;
use crate::loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::loom::sync::{RwLock, RwLockReadGuard};
use crate::raw_task::coop;
use crate::raw_task::wait_kind::WaitKind;
use crate::raw_task::yielding::consume_budget;
use crate::wait_set::WaitSet;
use futures_core::Stream;
use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The errors, where Tokio's users look for them.
pub mod error {
    pub use super::{RecvError, SendError};
}

/// Makes a channel that holds `value`, which its receiver has seen.
///
/// # Examples
/// ```
/// use posse::sync::watch;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (send, mut receive) = watch::channel("starting");
/// posse::task::spawn(async move {
///     send.send("listening").unwrap();
///     send.send("ready").unwrap();
/// });
/// receive.wait_for(|state| *state == "ready").await.unwrap();
/// assert!(receive.changed().await.is_err(), "the sender is gone");
/// # });
/// ```
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Shared<T> {
    /// The latest; a sender replaces it, receivers look at it.
    value: RwLock<T>,
    /// Version and [`CLOSED`]. Changed by who holds the value's lock for writing, and by the last sender.
    state: AtomicU64,
    /// How many there are: the last one closes.
    senders: AtomicUsize,
    /// How many there are: the last one wakes who waits for that.
    receivers: AtomicUsize,
    /// Receivers that wait for a version.
    changed: WaitSet,
    /// Senders that wait for the last receiver.
    deserted: WaitSet,
}

/// All senders are gone.
const CLOSED: u64 = 1;

/// What one more version adds.
const VERSION: u64 = 2;

impl<T> Shared<T> {
    fn version(&self) -> u64 {
        self.state.load(Ordering::Acquire) & !CLOSED
    }

    /// The present version if it is not `seen`, else the end, else nothing yet.
    fn change_since(&self, seen: u64) -> Option<Result<u64, RecvError>> {
        // Acquire: who sees a version sees its value. Partner: the addition in `send_if_modified`.
        let state = self.state.load(Ordering::Acquire);
        let version = state & !CLOSED;
        if version != seen {
            return Some(Ok(version));
        }
        (state & CLOSED != 0).then_some(Err(RecvError))
    }

    fn read(&self) -> RwLockReadGuard<'_, T> {
        self.value.read()
    }

    /// Borrows the value together with its version, which does not change meanwhile.
    fn borrow(&self, seen: u64) -> (Ref<'_, T>, u64) {
        let value = self.read();
        let version = self.version();
        (Ref { value, changed: version != seen }, version)
    }
}

/// The value a receiver or sender borrowed. No value can be sent while it lives: copy or clone what is needed, and do not
/// hold it across an `await`, which the compiler refuses in a spawned task. Nor borrow again while it lives: that may wait for a
/// sender, which waits for it.
pub struct Ref<'a, T> {
    value: RwLockReadGuard<'a, T>,
    changed: bool,
}

impl<T> Ref<'_, T> {
    /// Returns true if the receiver had not seen this value before.
    pub fn has_changed(&self) -> bool {
        self.changed
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// There is no receiver; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel has no receiver")
    }
}

impl<T> std::error::Error for SendError<T> {}

/// All senders are gone, and the last value was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all senders are gone")
    }
}

impl std::error::Error for RecvError {}

/// A sending end. It may be cloned.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Makes a channel without a receiver.
    pub fn new(value: T) -> Self {
        let shared = Shared {
            value: RwLock::new(value),
            state: AtomicU64::new(0),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
            changed: WaitSet::new(),
            deserted: WaitSet::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Replaces the value and tells the receivers. The previous value is dropped.
    ///
    /// # Errors
    /// [`SendError`] with the value if there is no receiver; [`send_replace`](Self::send_replace) does not care.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.receiver_count() == 0 {
            return Err(SendError(value));
        }
        drop(self.send_replace(value));
        Ok(())
    }

    /// Replaces the value and tells the receivers, if there are any. Returns the previous one.
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|current| std::mem::swap(current, &mut value));
        value
    }

    /// Changes the value in place and tells the receivers, if there are any.
    ///
    /// # Panics
    /// If `modify` does: no receiver is told, and the value is left as it was at that moment. `modify` runs with the channel
    /// locked; it deadlocks if it uses the channel.
    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Changes the value in place, and tells the receivers if `modify` returns true. Returns what it returned.
    ///
    /// # Panics
    /// See [`send_modify`](Self::send_modify).
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let mut value = self.shared.value.write();
        let modified = modify(&mut value);
        if modified {
            // Release: partner of the load in `change_since`. With the lock held, so that a version belongs to its value.
            self.shared.state.fetch_add(VERSION, Ordering::Release);
        }
        drop(value);

        if modified {
            self.shared.changed.wake_all();
        }
        modified
    }

    /// Borrows the value. No value can be sent meanwhile.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref { value: self.shared.read(), changed: false }
    }

    /// Makes a receiver that has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.shared.version();
        Receiver::new(self.shared.clone(), seen)
    }

    /// Waits until no receiver is left; at once if there is none.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn closed(&self) {
        self.shared.deserted.until(WaitKind::Channel, || self.is_closed().then_some(())).await;
    }

    /// Returns true if no receiver is left. One may come by [`subscribe`](Self::subscribe).
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Returns how many receivers there are.
    pub fn receiver_count(&self) -> usize {
        // Acquire: partner of the subtraction when a receiver is dropped.
        self.shared.receivers.load(Ordering::Acquire)
    }

    /// Returns how many senders there are.
    pub fn sender_count(&self) -> usize {
        self.shared.senders.load(Ordering::Acquire)
    }

    /// Returns true if both are ends of the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        // Relaxed: who clones has a sender, so the count cannot reach zero beside this.
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // AcqRel: the last one has seen what the others sent.
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.state.fetch_or(CLOSED, Ordering::Release);
            self.shared.changed.wake_all();
        }
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("watch::Sender").field("receivers", &self.receiver_count()).finish_non_exhaustive()
    }
}

/// A receiving end. A clone has seen what this one has seen.
///
/// As a [`Stream`] it gives a clone of each value that it has not seen when it is polled, so not the one that was there
/// at the beginning ([`mark_changed`](Self::mark_changed) adds it), and ends with the last sender.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
    /// Where it waits as a stream.
    key: WaiterKey,
}

impl<T> Receiver<T> {
    fn new(shared: Arc<Shared<T>>, seen: u64) -> Self {
        // Relaxed: a sender that reads the count beside this may come before or after it.
        shared.receivers.fetch_add(1, Ordering::Relaxed);
        Self { shared, seen, key: WaiterKey::default() }
    }

    /// Borrows the value, which stays unseen if it was. No value can be sent meanwhile.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow(self.seen).0
    }

    /// Borrows the value and marks it as seen. No value can be sent meanwhile.
    ///
    /// Prefer this to [`borrow`](Self::borrow) after [`changed`](Self::changed): a value that was sent in between is then not
    /// reported again.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let (value, version) = self.shared.borrow(self.seen);
        self.seen = version;
        value
    }

    /// Waits for a value that was not seen, and marks it as seen.
    ///
    /// # Errors
    /// [`RecvError`] if all senders are gone and their last value was seen.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a new value unseen.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        self.seen = self.next_version().await?;
        Ok(())
    }

    async fn next_version(&self) -> Result<u64, RecvError> {
        self.shared.changed.until(WaitKind::Channel, || self.shared.change_since(self.seen)).await
    }

    /// Waits until the value satisfies `condition`, beginning with the present one, and marks it as seen. `condition` runs
    /// with the channel locked.
    ///
    /// # Errors
    /// [`RecvError`] if all senders are gone and their last value does not satisfy it.
    ///
    /// # Panics
    /// If `condition` does.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing; values that were looked at are seen.
    pub async fn wait_for(&mut self, mut condition: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        // A condition that holds at once takes its part of the budget too.
        consume_budget().await;
        let shared = &*self.shared;
        loop {
            {
                let (value, version) = shared.borrow(self.seen);
                self.seen = version;
                if condition(&value) {
                    return Ok(value);
                }
            }
            let seen = self.seen;
            shared.changed.until(WaitKind::Channel, || shared.change_since(seen)).await?;
        }
    }

    /// Returns true if there is a value that was not seen.
    ///
    /// # Errors
    /// [`RecvError`] if all senders are gone and their last value was seen.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        self.shared.change_since(self.seen).map_or(Ok(false), |change| change.map(|_| true))
    }

    /// Makes the present value an unseen one.
    pub fn mark_changed(&mut self) {
        // Odd, so no version of a value.
        self.seen = CLOSED;
    }

    /// Makes the present value a seen one.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.version();
    }

    /// Returns true if both are ends of the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T: Clone> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let progress = ready!(coop::poll_proceed(cx));
        let this = &mut *self;
        let (shared, seen) = (&*this.shared, this.seen);
        let changed =
            ready!(shared.changed.poll_until(WaitKind::Channel, &mut this.key, cx, || shared.change_since(seen)));
        progress.made_progress();
        Poll::Ready(changed.ok().map(|_| this.borrow_and_update().clone()))
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone(), self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.changed.leave(&mut self.key);
        // Release: a sender that sees the count at zero sees that the receivers are done.
        if self.shared.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.deserted.wake_all();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("watch::Receiver").field("has_changed", &self.has_changed()).finish_non_exhaustive()
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};
    use std::pin::pin;

    /// A value is sent and the sender dropped, while a receiver begins to wait: it sees the value, then the end.
    #[test]
    fn loom_the_last_value_and_the_end_reach_the_receiver() {
        loom::model(|| {
            let (send, mut receive) = channel(0);
            let sender = loom::thread::spawn(move || send.send(1).is_ok());
            let (wakes, waker) = counting_waker();
            let first = poll_with(pin!(receive.changed()), &waker);
            let observed = *receive.borrow();
            assert!(sender.join().unwrap());
            match first {
                Poll::Ready(changed) => assert_eq!((changed, observed), (Ok(()), 1)),
                Poll::Pending => {
                    // Its future was dropped, so only who waits now has to be told.
                    let mut waiting = pin!(receive.changed());
                    assert_eq!(poll_with(waiting.as_mut(), &waker), Poll::Ready(Ok(())));
                }
            }
            assert_eq!(poll_with(pin!(receive.changed()), &waker), Poll::Ready(Err(RecvError)));
            drop(wakes);
        });
    }

    #[test]
    fn loom_a_receiver_that_waits_is_woken() {
        loom::model(|| {
            let (send, mut receive) = channel(0);
            let sender = loom::thread::spawn(move || {
                send.send_replace(1);
                send
            });
            let (wakes, waker) = counting_waker();
            let mut changed = pin!(receive.changed());
            let first = poll_with(changed.as_mut(), &waker);
            let send = sender.join().unwrap();
            if first.is_pending() {
                assert_eq!(wakes.count(), 1);
                assert_eq!(poll_with(changed, &waker), Poll::Ready(Ok(())));
            }
            assert_eq!(*send.borrow(), 1);
        });
    }

    #[test]
    fn loom_a_sender_that_waits_hears_of_the_last_receiver() {
        loom::model(|| {
            let (send, receive) = channel(0);
            let receiver = loom::thread::spawn(move || drop(receive));
            let (wakes, waker) = counting_waker();
            let mut closed = pin!(send.closed());
            let first = poll_with(closed.as_mut(), &waker);
            receiver.join().unwrap();
            assert!(first.is_ready() || (wakes.count() == 1 && poll_with(closed, &waker).is_ready()));
        });
    }
}
