//! Tokio's `rt_basic`, `rt_common`, `rt_threaded`, `rt_handle`, `rt_handle_block_on` and `rt_spawn_blocking`: what they ask beyond
//! sockets.

use crate::support::{OnDrop, ms, panics, settle, several, single};
use posse_core::runtime::{BlockOnError, Builder, Handle, Runtime, worker_index};
use posse_core::sync::{Barrier, mpsc, oneshot};
use posse_core::task::{self, JoinHandle};
use posse_core::time::{sleep, timeout};
use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::task::{Context, Poll, Waker};

fn flavors() -> [Runtime; 3] {
    [single(), Builder::new_multi_thread().worker_threads(1).build().unwrap(), several()]
}

#[expect(clippy::disallowed_methods, reason = "a thread that no runtime knows")]
fn elsewhere<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
    std::thread::spawn(f)
}

#[test]
fn a_single_threaded_runtime_runs_nothing_but_inside_of_block_on() {
    let runtime = single();
    let (send, mut receive) = oneshot::channel();
    let task = runtime.spawn(async move { send.send("hello") });
    assert!(receive.try_recv().is_err() && !task.is_finished());
    assert_eq!(runtime.block_on(receive), Ok("hello"));
}

#[test]
fn a_task_is_polled_no_more_often_than_it_is_woken() {
    let runtime = single();
    let (send, mut receive) = mpsc::unbounded_channel::<()>();
    let polls = Arc::new(AtomicUsize::new(0));
    let count = polls.clone();
    drop(runtime.spawn(poll_fn(move |cx| {
        count.fetch_add(1, Ordering::SeqCst);
        while let Poll::Ready(value) = receive.poll_recv(cx) {
            if value.is_none() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    })));
    let turn = |expected| {
        runtime.block_on(settle());
        assert_eq!(polls.load(Ordering::SeqCst), expected);
    };
    turn(1);
    turn(1);
    assert!(send.send(()).is_ok());
    turn(2);
    drop(send);
    turn(3);
    turn(3);
}

#[test]
fn tasks_are_spawned_from_everywhere() {
    for runtime in flavors() {
        let handle = runtime.handle().clone();
        let outside = handle.spawn(async { 1 });
        let inside = runtime.block_on(async move {
            let by_task = task::spawn(async { task::spawn(async { 2 }).await.unwrap() });
            let by_blocking = task::spawn_blocking(|| {
                let nested = task::spawn_blocking(|| 3);
                Handle::current().block_on(async { task::spawn(async { 4 }).await.unwrap() + nested.await.unwrap() })
            });
            let by_thread = elsewhere(move || handle.spawn(async { 5 }));
            while !by_thread.is_finished() {
                task::yield_now().await;
            }
            let by_thread = by_thread.join().unwrap();
            [outside.await.unwrap(), by_task.await.unwrap(), by_blocking.await.unwrap(), by_thread.await.unwrap()]
        });
        assert_eq!(inside, [1, 2, 7, 5]);
        let entered = runtime.enter();
        let task = task::spawn(async { 6 });
        drop(entered);
        assert_eq!(runtime.block_on(task).unwrap(), 6);
    }
}

#[test]
fn chains_of_tasks_come_to_their_ends() {
    fn chain(left: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
        Box::pin(async move { if left == 0 { 0 } else { task::spawn(chain(left - 1)).await.unwrap() + 1 } })
    }
    for runtime in flavors() {
        assert_eq!(runtime.block_on(chain(200)), 200);
        assert_eq!(runtime.block_on(runtime.spawn(chain(200))).unwrap(), 200);
    }
}

#[test]
fn who_is_under_load_still_serves_others() {
    for runtime in flavors() {
        let busy: Vec<_> = (0..2)
            .map(|_| {
                runtime.spawn(async {
                    loop {
                        task::yield_now().await;
                    }
                })
            })
            .collect();
        let handle = runtime.handle().clone();
        runtime.block_on(async {
            assert_eq!(task::spawn(async { 1 }).await.unwrap(), 1);
            let (send, receive) = oneshot::channel();
            let thread = elsewhere(move || handle.spawn(async { send.send(2) }));
            assert_eq!(receive.await, Ok(2));
            drop(thread.join().unwrap());
            sleep(ms(1)).await;
        });
        busy.iter().for_each(JoinHandle::abort);
    }
}

/// Two that wake each other without end, many times: who comes later has its turn.
#[test]
fn tasks_that_wake_each_other_starve_nobody() {
    for runtime in flavors() {
        runtime.block_on(async {
            let running = Arc::new(AtomicBool::new(true));
            let (spawned, mut all) = mpsc::unbounded_channel();
            let mut tasks = Vec::new();
            for _ in 0..50 {
                let ((ping, mut pinged), (pong, mut ponged)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
                let (running, spawned) = (running.clone(), spawned.clone());
                tasks.push(task::spawn(async move {
                    assert!(spawned.send(()).is_ok());
                    while running.load(Ordering::Relaxed) {
                        assert!(ping.send(()).is_ok());
                        assert!(ponged.recv().await.is_some());
                    }
                }));
                tasks.push(task::spawn(async move { while pinged.recv().await.is_some() && pong.send(()).is_ok() {} }));
            }
            for _ in 0..50 {
                assert!(all.recv().await.is_some());
            }
            let late = task::spawn(async {
                for _ in 0..5 {
                    task::yield_now().await;
                }
            });
            late.await.unwrap();
            running.store(false, Ordering::Relaxed);
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

#[test]
fn the_end_drops_all_futures_inside_of_the_runtime_and_before_it_returns() {
    for runtime in flavors() {
        let (dropped, all) = std_mpsc::channel();
        runtime.block_on(async move {
            for _ in 0..10 {
                let (dropped, (run, runs)) = (dropped.clone(), oneshot::channel());
                let guard = OnDrop(move || dropped.send(Handle::try_current().is_ok()).unwrap());
                drop(task::spawn(async move {
                    let _guard = guard;
                    assert!(run.send(()).is_ok());
                    pending::<()>().await;
                }));
                assert_eq!(runs.await, Ok(()));
            }
        });
        assert!(all.try_recv().is_err());
        drop(runtime);
        assert_eq!(all.try_iter().collect::<Vec<_>>(), [true; 10]);
    }
}

#[test]
fn futures_that_wake_each_other_while_the_runtime_ends_are_dropped() {
    for breaks in [false, true] {
        for runtime in flavors() {
            let (one, other, barrier) = (oneshot::channel::<()>(), oneshot::channel::<()>(), Arc::new(Barrier::new(3)));
            for (send, receive) in [(other.0, one.1), (one.0, other.1)] {
                let barrier = barrier.clone();
                let mut send = Some(send);
                let guard = OnDrop(move || _ = send.take().unwrap().send(()));
                drop(runtime.spawn(async move {
                    let _guard = guard;
                    let waits = async { barrier.wait().await };
                    let _ = posse_core::join!(receive, waits);
                }));
            }
            if breaks {
                panics(|| {
                    let runtime = runtime;
                    runtime.block_on(async {
                        barrier.wait().await;
                        panic!("on purpose");
                    })
                });
            } else {
                runtime.block_on(barrier.wait());
                drop(runtime);
            }
        }
    }
}

#[test]
fn a_chain_of_futures_that_send_while_they_are_dropped_ends() {
    for runtime in flavors() {
        let ((first, waits_first), (second, waits_second)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        drop(runtime.spawn(waits_second));
        drop(runtime.spawn(async move {
            let _ = waits_first.await;
            second.send(())
        }));
        drop(runtime.spawn(async move {
            pending::<()>().await;
            first.send(())
        }));
        runtime.block_on(settle());
        drop(runtime);
    }
}

#[test]
fn tasks_that_refer_to_each_other_are_dropped_with_the_runtime() {
    let kept = Arc::new(());
    for runtime in flavors() {
        let (kept, (send, receive)) = (kept.clone(), oneshot::channel::<JoinHandle<()>>());
        runtime.block_on(async move {
            let barrier = Arc::new(Barrier::new(2));
            let other = barrier.clone();
            let task = task::spawn(async move {
                let _kept = kept;
                // Its own handle.
                let own = receive.await.unwrap();
                other.wait().await;
                own.await.unwrap();
            });
            assert!(send.send(task).is_ok());
            barrier.wait().await;
        });
    }
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[test]
fn a_future_that_panics_is_dropped_while_its_thread_panics() {
    struct Boom(Option<oneshot::Sender<bool>>);
    impl Future for Boom {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            panic!("on purpose");
        }
    }
    impl Drop for Boom {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(std::thread::panicking());
        }
    }
    for runtime in flavors() {
        let (send, receive) = oneshot::channel();
        let task = runtime.spawn(Boom(Some(send)));
        // Here it is dropped once the panic was caught, so that its own destructor may panic too.
        assert_eq!(runtime.block_on(receive), Ok(false));
        assert!(runtime.block_on(task).unwrap_err().is_panic());
        let text = panics(|| runtime.block_on(async { panic!("at the root") }));
        assert_eq!(task::panic_message(text), "at the root");
        assert_eq!(runtime.block_on(async { 5 }), 5);
    }
}

#[test]
fn runtimes_are_not_nested_but_may_be_made_and_entered_anywhere() {
    let (one, other) = (single(), several());
    assert_eq!(one.block_on(async { other.handle().try_block_on(async {}) }), Err(BlockOnError::InsideRuntime));
    let text = panics(|| one.block_on(async { other.block_on(async {}) }));
    assert!(task::panic_message(text).contains("this thread drives a runtime"));
    one.block_on(async {
        let made = single();
        let task = made.spawn(pending::<()>());
        drop(made);
        assert!(task.await.unwrap_err().is_cancelled());
    });
    // Guards in any order.
    let current = || Handle::current();
    let first = one.enter();
    assert!(current().same_runtime(one.handle()));
    let second = other.enter();
    assert!(current().same_runtime(other.handle()));
    let third = one.enter();
    assert!(current().same_runtime(one.handle()) && !one.handle().same_runtime(other.handle()));
    drop(third);
    assert!(current().same_runtime(other.handle()));
    drop(second);
    assert!(current().same_runtime(one.handle()));
    drop(first);
    assert!(Handle::try_current().is_err());
    other.block_on(async {
        let _entered = one.enter();
        assert!(current().same_runtime(one.handle()));
        // What waits is driven by the one that blocks.
        timeout(ms(1000), other.spawn(async { 5 })).await.unwrap().unwrap()
    });
}

#[test]
fn a_handle_blocks_on_whatever_it_is_given() {
    for runtime in flavors() {
        let handle = runtime.handle().clone();
        assert_eq!(handle.block_on(async { 1 }), 1);
        let entered = runtime.enter();
        let (send, mut receive) = mpsc::channel(1);
        let sends = handle.spawn_blocking(move || (0..10).all(|n| send.blocking_send(n).is_ok()));
        let sum = Handle::current().block_on(async {
            let mut sum = 0;
            while let Some(n) = receive.recv().await {
                sum += n;
            }
            sum
        });
        assert_eq!((sum, handle.block_on(sends).unwrap()), (45, true));
        // The token of `park` is not the runtime's.
        let mut polls = 0;
        handle.block_on(poll_fn(|cx| {
            polls += 1;
            std::thread::current().unpark();
            std::thread::park();
            cx.waker().wake_by_ref();
            if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
        drop(entered);
    }
}

#[test]
fn what_was_begun_goes_on_after_the_end_and_nothing_new_begins() {
    for runtime in flavors() {
        let handle = runtime.handle().clone();
        let ((go, gone), (begin, begun)) = (std_mpsc::channel::<()>(), std_mpsc::channel());
        let running = handle.spawn_blocking(move || {
            begin.send(()).unwrap();
            gone.recv().is_ok()
        });
        begun.recv().unwrap();
        assert_eq!(runtime.shutdown_timeout(ms(0)), 1, "it was left behind");
        assert_eq!(handle.try_block_on(async {}), Err(BlockOnError::ShutDown));
        let refused = handle.spawn_blocking(|| 5);
        go.send(()).unwrap();
        single().block_on(async {
            assert!(running.await.unwrap());
            assert!(refused.await.unwrap_err().is_cancelled());
        });
    }
}

#[test]
fn tasks_are_woken_from_all_sides_while_the_runtime_ends() {
    for runtime in flavors() {
        let senders: Vec<_> = (0..1000)
            .map(|_| {
                let (send, receive) = oneshot::channel::<()>();
                drop(runtime.spawn(receive));
                send
            })
            .collect();
        runtime.block_on(task::yield_now());
        let (begin, begun) = std_mpsc::channel();
        let thread = elsewhere(move || {
            begin.send(()).unwrap();
            senders.into_iter().for_each(|send| _ = send.send(()));
        });
        begun.recv().unwrap();
        drop(runtime);
        thread.join().unwrap();
    }
}

#[test]
fn a_waker_outlives_its_runtime_in_a_local_of_a_thread() {
    struct WakesAtEnd(Waker, bool, std_mpsc::Sender<()>);
    impl Drop for WakesAtEnd {
        fn drop(&mut self) {
            if self.1 {
                self.0.wake_by_ref()
            } else {
                std::mem::replace(&mut self.0, Waker::noop().clone()).wake()
            }
            self.2.send(()).unwrap();
        }
    }
    thread_local!(static KEPT: RefCell<Option<WakesAtEnd>> = const { RefCell::new(None) });

    for by_ref in [true, false] {
        for flavor in 0..2 {
            let (done, all) = std_mpsc::channel();
            let thread = elsewhere(move || {
                let runtime = if flavor == 0 { single() } else { several() };
                let keeps = poll_fn(move |cx| {
                    let waker = cx.waker().clone();
                    Poll::Ready(WakesAtEnd(waker, by_ref, done.clone()))
                });
                let kept = runtime.block_on(async { runtime.spawn(keeps).await.unwrap() });
                KEPT.set(Some(kept));
            });
            thread.join().unwrap();
            assert!(all.recv().is_ok());
        }
    }
}

#[test]
fn threads_have_the_name_that_was_given() {
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("mine").build().unwrap();
    runtime.block_on(async {
        let name = || std::thread::current().name().unwrap_or_default().to_owned();
        assert!(task::spawn(async move { name() }).await.unwrap().starts_with("mine"));
        assert!(task::spawn_blocking(name).await.unwrap().starts_with("mine"));
    });
}

#[test]
fn as_many_closures_block_as_may() {
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(2).build().unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (now, most) = (now.clone(), most.clone());
            runtime.spawn_blocking(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
}

#[test]
fn a_closure_is_dropped_by_its_pool_with_what_it_holds() {
    let runtime = single();
    let on = Arc::new(Mutex::new(None));
    let seen = on.clone();
    runtime.block_on(async {
        let guard = OnDrop(move || *seen.lock().unwrap() = std::thread::current().name().map(str::to_owned));
        task::spawn_blocking(move || drop(guard)).await.unwrap();
    });
    assert!(on.lock().unwrap().as_ref().is_some_and(|name| name.contains("blocking")), "{on:?}");
}

#[test]
fn what_a_runtime_draws_follows_from_its_seed() {
    let draw = |seed| {
        let runtime = Builder::new_current_thread().seed(seed).build().unwrap();
        let mut drawn: Vec<_> = (0..5).map(|_| runtime.block_on(async { Handle::current().random_u64() })).collect();
        drawn.push(runtime.block_on(async { task::spawn(async { Handle::current().random_u64() }).await.unwrap() }));
        drawn
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn code_knows_the_worker_that_runs_it() {
    assert_eq!(worker_index(), None);
    let runtime = several();
    assert_eq!(runtime.block_on(async { worker_index() }), None);
    for worker in 0..3 {
        let pinned = runtime.handle().spawn_pinned(worker, async {
            (worker_index(), task::block_in_place(worker_index), task::spawn_blocking(worker_index).await.unwrap())
        });
        assert_eq!(runtime.block_on(pinned.unwrap()).unwrap(), (Some(worker), None, None));
    }

    // The thread that has the worker, and one that only waits beside it.
    let runtime = Arc::new(single());
    let (entered, was_entered) = std_mpsc::channel();
    let (release, released) = oneshot::channel();
    let owner = elsewhere({
        let runtime = runtime.clone();
        move || {
            runtime.block_on(async {
                entered.send(()).unwrap();
                released.await.unwrap();
                (worker_index(), task::spawn(async { worker_index() }).await.unwrap())
            })
        }
    });
    was_entered.recv().unwrap();
    let beside = elsewhere(move || runtime.block_on(async { worker_index() }));
    assert_eq!(beside.join().unwrap(), None);
    release.send(()).unwrap();
    assert_eq!(owner.join().unwrap(), (Some(0), Some(0)));
}
