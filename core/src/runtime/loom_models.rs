//! Models of the end of a runtime with real tasks: wakes, aborts and spawns that race with it, and the join of a task.
//!
//! A model thread that is in the runtime's context would be so for all of them, since they share one thread of the system:
//! so at most one enters it, and no worker is entered at all. What a worker does with its own queue
//! at its end is `runtime::shutdown_worker`.

use super::thread_names::ThreadNames;
use super::{Config, Flavor, Handle, Inner, UnhandledPanic};
use crate::io::driver::Driver;
use crate::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::raw_task::poll_record::PollStart;
use crate::runtime::blocking::Pool;
use crate::scheduler::histogram::Scales;
use crate::scheduler::park::Parker;
use crate::scheduler::queue::Local;
use crate::scheduler::worker::hand_on;
use crate::scheduler::{self, Extras, Intervals};
use crate::task::{JoinHandle, LocalSet};
use crate::time::driver::Clock;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// A runtime with one worker, which is the model's main thread.
pub(crate) fn runtime() -> Handle {
    runtime_and_queue().0
}

/// With the queue of its worker.
pub(crate) fn runtime_and_queue() -> (Handle, Local) {
    let (driver, io) = Driver::new(1).unwrap();
    let scheduler = scheduler::Config {
        workers: 1,
        flavor: Flavor::CurrentThread,
        clock: Clock::manual(),
        driver,
        io,
        histograms: Scales::default(),
        extras: Extras::default(),
        intervals: Intervals::default(),
        thread_hooks: None,
    };
    let config = Config {
        scheduler,
        pool: Pool::new(ThreadNames::Base(String::new()), 1, Duration::ZERO, None),
        seed: 1,
        name: None,
        unhandled_panic: UnhandledPanic::Ignore,
        simulation: None,
    };
    let (handle, mut queues) = Inner::build(config);
    (handle, queues.remove(0))
}

/// One step of the worker.
pub(crate) fn step(handle: &Handle) {
    let shared = handle.shared();
    if let Some(task) = shared.injector.pop().or_else(|| shared.remotes[0].inbox.pop()) {
        let slot = task.header().owned.load(Ordering::Relaxed);
        handle.shared().remotes[0].front.polled.store(slot, Ordering::Relaxed);
        assert!(task.run(PollStart::new(0, handle.now().0)).is_none());
    }
}

/// The one worker ends, and with it the runtime.
pub(crate) fn end(handle: &Handle) {
    handle.shared().begin_end();
    handle.worker_exited();
}

/// A future that waits for ever, and notes when and where it is dropped.
struct Waits {
    drops: Arc<AtomicUsize>,
    dropped_by: loom::thread::ThreadId,
}

impl Drop for Waits {
    fn drop(&mut self) {
        assert_eq!(loom::thread::current().id(), self.dropped_by);
        self.drops.fetch_add(1, Ordering::AcqRel);
    }
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

fn spawn_one_that_waits(
    handle: &Handle,
    is_pinned: bool,
    waker: &Arc<Mutex<Option<Waker>>>,
) -> (JoinHandle<()>, Arc<AtomicUsize>) {
    let drops = Arc::new(AtomicUsize::new(0));
    let guard = Waits { drops: drops.clone(), dropped_by: loom::thread::current().id() };
    let waker = waker.clone();
    let future = poll_fn(move |cx: &mut Context<'_>| {
        let _guard = &guard;
        *waker.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    });
    let task = if is_pinned { handle.spawn_pinned(0, future).unwrap() } else { handle.spawn(future) };
    (task, drops)
}

/// Two who wake the same sleeping task, and one who aborts it, while the runtime ends.
fn against_the_end(is_pinned: bool, others: &[fn(&Waker, &JoinHandle<()>)]) {
    let others = others.to_vec();
    loom::model(move || {
        let (handle, waker) = (runtime(), Arc::default());
        let (task, drops) = spawn_one_that_waits(&handle, is_pinned, &waker);
        let task = Arc::new(task);
        step(&handle);
        let waker = waker.lock().unwrap().take().unwrap();
        let others: Vec<_> = others
            .iter()
            .map(|&other| {
                let (waker, task) = (waker.clone(), task.clone());
                loom::thread::spawn(move || other(&waker, &task))
            })
            .collect();

        end(&handle);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(drops.load(Ordering::Acquire), 1);
        assert!(task.is_finished());
        assert_eq!(handle.alive_tasks(), 0);
    });
}

#[test]
fn loom_a_wake_against_the_end_drops_the_future_once_and_not_where_it_wakes() {
    against_the_end(false, &[|waker, _| waker.wake_by_ref()]);
}

#[test]
fn loom_wakes_and_an_abort_against_the_end_drop_the_future_once() {
    against_the_end(false, &[|waker, _| waker.wake_by_ref(), |_, task| task.abort()]);
}

#[test]
fn loom_a_wake_of_a_pinned_task_against_the_end_drops_the_future_once() {
    against_the_end(true, &[|waker, _| waker.wake_by_ref()]);
}

/// Either the end finds the task in the list, or who spawns it is refused: it never stays behind.
#[test]
fn loom_a_spawn_against_the_end_leaves_nothing() {
    loom::model(|| {
        let handle = runtime();
        let drops = Arc::new(AtomicUsize::new(0));
        let spawner = {
            let (handle, drops) = (handle.clone(), drops.clone());
            loom::thread::spawn(move || {
                let guard = CountDrop(drops);
                handle.spawn(async move {
                    let _guard = guard;
                    std::future::pending::<()>().await;
                })
            })
        };
        end(&handle);
        let task = spawner.join().unwrap();
        assert!(task.is_finished());
        assert_eq!((drops.load(Ordering::Acquire), handle.alive_tasks()), (1, 0));
    });
}

/// A worker runs two tasks in the same place of the list, one after the other, while the watchdog asks what it is in.
#[test]
fn loom_the_watchdog_is_shown_each_running_task_at_most_once() {
    loom::model(|| {
        let handle = runtime();
        let watchdog = {
            let handle = handle.clone();
            loom::thread::spawn(move || {
                let look = |_| {
                    let slot = handle.shared().remotes[0].front.polled.load(Ordering::Relaxed);
                    handle.shared().owned.mark_slow(slot, 0, |listed| listed.task.id())
                };
                (0..2).filter_map(look).collect::<Vec<_>>()
            })
        };
        let ids: Vec<_> = (0..2)
            .map(|_| {
                let id = handle.spawn(std::future::ready(())).id();
                step(&handle);
                id
            })
            .collect();

        let shown = watchdog.join().unwrap();
        assert!(shown.iter().all(|id| ids.contains(id)));
        assert!(shown.len() < 2 || shown[0] != shown[1]);
        end(&handle);
    });
}

/// A worker runs tasks, and one leaves the list, while another thread spawns one, perhaps into its place, and a third lists them all: each that
/// lives through it is shown once, none twice, and none that has completed.
#[test]
fn loom_a_list_of_tasks_shows_those_that_live() {
    loom::model(|| {
        let handle = runtime();
        let (stays, ends) = (handle.spawn(std::future::pending::<()>()), handle.spawn(std::future::ready(())));
        let lister = {
            let handle = handle.clone();
            loom::thread::spawn(move || {
                let mut ids = Vec::new();
                handle.shared().owned.for_each(|listed| {
                    assert!(listed.task.task_state().is_some(), "it leaves the list before it completes");
                    ids.push(listed.task.id());
                });
                ids
            })
        };
        let spawner = {
            let handle = handle.clone();
            loom::thread::spawn(move || handle.spawn(std::future::ready(())))
        };
        step(&handle);
        step(&handle);

        let (new, ids) = (spawner.join().unwrap(), lister.join().unwrap());
        let shown = |id| ids.iter().filter(|shown| **shown == id).count();
        assert_eq!(shown(stays.id()), 1);
        assert!(shown(ends.id()) <= 1 && shown(new.id()) <= 1);
        assert_eq!(ids.len(), 1 + shown(ends.id()) + shown(new.id()));
        step(&handle);
        assert_eq!(handle.alive_tasks(), 1);
        end(&handle);
        assert_eq!(handle.alive_tasks(), 0);
    });
}

struct Unpark(Parker, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.swap(true, Ordering::AcqRel);
        self.0.unpark(|| {});
    }
}

/// Were the joiner not woken it would sleep for ever, which loom reports as a deadlock.
#[test]
fn loom_a_joiner_learns_of_the_completion() {
    loom::model(|| {
        let handle = runtime();
        let joined = handle.spawn(async { 7 });
        let joiner = loom::thread::spawn(move || {
            let unpark = Arc::new(Unpark(Parker::new(), AtomicBool::new(false)));
            let waker = Waker::from(unpark.clone());
            let mut joined = pin!(joined);
            loop {
                if let Poll::Ready(output) = joined.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return output.unwrap();
                }
                while !unpark.1.swap(false, Ordering::AcqRel) {
                    unpark.0.park(None);
                }
            }
        });
        step(&handle);
        assert_eq!(joiner.join().unwrap(), 7);
        end(&handle);
    });
}

/// Dropping the handle while the task completes: the output is dropped once, by one of the two.
#[test]
fn loom_a_handle_dropped_against_the_completion_drops_the_output_once() {
    loom::model(|| {
        let handle = runtime();
        let output = Arc::new(());
        let held = output.clone();
        let joined = handle.spawn(async move { held });
        let dropper = loom::thread::spawn(move || drop(joined));
        step(&handle);
        dropper.join().unwrap();
        assert_eq!(Arc::strong_count(&output), 1);
        end(&handle);
    });
}

/// A thread that has lost its worker is in a poll, in which the task is woken or not, while the runtime ends without it: the
/// thread or the one that drops all tasks drops the future, the later of the two.
#[test]
fn loom_a_poll_without_a_worker_against_the_end_drops_the_future_once() {
    for wakes in [false, true] {
        loom::model(move || {
            let handle = runtime();
            let drops = Arc::new(AtomicUsize::new(0));
            let guard = CountDrop(drops.clone());
            let has_lost = Arc::new(Parker::new());
            let loses = has_lost.clone();
            let task = handle.spawn(poll_fn(move |cx| {
                let _guard = &guard;
                // From here on the thread is as one that has lost its worker.
                loses.unpark(|| {});
                if wakes {
                    cx.waker().wake_by_ref();
                }
                Poll::<()>::Pending
            }));
            let runnable = handle.shared().injector.pop().expect("the task was spawned");
            let taker = runnable.task_ref();
            let lost = {
                let handle = handle.clone();
                loom::thread::spawn(move || {
                    let woken = runnable.run(PollStart::NONE);
                    hand_on(&handle, &taker, woken);
                })
            };
            has_lost.park(None);
            end(&handle);
            lost.join().unwrap();
            assert_eq!((drops.load(Ordering::Acquire), handle.alive_tasks()), (1, 0));
            assert!(task.is_finished());
        });
    }
}

/// A task of a set is woken and aborted by another thread while the set runs it and is dropped: that one alone drops the future.
#[test]
fn loom_a_wake_and_an_abort_against_the_end_of_a_set_drop_the_future_once_and_here() {
    loom::model(|| {
        let handle = runtime();
        let _entered = handle.enter();
        let (set, waker) = (LocalSet::new(), Arc::new(Mutex::new(None::<Waker>)));
        let drops = Arc::new(AtomicUsize::new(0));
        let guard = Waits { drops: drops.clone(), dropped_by: loom::thread::current().id() };
        let slot = waker.clone();
        let task = set.spawn_local(poll_fn(move |cx| {
            let _guard = &guard;
            *slot.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        let mut set = Box::pin(set);
        let mut poll = || assert!(set.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        poll();
        let (waker, abort) = (waker.lock().unwrap().take().unwrap(), task.abort_handle());
        let other = loom::thread::spawn(move || {
            waker.wake();
            abort.abort();
        });
        if !task.is_finished() {
            let _ = set.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(set);
        other.join().unwrap();
        assert_eq!(drops.load(Ordering::Acquire), 1);
        assert!(task.is_finished());
        end(&handle);
    });
}

/// A set sleeps, by a waker that was not there at its first poll, while another thread wakes one of its tasks. Were its poller not woken it
/// would sleep for ever, which loom reports as a deadlock.
#[test]
fn loom_a_wake_from_another_thread_reaches_who_polls_the_set() {
    loom::model(|| {
        let handle = runtime();
        let _entered = handle.enter();
        let (set, waker, has_come) =
            (LocalSet::new(), Arc::new(Mutex::new(None::<Waker>)), Arc::new(AtomicBool::new(false)));
        let (slot, come) = (waker.clone(), has_come.clone());
        let task = set.spawn_local(poll_fn(move |cx| {
            *slot.lock().unwrap() = Some(cx.waker().clone());
            if come.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        }));
        let mut set = Box::pin(set);
        assert!(set.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let waker = waker.lock().unwrap().take().unwrap();
        let other = loom::thread::spawn(move || {
            has_come.store(true, Ordering::Release);
            waker.wake();
        });

        let unpark = Arc::new(Unpark(Parker::new(), AtomicBool::new(false)));
        let waker = Waker::from(unpark.clone());
        while set.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            while !unpark.1.swap(false, Ordering::AcqRel) {
                unpark.0.park(None);
            }
        }
        other.join().unwrap();
        assert!(task.is_finished());
        drop(set);
        end(&handle);
    });
}
