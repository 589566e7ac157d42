//! A waker's `clone` is foreign code: it may look at what its task waits for, and it may panic. Neither may stop or break anything.

use super::*;
use crate::runtime::Builder;
use crate::task::{self, JoinSet};
use crate::testing::{counting_waker, poll_with, waker_that_is_cloned};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// Waits with wakers whose clones look at the same thing, which takes its lock, and is woken all the same once `happen` makes it ready.
fn waits<F: Future>(name: &str, future: F, look: impl Fn() + Clone + Send + Sync + 'static, happen: impl FnOnce()) {
    let mut future = pin!(future);
    for _ in 0..2 {
        let waker = waker_that_is_cloned(look.clone());
        assert!(poll_with(future.as_mut(), &waker).is_pending(), "{name}");
    }
    let (wakes, waker) = counting_waker();
    assert!(poll_with(future.as_mut(), &waker).is_pending(), "{name}");
    happen();
    assert_eq!(wakes.count(), 1, "{name}");
    assert!(poll_with(future, &waker).is_ready(), "{name}");
}

/// Joins, or renews the waker of one that waits, with one whose clone panics, and gives up.
fn fails<F: Future>(name: &str, renews: bool, future: F) {
    let mut future = pin!(future);
    assert!(!renews || poll_with(future.as_mut(), Waker::noop()).is_pending(), "{name}");
    let waker = waker_that_is_cloned(|| panic!("on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(|| poll_with(future, &waker))).is_err(), "{name}: no clone was made");
}

#[test]
fn locks_and_signals_bear_with_every_clone() {
    let notify = Arc::new(Notify::new());
    let looks = notify.clone();
    for renews in [false, true] {
        fails("Notify", renews, notify.notified());
    }
    waits("Notify", notify.notified(), move || drop(looks.notified()), || notify.notify_one());

    let semaphore = Arc::new(Semaphore::new(0));
    let looks = semaphore.clone();
    for renews in [false, true] {
        fails("Semaphore", renews, semaphore.acquire());
    }
    waits("Semaphore", semaphore.acquire(), move || drop(looks.try_acquire()), || semaphore.add_permits(1));

    let mutex = Arc::new(Mutex::new(()));
    let (looks, held) = (mutex.clone(), mutex.try_lock().expect("free"));
    for renews in [false, true] {
        fails("Mutex", renews, mutex.lock());
    }
    waits("Mutex", mutex.lock(), move || drop(looks.try_lock()), || drop(held));

    let lock = Arc::new(RwLock::new(()));
    let (looks, held) = (lock.clone(), lock.try_write().expect("free"));
    for renews in [false, true] {
        fails("RwLock", renews, lock.read());
    }
    waits("RwLock", lock.read(), move || drop(looks.try_read()), || drop(held));

    let token = CancellationToken::new();
    let looks = token.clone();
    for renews in [false, true] {
        fails("CancellationToken", renews, token.cancelled());
    }
    waits("CancellationToken", token.cancelled(), move || drop(looks.child_token()), || token.cancel());

    let once = Arc::new(SetOnce::new());
    let looks = once.clone();
    for renews in [false, true] {
        fails("SetOnce", renews, once.wait());
    }
    waits("SetOnce", once.wait(), move || assert!(looks.get().is_none()), || assert!(once.set(1).is_ok()));
}

#[test]
fn channels_bear_with_every_clone() {
    let (send, mut receive) = watch::channel(0);
    let looks = receive.clone();
    for renews in [false, true] {
        fails("watch", renews, receive.changed());
    }
    waits("watch", receive.changed(), move || drop(looks.clone()), || assert!(send.send(1).is_ok()));

    let (send, mut receive) = broadcast::channel(1);
    let looks = send.clone();
    for renews in [false, true] {
        fails("broadcast", renews, receive.recv());
    }
    waits("broadcast", receive.recv(), move || drop(looks.subscribe()), || assert!(send.send(1).is_ok()));

    let (send, mut receive) = mpsc::channel(1);
    let looks = send.clone();
    for renews in [false, true] {
        fails("mpsc receiver", renews, receive.recv());
    }
    waits("mpsc receiver", receive.recv(), move || assert!(!looks.is_closed()), || assert!(send.try_send(1).is_ok()));
    assert!(send.try_send(1).is_ok());
    let looks = send.clone();
    for renews in [false, true] {
        fails("mpsc sender", renews, send.send(2));
    }
    waits(
        "mpsc sender",
        send.send(2),
        move || assert!(looks.try_reserve().is_err()),
        || assert!(receive.try_recv().is_ok()),
    );

    let (send, mut receive) = oneshot::channel();
    for renews in [false, true] {
        fails("oneshot receiver", renews, &mut receive);
    }
    waits("oneshot receiver", receive, || {}, || assert!(send.send(1).is_ok()));
    let (mut send, receive) = oneshot::channel::<()>();
    for renews in [false, true] {
        fails("oneshot sender", renews, send.closed());
    }
    waits("oneshot sender", send.closed(), || {}, || drop(receive));
}

#[test]
fn tasks_and_timers_bear_with_every_clone() {
    let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
    let handle = runtime.handle().clone();
    let _entered = runtime.enter();

    let run = |runtime: &crate::runtime::Runtime| runtime.block_on(async { task::yield_now().await });
    let (send, receive) = oneshot::channel::<()>();
    let mut task = task::spawn(receive);
    run(&runtime);
    let looks = handle.clone();
    // Who looks for what tasks wait for takes the lock of each.
    let look = move || looks.tasks().iter().for_each(|task| assert!(task.waits_for().len() < 9));
    for renews in [false, true] {
        fails("JoinHandle", renews, &mut task);
    }
    waits("JoinHandle", task, look.clone(), || {
        assert!(send.send(()).is_ok());
        run(&runtime);
    });

    let (send, receive) = oneshot::channel::<()>();
    let mut set = JoinSet::new();
    set.spawn(receive);
    run(&runtime);
    for renews in [false, true] {
        fails("JoinSet", renews, set.join_next());
    }
    waits("JoinSet", set.join_next(), look.clone(), || {
        assert!(send.send(()).is_ok());
        run(&runtime);
    });

    let looks = handle.clone();
    let look = move || assert!(looks.advance(Duration::from_millis(1)));
    for renews in [false, true] {
        fails("Sleep", renews, crate::time::sleep(Duration::from_secs(1)));
    }
    waits("Sleep", crate::time::sleep(Duration::from_secs(1)), look, || {
        assert!(handle.advance(Duration::from_secs(1)))
    });
}
