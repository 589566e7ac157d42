//! Futures of channels, locks and cells are dropped at every moment of their lives.

use super::{at_every_moment, now};
use crate::common::settle;
use posse::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, broadcast, mpsc, oneshot, watch};
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
        let made = moment.cut(cell.get_or_init(init), || _ = go.send(())).await;
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

#[test]
fn rwlock_read() {
    at_every_moment(async |moment| {
        let lock = Arc::new(RwLock::new(0));
        let held = lock.clone().write_owned().await;
        let read = moment.cut(lock.read(), || drop(held)).await;
        assert!(lock.try_read().is_ok(), "{moment:?}");
        assert_eq!(lock.try_write().is_err(), read.is_some(), "{moment:?}");
        let ended = read.is_some();
        drop(read);
        assert!(lock.try_write().is_ok(), "{moment:?}");
        ended
    });
}

#[test]
fn rwlock_write_with_a_reader_behind() {
    at_every_moment(async |moment| {
        let lock = Arc::new(RwLock::new(0));
        let held = lock.clone().read_owned().await;
        let (behind, (done, mut reading)) = (lock.clone(), oneshot::channel());
        let written = moment
            .cut(lock.write(), || {
                drop(posse::task::spawn(async move { done.send(*behind.read().await) }));
                drop(held);
            })
            .await;
        let ended = written.is_some();
        written.into_iter().for_each(|mut value| *value = 1);
        settle().await;
        let read = now(&mut reading).await;
        assert!(read.is_some(), "{moment:?}: the one behind waits for ever");
        assert!(lock.try_write().is_ok(), "{moment:?}");
        ended
    });
}

#[test]
fn mpsc_recv_many() {
    at_every_moment(async |moment| {
        let (send, mut receive) = mpsc::channel(2);
        let mut buffer = Vec::new();
        let received = moment.cut(receive.recv_many(&mut buffer, 2), || {
            assert!(send.try_send(1).is_ok() && send.try_send(2).is_ok());
        });
        let ended = received.await.is_some();
        while let Ok(value) = receive.try_recv() {
            buffer.push(value);
        }
        assert_eq!(buffer, [1, 2], "{moment:?}");
        assert_eq!(send.capacity(), 2, "{moment:?}");
        ended
    });
}

#[test]
fn mpsc_reserve_many() {
    at_every_moment(async |moment| {
        let (send, mut receive) = mpsc::channel(2);
        assert!(send.try_send(1).is_ok());
        let reserved = moment.cut(send.reserve_many(2), || assert_eq!(receive.try_recv(), Ok(1))).await;
        let ended = reserved.is_some();
        assert_eq!(send.capacity(), if ended { 0 } else { 2 }, "{moment:?}");
        drop(reserved);
        assert_eq!(send.capacity(), 2, "{moment:?}");
        ended
    });
}

#[test]
fn mpsc_reserve_owned() {
    at_every_moment(async |moment| {
        let (send, mut receive) = mpsc::channel(1);
        assert!(send.try_send(1).is_ok());
        let reserved = moment.cut(send.clone().reserve_owned(), || assert_eq!(receive.try_recv(), Ok(1))).await;
        let ended = reserved.is_some();
        assert_eq!(send.capacity(), usize::from(!ended), "{moment:?}");
        drop(reserved);
        assert_eq!((send.capacity(), send.strong_count()), (1, 1), "{moment:?}");
        ended
    });
}

#[test]
fn mpsc_send_timeout() {
    at_every_moment(async |moment| {
        let (send, mut receive) = mpsc::channel(1);
        assert!(send.try_send(1).is_ok());
        let sent = moment.cut(send.send_timeout(2, posse::secs(9)), || assert_eq!(receive.try_recv(), Ok(1))).await;
        assert_eq!(receive.try_recv().ok(), sent.map(|_| 2), "{moment:?}");
        assert_eq!(send.capacity(), 1, "{moment:?}");
        sent.is_some()
    });
}

#[test]
fn mpsc_closed() {
    at_every_moment(async |moment| {
        let (send, receive) = mpsc::channel::<()>(1);
        let closed = moment.cut(send.closed(), || drop(receive)).await;
        send.closed().await;
        closed.is_some()
    });
}

#[test]
fn acquire_many_owned() {
    at_every_moment(async |moment| {
        let semaphore = Arc::new(Semaphore::new(2));
        let held = semaphore.clone().try_acquire_owned().unwrap();
        let acquired = moment.cut(semaphore.clone().acquire_many_owned(2), || drop(held)).await;
        let ended = acquired.is_some();
        assert_eq!(semaphore.available_permits(), if ended { 0 } else { 2 }, "{moment:?}");
        drop(acquired);
        assert_eq!(semaphore.available_permits(), 2, "{moment:?}");
        ended
    });
}

#[test]
fn owned_guards() {
    at_every_moment(async |moment| {
        let mutex = Arc::new(Mutex::new(0));
        let held = mutex.clone().lock_owned().await;
        let locked = moment.cut(mutex.clone().lock_owned(), || drop(held)).await;
        assert_eq!(mutex.try_lock().is_err(), locked.is_some(), "{moment:?}");

        let lock = Arc::new(RwLock::new(0));
        let held = lock.clone().write_owned().await;
        let read = moment.cut(lock.clone().read_owned(), || drop(held)).await;
        assert_eq!(lock.try_write().is_err(), read.is_some(), "{moment:?}");
        drop(read);
        let held = lock.clone().read_owned().await;
        let written = moment.cut(lock.clone().write_owned(), || drop(held)).await;
        assert_eq!(lock.try_read().is_err(), written.is_some(), "{moment:?}");

        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.clone().try_acquire_owned().unwrap();
        let acquired = moment.cut(semaphore.clone().acquire_owned(), || drop(held)).await;
        assert_eq!(semaphore.available_permits(), usize::from(acquired.is_none()), "{moment:?}");
        let ended = locked.is_some() && written.is_some() && acquired.is_some();
        drop((locked, written, acquired));
        assert!(
            mutex.try_lock().is_ok() && lock.try_write().is_ok() && semaphore.available_permits() == 1,
            "{moment:?}"
        );
        // Neither a guard nor a wait keeps what it is of.
        assert_eq!((Arc::strong_count(&mutex), Arc::strong_count(&lock), Arc::strong_count(&semaphore)), (1, 1, 1));
        ended
    });
}

#[test]
fn once_cell_get_or_try_init() {
    at_every_moment(async |moment| {
        let cell = OnceCell::new();
        let (go, gone) = oneshot::channel::<()>();
        let init = || async { gone.await.map(|()| 1).map_err(|_| "dropped") };
        let made = moment.cut(cell.get_or_try_init(init), || _ = go.send(())).await;
        let expected = if made.is_some() { 1 } else { 2 };
        assert_eq!(cell.get_or_try_init(async || Ok::<_, &str>(2)).await, Ok(&expected), "{moment:?}");
        made.is_some()
    });
}

#[test]
fn once_cell_with_another_one_behind() {
    at_every_moment(async |moment| {
        let cell = Arc::new(OnceCell::new());
        let (go, gone) = oneshot::channel::<()>();
        let other = cell.clone();
        let init = || async {
            let _ = gone.await;
            1
        };
        let made = moment
            .cut(cell.get_or_init(init), || {
                drop(posse::task::spawn(async move { *other.get_or_init(async || 2).await }));
                _ = go.send(());
            })
            .await;
        let ended = made.is_some();
        // Who waits behind makes the value if the first one goes.
        assert!(cell.get().is_some_and(|value| *value == if ended { 1 } else { 2 } || moment.begins()), "{moment:?}");
        ended
    });
}

#[test]
fn ends_of_channels() {
    at_every_moment(async |moment| {
        let (mut send, receive) = oneshot::channel::<()>();
        let closed = moment.cut(send.closed(), || drop(receive)).await;
        send.closed().await;
        let (send, receive) = mpsc::unbounded_channel::<()>();
        let unbounded_closed = moment.cut(send.closed(), || drop(receive)).await;
        send.closed().await;
        closed.is_some() && unbounded_closed.is_some()
    });
}

#[test]
fn mpsc_unbounded_recv() {
    at_every_moment(async |moment| {
        let (send, mut receive) = mpsc::unbounded_channel();
        let received = moment.cut(receive.recv(), || assert!(send.send(1).is_ok())).await;
        let left = now(receive.recv()).await;
        assert_eq!(received.or(left), Some(Some(1)), "{moment:?}");
        assert!(received.is_none() || left.is_none(), "{moment:?}");
        received.is_some()
    });
}

#[test]
fn notified_owned_and_notify_waiters() {
    at_every_moment(async |moment| {
        let notify = Arc::new(Notify::new());
        let notified = moment.cut(notify.clone().notified_owned(), || notify.notify_one()).await;
        assert_eq!(now(notify.notified()).await.is_some(), notified.is_none(), "{moment:?}");

        // It counts as waiting from its making on, and leaves nothing for those who come later.
        let all = moment.cut(notify.notified(), || notify.notify_waiters()).await;
        assert!(now(notify.notified()).await.is_none(), "{moment:?}");
        assert_eq!(Arc::strong_count(&notify), 1, "{moment:?}");
        notified.is_some() && all.is_some()
    });
}
