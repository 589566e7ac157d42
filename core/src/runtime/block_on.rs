//! `block_on`: a future driven by the calling thread.
//!
//! With worker threads the caller only sleeps between polls. On a current-thread runtime it takes the worker and runs
//! all tasks; a second thread inside `block_on` at the same time waits for its turn and polls only its own future. If the
//! runtime ends meanwhile, the thread that has the worker ends it (see `runtime::shutdown_worker`) and goes on with its future alone.

use super::blocking::block_on_simulated;
use super::{Flavor, Handle, shutdown_worker};
use crate::context;
use crate::lock::{Condvar, Mutex};
use crate::scheduler::park::Parker;
use crate::scheduler::worker::{MAINTENANCE_INTERVAL, Step, Worker, WorkerParts};
use crate::task::coop;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

/// Why a future was not driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockOnError {
    /// The thread drives a runtime already; blocking it would stall that one.
    InsideRuntime,
    /// The runtime has shut down, or is about to: nothing would run.
    ShutDown,
}

impl fmt::Display for BlockOnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InsideRuntime => {
                "this thread drives a runtime, blocking it would stall every task on it: \
                 await the future instead, or move the call into `task::spawn_blocking`"
            }
            Self::ShutDown => "the runtime has shut down",
        })
    }
}

impl std::error::Error for BlockOnError {}

impl Handle {
    /// Runs a future to its end on this thread; see [`Runtime::block_on`](super::Runtime::block_on).
    ///
    /// # Panics
    /// On a thread that drives a runtime already, and if the runtime has shut down; [`try_block_on`](Self::try_block_on)
    /// returns both as an error.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self.try_block_on(future) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs a future to its end on this thread, unless that would stall a runtime.
    ///
    /// If the runtime shuts down meanwhile the future goes on, without it: its tasks are cancelled, its timers are ready at once,
    /// and its sockets give an error where they would wait.
    ///
    /// # Errors
    /// [`BlockOnError::InsideRuntime`] in a task or inside another `block_on`, [`BlockOnError::ShutDown`] if the runtime has
    /// shut down; the future is dropped.
    pub fn try_block_on<F: Future>(&self, future: F) -> Result<F::Output, BlockOnError> {
        if context::is_driving() {
            return Err(BlockOnError::InsideRuntime);
        }
        if !self.shared().is_open() {
            return Err(BlockOnError::ShutDown);
        }

        let _driving = context::drive();
        let _entered = context::enter(self.clone());
        let future = pin!(future);
        let block_on = BlockOn::new(self);
        Ok(match self.flavor() {
            Flavor::CurrentThread => block_on.run_with_worker(self, future),
            Flavor::MultiThread => block_on.run(future),
            Flavor::Simulated => {
                let mut future = future;
                let budgeted = pin!(poll_fn(|cx| coop::budget(|| future.as_mut().poll(cx))));
                match block_on_simulated(budgeted) {
                    Some(output) => output,
                    None => block_on.run(future),
                }
            }
        })
    }
}

/// The wake-up side of a future inside `block_on`.
struct BlockOn {
    root_waker: Arc<RootWaker>,
    waker: Waker,
}

struct RootWaker {
    /// Set by every wake, taken by the thread inside `block_on` before it polls.
    notified: AtomicBool,
    /// Where that thread sleeps while it has no worker to run.
    parker: Parker,
    /// Only on a current-thread runtime: the worker that may sleep in place of the parker.
    runtime: Option<Handle>,
}

impl RootWaker {
    fn notify(&self) {
        // Release, by the swap: what the waker wrote is seen by the poll. Partner: the swap in `BlockOn::poll`.
        self.notified.swap(true, Ordering::AcqRel);
        self.parker.unpark(|| {});
        if let Some(runtime) = &self.runtime {
            runtime.shared().unpark(0);
        }
    }
}

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

impl BlockOn {
    fn new(handle: &Handle) -> Self {
        let runtime = (handle.flavor() == Flavor::CurrentThread).then(|| handle.clone());
        let root_waker = Arc::new(RootWaker { notified: AtomicBool::new(true), parker: Parker::new(), runtime });
        let waker = Waker::from(root_waker.clone());
        Self { root_waker, waker }
    }

    fn is_notified(&self) -> bool {
        self.root_waker.notified.load(Ordering::Acquire)
    }

    /// Polls the future if it was woken since the last poll.
    fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        if !self.root_waker.notified.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let mut cx = Context::from_waker(&self.waker);
        coop::budget(|| future.poll(&mut cx))
    }

    fn run<F: Future>(&self, mut future: Pin<&mut F>) -> F::Output {
        loop {
            match self.poll(future.as_mut()) {
                Poll::Ready(output) => return output,
                Poll::Pending => self.root_waker.parker.park(None),
            }
        }
    }

    fn run_with_worker<F: Future>(&self, handle: &Handle, mut future: Pin<&mut F>) -> F::Output {
        loop {
            if let Some(mut borrowed) = handle.inner().worker_slot.borrow(&self.root_waker) {
                match borrowed.worker().enter(|worker| self.drive(worker, future.as_mut())) {
                    Some(output) => return output,
                    None => continue,
                }
            }
            match self.poll(future.as_mut()) {
                Poll::Ready(output) => return output,
                Poll::Pending => self.root_waker.parker.park(None),
            }
        }
    }

    /// Polls the future and runs tasks in turn. `None` if the runtime ends before the future does.
    fn drive<F: Future>(&self, worker: &mut Worker, mut future: Pin<&mut F>) -> Option<F::Output> {
        while worker.shared().is_open() {
            if let Poll::Ready(output) = self.poll(future.as_mut()) {
                return Some(output);
            }
            if self.run_tasks(worker) == Step::Idle && !self.is_notified() {
                worker.park();
            }
        }
        None
    }

    /// Runs tasks until there are none, the future was woken, the runtime ends, or it is time to look at the outside world.
    fn run_tasks(&self, worker: &mut Worker) -> Step {
        for _ in 0..MAINTENANCE_INTERVAL {
            if worker.step() == Step::Idle {
                return Step::Idle;
            }
            if self.is_notified() || !worker.shared().is_open() {
                break;
            }
        }
        Step::Ran
    }
}

/// Where the worker of a current-thread runtime waits for a thread, and threads wait for the worker.
#[derive(Default)]
pub(crate) struct WorkerSlot {
    slot: Mutex<Slot>,
    /// Told when who had the worker has ended it.
    gone: Condvar,
}

#[derive(Default)]
struct Slot {
    worker: WorkerPlace,
    /// Threads that would take it. Emptied whenever it comes back; a thread that has gone is removed when another joins.
    waiting: Vec<Weak<RootWaker>>,
}

#[derive(Default)]
enum WorkerPlace {
    Here(WorkerParts),
    /// A thread inside `block_on` has it.
    Lent,
    /// The runtime ends, or is none that lends its worker.
    #[default]
    Gone,
}

impl WorkerSlot {
    /// Takes the worker back, and ends it if the runtime has begun to end.
    pub(crate) fn put(&self, worker: Worker) {
        let runtime = worker.runtime().clone();
        let parts = worker.into_parts();
        let mut slot = self.slot.lock();
        // Under the lock: either this sees the end, or `retire`, which comes after its beginning, sees the worker.
        if !runtime.shared().is_open() {
            drop(slot);
            shutdown_worker(parts.into_worker());
            self.slot.lock().worker = WorkerPlace::Gone;
            return self.gone.notify_all();
        }
        slot.worker = WorkerPlace::Here(parts);
        let waiting = std::mem::take(&mut slot.waiting);
        drop(slot);

        for root_waker in waiting.iter().filter_map(Weak::upgrade) {
            root_waker.parker.unpark(|| {});
        }
    }

    /// Takes the worker for good, to end it. If it is lent, who has it will do that; with `wait` this waits until then.
    pub(crate) fn retire(&self, wait: bool) -> Option<Worker> {
        let mut slot = self.slot.lock();
        loop {
            match std::mem::take(&mut slot.worker) {
                WorkerPlace::Here(parts) => return Some(parts.into_worker()),
                WorkerPlace::Gone => return None,
                WorkerPlace::Lent => slot.worker = WorkerPlace::Lent,
            }
            if !wait {
                return None;
            }
            slot = self.gone.wait(slot);
        }
    }

    fn borrow(&self, root_waker: &Arc<RootWaker>) -> Option<Borrowed<'_>> {
        let mut slot = self.slot.lock();
        match std::mem::replace(&mut slot.worker, WorkerPlace::Lent) {
            WorkerPlace::Here(parts) => Some(Borrowed { slot: self, worker: Some(parts.into_worker()) }),
            WorkerPlace::Lent => {
                slot.waiting.retain(|other| other.strong_count() > 0);
                // Once, however often its future is polled meanwhile.
                if !slot.waiting.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(root_waker))) {
                    slot.waiting.push(Arc::downgrade(root_waker));
                }
                None
            }
            WorkerPlace::Gone => {
                slot.worker = WorkerPlace::Gone;
                None
            }
        }
    }

    /// Threads in line for the worker.
    #[cfg(all(test, not(posse_loom)))]
    pub(super) fn waiting(&self) -> usize {
        self.slot.lock().waiting.len()
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
        self.worker.take().into_iter().for_each(|worker| self.slot.put(worker));
    }
}
