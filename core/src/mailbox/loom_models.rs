//! Models of the inbox: the queue and its transition from empty, room and closing, the ask envelope.

use super::ask::{ReplyError, ReplyReceiver};
use super::envelope;
use super::permits::{Capacity, Permits, Reservation, TryAcquireError};
use super::queue::{Pop, Queue, QueueLinks};
use super::{Inbox, Receive, Receiver};
use crate::loom::sync::Arc;
use crate::loom::sync::atomic::{AtomicUsize, Ordering};
use crate::testing::counting_waker;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

struct Model {
    queue: Queue,
    /// Transitions from empty to non-empty that the consumer has not answered yet.
    signals: AtomicUsize,
}

// SAFETY: the test keeps every envelope until all threads have ended, and pops on one thread.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Model {
    fn push(&self, envelope: usize) {
        let link = NonNull::new(envelope as *mut QueueLinks).unwrap();
        // SAFETY: a fresh envelope that outlives the model.
        if unsafe { self.queue.push(link) } {
            self.signals.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Pops until the queue is idle. Only called for a signal, as the scheduler would.
    fn drain(&self, out: &mut Vec<usize>) {
        loop {
            // SAFETY: one consumer.
            match unsafe { self.queue.pop() } {
                Pop::Envelope(link) => out.push(link.as_ptr() as usize),
                Pop::Empty | Pop::Busy { wakes_consumer: true } => return,
                Pop::Busy { wakes_consumer: false } => loom::thread::yield_now(),
            }
        }
    }
}

fn new_node() -> usize {
    Box::into_raw(Box::new(QueueLinks::new())) as usize
}

#[test]
fn loom_every_message_is_popped_once_and_each_idle_edge_signals() {
    loom::model(|| {
        let model = Arc::new(Model { queue: Queue::new(), signals: AtomicUsize::new(0) });
        let envelopes = [new_node(), new_node(), new_node()];
        let first = {
            let model = model.clone();
            loom::thread::spawn(move || {
                model.push(envelopes[0]);
                model.push(envelopes[1]);
            })
        };
        let second = {
            let model = model.clone();
            loom::thread::spawn(move || model.push(envelopes[2]))
        };

        let mut popped = Vec::new();
        if model.signals.swap(0, Ordering::AcqRel) > 0 {
            model.drain(&mut popped);
        }
        first.join().unwrap();
        second.join().unwrap();
        if model.signals.swap(0, Ordering::AcqRel) > 0 {
            model.drain(&mut popped);
        }

        assert_eq!(popped.len(), 3, "a message was left behind without a signal");
        let order: Vec<_> = popped.iter().filter(|&&envelope| envelope != envelopes[2]).collect();
        assert_eq!(order, [&envelopes[0], &envelopes[1]]);
        for envelope in envelopes {
            // SAFETY: popped, and made by `new_node`.
            drop(unsafe { Box::from_raw(envelope as *mut QueueLinks) });
        }
    });
}

fn one() -> Capacity {
    Capacity::Bounded(NonZeroUsize::MIN)
}

#[test]
fn loom_room_that_becomes_free_reaches_the_waiter() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(one()));
        permits.acquire().unwrap();
        let consumer = {
            let permits = permits.clone();
            loom::thread::spawn(move || permits.release(1))
        };

        let (wakes, waker) = counting_waker();
        let mut reservation = Reservation::default();
        let polled = permits.poll_reserve(&mut reservation, &mut Context::from_waker(&waker));
        consumer.join().unwrap();
        if polled.is_pending() {
            assert_eq!(wakes.count(), 1);
        }
        assert!(permits.take_granted(&mut reservation));
        assert_eq!(permits.count(), 1);
    });
}

#[test]
fn loom_closing_counts_exactly_what_was_accepted() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(Capacity::Unbounded));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let permits = permits.clone();
                loom::thread::spawn(move || usize::from(permits.acquire().is_ok()))
            })
            .collect();
        permits.close();
        let accepted: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        assert_eq!(permits.count(), accepted);
    });
}

#[test]
fn loom_closing_takes_unused_grants_back() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(one()));
        permits.acquire().unwrap();
        let (_, waker) = counting_waker();
        let mut reservation = Reservation::default();
        assert!(permits.poll_reserve(&mut reservation, &mut Context::from_waker(&waker)).is_pending());

        let consumer = {
            let permits = permits.clone();
            loom::thread::spawn(move || {
                permits.release(1);
                permits.close();
            })
        };
        let used = permits.take_granted(&mut reservation);
        consumer.join().unwrap();
        assert_eq!(permits.count(), usize::from(used));
    });
}

/// Two wait, room for both becomes free piece by piece while the first leaves: nothing granted is lost.
#[test]
fn loom_room_is_granted_to_two_waiters_of_whom_one_leaves() {
    loom::model(|| {
        let permits = Arc::new(Permits::new(one()));
        permits.acquire().unwrap();
        let ((_, first), (wakes, second)) = (counting_waker(), counting_waker());
        let (mut leaves, mut stays) = (Reservation::default(), Reservation::default());
        assert!(permits.poll_reserve(&mut leaves, &mut Context::from_waker(&first)).is_pending());
        assert!(permits.poll_reserve(&mut stays, &mut Context::from_waker(&second)).is_pending());

        let consumer = {
            let permits = permits.clone();
            loom::thread::spawn(move || permits.release(1))
        };
        permits.cancel_reserve(&mut leaves);
        consumer.join().unwrap();
        assert_eq!(wakes.count(), 1, "the room went to no sender");
        assert!(permits.take_granted(&mut stays));
        assert_eq!((permits.count(), permits.acquire()), (1, Err(TryAcquireError::Full)));
        permits.release(1);
        assert_eq!(permits.acquire(), Ok(()), "the flag stayed up");
    });
}

/// Two join while room becomes free: the second finds the flag up, and does not look at the room itself.
#[test]
fn loom_room_that_becomes_free_reaches_both_who_join() {
    loom::model(|| {
        let two = Capacity::Bounded(NonZeroUsize::new(2).unwrap());
        let permits = Arc::new(Permits::new(two));
        permits.acquire().and_then(|()| permits.acquire()).unwrap();
        let joins = |permits: Arc<Permits>| {
            let (wakes, waker) = counting_waker();
            let mut reservation = Reservation::default();
            let polled = permits.poll_reserve(&mut reservation, &mut Context::from_waker(&waker));
            (wakes, reservation, polled)
        };
        let consumer = {
            let permits = permits.clone();
            loom::thread::spawn(move || permits.release(2))
        };
        let other = {
            let permits = permits.clone();
            loom::thread::spawn(move || joins(permits))
        };
        let ours = joins(permits.clone());
        consumer.join().unwrap();
        for (wakes, mut reservation, polled) in [ours, other.join().unwrap()] {
            assert!(polled.is_ready() || wakes.count() == 1);
            assert!(permits.take_granted(&mut reservation));
        }
        assert_eq!(permits.count(), 2);
    });
}

/// Room for a turn is set aside behind the first of two who wait, and reclaimed while the first one uses its turn.
#[test]
fn loom_room_for_a_turn_is_used_or_goes_to_the_next() {
    loom::model(|| {
        let two = Capacity::Bounded(NonZeroUsize::new(2).unwrap());
        let permits = Arc::new(Permits::new(two));
        permits.acquire().and_then(|()| permits.acquire()).unwrap();
        let ((_, first), (wakes, second)) = (counting_waker(), counting_waker());
        let (mut turn, mut next) = (Reservation::default(), Reservation::default());
        assert!(permits.poll_reserve(&mut turn, &mut Context::from_waker(&first)).is_pending());
        assert!(permits.poll_reserve(&mut next, &mut Context::from_waker(&second)).is_pending());

        let consumer = {
            let permits = permits.clone();
            loom::thread::spawn(move || {
                permits.release_in_turns(2);
                permits.reclaim();
            })
        };
        let sent = usize::from(permits.take_granted(&mut turn));
        let sent = sent + usize::from(permits.take_set_aside());
        consumer.join().unwrap();
        permits.cancel_reserve(&mut turn);
        let granted = permits.take_granted(&mut next);
        assert_eq!(wakes.count(), usize::from(granted));
        // Either the second has its room, or it was used before it.
        assert!(granted || sent == 2, "{sent} sent, and the second was forgotten");
        assert_eq!(permits.count(), sent + usize::from(granted));
    });
}

enum Dummy {}

impl Receiver for Dummy {
    type State = ();
    type Context = Inbox<Self>;
    type Shared = ();

    fn interrupted(_: &Inbox<Self>) -> bool {
        false
    }

    fn inbox(context: &mut Inbox<Self>) -> &mut Inbox<Self> {
        context
    }
}

impl Receive<Box<u32>> for Dummy {
    type Reply = Box<u32>;

    async fn receive(_: &mut (), _: &mut Inbox<Self>, message: Box<u32>) -> Box<u32> {
        message
    }
}

fn ask() -> (envelope::Envelope<Dummy>, ReplyReceiver<Box<u32>>) {
    let (message, core) = envelope::new_ask::<Dummy, Box<u32>>(Box::new(7));
    // SAFETY: a fresh ask envelope with this reply type.
    (message, unsafe { ReplyReceiver::new(core) })
}

/// Handles the message as the serving loop would. The handler looks at neither state nor context.
fn handle(message: envelope::Envelope<Dummy>) {
    let (_, waker) = counting_waker();
    let mut state = ();
    let context = NonNull::<Inbox<Dummy>>::dangling().as_ptr();
    if message.is_cancelled() {
        return;
    }
    // SAFETY: the handler of `Dummy` never follows its context.
    let running = unsafe { message.start(&mut state, context, &mut Context::from_waker(&waker)) };
    assert!(running.is_none());
}

#[test]
fn loom_a_reply_against_polls_with_changing_wakers() {
    loom::model(|| {
        let (message, mut reply) = ask();
        let server = loom::thread::spawn(move || handle(message));

        let mut last = None;
        for _ in 0..2 {
            let (wakes, waker) = counting_waker();
            if let Poll::Ready(result) = Pin::new(&mut reply).poll(&mut Context::from_waker(&waker)) {
                assert_eq!(result, Ok(Box::new(7)));
                server.join().unwrap();
                return;
            }
            last = Some(wakes);
        }

        server.join().unwrap();
        assert_eq!(last.unwrap().count(), 1, "the last waker was not woken");
        let (_, waker) = counting_waker();
        let result = Pin::new(&mut reply).poll(&mut Context::from_waker(&waker));
        assert_eq!(result, Poll::Ready(Ok(Box::new(7))));
    });
}

#[test]
fn loom_a_reply_against_an_asker_that_leaves() {
    loom::model(|| {
        let (message, mut reply) = ask();
        let server = loom::thread::spawn(move || handle(message));
        let (_, waker) = counting_waker();
        let _ = Pin::new(&mut reply).poll(&mut Context::from_waker(&waker));
        drop(reply);
        server.join().unwrap();
    });
}

#[test]
fn loom_a_discarded_ask_answers_or_is_freed() {
    loom::model(|| {
        let (message, mut reply) = ask();
        let server = loom::thread::spawn(move || drop(message));
        let (_, waker) = counting_waker();
        let polled = Pin::new(&mut reply).poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(result) = polled {
            assert_eq!(result, Err(ReplyError::Stopped));
        }
        drop(reply);
        server.join().unwrap();
    });
}
