//! The sending ends of a bounded channel.

use super::error::{SendError, SendTimeoutError, TrySendError};
use super::{OwnedPermit, Permit, PermitIterator, Shared};
use crate::raw_task::wait_kind::WaitKind;
use crate::raw_task::waker_slot::TakenWaker;
use crate::sync::blocking::block_on;
use crate::sync::semaphore::TryAcquireError;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A sending end of a bounded channel.
pub struct Sender<T> {
    pub(super) shared: Arc<Shared<T>>,
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

    /// Sends a value, waiting for room for so long.
    ///
    /// # Errors
    /// [`SendTimeoutError`] with the value.
    ///
    /// # Panics
    /// Outside of a runtime, which has the clock.
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        match crate::time::timeout(timeout, self.reserve()).await {
            Ok(Ok(permit)) => permit.send(value).map_err(SendTimeoutError::Closed),
            Ok(Err(SendError(()))) => Err(SendTimeoutError::Closed(value)),
            Err(_) => Err(SendTimeoutError::Timeout(value)),
        }
    }

    /// Sends a value, waiting for room on a thread that may block.
    ///
    /// # Errors
    /// [`SendError`] with the value.
    ///
    /// # Panics
    /// On a thread that drives a runtime: in a task, use [`send`](Self::send).
    #[track_caller]
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        block_on(self.send(value))
    }

    /// Sends a value without waiting.
    ///
    /// # Errors
    /// [`TrySendError`] with the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.try_take(1) {
            Ok(()) => self.shared.push(value).map_err(TrySendError::Closed),
            Err(error) => Err(refusal(error, value)),
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
        self.wait(1).await?;
        Ok(Permit::new(&self.shared))
    }

    /// Waits for room for `count` values, all at once.
    ///
    /// # Errors
    /// [`SendError`] if the channel is closed, or will never have so much room.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn reserve_many(&self, count: usize) -> Result<PermitIterator<'_, T>, SendError<()>> {
        if count > self.max_capacity() {
            return Err(SendError(()));
        }
        self.wait(count).await?;
        Ok(PermitIterator::new(&self.shared, count))
    }

    /// Waits for room for one value; the permit holds on to this sender.
    ///
    /// # Errors
    /// [`SendError`] if the channel is closed.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line, and drops this sender.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        self.wait(1).await?;
        Ok(OwnedPermit::new(self))
    }

    async fn wait(&self, count: usize) -> Result<(), SendError<()>> {
        match &self.shared.room {
            Some(room) => room.wait(count, WaitKind::Channel).await.map_err(|_| SendError(())),
            None => Ok(()),
        }
    }

    /// Takes room for one value without waiting.
    ///
    /// # Errors
    /// [`TrySendError`].
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        self.try_take(1).map_err(|error| refusal(error, ()))?;
        Ok(Permit::new(&self.shared))
    }

    /// Takes room for `count` values without waiting, all or none.
    ///
    /// # Errors
    /// [`TrySendError`].
    pub fn try_reserve_many(&self, count: usize) -> Result<PermitIterator<'_, T>, TrySendError<()>> {
        self.try_take(count).map_err(|error| refusal(error, ()))?;
        Ok(PermitIterator::new(&self.shared, count))
    }

    /// Takes room for one value without waiting; the permit holds on to this sender.
    ///
    /// # Errors
    /// [`TrySendError`] with the sender.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        match self.try_take(1) {
            Ok(()) => Ok(OwnedPermit::new(self)),
            Err(error) => Err(refusal(error, self)),
        }
    }

    fn try_take(&self, count: usize) -> Result<(), TryAcquireError> {
        self.shared.room.as_ref().map_or(Ok(()), |room| room.try_take(count))
    }

    /// Waits until the receiver is gone or closed.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn closed(&self) {
        self.shared.closed().await;
    }

    /// Returns true once the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Returns for how many values there is room now.
    pub fn capacity(&self) -> usize {
        self.shared.free()
    }

    /// Returns for how many values there is room in an empty channel.
    pub fn max_capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Returns a sender that does not keep the channel open.
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { shared: Arc::downgrade(&self.shared) }
    }

    /// Returns how many senders there are.
    pub fn strong_count(&self) -> usize {
        self.shared.state.lock().senders
    }

    /// Returns how many weak senders there are.
    pub fn weak_count(&self) -> usize {
        Arc::weak_count(&self.shared)
    }

    /// Returns true if both are ends of the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

fn refusal<T>(error: TryAcquireError, value: T) -> TrySendError<T> {
    match error {
        TryAcquireError::NoPermits => TrySendError::Full(value),
        TryAcquireError::Closed => TrySendError::Closed(value),
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
        let woken = if state.senders == 0 { state.receiver.take() } else { TakenWaker::default() };
        drop(state);
        woken.wake();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("mpsc::Sender").field("closed", &self.is_closed()).finish()
    }
}

/// A sender that does not keep the channel open.
///
/// # Examples
/// ```
/// use posse::sync::mpsc;
///
/// let (send, _receive) = mpsc::channel::<u8>(1);
/// let weak = send.downgrade();
/// assert!(weak.upgrade().is_some());
/// drop(send);
/// assert!(weak.upgrade().is_none());
/// ```
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

    /// Returns how many senders there are.
    pub fn strong_count(&self) -> usize {
        self.shared.upgrade().map_or(0, |shared| shared.state.lock().senders)
    }

    /// Returns how many weak senders there are; 0 once both ends are gone.
    pub fn weak_count(&self) -> usize {
        self.shared.weak_count()
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mpsc::WeakSender")
    }
}
