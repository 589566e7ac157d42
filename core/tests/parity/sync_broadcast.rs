//! Tokio's `sync_broadcast` and `sync_broadcast_weak`.

use crate::support::{Probe, now, panics, ready, single, waker_that};
use posse_core::sync::broadcast::{self, RecvError, TryRecvError};
use posse_core::task;
use std::sync::Arc;
use std::task::{Context, Poll};

#[test]
fn each_receiver_gets_each_value_and_only_who_waits_is_woken() {
    let (send, mut receive) = broadcast::channel(16);
    let mut other = send.subscribe();
    assert_eq!((receive.try_recv(), other.try_recv()), (Err(TryRecvError::Empty), Err(TryRecvError::Empty)));
    {
        let (mut one, mut two) = (Probe::new(receive.recv()), Probe::new(other.recv()));
        assert!(one.poll().is_pending() && two.poll().is_pending());
        assert_eq!(send.send("hello"), Ok(2));
        assert_eq!((one.woken(), two.woken()), (1, 1));
        assert_eq!((one.poll(), two.poll()), (Poll::Ready(Ok("hello")), Poll::Ready(Ok("hello"))));
    }
    let (mut one, two) = (Probe::new(receive.recv()), Probe::new(other.recv()));
    assert!(one.poll().is_pending());
    assert_eq!(send.send("world"), Ok(2));
    assert_eq!((one.woken(), two.woken(), one.poll()), (1, 0, Poll::Ready(Ok("world"))));
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let (send, mut receive) = broadcast::channel(1);
    let first = Probe::new(());
    let waker = first.waker();
    let mut receiving = Probe::new(receive.recv());
    assert!(receiving.inner.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert!(receiving.poll().is_pending());
    assert_eq!((first.wakers(), send.send(1)), (0, Ok(1)));
    assert_eq!((first.woken(), receiving.woken()), (0, 1));
}

#[test]
fn who_lags_hears_how_much_and_goes_on_with_the_oldest_that_is_left() {
    let (send, mut fast) = broadcast::channel(2);
    let mut slow = send.subscribe();
    let mut sent = 0;
    let mut send_some = |count| {
        for _ in 0..count {
            sent += 1;
            assert_eq!(send.send(sent), Ok(2));
        }
    };
    send_some(2);
    assert_eq!((fast.try_recv(), fast.try_recv(), fast.try_recv()), (Ok(1), Ok(2), Err(TryRecvError::Empty)));
    send_some(2);
    // The one who keeps up is not touched by it.
    assert_eq!((fast.try_recv(), fast.try_recv()), (Ok(3), Ok(4)));
    assert_eq!((slow.try_recv(), slow.try_recv()), (Err(TryRecvError::Lagged(2)), Ok(3)));
    // Again, before it has caught up: counted from where it was.
    send_some(3);
    assert_eq!(ready(slow.recv()), Err(RecvError::Lagged(2)));
    send_some(1);
    assert_eq!((ready(slow.recv()), ready(slow.recv())), (Err(RecvError::Lagged(1)), Ok(7)));
    assert_eq!((slow.try_recv(), slow.try_recv()), (Ok(8), Err(TryRecvError::Empty)));
    assert_eq!(fast.try_recv(), Err(TryRecvError::Lagged(2)));
}

/// Tokio rounds up to a power of two; here the ring holds what was asked for.
#[test]
fn the_ring_holds_as_many_as_was_asked_for() {
    for capacity in [1, 2, 3, 5] {
        let (send, mut receive) = broadcast::channel(capacity);
        for n in 0..=capacity {
            assert_eq!(send.send(n), Ok(1));
        }
        assert_eq!((receive.try_recv(), receive.try_recv()), (Err(TryRecvError::Lagged(1)), Ok(1)));
    }
    // Tokio panics for 0 and for more than half of the numbers there are.
    let (send, mut receive) = broadcast::channel(0);
    assert_eq!((send.send(1), send.send(2)), (Ok(1), Ok(1)));
    assert_eq!((receive.try_recv(), receive.try_recv()), (Err(TryRecvError::Lagged(1)), Ok(2)));
    let (send, mut receive) = broadcast::channel(usize::MAX);
    assert_eq!((send.send(1), receive.try_recv()), (Ok(1), Ok(1)));
}

#[test]
fn what_is_left_is_received_after_the_last_sender() {
    for (sent, lost) in [(0, None), (1, None), (2, None), (3, Some(1)), (4, Some(2))] {
        let (send, mut receive) = broadcast::channel(2);
        (1..=sent).for_each(|n| assert_eq!(send.send(n), Ok(1)));
        drop(send);
        if let Some(lost) = lost {
            assert_eq!(receive.try_recv(), Err(TryRecvError::Lagged(lost)));
        }
        for n in lost.map_or(1, |lost| i32::try_from(lost).unwrap() + 1)..=sent {
            assert_eq!(receive.try_recv(), Ok(n));
        }
        assert_eq!((receive.try_recv(), ready(receive.recv())), (Err(TryRecvError::Closed), Err(RecvError::Closed)));
    }
}

#[test]
fn nobody_hears_what_is_sent_to_nobody() {
    let (send, receive) = broadcast::channel(4);
    drop(receive);
    assert_eq!(send.send("lost").map_err(|error| error.0), Err("lost"));
    let mut receive = send.subscribe();
    assert_eq!((send.send("heard"), receive.try_recv()), (Ok(1), Ok("heard")));
    assert_eq!(broadcast::Sender::<u8>::new(4).receiver_count(), 0);
}

/// Panics when it is cloned while `0`.
#[derive(Debug, PartialEq)]
struct Fragile(usize);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert_ne!(self.0, 0, "on purpose");
        Self(self.0)
    }
}

#[test]
fn a_clone_that_panics_costs_its_receiver_that_value() {
    let (send, mut receive) = broadcast::channel(4);
    let mut other = send.subscribe();
    assert!(send.send(Fragile(0)).is_ok() && send.send(Fragile(1)).is_ok());
    panics(|| _ = receive.try_recv());
    assert_eq!(receive.try_recv(), Ok(Fragile(1)));
    // The last one gets the value itself.
    assert_eq!((other.try_recv(), other.try_recv()), (Ok(Fragile(0)), Ok(Fragile(1))));
}

#[test]
fn receivers_hear_of_the_last_sender() {
    let (send, mut receive) = broadcast::channel::<u8>(4);
    let (other, mut late) = (send.clone(), send.subscribe());
    let (mut one, mut two) = (Probe::new(receive.recv()), Probe::new(late.recv()));
    assert!(one.poll().is_pending() && two.poll().is_pending());
    drop(send);
    assert_eq!((one.woken(), two.woken()), (0, 0));
    drop(other);
    assert_eq!((one.woken(), two.woken()), (1, 1));
    assert_eq!((one.poll(), two.poll()), (Poll::Ready(Err(RecvError::Closed)), Poll::Ready(Err(RecvError::Closed))));
}

#[test]
fn values_are_dropped_with_the_receivers_that_did_not_take_them() {
    let value = Arc::new(());
    let (send, receive) = broadcast::channel(4);
    let other = send.subscribe();
    assert_eq!((send.send(value.clone()), send.send(value.clone())), (Ok(2), Ok(2)));
    drop(other);
    assert_eq!(Arc::strong_count(&value), 3);
    drop(receive);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn who_subscribes_again_begins_at_the_end() {
    let (send, mut receive) = broadcast::channel(1);
    assert_eq!((send.send(1), send.send(2)), (Ok(1), Ok(1)));
    let mut again = receive.resubscribe();
    assert_eq!((receive.try_recv(), again.try_recv()), (Err(TryRecvError::Lagged(1)), Err(TryRecvError::Empty)));
    assert_eq!((receive.try_recv(), again.try_recv()), (Ok(2), Err(TryRecvError::Empty)));
    assert_eq!((send.send(3), receive.try_recv(), again.try_recv()), (Ok(2), Ok(3), Ok(3)));
    drop(send);
    assert_eq!(receive.resubscribe().try_recv(), Err(TryRecvError::Closed));
}

/// Tokio's `Receiver::len` counts what was lost as well, until the receiver was told; here it is what it can receive.
#[test]
fn lengths_are_what_is_there_for_somebody() {
    let (send, mut receive) = broadcast::channel(4);
    let mut other = send.subscribe();
    assert!(send.is_empty() && receive.is_empty());
    let mut seed = 7u32;
    for _ in 0..2000 {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match seed >> 30 {
            0 => _ = receive.try_recv(),
            1 => _ = other.try_recv(),
            _ => assert_eq!(send.send(0), Ok(2)),
        }
        assert!(receive.len() <= 4 && other.len() <= 4);
        assert_eq!(send.len(), receive.len().max(other.len()));
    }
}

#[test]
fn a_waker_that_is_dropped_may_send() {
    for wakes in [false, true] {
        let (send, mut receive) = broadcast::channel(4);
        let again = send.clone();
        let waker = waker_that(|| {}, move || _ = again.send(()));
        let mut receiving = Probe::new(receive.recv());
        assert!(receiving.inner.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        if wakes {
            assert_eq!(send.send(()), Ok(1));
        } else {
            let _ = receiving.poll();
        }
        assert_eq!(receiving.poll(), Poll::Ready(Ok(())));
    }
}

#[test]
fn a_receiver_that_always_has_a_value_lets_others_run() {
    single().block_on(async {
        let (send, mut receive) = broadcast::channel(8);
        posse_core::select! {
            biased;
            () = async { loop { assert!(send.send(()).is_ok() && receive.recv().await.is_ok()); } } => {}
            () = task::yield_now() => {}
        }
    });
}

#[test]
fn a_sender_waits_for_the_last_receiver_of_the_moment() {
    let (send, receive) = broadcast::channel::<u8>(1);
    let other = send.subscribe();
    let mut closed = Probe::new(send.closed());
    assert!(closed.poll().is_pending());
    drop(receive);
    assert_eq!((closed.woken(), closed.poll()), (0, Poll::Pending));
    drop(other);
    assert_eq!(closed.woken(), 1);
    // One has come before it looked.
    let late = send.subscribe();
    assert!(closed.poll().is_pending());
    drop(late);
    assert_eq!((closed.woken(), closed.poll()), (1, Poll::Ready(())));
    assert!(now(send.closed()).is_ready());
    let _receive = send.subscribe();
    assert!(now(send.closed()).is_pending());
}

#[test]
fn senders_are_counted_strong_and_weak() {
    let (send, mut receive) = broadcast::channel(4);
    let (clone, weak) = (send.clone(), send.downgrade());
    assert_eq!((send.strong_count(), send.weak_count(), receive.sender_strong_count()), (2, 1, 2));
    assert_eq!(weak.upgrade().unwrap().send(1), Ok(1));
    let another = weak.clone();
    assert_eq!(send.weak_count(), 2);
    drop(another);
    drop(clone);
    assert_eq!((send.strong_count(), send.weak_count()), (1, 1));
    let upgraded = weak.upgrade().unwrap();
    drop(send);
    assert_eq!((receive.is_closed(), upgraded.send(2)), (false, Ok(1)));
    drop(upgraded);
    assert!(weak.upgrade().is_none() && receive.is_closed());
    assert_eq!((receive.try_recv(), receive.try_recv(), receive.try_recv()), (Ok(1), Ok(2), Err(TryRecvError::Closed)));
}
