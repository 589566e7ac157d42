//! Closures that wait, in the simulated world.

use super::tests::{spec, world};
use super::*;
use crate::runtime::Handle;
use crate::sync::{Mutex, Notify, mpsc, oneshot};
use crate::task::{self, spawn_blocking};
use crate::time::{Instant, sleep};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Closures and tasks that wait for each other; the order in which values came, and when.
async fn scenario() -> Vec<(u32, Duration)> {
    let start = Instant::now();
    let (send, mut receive) = mpsc::channel(1);
    let (tx, mut rx) = mpsc::channel(1);
    let lock = Arc::new(Mutex::new(()));
    let held = lock.clone().lock_owned().await;
    let relays: Vec<_> = (0..3)
        .map(|relay| {
            let (send, lock) = (send.clone(), lock.clone());
            spawn_blocking(move || {
                assert!(task::try_id().is_some());
                let _held = lock.blocking_lock();
                for n in 0..4 {
                    send.blocking_send(relay * 10 + n).unwrap();
                    Handle::current().block_on(sleep(Duration::from_millis(10)));
                }
            })
        })
        .collect();
    drop(send);
    let sums = spawn_blocking(move || {
        while let Some(n) = receive.blocking_recv() {
            tx.blocking_send(n).unwrap();
        }
    });
    sleep(Duration::from_secs(1)).await;
    drop(held);
    let mut came = Vec::new();
    while let Some(n) = rx.recv().await {
        came.push((n, start.elapsed()));
    }
    for relay in relays {
        relay.await.unwrap();
    }
    sums.await.unwrap();
    came
}

#[test]
fn a_closure_waits_in_the_simulations_time_and_as_the_seed_says() {
    let run = |seed| {
        let mut world = world(seed);
        let came = world.run(|_| scenario()).unwrap();
        (came, world.record())
    };
    let mut orders = std::collections::BTreeSet::new();
    for seed in 0..10 {
        let ((came, record), (again, record_again)) = (run(seed), run(seed));
        assert_eq!(record.differs_from(&record_again), None);
        assert_eq!(came, again);
        let first = came.first().unwrap().1;
        assert!(
            came.len() == 12
                && first >= Duration::from_secs(1)
                && came.last().unwrap().1 >= first + Duration::from_millis(90)
        );
        orders.insert(came.into_iter().map(|(n, _)| n).collect::<Vec<_>>());
    }
    assert!(orders.len() > 1, "every seed took the same order");
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_closure_that_waits_is_dropped_with_its_machine_and_runs_on_when_its_task_is_aborted() {
    let run = world(3).run(|control| async move {
        let dropped = Arc::new(AtomicUsize::new(0));
        let counts = dropped.clone();
        let machine = control
            .add(spec("waits", move |handle| {
                let guard = CountDrop(counts.clone());
                drop(handle.spawn_blocking(move || {
                    let _guard = guard;
                    let (_send, receive) = oneshot::channel::<()>();
                    let _ = receive.blocking_recv();
                }));
            }))
            .await
            .unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
        control.kill(machine, Crash::Kill).await;
        assert!(dropped.load(Ordering::SeqCst) > 0);

        let (notify, ended) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let (waits, guard) = (notify.clone(), CountDrop(ended.clone()));
        let task = spawn_blocking(move || {
            let _guard = guard;
            Handle::current().block_on(waits.notified());
        });
        sleep(Duration::from_secs(1)).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(ended.load(Ordering::SeqCst), 0);
        notify.notify_one();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(ended.load(Ordering::SeqCst), 1);
    });
    assert!(run.is_ok(), "{run:?}");
}

#[test]
fn a_closure_that_panics_after_it_waited_tells_its_joiner() {
    let run = world(4).run(|_| async move {
        let task = spawn_blocking(|| {
            Handle::current().block_on(sleep(Duration::from_secs(1)));
            panic!("on purpose");
        });
        assert!(task.await.unwrap_err().is_panic());
    });
    assert!(run.is_ok(), "{run:?}");
}

/// Waits when it is dropped, for what does not come.
struct WaitsInDrop;

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        let (_send, receive) = oneshot::channel::<()>();
        let _ = receive.blocking_recv();
    }
}

/// Runs a machine whose closure `waits`, kills it, starts it again, and ends it. Returns how many of the two closures have dropped the guard.
fn end_while(waits: fn(CountDrop)) -> usize {
    let dropped = Arc::new(AtomicUsize::new(0));
    let counts = dropped.clone();
    let run = world(5).run(|control| async move {
        let boot = move |handle: &Handle| {
            let guard = CountDrop(counts.clone());
            drop(handle.spawn_blocking(move || waits(guard)));
        };
        let machine = control.add(spec("waits", boot)).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        control.kill(machine, Crash::Kill).await;
        control.start(machine, None).await;
        sleep(Duration::from_secs(1)).await;
    });
    assert!(run.is_ok(), "{run:?}");
    dropped.load(Ordering::SeqCst)
}

#[test]
fn a_machine_ends_whose_closure_waits_in_a_destructor() {
    // The guard goes before what waits, what is kept would after it.
    let dropped = end_while(|guard| {
        let _kept = CountDrop(guard.0.clone());
        let _waits = WaitsInDrop;
        let _guard = guard;
        Handle::current().block_on(std::future::pending::<()>());
    });
    assert_eq!(dropped, 2);
}

#[test]
fn a_machine_ends_whose_closure_waits_in_a_destructor_of_its_own_panic() {
    let dropped = end_while(|guard| {
        let _guard = guard;
        let _waits = WaitsInDrop;
        panic!("on purpose");
    });
    assert_eq!(dropped, 0);
}

#[test]
fn a_machine_ends_whose_closure_catches_what_unwinds_it() {
    let dropped = end_while(|guard| {
        let _guard = guard;
        // The runtime has ended from the second time on: it does not come to wait.
        while catch_unwind(|| Handle::current().block_on(std::future::pending::<()>())).is_err() {}
    });
    assert_eq!(dropped, 0);
    let dropped = end_while(|guard| {
        let _guard = guard;
        while catch_unwind(|| drop(WaitsInDrop)).is_err() {}
    });
    assert_eq!(dropped, 0);
}
