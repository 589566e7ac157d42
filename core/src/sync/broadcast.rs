//! A channel in which every receiver gets every value: a ring of bounded size that never holds up a sender.
//!
//! A receiver that is slower than the ring is long loses the oldest values, and is told how many. A value leaves the ring
//! when all receivers that were there when it was sent have taken it. Values are cloned and dropped after the lock is
//! released; the last receiver of a value gets the value itself.
//!
//! Invariants, all under the one lock: `ring[0]` has position `first`; a receiver reads the positions in order, so the
//! entries that wait for no receiver stand in front, and are taken out at once.

use super::wait_list::{WaitList, WaiterKey, WakeList};
use crate::loom::sync::{Mutex, MutexGuard};
use crate::raw_task::coop;
use crate::raw_task::poll_waker::PollWaker;
use crate::raw_task::wait_kind::WaitKind;
use crate::wait_set::WaitSet;
use futures_core::Stream;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

/// The errors, where Tokio's users look for them.
pub mod error {
    pub use super::{Lagged, RecvError, SendError, TryRecvError};
}

/// Makes a channel that keeps `capacity` values for slow receivers, at least one.
///
/// # Examples
/// ```
/// use posse::sync::broadcast::{self, error::RecvError};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (send, mut fast) = broadcast::channel(2);
/// let mut slow = send.subscribe();
/// for n in 1..=3 {
///     send.send(n).unwrap();
///     assert_eq!(fast.recv().await, Ok(n));
/// }
/// drop(send);
/// assert_eq!(fast.recv().await, Err(RecvError::Closed));
/// assert_eq!(slow.recv().await, Err(RecvError::Lagged(1)));
/// assert_eq!((slow.recv().await, slow.recv().await), (Ok(2), Ok(3)));
/// # });
/// ```
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(capacity);
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct Shared<T> {
    /// Held for a send or a look; no waker is called under it.
    state: Mutex<State<T>>,
    /// Values that are kept for the slowest receiver.
    capacity: usize,
    /// Senders that wait for the last receiver.
    deserted: WaitSet,
}

struct State<T> {
    /// The last values, oldest first.
    ring: VecDeque<Entry<T>>,
    /// The position of the first entry, and of the next one if there is none.
    first: u64,
    /// Strong senders there are.
    senders: usize,
    /// Receivers there are: each value is awaited by as many as there were.
    receivers: usize,
    /// Receivers that have seen all.
    waiters: WaitList<()>,
}

struct Entry<T> {
    value: Arc<T>,
    /// Receivers that have yet to take it.
    awaited_by: usize,
}

impl<T> Shared<T> {
    /// Wakes the receivers that wait now.
    fn wake_receivers<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) {
        let newcomer = state.waiters.next_ticket();
        let mut more = !state.waiters.is_empty();
        while more {
            let mut woken = WakeList::default();
            more = state.waiters.pop_before(newcomer, &mut woken);
            drop(state);
            woken.wake();
            state = self.state.lock();
        }
    }
}

impl<T> State<T> {
    fn end(&self) -> u64 {
        self.first + self.ring.len() as u64
    }

    /// Takes the value at a receiver's position and moves the position on.
    fn take(&mut self, next: &mut u64) -> Result<Arc<T>, TryRecvError> {
        if *next < self.first {
            let lost = self.first - *next;
            *next = self.first;
            return Err(TryRecvError::Lagged(lost));
        }

        let index = usize::try_from(*next - self.first).unwrap_or(usize::MAX);
        let Some(entry) = self.ring.get_mut(index) else {
            return Err(if self.senders == 0 { TryRecvError::Closed } else { TryRecvError::Empty });
        };
        *next += 1;
        entry.awaited_by -= 1;
        if entry.awaited_by > 0 {
            return Ok(entry.value.clone());
        }
        debug_assert_eq!(index, 0, "all have taken what stands before it");
        Ok(self.pop().expect("invariant: the entry is the first"))
    }

    fn pop(&mut self) -> Option<Arc<T>> {
        let entry = self.ring.pop_front()?;
        self.first += 1;
        Some(entry.value)
    }

    /// A receiver at this position is gone. Returns the values that no other receiver waits for.
    fn forget_receiver(&mut self, next: u64) -> Vec<Arc<T>> {
        let seen = usize::try_from(next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.ring.iter_mut().skip(seen).for_each(|entry| entry.awaited_by -= 1);
        self.receivers -= 1;
        let done = self.ring.iter().take_while(|entry| entry.awaited_by == 0).count();
        (0..done).filter_map(|_| self.pop()).collect()
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

/// Why [`Receiver::recv`] gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// All senders are gone and every value was received.
    Closed,
    /// This many values were lost because the receiver was too slow. The next call gives the oldest one that is left.
    Lagged(u64),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("all senders are gone"),
            Self::Lagged(lost) => Lagged(*lost).fmt(f),
        }
    }
}

impl std::error::Error for RecvError {}

/// Why [`Receiver::try_recv`] gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none now.
    Empty,
    /// All senders are gone and every value was received.
    Closed,
    /// This many values were lost because the receiver was too slow. The next call gives the oldest one that is left.
    Lagged(u64),
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the channel is empty"),
            Self::Closed => f.write_str("all senders are gone"),
            Self::Lagged(lost) => Lagged(*lost).fmt(f),
        }
    }
}

impl std::error::Error for TryRecvError {}

/// This many values were lost because the receiver was too slow: what the stream of a receiver gives in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged(pub u64);

impl fmt::Display for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the receiver was too slow and lost {} values", self.0)
    }
}

impl std::error::Error for Lagged {}

/// A sending end. It may be cloned.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Makes a channel without a receiver; see [`channel`].
    pub fn new(capacity: usize) -> Self {
        let state = State { ring: VecDeque::new(), first: 0, senders: 1, receivers: 0, waiters: WaitList::new() };
        let shared = Shared { state: Mutex::new(state), capacity: capacity.max(1), deserted: WaitSet::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Sends a value to all receivers there are now, and returns their number. It never waits: if the ring is full the oldest
    /// value is lost to those who have not received it.
    ///
    /// # Ordering
    /// All receivers see all values in the same order.
    ///
    /// # Errors
    /// [`SendError`] with the value if there is no receiver.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let mut state = self.shared.state.lock();
        let receivers = state.receivers;
        if receivers == 0 {
            return Err(SendError(value));
        }
        // The oldest gives way. It is dropped after the lock: its destructor is foreign code.
        let lost = if state.ring.len() == self.shared.capacity { state.pop() } else { None };
        state.ring.push_back(Entry { value: Arc::new(value), awaited_by: receivers });
        self.shared.wake_receivers(state);
        drop(lost);
        Ok(receivers)
    }

    /// Makes a receiver of what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.shared.state.lock();
        state.receivers += 1;
        let next = state.end();
        drop(state);
        Receiver { shared: self.shared.clone(), next, key: WaiterKey::default() }
    }

    /// Returns a sender that does not keep the channel open.
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { shared: Arc::downgrade(&self.shared) }
    }

    /// Waits until no receiver is left; at once if there is none.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn closed(&self) {
        self.shared.deserted.until(WaitKind::Channel, || (self.receiver_count() == 0).then_some(())).await;
    }

    /// Returns how many values some receiver has not received yet.
    pub fn len(&self) -> usize {
        self.shared.state.lock().ring.len()
    }

    /// Returns true if every receiver has received every value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.state.lock().receivers
    }

    /// Returns how many senders there are.
    pub fn strong_count(&self) -> usize {
        self.shared.state.lock().senders
    }

    /// Returns how many [`WeakSender`]s there are.
    pub fn weak_count(&self) -> usize {
        Arc::weak_count(&self.shared)
    }

    /// Returns true if both are ends of the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.state.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.senders -= 1;
        if state.senders == 0 {
            self.shared.wake_receivers(state);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("broadcast::Sender").field("receivers", &self.receiver_count()).finish_non_exhaustive()
    }
}

/// A sender that does not keep the channel open.
pub struct WeakSender<T> {
    shared: Weak<Shared<T>>,
}

impl<T> WeakSender<T> {
    /// Returns a sender, unless the last one is gone.
    pub fn upgrade(&self) -> Option<Sender<T>> {
        let shared = self.shared.upgrade()?;
        let mut state = shared.state.lock();
        let is_open = state.senders > 0;
        state.senders += usize::from(is_open);
        drop(state);
        is_open.then(|| Sender { shared })
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broadcast::WeakSender")
    }
}

/// A receiving end. As a [`Stream`] it gives values, or [`Lagged`] where some were lost, and ends with the last sender.
pub struct Receiver<T> {
    /// The values and the waiters, with all ends of the channel.
    shared: Arc<Shared<T>>,
    /// The position of the value that it receives next; counts up with each it has received or missed.
    next: u64,
    /// Its place among those who wait for a value; idle while it does not wait.
    key: WaiterKey,
}

impl<T> Receiver<T> {
    /// Makes a receiver of what is sent from now on: it has nothing of what this one has yet to receive.
    pub fn resubscribe(&self) -> Self {
        let mut state = self.shared.state.lock();
        state.receivers += 1;
        let next = state.end();
        drop(state);
        Self { shared: self.shared.clone(), next, key: WaiterKey::default() }
    }

    /// Returns how many values it can receive now.
    pub fn len(&self) -> usize {
        let state = self.shared.state.lock();
        usize::try_from(state.end() - self.next.max(state.first)).unwrap_or(usize::MAX)
    }

    /// Returns true if it can receive nothing now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns true if all senders are gone. Values may be left.
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().senders == 0
    }

    /// Returns how many senders there are.
    pub fn sender_strong_count(&self) -> usize {
        self.shared.state.lock().senders
    }

    /// Returns true if both are ends of the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The value at its position, or the waker is left behind.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arc<T>, RecvError>> {
        let progress = ready!(coop::poll_proceed(cx));
        let mut waker = PollWaker::of(cx, WaitKind::Channel);
        let mut state = self.shared.state.lock();
        let taken = state.take(&mut self.next);
        let result = match taken {
            Ok(value) => Ok(value),
            Err(TryRecvError::Closed) => Err(RecvError::Closed),
            Err(TryRecvError::Lagged(lost)) => Err(RecvError::Lagged(lost)),
            Err(TryRecvError::Empty) => {
                let prev = state.waiters.poll_or_push(&mut self.key, (), &mut waker);
                drop(state);
                drop(prev);
                return Poll::Pending;
            }
        };

        let left = state.waiters.remove(&mut self.key);
        drop(state);
        drop(left);
        progress.made_progress();
        Poll::Ready(result)
    }

    fn leave_line(&mut self) {
        if !self.key.is_idle() {
            let left = self.shared.state.lock().waiters.remove(&mut self.key);
            drop(left);
        }
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next value.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] if values were lost, once; [`RecvError::Closed`] at the end.
    ///
    /// # Cancel safety
    /// No value is lost by dropping the future.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let receiving = Receiving(self);
        poll_fn(|cx| receiving.0.poll_take(cx)).await.map(Arc::unwrap_or_clone)
    }

    /// Polls for the next value; see [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        self.poll_take(cx).map_ok(Arc::unwrap_or_clone)
    }

    /// Receives a value without waiting.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let taken = self.shared.state.lock().take(&mut self.next);
        taken.map(Arc::unwrap_or_clone)
    }

    /// Receives the next value, on a thread that may block.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Panics
    /// On a thread that drives a runtime: in a task, use [`recv`](Self::recv).
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        super::blocking::block_on(self.recv())
    }
}

/// Leaves the line when the future is dropped: the receiver would else keep the waker of who no longer waits.
struct Receiving<'a, T>(&'a mut Receiver<T>);

impl<T> Drop for Receiving<'_, T> {
    fn drop(&mut self) {
        self.0.leave_line();
    }
}

impl<T: Clone> Stream for Receiver<T> {
    type Item = Result<T, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx).map(|received| match received {
            Ok(value) => Some(Ok(value)),
            Err(RecvError::Lagged(lost)) => Some(Err(Lagged(lost))),
            Err(RecvError::Closed) => None,
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        // What it has not received is one receiver nearer to its end; values that no receiver awaits any more leave the ring.
        let left = state.waiters.remove(&mut self.key);
        let done = state.forget_receiver(self.next);
        let was_last = state.receivers == 0;
        drop(state);
        drop((left, done));
        if was_last {
            self.shared.deserted.wake_all();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("broadcast::Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};

    #[test]
    fn loom_a_receiver_that_waits_hears_of_a_value_and_of_the_end() {
        loom::model(|| {
            let (send, mut receive) = channel(1);
            let sender = loom::thread::spawn(move || assert_eq!(send.send(7), Ok(1)));
            let (wakes, waker) = counting_waker();
            let mut receiving = Box::pin(receive.recv());
            let first = poll_with(receiving.as_mut(), &waker);
            sender.join().unwrap();
            match first {
                Poll::Ready(value) => assert_eq!(value, Ok(7)),
                Poll::Pending => {
                    assert_eq!(wakes.count(), 1);
                    assert_eq!(poll_with(receiving.as_mut(), &waker), Poll::Ready(Ok(7)));
                }
            }
            drop(receiving);
            assert_eq!(receive.try_recv(), Err(TryRecvError::Closed));
        });
    }

    /// One takes two values while the other goes: what is left of each value is dropped once, and nothing stays behind.
    #[test]
    fn loom_a_receiver_that_goes_leaves_nothing_in_the_ring() {
        loom::model(|| {
            let (send, mut stays) = channel(2);
            let goes = send.subscribe();
            assert_eq!((send.send(1), send.send(2)), (Ok(2), Ok(2)));
            let other = loom::thread::spawn(move || drop(goes));
            assert_eq!((stays.try_recv(), stays.try_recv()), (Ok(1), Ok(2)));
            other.join().unwrap();
            assert!(send.is_empty());
            assert_eq!(send.receiver_count(), 1);
        });
    }
}
