//! Tokio's `sync_oneshot`.

use crate::support::{Probe, manual, ready, single};
use posse_core::runtime::Handle;
use posse_core::sync::oneshot::{self, RecvError, TryRecvError};
use posse_core::task;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

#[test]
fn a_receiver_that_waits_is_woken_by_the_value_and_by_the_end() {
    let (send, receive) = oneshot::channel();
    let mut receive = Probe::new(receive);
    assert!(receive.poll().is_pending());
    assert_eq!(send.send(1), Ok(()));
    assert_eq!((receive.woken(), receive.poll()), (1, Poll::Ready(Ok(1))));

    let (send, receive) = oneshot::channel::<u8>();
    let mut receive = Probe::new(receive);
    assert!(receive.poll().is_pending());
    drop(send);
    assert_eq!((receive.woken(), receive.poll()), (1, Poll::Ready(Err(RecvError))));
}

#[test]
fn a_sender_hears_that_the_receiver_is_gone_or_closed() {
    for closes in [false, true] {
        let (send, mut receive) = oneshot::channel::<u8>();
        let mut send = Probe::new(send);
        let waker = send.waker();
        let mut cx = Context::from_waker(&waker);
        assert!(send.inner.poll_closed(&mut cx).is_pending() && !send.inner.is_closed());
        let receive = if closes {
            receive.close();
            Some(receive)
        } else {
            drop(receive);
            None
        };
        assert_eq!(send.woken(), 1);
        assert!(send.inner.is_closed() && send.inner.poll_closed(&mut cx).is_ready());
        assert_eq!(Pin::into_inner(send.inner).send(7), Err(7));
        assert!(receive.is_none_or(|receive| ready(receive).is_err()));
    }
}

#[test]
fn what_was_sent_before_the_receiver_was_closed_is_still_there() {
    let (send, mut receive) = oneshot::channel();
    assert_eq!(send.send(1), Ok(()));
    receive.close();
    assert_eq!(ready(&mut receive), Ok(1));

    let (send, mut receive) = oneshot::channel();
    assert_eq!(send.send(1), Ok(()));
    receive.close();
    assert_eq!((receive.try_recv(), receive.try_recv()), (Ok(1), Err(TryRecvError::Closed)));
    receive.close();
    assert_eq!(receive.try_recv(), Err(TryRecvError::Closed));
}

/// Tokio panics where it is polled after its end; here the end is said again.
#[test]
fn a_receiver_that_had_its_value_says_that_there_is_no_more() {
    let (send, mut receive) = oneshot::channel();
    assert_eq!((receive.try_recv(), send.send(1)), (Err(TryRecvError::Empty), Ok(())));
    assert_eq!(ready(&mut receive), Ok(1));
    assert_eq!((receive.try_recv(), ready(&mut receive)), (Err(TryRecvError::Closed), Err(RecvError)));
    receive.close();

    let (_send, mut receive) = oneshot::channel::<u8>();
    receive.close();
    assert_eq!((receive.try_recv(), ready(&mut receive)), (Err(TryRecvError::Closed), Err(RecvError)));
}

#[test]
fn wakers_are_replaced_and_left_nowhere() {
    let (mut send, mut receive) = oneshot::channel::<u8>();
    let (one, other) = (Probe::new(()), Probe::new(()));
    for probe in [&one, &other] {
        let waker = probe.waker();
        let mut cx = Context::from_waker(&waker);
        assert!(send.poll_closed(&mut cx).is_pending());
        assert!(Future::poll(Pin::new(&mut receive), &mut cx).is_pending());
    }
    assert_eq!((one.wakers(), other.wakers()), (0, 2));
    drop(receive);
    assert_eq!((one.woken(), other.woken()), (0, 1));
    drop(send);
    assert_eq!(other.wakers(), 0);
}

/// A wrapper that fuses the future asks this: an end that nobody heard of yet must be heard of.
#[test]
fn a_receiver_has_terminated_once_it_said_its_last() {
    let (send, mut receive) = oneshot::channel();
    assert!(!receive.is_terminated());
    assert_eq!(send.send(1), Ok(()));
    assert!(!receive.is_terminated());
    assert_eq!((ready(&mut receive), receive.is_terminated()), (Ok(1), true));

    let (send, mut receive) = oneshot::channel();
    assert_eq!((receive.try_recv(), receive.is_terminated()), (Err(TryRecvError::Empty), false));
    assert_eq!(send.send(1), Ok(()));
    assert_eq!((receive.try_recv(), receive.is_terminated()), (Ok(1), true));

    let (send, mut receive) = oneshot::channel::<u8>();
    drop(send);
    assert!(!receive.is_terminated());
    assert_eq!((ready(&mut receive), receive.is_terminated()), (Err(RecvError), true));

    let (_send, mut receive) = oneshot::channel::<u8>();
    receive.close();
    assert!(!receive.is_terminated());
    assert_eq!((receive.try_recv(), receive.is_terminated()), (Err(TryRecvError::Closed), true));
}

#[test]
fn a_receiver_is_empty_while_there_is_no_value_to_take() {
    let (send, mut receive) = oneshot::channel();
    assert!(receive.is_empty());
    assert_eq!(send.send(1), Ok(()));
    assert!(!receive.is_empty());
    assert_eq!((ready(&mut receive), receive.is_empty()), (Ok(1), true));
    let (send, mut receive) = oneshot::channel::<u8>();
    drop(send);
    assert!(receive.is_empty() && ready(&mut receive).is_err() && receive.is_empty());
    let (_send, mut receive) = oneshot::channel::<u8>();
    receive.close();
    assert!(receive.is_empty());
}

#[test]
fn a_value_nobody_took_is_dropped_with_the_receiver() {
    let value = Arc::new(());
    let (send, receive) = oneshot::channel();
    assert!(send.send(value.clone()).is_ok());
    assert_eq!(Arc::strong_count(&value), 2);
    drop(receive);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn tasks_send_and_hear_of_the_end_across_each_other() {
    single().block_on(async {
        let (send, receive) = oneshot::channel();
        let asked = task::spawn(receive);
        task::yield_now().await;
        assert_eq!(send.send(1), Ok(()));
        assert_eq!(asked.await.unwrap(), Ok(1));
        let (mut send, receive) = oneshot::channel::<u8>();
        let waits = task::spawn(async move { send.closed().await });
        task::yield_now().await;
        drop(receive);
        waits.await.unwrap();
    });
}

#[test]
fn a_receiver_may_be_given_up_for_a_while() {
    manual().block_on(async {
        let (send, mut receive) = oneshot::channel();
        let mut limited = Probe::new(posse_core::time::timeout(crate::support::ms(1), &mut receive));
        assert!(limited.poll().is_pending());
        Handle::current().advance(crate::support::ms(1));
        assert!(matches!(limited.poll(), Poll::Ready(Err(_))));
        drop(limited);
        assert_eq!((send.send(1), receive.await), (Ok(()), Ok(1)));
    });
}
