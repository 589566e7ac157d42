//! Tokio's `sync_once_cell`, `sync_set_once` and `sync_barrier`.

use crate::support::{OnDrop, Probe, panics, ready, several};
use posse_core::sync::{Barrier, OnceCell, SetError, SetOnce, oneshot};
use posse_core::task;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

#[test]
fn a_value_is_dropped_once_with_its_cell_or_with_who_took_it() {
    let drops = AtomicUsize::new(0);
    let value = || OnDrop(|| _ = drops.fetch_add(1, Ordering::Relaxed));
    drop(OnceCell::from(value()));
    drop(SetOnce::from(value()));
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    let cell = OnceCell::new();
    assert!(cell.set(value()).is_ok());
    let taken = cell.into_inner();
    assert_eq!(drops.load(Ordering::Relaxed), 2);
    drop(taken);
    let place = SetOnce::new();
    assert!(place.set(value()).is_ok());
    let taken = place.into_inner();
    assert_eq!(drops.load(Ordering::Relaxed), 3);
    drop(taken);
    assert_eq!(drops.load(Ordering::Relaxed), 4);
    // The value that was refused comes back, and is dropped by whom it came back to.
    let cell = OnceCell::from(value());
    drop(cell.set(value()));
    assert_eq!(drops.load(Ordering::Relaxed), 5);
}

static CELL: OnceCell<u32> = OnceCell::new();
static PLACE: SetOnce<u32> = SetOnce::new();

#[test]
fn cells_may_be_statics() {
    several().block_on(async {
        assert_eq!((CELL.get(), PLACE.get(), PLACE.initialized()), (None, None, false));
        let waits = task::spawn(async { *PLACE.wait().await });
        task::spawn(async { CELL.set(5).is_ok() && PLACE.set(6).is_ok() }).await.unwrap();
        assert_eq!((CELL.get(), PLACE.get(), waits.await.unwrap()), (Some(&5), Some(&6), 6));
        assert_eq!(*CELL.get_or_init(|| async { 9 }).await, 5);
    });
}

#[test]
fn one_of_many_makes_the_value() {
    several().block_on(async {
        let (cell, made) = (Arc::new(OnceCell::new()), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let (cell, made) = (cell.clone(), made.clone());
                task::spawn(async move {
                    let make = || async {
                        task::yield_now().await;
                        made.fetch_add(1, Ordering::Relaxed);
                        n
                    };
                    *cell.get_or_init(make).await
                })
            })
            .collect();
        let mut values = Vec::new();
        for task in tasks {
            values.push(task.await.unwrap());
        }
        assert!(values.iter().all(|value| Some(value) == cell.get()));
        assert_eq!(made.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn the_next_makes_the_value_after_a_panic_and_after_an_error() {
    let cell = OnceCell::new();
    let (go, gone) = oneshot::channel::<()>();
    let mut breaks = Probe::new(cell.get_or_init(|| async move {
        let _ = gone.await;
        panic!("on purpose");
    }));
    assert!(breaks.poll().is_pending());
    let mut fails = Probe::new(cell.get_or_try_init(|| async { Err("no") }));
    let mut makes = Probe::new(cell.get_or_init(|| async { 7 }));
    assert!(fails.poll().is_pending() && makes.poll().is_pending());
    drop(go);
    panics(|| _ = breaks.poll());
    assert_eq!((fails.woken(), fails.poll()), (1, Poll::Ready(Err("no"))));
    assert_eq!((makes.woken(), makes.poll()), (1, Poll::Ready(&7)));
}

#[test]
fn a_value_is_not_set_while_one_is_made() {
    let cell = OnceCell::new();
    let (go, gone) = oneshot::channel();
    let mut makes = Probe::new(cell.get_or_init(|| async { gone.await.unwrap() }));
    assert!(makes.poll().is_pending());
    assert!(matches!(cell.set(10), Err(SetError::InitializingError(10))));
    assert_eq!(go.send(5), Ok(()));
    assert_eq!(makes.poll(), Poll::Ready(&5));
    assert!(matches!(cell.set(10), Err(SetError::AlreadyInitializedError(10))));
}

#[test]
fn a_place_is_set_once_whoever_comes_first() {
    several().block_on(async {
        let place = Arc::new(SetOnce::new());
        let waits: Vec<_> = (0..5)
            .map(|_| {
                let place = place.clone();
                task::spawn(async move { *place.wait().await })
            })
            .collect();
        let mut sets = 0;
        for n in 0..5 {
            let place = place.clone();
            sets += usize::from(task::spawn(async move { place.set(n).is_ok() }).await.unwrap());
        }
        assert_eq!(sets, 1);
        for waits in waits {
            assert_eq!(Some(&waits.await.unwrap()), place.get());
        }
        assert_eq!(ready(place.wait()), place.get().unwrap());
    });
    assert_eq!(SetOnce::<u8>::new().into_inner(), None);
}

#[test]
fn a_barrier_has_one_leader_each_time() {
    let barrier = Barrier::new(1);
    assert!((0..3).all(|_| ready(barrier.wait()).is_leader()));
    let barrier = Barrier::new(100);
    for _ in 0..3 {
        let mut waiting: Vec<_> = (0..99).map(|_| Probe::new(barrier.wait())).collect();
        assert!(waiting.iter_mut().all(|waits| waits.poll().is_pending()));
        assert!(waiting.iter().all(|waits| waits.woken() == 0));
        let mut leaders = usize::from(ready(barrier.wait()).is_leader());
        for waits in &mut waiting {
            assert_eq!(waits.woken(), 1);
            let Poll::Ready(result) = waits.poll() else { panic!("all have come") };
            leaders += usize::from(result.is_leader());
        }
        assert_eq!(leaders, 1);
    }
}
