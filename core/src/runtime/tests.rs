//! Behaviour of the executor: running, joining, panicking, aborting, shutting down.

use super::{BlockOnError, Builder, Handle, Runtime};
use crate::sync::oneshot;
use crate::task;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

fn runtimes() -> [Runtime; 3] {
    [
        Builder::new_current_thread().build().expect("a runtime"),
        Builder::new_multi_thread().worker_threads(1).build().expect("a runtime"),
        Builder::new_multi_thread().worker_threads(4).build().expect("a runtime"),
    ]
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn tasks_run_and_give_their_output() {
    for runtime in runtimes() {
        let sum: u64 = runtime.block_on(async {
            let tasks: Vec<_> = (0..10_000u64).map(|n| task::spawn(async move { n })).collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 10_000 * 9_999 / 2);
    }
}

#[test]
fn tasks_spawned_from_outside_run() {
    for runtime in runtimes() {
        let tasks: Vec<_> = (0..1000u64).map(|n| runtime.spawn(async move { n })).collect();
        runtime.block_on(async {
            for (n, task) in tasks.into_iter().enumerate() {
                assert_eq!(task.await.unwrap(), n as u64);
            }
        });
    }
}

#[test]
fn a_panic_goes_to_the_joiner_and_harms_nobody() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let error = task::spawn(async { panic!("boom {}", 7) }).await.unwrap_err();
            assert!(error.is_panic());
            assert!(error.to_string().contains("boom 7"));
            assert_eq!(task::spawn(async { 1 }).await.unwrap(), 1);
        });
    }
}

#[test]
fn a_panic_in_a_futures_drop_goes_to_the_joiner() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    for runtime in runtimes() {
        runtime.block_on(async {
            let bomb = Bomb;
            let task = task::spawn(async move {
                let _bomb = bomb;
                pending::<()>().await;
            });
            task::yield_now().await;
            task.abort();
            assert!(task.await.unwrap_err().is_panic());
        });
    }
}

#[test]
fn abort_drops_the_future_once() {
    for runtime in runtimes() {
        let drops = Arc::new(AtomicUsize::new(0));
        let guard = CountDrop(drops.clone());
        runtime.block_on(async {
            let task = task::spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            let abort = task.abort_handle();
            abort.abort();
            abort.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            assert!(abort.is_finished());
        });
        assert_eq!(drops.load(Ordering::Acquire), 1);
    }
}

#[test]
fn dropping_a_handle_detaches_and_the_output_is_dropped_once() {
    for runtime in runtimes() {
        let drops = Arc::new(AtomicUsize::new(0));
        let guard = CountDrop(drops.clone());
        runtime.block_on(async {
            drop(task::spawn(async move { guard }));
            while drops.load(Ordering::Acquire) == 0 {
                task::yield_now().await;
            }
        });
        drop(runtime);
        assert_eq!(drops.load(Ordering::Acquire), 1);
    }
}

#[test]
fn shutdown_drops_every_future_once_inside_the_runtime() {
    struct InRuntime(Arc<AtomicUsize>);
    impl Drop for InRuntime {
        fn drop(&mut self) {
            if Handle::try_current().is_ok() {
                self.0.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
    for runtime in runtimes() {
        let drops = Arc::new(AtomicUsize::new(0));
        for n in 0..1000 {
            let guard = InRuntime(drops.clone());
            runtime.spawn(async move {
                let _guard = guard;
                if n % 2 == 0 {
                    pending::<()>().await;
                } else {
                    loop {
                        task::yield_now().await;
                    }
                }
            });
        }
        let handle = runtime.handle().clone();
        drop(runtime);
        assert_eq!(drops.load(Ordering::Acquire), 1000);
        assert_eq!(handle.alive_tasks(), 0);
    }
}

#[test]
fn a_task_spawned_after_shutdown_is_cancelled() {
    for runtime in runtimes() {
        let handle = runtime.handle().clone();
        drop(runtime);
        let task = handle.spawn(async {});
        assert!(task.is_finished());
        let blocking = handle.spawn_blocking(|| ());
        assert!(blocking.is_finished());
    }
}

#[test]
fn a_runtime_may_be_dropped_inside_its_own_task() {
    let (send, receive) = mpsc::channel();
    let runtime = Runtime::new().expect("a runtime");
    let handle = runtime.handle().clone();
    handle.spawn(async move {
        drop(runtime);
        send.send(()).unwrap();
    });
    receive.recv().unwrap();
}

#[test]
fn blocking_inside_a_task_is_an_error_that_says_what_to_do() {
    for runtime in runtimes() {
        let handle = runtime.handle().clone();
        let error = runtime.block_on(async move { handle.try_block_on(async {}).unwrap_err() });
        assert_eq!(error, BlockOnError::InsideRuntime);
        assert!(error.to_string().contains("spawn_blocking"));
    }
}

#[test]
fn blocking_closures_run_and_may_use_the_runtime() {
    for runtime in runtimes() {
        let value = runtime.block_on(async {
            task::spawn_blocking(|| {
                let handle = Handle::current();
                handle.spawn(async { 5 });
                7
            })
            .await
        });
        assert_eq!(value.unwrap(), 7);
    }
}

#[test]
fn more_blocking_closures_than_threads_all_run() {
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(2).build().expect("a runtime");
    let sum: usize = runtime.block_on(async {
        let tasks: Vec<_> = (0..100).map(|n| task::spawn_blocking(move || n)).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, 4950);
}

#[test]
fn shutdown_does_not_wait_for_a_blocking_closure_but_reports_it() {
    let runtime = Runtime::new().expect("a runtime");
    let (started, is_started) = mpsc::channel();
    let (release, wait) = mpsc::channel::<()>();
    runtime.spawn_blocking(move || {
        started.send(()).unwrap();
        let _ = wait.recv();
    });
    is_started.recv().unwrap();
    assert_eq!(runtime.shutdown_timeout(Duration::from_millis(1)), 1);
    drop(release);
}

#[test]
fn two_threads_share_a_current_thread_runtime() {
    let runtime = Arc::new(Builder::new_current_thread().build().expect("a runtime"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    runtime.block_on(async {
                        task::spawn(async { task::yield_now().await }).await.unwrap();
                    });
                }
            });
        }
    });
}

/// A task is woken from outside, then the future inside `block_on`: the worker leaves as one who was woken to search. It
/// must not stay counted as a searcher, or no worker would be woken any more for what comes from outside.
#[test]
fn a_worker_that_leaves_while_it_searches_is_no_searcher_any_more() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let idle = &runtime.handle().shared().idle;
    for _ in 0..100 {
        let (root, woken) = oneshot::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while idle.asleep() == 0 {
                    std::thread::yield_now();
                }
                runtime.spawn(async {});
                root.send(()).expect("the root waits");
            });
            runtime.block_on(woken).expect("a value");
        });
        assert_eq!(idle.searching(), 0);
    }
}

/// The thread's current runtime, also a local, is destroyed before this one. A panic there would abort the process.
#[test]
fn a_runtime_may_be_a_local_of_a_thread() {
    thread_local! {
        static LOCAL: Runtime = Builder::new_current_thread().build().expect("a runtime");
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let guard = CountDrop(drops.clone());
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            LOCAL.with(|runtime| {
                runtime.spawn(async move {
                    let _guard = guard;
                    pending::<()>().await;
                });
                runtime.block_on(task::yield_now());
            });
        });
        thread.join().expect("no panic");
    });
    assert_eq!(drops.load(Ordering::Acquire), 1);
}

#[test]
fn fifty_runtimes_share_nothing() {
    let runtimes: Vec<_> = (0..50).map(|seed| Builder::new_current_thread().seed(seed).build().unwrap()).collect();
    let counts: Vec<u64> = runtimes
        .iter()
        .map(|runtime| {
            let counter = runtime.handle().extension(|| AtomicUsize::new(0));
            runtime.block_on(async move {
                task::spawn(async move { counter.fetch_add(1, Ordering::AcqRel) }).await.unwrap();
            });
            let first = runtime.handle().extension(|| AtomicUsize::new(100));
            assert_eq!(first.load(Ordering::Acquire), 1);
            runtime.handle().random_u64()
        })
        .collect();
    let mut distinct = counts.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 50);
}

#[test]
fn a_worker_count_out_of_range_is_refused() {
    assert!(Builder::new_multi_thread().worker_threads(0).build().is_err());
    assert!(Builder::new_multi_thread().worker_threads(100_000).build().is_err());
}

#[test]
fn start_and_stop_a_thousand_times() {
    for _ in 0..1000 {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
        runtime.spawn(async { task::yield_now().await });
    }
}

/// `Duration::MAX` is no limit wherever a runtime is given a time: nothing overflows, and what would wait for it goes on at once.
#[test]
fn no_time_that_a_runtime_is_given_is_too_long() {
    let most = Duration::MAX;
    let build =
        |builder: Builder| builder.thread_keep_alive(most).slow_poll_threshold(most).build().expect("a runtime");
    for end in 0..3 {
        for builder in [Builder::new_current_thread(), Builder::new_multi_thread().worker_threads(2)] {
            let runtime = build(builder);
            runtime.block_on(async {
                let (send, mut receive) = crate::sync::mpsc::channel(1);
                assert_eq!(send.send_timeout(1, most).await, Ok(()));
                assert_eq!(receive.recv().await, Some(1));
                assert_eq!(task::spawn_blocking(|| 2).await.unwrap(), 2);
            });
            match end {
                0 => drop(runtime),
                1 => assert_eq!(runtime.shutdown_timeout(most), 0),
                _ => assert!(runtime.shutdown_grace(most).tasks().is_empty()),
            }
        }
    }
    let paused = Builder::new_current_thread().start_paused(true).build().expect("a runtime");
    paused.block_on(async {
        let slept = task::spawn(crate::time::sleep(most - Duration::from_secs(1)));
        crate::time::advance(most).await;
        slept.await.unwrap();
    });
}
