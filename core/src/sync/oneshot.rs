//! A channel for one value.

use crate::loom::sync::{Arc, Mutex};
use crate::raw_task::coop;
use crate::raw_task::poll_waker::PollWaker;
use crate::raw_task::wait_kind::WaitKind;
use crate::raw_task::waker_slot::{TakenWaker, WakerSlot};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The errors, where Tokio's users look for them.
pub mod error {
    pub use super::{RecvError, TryRecvError};
}

/// Makes a channel for one value.
///
/// # Examples
/// ```
/// use posse::sync::oneshot;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (send, receive) = oneshot::channel();
/// posse::task::spawn(async move { send.send(7) });
/// assert_eq!(receive.await, Ok(7));
/// # });
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared { state: Mutex::new(State::new()) });
    (Sender { shared: shared.clone(), sent: false }, Receiver { shared, ended: false })
}

struct Shared<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Between `send` and the receiver's next look.
    value: Option<T>,
    /// It has sent or was dropped.
    sender_gone: bool,
    /// It was dropped or closed: a value is refused.
    receiver_gone: bool,
    /// Who waits for the value.
    receiver: WakerSlot,
    /// Who waits for the receiver's end.
    sender: WakerSlot,
}

impl<T> State<T> {
    fn new() -> Self {
        Self {
            value: None,
            sender_gone: false,
            receiver_gone: false,
            receiver: WakerSlot::new(),
            sender: WakerSlot::new(),
        }
    }

    /// The sender has said its last. Returns who waits for that, and the sender's own waker: with it the receiver would keep the task that sent.
    fn end_sender(&mut self) -> (TakenWaker, TakenWaker) {
        self.sender_gone = true;
        (self.receiver.take(), self.sender.take())
    }
}

/// The sending end.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    sent: bool,
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    /// The value, if the receiver is gone.
    pub fn send(mut self, value: T) -> Result<(), T> {
        let mut state = self.shared.state.lock();
        if state.receiver_gone {
            return Err(value);
        }
        state.value = Some(value);
        let (woken, own) = state.end_sender();
        drop(state);
        self.sent = true;
        woken.wake();
        own.forget();
        Ok(())
    }

    /// Returns true if the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().receiver_gone
    }

    /// Waits until the receiver is gone.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn closed(&mut self) {
        poll_fn(|cx| self.poll_closed(cx)).await;
    }

    /// Polls for the end of the receiver; see [`closed`](Self::closed).
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let progress = ready!(coop::poll_proceed(cx));
        let mut waker = PollWaker::of(cx, WaitKind::Channel);
        let mut state = self.shared.state.lock();
        if state.receiver_gone {
            progress.made_progress();
            return Poll::Ready(());
        }
        let prev = state.sender.register(&mut waker);
        drop(state);
        drop(prev);
        Poll::Pending
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.sent {
            return;
        }
        let mut state = self.shared.state.lock();
        let (woken, own) = state.end_sender();
        drop(state);
        woken.wake();
        own.forget();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("oneshot::Sender").field("closed", &self.is_closed()).finish()
    }
}

/// The receiving end: a future of the value.
///
/// # Cancel safety
/// Awaiting `&mut receiver` may be dropped and repeated.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The value was taken, or it was said that none will come.
    ended: bool,
}

/// The sender was dropped without sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender was dropped without sending")
    }
}

impl std::error::Error for RecvError {}

/// Why there was no value at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// It was not sent yet.
    Empty,
    /// It will not come.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the value was not sent yet",
            Self::Closed => "no value will come",
        })
    }
}

impl std::error::Error for TryRecvError {}

impl<T> Receiver<T> {
    /// Takes the value if it is there.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if it may still come, [`TryRecvError::Closed`] if not: the sender is gone, or this end was
    /// [closed](Self::close), or the value was taken.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let mut state = self.shared.state.lock();
        let result = match state.value.take() {
            Some(value) => Ok(value),
            None if state.sender_gone || state.receiver_gone => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        };
        drop(state);
        self.ended |= !matches!(result, Err(TryRecvError::Empty));
        result
    }

    /// Waits for the value on a thread that may block.
    ///
    /// # Errors
    /// [`RecvError`] if the sender is gone.
    ///
    /// # Panics
    /// On a thread that drives a runtime: in a task, await the receiver.
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, RecvError> {
        super::blocking::block_on(self)
    }

    /// Returns true if the value is not there: it was not sent yet, or taken.
    pub fn is_empty(&self) -> bool {
        self.shared.state.lock().value.is_none()
    }

    /// Returns true once it has said its last: the value was taken, or it was told that none will come. What fuses a future asks
    /// this, so an end that was not reported yet does not count.
    pub fn is_terminated(&self) -> bool {
        self.ended
    }

    /// Keeps the sender from sending; a value already sent can still be received.
    pub fn close(&mut self) {
        let mut state = self.shared.state.lock();
        state.receiver_gone = true;
        let woken = state.sender.take();
        drop(state);
        woken.wake();
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let progress = ready!(coop::poll_proceed(cx));
        let mut waker = PollWaker::of(cx, WaitKind::Channel);
        let this = &mut *self;
        let mut state = this.shared.state.lock();
        let taken = state.value.take();
        if taken.is_some() || state.sender_gone || state.receiver_gone {
            this.ended = true;
            progress.made_progress();
            return Poll::Ready(taken.ok_or(RecvError));
        }
        let prev = state.receiver.register(&mut waker);
        drop(state);
        drop(prev);
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
        let mut state = self.shared.state.lock();
        // The waker too: with it the sender would keep the task that received.
        let (value, waker) = (state.value.take(), state.receiver.take());
        drop(state);
        waker.forget();
        drop(value);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("oneshot::Receiver")
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};

    #[test]
    fn loom_a_value_or_the_end_reaches_the_receiver() {
        for sends in [true, false] {
            loom::model(move || {
                let (send, mut receive) = channel();
                let sender = loom::thread::spawn(move || {
                    if sends {
                        let _ = send.send(7);
                    }
                });
                let (wakes, waker) = counting_waker();
                let first = poll_with(Pin::new(&mut receive), &waker);
                sender.join().unwrap();
                let result = match first {
                    Poll::Ready(result) => result,
                    Poll::Pending => {
                        assert_eq!(wakes.count(), 1);
                        let Poll::Ready(result) = poll_with(Pin::new(&mut receive), &waker) else { panic!("lost") };
                        result
                    }
                };
                assert_eq!(result.is_ok(), sends);
            });
        }
    }
}
