//! Futures of channels, locks and cells are dropped at every moment of their lives: see `drops.rs` for the way it is done.

use crate::common::settle;
use crate::drops::{at_every_moment, now};
use posse::sync::{Barrier, OnceCell, SetOnce, broadcast, oneshot, watch};
use std::pin::pin;
use std::sync::Arc;

#[test]
fn watch_changed() {
    at_every_moment(async |moment| {
        let (send, mut receive) = watch::channel(0);
        let changed = moment.cut(receive.changed(), || assert!(send.send(1).is_ok())).await;
        assert_eq!(receive.has_changed(), Ok(changed.is_none()), "{moment:?}: a change is seen once");
        changed.is_some()
    });
}

#[test]
fn watch_wait_for() {
    at_every_moment(async |moment| {
        let (send, mut receive) = watch::channel(0);
        let found = moment.cut(async { receive.wait_for(|value| *value == 1).await.is_ok() }, || {
            assert!(send.send(1).is_ok());
        });
        let found = found.await;
        assert_eq!(now(async { receive.wait_for(|value| *value == 1).await.is_ok() }).await, Some(true));
        found.is_some()
    });
}

#[test]
fn watch_closed() {
    at_every_moment(async |moment| {
        let (send, receive) = watch::channel(0);
        let closed = moment.cut(send.closed(), || drop(receive)).await;
        send.closed().await;
        closed.is_some()
    });
}

#[test]
fn broadcast_recv() {
    at_every_moment(async |moment| {
        let (send, mut receive) = broadcast::channel(2);
        let received = moment.cut(receive.recv(), || assert_eq!(send.send(1), Ok(1))).await;
        let left = now(receive.recv()).await;
        let expected = if received.is_some() { (Some(Ok(1)), None) } else { (None, Some(Ok(1))) };
        assert_eq!((received, left), expected, "{moment:?}");
        received.is_some()
    });
}

#[test]
fn broadcast_closed() {
    at_every_moment(async |moment| {
        let (send, receive) = broadcast::channel::<()>(2);
        let closed = moment.cut(send.closed(), || drop(receive)).await;
        send.closed().await;
        closed.is_some()
    });
}

#[test]
fn barrier_wait() {
    at_every_moment(async |moment| {
        let barrier = Arc::new(Barrier::new(2));
        let other = barrier.clone();
        let (met, mut meeting) = oneshot::channel();
        let waited = moment
            .cut(barrier.wait(), || {
                drop(posse::task::spawn(async move {
                    other.wait().await;
                    let _ = met.send(());
                }));
            })
            .await;
        settle().await;
        let other_met = now(&mut meeting).await.is_some();
        // The first poll is the arrival: without it, and when it was taken back, the other one waits for somebody else.
        assert!(waited.is_none() || other_met, "{moment:?}");
        if !other_met {
            barrier.wait().await;
            settle().await;
            assert!(now(&mut meeting).await.is_some(), "{moment:?}");
        }
        assert!(now(barrier.wait()).await.is_none(), "{moment:?}: somebody is counted who left");
        waited.is_some()
    });
}

#[test]
fn once_cell_get_or_init() {
    at_every_moment(async |moment| {
        let cell = OnceCell::new();
        let (go, gone) = oneshot::channel::<()>();
        let init = || async {
            let _ = gone.await;
            1
        };
        let made = moment.cut(cell.get_or_init(init), || drop(go.send(()))).await;
        let expected = if made.is_some() { 1 } else { 2 };
        assert_eq!(cell.get_or_init(|| async { 2 }).await, &expected, "{moment:?}");
        made.is_some()
    });
}

#[test]
fn set_once_wait() {
    at_every_moment(async |moment| {
        let place = SetOnce::new();
        let waited = moment.cut(place.wait(), || assert_eq!(place.set(1), Ok(()))).await;
        let mut again = pin!(place.wait());
        assert_eq!(now(&mut again).await, Some(&1), "{moment:?}");
        waited.is_some()
    });
}
