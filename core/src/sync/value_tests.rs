//! Behaviour of what holds one value or shows each to many: `watch`, `broadcast`, `Barrier`, `OnceCell`, `SetOnce`.

use super::broadcast::{self, Lagged};
use super::*;
use crate::runtime::{Builder, Runtime};
use crate::task;
use crate::testing::{counting_waker, poll_with, waker_that_wakes};
use futures_core::Stream;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, Waker};

fn single() -> Runtime {
    Builder::new_current_thread().seed(1).build().expect("a runtime")
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

#[test]
fn watch_shows_the_latest_value_once_and_then_the_end() {
    let (send, mut receive) = watch::channel(1);
    assert!(poll(pin!(receive.changed())).is_pending(), "the first value counts as seen");
    assert!(send.send(2).is_ok() && send.send(3).is_ok());
    assert_eq!(receive.has_changed(), Ok(true));
    assert_eq!(poll(pin!(receive.changed())), Poll::Ready(Ok(())));
    assert_eq!((*receive.borrow(), receive.has_changed()), (3, Ok(false)));

    send.send_replace(4);
    drop(send);
    assert_eq!(receive.has_changed(), Ok(true));
    assert_eq!(poll(pin!(receive.changed())), Poll::Ready(Ok(())));
    assert_eq!(poll(pin!(receive.changed())), Poll::Ready(Err(watch::RecvError)));
    assert_eq!((*receive.borrow(), receive.has_changed()), (4, Err(watch::RecvError)));
}

#[test]
fn watch_marks_what_was_seen_only_when_asked() {
    let (send, mut receive) = watch::channel(1);
    send.send_modify(|value| *value += 1);
    assert!(receive.borrow().has_changed());
    assert!(receive.borrow_and_update().has_changed());
    assert!(!receive.borrow().has_changed());

    let behind = receive.clone();
    assert!(!send.send_if_modified(|value| {
        *value += 1;
        false
    }));
    assert_eq!((receive.has_changed(), *send.borrow()), (Ok(false), 3));
    assert!(send.send_if_modified(|_| true));
    assert_eq!((receive.has_changed(), behind.has_changed()), (Ok(true), Ok(true)));
    receive.mark_unchanged();
    assert_eq!(receive.has_changed(), Ok(false));
    receive.mark_changed();
    assert_eq!(poll(pin!(receive.changed())), Poll::Ready(Ok(())));
    assert!(poll(pin!(receive.changed())).is_pending());
}

#[test]
fn watch_without_receivers_keeps_values_and_says_so() {
    let send = watch::Sender::new(1);
    assert!(send.is_closed());
    assert_eq!(send.send(2), Err(watch::SendError(2)));
    assert_eq!(send.send_replace(3), 1);
    assert_eq!(*send.borrow(), 3);
    let mut receive = send.subscribe();
    assert_eq!((send.receiver_count(), send.sender_count()), (1, 1));
    assert_eq!(*receive.borrow_and_update(), 3);

    let other = send.clone();
    assert!(other.same_channel(&send) && receive.same_channel(&other.subscribe()));
    drop(send);
    assert_eq!((other.sender_count(), receive.has_changed()), (1, Ok(false)));
    let (wakes, waker) = counting_waker();
    let mut closed = pin!(other.closed());
    assert!(poll_with(closed.as_mut(), &waker).is_pending());
    drop(receive);
    assert_eq!(wakes.count(), 1);
    assert!(poll(closed).is_ready());
}

#[test]
fn watch_waits_for_a_condition_over_many_tasks() {
    let runtime = Builder::new_multi_thread().worker_threads(3).build().unwrap();
    runtime.block_on(async {
        let (send, receive) = watch::channel(0);
        let waiting: Vec<_> = (1..=20)
            .map(|n| {
                let mut receive = receive.clone();
                task::spawn(async move { receive.wait_for(|value| *value >= n).await.map(|value| *value) })
            })
            .collect();
        let senders: Vec<_> = (0..20)
            .map(|_| {
                let send = send.clone();
                task::spawn(async move { send.send_modify(|value| *value += 1) })
            })
            .collect();
        for sender in senders {
            sender.await.unwrap();
        }
        for (waiting, n) in waiting.into_iter().zip(1..) {
            assert!(waiting.await.unwrap().unwrap() >= n);
        }
        drop(send);
        let mut receive = receive;
        assert!(receive.wait_for(|value| *value == 20).await.is_ok(), "the last value is looked at after the end");
        assert!(receive.wait_for(|value| *value == 21).await.is_err());
    });
}

#[test]
fn watch_is_a_stream_and_survives_a_panic_of_who_changes_it() {
    single().block_on(async {
        let (send, mut receive) = watch::channel(1);
        receive.mark_changed();
        assert_eq!(next(&mut receive).await, Some(1));
        let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            send.send_modify(|value| {
                *value = 2;
                panic!("on purpose");
            });
        }));
        assert!(broken.is_err());
        assert_eq!((*receive.borrow(), receive.has_changed()), (2, Ok(false)));
        drop(send);
        assert_eq!(next(&mut receive).await, None);
    });
}

#[test]
fn broadcast_gives_every_value_to_every_receiver_in_order() {
    let runtime = Builder::new_multi_thread().worker_threads(3).build().unwrap();
    runtime.block_on(async {
        let (send, receive) = broadcast::channel(4000);
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let mut receive = receive.resubscribe();
                task::spawn(async move {
                    let mut seen = Vec::new();
                    while let Ok(value) = receive.recv().await {
                        seen.push(value);
                    }
                    seen
                })
            })
            .collect();
        drop(receive);
        let senders: Vec<_> = (0..4u32)
            .map(|sender| {
                let send = send.clone();
                task::spawn(async move {
                    for n in 0..1000 {
                        send.send(sender * 1000 + n).unwrap();
                        task::consume_budget().await;
                    }
                })
            })
            .collect();
        drop(send);
        for sender in senders {
            sender.await.unwrap();
        }
        let mut orders = Vec::new();
        for receiver in receivers {
            orders.push(receiver.await.unwrap());
        }
        assert!(orders.iter().all(|order| *order == orders[0]), "all see the same order");
        let mut all = orders[0].clone();
        all.sort_unstable();
        assert_eq!(all, (0..4000).collect::<Vec<_>>());
    });
}

#[test]
fn broadcast_counts_what_a_slow_receiver_lost() {
    let (send, mut receive) = broadcast::channel(2);
    assert_eq!(receive.try_recv(), Err(broadcast::TryRecvError::Empty));
    for n in 0..5 {
        assert_eq!(send.send(n), Ok(1));
    }
    assert_eq!((receive.len(), send.len()), (2, 2));
    assert_eq!(receive.try_recv(), Err(broadcast::TryRecvError::Lagged(3)));
    assert_eq!((receive.try_recv(), receive.try_recv()), (Ok(3), Ok(4)));
    assert!(receive.is_empty() && send.is_empty());
    drop(send);
    assert!(receive.is_closed());
    assert_eq!(receive.try_recv(), Err(broadcast::TryRecvError::Closed));
}

#[test]
fn broadcast_drops_a_value_with_its_last_receiver_and_clones_it_for_the_others() {
    let value = Arc::new(());
    let (send, mut first) = broadcast::channel(8);
    let (mut second, third) = (send.subscribe(), send.subscribe());
    assert_eq!(send.send(value.clone()), Ok(3));
    assert_eq!(Arc::strong_count(&value), 2);
    drop(third);
    drop(first.try_recv());
    assert_eq!(Arc::strong_count(&value), 2, "it was cloned for the first, and the clone dropped");
    drop(second.try_recv());
    assert_eq!(Arc::strong_count(&value), 1);

    // Who leaves in the middle of the ring.
    for _ in 0..3 {
        assert_eq!(send.send(value.clone()), Ok(2));
    }
    drop(second.try_recv());
    drop(first);
    assert_eq!((Arc::strong_count(&value), send.len()), (3, 2));
    drop(second);
    assert_eq!((Arc::strong_count(&value), send.send(value.clone()).is_err()), (1, true));
}

#[test]
fn broadcast_receivers_come_and_go_and_a_weak_sender_keeps_nothing_open() {
    let (send, receive) = broadcast::channel(2);
    let weak = send.downgrade();
    assert_eq!(send.send(1), Ok(1));
    let mut late = receive.resubscribe();
    assert_eq!((send.receiver_count(), late.try_recv()), (2, Err(broadcast::TryRecvError::Empty)));
    let (wakes, waker) = counting_waker();
    let mut closed = Box::pin(send.closed());
    assert!(poll_with(closed.as_mut(), &waker).is_pending());
    drop(receive);
    assert_eq!(wakes.count(), 0);
    assert_eq!((send.strong_count(), send.weak_count()), (1, 1));
    let upgraded = weak.upgrade().unwrap();
    assert!(upgraded.same_channel(&send) && late.sender_strong_count() == 2);
    assert!(late.same_channel(&late.resubscribe()));

    drop(closed);
    drop(send);
    assert_eq!(late.try_recv(), Err(broadcast::TryRecvError::Empty));
    drop(upgraded);
    assert_eq!(late.try_recv(), Err(broadcast::TryRecvError::Closed));
    assert!(weak.upgrade().is_none());
}

#[test]
fn broadcast_is_a_stream_that_says_what_is_missing() {
    single().block_on(async {
        let (send, mut receive) = broadcast::channel(1);
        let task = task::spawn(async move { (next(&mut receive).await, receive) });
        task::yield_now().await;
        assert!(send.send(1).is_ok());
        let (first, mut receive) = task.await.unwrap();
        assert_eq!(first, Some(Ok(1)));
        assert!(send.send(2).is_ok() && send.send(3).is_ok());
        drop(send);
        assert_eq!((next(&mut receive).await, next(&mut receive).await), (Some(Err(Lagged(1))), Some(Ok(3))));
        assert_eq!(next(&mut receive).await, None);
    });
}

#[test]
fn a_receiver_woken_under_no_lock_may_use_its_broadcast() {
    let (send, mut receive) = broadcast::channel(4);
    let again = send.clone();
    let waker = waker_that_wakes(move || assert!(again.receiver_count() == 1 && !again.is_empty()));
    {
        let mut receiving = pin!(receive.recv());
        assert!(poll_with(receiving.as_mut(), &waker).is_pending());
        assert!(send.send(1).is_ok());
    }
    assert_eq!(receive.try_recv(), Ok(1));
}

#[test]
fn a_barrier_opens_for_the_last_to_come_and_closes_behind() {
    let barrier = Barrier::new(3);
    for _ in 0..3 {
        let (mut first, mut second) = (Box::pin(barrier.wait()), Box::pin(barrier.wait()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        // Who leaves is not counted any more.
        let mut leaves = Box::pin(barrier.wait());
        drop(second);
        assert!(poll(leaves.as_mut()).is_pending());
        let Poll::Ready(last) = poll(pin!(barrier.wait())) else { panic!("all have come") };
        assert!(last.is_leader());
        for waiting in [&mut first, &mut leaves] {
            let Poll::Ready(result) = poll(waiting.as_mut()) else { panic!("all have come") };
            assert!(!result.is_leader());
        }
    }
    assert!(poll(pin!(Barrier::new(0).wait())).is_ready());
}

#[test]
fn a_cell_is_made_once_and_by_the_next_if_the_first_gives_up() {
    let cell = OnceCell::new();
    let (go, gone) = oneshot::channel::<()>();
    let mut first = Box::pin(cell.get_or_init(|| async {
        let _ = gone.await;
        1
    }));
    assert!(poll(first.as_mut()).is_pending());
    assert!(matches!(cell.set(5), Err(SetError::InitializingError(5))));
    let mut second = Box::pin(cell.get_or_try_init(|| async { Err::<i32, _>("no") }));
    let mut third = Box::pin(cell.get_or_init(|| async { 3 }));
    assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
    drop(first);
    assert!(poll(third.as_mut()).is_pending(), "it would overtake");
    assert_eq!(poll(second.as_mut()), Poll::Ready(Err("no")));
    drop(second);
    assert_eq!(poll(third.as_mut()), Poll::Ready(&3));
    drop(third);
    assert!(go.is_closed());

    assert!(matches!(cell.set(4), Err(SetError::AlreadyInitializedError(4))));
    assert_eq!((cell.get(), cell.clone() == cell, format!("{cell:?}")), (Some(&3), true, "OnceCell(Some(3))".into()));
    let mut cell = cell;
    *cell.get_mut().unwrap() += 1;
    assert_eq!((cell.take(), cell.take(), cell.initialized()), (Some(4), None, false));
    assert!(cell.set(6).is_ok());
    assert_eq!((cell.into_inner(), OnceCell::<u8>::default().into_inner()), (Some(6), None));
}

#[test]
fn a_value_set_once_reaches_all_who_wait() {
    let place = SetOnce::new();
    let (wakes, waker) = counting_waker();
    let (mut first, mut second) = (Box::pin(place.wait()), Box::pin(place.wait()));
    assert!(poll_with(first.as_mut(), &waker).is_pending() && poll_with(second.as_mut(), &waker).is_pending());
    drop(second);
    assert_eq!(place.set(1), Ok(()));
    assert_eq!((wakes.count(), poll(first.as_mut())), (1, Poll::Ready(&1)));
    drop(first);
    assert_eq!((place.set(2), place.get(), place.initialized()), (Err(SetOnceError(2)), Some(&1), true));
    assert_eq!((place.into_inner(), SetOnce::from(5).into_inner()), (Some(1), Some(5)));
}
