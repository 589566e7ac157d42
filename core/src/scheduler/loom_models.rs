//! Models of parking and of the sleeping protocol.

use super::idle::Idle;
use super::park::Parker;
use crate::shim::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::shim::sync::{Arc, Mutex};

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
        *self.queue.lock().unwrap() += 1;
        self.wake_one();
    }

    fn wake_one(&self) {
        if let Some(worker) = self.idle.worker_to_wake() {
            self.parkers[worker].unpark(|| {});
        }
    }

    fn pop(&self) -> bool {
        let mut queue = self.queue.lock().unwrap();
        let any = *queue > 0;
        *queue -= usize::from(any);
        any
    }

    /// The worker loop, without stealing and timers. Ends when all expected work is done.
    fn work(&self, worker: usize) {
        let mut searching = false;
        while self.done.load(Ordering::Acquire) < self.expected {
            if !searching {
                searching = self.idle.start_searching();
            }
            if self.pop() {
                if searching {
                    searching = false;
                    if self.idle.stop_searching() {
                        self.wake_one();
                    }
                }
                if self.done.fetch_add(1, Ordering::AcqRel) + 1 == self.expected {
                    self.parkers.iter().for_each(|parker| parker.unpark(|| {}));
                }
                continue;
            }

            let nobody_searches = self.idle.to_sleep(worker, searching);
            if nobody_searches && *self.queue.lock().unwrap() > 0 {
                self.wake_one();
            }
            if self.done.load(Ordering::Acquire) < self.expected {
                self.parkers[worker].park(None);
            }
            searching = self.idle.woke_up(worker);
        }
    }
}

/// If a wake-up were lost both workers would sleep while work waits, which loom reports as a deadlock.
#[test]
fn loom_pushed_work_always_finds_a_worker() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
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
