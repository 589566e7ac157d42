//! Tokio's `sync_semaphore` and `sync_semaphore_owned`.

use crate::support::{Probe, blamed, ready, several, single};
use posse_core::sync::{Semaphore, TryAcquireError};
use posse_core::task;
use std::sync::Arc;
use std::task::Poll;

#[test]
fn a_semaphore_without_permits_has_none() {
    let semaphore = Arc::new(Semaphore::new(0));
    assert_eq!(semaphore.try_acquire().map(drop), Err(TryAcquireError::NoPermits));
    assert_eq!(semaphore.clone().try_acquire_owned().map(drop), Err(TryAcquireError::NoPermits));
    let mut waits = Probe::new(semaphore.acquire());
    assert!(waits.poll().is_pending());
    semaphore.add_permits(1);
    assert_eq!(waits.woken(), 1);
    assert!(matches!(waits.poll(), Poll::Ready(Ok(_))));
}

#[test]
fn permits_are_taken_and_given_back_borrowed_and_owned() {
    let semaphore = Arc::new(Semaphore::new(5));
    let borrowed = semaphore.try_acquire_many(2).unwrap();
    let owned = semaphore.clone().try_acquire_many_owned(2).unwrap();
    assert_eq!((semaphore.available_permits(), borrowed.num_permits(), owned.num_permits()), (1, 2, 2));
    assert_eq!(semaphore.try_acquire_many(2).map(drop), Err(TryAcquireError::NoPermits));
    assert!(Arc::ptr_eq(owned.semaphore(), &semaphore));
    drop(borrowed);
    assert_eq!(semaphore.available_permits(), 3);
    drop(owned);
    assert_eq!(semaphore.available_permits(), 5);
    assert_eq!(ready(semaphore.clone().acquire_many_owned(0)).unwrap().num_permits(), 0);
}

#[test]
fn what_is_forgotten_is_not_given_back() {
    let semaphore = Arc::new(Semaphore::new(4));
    semaphore.try_acquire().unwrap().forget();
    semaphore.clone().try_acquire_owned().unwrap().forget();
    assert_eq!(semaphore.available_permits(), 2);
    // As many as there are: what is out is not reached.
    let held = semaphore.try_acquire().unwrap();
    assert_eq!((semaphore.forget_permits(5), semaphore.available_permits()), (1, 0));
    assert!(semaphore.try_acquire().is_err());
    drop(held);
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn a_closed_semaphore_still_counts() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.try_acquire().unwrap();
    let mut waits = Probe::new(semaphore.acquire_many(2));
    assert!(waits.poll().is_pending() && !semaphore.is_closed());
    semaphore.close();
    assert!(semaphore.is_closed() && matches!(waits.poll(), Poll::Ready(Err(_))));
    assert_eq!(semaphore.try_acquire().map(drop), Err(TryAcquireError::Closed));
    drop(held);
    semaphore.add_permits(3);
    assert_eq!((semaphore.available_permits(), semaphore.forget_permits(3), semaphore.available_permits()), (5, 3, 2));
}

/// Tokio has a greatest number of permits and panics beyond it; here `usize::MAX` is where counting stops.
#[test]
fn there_may_be_any_number_of_permits() {
    let semaphore = Semaphore::new(usize::MAX);
    semaphore.add_permits(usize::MAX);
    assert_eq!(semaphore.available_permits(), usize::MAX);
    assert_eq!(semaphore.try_acquire_many(usize::MAX).unwrap().num_permits(), usize::MAX);
}

#[test]
fn permits_merge_and_split_within_their_semaphore() {
    let semaphore = Arc::new(Semaphore::new(3));
    let other = Arc::new(Semaphore::new(3));
    let mut borrowed = semaphore.try_acquire().unwrap();
    assert!(borrowed.merge(semaphore.try_acquire_many(2).unwrap()).is_ok());
    // Tokio panics; here the other permit comes back.
    let stranger = borrowed.merge(other.try_acquire().unwrap()).unwrap_err();
    assert_eq!((borrowed.num_permits(), stranger.num_permits(), other.available_permits()), (3, 1, 2));
    let split = borrowed.split(1).unwrap();
    assert!(borrowed.split(3).is_none());
    assert_eq!((borrowed.num_permits(), split.num_permits()), (2, 1));
    drop(split);
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!(borrowed.split(0).unwrap().num_permits(), 0);
    drop(borrowed);

    let mut owned = semaphore.clone().try_acquire_many_owned(2).unwrap();
    assert!(owned.merge(semaphore.clone().try_acquire_owned().unwrap()).is_ok());
    assert!(owned.merge(other.clone().try_acquire_owned().unwrap()).is_err());
    let whole = owned.split(3).unwrap();
    assert_eq!((owned.num_permits(), whole.num_permits()), (0, 3));
    drop(owned);
    assert_eq!(semaphore.available_permits(), 0);
    drop((whole, stranger));
    assert_eq!((semaphore.available_permits(), other.available_permits()), (3, 3));
}

#[test]
fn many_tasks_on_several_threads_leave_all_permits_behind() {
    several().block_on(async {
        let semaphore = Arc::new(Semaphore::new(5));
        let tasks: Vec<_> = (0..200)
            .map(|n| {
                let semaphore = semaphore.clone();
                task::spawn(async move {
                    if n % 2 == 0 {
                        let _permit = semaphore.clone().acquire_owned().await.unwrap();
                        task::yield_now().await;
                    } else {
                        let _permits = semaphore.acquire_many(1 + n % 5).await.unwrap();
                        task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(semaphore.available_permits(), 5);
        assert_eq!(semaphore.acquire_many(5).await.unwrap().num_permits(), 5);
    });
}

#[test]
fn a_permit_that_was_waited_for_may_be_had_by_a_task_of_another_runtime() {
    let semaphore = Arc::new(Semaphore::new(0));
    let (one, other) = (several(), semaphore.clone());
    let waits = one.spawn(async move { other.acquire_many(2).await.map(|permits| permits.num_permits()) });
    single().block_on(async {
        semaphore.add_permits(2);
        assert_eq!(waits.await.unwrap(), Ok(2));
        assert_eq!(semaphore.available_permits(), 2);
    });
}

#[test]
fn blocking_code_waits_for_permits_and_sees_the_end() {
    several().block_on(async {
        let semaphore = Arc::new(Semaphore::new(0));
        let shared = semaphore.clone();
        let blocking = task::spawn_blocking(move || {
            let one = shared.blocking_acquire().unwrap();
            let two = shared.blocking_acquire_many(2).unwrap();
            let three = shared.clone().blocking_acquire_owned().unwrap();
            let five = shared.clone().blocking_acquire_many_owned(2).unwrap();
            let counts = (one.num_permits(), two.num_permits(), three.num_permits(), five.num_permits());
            drop((one, two, three, five));
            counts
        });
        semaphore.add_permits(6);
        assert_eq!(blocking.await.unwrap(), (1, 2, 1, 2));
        assert_eq!(semaphore.available_permits(), 6);

        let shared = semaphore.clone();
        let refused = task::spawn_blocking(move || shared.blocking_acquire_many(7).is_err());
        semaphore.close();
        assert!(refused.await.unwrap());
        let refused = task::spawn_blocking(move || semaphore.blocking_acquire_owned().is_err());
        assert!(refused.await.unwrap());
    });
}

#[test]
fn blocking_in_a_task_is_blamed_on_who_does() {
    let inside = |f: fn()| assert_eq!(blamed(|| single().block_on(async { f() })), file!());
    inside(|| drop(Semaphore::new(1).blocking_acquire()));
    inside(|| drop(Semaphore::new(1).blocking_acquire_many(1)));
    inside(|| drop(Arc::new(Semaphore::new(1)).blocking_acquire_owned()));
    inside(|| drop(Arc::new(Semaphore::new(1)).blocking_acquire_many_owned(1)));
}
