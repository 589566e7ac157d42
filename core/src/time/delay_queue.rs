//! Values that are each ready at a time of their own.
//!
//! One timer waits, for the earliest; the values lie in a map by deadline. So a queue of many costs the runtime one timer, and setting,
//! moving and removing a value takes logarithmic time.

use super::{Instant, Sleep, sleep_until};
use crate::raw_task::panic::wake_catching;
use futures_core::Stream;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// A queue whose values come out when their time has come, those with the same deadline in the order they were put in. A [`Stream`] of
/// what has expired; it ends while the queue is empty, and goes on when something is put in again.
///
/// # Examples
/// ```
/// use posse::time::DelayQueue;
/// use std::time::Duration;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut sessions = DelayQueue::new();
/// let ada = sessions.insert("ada", Duration::from_millis(2));
/// let bob = sessions.insert("bob", Duration::from_millis(1));
/// sessions.reset(&ada, Duration::from_millis(1));
/// assert_eq!(sessions.remove(&bob).map(|expired| expired.into_inner()), Some("bob"));
/// assert_eq!(sessions.next().await.map(|expired| expired.into_inner()), Some("ada"));
/// # });
/// ```
pub struct DelayQueue<T> {
    entries: BTreeMap<(Instant, u64), T>,
    /// The deadline of each number.
    deadlines: BTreeMap<u64, Instant>,
    next: u64,
    sleep: Option<Sleep>,
    /// Who polled last, and hears when something earlier is put in, or nothing is left. No `WakerSlot`: there is no lock, and who has the queue
    /// to put something in is mostly who waits.
    waiter: Option<Waker>,
}

/// Names a value in its [`DelayQueue`]. Each is used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DelayKey(u64);

/// A value that came out of a [`DelayQueue`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired<T> {
    value: T,
    deadline: Instant,
    key: DelayKey,
}

impl<T> Expired<T> {
    /// Returns the value.
    pub fn get_ref(&self) -> &T {
        &self.value
    }

    /// Returns the value for changing it.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns when it was due.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the key it had.
    pub fn key(&self) -> DelayKey {
        self.key
    }
}

impl<T> DelayQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self { entries: BTreeMap::new(), deadlines: BTreeMap::new(), next: 0, sleep: None, waiter: None }
    }

    /// Puts in a value that is due after so long.
    ///
    /// # Panics
    /// Outside of a runtime, which has the clock.
    #[track_caller]
    pub fn insert(&mut self, value: T, after: Duration) -> DelayKey {
        self.insert_at(value, Instant::now() + after)
    }

    /// Puts in a value that is due at a point in time.
    pub fn insert_at(&mut self, value: T, deadline: Instant) -> DelayKey {
        let key = DelayKey(self.next);
        self.next += 1;
        self.put(key, value, deadline);
        key
    }

    fn put(&mut self, key: DelayKey, value: T, deadline: Instant) {
        let is_earliest = self.entries.first_key_value().is_none_or(|((earliest, _), _)| deadline < *earliest);
        self.entries.insert((deadline, key.0), value);
        self.deadlines.insert(key.0, deadline);
        if is_earliest {
            self.wake();
        }
    }

    fn wake(&mut self) {
        self.waiter.take().into_iter().for_each(wake_catching);
    }

    /// Takes a value out before its time; `None` if it is out already. Who waits hears of it if it was the last.
    pub fn remove(&mut self, key: &DelayKey) -> Option<Expired<T>> {
        let removed = self.take(key)?;
        if self.is_empty() {
            self.wake();
        }
        Some(removed)
    }

    fn take(&mut self, key: &DelayKey) -> Option<Expired<T>> {
        let deadline = self.deadlines.remove(&key.0)?;
        let value = self.entries.remove(&(deadline, key.0))?;
        Some(Expired { value, deadline, key: *key })
    }

    /// Makes a value due after so long from now. True unless it is out already.
    ///
    /// # Panics
    /// Outside of a runtime, which has the clock.
    #[track_caller]
    pub fn reset(&mut self, key: &DelayKey, after: Duration) -> bool {
        self.reset_at(key, Instant::now() + after)
    }

    /// Makes a value due at a point in time. True unless it is out already.
    pub fn reset_at(&mut self, key: &DelayKey, deadline: Instant) -> bool {
        let Some(removed) = self.take(key) else { return false };
        self.put(*key, removed.value, deadline);
        true
    }

    /// Waits for the next value that is due; `None` at once if the queue is empty.
    ///
    /// # Panics
    /// Outside of a runtime, which has the clock.
    ///
    /// # Cancel safety
    /// No value is lost by dropping the future.
    pub async fn next(&mut self) -> Option<Expired<T>> {
        poll_fn(|cx| self.poll_expired(cx)).await
    }

    /// Polls for the next value that is due; see [`next`](Self::next).
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Option<Expired<T>>> {
        let Some((&(deadline, _), _)) = self.entries.first_key_value() else {
            self.waiter = Some(cx.waker().clone());
            return Poll::Ready(None);
        };

        let sleep = self.sleep.get_or_insert_with(|| sleep_until(deadline));
        if sleep.deadline() != deadline {
            sleep.reset(deadline);
        }
        if Pin::new(sleep).poll(cx).is_pending() {
            self.waiter = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let Some(((deadline, number), value)) = self.entries.pop_first() else { return Poll::Ready(None) };
        self.deadlines.remove(&number);
        Poll::Ready(Some(Expired { value, deadline, key: DelayKey(number) }))
    }

    /// Returns the key of the value that is due next.
    pub fn peek(&self) -> Option<DelayKey> {
        self.entries.first_key_value().map(|((_, number), _)| DelayKey(*number))
    }

    /// Returns when a value is due; `None` if it is out.
    pub fn deadline(&self, key: &DelayKey) -> Option<Instant> {
        self.deadlines.get(&key.0).copied()
    }

    /// Drops all values. Who waits hears of it.
    pub fn clear(&mut self) {
        // Values are dropped last: what the destructor of one does, a panic included, finds the queue empty.
        let entries = std::mem::take(&mut self.entries);
        self.deadlines.clear();
        self.wake();
        drop(entries);
    }

    /// Returns how many values are in the queue.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if no value is in the queue.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<T> Default for DelayQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

// Values are only moved, never pinned.
impl<T> Unpin for DelayQueue<T> {}

impl<T> Stream for DelayQueue<T> {
    type Item = Expired<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Expired<T>>> {
        let expired = ready!(self.poll_expired(cx));
        Poll::Ready(expired)
    }
}

impl<T> fmt::Debug for DelayQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;
    use crate::runtime::{Builder, Handle};
    use crate::testing::{counting_waker, poll_with};
    use std::pin::pin;

    const SECOND: Duration = Duration::from_secs(1);

    fn now<F: Future>(future: F) -> Poll<F::Output> {
        poll_with(pin!(future), Waker::noop())
    }

    #[test]
    fn values_come_when_they_are_due_in_order_wherever_they_were_moved() {
        Builder::new_current_thread().manual_clock().build().expect("a runtime").block_on(async {
            let mut queue = DelayQueue::new();
            assert_eq!(now(queue.next()), Poll::Ready(None));
            let keys: Vec<_> = (1..=4).map(|n| queue.insert(n, SECOND * n)).collect();
            assert!(now(queue.next()).is_pending());
            assert!(queue.reset(&keys[0], SECOND * 3));
            assert_eq!((queue.peek(), queue.len()), (Some(keys[1]), 4));
            assert_eq!(queue.remove(&keys[3]).map(Expired::into_inner), Some(4));
            assert_eq!((queue.remove(&keys[3]), queue.reset(&keys[3], SECOND)), (None, false));

            Handle::current().advance(SECOND);
            assert!(now(queue.next()).is_pending());
            Handle::current().advance(SECOND);
            let Poll::Ready(Some(expired)) = now(queue.next()) else { panic!("it is due") };
            assert_eq!((*expired.get_ref(), expired.key(), queue.deadline(&keys[1])), (2, keys[1], None));
            assert!(now(queue.next()).is_pending());
            Handle::current().advance(SECOND);
            // The same deadline, in the order of their keys.
            let due = [queue.next().await, queue.next().await, queue.next().await];
            assert_eq!(due.map(|expired| expired.map(Expired::into_inner)), [Some(1), Some(3), None]);
        });
    }

    #[test]
    fn a_value_that_is_due_earlier_wakes_who_waits() {
        Builder::new_current_thread().manual_clock().build().expect("a runtime").block_on(async {
            let mut queue = DelayQueue::new();
            queue.insert(1, SECOND * 9);
            let (wakes, waker) = counting_waker();
            assert!(poll_with(pin!(queue.next()), &waker).is_pending());
            queue.insert(2, SECOND * 10);
            assert_eq!(wakes.count(), 0);
            queue.insert(3, SECOND);
            assert_eq!(wakes.count(), 1);
            assert!(poll_with(pin!(queue.next()), &waker).is_pending());
            Handle::current().advance(SECOND);
            assert_eq!(wakes.count(), 2);
            assert!(now(queue.next()).is_ready());
            queue.clear();
            assert!(queue.is_empty());
        });
    }
}
