//! Hooks, policies and knobs of a runtime.

use super::{BlockOnError, Builder, Runtime, UnhandledPanic};
use crate::lock::Mutex;
use crate::sync::Notify;
use crate::task::{self, yield_now};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What hooks were called with, in order.
type Log = Arc<Mutex<Vec<String>>>;

fn logged(log: &Log, what: &'static str) -> impl Fn(&super::TaskMeta) + Send + Sync + 'static {
    let log = log.clone();
    move |task| log.lock().push(format!("{what} {}", task.name().unwrap_or("-")))
}

fn with_task_hooks(builder: Builder, log: &Log) -> Runtime {
    builder
        .on_task_spawn(logged(log, "spawn"))
        .on_before_task_poll(logged(log, "before"))
        .on_after_task_poll(logged(log, "after"))
        .on_task_terminate(logged(log, "end"))
        .build()
        .expect("a runtime")
}

#[test]
fn hooks_of_a_task_are_called_in_the_order_of_its_life() {
    let log = Log::default();
    let runtime = with_task_hooks(Builder::new_current_thread(), &log);
    runtime.block_on(async { task::Builder::new().name("a").spawn(yield_now()).await.unwrap() });
    assert_eq!(*log.lock(), ["spawn a", "before a", "after a", "before a", "after a", "end a"]);
}

#[test]
fn each_task_that_is_spawned_terminates_once_whatever_ends_it() {
    for builder in [Builder::new_current_thread(), Builder::new_multi_thread().worker_threads(2)] {
        let log = Log::default();
        let runtime = with_task_hooks(builder, &log);
        runtime.block_on(async {
            let aborted = task::spawn(pending::<()>());
            yield_now().await;
            aborted.abort();
            assert!(aborted.await.unwrap_err().is_cancelled());
            assert!(task::spawn(async { panic!("on purpose") }).await.unwrap_err().is_panic());
            // One that sleeps and one that is queued when the runtime ends; closures are no such tasks.
            task::spawn(pending::<()>());
            task::spawn_blocking(|| ()).await.unwrap();
            task::spawn(async {});
        });
        drop(runtime);
        let count = |what: &str| log.lock().iter().filter(|line| line.starts_with(what)).count();
        assert_eq!((count("spawn"), count("end")), (4, 4));
        assert_eq!(count("before"), count("after"));
    }
}

#[test]
fn a_hook_that_panics_hurts_nobody() {
    let runtime = Builder::new_current_thread()
        .on_task_spawn(|_| panic!("on purpose"))
        .on_before_task_poll(|_| panic!("on purpose"))
        .build()
        .expect("a runtime");
    assert_eq!(runtime.block_on(async { task::spawn(async { 3 }).await.unwrap() }), 3);
}

#[test]
fn every_thread_that_starts_stops() {
    let counts = Arc::new([const { AtomicUsize::new(0) }; 2]);
    let count = |index: usize| {
        let counts = counts.clone();
        move || _ = counts[index].fetch_add(1, Ordering::AcqRel)
    };
    let builder = Builder::new_multi_thread().worker_threads(2).on_thread_start(count(0)).on_thread_stop(count(1));
    let runtime = builder.build().expect("a runtime");
    runtime.block_on(async { task::spawn_blocking(|| ()).await.unwrap() });
    assert_eq!(runtime.shutdown_timeout(Duration::from_secs(60)), 0);
    // Two workers; the thread of the pool has left it, and may not have come to its hook.
    assert_eq!(counts[0].load(Ordering::Acquire), 3);
    assert!((2..=3).contains(&counts[1].load(Ordering::Acquire)));
}

#[test]
fn a_task_that_is_woken_as_the_worker_goes_to_sleep_is_run_instead() {
    let log = Log::default();
    let wakes = Arc::new(crate::sync::Notify::new());
    let (wake, parks, unparks) = (wakes.clone(), log.clone(), log.clone());
    let runtime = Builder::new_current_thread()
        .on_thread_park(move || {
            parks.lock().push("park".to_owned());
            wake.notify_one();
        })
        .on_thread_unpark(move || unparks.lock().push("unpark".to_owned()))
        .build()
        .expect("a runtime");
    runtime.block_on(async { wakes.notified().await });
    assert_eq!(*log.lock(), ["park", "unpark"]);
}

#[test]
fn threads_are_named_after_the_runtime_or_by_a_function() {
    let name_of_a_thread = |builder: Builder| {
        let runtime = builder.worker_threads(1).build().expect("a runtime");
        let spawned = runtime.spawn(async { thread::current().name().map(str::to_owned) });
        runtime.block_on(spawned).unwrap().expect("a name")
    };
    assert_eq!(name_of_a_thread(Builder::new_multi_thread()), "posse-worker-0");
    assert_eq!(name_of_a_thread(Builder::new_multi_thread().name("orders")), "orders-worker-0");
    assert_eq!(name_of_a_thread(Builder::new_multi_thread().name("orders").thread_name("t")), "t-0");
    assert_eq!(name_of_a_thread(Builder::new_multi_thread().thread_name_fn(|| "f\0g".to_owned())), "fg");
    assert_eq!(name_of_a_thread(Builder::new_multi_thread().thread_name_fn(|| panic!("on purpose"))), "");
}

#[test]
fn a_panic_ends_a_runtime_that_shuts_down_for_it_and_every_block_on() {
    for builder in [Builder::new_current_thread(), Builder::new_multi_thread().worker_threads(2)] {
        let runtime = builder.unhandled_panic(UnhandledPanic::ShutdownRuntime).build().expect("a runtime");
        let handle = runtime.handle().clone();
        thread::scope(|scope| {
            let others: Vec<_> = (0..2).map(|_| scope.spawn(|| handle.try_block_on(pending::<()>()))).collect();
            let held = Arc::new(());
            let holds = held.clone();
            let ended = handle.try_block_on(async move {
                task::spawn(async move {
                    let _holds = holds;
                    pending::<()>().await;
                });
                yield_now().await;
                task::spawn(async { panic!("on purpose") });
                pending::<()>().await;
            });
            assert_eq!(ended, Err(BlockOnError::TaskPanicked));
            for other in others {
                // One that came late was refused.
                let ended = other.join().unwrap().unwrap_err();
                assert!(matches!(ended, BlockOnError::TaskPanicked | BlockOnError::ShutDown));
            }
            assert!(handle.is_shut_down());
            drop(runtime);
            assert_eq!(Arc::strong_count(&held), 1);
        });
    }
}

/// Tasks that are woken one after the other by the task that runs.
fn order_of_wakes(builder: Builder) -> Vec<usize> {
    let runtime = builder.build().expect("a runtime");
    let order = Arc::new(Mutex::new(Vec::new()));
    let runs = order.clone();
    runtime.block_on(async move {
        let spawner = task::spawn(async move {
            for n in 0..3 {
                let runs = runs.clone();
                task::spawn(async move { runs.lock().push(n) });
            }
        });
        spawner.await.expect("no panic");
        for _ in 0..4 {
            yield_now().await;
        }
    });
    let order = order.lock();
    order.clone()
}

#[test]
fn without_the_lifo_slot_tasks_run_in_the_order_of_their_wakes() {
    assert_eq!(order_of_wakes(Builder::new_current_thread()), [2, 0, 1]);
    assert_eq!(order_of_wakes(Builder::new_current_thread().disable_lifo_slot()), [0, 1, 2]);
}

/// A worker that is always busy would never see the other task.
#[test]
fn intervals_of_any_length_let_timers_and_woken_tasks_through() {
    for interval in [0, 1, 2, 500] {
        let builder = Builder::new_multi_thread().worker_threads(1);
        let runtime =
            builder.event_interval(interval).global_queue_interval(interval).enable_all().build().expect("a runtime");
        let busy = runtime.spawn(async {
            loop {
                yield_now().await;
            }
        });
        runtime.block_on(async {
            // Spawned from outside of the worker.
            task::spawn(crate::time::sleep(Duration::from_millis(2))).await.unwrap();
        });
        busy.abort();
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a thread that is none of the runtime")]
fn a_task_that_the_hook_of_a_worker_about_to_sleep_wakes_is_run_before() {
    for builder in [Builder::new_current_thread(), Builder::new_multi_thread().worker_threads(1)] {
        let (notify, ran) = (Arc::new(Notify::new()), std::sync::mpsc::channel());
        let wakes = notify.clone();
        let runtime = builder.on_thread_park(move || wakes.notify_waiters()).build().expect("a runtime");
        // A thread of its own: without the look the worker would sleep for ever, with the task in hand.
        let driven = thread::spawn(move || {
            runtime.block_on(async {
                let task = task::spawn(async move { notify.notified().await });
                task.await.unwrap();
            });
            ran.0.send(()).unwrap();
        });
        ran.1.recv_timeout(Duration::from_secs(60)).expect("the task ran");
        driven.join().unwrap();
    }
}

#[test]
fn zero_bytes_in_the_name_of_a_thread_are_left_out() {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("a\0b").build().expect("a runtime");
    let name = runtime.block_on(async { task::spawn_blocking(|| thread::current().name().map(str::to_owned)).await });
    assert_eq!(name.unwrap().as_deref(), Some("ab-blocking"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a thread that is none of the runtime")]
fn a_task_that_another_worker_completes_during_a_hook_terminates_once() {
    let notify = Arc::new(Notify::new());
    let (first, wakes) = (AtomicUsize::new(0), notify.clone());
    let (ended, ends) = std::sync::mpsc::channel();
    let (ends, terminated) = (Mutex::new(ends), Arc::new(AtomicUsize::new(0)));
    let terminates = terminated.clone();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .on_after_task_poll(move |_| {
            if first.fetch_add(1, Ordering::SeqCst) == 0 {
                // By another thread: what a worker wakes itself may run on it next, after the hook.
                let wakes = wakes.clone();
                thread::spawn(move || wakes.notify_one()).join().unwrap();
                ends.lock().recv_timeout(Duration::from_secs(60)).expect("the other worker runs it to its end");
            }
        })
        .on_task_terminate(move |_| {
            terminates.fetch_add(1, Ordering::SeqCst);
            let _ = ended.send(());
        })
        .build()
        .expect("a runtime");
    runtime.block_on(async move { task::spawn(async move { notify.notified().await }).await.unwrap() });
    drop(runtime);
    assert_eq!(terminated.load(Ordering::SeqCst), 1);
}
