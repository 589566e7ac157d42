//! `block_on`: a future driven by the calling thread.
//!
//! With worker threads the caller only sleeps between polls. On a current-thread runtime it takes the worker and runs
//! all tasks; a second thread inside `block_on` at the same time waits for its turn and polls only its own future.

use super::{Flavor, Handle};
use crate::context;
use crate::scheduler::park::Parker;
use crate::scheduler::worker::{MAINTENANCE_INTERVAL, Step, Worker, WorkerParts};
use crate::task::coop;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Wake, Waker};

/// Why a future was not driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockOnError {
    /// The thread drives a runtime already; blocking it would stall that one.
    InsideRuntime,
}

impl fmt::Display for BlockOnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this thread drives a runtime, blocking it would stall every task on it: \
             await the future instead, or move the call into `task::spawn_blocking`",
        )
    }
}

impl std::error::Error for BlockOnError {}

impl Handle {
    /// Runs a future to its end on this thread; see [`Runtime::block_on`](super::Runtime::block_on).
    ///
    /// # Panics
    /// On a thread that drives a runtime already; [`try_block_on`](Self::try_block_on) returns that as an error.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.try_block_on(future) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs a future to its end on this thread, unless that would stall a runtime.
    ///
    /// # Errors
    /// [`BlockOnError::InsideRuntime`] in a task or inside another `block_on`; the future is dropped.
    pub fn try_block_on<F: Future>(&self, future: F) -> Result<F::Output, BlockOnError> {
        if context::is_driving() {
            return Err(BlockOnError::InsideRuntime);
        }

        let _driving = context::drive();
        let _entered = context::enter(self.clone());
        let future = pin!(future);
        let root = Root::new(self);
        Ok(match self.flavor() {
            Flavor::CurrentThread => root.run_with_worker(self, future),
            Flavor::MultiThread | Flavor::Stepped => root.run(future),
        })
    }
}

/// The wake-up side of a future inside `block_on`.
struct Root {
    signal: Arc<Signal>,
    waker: Waker,
}

struct Signal {
    notified: AtomicBool,
    parker: Parker,
    /// Only on a current-thread runtime: the worker that may sleep in place of the parker.
    runtime: Option<Handle>,
}

impl Signal {
    fn notify(&self) {
        // Release, by the swap: what the waker wrote is seen by the poll. Partner: the swap in `Root::poll`.
        self.notified.swap(true, Ordering::AcqRel);
        self.parker.unpark(|| {});
        if let Some(runtime) = &self.runtime {
            runtime.shared().unpark(0);
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

impl Root {
    fn new(handle: &Handle) -> Self {
        let runtime = (handle.flavor() == Flavor::CurrentThread).then(|| handle.clone());
        let signal = Arc::new(Signal { notified: AtomicBool::new(true), parker: Parker::new(), runtime });
        let waker = Waker::from(signal.clone());
        Self { signal, waker }
    }

    fn is_notified(&self) -> bool {
        self.signal.notified.load(Ordering::Acquire)
    }

    /// Polls the future if it was woken since the last poll.
    fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        if !self.signal.notified.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let mut cx = Context::from_waker(&self.waker);
        coop::budget(|| future.poll(&mut cx))
    }

    fn run<F: Future>(&self, mut future: Pin<&mut F>) -> F::Output {
        loop {
            match self.poll(future.as_mut()) {
                Poll::Ready(output) => return output,
                Poll::Pending => self.signal.parker.park(None),
            }
        }
    }

    fn run_with_worker<F: Future>(&self, handle: &Handle, mut future: Pin<&mut F>) -> F::Output {
        let slot = &handle.inner().parked_worker;
        loop {
            let Some(mut borrowed) = slot.borrow(&self.signal) else {
                match self.poll(future.as_mut()) {
                    Poll::Ready(output) => return output,
                    Poll::Pending => self.signal.parker.park(None),
                }
                continue;
            };
            return borrowed.worker().enter(|worker| self.drive(worker, future));
        }
    }

    fn drive<F: Future>(&self, worker: &mut Worker, mut future: Pin<&mut F>) -> F::Output {
        loop {
            if let Poll::Ready(output) = self.poll(future.as_mut()) {
                return output;
            }
            if self.run_tasks(worker) == Step::Idle && !self.is_notified() {
                worker.park();
            }
        }
    }

    /// Runs tasks until there are none, the future was woken, or it is time to look at the outside world.
    fn run_tasks(&self, worker: &mut Worker) -> Step {
        for _ in 0..MAINTENANCE_INTERVAL {
            if worker.step() == Step::Idle {
                return Step::Idle;
            }
            if self.is_notified() {
                break;
            }
        }
        Step::Ran
    }
}

/// Where the worker of a current-thread runtime waits for a thread, and threads wait for the worker.
#[derive(Default)]
pub(crate) struct WorkerSlot(Mutex<Slot>);

#[derive(Default)]
struct Slot {
    worker: Option<WorkerParts>,
    waiting: Vec<Weak<Signal>>,
}

impl WorkerSlot {
    pub(crate) fn put(&self, worker: WorkerParts) {
        let mut slot = self.lock();
        slot.worker = Some(worker);
        let waiting = std::mem::take(&mut slot.waiting);
        drop(slot);

        for signal in waiting.iter().filter_map(Weak::upgrade) {
            signal.parker.unpark(|| {});
        }
    }

    pub(crate) fn take(&self) -> Option<WorkerParts> {
        self.lock().worker.take()
    }

    fn borrow(&self, signal: &Arc<Signal>) -> Option<Borrowed<'_>> {
        let mut slot = self.lock();
        match slot.worker.take() {
            Some(parts) => Some(Borrowed { slot: self, worker: Some(parts.into_worker()) }),
            None => {
                slot.waiting.retain(|other| other.strong_count() > 0);
                slot.waiting.push(Arc::downgrade(signal));
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The worker while a thread has it; goes back when dropped, also by a panic.
struct Borrowed<'a> {
    slot: &'a WorkerSlot,
    worker: Option<Worker>,
}

impl Borrowed<'_> {
    fn worker(&mut self) -> &mut Worker {
        self.worker.as_mut().expect("invariant: present until dropped")
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            self.slot.put(worker.into_parts());
        }
    }
}
