//! Behaviour of locks and permits: who gets them, in which order, what a guard becomes.

use super::*;
use crate::runtime::{Builder, Runtime};
use crate::task;
use crate::testing::{counting_waker, poll_with};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, Waker};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(3).build().expect("a runtime")
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    let lock = Arc::new(RwLock::new(1));
    let (one, another) = (lock.try_read().unwrap(), lock.clone().try_read_owned().unwrap());
    assert_eq!((*one, *another), (1, 1));
    assert!(lock.try_write().is_err() && lock.clone().try_write_owned().is_err());
    drop((one, another));

    let mut writing = lock.try_write().unwrap();
    *writing = 2;
    assert!(lock.try_read().is_err() && lock.clone().try_read_owned().is_err() && lock.try_write().is_err());
    assert_eq!(format!("{lock:?} {writing:?} {writing}"), "RwLock { value: <locked> } 2 2");
    drop(writing);
    *lock.clone().try_write_owned().unwrap() += 1;
    assert_eq!(format!("{lock:?} {}", lock.try_read().unwrap()), "RwLock { value: 3 } 3");
    let mut lock = Arc::into_inner(lock).unwrap();
    *lock.get_mut() += 1;
    assert_eq!(lock.into_inner(), 4);
}

#[test]
fn who_asks_to_read_waits_for_a_writer_who_asked_before() {
    let lock = RwLock::new(0);
    let reading = lock.try_read().unwrap();
    let mut write = Box::pin(lock.write());
    assert!(poll(write.as_mut()).is_pending());
    let mut read = Box::pin(lock.read());
    assert!(poll(read.as_mut()).is_pending() && lock.try_read().is_err(), "it would overtake");
    drop(reading);
    assert!(poll(read.as_mut()).is_pending());
    let Poll::Ready(writing) = poll(write.as_mut()) else { panic!("no task reads") };
    drop(writing);
    assert!(poll(read.as_mut()).is_ready());

    // A writer that leaves lets the readers behind it in.
    let reading = lock.try_read().unwrap();
    let mut write = Box::pin(lock.write());
    assert!(poll(write.as_mut()).is_pending());
    let (wakes, waker) = counting_waker();
    let mut read = Box::pin(lock.read());
    assert!(poll_with(read.as_mut(), &waker).is_pending());
    drop(write);
    assert_eq!(wakes.count(), 1);
    assert!(poll(read.as_mut()).is_ready());
    drop(reading);
}

#[test]
fn a_writer_that_becomes_a_reader_lets_no_other_writer_in_between() {
    let lock = Arc::new(RwLock::with_max_readers(0, 2));
    let mut writing = lock.try_write().unwrap();
    let mut write = Box::pin(lock.write());
    assert!(poll(write.as_mut()).is_pending());
    *writing = 1;
    let reading = writing.downgrade();
    assert!(poll(write.as_mut()).is_pending());
    assert_eq!(*reading, 1);
    drop(write);
    let owned = lock.clone().try_read_owned().unwrap();
    assert!(lock.try_read().is_err(), "two may read");
    drop((reading, owned));

    let reading = lock.clone().try_write_owned().unwrap().downgrade();
    assert!(lock.try_read().is_ok() && lock.try_write().is_err());
    drop(reading);
    assert!(lock.try_write().is_ok());
}

#[test]
fn guards_of_a_part_hold_the_whole_lock() {
    let mutex = Arc::new(Mutex::new((1, String::from("one"))));
    let mut name = MutexGuard::map(mutex.try_lock().unwrap(), |pair| &mut pair.1);
    name.push('!');
    assert!(mutex.try_lock().is_err());
    let Err(name) = MappedMutexGuard::try_map(name, |name| name.get_mut(9..)) else { panic!("it is short") };
    let Ok(end) = MappedMutexGuard::try_map(name, |name| name.get_mut(3..)) else { panic!("it is long enough") };
    assert_eq!(&*end, "!");
    drop(end);
    let number = OwnedMutexGuard::map(mutex.clone().try_lock_owned().unwrap(), |pair| &mut pair.0);
    assert!(mutex.try_lock().is_err());
    drop(number);

    let lock = Arc::new(RwLock::new((1, 2)));
    let first = RwLockReadGuard::map(lock.try_read().unwrap(), |pair| &pair.0);
    let second = OwnedRwLockReadGuard::map(lock.clone().try_read_owned().unwrap(), |pair| &pair.1);
    assert_eq!((*first, *second), (1, 2));
    assert!(OwnedRwLockReadGuard::try_map(second, |_| None::<&u8>).is_err_and(|second| *second == 2));
    assert!(lock.try_write().is_err());
    drop(first);
    *RwLockWriteGuard::map(lock.try_write().unwrap(), |pair| &mut pair.0) = 5;
    let mut second = OwnedRwLockWriteGuard::map(lock.clone().try_write_owned().unwrap(), |pair| &mut pair.1);
    *second = 6;
    assert!(lock.try_read().is_err());
    drop(second);
    assert_eq!(*lock.try_read().unwrap(), (5, 6));
}

#[test]
fn a_panic_while_a_guard_is_narrowed_gives_the_lock_back() {
    let mutex = Mutex::new(1);
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        MutexGuard::map(mutex.try_lock().unwrap(), |_| -> &mut u8 { panic!("on purpose") })
    }));
    assert!(broken.is_err());
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn locks_hold_what_has_no_size() {
    let mutex: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2, 3]));
    mutex.try_lock().unwrap()[0] = 9;
    assert_eq!(&*mutex.try_lock().unwrap(), [9, 2, 3]);
    let lock: Box<RwLock<dyn Fn() -> u8 + Send + Sync>> = Box::new(RwLock::new(|| 7));
    assert_eq!(lock.try_read().unwrap()(), 7);
}

#[test]
fn many_readers_and_writers_see_whole_values() {
    threads().block_on(async {
        let lock = Arc::new(RwLock::new((0u32, 0u32)));
        let tasks: Vec<_> = (0..60)
            .map(|n| {
                let lock = lock.clone();
                task::spawn(async move {
                    if n % 3 == 0 {
                        let mut pair = lock.write().await;
                        pair.0 += 1;
                        task::yield_now().await;
                        pair.1 += 1;
                    } else {
                        let pair = lock.read().await;
                        task::yield_now().await;
                        assert_eq!(pair.0, pair.1);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*lock.read().await, (20, 20));
    });
}

#[test]
fn threads_that_may_block_wait_for_locks() {
    threads().block_on(async {
        let (mutex, lock) = (Arc::new(Mutex::new(0)), Arc::new(RwLock::new(0)));
        let (held, writing) = (mutex.lock().await, lock.write().await);
        let (theirs, lock_of_theirs) = (mutex.clone(), lock.clone());
        let (here, waits) = oneshot::channel();
        let thread = task::spawn_blocking(move || {
            assert!(here.send(()).is_ok());
            *theirs.blocking_lock() += 1;
            *theirs.clone().blocking_lock_owned() += 1;
            *lock_of_theirs.blocking_write() += 1;
            *lock_of_theirs.blocking_read()
        });
        waits.await.unwrap();
        drop((held, writing));
        assert_eq!(thread.await.unwrap(), 1);
        assert_eq!(*mutex.lock().await, 2);
        let stalls = task::spawn(async move { drop(mutex.blocking_lock()) }).await;
        assert!(stalls.unwrap_err().is_panic(), "it would stall its worker");
    });
}

#[test]
fn permits_are_counted_split_merged_and_forgotten() {
    let (semaphore, other) = (Arc::new(Semaphore::new(5)), Semaphore::new(1));
    let mut many = semaphore.try_acquire_many(4).unwrap();
    assert!(semaphore.try_acquire_many(2).is_err() && semaphore.clone().try_acquire_many_owned(2).is_err());
    assert!(many.split(5).is_none());
    let two = many.split(2).unwrap();
    assert_eq!((many.num_permits(), two.num_permits(), semaphore.available_permits()), (2, 2, 1));
    drop(two);
    assert_eq!(semaphore.available_permits(), 3);
    assert!(many.merge(semaphore.try_acquire().unwrap()).is_ok());
    assert!(many.merge(other.try_acquire().unwrap()).is_err_and(|foreign| foreign.num_permits() == 1));
    assert_eq!((many.num_permits(), semaphore.available_permits(), other.available_permits()), (3, 2, 1));
    assert_eq!((semaphore.forget_permits(9), semaphore.available_permits()), (2, 0));
    many.forget();

    semaphore.add_permits(3);
    let Poll::Ready(Ok(mut owned)) = poll(pin!(semaphore.clone().acquire_many_owned(2))) else { panic!("three") };
    assert!(Arc::ptr_eq(owned.semaphore(), &semaphore));
    assert!(owned.merge(semaphore.clone().try_acquire_owned().unwrap()).is_ok());
    let part = owned.split(1).unwrap();
    assert_eq!((owned.num_permits(), part.num_permits()), (2, 1));
    drop((owned, part));
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn a_notification_goes_to_the_last_or_to_who_enabled_its_wait() {
    let notify = Arc::new(Notify::new());
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(notify.clone().notified_owned())).collect();
    assert!(waiting.iter_mut().all(|waiting| !waiting.as_mut().enable()));
    notify.notify_last();
    assert!(poll(waiting[0].as_mut()).is_pending());
    assert!(waiting[2].as_mut().enable() && poll(waiting[2].as_mut()).is_ready());

    // Who leaves passes it on, to the first.
    notify.notify_last();
    drop(waiting.remove(1));
    assert!(poll(waiting[0].as_mut()).is_ready());

    notify.notify_last();
    assert!(pin!(notify.notified()).as_mut().enable(), "it is kept");
    assert!(poll(pin!(notify.notified())).is_pending(), "once");
}

#[test]
fn a_wait_that_is_enabled_again_keeps_its_waker() {
    let notify = Notify::new();
    let (wakes, waker) = counting_waker();
    let mut waits = pin!(notify.notified());
    assert!(poll_with(waits.as_mut(), &waker).is_pending());
    assert!(!waits.as_mut().enable());
    notify.notify_one();
    assert_eq!((wakes.count(), waits.as_mut().enable()), (1, true));
    assert!(poll(waits).is_ready());
}
