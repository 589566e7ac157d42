//! Behaviour of `mpsc` and `oneshot` beyond sending and receiving one value.

use super::mpsc::{SendError, SendTimeoutError, TryRecvError, TrySendError};
use super::*;
use crate::runtime::{Builder, Runtime};
use crate::task;
use crate::testing::{counting_waker, poll_with};
use futures_core::Stream;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};
use std::time::Duration;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

fn manual() -> Runtime {
    Builder::new_current_thread().manual_clock().build().expect("a runtime")
}

#[test]
fn what_is_there_comes_in_one_go_and_room_with_it() {
    let (send, mut receive) = mpsc::channel(4);
    (0..4).for_each(|n| assert!(send.try_send(n).is_ok()));
    let mut buffer = vec![9];
    assert_eq!(poll(pin!(receive.recv_many(&mut buffer, 0))), Poll::Ready(0));
    assert_eq!(poll(pin!(receive.recv_many(&mut buffer, 3))), Poll::Ready(3));
    assert_eq!((buffer.as_slice(), receive.len(), send.capacity(), receive.capacity()), (&[9, 0, 1, 2][..], 1, 3, 3));
    assert_eq!(poll(pin!(receive.recv_many(&mut buffer, 3))), Poll::Ready(1));
    let (wakes, waker) = counting_waker();
    {
        let mut many = pin!(receive.recv_many(&mut buffer, 3));
        assert!(poll_with(many.as_mut(), &waker).is_pending());
        assert!(send.try_send(5).is_ok());
        assert_eq!((wakes.count(), poll(many)), (1, Poll::Ready(1)));
    }
    drop(send);
    assert!(receive.is_empty() && receive.is_closed());
    assert_eq!(poll(pin!(receive.recv_many(&mut buffer, 3))), Poll::Ready(0));
    assert_eq!(buffer, [9, 0, 1, 2, 3, 5]);
}

#[test]
fn an_empty_channel_and_an_ended_one_are_told_apart() {
    let (send, mut receive) = mpsc::unbounded_channel();
    assert_eq!(receive.try_recv(), Err(TryRecvError::Empty));
    assert!(send.send(1).is_ok());
    assert!(!receive.is_closed());
    receive.close();
    assert!(send.is_closed() && receive.is_closed());
    assert_eq!(send.send(2), Err(SendError(2)));
    assert_eq!((receive.try_recv(), receive.try_recv()), (Ok(1), Err(TryRecvError::Disconnected)));
    assert_eq!((receive.capacity(), receive.max_capacity()), (usize::MAX, usize::MAX));
}

#[test]
fn room_for_many_is_taken_at_once_and_what_is_not_used_given_back() {
    let (send, mut receive) = mpsc::channel(3);
    let Poll::Ready(Ok(mut room)) = poll(pin!(send.reserve_many(3))) else { panic!("there is room") };
    assert_eq!((room.len(), send.capacity(), send.max_capacity()), (3, 0, 3));
    assert!(matches!(send.try_reserve(), Err(TrySendError::Full(()))));
    assert_eq!(room.next().unwrap().send(1), Ok(()));
    drop(room);
    assert_eq!(send.capacity(), 2);
    assert!(matches!(poll(pin!(send.reserve_many(4))), Poll::Ready(Err(SendError(())))), "there is never so much");
    assert!(send.try_reserve_many(3).is_err());
    assert!(send.try_reserve_many(2).is_ok_and(|room| room.len() == 2));
    let mut waits = Box::pin(send.reserve_many(3));
    assert!(poll(waits.as_mut()).is_pending());
    assert_eq!(receive.try_recv(), Ok(1));
    assert!(matches!(poll(waits.as_mut()), Poll::Ready(Ok(_))));
    drop(waits);
    receive.close();
    assert!(matches!(send.try_reserve_many(1), Err(TrySendError::Closed(()))));
}

#[test]
fn room_may_be_owned() {
    let (send, mut receive) = mpsc::channel(1);
    let Poll::Ready(Ok(permit)) = poll(pin!(send.clone().reserve_owned())) else { panic!("there is room") };
    let Err(TrySendError::Full(send)) = send.try_reserve_owned() else { panic!("there is none left") };
    let other = permit.send(1).unwrap();
    assert!(other.same_channel(&send));
    assert_eq!(receive.try_recv(), Ok(1));
    let permit = other.try_reserve_owned().unwrap();
    assert!(permit.same_channel(&permit));
    let other = permit.release();
    drop(other.try_reserve_owned().unwrap());
    assert_eq!(send.capacity(), 1);

    let permit = send.clone().try_reserve_owned().unwrap();
    receive.close();
    assert_eq!(permit.send(2).map(drop), Err(SendError(2)));
    assert!(matches!(send.try_reserve_owned(), Err(TrySendError::Closed(_))));
}

#[test]
fn a_weak_sender_keeps_nothing_open() {
    let (send, mut receive) = mpsc::channel::<u8>(1);
    let weak = send.downgrade();
    let again = weak.upgrade().unwrap();
    assert_eq!((send.strong_count(), weak.strong_count(), receive.sender_strong_count()), (2, 2, 2));
    assert_eq!((send.weak_count(), weak.weak_count(), receive.sender_weak_count()), (1, 1, 1));
    drop((send, again));
    assert!(weak.upgrade().is_none());
    assert_eq!(receive.try_recv(), Err(TryRecvError::Disconnected));

    let (send, receive) = mpsc::unbounded_channel::<u8>();
    let weak = send.downgrade();
    assert!(weak.upgrade().is_some_and(|again| again.same_channel(&send)));
    assert_eq!((send.strong_count(), send.weak_count(), weak.strong_count()), (1, 1, 1));
    drop((send, receive));
    assert_eq!((weak.upgrade().is_none(), weak.weak_count()), (true, 0));
}

#[test]
fn senders_hear_that_the_channel_is_closed() {
    let (send, mut receive) = mpsc::channel::<u8>(1);
    let (wakes, waker) = counting_waker();
    let (mut closed, mut another) = (Box::pin(send.closed()), Box::pin(send.closed()));
    assert!(poll_with(closed.as_mut(), &waker).is_pending() && poll_with(another.as_mut(), &waker).is_pending());
    drop(another);
    receive.close();
    assert_eq!(wakes.count(), 1);
    assert!(poll(closed.as_mut()).is_ready() && poll(pin!(send.closed())).is_ready());

    let (send, receive) = mpsc::unbounded_channel::<u8>();
    let mut closed = pin!(send.closed());
    assert!(poll(closed.as_mut()).is_pending());
    drop(receive);
    assert!(poll(closed).is_ready());
}

#[test]
fn a_send_waits_no_longer_than_told_and_gives_the_value_back() {
    manual().block_on(async {
        let (send, mut receive) = mpsc::channel(1);
        let hour = Duration::from_secs(3600);
        assert_eq!(send.send_timeout(1, hour).await, Ok(()));
        let waiting = {
            let send = send.clone();
            task::spawn(async move { send.send_timeout(2, hour).await })
        };
        task::yield_now().await;
        crate::runtime::Handle::current().advance(hour);
        let late = waiting.await.unwrap();
        assert_eq!(late, Err(SendTimeoutError::Timeout(2)));
        assert_eq!((receive.recv().await, receive.try_recv()), (Some(1), Err(TryRecvError::Empty)));
        receive.close();
        assert_eq!(send.send_timeout(3, hour).await.map_err(SendTimeoutError::into_inner), Err(3));
    });
}

#[test]
fn a_receiver_is_a_stream() {
    manual().block_on(async {
        let (send, mut receive) = mpsc::channel(1);
        drop(task::spawn(async move {
            for n in 0..3 {
                assert!(send.send(n).await.is_ok());
            }
        }));
        let mut seen = Vec::new();
        while let Some(n) = poll_fn(|cx| Pin::new(&mut receive).poll_next(cx)).await {
            seen.push(n);
        }
        assert_eq!(seen, [0, 1, 2]);
    });
}

#[test]
fn threads_that_may_block_send_and_receive() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.block_on(async {
        let (send, mut receive) = mpsc::channel(1);
        let (answer, asked) = oneshot::channel();
        let sender = task::spawn_blocking(move || {
            for n in 0..100 {
                assert!(send.blocking_send(n).is_ok());
            }
            drop(send);
            asked.blocking_recv()
        });
        let receiver = task::spawn_blocking(move || {
            let mut seen = Vec::new();
            while let Some(n) = receive.blocking_recv() {
                seen.push(n);
                receive.blocking_recv_many(&mut seen, 1);
            }
            seen
        });
        assert_eq!(receiver.await.unwrap().len(), 100);
        assert_eq!(answer.send(7), Ok(()));
        assert_eq!(sender.await.unwrap(), Ok(7));
    });
}

#[test]
fn a_value_that_is_there_and_one_that_was_taken() {
    let (send, mut receive) = oneshot::channel();
    assert!(receive.is_empty() && !receive.is_terminated());
    assert_eq!(send.send(1), Ok(()));
    assert!(!receive.is_empty() && !receive.is_terminated());
    assert_eq!(receive.try_recv(), Ok(1));
    assert!(receive.is_empty() && receive.is_terminated());
}

#[test]
fn a_receiver_that_goes_leaves_no_waker_with_its_senders() {
    let (wakes, waker) = counting_waker();
    let ((send, mut many), (one, mut only)) = (mpsc::channel::<u8>(1), oneshot::channel::<u8>());
    assert!(poll_with(pin!(many.recv()), &waker).is_pending() && poll_with(Pin::new(&mut only), &waker).is_pending());
    drop((waker, many, only));
    assert_eq!(std::sync::Arc::strong_count(&wakes), 1);
    drop((send, one));
}

#[test]
fn a_sender_that_goes_leaves_no_waker_with_its_receiver() {
    for sends in [true, false] {
        let (wakes, waker) = counting_waker();
        let (mut send, mut receive) = oneshot::channel();
        assert!(poll_with(pin!(send.closed()), &waker).is_pending());
        drop(waker);
        assert_eq!(std::sync::Arc::strong_count(&wakes), 2);
        if sends {
            assert_eq!(send.send(7), Ok(()));
        } else {
            drop(send);
        }
        assert_eq!((std::sync::Arc::strong_count(&wakes), wakes.count()), (1, 0));
        assert_eq!(receive.try_recv().ok(), sends.then_some(7));
    }
}
