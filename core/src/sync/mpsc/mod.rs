//! A channel from many senders to one receiver, bounded unless its name says otherwise.

mod permit;
mod receiver;
mod sender;
mod unbounded;

pub mod error;

pub use permit::{OwnedPermit, Permit, PermitIterator};
pub use receiver::{Receiver, UnboundedReceiver};
pub use sender::{Sender, WeakSender};
pub use unbounded::{UnboundedSender, WeakUnboundedSender};

#[doc(no_inline)]
pub use error::{SendError, SendTimeoutError, TryRecvError, TrySendError};

use super::semaphore::Semaphore;
use crate::loom::sync::Mutex;
use crate::raw_task::wait_kind::WaitKind;
use crate::raw_task::waker_slot::WakerSlot;
use crate::wait_set::WaitSet;
use std::collections::VecDeque;
use std::sync::Arc;

/// Makes a channel with room for `capacity` values, at least one.
///
/// # Examples
/// ```
/// use posse::sync::mpsc;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (send, mut receive) = mpsc::channel(2);
/// let task = posse::task::spawn(async move {
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
    let capacity = capacity.max(1);
    make(capacity, Some(Semaphore::new(capacity)))
}

/// Makes a channel that takes values until memory is full. Prefer [`channel`].
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (sender, receiver) = make(usize::MAX, None);
    (UnboundedSender(sender), receiver)
}

fn make<T>(capacity: usize, room: Option<Semaphore>) -> (Sender<T>, Receiver<T>) {
    let state = State { queue: VecDeque::new(), senders: 1, closed: false, receiver: WakerSlot::new() };
    let shared = Arc::new(Shared { state: Mutex::new(state), room, capacity, ended: WaitSet::new() });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

struct Shared<T> {
    /// The queue and who is there; held for a push or a pop, and no waker is called under it.
    state: Mutex<State<T>>,
    /// A permit for each place in the queue; `None` if it is unbounded.
    room: Option<Semaphore>,
    /// The bound; never changes.
    capacity: usize,
    /// Senders that wait for the channel to be closed.
    ended: WaitSet,
}

struct State<T> {
    /// Values in the order they were sent.
    queue: VecDeque<T>,
    /// Strong senders there are.
    senders: usize,
    /// By the receiver, which takes what is left.
    closed: bool,
    /// Who waits for a value: there is one receiver.
    receiver: WakerSlot,
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
        woken.wake();
        Ok(())
    }

    fn give_room(&self, count: usize) {
        if let Some(room) = &self.room {
            room.add_permits(count);
        }
    }

    /// Room for values that are not yet there.
    fn free(&self) -> usize {
        self.room.as_ref().map_or(usize::MAX, Semaphore::available_permits)
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Refuses further values.
    fn close(&self) {
        let was_closed = std::mem::replace(&mut self.state.lock().closed, true);
        if let Some(room) = &self.room {
            room.close();
        }
        if !was_closed {
            self.ended.wake_all();
        }
    }

    /// Waits until no further values are taken.
    async fn closed(&self) {
        self.ended.until(WaitKind::Channel, || self.is_closed().then_some(())).await;
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};
    use std::pin::pin;
    use std::task::{Context, Poll};

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
                        assert_eq!(receive.try_recv(), Ok(1));
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
