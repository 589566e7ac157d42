//! Tasks that stay on one worker: whichever thread wakes them, whatever else the worker does, however the runtime ends.

use super::current;
use crate::runtime::{Builder, Handle, Runtime};
use crate::sync::{Notify, mpsc};
use crate::task::{self, JoinHandle, yield_now};
use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc as blocking;
use std::time::Duration;

/// Longer than any test takes; a test that waits for this has failed.
const LONG: Duration = Duration::from_secs(60);

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).build().expect("a runtime")
}

/// The worker that runs this code.
fn here() -> Option<usize> {
    current::with_local_queue(|local| local.map(|(_, local)| local.index))
}

fn pinned<F>(worker: usize, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Handle::current().spawn_pinned(worker, future).expect("there is such a worker")
}

#[test]
fn only_its_own_worker_runs_it_whoever_wakes_it() {
    let runtime = runtime(3);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..3)
            .map(|worker| {
                let (sender, mut receiver) = mpsc::channel(1);
                let task = pinned(worker, async move {
                    let mut polls = 0;
                    while receiver.recv().await.is_some() {
                        assert_eq!(here(), Some(worker));
                        yield_now().await;
                        assert_eq!(here(), Some(worker));
                        polls += 1;
                    }
                    polls
                });
                (sender, task)
            })
            .collect();
        // By this thread, which is no worker, and by tasks on any worker.
        for round in 0..300 {
            for (sender, _) in &tasks {
                let sender = sender.clone();
                if round % 2 == 0 {
                    sender.send(()).await.expect("it receives");
                } else {
                    task::spawn(async move { sender.send(()).await.expect("it receives") }).await.expect("no panic");
                }
            }
        }
        for (sender, task) in tasks {
            drop(sender);
            assert_eq!(task.await.expect("always on its worker"), 300);
        }
    });
}

#[test]
fn a_worker_that_never_rests_runs_what_is_pinned_to_it_and_what_is_not() {
    for runtime in [runtime(1), Builder::new_current_thread().build().expect("a runtime")] {
        runtime.block_on(async {
            let (stop, turns) =
                (Arc::new(AtomicBool::new(false)), Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]));
            let spin = |n: usize| {
                let (stop, turns) = (stop.clone(), turns.clone());
                async move {
                    while !stop.load(Ordering::Relaxed) {
                        turns[n].fetch_add(1, Ordering::Relaxed);
                        yield_now().await;
                    }
                }
            };
            let spinning = [pinned(0, spin(0)), task::spawn(spin(1))];
            let (count, done) = (turns.clone(), stop.clone());
            // A third one that is woken again and again, among the two.
            let ends = pinned(0, async move {
                while count.iter().any(|turns| turns.load(Ordering::Relaxed) < 1_000) {
                    yield_now().await;
                }
                done.store(true, Ordering::Relaxed);
            });
            ends.await.expect("no panic");
            for task in spinning {
                task.await.expect("no panic");
            }
        });
    }
}

#[test]
fn a_worker_that_the_runtime_lacks_is_an_error() {
    let runtime = runtime(2);
    let held = Arc::new(());
    let future = {
        let held = held.clone();
        async move { drop(held) }
    };
    let error = runtime.handle().spawn_pinned(2, future).expect_err("two workers");
    assert_eq!(error.to_string(), "no worker 2: the runtime has 2, counted from 0 (`Handle::workers`)");
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn the_end_of_the_runtime_drops_it_wherever_it_waits() {
    struct CountDrop(Arc<AtomicUsize>);
    impl Drop for CountDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let guard = || CountDrop(drops.clone());
    let runtime = runtime(2);
    let (begun, begins) = blocking::channel();
    let (asleep, woken, blocks, unrun) = (guard(), guard(), guard(), guard());
    let handle = runtime.handle();
    let sleeping = begun.clone();
    let tasks = [
        handle.spawn_pinned(0, async move {
            let _guard = asleep;
            sleeping.send(()).expect("the receiver waits");
            pending::<()>().await;
        }),
        handle.spawn_pinned(0, async move {
            let _guard = woken;
            loop {
                yield_now().await;
            }
        }),
    ];
    begins.recv_timeout(LONG).expect("it has begun");
    let (release, blocked) = blocking::channel::<()>();
    let blocker = handle.spawn_pinned(1, async move {
        let _guard = blocks;
        begun.send(()).expect("the receiver waits");
        blocked.recv_timeout(LONG).expect("released");
        pending::<()>().await;
    });
    begins.recv_timeout(LONG).expect("it has begun");
    // Its worker is in a poll, so it cannot have begun.
    let behind = handle.spawn_pinned(1, async move {
        let _guard = unrun;
        pending::<()>().await;
    });
    release.send(()).expect("it waits");
    drop(runtime);
    assert_eq!(drops.load(Ordering::Relaxed), 4);
    for task in tasks.into_iter().chain([blocker, behind]) {
        assert!(task.expect("there is such a worker").is_finished());
    }
}

/// The worker goes to another thread, with what is pinned to it; the task that blocked comes back to the worker, not to its thread.
#[test]
fn a_worker_that_is_taken_away_takes_along_what_is_pinned_to_it() {
    let runtime = runtime(2);
    let notify = Arc::new(Notify::new());
    let notified = notify.clone();
    let task = runtime.handle().spawn_pinned(1, async move {
        for _ in 0..20 {
            let (sender, receiver) = blocking::channel();
            let other = pinned(1, async move { sender.send(here()).expect("the receiver waits") });
            let ran_on = task::block_in_place(|| receiver.recv_timeout(LONG).expect("another thread has the worker"));
            assert_eq!(ran_on, Some(1));
            // Woken while no worker runs it, and when it waits.
            yield_now().await;
            assert_eq!(here(), Some(1));
            other.await.expect("no panic");
            notified.notified().await;
            assert_eq!(here(), Some(1));
        }
    });
    let task = task.expect("there is such a worker");
    runtime.block_on(async {
        while !task.is_finished() {
            notify.notify_one();
            yield_now().await;
        }
        task.await.expect("always on its worker");
    });
}

/// A worker that is stuck keeps what is pinned to it, and no other.
#[test]
fn the_watchdog_leaves_it_where_it_is() {
    let runtime = runtime(2);
    let (begun, begins) = blocking::channel();
    let (release, blocked) = blocking::channel::<()>();
    let blocker = runtime.handle().spawn_pinned(0, async move {
        let (ran, runs) = blocking::channel();
        let others = ran.clone();
        // One behind the other in the queue of this worker, and one that is pinned to it.
        let free = [task::spawn(async move { ran.send("free").expect("it waits") }), task::spawn(async {})];
        let bound = pinned(0, async move { others.send("pinned").expect("it waits") });
        begun.send(()).expect("the receiver waits");
        let first = runs.recv_timeout(LONG);
        blocked.recv_timeout(LONG).expect("released");
        let none_yet = runs.try_recv();
        drop(free);
        (first, none_yet, bound, runs)
    });
    begins.recv_timeout(LONG).expect("it has begun");
    release.send(()).expect("it waits");
    let (first, none_yet, bound, runs) =
        runtime.block_on(blocker.expect("there is such a worker")).expect("it has ended");
    assert_eq!((first, none_yet), (Ok("free"), Err(blocking::TryRecvError::Empty)));
    runtime.block_on(bound).expect("no panic");
    assert_eq!(runs.try_recv(), Ok("pinned"));
}
