//! Models of the task's state word: every interleaving of wakers, worker, joiner and aborter.

use super::state::{AfterPoll, OutputOwner, Start, State, Wake};
use crate::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::loom::sync::{Arc, Mutex};

/// A task reduced to its state word, a queue, and what it is waiting for.
struct Task {
    state: State,
    queued: Mutex<usize>,
    event: AtomicBool,
    dropped: AtomicUsize,
}

impl Task {
    fn new(state: State) -> Arc<Self> {
        Arc::new(Self { state, queued: Mutex::new(1), event: AtomicBool::new(false), dropped: AtomicUsize::new(0) })
    }

    fn submit(&self) {
        *self.queued.lock() += 1;
    }

    fn take(&self) -> bool {
        let mut queued = self.queued.lock();
        let any = *queued > 0;
        *queued -= usize::from(any);
        any
    }

    /// Runs it while it is queued; it completes when the event has come. True if it completed.
    fn run(&self) -> bool {
        while self.take() {
            match self.state.start() {
                Start::Poll if !self.event.load(Ordering::Acquire) => {
                    if self.state.pause() == AfterPoll::Schedule {
                        self.submit();
                    }
                    continue;
                }
                Start::Poll | Start::DropFuture => {}
            }
            self.dropped.fetch_add(1, Ordering::AcqRel);
            let _ = self.state.complete();
            return true;
        }
        false
    }
}

#[test]
fn loom_a_wake_is_never_lost() {
    loom::model(|| {
        let task = Task::new(State::scheduled());
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let task = task.clone();
                loom::thread::spawn(move || {
                    task.event.store(true, Ordering::Release);
                    if task.state.wake() == Wake::Schedule {
                        task.submit();
                    }
                })
            })
            .collect();

        let mut completed = task.run();
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
        completed |= task.run();
        assert!(completed);
        assert!(!task.take(), "queued after it completed");
    });
}

#[test]
fn loom_an_output_has_exactly_one_owner() {
    loom::model(|| {
        let state = Arc::new(State::scheduled_with_handle());
        let handle = {
            let state = state.clone();
            loom::thread::spawn(move || state.release_output().owner == OutputOwner::Caller)
        };
        let _ = state.start();
        let worker = state.complete().owner == OutputOwner::Caller;
        let joiner = handle.join().unwrap();
        assert!(worker != joiner);
    });
}

/// The joiner leaves its waker, then lets go of its handle or waits, while the task completes. It is woken or sees the end, and no
/// waker stays behind with the task: that one may keep others.
#[test]
fn loom_a_joiner_hears_of_the_end_and_its_waker_goes_with_the_handle() {
    for lets_go in [false, true] {
        loom::model(move || {
            let state = Arc::new(State::scheduled_with_handle());
            let waker = Arc::new(Mutex::new(None));
            let worker = {
                let (state, waker) = (state.clone(), waker.clone());
                loom::thread::spawn(move || {
                    let _ = state.start();
                    state.complete().takes_waker && waker.lock().take().is_some()
                })
            };

            // Twice, as a handle that is polled again by another task.
            let mut sees_the_end = false;
            for _ in 0..2 {
                sees_the_end = sees_the_end || state.is_complete();
                if !sees_the_end {
                    *waker.lock() = Some(());
                    sees_the_end = state.set_join_waker();
                    if sees_the_end {
                        *waker.lock() = None;
                    }
                }
            }
            let let_go = |state: &State| {
                if state.release_output().takes_waker {
                    *waker.lock() = None;
                }
            };
            if lets_go {
                let_go(&state);
            }
            let woken = worker.join().unwrap();
            assert!(lets_go || sees_the_end || woken);
            if !lets_go {
                let_go(&state);
            }
            assert!(waker.lock().is_none());
        });
    }
}

#[test]
fn loom_abort_against_completion_drops_the_future_once() {
    loom::model(|| {
        let task = Task::new(State::scheduled());
        task.event.store(true, Ordering::Release);
        let aborter = {
            let task = task.clone();
            loom::thread::spawn(move || {
                if task.state.cancel() == Wake::Schedule {
                    task.submit();
                }
            })
        };
        task.run();
        aborter.join().unwrap();
        task.run();
        assert_eq!(task.dropped.load(Ordering::Acquire), 1);
    });
}

#[test]
fn loom_an_abort_reaches_a_sleeping_task() {
    loom::model(|| {
        let task = Task::new(State::scheduled());
        let aborter = {
            let task = task.clone();
            loom::thread::spawn(move || {
                if task.state.cancel() == Wake::Schedule {
                    task.submit();
                }
            })
        };
        let mut completed = task.run();
        aborter.join().unwrap();
        completed |= task.run();
        assert!(completed);
        assert_eq!(task.dropped.load(Ordering::Acquire), 1);
    });
}

#[test]
fn loom_the_last_reference_is_seen_once() {
    loom::model(|| {
        let state = Arc::new(State::scheduled());
        state.retain();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let state = state.clone();
                loom::thread::spawn(move || usize::from(state.release()))
            })
            .collect();
        let mine = usize::from(state.release());
        let last: usize = others.into_iter().map(|other| other.join().unwrap()).sum();
        assert_eq!(mine + last, 1);
    });
}
