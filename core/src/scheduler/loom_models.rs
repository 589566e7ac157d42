//! Models of parking and of the sleeping protocol.

use super::Front;
use super::idle::{Activity, Idle};
use super::inbox::Inbox;
use super::local::LocalQueue;
use super::park::Parker;
use super::queue::Local;
use crate::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::loom::sync::{Arc, Mutex};
use crate::raw_task::Runnable;
use crate::raw_task::poll_record::PollStart;
use crate::runtime::loom_models::runtime;
use crate::runtime::{Flavor, Handle};

#[test]
fn loom_an_unpark_ends_the_park() {
    loom::model(|| {
        let (parker, ready) = (Arc::new(Parker::new()), Arc::new(AtomicBool::new(false)));
        let waker = {
            let (parker, ready) = (parker.clone(), ready.clone());
            loom::thread::spawn(move || {
                ready.store(true, Ordering::Release);
                parker.unpark(|| {});
            })
        };
        while !ready.load(Ordering::Acquire) {
            parker.park(None);
        }
        waker.join().unwrap();
    });
}

#[test]
fn loom_an_unpark_interrupts_the_driver() {
    loom::model(|| {
        let parker = Arc::new(Parker::new());
        let (interrupted, ready) = (Arc::new(Parker::new()), Arc::new(AtomicBool::new(false)));
        let waker = {
            let (parker, interrupted, ready) = (parker.clone(), interrupted.clone(), ready.clone());
            loom::thread::spawn(move || {
                ready.store(true, Ordering::Release);
                // The second parker stands for the event queue, which keeps an interruption until the next turn.
                parker.unpark(|| interrupted.unpark(|| {}));
            })
        };
        while !ready.load(Ordering::Acquire) {
            parker.park_in_driver(|may_block| {
                if may_block {
                    interrupted.park(None);
                }
            });
        }
        waker.join().unwrap();
    });
}

/// A task for one worker alone is pushed while that worker looks for the last time and goes to sleep, on its condition variable or in the
/// driver. Were it overlooked the worker would sleep for ever, which loom reports as a deadlock.
#[test]
fn loom_a_pinned_task_is_seen_by_a_worker_that_goes_to_sleep() {
    for in_driver in [false, true] {
        loom::model(move || {
            let shared = Arc::new((Inbox::new(), Parker::new(), Parker::new()));
            let pusher = {
                let shared = shared.clone();
                loom::thread::spawn(move || {
                    let (inbox, parker, driver) = &*shared;
                    for task in 0..2 {
                        inbox.push(task);
                        parker.unpark(|| driver.unpark(|| {}));
                    }
                })
            };
            let (inbox, parker, driver) = &*shared;
            let mut next = 0;
            while next < 2 {
                match inbox.pop() {
                    Some(task) => {
                        assert_eq!(task, next);
                        next += 1;
                    }
                    None if in_driver => {
                        parker.park_in_driver(|may_block| {
                            if may_block {
                                driver.park(None);
                            }
                        });
                    }
                    None => parker.park(None),
                }
            }
            pusher.join().unwrap();
        });
    }
}

/// Two workers and the queue that both look at.
struct Pool {
    idle: Idle,
    parkers: [Parker; 2],
    queue: Mutex<usize>,
    done: AtomicUsize,
    expected: usize,
}

impl Pool {
    fn push(&self) {
        *self.queue.lock() += 1;
        self.wake_one();
    }

    fn wake_one(&self) {
        if let Some(worker) = self.idle.worker_to_wake() {
            self.parkers[worker].unpark(|| {});
        }
    }

    fn pop(&self) -> bool {
        let mut queue = self.queue.lock();
        let any = *queue > 0;
        *queue -= usize::from(any);
        any
    }

    /// The worker loop, without stealing and timers. Ends when all expected work is done.
    fn work(&self, worker: usize) {
        let mut activity = Activity::Running;
        while self.done.load(Ordering::Acquire) < self.expected {
            self.step(worker, &mut activity);
        }
    }

    /// One step, and the sleep if there was nothing to do. The sleep ends also when all is done, or the thread is wanted.
    fn step(&self, worker: usize, activity: &mut Activity) {
        activity.start_searching(&self.idle);
        if self.pop() {
            if activity.stop_searching(&self.idle) {
                self.wake_one();
            }
            if self.done.fetch_add(1, Ordering::AcqRel) + 1 == self.expected {
                self.parkers.iter().for_each(|parker| parker.unpark(|| {}));
            }
            return;
        }

        let nobody_searches = activity.transition_to_parked(&self.idle, worker);
        if nobody_searches && *self.queue.lock() > 0 {
            self.wake_one();
        }
        if self.done.load(Ordering::Acquire) < self.expected {
            self.parkers[worker].park(None);
        }
        activity.transition_from_parked(&self.idle, worker);
    }
}

/// If a wake-up were lost both workers would sleep while work waits, which loom reports as a deadlock.
#[test]
fn loom_pushed_work_always_finds_a_worker() {
    loom::model(|| {
        let pool = Arc::new(Pool {
            idle: Idle::new(2),
            parkers: [Parker::new(), Parker::new()],
            queue: Mutex::new(0),
            done: AtomicUsize::new(0),
            expected: 1,
        });
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let pool = pool.clone();
                loom::thread::spawn(move || pool.work(worker))
            })
            .collect();
        pool.push();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

/// A current-thread runtime: a thread drives the one worker until its own future was woken, then leaves it to the next.
/// A thread outside first wakes a task, then that future, so that the worker leaves as a searcher. Were it still counted
/// as one, no worker would be woken for the second task, which loom reports as a deadlock.
#[test]
fn loom_a_worker_that_leaves_while_it_searches_is_no_searcher_any_more() {
    loom::model(|| {
        let pool = Arc::new(Pool {
            idle: Idle::new(1),
            parkers: [Parker::new(), Parker::new()],
            queue: Mutex::new(0),
            done: AtomicUsize::new(0),
            expected: 2,
        });
        let root_woken = Arc::new(AtomicBool::new(false));
        let outside = {
            let (pool, root_woken) = (pool.clone(), root_woken.clone());
            loom::thread::spawn(move || {
                pool.push();
                root_woken.store(true, Ordering::Release);
                pool.parkers[0].unpark(|| {});
                pool.push();
            })
        };

        let mut activity = Activity::Running;
        while !root_woken.load(Ordering::Acquire) {
            pool.step(0, &mut activity);
        }
        if activity.reset(&pool.idle, 0) {
            pool.wake_one();
        }
        // The second `block_on`.
        pool.work(0);
        outside.join().unwrap();
    });
}

/// If the watchdog rested while a worker is awake, nothing would rouse it, which loom reports as a deadlock.
#[test]
fn loom_no_worker_is_awake_while_the_watchdog_rests() {
    loom::model(|| {
        let shared = Arc::new((Idle::new(1), Parker::new()));
        let mut activity = Activity::Running;
        let _ = activity.transition_to_parked(&shared.0, 0);
        let watchdog = {
            let shared = shared.clone();
            loom::thread::spawn(move || shared.0.park_watchdog())
        };
        let waker = {
            let shared = shared.clone();
            loom::thread::spawn(move || {
                if let Some(worker) = shared.0.worker_to_wake() {
                    assert_eq!(worker, 0);
                    shared.1.unpark(|| {});
                }
            })
        };
        shared.1.park(None);
        activity.transition_from_parked(&shared.0, 0);
        // From here on it is in a poll that never ends.
        watchdog.join().unwrap();
        waker.join().unwrap();
    });
}

/// A task that counts its runs, taken out of the queue that it was spawned into.
fn job(handle: &Handle, runs: &std::sync::Arc<std::sync::atomic::AtomicUsize>) -> Runnable {
    let runs = runs.clone();
    let task = handle.spawn(async move { runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst) });
    drop(task);
    handle.shared().injector.pop().expect("it was spawned")
}

fn run(task: Runnable) {
    assert!(task.run(PollStart::NONE).is_none());
}

/// A task takes the worker away in the middle of its poll, which another thread goes on with, or which comes back; the watchdog steals
/// from the LIFO slot meanwhile. Each task is run once: none is lost in a slot with two owners.
#[test]
fn loom_a_worker_that_is_taken_away_has_one_owner_at_a_time() {
    for comes_back in [false, true] {
        loom::model(move || {
            let (handle, runs) = (runtime(), std::sync::Arc::default());
            let [taker, queued, lifo, woken, again] = std::array::from_fn(|_| job(&handle, &runs));
            let front = std::sync::Arc::new(Front::new(None, false));
            let local = LocalQueue::new(0, Flavor::MultiThread, Local::new(), front.clone());
            local.push(queued);
            assert!(!local.push_lifo(lifo));
            let watchdog = loom::thread::spawn(move || front.lifo.steal().into_iter().for_each(run));

            let (queue, front) = local.exchange(taker.task_ref(), 61);
            assert!(local.is_lost() && local.is_empty());
            if comes_back {
                local.restore(queue, front);
                assert!(!local.is_lost());
                let _ = local.push_lifo(woken);
                local.with(|seat| {
                    std::iter::from_fn(|| seat.queue.pop()).for_each(run);
                    seat.front.lifo.take().into_iter().for_each(run);
                });
                run(again);
            } else {
                let other = loom::thread::spawn(move || {
                    std::iter::from_fn(|| queue.pop()).for_each(run);
                    front.lifo.take().into_iter().for_each(run);
                    // It wakes one as well.
                    assert!(front.lifo.replace(again).is_none());
                    front.lifo.take().into_iter().for_each(run);
                });
                // What the rest of the poll wakes stays with the thread that has no worker any more.
                assert!(!local.push_lifo(woken));
                local.with(|seat| seat.front.lifo.take()).into_iter().for_each(run);
                other.join().unwrap();
            }
            watchdog.join().unwrap();
            run(taker);
            assert_eq!(runs.load(std::sync::atomic::Ordering::SeqCst), 5);
            handle.shared().begin_end();
            handle.worker_exited();
        });
    }
}
