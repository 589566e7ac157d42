//! Futures of actors, their mailboxes and what these are made of are dropped at every moment of their lives.

use super::{Moment, at_every_moment, now};
use crate::common::settle;
use posse::prelude::*;
use posse::sync::{CancellationToken, Mutex, Notify, Semaphore, mpsc, oneshot};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// Counts, and waits when told.
struct Counter(u64);

impl Actor for Counter {}

#[derive(Message)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Message)]
struct Wait(oneshot::Receiver<()>);

impl Handler<Add> for Counter {
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

impl Handler<Wait> for Counter {
    async fn handle(&mut self, Wait(until): Wait, _: &mut Context<Self>) {
        let _ = until.await;
    }
}

/// A counter at 1 whose mailbox is full until the other half is used.
async fn full() -> (LocalRef<Counter>, oneshot::Sender<()>) {
    let counter = posse::spawn(Spec::new(|| Counter(0)).capacity(1));
    let (free, until) = oneshot::channel();
    counter.try_tell(Wait(until)).unwrap();
    settle().await;
    counter.try_tell(Add(1)).unwrap();
    assert!(matches!(counter.try_tell(Add(1)), Err(TellError { reason: SendReason::Full, .. })));
    (counter, free)
}

/// The mailbox has all of its room, and nobody is in its way.
async fn assert_free(counter: &LocalRef<Counter>, moment: Moment) -> u64 {
    assert_eq!(counter.queued(), 0, "{moment:?}");
    counter.try_tell(Add(0)).unwrap();
    settle().await;
    counter.ask(Add(0)).await.unwrap()
}

#[test]
fn tell() {
    at_every_moment(async |moment| {
        let (counter, free) = full().await;
        let told = moment.cut(counter.tell(Add(10)).into_future(), || free.send(()).unwrap()).await;
        let expected = if told.is_some() { 11 } else { 1 };
        assert_eq!(assert_free(&counter, moment).await, expected, "{moment:?}");
        told.is_some()
    });
}

#[test]
fn tell_with_another_sender_behind() {
    at_every_moment(async |moment| {
        let (counter, free) = full().await;
        let first = counter.tell(Add(10)).into_future();
        let behind = counter.clone();
        let second = move || drop(posse::task::spawn(async move { behind.tell(Add(100)).await }));
        let told = moment
            .cut(first, || {
                second();
                free.send(()).unwrap();
            })
            .await;
        let expected = if told.is_some() { 111 } else { 101 };
        assert_eq!(assert_free(&counter, moment).await, expected, "{moment:?}");
        told.is_some()
    });
}

#[test]
fn ask() {
    at_every_moment(async |moment| {
        let (counter, free) = full().await;
        let asked = moment.cut(counter.ask(Add(10)).into_future(), || free.send(()).unwrap()).await;
        let total = assert_free(&counter, moment).await;
        match &asked {
            Some(reply) => assert_eq!((reply, total), (&Ok(11), 11), "{moment:?}"),
            // Handled after all, or never begun.
            None => assert!(total == 11 || total == 1, "{moment:?}: {total}"),
        }
        asked.is_some()
    });
}

#[test]
fn send() {
    at_every_moment(async |moment| {
        let (send, mut receive) = mpsc::channel(1);
        send.try_send(1).unwrap();
        let (go, gone) = oneshot::channel();
        let receiver = posse::task::spawn(async move {
            gone.await.unwrap();
            assert_eq!(receive.recv().await, Some(1));
            receive
        });
        let sent = moment.cut(send.send(2), || go.send(()).unwrap()).await;
        let mut receive = receiver.await.unwrap();
        assert_eq!(now(receive.recv()).await.flatten(), sent.as_ref().map(|_| 2), "{moment:?}");
        send.try_send(3).unwrap();
        assert!(send.try_send(4).is_err(), "{moment:?}: there is too much room");
        sent.is_some()
    });
}

#[test]
fn reserve() {
    at_every_moment(async |moment| {
        let (send, mut receive) = mpsc::channel(1);
        send.try_send(1).unwrap();
        let (go, gone) = oneshot::channel();
        let receiver = posse::task::spawn(async move {
            gone.await.unwrap();
            assert_eq!(receive.recv().await, Some(1));
            receive
        });
        let reserved = moment.cut(send.reserve(), || go.send(()).unwrap()).await;
        let _receive = receiver.await.unwrap();
        let ended = reserved.is_some();
        assert_eq!(send.try_send(2).is_err(), ended, "{moment:?}");
        drop(reserved);
        assert_eq!(send.try_send(3).is_ok(), ended, "{moment:?}");
        ended
    });
}

#[test]
fn recv() {
    at_every_moment(async |moment| {
        let (send, mut receive) = mpsc::channel(1);
        let received = moment.cut(receive.recv(), || send.try_send(1).unwrap()).await;
        let left = now(receive.recv()).await;
        assert_eq!((received, left), if received.is_some() { (Some(Some(1)), None) } else { (None, Some(Some(1))) });
        send.try_send(2).unwrap();
        received.is_some()
    });
}

#[test]
fn acquire() {
    at_every_moment(async |moment| {
        let semaphore = Arc::new(Semaphore::new(3));
        let held = semaphore.try_acquire().unwrap();
        let acquired = moment.cut(semaphore.acquire_many(3), || drop(held)).await;
        assert_eq!(semaphore.available_permits(), if acquired.is_some() { 0 } else { 3 }, "{moment:?}");
        let ended = acquired.is_some();
        drop(acquired);
        assert_eq!(semaphore.available_permits(), 3, "{moment:?}");
        ended
    });
}

#[test]
fn acquire_with_another_one_behind() {
    at_every_moment(async |moment| {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.clone().acquire_owned().await.unwrap();
        let (done, behind) = (Arc::new(AtomicUsize::new(0)), semaphore.clone());
        let count = done.clone();
        let acquired = moment
            .cut(semaphore.acquire(), || {
                drop(posse::task::spawn(async move {
                    let _permit = behind.acquire().await.unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }));
                drop(held);
            })
            .await;
        let ended = acquired.is_some();
        drop(acquired);
        settle().await;
        assert_eq!(done.load(Ordering::Relaxed), 1, "{moment:?}: the one behind waits for ever");
        assert_eq!(semaphore.available_permits(), 1, "{moment:?}");
        ended
    });
}

#[test]
fn lock() {
    at_every_moment(async |moment| {
        let mutex = Arc::new(Mutex::new(0));
        let held = mutex.clone().lock_owned().await;
        let locked = moment.cut(mutex.lock(), || drop(held)).await;
        assert_eq!(mutex.try_lock().is_err(), locked.is_some(), "{moment:?}");
        let ended = locked.is_some();
        drop(locked);
        assert!(mutex.try_lock().is_ok(), "{moment:?}");
        ended
    });
}

#[test]
fn notified() {
    at_every_moment(async |moment| {
        let notify = Arc::new(Notify::new());
        let notified = moment.cut(notify.notified(), || notify.notify_one()).await;
        // The notification is kept for the next one unless it was used.
        let mut next = pin!(notify.notified());
        let kept = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_ready())).await;
        assert_eq!(kept, notified.is_none(), "{moment:?}");
        notified.is_some()
    });
}

#[test]
fn cancelled_and_oneshot() {
    at_every_moment(async |moment| {
        let token = CancellationToken::new();
        let cancelled = moment.cut(token.cancelled(), || token.cancel()).await;
        token.cancelled().await;

        let (send, mut receive) = oneshot::channel();
        let received = moment.cut(&mut receive, || send.send(7).unwrap()).await;
        match received {
            Some(received) => assert_eq!(received, Ok(7)),
            None => assert_eq!(receive.await, Ok(7), "{moment:?}"),
        }
        assert_eq!(cancelled.is_some(), received.is_some(), "{moment:?}");
        cancelled.is_some()
    });
}

#[test]
fn closed() {
    at_every_moment(async |moment| {
        let counter = posse::spawn(|| Counter(0));
        let closed = moment.cut(counter.closed(), || counter.stop()).await;
        counter.closed().await;
        closed.is_some()
    });
}

#[test]
fn recover() {
    at_every_moment(async |moment| {
        let (counter, free) = full().await;
        let asked = moment.cut(counter.ask(Add(10)).recover(), || free.send(()).unwrap()).await;
        let total = assert_free(&counter, moment).await;
        match &asked {
            Some(reply) => assert_eq!((reply.as_ref().ok(), total), (Some(&11), 11), "{moment:?}"),
            None => assert!(total == 11 || total == 1, "{moment:?}: {total}"),
        }
        asked.is_some()
    });
}

#[test]
fn by_a_recipient() {
    at_every_moment(async |moment| {
        let (counter, free) = full().await;
        let recipient: Recipient<Add> = counter.recipient();
        let told = moment.cut(recipient.tell(Add(10)).into_future(), || free.send(()).unwrap()).await;
        let expected = if told.is_some() { 11 } else { 1 };
        assert_eq!(assert_free(&counter, moment).await, expected, "{moment:?}");
        let asked = moment.cut(recipient.ask(Add(100)).into_future(), || ()).await;
        let total = assert_free(&counter, moment).await;
        assert!(total == expected + 100 || asked.is_none() && total == expected, "{moment:?}: {total}");
        told.is_some() && asked.is_some()
    });
}
