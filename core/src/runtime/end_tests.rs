//! The end of a runtime: who drops what, on which thread, and what becomes of those who are still inside.

use super::{BlockOnError, Builder, Handle, Runtime};
use crate::io::{Interest, UdpSocket};
use crate::task;
use crate::time::sleep;
use std::future::{pending, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

fn current_thread() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn one_worker() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).build().expect("a runtime")
}

/// Notes for each drop the thread, and whether it was in a runtime.
#[derive(Clone, Default)]
struct Drops(Arc<Mutex<Vec<(ThreadId, bool)>>>);

struct NoteDrop(Drops);

impl Drops {
    fn guard(&self) -> NoteDrop {
        NoteDrop(self.clone())
    }

    fn take(&self) -> Vec<(ThreadId, bool)> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

impl Drop for NoteDrop {
    fn drop(&mut self) {
        self.0.0.lock().expect("no panic").push((thread::current().id(), Handle::try_current().is_ok()));
    }
}

/// Wakers are woken under locks everywhere, so a wake must not run what a user wrote.
#[test]
fn who_wakes_a_task_while_the_runtime_ends_does_not_drop_it() {
    let (runtime, drops) = (one_worker(), Drops::default());
    let (waker, a_waker) = mpsc::channel();
    let guard = drops.guard();
    let sleeps = runtime.spawn(async move {
        let _guard = guard;
        poll_fn(|cx| {
            waker.send(cx.waker().clone()).expect("the test waits");
            Poll::<()>::Pending
        })
        .await;
    });
    let waker: Waker = a_waker.recv().expect("polled");

    let (release, released) = mpsc::channel::<()>();
    let (blocks, is_blocked) = mpsc::channel();
    runtime.spawn(async move {
        blocks.send(thread::current().id()).expect("the test waits");
        let _ = released.recv();
    });
    let worker = is_blocked.recv().expect("polled");
    runtime.shutdown_background();
    waker.wake_by_ref();
    assert_eq!(drops.take(), []);

    release.send(()).expect("the worker waits");
    while !sleeps.is_finished() {
        thread::yield_now();
    }
    assert_eq!(drops.take(), [(worker, true)]);
    waker.wake();
}

#[test]
fn a_current_thread_runtime_dropped_while_another_thread_has_its_worker_ends() {
    let (runtime, drops) = (current_thread(), Drops::default());
    let handle = runtime.handle().clone();
    let (started, is_started) = mpsc::channel();
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            handle.block_on(async {
                let guard = drops.guard();
                let task = task::spawn(async move {
                    let _guard = guard;
                    pending::<()>().await;
                });
                task::yield_now().await;
                started.send(()).expect("the test waits");
                // The future inside `block_on` outlives the runtime.
                task.await
            })
        });
        is_started.recv().expect("started");
        drop(runtime);

        assert_eq!(drops.take(), [(inside.thread().id(), true)]);
        assert_eq!(handle.alive_tasks(), 0);
        assert!(handle.spawn(async {}).is_finished());
        assert!(inside.join().expect("no panic").expect_err("cancelled").is_cancelled());
    });
}

#[test]
fn a_current_thread_runtime_dropped_by_the_future_it_drives_ends() {
    let (runtime, drops) = (current_thread(), Drops::default());
    let handle = runtime.handle().clone();
    let guard = drops.guard();
    let task = handle.clone().block_on(async move {
        let task = task::spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        task::yield_now().await;
        drop(runtime);
        Some(task)
    });
    assert!(task.expect("set").is_finished());
    assert_eq!(drops.take(), [(thread::current().id(), true)]);
    assert_eq!(handle.alive_tasks(), 0);
}

#[test]
fn a_runtime_left_in_the_background_waits_for_nobody() {
    let runtime = current_thread();
    let handle = runtime.handle().clone();
    let (started, is_started) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let handle = &handle;
        let inside = scope.spawn(move || {
            handle.block_on(async {
                let task = task::spawn(pending::<()>());
                started.send(()).expect("the test waits");
                released.recv().expect("released");
                task.await
            })
        });
        is_started.recv().expect("started");
        runtime.shutdown_background();
        release.send(()).expect("the poll waits");
        assert!(inside.join().expect("no panic").expect_err("cancelled").is_cancelled());
        assert_eq!(handle.alive_tasks(), 0);
    });
}

#[test]
fn block_on_after_the_end_is_an_error() {
    for runtime in [current_thread(), one_worker()] {
        let handle = runtime.handle().clone();
        drop(runtime);
        assert_eq!(handle.try_block_on(async {}), Err(BlockOnError::ShutDown));
    }
}

#[test]
fn a_sleep_does_not_outlast_the_runtime() {
    for runtime in [current_thread(), one_worker()] {
        let handle = runtime.handle().clone();
        let (started, is_started) = mpsc::channel();
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                handle.block_on(async {
                    let mut sleep = pin!(sleep(LONG));
                    assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                    started.send(()).expect("the test waits");
                    sleep.as_mut().await;
                    sleep.is_elapsed()
                })
            });
            is_started.recv().expect("started");
            drop(runtime);
            assert!(!inside.join().expect("no panic"));
        });

        let _guard = handle.enter();
        let polled = pin!(sleep(LONG)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_ready());
    }
}

#[test]
fn real_a_socket_does_not_outlast_the_runtime() {
    let local = "127.0.0.1:0".parse().expect("an address");
    for runtime in [current_thread(), one_worker()] {
        let handle = runtime.handle().clone();
        let (started, is_started) = mpsc::channel();
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                handle.block_on(async {
                    let socket = UdpSocket::bind(local).expect("a socket");
                    let mut reads = pin!(socket.read_io(|socket| socket.recv_from(&mut [0; 8])));
                    assert!(poll_fn(|cx| Poll::Ready(reads.as_mut().poll(cx).is_pending())).await);
                    started.send(()).expect("the test waits");
                    reads.await.map(|_| ())
                })
            });
            is_started.recv().expect("started");
            drop(runtime);
            assert!(inside.join().expect("no panic").expect_err("nothing was sent").to_string().contains("shut down"));
        });

        let _guard = handle.enter();
        assert!(UdpSocket::bind(local).expect_err("no reactor").to_string().contains("shut down"));
    }
}

#[test]
fn real_who_waits_and_tries_in_turn_hears_of_the_end() {
    let runtime = one_worker();
    let handle = runtime.handle().clone();
    let (started, is_started) = mpsc::channel();
    thread::scope(|scope| {
        let inside = scope.spawn(move || {
            handle.block_on(async {
                let socket = UdpSocket::bind("127.0.0.1:0".parse().expect("an address")).expect("a socket");
                // At first it is taken to be ready; an event of the other direction may keep it so once more.
                for _ in 0..10 {
                    socket.ready(Interest::READABLE).await?;
                    let nothing = socket.try_io(Interest::READABLE, |socket| socket.recv_from(&mut [0; 8]));
                    assert_eq!(nothing.expect_err("nothing was sent").kind(), ErrorKind::WouldBlock);
                    let _ = started.send(());
                }
                Ok::<_, std::io::Error>(())
            })
        });
        is_started.recv().expect("started");
        drop(runtime);
        assert!(inside.join().expect("no panic").expect_err("it never was ready").to_string().contains("shut down"));
    });
}

#[test]
fn what_is_refused_is_dropped_in_the_runtimes_context() {
    let drops = Drops::default();
    for runtime in [current_thread(), one_worker()] {
        let handle = runtime.handle().clone();
        drop(runtime);
        let (future, closure) = (drops.guard(), drops.guard());
        assert!(handle.spawn(async move { drop(future) }).is_finished());
        assert!(handle.spawn_blocking(move || drop(closure)).is_finished());
        assert_eq!(drops.take(), [(thread::current().id(), true); 2]);
    }
}

/// The futures of an ending runtime wake each other, whichever worker drops them.
#[test]
fn futures_that_wake_each_other_while_they_are_dropped_are_dropped_once() {
    struct WakeAll(Arc<Mutex<Vec<Waker>>>, Arc<AtomicUsize>);
    impl Drop for WakeAll {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::AcqRel);
            self.0.lock().expect("no panic").iter().for_each(Waker::wake_by_ref);
        }
    }
    for _ in 0..20 {
        let runtime = Builder::new_multi_thread().worker_threads(4).build().expect("a runtime");
        let (wakers, drops) = (Arc::<Mutex<Vec<Waker>>>::default(), Arc::<AtomicUsize>::default());
        for _ in 0..50 {
            let guard = WakeAll(wakers.clone(), drops.clone());
            runtime.spawn(poll_fn(move |cx| {
                let mut wakers = guard.0.lock().expect("no panic");
                if wakers.len() < 50 {
                    wakers.push(cx.waker().clone());
                }
                Poll::<()>::Pending
            }));
        }
        let handle = runtime.handle().clone();
        drop(runtime);
        assert_eq!((drops.load(Ordering::Acquire), handle.alive_tasks()), (50, 0));
        wakers.lock().expect("no panic").drain(..).for_each(Waker::wake);
    }
}

#[test]
fn who_waits_for_the_worker_is_in_line_once() {
    let runtime = current_thread();
    let (started, is_started) = mpsc::channel();
    let (release, released) = crate::sync::oneshot::channel::<()>();
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            runtime.block_on(async {
                started.send(()).expect("the test waits");
                released.await
            })
        });
        is_started.recv().expect("started");
        runtime.block_on(async {
            for _ in 0..100 {
                task::yield_now().await;
            }
            assert_eq!(runtime.handle().inner().worker_slot.waiting(), 1);
        });
        release.send(()).expect("the first waits");
        first.join().expect("no panic").expect("released");
    });
}

#[test]
fn what_does_not_end_within_the_grace_is_named() {
    for runtime in [current_thread(), one_worker()] {
        let (release, released) = mpsc::channel::<()>();
        let (start, started) = mpsc::channel();
        let closure = runtime.spawn_blocking(move || {
            start.send(()).expect("the test waits");
            released.recv().is_err()
        });
        started.recv().expect("it runs");
        let stuck = task::Builder::new().name("stuck").spawn_on(pending::<()>(), runtime.handle());
        let report = runtime.shutdown_grace(Duration::from_millis(1));
        let names: Vec<_> = report.tasks().iter().map(task::TaskInfo::name).collect();
        assert_eq!((names, report.blocking_closures(), report.is_clean()), (vec![Some("stuck")], 1, false));
        assert!(report.to_string().contains("end_tests.rs"), "{report}");
        assert!(stuck.is_finished() && !closure.is_finished());
        drop(release);
    }
}

#[test]
fn a_grace_ends_as_soon_as_everything_has() {
    for builder in [Builder::new_current_thread().start_paused(true), Builder::new_multi_thread().worker_threads(2)] {
        let runtime = builder.build().expect("a runtime");
        runtime.spawn(async {
            task::spawn_blocking(|| ()).await.expect("no panic");
            task::spawn(sleep(Duration::from_millis(1))).await.expect("no panic");
        });
        assert!(runtime.shutdown_grace(LONG).is_clean());
    }
}

#[test]
fn a_thread_that_drives_a_runtime_gives_no_grace() {
    let outer = one_worker();
    let report = outer.block_on(async {
        let inner = one_worker();
        inner.spawn(pending::<()>());
        inner.shutdown_grace(LONG)
    });
    assert_eq!(report.tasks().len(), 1);
}

#[test]
fn grace_on_a_paused_clock_waits_for_no_closure() {
    let runtime = Builder::new_current_thread().start_paused(true).build().expect("a runtime");
    let (end, ends) = mpsc::channel::<()>();
    drop(runtime.spawn_blocking(move || ends.recv()));
    let report = runtime.shutdown_grace(Duration::from_millis(20));
    assert_eq!(report.blocking_closures(), 1);
    drop(end);
}
