//! Tokio's `sync_watch`.

use crate::support::{Probe, now, panics, ready, single};
use posse_core::sync::watch::{self, RecvError};
use posse_core::task;
use std::task::Poll;

#[test]
fn a_receiver_sees_the_last_value_and_not_each() {
    let (send, mut receive) = watch::channel("one");
    let mut other = receive.clone();
    {
        let (mut first, mut second) = (Probe::new(receive.changed()), Probe::new(other.changed()));
        assert!(first.poll().is_pending() && second.poll().is_pending());
        assert_eq!(send.send("two"), Ok(()));
        assert_eq!(send.send("three"), Ok(()));
        assert_eq!((first.woken(), second.woken()), (1, 1));
        assert_eq!((first.poll(), second.poll()), (Poll::Ready(Ok(())), Poll::Ready(Ok(()))));
    }
    assert_eq!((*receive.borrow(), *other.borrow()), ("three", "three"));
    assert!(now(receive.changed()).is_pending());
}

#[test]
fn who_is_slow_is_woken_again_by_what_comes_later() {
    let (send, mut receive) = watch::channel(0);
    let mut slow = receive.clone();
    assert_eq!(send.send(1), Ok(()));
    assert_eq!(ready(receive.changed()), Ok(()));
    {
        let mut waits = Probe::new(receive.changed());
        assert!(waits.poll().is_pending());
        assert_eq!(send.send(2), Ok(()));
        assert_eq!((waits.woken(), waits.poll()), (1, Poll::Ready(Ok(()))));
    }
    assert_eq!((ready(slow.changed()), *slow.borrow()), (Ok(()), 2));
    assert!(now(slow.changed()).is_pending());
}

#[test]
fn marks_belong_to_one_receiver() {
    let (send, mut receive) = watch::channel("one");
    let (other, mut third) = (receive.clone(), receive.clone());
    receive.mark_changed();
    receive.mark_changed();
    assert_eq!((receive.has_changed(), other.has_changed()), (Ok(true), Ok(false)));
    assert_eq!((ready(receive.changed()), *receive.borrow()), (Ok(()), "one"));
    third.mark_changed();
    assert_eq!((third.clone().has_changed(), third.has_changed()), (Ok(true), Ok(true)));
    assert_eq!(*third.borrow_and_update(), "one");
    assert_eq!(third.has_changed(), Ok(false));

    assert_eq!(send.send("two"), Ok(()));
    third.mark_unchanged();
    assert!(now(third.changed()).is_pending());
    assert_eq!(receive.has_changed(), Ok(true));
    receive.mark_unchanged();
    drop(send);
    receive.mark_changed();
    assert_eq!((ready(receive.changed()), ready(receive.changed())), (Ok(()), Err(RecvError)));
}

#[test]
fn the_last_value_is_seen_after_the_end() {
    let (send, mut receive) = watch::channel("one");
    {
        let mut waits = Probe::new(receive.changed());
        assert!(waits.poll().is_pending());
        drop(send);
        assert_eq!((waits.woken(), waits.poll()), (1, Poll::Ready(Err(RecvError))));
    }
    assert_eq!(*receive.borrow(), "one");

    let (send, mut receive) = watch::channel("one");
    assert_eq!(send.send("two"), Ok(()));
    drop(send);
    assert_eq!(ready(receive.changed()), Ok(()));
    assert_eq!(*receive.borrow(), "two");
    assert_eq!(ready(receive.changed()), Err(RecvError));
}

/// Tokio says *closed* as soon as the senders are gone. Here it says what `changed` would say.
#[test]
fn a_change_that_was_not_seen_is_one_also_after_the_end() {
    let (send, mut receive) = watch::channel("one");
    assert_eq!(send.send("two"), Ok(()));
    drop(send);
    assert_eq!(receive.has_changed(), Ok(true));
    assert_eq!(*receive.borrow_and_update(), "two");
    assert_eq!(receive.has_changed(), Err(RecvError));
}

#[test]
fn a_condition_is_asked_of_the_last_value_after_the_end_too() {
    let (send, mut receive) = watch::channel("one");
    assert_eq!(send.send("two"), Ok(()));
    drop(send);
    assert!(ready(receive.wait_for(|value| *value == "two")).is_ok_and(|value| *value == "two"));
    assert!(ready(receive.wait_for(|_| true)).is_ok());
    assert!(ready(receive.wait_for(|_| false)).is_err());
}

#[test]
fn senders_hear_of_the_last_receiver_and_one_may_come_again() {
    let (send, receive) = watch::channel("one");
    let mut closed = Probe::new(send.closed());
    assert!(closed.poll().is_pending() && !send.is_closed());
    drop(receive);
    assert_eq!((closed.woken(), closed.poll()), (1, Poll::Ready(())));
    assert!(send.is_closed() && send.send("two").is_err());
    let receive = send.subscribe();
    assert!(!send.is_closed() && now(send.closed()).is_pending());
    assert_eq!((*receive.borrow(), receive.has_changed()), ("one", Ok(false)));
    drop(receive);
    assert!(send.is_closed());
}

#[test]
fn several_senders_are_one() {
    let (send, mut receive) = watch::channel(0);
    let other = send.clone();
    let mut sees = Probe::new(async {
        receive.changed().await.unwrap();
        let first = *receive.borrow_and_update();
        receive.changed().await.unwrap();
        (first, *receive.borrow_and_update())
    });
    assert_eq!((send.send(1), sees.poll(), other.send(2)), (Ok(()), Poll::Pending, Ok(())));
    assert_eq!(sees.poll(), Poll::Ready((1, 2)));
    drop(sees);
    let mut waits = Probe::new(receive.changed());
    assert!(waits.poll().is_pending());
    drop(send);
    assert_eq!(waits.woken(), 0);
    drop(other);
    assert_eq!(waits.woken(), 1);
}

#[test]
fn a_change_that_panics_tells_nobody_and_the_next_one_does() {
    let (send, mut receive) = watch::channel("one");
    let mut other = receive.clone();
    let mut waits = Probe::new(other.changed());
    assert!(waits.poll().is_pending());
    panics(|| {
        send.send_modify(|value| {
            *value = "panicked";
            panic!("on purpose");
        });
    });
    assert_eq!((waits.woken(), *receive.borrow(), receive.has_changed()), (0, "panicked", Ok(false)));
    assert!(!send.send_if_modified(|_| false) && now(receive.changed()).is_pending());
    send.send_modify(|value| *value = "three");
    assert_eq!((waits.woken(), waits.poll(), *receive.borrow_and_update()), (1, Poll::Ready(Ok(())), "three"));
    panics(|| _ = ready(receive.wait_for(|_| panic!("on purpose"))));
    assert_eq!(send.send("four"), Ok(()));
}

/// Runs a loop that is always ready beside a task that must have its turn.
fn yields(greedy: impl AsyncFnMut() + Send + 'static) {
    single().block_on(async {
        let mut greedy = greedy;
        posse_core::select! {
            biased;
            () = async { loop { greedy().await; } } => {}
            () = task::yield_now() => {}
        }
    });
}

#[test]
fn what_is_always_ready_lets_others_run() {
    let (send, mut receive) = watch::channel(0);
    drop(send);
    yields(async move || assert!(receive.changed().await.is_err()));
    let (send, mut receive) = watch::channel(0);
    yields(async move || assert!(send.send(1).is_ok() && receive.changed().await.is_ok()));
    let (send, mut receive) = watch::channel(0);
    drop(send);
    yields(async move || assert!(receive.wait_for(|value| *value == 1).await.is_err()));
    let (send, mut receive) = watch::channel(0);
    yields(async move || assert!(send.send(1).is_ok() && receive.wait_for(|value| *value == 1).await.is_ok()));
    let (send, receive) = watch::channel(0);
    drop(receive);
    yields(async move || send.closed().await);
}
