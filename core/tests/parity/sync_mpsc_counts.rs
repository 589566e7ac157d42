//! Tokio's `sync_mpsc_weak`, and what an end of a channel says of it: closed, empty, how long.

use crate::support::{Probe, ready, settle, single};
use posse_core::sync::mpsc::{self, Receiver, TryRecvError};
use posse_core::task;
use std::sync::Arc;
use std::task::Poll;

/// The senders of both kinds, so that every question is put to both.
enum Send {
    Bounded(mpsc::Sender<u8>),
    Unbounded(mpsc::UnboundedSender<u8>),
}

impl Send {
    fn send(&self) {
        match self {
            Self::Bounded(send) => send.try_send(1).unwrap(),
            Self::Unbounded(send) => send.send(1).unwrap(),
        }
    }

    fn counts(&self) -> (usize, usize) {
        match self {
            Self::Bounded(send) => (send.strong_count(), send.weak_count()),
            Self::Unbounded(send) => (send.strong_count(), send.weak_count()),
        }
    }
}

impl Clone for Send {
    fn clone(&self) -> Self {
        match self {
            Self::Bounded(send) => Self::Bounded(send.clone()),
            Self::Unbounded(send) => Self::Unbounded(send.clone()),
        }
    }
}

fn both() -> [(Send, Receiver<u8>); 2] {
    let (bounded, receive) = mpsc::channel(10);
    let (unbounded, unlimited) = mpsc::unbounded_channel();
    [(Send::Bounded(bounded), receive), (Send::Unbounded(unbounded), unlimited)]
}

/// Whether it is closed, whether it is empty, its length.
fn state(receive: &Receiver<u8>) -> (bool, bool, usize) {
    (receive.is_closed(), receive.is_empty(), receive.len())
}

#[test]
fn a_channel_is_closed_by_its_last_sender_or_by_its_receiver() {
    for (send, receive) in both() {
        let other = send.clone();
        assert_eq!(state(&receive), (false, true, 0));
        drop(send);
        assert_eq!(state(&receive), (false, true, 0));
        drop(other);
        assert_eq!(state(&receive), (true, true, 0));
    }
    for (send, mut receive) in both() {
        send.send();
        receive.close();
        assert_eq!(state(&receive), (true, false, 1));
        assert_eq!((receive.try_recv(), receive.try_recv()), (Ok(1), Err(TryRecvError::Disconnected)));
        assert_eq!(state(&receive), (true, true, 0));
    }
}

#[test]
fn the_length_is_what_can_be_received() {
    for (send, mut receive) in both() {
        for n in 1..=10 {
            send.send();
            assert_eq!(state(&receive), (false, false, n));
        }
        for n in (1..=9).rev() {
            assert_eq!(receive.try_recv(), Ok(1));
            assert_eq!(state(&receive), (false, false, n));
        }
        drop(send);
        assert_eq!(state(&receive), (true, false, 1));
        assert_eq!((receive.try_recv(), receive.try_recv()), (Ok(1), Err(TryRecvError::Disconnected)));
        assert_eq!(state(&receive), (true, true, 0));
    }
}

/// Tokio says that such a channel is open, as a value may still come of the permit.
#[test]
fn a_permit_that_is_owned_is_a_sender() {
    let (send, mut receive) = mpsc::channel::<u8>(1);
    let permit = send.try_reserve_owned().unwrap();
    assert_eq!((receive.is_closed(), receive.try_recv()), (false, Err(TryRecvError::Empty)));
    drop(permit.send(1).unwrap());
    assert_eq!((ready(receive.recv()), ready(receive.recv())), (Some(1), None));
}

#[test]
fn the_capacity_follows_what_is_reserved_and_sent() {
    let (send, mut receive) = mpsc::channel::<u8>(10);
    assert_eq!((send.capacity(), send.max_capacity()), (10, 10));
    let permit = ready(send.reserve()).unwrap();
    assert_eq!((send.capacity(), receive.capacity()), (9, 9));
    assert_eq!(permit.send(1), Ok(()));
    assert_eq!(send.capacity(), 9);
    assert_eq!((receive.try_recv(), send.capacity()), (Ok(1), 10));
    let other = send.clone();
    let permits = [other.try_reserve().unwrap(), send.try_reserve().unwrap()];
    assert_eq!((send.capacity(), other.capacity(), send.max_capacity()), (8, 8, 10));
    drop(permits);
    assert_eq!(receive.capacity(), 10);
}

#[test]
fn senders_are_counted_strong_and_weak() {
    for (send, receive) in both() {
        assert_eq!(send.counts(), (1, 0));
        let clones: Vec<_> = (0..3).map(|_| send.clone()).collect();
        assert_eq!((send.counts(), receive.sender_strong_count()), ((4, 0), 4));
        drop(clones);
        match &send {
            Send::Bounded(one) => {
                let (weak, other) = (one.downgrade(), one.downgrade());
                assert_eq!((send.counts(), weak.strong_count(), other.weak_count()), ((1, 2), 1, 2));
                drop(other);
                assert_eq!(send.counts(), (1, 1));
                assert_eq!(weak.clone().weak_count(), 2);
                drop(weak);
            }
            Send::Unbounded(one) => {
                let (weak, other) = (one.downgrade(), one.downgrade());
                assert_eq!((send.counts(), weak.strong_count(), other.weak_count()), ((1, 2), 1, 2));
                drop(other);
                assert_eq!(send.counts(), (1, 1));
                assert_eq!(weak.clone().weak_count(), 2);
                drop(weak);
            }
        }
        assert_eq!((send.counts(), receive.sender_weak_count()), ((1, 0), 0));
    }
}

#[test]
fn a_weak_sender_sends_while_a_strong_one_is_there() {
    let (send, mut receive) = mpsc::channel::<u8>(4);
    let weak = send.downgrade();
    assert_eq!(weak.upgrade().unwrap().try_send(1), Ok(()));
    let upgraded = weak.upgrade().unwrap();
    drop(send);
    assert_eq!(upgraded.try_send(2), Ok(()));
    drop(upgraded);
    assert!(weak.upgrade().is_none());
    assert_eq!([ready(receive.recv()), ready(receive.recv()), ready(receive.recv())], [Some(1), Some(2), None]);
}

#[test]
fn a_permit_keeps_no_channel_open_for_weak_senders_unless_it_is_owned() {
    let (send, _receive) = mpsc::channel::<u8>(4);
    let weak = send.downgrade();
    let permit = send.try_reserve_owned().unwrap();
    assert!(weak.upgrade().is_some_and(|send| send.capacity() == 3));
    drop(permit);
    assert!(weak.upgrade().is_none());
}

#[test]
fn values_are_dropped_with_the_receiver_though_weak_senders_are_left() {
    let value = Arc::new(());
    let (send, receive) = mpsc::channel(4);
    let (unbounded, unlimited) = mpsc::unbounded_channel();
    let weak = (send.downgrade(), unbounded.downgrade());
    assert!(send.try_send(value.clone()).is_ok() && unbounded.send(value.clone()).is_ok());
    drop((send, unbounded));
    drop((receive, unlimited));
    assert_eq!(Arc::strong_count(&value), 1);
    assert!(weak.0.upgrade().is_none() && weak.1.upgrade().is_none());
}

/// Who receives, and hands on a way to itself, ends with the last of those who were given one from outside.
#[test]
fn a_task_that_holds_a_weak_sender_to_itself_ends() {
    single().block_on(async {
        let (send, mut receive) = mpsc::channel::<u8>(4);
        let weak = send.downgrade();
        let task = task::spawn(async move {
            let mut seen = 0;
            while let Some(n) = receive.recv().await {
                seen += n;
                if n > 1 {
                    // Its own message, sent while there is somebody else.
                    weak.upgrade().map(|own| own.try_send(n - 1));
                }
            }
            (seen, weak.upgrade().is_none())
        });
        assert_eq!(send.send(3).await, Ok(()));
        settle().await;
        assert!(!task.is_finished());
        drop(send);
        assert_eq!(task.await.unwrap(), (6, true));
    });
}

#[test]
fn a_receiver_that_waits_hears_of_the_last_sender_though_weak_ones_are_left() {
    for (send, mut receive) in both() {
        let other = send.clone();
        let _weak = match &send {
            Send::Bounded(send) => (Some(send.downgrade()), None),
            Send::Unbounded(send) => (None, Some(send.downgrade())),
        };
        let mut receiving = Probe::new(receive.recv());
        assert!(receiving.poll().is_pending());
        drop(send);
        assert_eq!(receiving.woken(), 0);
        drop(other);
        assert_eq!((receiving.woken(), receiving.poll()), (1, Poll::Ready(None)));
    }
}
