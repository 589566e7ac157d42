//! The receiving end.

use super::error::TryRecvError;
use super::{Shared, State};
use crate::raw_task::coop;
use crate::raw_task::poll_waker::PollWaker;
use crate::raw_task::wait_kind::WaitKind;
use crate::sync::blocking::block_on;
use futures_core::Stream;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The receiving end, a [`Stream`] of the values. Dropping it drops what was not received.
pub struct Receiver<T> {
    pub(super) shared: Arc<Shared<T>>,
}

/// The receiving end of a channel without a bound: the same type, so that code that receives need not care.
pub type UnboundedReceiver<T> = Receiver<T>;

impl<T> Receiver<T> {
    /// Receives the next value; `None` when every sender is gone, or the channel closed, and it is empty.
    ///
    /// # Cancel safety
    /// No value is lost by dropping the future.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Receives what is there, up to `limit` values, into `buffer`, waiting for at least one. Returns how many; 0 at the end, as
    /// [`recv`](Self::recv), and at once for a limit of 0.
    ///
    /// # Cancel safety
    /// No value is lost by dropping the future.
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        poll_fn(|cx| self.poll_recv_many(cx, buffer, limit)).await
    }

    /// Receives the next value, on a thread that may block.
    ///
    /// # Panics
    /// On a thread that drives a runtime: in a task, use [`recv`](Self::recv).
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Option<T> {
        block_on(self.recv())
    }

    /// As [`recv_many`](Self::recv_many), on a thread that may block.
    ///
    /// # Panics
    /// On a thread that drives a runtime: in a task, use [`recv_many`](Self::recv_many).
    #[track_caller]
    pub fn blocking_recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        block_on(self.recv_many(buffer, limit))
    }

    /// Polls for the next value.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_take(cx, |queue| queue.pop_front().map(|value| (value, 1)))
    }

    /// Polls for what is there; see [`recv_many`](Self::recv_many).
    pub fn poll_recv_many(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<T>, limit: usize) -> Poll<usize> {
        if limit == 0 {
            return Poll::Ready(0);
        }
        let taken = self.poll_take(cx, |queue| {
            let count = queue.len().min(limit);
            buffer.extend(queue.drain(..count));
            (count > 0).then_some((count, count))
        });
        taken.map(|count| count.unwrap_or(0))
    }

    /// Polls for what `take` finds in the queue, and the number of values that is; `None` at the end.
    #[inline]
    fn poll_take<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut VecDeque<T>) -> Option<(R, usize)>,
    ) -> Poll<Option<R>> {
        let progress = ready!(coop::poll_proceed(cx));
        let mut waker = PollWaker::of(cx, WaitKind::Channel);
        let mut state = self.shared.state.lock();
        if let Some((taken, count)) = take(&mut state.queue) {
            drop(state);
            self.shared.give_room(count);
            progress.made_progress();
            return Poll::Ready(Some(taken));
        }
        if state.is_ended() {
            progress.made_progress();
            return Poll::Ready(None);
        }
        let prev = state.receiver.register(&mut waker);
        drop(state);
        drop(prev);
        Poll::Pending
    }

    /// Receives a value without waiting.
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let mut state = self.shared.state.lock();
        let Some(value) = state.queue.pop_front() else {
            return Err(if state.is_ended() { TryRecvError::Disconnected } else { TryRecvError::Empty });
        };
        drop(state);
        self.shared.give_room(1);
        Ok(value)
    }

    /// Refuses further values; those in the channel can still be received.
    pub fn close(&mut self) {
        self.shared.close();
    }

    /// Returns true once every sender is gone, or the channel closed. Values may be left.
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().is_ended()
    }

    /// Returns how many values are in the channel.
    pub fn len(&self) -> usize {
        self.shared.state.lock().queue.len()
    }

    /// Returns true if no value is in the channel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns for how many values there is room now; `usize::MAX` without a bound.
    pub fn capacity(&self) -> usize {
        self.shared.free()
    }

    /// Returns for how many values there is room in an empty channel; `usize::MAX` without a bound.
    pub fn max_capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Returns how many senders there are.
    pub fn sender_strong_count(&self) -> usize {
        self.shared.state.lock().senders
    }

    /// Returns how many weak senders there are.
    pub fn sender_weak_count(&self) -> usize {
        Arc::weak_count(&self.shared)
    }
}

impl<T> State<T> {
    /// No further values will come.
    fn is_ended(&self) -> bool {
        self.senders == 0 || self.closed
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_recv(cx)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
        let mut state = self.shared.state.lock();
        // The waker too: with it the senders would keep the task that received.
        let (values, waker) = (std::mem::take(&mut state.queue), state.receiver.take());
        drop(state);
        waker.forget();
        drop(values);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mpsc::Receiver")
    }
}
