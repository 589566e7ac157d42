//! Closures that block in a task: who goes on meanwhile, and what the task finds afterwards.
//!
//! Each closure waits for something that the task's own worker has to do, and that is done only if another thread does.

use super::blocking::IN_PLACE_MAX;
use super::{Builder, Handle, Runtime};
use crate::scheduler::current;
use crate::task::{self, coop};
use crate::task_local;
use crate::time::sleep;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier};
use std::task::Poll;
use std::thread;
use std::time::Duration;

/// Longer than any test takes; a test that waits for this has failed.
const LONG: Duration = Duration::from_secs(60);

fn one_worker() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).build().expect("a runtime")
}

/// Blocks until the worker that this thread was is another thread's, in which it has run a task.
fn lose_worker() {
    let (sender, receiver) = mpsc::channel();
    task::spawn(async move { sender.send(thread::current().id()).expect("the receiver waits") });
    let elsewhere = task::block_in_place(|| receiver.recv_timeout(LONG).expect("another thread has the worker"));
    assert_ne!(elsewhere, thread::current().id());
}

#[test]
fn while_a_task_blocks_another_thread_runs_the_worker_and_its_timers() {
    let runtime = one_worker();
    let task = runtime.spawn(async {
        let (sender, receiver) = mpsc::channel();
        task::spawn(async move {
            sleep(Duration::from_millis(1)).await;
            sender.send(7).expect("the closure waits");
        });
        task::block_in_place(|| receiver.recv_timeout(LONG).expect("the timer fires"))
    });
    assert_eq!(runtime.block_on(task).unwrap(), 7);
}

#[test]
fn a_task_that_has_lost_its_worker_goes_on_as_the_same_task() {
    task_local!(static NAME: &'static str);
    let runtime = one_worker();
    let task = runtime.spawn(NAME.scope("ada", async {
        let id = task::id();
        poll_fn(|cx| {
            while coop::has_budget_remaining() {
                let _ = coop::poll_proceed(cx).map(coop::Progress::made_progress);
            }
            lose_worker();
            assert!(!coop::has_budget_remaining(), "the budget is what it was");
            Poll::Ready(())
        })
        .await;
        assert_eq!((task::id(), NAME.get()), (id, "ada"));
        let handle = Handle::current();
        assert!(handle.try_block_on(async {}).is_err(), "the thread drives the runtime again");

        // What it wakes and sets in the rest of the poll goes to the other thread.
        let child = task::spawn(async { 5 });
        sleep(Duration::from_millis(1)).await;
        child.await.unwrap()
    }));
    assert_eq!(runtime.block_on(task).unwrap(), 5);
}

#[test]
fn a_task_that_wakes_itself_without_its_worker_is_run_by_another() {
    let runtime = one_worker();
    let task = runtime.spawn(async {
        for _ in 0..100 {
            lose_worker();
            task::yield_now().await;
        }
    });
    runtime.block_on(task).unwrap();
}

#[test]
fn the_closure_may_block_on_a_future_of_the_same_runtime() {
    let runtime = one_worker();
    let task = runtime.spawn(async {
        let handle = Handle::current();
        task::block_in_place(|| handle.block_on(async { task::spawn(async { 3 }).await.unwrap() }))
    });
    assert_eq!(runtime.block_on(task).unwrap(), 3);
}

/// Each closure waits for all the others, so each takes the one worker from the one before.
#[test]
fn many_closures_block_at_once_whatever_the_limits_of_the_pool() {
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).build().expect("a runtime");
    let (release, occupied): (_, Receiver<()>) = mpsc::channel();
    let occupies = runtime.spawn_blocking(move || occupied.recv().is_err());
    for _ in 0..5 {
        let barrier = Arc::new(Barrier::new(6));
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let barrier = barrier.clone();
                runtime.spawn(async move { task::block_in_place(|| barrier.wait().is_leader()) })
            })
            .collect();
        let leaders = runtime.block_on(async {
            let mut leaders = 0;
            for task in tasks {
                leaders += usize::from(task.await.unwrap());
            }
            leaders
        });
        assert_eq!(leaders, 1);
    }
    drop(release);
    assert!(runtime.block_on(occupies).unwrap());
}

#[test]
fn quick_closures_one_after_the_other_leave_the_runtime_as_it_was() {
    let runtime = one_worker();
    let sum = runtime.block_on(runtime.spawn(async {
        let mut sum = 0;
        for n in 0..1000 {
            sum += task::block_in_place(|| n);
            if n % 10 == 0 {
                task::yield_now().await;
            }
        }
        sum
    }));
    assert_eq!(sum.unwrap(), 499_500);
    assert_eq!(runtime.shutdown_timeout(LONG), 0);
}

#[test]
fn a_panic_of_the_closure_is_the_tasks() {
    let runtime = one_worker();
    let task = runtime.spawn(async {
        task::block_in_place(|| {
            lose_worker();
            panic!("on purpose");
        })
    });
    assert!(runtime.block_on(task).unwrap_err().is_panic());
    assert_eq!(runtime.block_on(runtime.spawn(async { 1 })).unwrap(), 1);
}

#[test]
fn where_no_worker_is_held_up_it_only_calls_the_closure() {
    assert_eq!(task::block_in_place(|| 1), 1);
    let runtime = one_worker();
    assert_eq!(runtime.block_on(async { task::block_in_place(|| task::block_in_place(|| 2)) }), 2);
    let blocking = runtime.spawn_blocking(|| task::block_in_place(|| 3));
    assert_eq!(runtime.block_on(blocking).unwrap(), 3);
    let current = Builder::new_current_thread().build().expect("a runtime");
    let blocking = current.spawn_blocking(|| task::block_in_place(|| 4));
    assert_eq!(current.block_on(blocking).unwrap(), 4);
}

/// The set lives within one poll of a task, else that would not be `Send`. Its task does not take the worker away: it is not what goes on.
#[test]
fn a_task_of_a_set_that_a_workers_task_polls_keeps_the_worker() {
    let runtime = one_worker();
    let task = runtime.spawn(poll_fn(|cx| {
        let mut set = pin!(task::LocalSet::new());
        let mut kept = pin!(
            set.spawn_local(async { task::block_in_place(|| current::with_local_queue(|local| local.is_some())) })
        );
        assert!(set.as_mut().poll(cx).is_ready());
        kept.as_mut().poll(cx)
    }));
    assert!(runtime.block_on(task).unwrap().unwrap());
}

#[test]
fn on_a_current_thread_runtime_it_panics() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let error = runtime.block_on(async { task::spawn(async { task::block_in_place(|| ()) }).await.unwrap_err() });
    assert!(error.to_string().contains("spawn_blocking"), "{error}");
}

/// Sends when it is dropped whether that happened in a runtime.
struct TellDrop(mpsc::Sender<bool>);

impl Drop for TellDrop {
    fn drop(&mut self) {
        self.0.send(Handle::try_current().is_ok()).expect("the test waits");
    }
}

/// In one case the task was woken meanwhile, in the other not: two ways to the same end.
#[test]
fn a_runtime_does_not_wait_for_the_closure_and_its_task_is_dropped_after_it() {
    for wake in [false, true] {
        let runtime = one_worker();
        let (told, tells) = mpsc::channel();
        let (blocks, is_blocked) = mpsc::channel();
        let (release, released): (_, Receiver<()>) = mpsc::channel();
        let task = runtime.spawn(async move {
            let _guard = TellDrop(told);
            let mut released = Some(released);
            poll_fn(move |cx| {
                let Some(released) = released.take() else { return Poll::<()>::Pending };
                lose_worker();
                if wake {
                    cx.waker().wake_by_ref();
                }
                blocks.send(()).expect("the test waits");
                task::block_in_place(|| released.recv_timeout(LONG).unwrap_err());
                Poll::Pending
            })
            .await;
        });
        is_blocked.recv_timeout(LONG).expect("the task blocks");
        assert_eq!(runtime.shutdown_timeout(Duration::ZERO), 1);
        assert!(tells.try_recv().is_err() && !task.is_finished());
        drop(release);
        assert_eq!(tells.recv_timeout(LONG), Ok(true), "dropped, in the runtime");
    }
}

#[test]
fn what_waits_on_a_lost_thread_ends_with_the_runtime_as_elsewhere() {
    let runtime = one_worker();
    let (done, is_done) = mpsc::channel();
    let (blocks, is_blocked) = mpsc::channel();
    runtime.spawn(async move {
        lose_worker();
        let handle = Handle::current();
        task::block_in_place(|| {
            handle.block_on(async {
                blocks.send(()).expect("the test waits");
                sleep(LONG).await;
            });
            done.send(()).expect("the test waits");
        });
        pending::<()>().await;
    });
    is_blocked.recv_timeout(LONG).expect("the task blocks");
    drop(runtime);
    is_done.recv_timeout(LONG / 2).expect("the timer is ready because the runtime has ended");
}

#[test]
fn a_task_may_drop_its_runtime_while_no_thread_can_take_over_its_worker() {
    let runtime = one_worker();
    let (tries, tried) = mpsc::channel();
    runtime.handle().blocking().fail_starts((tries, mpsc::channel().1));
    let (give, given): (_, Receiver<Runtime>) = mpsc::channel();
    let (done, is_done) = mpsc::channel();
    let (told, tells) = mpsc::channel();
    let guard = TellDrop(told);
    runtime.spawn(async move {
        task::spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        task::block_in_place(|| drop(given.recv_timeout(LONG).expect("the test gives it")));
        done.send(()).expect("the test waits");
    });
    tried.recv_timeout(LONG).expect("the pool wants a thread");
    give.send(runtime).expect("the task waits");
    is_done.recv_timeout(LONG).expect("the runtime has ended");
    assert_eq!(tells.try_recv(), Ok(true), "the other task was dropped, in the runtime");
}

#[test]
fn a_thread_that_cannot_start_while_the_runtime_ends_leaves_no_worker_behind() {
    let runtime = one_worker();
    let (tries, tried) = mpsc::channel();
    let (fail, fails) = mpsc::channel();
    runtime.handle().blocking().fail_starts((tries, fails));
    let (told, tells) = mpsc::channel();
    let guard = TellDrop(told);
    let (release, released): (_, Receiver<()>) = mpsc::channel();
    runtime.spawn(async move {
        task::spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        task::block_in_place(|| released.recv_timeout(LONG).unwrap_err());
    });
    tried.recv_timeout(LONG).expect("the pool wants a thread");
    runtime.shutdown_background();
    drop(fail);
    assert_eq!(tells.recv_timeout(LONG / 2), Ok(true), "the other task was dropped although the closure still blocks");
    drop(release);
}

/// Such a task keeps the worker, so the end of the runtime must not wait for it.
#[test]
fn a_task_of_a_set_may_drop_the_runtime_whose_worker_it_blocks() {
    let runtime = one_worker();
    let (give, given): (_, Receiver<Runtime>) = mpsc::channel();
    let (done, is_done) = mpsc::channel();
    let mut given = Some(given);
    runtime.spawn(poll_fn(move |cx| {
        let given = given.take().expect("polled once");
        let mut set = pin!(task::LocalSet::new());
        drop(set.spawn_local(async move {
            task::block_in_place(|| drop(given.recv_timeout(LONG).expect("the test gives it")));
        }));
        assert!(set.as_mut().poll(cx).is_ready());
        done.send(()).expect("the test waits");
        Poll::Ready(())
    }));
    give.send(runtime).expect("the task waits");
    is_done.recv_timeout(LONG / 2).expect("the task comes back");
}

#[cfg(feature = "sim")]
#[test]
fn in_a_simulation_it_runs_inline() {
    let mut stepper = crate::sim::Stepper::new(2, 1).expect("a runtime");
    let task = stepper.handle().spawn(async { task::block_in_place(|| thread::current().id()) });
    stepper.run_until_stalled();
    let ran_on = std::pin::pin!(task);
    let waker = std::task::Waker::noop();
    let Poll::Ready(output) = std::future::Future::poll(ran_on, &mut std::task::Context::from_waker(waker)) else {
        panic!("the task has not ended");
    };
    assert_eq!(output.unwrap(), thread::current().id());
}

/// The thread that is in the poll drops the task after it: the runtime has ended meanwhile, and the thread that dropped all others has passed it over.
#[test]
fn a_task_that_is_dropped_after_the_runtime_terminates_for_the_hooks_as_well() {
    let (terminates, terminated) = mpsc::channel();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .on_task_terminate(move |task| drop(terminates.send(task.name().map(str::to_owned))))
        .build()
        .expect("a runtime");
    let (blocks, is_blocked) = mpsc::channel();
    let (release, released): (_, Receiver<()>) = mpsc::channel();
    let task = async move {
        lose_worker();
        blocks.send(()).expect("the test waits");
        task::block_in_place(|| released.recv_timeout(LONG).unwrap_err());
        pending::<()>().await;
    };
    task::Builder::new().name("blocks").spawn_on(task, runtime.handle());
    is_blocked.recv_timeout(LONG).expect("the task blocks");
    assert_eq!(runtime.shutdown_timeout(Duration::ZERO), 1);
    drop(release);
    let mut named = Vec::new();
    while let Ok(name) = terminated.recv_timeout(LONG) {
        named.extend(name);
    }
    assert_eq!(named, ["blocks"]);
}

#[test]
fn a_task_that_entered_another_runtime_does_not_lend_its_current_thread_worker() {
    let (workers, current) = (one_worker(), Builder::new_current_thread().build().expect("a runtime"));
    let handle = workers.handle().clone();
    let blocks = current.spawn(async move {
        let _entered = handle.enter();
        task::block_in_place(|| ());
    });
    assert!(current.block_on(blocks).unwrap_err().is_panic(), "it has no other thread to go on with");
}

#[test]
fn a_task_that_entered_a_current_thread_runtime_lends_its_own_worker() {
    let (workers, current) = (one_worker(), Builder::new_current_thread().build().expect("a runtime"));
    let handle = current.handle().clone();
    let mine = workers.handle().clone();
    let blocks = workers.spawn(async move {
        let _entered = handle.enter();
        task::block_in_place(|| mine.block_on(mine.spawn(async { 7 }))).unwrap()
    });
    assert_eq!(workers.block_on(blocks).unwrap(), 7);
}

#[test]
fn in_a_task_of_a_set_that_a_worker_polls_the_closure_may_block_but_drives_nothing() {
    let runtime = one_worker();
    let handle = runtime.handle().clone();
    let polls_a_set = runtime.spawn(poll_fn(move |cx| {
        let mut set = task::LocalSet::new();
        let handle = handle.clone();
        let inner = set.spawn_local(async move { task::block_in_place(|| handle.try_block_on(async {})) });
        let _ = std::pin::Pin::new(&mut set).poll(cx);
        std::pin::Pin::new(&mut pin!(inner)).poll(cx).map(Result::unwrap)
    }));
    assert_eq!(runtime.block_on(polls_a_set).unwrap(), Err(super::BlockOnError::InsideRuntime));
}

#[test]
fn threads_that_come_back_without_a_worker_serve_no_more_closures_than_may_run() {
    let (stopped, stops) = mpsc::channel();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .thread_keep_alive(LONG)
        .on_thread_stop(move || _ = stopped.send(thread::current().id()))
        .build()
        .expect("a runtime");
    // The worker's own thread serves closures from here on, and is in one when the pool's thread loses the worker too.
    runtime.block_on(runtime.spawn(async { lose_worker() })).unwrap();
    let (began, begins) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let closure = runtime.spawn_blocking(move || {
        began.send(()).unwrap();
        ends.recv_timeout(LONG).expect("told to end");
    });
    begins.recv_timeout(LONG).expect("the closure runs");
    let loses = runtime.spawn(async {
        lose_worker();
        thread::current().id()
    });
    let without_worker = runtime.block_on(loses).unwrap();
    // The worker's own thread may have been too late for the pool, and stop as well.
    while stops.recv_timeout(LONG).expect("the thread stops") != without_worker {}
    assert_eq!(runtime.metrics().num_blocking_threads(), 1);
    end.send(()).unwrap();
    runtime.block_on(closure).unwrap();
}

#[test]
fn where_very_many_block_in_place_the_next_worker_waits_for_a_thread() {
    let runtime = one_worker();
    let handle = runtime.handle().clone();
    let (lost, losing) = mpsc::channel();
    let holding: Vec<_> = (0..IN_PLACE_MAX)
        .map(|_| {
            let lost = lost.clone();
            let (end, ends) = mpsc::channel::<()>();
            let task = runtime.spawn(async move {
                let lost = lost.clone();
                task::spawn(async move { lost.send(()).expect("the receiver waits") });
                task::block_in_place(|| ends.recv_timeout(LONG)).expect("told to end");
            });
            losing.recv_timeout(LONG).expect("another thread has the worker");
            (end, task)
        })
        .collect();
    let one_more = runtime.spawn(async move { task::block_in_place(|| handle.metrics().num_blocking_threads()) });
    assert_eq!(runtime.block_on(one_more).unwrap(), 0, "no thread was started for it");
    for (end, task) in holding {
        end.send(()).unwrap();
        runtime.block_on(task).unwrap();
    }
}
