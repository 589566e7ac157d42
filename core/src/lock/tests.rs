//! A lock goes on after a panic under it.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn a_panic_under_the_lock_leaves_it_usable() {
    let mut mutex = Mutex::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut value = mutex.lock();
        *value = 2;
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(*mutex.lock(), 2);
    assert!(mutex.try_lock().is_some());
    assert_eq!(*mutex.get_mut(), 2);
    assert_eq!(mutex.into_inner(), 2);
}

#[test]
fn trying_to_lock_a_locked_mutex_gives_nothing() {
    let mutex = Mutex::new(());
    let guard = mutex.lock();
    assert!(mutex.try_lock().is_none());
    drop(guard);
    assert!(mutex.try_lock().is_some());
}
