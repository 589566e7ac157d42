//! Tests of what becomes of waiters: who leaves, who is granted what, where wakers are woken and dropped.

use super::mpsc::TrySendError;
use super::*;
use crate::testing::{counting_waker, poll_with, waker_that_drops, waker_that_wakes};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Polls once, with a waker that wakes nothing.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

#[test]
fn a_notification_is_passed_on_also_if_everybody_was_notified_after_it() {
    let notify = Notify::new();
    {
        let mut leaves = pin!(notify.notified());
        assert!(poll(leaves.as_mut()).is_pending());
        notify.notify_one();
        notify.notify_waiters();
    }
    assert!(poll(pin!(notify.notified())).is_ready());
    assert!(poll(pin!(notify.notified())).is_pending());
}

#[test]
fn a_notification_that_was_not_needed_goes_to_the_next() {
    let notify = Notify::new();
    let (mut first, mut second) = (pin!(notify.notified()), pin!(notify.notified()));
    assert!(poll(first.as_mut()).is_pending());
    notify.notify_one();
    notify.notify_waiters();
    assert!(poll(first).is_ready(), "it was notified twice");
    assert!(poll(second.as_mut()).is_ready(), "it was there before all were notified");
    assert!(poll(pin!(notify.notified())).is_ready(), "the one is left");
}

#[test]
fn everybody_is_notified_but_those_who_come_while_it_lasts() {
    let notify = Arc::new(Notify::new());
    let late = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(notify.notified())).collect();
    // The first to be woken waits again at once, while the lock is free between two batches.
    let waker = {
        let (notify, late) = (notify.clone(), late.clone());
        waker_that_wakes(move || {
            let notify = notify.clone();
            let mut again = Box::pin(async move { notify.notified().await });
            assert!(poll(again.as_mut()).is_pending());
            late.lock().unwrap().push(again);
        })
    };
    assert!(poll_with(waiting[0].as_mut(), &waker).is_pending());
    assert!(waiting[1..].iter_mut().all(|waiting| poll(waiting.as_mut()).is_pending()));
    notify.notify_waiters();
    assert!(waiting.iter_mut().all(|waiting| poll(waiting.as_mut()).is_ready()));
    assert!(poll(late.lock().unwrap()[0].as_mut()).is_pending());
}

#[test]
fn a_sender_that_waits_hears_that_the_receiver_is_gone_and_gets_its_value_back() {
    let (send, receive) = mpsc::channel(1);
    assert!(send.try_send(1).is_ok());
    let (wakes, waker) = counting_waker();
    let mut sending = pin!(send.send(2));
    assert!(poll_with(sending.as_mut(), &waker).is_pending());
    drop(receive);
    assert_eq!(wakes.count(), 1);
    assert!(matches!(poll(sending), Poll::Ready(Err(mpsc::SendError(2)))));
}

#[test]
fn a_receiver_that_waits_hears_of_the_end_from_the_last_sender_alone() {
    let (send, mut receive) = mpsc::channel::<()>(1);
    let other = send.clone();
    let (wakes, waker) = counting_waker();
    let mut receiving = pin!(receive.recv());
    assert!(poll_with(receiving.as_mut(), &waker).is_pending());
    drop(send);
    assert_eq!(wakes.count(), 0);
    assert!(poll_with(receiving.as_mut(), &waker).is_pending());
    drop(other);
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll(receiving), Poll::Ready(None));
}

#[test]
fn room_that_was_reserved_is_given_back_unless_it_is_used() {
    let (send, mut receive) = mpsc::channel(1);
    let Poll::Ready(Ok(permit)) = poll(pin!(send.reserve())) else { panic!("there is room") };
    assert!(matches!(send.try_send(1), Err(TrySendError::Full(1))));
    drop(permit);
    let Poll::Ready(Ok(permit)) = poll(pin!(send.reserve())) else { panic!("there is room again") };
    assert_eq!(permit.send(2), Ok(()));
    assert!(matches!(send.try_send(3), Err(TrySendError::Full(3))));
    assert_eq!((receive.try_recv(), receive.try_recv()), (Ok(2), Err(mpsc::TryRecvError::Empty)));
    assert!(send.try_send(4).is_ok());
    assert!(matches!(send.try_send(5), Err(TrySendError::Full(5))), "nothing was received, and yet there was room");
    assert_eq!(receive.try_recv(), Ok(4));
    assert!(send.try_send(6).is_ok() && !send.is_closed());

    let Poll::Ready(Err(_)) = poll(pin!(async {
        receive.close();
        send.reserve().await
    })) else {
        panic!("it is closed")
    };
    assert!(send.is_closed());
}

#[test]
fn a_receiver_woken_under_no_lock_may_use_its_channel() {
    let (send, mut receive) = mpsc::channel(4);
    let send = Arc::new(send);
    let again = send.clone();
    let waker = waker_that_wakes(move || assert!(again.try_send(2).is_ok()));
    assert!(poll_with(pin!(receive.recv()), &waker).is_pending());
    assert!(send.try_send(1).is_ok());
    assert_eq!((receive.try_recv(), receive.try_recv()), (Ok(1), Ok(2)));
}

#[test]
fn who_is_notified_under_no_lock_may_notify() {
    let notify = Arc::new(Notify::new());
    let again = notify.clone();
    let waker = waker_that_wakes(move || again.notify_one());
    let mut first = pin!(notify.notified());
    assert!(poll_with(first.as_mut(), &waker).is_pending());
    notify.notify_one();
    assert!(poll(first.as_mut()).is_ready());
    assert!(poll(first).is_ready(), "what was notified stays so, and takes no other notification");
    assert!(poll(pin!(notify.notified())).is_ready(), "the second notification was kept");
}

#[test]
fn a_receiver_woken_by_the_last_sender_may_use_its_channel() {
    let (send, receive) = mpsc::channel::<()>(1);
    let receive = Arc::new(std::sync::Mutex::new(receive));
    let again = receive.clone();
    let waker = waker_that_wakes(move || assert!(again.lock().unwrap().try_recv().is_err()));
    assert!(receive.lock().unwrap().poll_recv(&mut Context::from_waker(&waker)).is_pending());
    drop(send);
    assert_eq!(receive.lock().unwrap().poll_recv(&mut Context::from_waker(Waker::noop())), Poll::Ready(None));
}

#[test]
fn what_was_not_received_is_dropped_under_no_lock() {
    struct Sends(mpsc::UnboundedSender<Option<Sends>>);
    impl Drop for Sends {
        fn drop(&mut self) {
            assert!(self.0.send(None).is_err(), "the receiver is gone");
        }
    }
    let (send, receive) = mpsc::unbounded_channel();
    assert!(send.send(Some(Sends(send.clone()))).is_ok());
    drop(receive);
    assert!(send.is_closed());
}

#[test]
fn permits_are_given_back_by_who_was_granted_them_and_leaves_and_by_nobody_else() {
    let semaphore = Semaphore::new(0);
    let mut granted = Box::pin(semaphore.acquire_many(2));
    assert!(poll(granted.as_mut()).is_pending());
    let mut waiting = Box::pin(semaphore.acquire_many(2));
    assert!(poll(waiting.as_mut()).is_pending());
    semaphore.add_permits(3);
    drop(waiting);
    assert_eq!(semaphore.available_permits(), 1);
    drop(granted);
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn who_leaves_lets_those_behind_have_the_permits_that_did_not_suffice() {
    let semaphore = Semaphore::new(1);
    let mut many = Box::pin(semaphore.acquire_many(2));
    assert!(poll(many.as_mut()).is_pending());
    let (wakes, waker) = counting_waker();
    let mut one = pin!(semaphore.acquire());
    assert!(poll_with(one.as_mut(), &waker).is_pending());
    drop(many);
    assert_eq!(wakes.count(), 1);
    assert!(poll(one).is_ready());
}

#[test]
fn each_kind_of_permit_is_taken_given_back_and_kept() {
    let semaphore = Arc::new(Semaphore::new(3));
    let one = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.available_permits(), 2);
    one.forget();
    let Poll::Ready(Ok(owned)) = poll(pin!(semaphore.clone().acquire_owned())) else { panic!("there are permits") };
    assert_eq!(semaphore.available_permits(), 1);
    drop(owned);
    assert_eq!(semaphore.available_permits(), 2);
    let Poll::Ready(Ok(owned)) = poll(pin!(semaphore.clone().acquire_owned())) else { panic!("there are permits") };
    owned.forget();
    drop(semaphore.try_acquire().unwrap());
    assert_eq!(semaphore.available_permits(), 1);
    let held = semaphore.try_acquire().unwrap();
    assert!(matches!(semaphore.try_acquire(), Err(TryAcquireError::NoPermits)));
    drop(held);
    assert!(!semaphore.is_closed());
    semaphore.close();
    assert!(semaphore.is_closed());
    assert!(matches!(semaphore.try_acquire(), Err(TryAcquireError::Closed)));
}

#[test]
fn permits_granted_before_the_end_are_had_after_it() {
    let semaphore = Semaphore::new(0);
    let (mut granted, mut refused) = (pin!(semaphore.acquire()), pin!(semaphore.acquire()));
    assert!(poll(granted.as_mut()).is_pending() && poll(refused.as_mut()).is_pending());
    semaphore.add_permits(1);
    semaphore.close();
    assert!(matches!(poll(granted), Poll::Ready(Ok(_))));
    assert!(matches!(poll(refused), Poll::Ready(Err(AcquireError))));
}

/// Those who wait are sent away in batches, with the lock free in between.
#[test]
fn permits_that_come_while_those_who_wait_are_sent_away_go_to_none_of_them() {
    let semaphore = Arc::new(Semaphore::new(0));
    let adds = {
        let semaphore = semaphore.clone();
        waker_that_wakes(move || semaphore.add_permits(1))
    };
    let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(semaphore.acquire())).collect();
    assert!(poll_with(waiting[0].as_mut(), &adds).is_pending());
    assert!(waiting[1..].iter_mut().all(|waiting| poll(waiting.as_mut()).is_pending()));
    semaphore.close();
    let granted = waiting.iter_mut().filter_map(|waiting| match poll(waiting.as_mut()) {
        Poll::Ready(result) => result.ok(),
        Poll::Pending => panic!("it waits for a closed semaphore"),
    });
    assert_eq!(granted.map(SemaphorePermit::forget).count(), 0);
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn more_who_wait_than_are_woken_in_one_go_all_get_their_permits_in_order() {
    let semaphore = Arc::new(Semaphore::new(0));
    let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(semaphore.acquire())).collect();
    let (wakes, waker) = counting_waker();
    assert!(waiting.iter_mut().all(|waiting| poll_with(waiting.as_mut(), &waker).is_pending()));
    semaphore.add_permits(99);
    assert_eq!(wakes.count(), 99);
    assert!(poll(waiting[99].as_mut()).is_pending());
    for waiting in &mut waiting[..99] {
        let Poll::Ready(Ok(permit)) = poll(waiting.as_mut()) else { panic!("it was granted a permit") };
        permit.forget();
    }
    semaphore.close();
    assert!(matches!(poll(waiting[99].as_mut()), Poll::Ready(Err(AcquireError))));
}

#[test]
fn the_latest_waker_is_woken_and_the_previous_is_dropped_under_no_lock() {
    let token = CancellationToken::new();
    let looks = {
        let token = token.clone();
        waker_that_drops(move || assert!(!token.is_cancelled()))
    };
    let (wakes, waker) = counting_waker();
    let mut cancelled = pin!(token.cancelled());
    assert!(poll_with(cancelled.as_mut(), &looks).is_pending());
    drop(looks);
    assert!(poll_with(cancelled.as_mut(), &waker).is_pending());
    token.cancel();
    assert_eq!(wakes.count(), 1);

    let semaphore = Arc::new(Semaphore::new(0));
    let looks = {
        let semaphore = semaphore.clone();
        waker_that_drops(move || assert_eq!(semaphore.available_permits(), 0))
    };
    let (wakes, waker) = counting_waker();
    let mut acquiring = pin!(semaphore.acquire());
    assert!(poll_with(acquiring.as_mut(), &looks).is_pending());
    drop(looks);
    assert!(poll_with(acquiring.as_mut(), &waker).is_pending());
    semaphore.add_permits(1);
    assert_eq!(wakes.count(), 1);

    let notify = Arc::new(Notify::new());
    let looks = {
        let notify = notify.clone();
        waker_that_drops(move || drop(notify.notified()))
    };
    let (wakes, waker) = counting_waker();
    let mut notified = pin!(notify.notified());
    assert!(poll_with(notified.as_mut(), &looks).is_pending());
    drop(looks);
    assert!(poll_with(notified.as_mut(), &waker).is_pending());
    notify.notify_one();
    assert_eq!(wakes.count(), 1);

    let (send, mut receive) = mpsc::unbounded_channel();
    let last = send.clone();
    let looks = waker_that_drops(move || assert!(!last.is_closed()));
    let (wakes, waker) = counting_waker();
    assert!(poll_with(pin!(receive.recv()), &looks).is_pending());
    drop(looks);
    assert!(poll_with(pin!(receive.recv()), &waker).is_pending());
    assert!(send.send(()).is_ok());
    assert_eq!(wakes.count(), 1);
}

#[test]
fn wakers_of_those_who_leave_are_dropped_under_no_lock() {
    let token = CancellationToken::new();
    let looks = token.clone();
    let waker = waker_that_drops(move || assert!(!looks.is_cancelled()));
    let mut cancelled = Box::pin(token.cancelled());
    assert!(poll_with(cancelled.as_mut(), &waker).is_pending());
    drop(waker);
    drop(cancelled);

    let semaphore = Arc::new(Semaphore::new(0));
    let looks = semaphore.clone();
    let waker = waker_that_drops(move || assert_eq!(looks.available_permits(), 0));
    let mut acquiring = Box::pin(semaphore.acquire());
    assert!(poll_with(acquiring.as_mut(), &waker).is_pending());
    drop(waker);
    drop(acquiring);

    let notify = Arc::new(Notify::new());
    let looks = notify.clone();
    let waker = waker_that_drops(move || looks.notify_one());
    let mut notified = Box::pin(notify.notified());
    assert!(poll_with(notified.as_mut(), &waker).is_pending());
    drop(waker);
    drop(notified);
}

#[test]
fn a_sender_that_waits_for_the_end_may_move_and_its_previous_waker_may_cause_it() {
    let (mut send, receive) = oneshot::channel::<()>();
    let receive = std::sync::Mutex::new(Some(receive));
    let prev = waker_that_drops(move || drop(receive.lock().unwrap().take()));
    let mut closed = pin!(send.closed());
    assert!(poll_with(closed.as_mut(), &prev).is_pending());
    drop(prev);

    let (wakes, waker) = counting_waker();
    assert!(poll_with(closed.as_mut(), &waker).is_pending());
    assert_eq!(wakes.count(), 1, "the prev waker was dropped, and the receiver with it");
    assert!(poll(closed).is_ready());
}

#[test]
fn a_receiver_that_is_closed_expects_nothing() {
    let (send, mut receive) = oneshot::channel();
    assert_eq!(receive.try_recv(), Err(oneshot::TryRecvError::Empty));
    receive.close();
    assert_eq!(receive.try_recv(), Err(oneshot::TryRecvError::Closed));
    assert_eq!(send.send(1), Err(1));

    let (send, mut receive) = oneshot::channel();
    assert_eq!(send.send(2), Ok(()));
    receive.close();
    assert_eq!((receive.try_recv(), receive.try_recv()), (Ok(2), Err(oneshot::TryRecvError::Closed)));
}

#[test]
fn a_value_is_there_also_when_a_guard_was_forgotten() {
    let mutex = Mutex::new(String::from("here"));
    std::mem::forget(mutex.try_lock());
    assert!(mutex.try_lock().is_err());
    assert_eq!(format!("{mutex:?}"), "Mutex { value: <locked> }");
    assert_eq!(mutex.into_inner(), "here");
}

#[test]
fn a_waker_that_panics_is_no_matter_of_who_wakes_it() {
    let panics = waker_that_wakes(|| panic!("on purpose"));

    let notify = Notify::new();
    let (mut first, mut second) = (Box::pin(notify.notified()), pin!(notify.notified()));
    assert!(poll(first.as_mut()).is_pending() && poll_with(second.as_mut(), &panics).is_pending());
    notify.notify_one();
    // Passes it on.
    drop(first);
    assert!(poll(second).is_ready());

    let (send, mut receive) = mpsc::channel(1);
    assert!(poll_with(pin!(receive.recv()), &panics).is_pending());
    assert!(send.try_send(1).is_ok());
    assert_eq!(receive.try_recv(), Ok(1));
    assert!(poll_with(pin!(receive.recv()), &panics).is_pending());
    drop(send);
    assert_eq!(poll(pin!(receive.recv())), Poll::Ready(None));

    let (send, mut receive) = oneshot::channel();
    assert!(poll_with(Pin::new(&mut receive), &panics).is_pending());
    assert_eq!(send.send(1), Ok(()));
    assert_eq!(poll(Pin::new(&mut receive)), Poll::Ready(Ok(1)));
    let (send, mut receive) = oneshot::channel::<()>();
    assert!(poll_with(Pin::new(&mut receive), &panics).is_pending());
    drop(send);
    let (mut send, receive) = oneshot::channel::<()>();
    assert!(poll_with(pin!(send.closed()), &panics).is_pending());
    drop(receive);
}
