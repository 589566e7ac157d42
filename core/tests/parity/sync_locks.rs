//! Tokio's `sync_mutex`, `sync_mutex_owned`, `sync_rwlock`, and the part of `sync_panic` that is about locks.

use crate::support::{Probe, blamed, panics, ready, several, single};
use posse_core::sync::{Barrier, Mutex, RwLock, RwLockReadGuard};
use posse_core::task;
use std::sync::Arc;
use std::task::Poll;

#[test]
fn a_mutex_has_one_owner_at_a_time_in_the_order_of_asking() {
    let mutex = Arc::new(Mutex::new(100));
    let first = ready(mutex.lock());
    let (mut second, mut third) = (Probe::new(mutex.lock()), Probe::new(mutex.clone().lock_owned()));
    assert!(second.poll().is_pending() && third.poll().is_pending());
    drop(first);
    assert_eq!((second.woken(), third.woken()), (1, 0));
    let Poll::Ready(mut guard) = second.poll() else { panic!("it is free") };
    *guard = 99;
    drop(guard);
    assert_eq!(third.woken(), 1);
    let Poll::Ready(guard) = third.poll() else { panic!("it is free") };
    assert_eq!((*guard, mutex.try_lock().is_err(), mutex.clone().try_lock_owned().is_err()), (99, true, true));
    drop(guard);
    assert_eq!((mutex.try_lock().map(|guard| *guard).ok(), mutex.clone().try_lock_owned().is_ok()), (Some(99), true));
}

#[test]
fn who_gives_up_waiting_is_in_nobodys_way() {
    let mutex = Arc::new(Mutex::new(()));
    for served in [false, true] {
        let held = mutex.try_lock().unwrap();
        let mut gives_up = Probe::new(mutex.lock());
        let mut owned = Probe::new(mutex.clone().lock_owned());
        let mut waits = Probe::new(mutex.lock());
        assert!(gives_up.poll().is_pending() && owned.poll().is_pending() && waits.poll().is_pending());
        if served {
            drop(held);
            assert_eq!(gives_up.woken(), 1);
            drop((gives_up, owned));
        } else {
            drop((gives_up, owned));
            drop(held);
        }
        assert_eq!(waits.woken(), 1);
        assert!(waits.poll().is_ready());
    }
}

#[test]
fn locks_show_their_value_unless_it_is_locked() {
    let mutex = Mutex::new("value");
    assert!(format!("{mutex:?}").contains("value"));
    let guard = ready(mutex.lock());
    assert_eq!((format!("{guard:?}"), guard.to_string()), ("\"value\"".into(), "value".into()));
    assert!(format!("{mutex:?}").contains("locked"));
    drop(guard);
    let lock = RwLock::new("value");
    let guard = ready(lock.read());
    assert_eq!((format!("{guard:?}"), guard.to_string()), ("\"value\"".into(), "value".into()));
    assert!(format!("{lock:?}").contains("value"));
    drop(guard);
    let writing = ready(lock.write());
    assert_eq!(format!("{writing:?}"), "\"value\"");
    assert!(format!("{lock:?}").contains("locked"));
    drop(writing);
    assert_eq!((mutex.into_inner(), lock.into_inner()), ("value", "value"));
}

#[test]
fn a_panic_while_a_mutex_is_held_gives_it_back() {
    let mutex = Mutex::new(1);
    panics(|| {
        let mut guard = mutex.try_lock().unwrap();
        *guard = 2;
        panic!("on purpose");
    });
    assert_eq!(mutex.try_lock().map(|guard| *guard).ok(), Some(2));
}

#[test]
fn readers_come_together_and_a_writer_alone() {
    let lock = RwLock::new(100);
    let (one, other) = (ready(lock.read()), ready(lock.read()));
    assert_eq!((*one, *other), (100, 100));
    let mut writer = Probe::new(lock.write());
    assert!(writer.poll().is_pending());
    drop(one);
    assert_eq!(writer.woken(), 0);
    drop(other);
    assert_eq!(writer.woken(), 1);
    let Poll::Ready(mut guard) = writer.poll() else { panic!("it is free") };
    *guard += 50;
    let (mut reads, mut writes) = (Probe::new(lock.read()), Probe::new(lock.write()));
    assert!(reads.poll().is_pending() && writes.poll().is_pending());
    drop(guard);
    assert_eq!((reads.woken(), writes.woken()), (1, 0));
    let Poll::Ready(guard) = reads.poll() else { panic!("it is free") };
    assert_eq!((*guard, lock.try_write().is_err()), (150, true));
    // A writer waits: nobody who asks later gets in before it.
    assert!(lock.try_read().is_err());
}

#[test]
fn who_asked_to_read_gets_in_when_the_writer_before_it_gives_up() {
    let lock = RwLock::new(());
    let _held = ready(lock.read());
    let (mut writer, mut reader) = (Probe::new(lock.write()), Probe::new(lock.read()));
    assert!(writer.poll().is_pending() && reader.poll().is_pending());
    drop(writer);
    assert_eq!(reader.woken(), 1);
    assert!(reader.poll().is_ready());
}

#[test]
fn as_many_read_as_may() {
    let lock = RwLock::with_max_readers(0, 3);
    let mut guards: Vec<_> = (0..3).map(|_| ready(lock.read())).collect();
    let mut more = Probe::new(lock.read());
    assert!(more.poll().is_pending() && lock.try_read().is_err());
    guards.pop();
    assert_eq!(more.woken(), 1);
    assert!(more.poll().is_ready());
    // Tokio panics for none; here one may.
    let lock = RwLock::with_max_readers(0, 0);
    assert!(ready(lock.read()).eq(&0) && lock.try_write().is_ok());
}

#[test]
fn writers_are_served_in_the_order_of_being_polled() {
    single().block_on(async {
        let lock = RwLock::new(Vec::new());
        let second = async { lock.write().await.push(2) };
        let first = async { lock.write().await.push(1) };
        first.await;
        second.await;
        assert_eq!(*lock.read().await, [1, 2]);
    });
}

#[test]
fn trying_waits_for_nobody() {
    let lock = Arc::new(RwLock::new(15));
    let (one, other) = (lock.try_read().unwrap(), lock.clone().try_read_owned().unwrap());
    assert_eq!(
        (*one, *other, lock.try_write().is_err(), lock.clone().try_write_owned().is_err()),
        (15, 15, true, true)
    );
    drop((one, other));
    let mut writing = lock.clone().try_write_owned().unwrap();
    *writing = 16;
    assert!(lock.try_read().is_err() && lock.clone().try_read_owned().is_err());
    drop(writing);
    assert_eq!(lock.try_read().map(|guard| *guard).ok(), Some(16));
}

/// Tokio's `downgrade_map` in two steps.
#[test]
fn a_writer_becomes_a_reader_of_a_part() {
    let lock = RwLock::new((1, 2));
    let writing = ready(lock.write());
    let (mut reader, mut writer) = (Probe::new(lock.read()), Probe::new(lock.write()));
    assert!(reader.poll().is_pending() && writer.poll().is_pending());
    let reading = writing.downgrade();
    assert_eq!((reader.woken(), writer.woken()), (1, 0));
    let part = RwLockReadGuard::map(reading, |pair| &pair.1);
    let Poll::Ready(other) = reader.poll() else { panic!("readers share") };
    assert_eq!((*part, *other), (2, (1, 2)));
    let Err(part) = RwLockReadGuard::try_map(part, |_| None::<&u8>) else { panic!("there is no such part") };
    drop((part, other));
    assert_eq!(writer.woken(), 1);
}

#[test]
fn writers_of_several_threads_lose_nothing() {
    several().block_on(async {
        let (lock, barrier) = (Arc::new(RwLock::new(0)), Arc::new(Barrier::new(5)));
        for add in [2, 3, 5, 7] {
            let (lock, barrier) = (lock.clone(), barrier.clone());
            drop(task::spawn(async move {
                for _ in 0..500 {
                    *lock.write().await += add;
                }
                barrier.wait().await;
            }));
        }
        barrier.wait().await;
        assert_eq!(*lock.read().await, 500 * 17);
    });
}

#[test]
fn blocking_in_a_task_is_blamed_on_who_does() {
    let inside = |f: fn()| assert_eq!(blamed(|| single().block_on(async { f() })), file!());
    inside(|| drop(Mutex::new(1).blocking_lock()));
    inside(|| drop(Arc::new(Mutex::new(1)).blocking_lock_owned()));
    inside(|| drop(RwLock::new(1).blocking_read()));
    inside(|| drop(RwLock::new(1).blocking_write()));
}
