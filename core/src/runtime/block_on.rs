//! `block_on`: a future driven by the calling thread.
//!
//! With worker threads the caller only sleeps between polls. On a current-thread runtime it takes the worker and runs
//! all tasks; a second thread inside `block_on` at the same time waits for its turn and polls only its own future. If the
//! runtime ends meanwhile, the thread that has the worker ends it (see `runtime::shutdown_worker`) and goes on with its future alone.

use super::{Flavor, Handle, UnhandledPanic, Worker, WorkerParts, shutdown_worker, simulated_closures};
use crate::context;
use crate::loom::sync::{Condvar, Mutex};
use crate::raw_task::{coop, poll_waker};
use crate::scheduler::park::Parker;
use crate::scheduler::worker::Step;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Time between two looks at timers and sockets, at most, beside a future that is ready again and again. Chosen: a look takes some
/// half a microsecond.
const LOOK_INTERVAL: Duration = Duration::from_micros(200);

/// Why a future was not driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockOnError {
    /// The thread drives a runtime already; blocking it would stall that one.
    InsideRuntime,
    /// The runtime has shut down, or is about to: nothing would run.
    ShutDown,
    /// A task has panicked, and the runtime shuts down for that ([`UnhandledPanic::ShutdownRuntime`](super::UnhandledPanic)).
    TaskPanicked,
}

impl fmt::Display for BlockOnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InsideRuntime => {
                "this thread drives a runtime, blocking it would stall every task on it: \
                 await the future instead, or move the call into `task::spawn_blocking`"
            }
            Self::ShutDown => "the runtime has shut down",
            Self::TaskPanicked => "a task has panicked, and the runtime shuts down on an unhandled panic",
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
    /// shut down, [`BlockOnError::TaskPanicked`] if it shuts down meanwhile because a task has panicked; the future is dropped.
    pub fn try_block_on<F: Future>(&self, future: F) -> Result<F::Output, BlockOnError> {
        if context::is_blocking_disallowed() {
            return Err(BlockOnError::InsideRuntime);
        }
        if !self.shared().is_open() {
            // A closure of a simulation that never heeds it is left in the middle.
            simulated_closures::refuse_wait();
            return Err(BlockOnError::ShutDown);
        }

        // From here on the thread stands for the runtime, whether it runs tasks or only sleeps between two polls.
        let _no_blocking = context::disallow_blocking();
        let _entered = context::enter(self.clone());
        let future = pin!(future);
        let block_on = BlockOn::new(self);
        match self.flavor() {
            Flavor::CurrentThread => block_on.run_with_worker(self, future),
            Flavor::MultiThread => block_on.run(self, future),
            Flavor::Simulated => {
                let mut future = future;
                let budgeted = pin!(poll_fn(|cx| coop::budget(|| future.as_mut().poll(cx))));
                match block_on_simulated(budgeted) {
                    Some(output) => Ok(output),
                    None => block_on.run(self, future),
                }
            }
        }
    }
}

/// Waits for a future in the time of the simulation whose closure this thread runs; `None` on any other thread.
pub(crate) fn block_on_simulated<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    simulated_closures::block_on(future)
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
        handle.inner().failure.register(&root_waker);
        let waker = Waker::from(root_waker.clone());
        poll_waker::knows_block_on(&waker);
        Self { root_waker, waker }
    }

    fn is_notified(&self) -> bool {
        self.root_waker.notified.load(Ordering::Acquire)
    }

    /// Polls the future if it was woken since the last poll.
    fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        // Taken before the poll: a wake during it counts for the next one.
        if !self.root_waker.notified.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let mut cx = Context::from_waker(&self.waker);
        coop::budget(|| future.poll(&mut cx))
    }

    fn run<F: Future>(&self, handle: &Handle, mut future: Pin<&mut F>) -> Result<F::Output, BlockOnError> {
        loop {
            match self.poll(future.as_mut()) {
                Poll::Ready(output) => return Ok(output),
                Poll::Pending if handle.inner().failure.has_come() => return Err(BlockOnError::TaskPanicked),
                Poll::Pending => self.root_waker.parker.park(None),
            }
        }
    }

    fn run_with_worker<F: Future>(&self, handle: &Handle, mut future: Pin<&mut F>) -> Result<F::Output, BlockOnError> {
        loop {
            if let Some(mut borrowed) = handle.inner().worker_slot.borrow(&self.root_waker) {
                match borrowed.worker().enter(|worker| self.drive(worker, future.as_mut())) {
                    Some(output) => return Ok(output),
                    None => continue,
                }
            }
            match self.poll(future.as_mut()) {
                Poll::Ready(output) => return Ok(output),
                Poll::Pending if handle.inner().failure.has_come() => return Err(BlockOnError::TaskPanicked),
                Poll::Pending => self.root_waker.parker.park(None),
            }
        }
    }

    /// Polls the future and runs tasks in turn. `None` if the runtime ends before the future does.
    fn drive<F: Future>(&self, worker: &mut Worker, mut future: Pin<&mut F>) -> Option<F::Output> {
        // The future and the tasks in turn, each step of the one followed by some of the others.
        let mut looked_at = worker.now();
        while worker.shared().is_open() {
            if let Poll::Ready(output) = self.poll(future.as_mut()) {
                return Some(output);
            }
            let step = self.run_tasks(worker);
            if self.is_notified() {
                // A future that wakes itself in each poll, as that of a `LocalSet` with much to do, counts as one step a poll: by their
                // number alone timers and sockets would be looked at too rarely.
                let now = worker.now();
                if now.saturating_duration_since(looked_at) >= LOOK_INTERVAL {
                    worker.look_outside();
                    looked_at = now;
                }
            } else if step == Step::Idle {
                worker.park();
            }
        }
        None
    }

    /// Runs tasks until there are none, the future was woken, the runtime ends, or it is time to look at the outside world.
    fn run_tasks(&self, worker: &mut Worker) -> Step {
        // As many as between two looks of a worker; a wake of the future ends it early.
        for _ in 0..worker.shared().intervals.maintenance {
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

/// Whether a task has panicked in a runtime that shuts down for that, and the threads inside `block_on` that must learn of it.
#[derive(Default)]
pub(crate) struct Failure {
    /// If the builder asked for it.
    is_wanted: bool,
    has_come: AtomicBool,
    /// A thread that has gone is removed when another comes.
    threads: Mutex<Vec<Weak<RootWaker>>>,
}

impl Failure {
    pub(crate) fn new(policy: UnhandledPanic) -> Self {
        Self { is_wanted: policy == UnhandledPanic::ShutdownRuntime, ..Self::default() }
    }

    /// Acquire: who sees it finds a runtime that ends. Partner: `come`.
    fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Acquire)
    }

    fn register(&self, root_waker: &Arc<RootWaker>) {
        if self.is_wanted {
            let mut threads = self.threads.lock();
            // Bounded by the threads that are inside of `block_on` now.
            threads.retain(|other| other.strong_count() > 0);
            threads.push(Arc::downgrade(root_waker));
        }
    }

    /// A task has panicked. True if that ends the runtime, now.
    pub(super) fn come(&self) -> bool {
        self.is_wanted && !self.has_come.swap(true, Ordering::AcqRel)
    }

    /// After the end was begun: each thread comes back from its sleep, or does not go there.
    pub(super) fn wake_all(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.iter().filter_map(Weak::upgrade).for_each(|thread| thread.notify());
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
        // All who wait are told: one takes it, the others come back into the line.
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

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::runtime::loom_models::runtime_and_queue;
    use std::sync::atomic::AtomicUsize;

    /// A runtime whose worker is in its slot.
    fn runtime() -> Handle {
        let (handle, queue) = runtime_and_queue();
        handle.inner().worker_slot.put(WorkerParts::taken(handle.clone(), 0, queue, 1).into_worker());
        handle
    }

    fn root() -> Arc<RootWaker> {
        Arc::new(RootWaker { notified: AtomicBool::new(false), parker: Parker::new(), runtime: None })
    }

    /// Were it not woken it would sleep for ever, which loom reports as a deadlock.
    #[test]
    fn loom_a_thread_in_line_gets_the_worker_when_it_comes_back() {
        loom::model(|| {
            let handle = runtime();
            let slot = &handle.inner().worker_slot;
            let borrowed = slot.borrow(&root()).expect("it is here");
            let other = {
                let handle = handle.clone();
                loom::thread::spawn(move || {
                    let root = root();
                    while handle.inner().worker_slot.borrow(&root).is_none() {
                        root.parker.park(None);
                    }
                })
            };
            drop(borrowed);
            other.join().unwrap();
            handle.shared().begin_end();
            shutdown_worker(slot.retire(true).expect("it has come back"));
            assert!(slot.borrow(&root()).is_none());
        });
    }

    struct CountDrop(Arc<AtomicUsize>);

    impl Drop for CountDrop {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The worker is given back while the runtime ends: who gives it back or who ends the runtime ends it, once, and who waits for that
    /// finds everything dropped.
    #[test]
    fn loom_a_worker_that_is_lent_at_the_end_is_ended_once() {
        loom::model(|| {
            let (handle, drops) = (runtime(), Arc::new(AtomicUsize::new(0)));
            let guard = CountDrop(drops.clone());
            let task = handle.spawn(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
            let borrowed = handle.inner().worker_slot.borrow(&root()).expect("it is here");
            let ending = {
                let handle = handle.clone();
                loom::thread::spawn(move || {
                    handle.shared().begin_end();
                    handle.inner().worker_slot.retire(true).into_iter().for_each(shutdown_worker);
                    assert!(handle.shared().life.has_ended());
                    assert_eq!((drops.load(Ordering::SeqCst), handle.alive_tasks()), (1, 0));
                })
            };
            drop(borrowed);
            ending.join().unwrap();
            assert!(task.is_finished());
        });
    }
}
