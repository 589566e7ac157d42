//! Tokio's `sync_mpsc` and the part of `sync_panic` that is about channels.

use crate::support::{Probe, blamed, manual, ms, now, panics, ready, settle, several, single};
use posse_core::runtime::Handle;
use posse_core::sync::mpsc::{self, SendError, SendTimeoutError, TryRecvError, TrySendError};
use posse_core::task;
use std::sync::Arc;
use std::task::Poll;

#[test]
fn values_come_in_order_and_a_receiver_that_waits_is_woken_by_each() {
    let (send, mut receive) = mpsc::channel(16);
    let mut many = Vec::new();
    {
        let mut receiving = Probe::new(receive.recv());
        assert!(receiving.poll().is_pending());
        assert_eq!(send.try_send(1), Ok(()));
        assert_eq!((receiving.woken(), receiving.poll()), (1, Poll::Ready(Some(1))));
    }
    (2..=9).for_each(|n| assert_eq!(send.try_send(n), Ok(())));
    assert_eq!(ready(receive.recv_many(&mut many, 100)), 8);
    drop(send);
    assert_eq!((many, ready(receive.recv())), ((2..=9).collect(), None));
}

#[test]
fn a_buffer_is_filled_up_to_the_limit_and_keeps_what_it_had() {
    for bounded in [true, false] {
        let (send, mut receive) = mpsc::channel(100);
        let (unbounded, mut unlimited) = mpsc::unbounded_channel();
        for n in 0..100 {
            assert!(send.try_send(n).is_ok() && unbounded.send(n).is_ok());
        }
        let receive = if bounded { &mut receive } else { &mut unlimited };
        let mut buffer = Vec::with_capacity(4);
        // The limit counts and not the room of the buffer, which grows.
        assert_eq!((ready(receive.recv_many(&mut buffer, 5)), buffer.len()), (5, 5));
        assert_eq!((ready(receive.recv_many(&mut buffer, 1000)), buffer.len()), (95, 100));
        receive.close();
        assert_eq!((ready(receive.recv_many(&mut buffer, 5)), buffer.len()), (0, 100));
        assert_eq!(buffer, (0..100).collect::<Vec<_>>());
    }
}

/// Neither `Clone` nor `Debug` nor `Default`.
struct Plain;

#[test]
fn nothing_is_asked_of_the_type_of_the_values() {
    let (send, receive) = mpsc::channel::<Plain>(1);
    assert!(!format!("{send:?} {receive:?} {:?}", send.downgrade()).is_empty());
    let permit = send.clone().try_reserve_owned().unwrap();
    assert!(format!("{permit:?}").contains("OwnedPermit"));
    assert!(!format!("{:?}", permit.send(Plain).is_ok()).is_empty());
    let error = send.try_send(Plain).unwrap_err();
    assert_eq!((format!("{error:?}"), error.to_string().is_empty()), ("Full(..)".into(), false));

    let (send, receive) = mpsc::unbounded_channel::<Plain>();
    assert!(!format!("{:?} {receive:?} {:?}", send.clone(), send.downgrade()).is_empty());
    drop(receive);
    let error = send.send(Plain).unwrap_err();
    assert!(format!("{error:?}").contains("SendError") && !error.to_string().is_empty());
}

#[test]
fn errors_are_errors_of_any_thread() {
    fn check<E: std::error::Error + Send + Sync + 'static>() {}
    check::<SendError<u8>>();
    check::<TrySendError<u8>>();
    check::<SendTimeoutError<u8>>();
    check::<TryRecvError>();
    check::<posse_core::sync::oneshot::RecvError>();
    check::<posse_core::sync::oneshot::TryRecvError>();
    check::<posse_core::sync::watch::RecvError>();
    check::<posse_core::sync::watch::SendError<u8>>();
}

#[test]
fn a_channel_for_nothing_holds_one() {
    let (send, mut receive) = mpsc::channel(0);
    assert_eq!((send.max_capacity(), send.try_send(1)), (1, Ok(())));
    assert_eq!((send.try_send(2), receive.try_recv()), (Err(TrySendError::Full(2)), Ok(1)));
}

#[test]
fn room_is_taken_in_turn_and_what_a_permit_gives_back_goes_to_the_next() {
    let (send, mut receive) = mpsc::channel(1);
    let first = ready(send.reserve()).unwrap();
    let (mut second, mut third) = (Probe::new(send.reserve()), Probe::new(send.reserve()));
    assert!(second.poll().is_pending() && third.poll().is_pending());
    drop(first);
    assert_eq!((second.woken(), third.woken()), (1, 0));
    let Poll::Ready(Ok(permit)) = second.poll() else { panic!("there is room") };
    assert_eq!((permit.send(1), third.woken()), (Ok(()), 0));
    assert_eq!((receive.try_recv(), third.woken()), (Ok(1), 1));
    // It is woken and goes away: the room is there again.
    drop(third);
    assert_eq!((send.capacity(), send.try_send(2)), (1, Ok(())));
}

#[test]
fn room_for_none_is_always_there_until_the_channel_is_closed() {
    let (send, receive) = mpsc::channel(1);
    for _ in 0..2 {
        assert_eq!(ready(send.reserve_many(0)).unwrap().count(), 0);
        assert_eq!(send.try_reserve_many(0).unwrap().count(), 0);
        let _ = send.try_send(1);
    }
    drop(receive);
    assert!(matches!(send.try_reserve_many(0), Err(TrySendError::Closed(()))));
    assert!(ready(send.reserve_many(0)).is_err());
}

#[test]
fn room_for_more_than_there_ever_is_is_refused() {
    let (send, receive) = mpsc::channel::<u8>(1);
    for count in [2, usize::MAX / 2, usize::MAX] {
        assert!(ready(send.reserve_many(count)).is_err());
        assert!(matches!(send.try_reserve_many(count), Err(TrySendError::Full(()))));
    }
    drop(receive);
    assert!(matches!(send.try_reserve_many(1), Err(TrySendError::Closed(()))));
    assert!(ready(send.reserve_many(1)).is_err());
}

#[test]
fn room_for_many_is_used_in_part_and_the_rest_given_back() {
    for capacity in 1..30 {
        for used in 0..capacity {
            let (send, mut receive) = mpsc::channel(capacity);
            let room = send.try_reserve_many(capacity).unwrap();
            assert_eq!((room.len(), send.capacity()), (capacity, 0));
            assert!(send.try_reserve_many(1).is_err());
            room.take(used).for_each(|permit| assert_eq!(permit.send(0), Ok(())));
            assert_eq!(send.capacity(), capacity - used);
            assert!(send.try_reserve_many(capacity - used + 1).is_err());
            assert!(send.try_reserve_many(capacity - used).is_ok());
            assert_eq!((receive.len(), send.capacity()), (used, capacity - used));
            (0..used).for_each(|_| assert_eq!(receive.try_recv(), Ok(0)));
            assert_eq!(send.capacity(), capacity);
        }
    }
}

/// Tokio waits for permits that are out when the channel is closed. Here a permit does not promise to deliver: its `send` hands the value
/// back, and the receiver is not kept waiting by whoever forgot a permit.
#[test]
fn a_closed_channel_ends_whatever_permits_are_out() {
    let (send, mut receive) = mpsc::channel(4);
    assert_eq!(send.try_send(1), Ok(()));
    let (one, owned) = (send.try_reserve().unwrap(), send.clone().try_reserve_owned().unwrap());
    let mut many = send.try_reserve_many(1).unwrap();
    let mut waits = Probe::new(send.reserve_many(2));
    assert!(waits.poll().is_pending());
    receive.close();
    assert_eq!(waits.woken(), 1);
    assert!(matches!(waits.poll(), Poll::Ready(Err(SendError(())))));
    assert_eq!((ready(receive.recv()), ready(receive.recv())), (Some(1), None));
    assert_eq!(receive.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!((one.send(2), many.next().unwrap().send(3)), (Err(2), Err(3)));
    assert_eq!(owned.send(4).map(drop), Err(SendError(4)));
    assert!(receive.is_empty());
}

/// The room is there and was not taken yet when the channel is closed.
#[test]
fn room_that_was_offered_and_comes_to_nothing_is_no_value_lost() {
    let (send, mut receive) = mpsc::channel(1);
    assert_eq!(send.try_send(1), Ok(()));
    let mut sending = Probe::new(send.send(2));
    assert!(sending.poll().is_pending());
    assert_eq!((receive.try_recv(), sending.woken()), (Ok(1), 1));
    receive.close();
    assert_eq!(ready(receive.recv()), None);
    assert_eq!(sending.poll(), Poll::Ready(Err(SendError(2))));
}

#[test]
fn a_send_with_a_limit_comes_in_time_or_gives_its_value_back() {
    manual().block_on(async {
        let (send, mut receive) = mpsc::channel(1);
        assert_eq!(send.send_timeout(1, ms(10)).await, Ok(()));
        let mut late = Probe::new(send.send_timeout(2, ms(10)));
        assert!(late.poll().is_pending());
        Handle::current().advance(ms(10));
        assert_eq!(late.poll(), Poll::Ready(Err(SendTimeoutError::Timeout(2))));
        let mut in_time = Probe::new(send.send_timeout(3, ms(10)));
        assert!(in_time.poll().is_pending());
        assert_eq!((receive.recv().await, in_time.poll()), (Some(1), Poll::Ready(Ok(()))));
        drop(in_time);
        receive.close();
        assert_eq!(send.send_timeout(4, ms(10)).await, Err(SendTimeoutError::Closed(4)));
    });
    panics(|| _ = now(mpsc::channel(1).0.send_timeout(1, ms(1))));
}

#[test]
fn what_is_received_later_is_not_there_before() {
    several().block_on(async {
        // One more than a block of Tokio's queue.
        let (send, mut receive) = mpsc::channel(33);
        for n in 0..33 {
            assert!(receive.is_empty());
            assert!(send.try_send(n).is_ok() && !receive.is_empty());
            assert_eq!((receive.recv().await, receive.is_empty()), (Some(n), true));
        }
        (0..33).for_each(|n| assert!(send.try_send(n).is_ok()));
        for left in (0..33).rev() {
            assert!(receive.recv().await.is_some());
            assert_eq!((receive.len(), receive.is_empty()), (left, left == 0));
        }
    });
}

/// Panics when it is dropped while `armed`.
struct Bomb {
    armed: bool,
    dropped: Arc<()>,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.armed, "on purpose");
        let _ = &self.dropped;
    }
}

#[test]
fn a_value_whose_drop_panics_keeps_the_others_from_nothing() {
    let dropped = Arc::new(());
    let (send, receive) = mpsc::unbounded_channel();
    for n in 0..5 {
        assert!(send.send(Bomb { armed: n == 1, dropped: dropped.clone() }).is_ok());
    }
    panics(|| drop(receive));
    assert_eq!(Arc::strong_count(&dropped), 1);
    assert!(send.is_closed());
}

#[test]
fn values_nobody_received_are_dropped_with_the_receiver_and_senders_hear_of_it() {
    let value = Arc::new(());
    let (send, receive) = mpsc::channel(4);
    let mut closed = Probe::new(send.closed());
    assert!(closed.poll().is_pending());
    assert!(send.try_send(value.clone()).is_ok() && send.try_send(value.clone()).is_ok());
    drop(receive);
    assert_eq!((closed.woken(), Arc::strong_count(&value)), (1, 1));
    assert!(closed.poll().is_ready() && send.is_closed());
    assert_eq!(ready(send.send(value.clone())), Err(SendError(value)));
}

#[test]
fn a_waker_that_was_left_is_replaced_by_the_next() {
    let (send, mut receive) = mpsc::channel(1);
    let (one, other) = (Probe::new(()), Probe::new(()));
    for probe in [&one, &other] {
        let waker = probe.waker();
        assert!(receive.poll_recv(&mut std::task::Context::from_waker(&waker)).is_pending());
    }
    assert_eq!((one.wakers(), other.wakers()), (0, 1));
    assert!(send.try_send(1).is_ok());
    assert_eq!((one.woken(), other.woken()), (0, 1));
}

#[test]
fn blocking_in_a_task_is_blamed_on_who_does() {
    let inside = |f: fn()| {
        let file = blamed(|| single().block_on(async { f() }));
        assert_eq!(file, file!());
    };
    inside(|| _ = mpsc::channel(1).0.blocking_send(1));
    inside(|| _ = mpsc::channel::<u8>(1).1.blocking_recv());
    inside(|| _ = mpsc::channel::<u8>(1).1.blocking_recv_many(&mut Vec::new(), 1));
    inside(|| _ = mpsc::unbounded_channel::<u8>().1.blocking_recv());
    inside(|| _ = mpsc::unbounded_channel::<u8>().1.blocking_recv_many(&mut Vec::new(), 1));
    inside(|| _ = posse_core::sync::oneshot::channel::<u8>().1.blocking_recv());
    inside(|| _ = posse_core::sync::broadcast::channel::<u8>(1).1.blocking_recv());
}

#[test]
fn a_thread_that_may_block_and_a_task_talk_both_ways() {
    single().block_on(async {
        let (send, mut receive) = mpsc::channel(1);
        let sender = task::spawn_blocking(move || (0..20).all(|n| send.blocking_send(n).is_ok()));
        for n in 0..20 {
            assert_eq!(receive.recv().await, Some(n));
        }
        assert_eq!((receive.recv().await, sender.await.unwrap()), (None, true));

        let (send, mut receive) = mpsc::channel(1);
        let receiver = task::spawn_blocking(move || std::iter::from_fn(|| receive.blocking_recv()).sum::<u32>());
        for n in 0..20 {
            assert_eq!(send.send(n).await, Ok(()));
        }
        drop(send);
        assert_eq!(receiver.await.unwrap(), 190);
        settle().await;
    });
}
