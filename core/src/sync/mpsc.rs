//! A channel from many senders to one receiver, bounded unless its name says otherwise.

use super::semaphore::{Semaphore, TryAcquireError};
use crate::loom::sync::Mutex;
use crate::task::coop;
use crate::task::panic::wake_catching;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// Makes a channel with room for so many values, at least one.
///
/// # Examples
/// ```
/// use posse_core::sync::mpsc;
///
/// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
/// let (send, mut receive) = mpsc::channel(2);
/// let task = posse_core::task::spawn(async move {
///     for n in 0..10 {
///         send.send(n).await.unwrap();
///     }
/// });
/// for n in 0..10 {
///     assert_eq!(receive.recv().await, Some(n));
/// }
/// assert_eq!(receive.recv().await, None);
/// # task.await.unwrap();
/// # });
/// ```
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    make(Some(capacity.max(1)))
}

/// Makes a channel that takes values until memory is full. Prefer [`channel`].
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, Receiver<T>) {
    let (sender, receiver) = make(None);
    (UnboundedSender(sender), receiver)
}

fn make<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let state = State { queue: VecDeque::new(), senders: 1, closed: false, receiver: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), room: capacity.map(Semaphore::new) });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

struct Shared<T> {
    state: Mutex<State<T>>,
    room: Option<Semaphore>,
}

struct State<T> {
    queue: VecDeque<T>,
    senders: usize,
    closed: bool,
    receiver: Option<Waker>,
}

impl<T> Shared<T> {
    /// Puts a value into the queue, for which room was taken.
    fn push(&self, value: T) -> Result<(), T> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(value);
        }
        state.queue.push_back(value);
        let woken = state.receiver.take();
        drop(state);
        woken.into_iter().for_each(wake_catching);
        Ok(())
    }
}

/// The receiver is gone or closed; the value comes back.
pub struct SendError<T>(pub T);

/// Why a value was not sent at once; it comes back.
pub enum TrySendError<T> {
    /// There is no room.
    Full(T),
    /// The receiver is gone or closed.
    Closed(T),
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel is closed")
    }
}

impl<T> std::error::Error for SendError<T> {}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the channel is full",
            Self::Closed(_) => "the channel is closed",
        })
    }
}

impl<T> std::error::Error for TrySendError<T> {}

/// A sending end of a bounded channel.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends a value, waiting for room.
    ///
    /// # Errors
    /// [`SendError`] with the value.
    ///
    /// # Cancel safety
    /// A send that is dropped has not sent; its value is dropped with it. [`reserve`](Self::reserve) keeps the value out of it.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.reserve().await {
            Ok(permit) => permit.send(value).map_err(SendError),
            Err(SendError(())) => Err(SendError(value)),
        }
    }

    /// Waits for room for one value.
    ///
    /// # Errors
    /// [`SendError`] if the channel is closed.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        if let Some(room) = &self.shared.room {
            room.wait(1).await.map_err(|_| SendError(()))?;
        }
        Ok(Permit { shared: &self.shared, used: false })
    }

    /// Sends a value without waiting.
    ///
    /// # Errors
    /// [`TrySendError`] with the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.shared.room.as_ref().map_or(Ok(()), |room| room.try_take(1)) {
            Ok(()) => self.shared.push(value).map_err(TrySendError::Closed),
            Err(TryAcquireError::NoPermits) => Err(TrySendError::Full(value)),
            Err(TryAcquireError::Closed) => Err(TrySendError::Closed(value)),
        }
    }

    /// Returns true once the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().closed
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
        let woken = if state.senders == 0 { state.receiver.take() } else { None };
        drop(state);
        woken.into_iter().for_each(wake_catching);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpsc::Sender").field("closed", &self.is_closed()).finish()
    }
}

/// Room for one value; given back if it is not used.
pub struct Permit<'a, T> {
    shared: &'a Shared<T>,
    used: bool,
}

impl<T> Permit<'_, T> {
    /// Sends the value.
    ///
    /// # Errors
    /// The value, if the channel was closed meanwhile.
    pub fn send(mut self, value: T) -> Result<(), T> {
        self.used = true;
        self.shared.push(value)
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if let (false, Some(room)) = (self.used, &self.shared.room) {
            room.add_permits(1);
        }
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mpsc::Permit")
    }
}

/// A sending end of a channel without a bound.
#[derive(Debug)]
pub struct UnboundedSender<T>(Sender<T>);

impl<T> UnboundedSender<T> {
    /// Sends a value.
    ///
    /// # Errors
    /// [`SendError`] with the value.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.shared.push(value).map_err(SendError)
    }

    /// Returns true once the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The receiving end. Dropping it drops what was not received.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// Receives the next value; `None` when every sender is gone, or the channel closed, and it is empty.
    ///
    /// # Cancel safety
    /// No value is lost by dropping the future.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the next value.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let progress = ready!(coop::poll_proceed(cx));
        let mut state = self.shared.state.lock();
        if let Some(value) = state.queue.pop_front() {
            drop(state);
            self.give_room(1);
            progress.made_progress();
            return Poll::Ready(Some(value));
        }
        if state.senders == 0 || state.closed {
            progress.made_progress();
            return Poll::Ready(None);
        }
        let prev = state.receiver.replace(cx.waker().clone());
        drop(state);
        drop(prev);
        Poll::Pending
    }

    /// Receives a value without waiting; `None` if there is none now.
    pub fn try_recv(&mut self) -> Option<T> {
        let value = self.shared.state.lock().queue.pop_front();
        if value.is_some() {
            self.give_room(1);
        }
        value
    }

    /// Refuses further values; those in the channel can still be received.
    pub fn close(&mut self) {
        self.shared.state.lock().closed = true;
        if let Some(room) = &self.shared.room {
            room.close();
        }
    }

    fn give_room(&self, count: usize) {
        if let Some(room) = &self.shared.room {
            room.add_permits(count);
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
        let unread = std::mem::take(&mut self.shared.state.lock().queue);
        drop(unread);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mpsc::Receiver")
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};
    use std::pin::pin;

    #[test]
    fn loom_a_sender_that_waits_hears_of_room_or_of_the_end() {
        for closes in [false, true] {
            loom::model(move || {
                let (send, mut receive) = channel(1);
                send.try_send(1).unwrap();
                let receiver = loom::thread::spawn(move || {
                    if closes {
                        receive.close();
                    } else {
                        assert_eq!(receive.try_recv(), Some(1));
                    }
                    receive
                });
                let (wakes, waker) = counting_waker();
                let mut sending = pin!(send.send(2));
                let first = poll_with(sending.as_mut(), &waker);
                let receive = receiver.join().unwrap();
                let result = match first {
                    Poll::Ready(result) => result,
                    Poll::Pending => {
                        assert_eq!(wakes.count(), 1);
                        let Poll::Ready(result) = poll_with(sending, &waker) else { panic!("it waits for ever") };
                        result
                    }
                };
                assert_eq!(result.is_err(), closes);
                drop(receive);
            });
        }
    }

    #[test]
    fn loom_the_receiver_hears_of_a_value_and_of_the_last_sender() {
        loom::model(|| {
            let (send, mut receive) = channel(1);
            let sender = loom::thread::spawn(move || send.try_send(1).is_ok());
            let mut seen = Vec::new();
            let (wakes, waker) = counting_waker();
            let mut cx = Context::from_waker(&waker);
            let mut polled = receive.poll_recv(&mut cx);
            if let Poll::Ready(Some(value)) = polled {
                seen.push(value);
                polled = receive.poll_recv(&mut cx);
            }
            assert!(sender.join().unwrap());
            if polled.is_pending() {
                assert!(wakes.count() > 0);
                while let Poll::Ready(Some(value)) = receive.poll_recv(&mut cx) {
                    seen.push(value);
                }
            }
            assert_eq!(seen, [1]);
            assert_eq!(receive.poll_recv(&mut cx), Poll::Ready(None));
        });
    }
}
