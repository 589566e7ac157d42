//! Tokio's `sync_cancellation_token` and the `future` tests of its tools.

use crate::support::{Probe, now, ready};
use posse_core::sync::{CancellationToken, oneshot};
use std::future::pending;
use std::task::Poll;

#[test]
fn all_who_wait_hear_of_it_and_who_comes_later_knows_at_once() {
    let token = CancellationToken::new();
    let (mut one, mut unpolled) = (Probe::new(token.cancelled()), Probe::new(token.cancelled()));
    assert!(one.poll().is_pending() && !token.is_cancelled());
    token.cancel();
    token.cancel();
    assert_eq!((one.woken(), unpolled.woken(), token.is_cancelled()), (1, 0, true));
    assert!(one.poll().is_ready() && unpolled.poll().is_ready());
    ready(token.cancelled());
    assert_eq!((one.wakers(), unpolled.wakers()), (0, 0));
}

#[test]
fn who_leaves_is_not_woken_and_leaves_nothing_behind() {
    let token = CancellationToken::new();
    let leaves = Probe::new(());
    {
        let waker = leaves.waker();
        let mut waits = Box::pin(token.cancelled());
        assert!(waits.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(leaves.wakers(), 0);
    token.cancel();
    assert_eq!(leaves.woken(), 0);
}

#[test]
fn a_parent_cancels_its_children_however_deep_and_a_child_only_its_own() {
    let root = CancellationToken::new();
    let children = [root.child_token(), root.child_token()];
    let grandchildren = [children[0].child_token(), children[1].child_token()];
    let mut waiting = [Probe::new(grandchildren[0].cancelled()), Probe::new(grandchildren[1].cancelled())];
    assert!(waiting.iter_mut().all(|waits| waits.poll().is_pending()));
    children[0].cancel();
    assert_eq!((waiting[0].woken(), waiting[1].woken()), (1, 0));
    assert!(!root.is_cancelled() && !children[1].is_cancelled() && children[0].child_token().is_cancelled());
    root.cancel();
    assert_eq!((waiting[0].woken(), waiting[1].woken()), (0, 1));
    assert!(root.is_cancelled() && children[1].is_cancelled() && grandchildren[1].is_cancelled());
    assert!(waiting.iter_mut().all(|waits| waits.poll().is_ready()));
}

#[test]
fn children_may_be_dropped_in_any_order() {
    for cancels_first in [false, true] {
        for order in 0..3 {
            let root = CancellationToken::new();
            let mut children: Vec<_> = (0..3).map(|_| root.child_token()).collect();
            if cancels_first {
                root.cancel();
            }
            drop(children.remove(order));
            root.cancel();
            assert!(children.iter().all(CancellationToken::is_cancelled));
        }
    }
}

#[test]
fn a_child_outlives_its_parent_and_is_not_cancelled_by_that() {
    let root = CancellationToken::new();
    let (child, other) = (root.child_token(), root.child_token());
    drop(root);
    assert!(now(child.cancelled()).is_pending());
    child.cancel();
    assert!(child.is_cancelled() && !other.is_cancelled());
}

#[test]
fn a_future_runs_until_the_token_is_cancelled() {
    let token = CancellationToken::new();
    assert_eq!(ready(token.run_until_cancelled(async { 1 })), Some(1));
    let (send, receive) = oneshot::channel();
    let mut runs = Probe::new(token.run_until_cancelled(receive));
    assert!(runs.poll().is_pending());
    assert_eq!(send.send(2), Ok(()));
    assert_eq!((runs.woken(), runs.poll()), (1, Poll::Ready(Some(Ok(2)))));
    drop(runs);
    let mut runs = Probe::new(token.run_until_cancelled(pending::<()>()));
    assert!(runs.poll().is_pending());
    token.cancel();
    assert_eq!((runs.woken(), runs.poll()), (1, Poll::Ready(None)));
    assert_eq!(ready(token.run_until_cancelled(pending::<()>())), None);
}

#[test]
fn a_guard_cancels_unless_it_is_disarmed() {
    let token = CancellationToken::new();
    let guard = token.clone().drop_guard();
    assert!(!guard.disarm().is_cancelled());
    drop(token.clone().drop_guard());
    assert!(token.is_cancelled());
}
