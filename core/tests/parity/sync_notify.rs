//! Tokio's `sync_notify` and `sync_notify_owned`: each question is put to both kinds of future.

use crate::support::{Probe, waker_that};
use posse_core::sync::Notify;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Runs the body for both kinds: `$wait` makes a future of the notifier that it is given.
macro_rules! for_both {
    (|$notify:ident, $wait:ident| $body:block) => {{
        {
            let $notify = Arc::new(Notify::new());
            let $wait = || Probe::new($notify.notified());
            $body
        }
        {
            let $notify = Arc::new(Notify::new());
            let $wait = || Probe::new($notify.clone().notified_owned());
            $body
        }
    }};
}

fn waits<F: Future<Output = ()>>(probe: &mut Probe<F>) -> bool {
    probe.poll().is_pending()
}

#[test]
fn one_notification_is_kept_and_used_up_by_one() {
    for_both!(|notify, wait| {
        notify.notify_one();
        notify.notify_one();
        let (mut one, mut other) = (wait(), wait());
        assert_eq!((waits(&mut one), waits(&mut other)), (false, true));
        notify.notify_one();
        assert_eq!((other.woken(), waits(&mut other)), (1, false));
        assert!(waits(&mut wait()));
    });
}

#[test]
fn who_waits_is_served_first_come_first_served_or_from_the_end() {
    for_both!(|notify, wait| {
        let mut line: Vec<_> = (0..4).map(|_| wait()).collect();
        assert!(line.iter_mut().all(waits));
        for (last, served) in [(false, 0), (true, 3), (false, 1), (true, 2)] {
            if last {
                notify.notify_last()
            } else {
                notify.notify_one()
            }
            let woken: Vec<_> = line.iter().map(Probe::woken).collect();
            assert_eq!(woken.iter().sum::<usize>(), 1);
            assert_eq!((woken[served], waits(&mut line[served])), (1, false));
        }
        notify.notify_last();
        assert!(!waits(&mut wait()), "it is kept as well");
    });
}

#[test]
fn who_leaves_before_it_is_notified_takes_nothing_along() {
    for_both!(|notify, wait| {
        let (mut one, mut other) = (wait(), wait());
        assert!(waits(&mut one));
        drop(one);
        assert!(waits(&mut other));
        notify.notify_one();
        assert_eq!((other.woken(), waits(&mut other)), (1, false));
    });
}

/// Tokio hands what was for the last to the last but one; here it goes to who has waited longest.
#[test]
fn who_leaves_after_it_was_notified_hands_it_on_to_the_first() {
    for_both!(|notify, wait| {
        for last in [false, true] {
            let mut line: Vec<_> = (0..3).map(|_| wait()).collect();
            assert!(line.iter_mut().all(waits));
            if last {
                notify.notify_last()
            } else {
                notify.notify_one()
            }
            drop(line.remove(if last { 2 } else { 0 }));
            assert_eq!((line[0].woken(), line[1].woken()), (1, 0));
            assert_eq!((waits(&mut line[0]), waits(&mut line[1])), (false, true));
        }
    });
}

#[test]
fn a_notification_of_one_who_leaves_is_kept_if_nobody_waits() {
    for_both!(|notify, wait| {
        let mut one = wait();
        assert!(waits(&mut one));
        notify.notify_one();
        drop(one);
        assert!(!waits(&mut wait()));
        assert!(waits(&mut wait()));
    });
}

#[test]
fn all_are_notified_and_nothing_is_kept_of_it() {
    for_both!(|notify, wait| {
        let (mut one, mut unpolled) = (wait(), wait());
        assert!(waits(&mut one));
        notify.notify_waiters();
        assert_eq!((one.woken(), waits(&mut one)), (1, false));
        assert!(!waits(&mut unpolled), "it was made before");
        assert!(waits(&mut wait()), "it is made after");
    });
}

/// Both kinds of notification, and who was to have the first leaves: the second is left for the next.
#[test]
fn a_notification_for_all_uses_up_none_for_one() {
    for_both!(|notify, wait| {
        let mut one = wait();
        assert!(waits(&mut one));
        notify.notify_waiters();
        notify.notify_one();
        drop(one);
        assert!(!waits(&mut wait()));

        let mut unpolled = wait();
        notify.notify_waiters();
        notify.notify_one();
        assert_eq!((waits(&mut unpolled), waits(&mut wait())), (false, false));
    });
}

#[test]
fn enabling_is_a_place_in_the_line_without_a_waker() {
    for_both!(|notify, wait| {
        let mut one = wait();
        assert!(!one.inner.as_mut().enable());
        notify.notify_one();
        assert_eq!((waits(&mut one), one.inner.as_mut().enable()), (false, true));

        let mut one = wait();
        assert!(!one.inner.as_mut().enable() && waits(&mut one) && !one.inner.as_mut().enable());
        notify.notify_one();
        assert_eq!((one.woken(), waits(&mut one)), (1, false));

        notify.notify_one();
        let (mut one, mut other) = (wait(), wait());
        assert_eq!((one.inner.as_mut().enable(), other.inner.as_mut().enable()), (true, false));

        let mut never_enabled = wait();
        drop(other);
        notify.notify_one();
        assert!(!waits(&mut never_enabled));
    });
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    for_both!(|notify, wait| {
        let mut one = wait();
        assert!(one.inner.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(waits(&mut one));
        notify.notify_one();
        assert_eq!((one.woken(), one.poll()), (1, Poll::Ready(())));
    });
}

#[test]
fn a_waker_that_is_dropped_may_notify() {
    for_both!(|notify, wait| {
        let mut one = wait();
        let again = notify.clone();
        let waker = waker_that(|| {}, move || again.notify_waiters());
        assert!(one.inner.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        notify.notify_waiters();
        assert!(!waits(&mut one));
    });
}
