//! The runtime and the handle that reaches it from anywhere.
//!
//! # Tasks that block
//! A task should come back from each poll soon. If one does not, it occupies its worker, and only that: once it has been
//! in one poll for 5 to 10 ms, the tasks queued on its worker move to the others, who also take over its timers and the
//! sockets. So with a free worker left, timers and deadlines are late by at most some 10 ms. If *all* workers are in
//! such polls, everything waits until one returns; a current-thread runtime has only one. Code that blocks belongs into
//! [`spawn_blocking`](crate::task::spawn_blocking), or into [`block_in_place`](crate::task::block_in_place). A runtime with several workers has one thread more, the watchdog, which
//! sees to this; it sleeps while the workers do.
//!
//! # Shutdown
//! In this order, each step once: new tasks are refused (their handles say *cancelled*, their futures are dropped by who
//! spawns them); queued blocking closures are dropped unrun, running ones go on until they end by themselves; each worker
//! ends after the poll it is in; the futures of all tasks are dropped, queued ones first, by the workers or by the thread
//! that shuts down, inside the runtime's context, never by a thread that only wakes a task; what a `block_on` on another thread
//! still waits for ends: a timer is ready, whatever its deadline, and a socket that would block is an error.
//!
//! Dropping the [`Runtime`] waits for the workers, but never for a blocking closure, and does not wait at all on a thread
//! that drives a runtime. A task that blocks in place counts as such a closure: it is dropped by its own thread, after the poll it is in. The worker of a current-thread runtime is the thread that is inside `block_on`, if one is.

mod block_on;
pub(crate) mod blocking;
pub(crate) mod builder;
mod builder_hooks;
#[cfg(all(test, not(posse_loom)))]
mod end_tests;
#[cfg(all(test, not(posse_loom)))]
mod guard_tests;
mod handle;
#[cfg(all(test, not(posse_loom)))]
mod hooks_tests;
pub(crate) mod in_place;
#[cfg(all(test, not(posse_loom)))]
mod in_place_tests;
#[cfg(all(test, posse_loom))]
pub(crate) mod loom_models;
mod metrics;
#[cfg(all(test, not(posse_loom)))]
mod metrics_tests;
mod pool_queue;
mod shutdown;
#[cfg_attr(not(feature = "sim"), path = "simulated_closures_absent.rs")]
pub(crate) mod simulated_closures;
pub(crate) mod sleep;
pub(crate) mod task_info;
#[cfg(all(test, not(posse_loom)))]
mod task_info_tests;
#[cfg(all(test, not(posse_loom)))]
mod tests;
mod thread_names;

pub use crate::scheduler::Flavor;
pub use crate::scheduler::histogram::{Histogram, HistogramConfig};
pub use crate::scheduler::hooks::TaskMeta;
pub use block_on::BlockOnError;
pub(crate) use block_on::block_on_simulated;
pub use builder::Builder;
pub use builder_hooks::UnhandledPanic;
pub use handle::{EnterGuard, Handle, NoRuntime, NoSuchWorker, RuntimeId as Id};
pub use metrics::RuntimeMetrics;
pub use shutdown::ShutdownReport;

pub(crate) use handle::{Config, Inner};

use self::thread_names::ThreadNames;
use crate::context;
use crate::lock::Mutex;
use crate::raw_task::JoinHandle;
use crate::raw_task::panic::{catch_panic, panic_message};
use crate::scheduler::host::Host;
use crate::scheduler::watchdog::Watchdog;
use crate::scheduler::worker;
use std::future::Future;
use std::io;
use std::thread;
use std::time::Duration;

/// A worker of ours: one whose host is a [`Handle`].
pub(crate) type Worker = worker::Worker<Handle>;
pub(crate) type WorkerParts = worker::WorkerParts<Handle>;

/// An executor with its reactor, timers and blocking pool.
///
/// # Examples
/// ```
/// let runtime = posse::runtime::Runtime::new()?;
/// let sum = runtime.block_on(async {
///     let a = posse::task::spawn(async { 1 });
///     let b = posse::task::spawn(async { 2 });
///     a.await.unwrap() + b.await.unwrap()
/// });
/// assert_eq!(sum, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Runtime {
    handle: Handle,
    threads: Vec<thread::JoinHandle<()>>,
    /// The logical workers of a stepped runtime, until a stepper takes them.
    simulated: Mutex<Vec<WorkerParts>>,
    /// The end was begun, and what is to be waited for was.
    ended: bool,
}

impl Runtime {
    /// Builds a multi-thread runtime with default settings.
    ///
    /// # Errors
    /// See [`Builder::build`].
    pub fn new() -> io::Result<Self> {
        Builder::new_multi_thread().build()
    }

    pub(crate) fn start(
        handle: Handle,
        workers: Vec<Worker>,
        names: &ThreadNames,
        stack_size: Option<usize>,
        slow_poll_threshold: Option<Duration>,
    ) -> io::Result<Self> {
        let mut runtime = Self { handle, threads: Vec::new(), simulated: Mutex::default(), ended: false };
        match runtime.handle.flavor() {
            Flavor::Simulated => {
                runtime.simulated = Mutex::new(workers.into_iter().map(Worker::into_parts).collect());
            }
            Flavor::CurrentThread => {
                let slot = &runtime.handle.inner().worker_slot;
                workers.into_iter().for_each(|worker| slot.put(worker));
            }
            Flavor::MultiThread => {
                // The workers do not cross threads themselves: their queues do, and each is put together where it runs.
                let count = workers.len();
                for worker in workers {
                    let parts = worker.into_parts();
                    let index = parts.index();
                    let handle = runtime.handle.clone();
                    let life = move || {
                        handle.around_thread(|| {
                            if worker_thread(parts) == ThreadEnd::WorkerLost {
                                handle.blocking().adopt_this_thread(&handle);
                            }
                        });
                    };
                    if let Err(error) = runtime.spawn_thread(names.of(index), stack_size, life) {
                        // Those that did not start will not leave by themselves.
                        runtime.handle.shared().begin_end();
                        (index..count).for_each(|_| runtime.handle.worker_exited());
                        return Err(error);
                    }
                }
            }
        }
        if let Some(threshold) = slow_poll_threshold {
            let watchdog = Watchdog::new(runtime.handle.clone(), threshold);
            runtime.spawn_thread(names.of("watchdog"), stack_size, move || watchdog.run())?;
        }
        Ok(runtime)
    }

    #[expect(clippy::disallowed_methods, reason = "the runtime's own threads")]
    fn spawn_thread(
        &mut self,
        name: String,
        stack_size: Option<usize>,
        life: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let mut builder = thread::Builder::new().name(name);
        if let Some(size) = stack_size {
            builder = builder.stack_size(size);
        }
        self.threads.push(builder.spawn(life)?);
        Ok(())
    }

    /// Returns a handle, which may be cloned and sent anywhere.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Returns what the runtime counts of itself, as [`Handle::metrics`].
    ///
    /// # Examples
    /// ```
    /// let runtime = posse::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
    /// assert_eq!(runtime.metrics().num_workers(), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn metrics(&self) -> RuntimeMetrics {
        self.handle.metrics()
    }

    /// Runs a future to its end on this thread, with the runtime as the current one.
    ///
    /// # Panics
    /// If called on a thread that drives a runtime already, where it would stall that runtime: from a task, or from inside
    /// another `block_on`. [`Handle::try_block_on`] returns that as an error. A panic of the future passes through.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }

    /// Starts a task; see [`task::spawn`](crate::task::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a closure that may block; see [`task::spawn_blocking`](crate::task::spawn_blocking).
    pub fn spawn_blocking<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.spawn_blocking(f)
    }

    /// Makes this the current runtime of the thread until the guard is dropped.
    pub fn enter(&self) -> EnterGuard {
        self.handle.enter()
    }

    /// Shuts down, and waits up to `timeout` for the blocking closures that run. Returns how many pool threads did not
    /// end in that time.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> usize {
        self.shut_down(!context::is_blocking_disallowed());
        self.handle.blocking().wait(timeout)
    }

    /// Shuts down without waiting for anything: the workers end on their own.
    pub fn shutdown_background(mut self) {
        self.shut_down(false);
    }

    pub(crate) fn take_simulated(&mut self) -> Vec<WorkerParts> {
        std::mem::take(self.simulated.get_mut())
    }

    fn shut_down(&mut self, wait: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.handle.shared().begin_end();
        self.handle.blocking().shut_down(&self.handle);

        // The workers that no thread runs are ended here: those that no stepper has taken, and that of a current-thread runtime.
        let simulated = self.take_simulated().into_iter().map(WorkerParts::into_worker);
        let parked = self.handle.inner().worker_slot.retire(wait);
        simulated.chain(parked).for_each(shutdown_worker);
        if wait && self.handle.flavor() == Flavor::MultiThread {
            // Before this a thread may still lose its worker, and then it is not waited for.
            self.handle.inner().ended.wait();
        }
        for thread in self.threads.drain(..) {
            if wait && !self.handle.blocking().has(thread.thread().id()) {
                if let Err(payload) = thread.join() {
                    let reason = panic_message(payload);
                    crate::event!(ERROR, "posse::runtime", "a worker thread panicked", reason = %reason);
                }
            }
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.shut_down(!context::is_blocking_disallowed());
    }
}

/// Returns the index of the worker that runs this code, as [`Handle::spawn_pinned`] and the `worker_*` getters of [`RuntimeMetrics`] count them.
///
/// `None` where no worker runs it: in a closure of the blocking pool or of [`block_in_place`](crate::task::block_in_place), on a thread of the program,
/// in the `block_on` of a runtime with workers. In that of a current-thread runtime it is 0, on the thread that has the worker. A task
/// that is not pinned may be on another worker after an await.
///
/// # Examples
/// ```
/// use posse::runtime::{Runtime, worker_index};
///
/// let runtime = Runtime::new()?;
/// let task = runtime.handle().spawn_pinned(0, async { worker_index() }).unwrap();
/// assert_eq!(runtime.block_on(task).unwrap(), Some(0));
/// assert_eq!(worker_index(), None);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn worker_index() -> Option<usize> {
    context::shard()
}

/// Why a thread runs its worker no more.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ThreadEnd {
    /// The runtime has ended, for this worker.
    RuntimeEnded,
    /// A task has blocked the thread, and another one has the worker.
    WorkerLost,
}

/// Runs a worker on this thread for as long as it has it.
pub(crate) fn worker_thread(parts: WorkerParts) -> ThreadEnd {
    let mut worker = parts.into_worker();
    // Foreign code is guarded where it is run, so nothing should come through here. If it does, the worker goes on: without
    // it the runtime would lose what is queued on it, and its turn at the end.
    while catch_panic("a worker panicked", || worker.enter(Worker::run)).is_none() {
        worker.reset_activity();
    }
    if worker.is_lost() {
        worker.hand_on();
        return ThreadEnd::WorkerLost;
    }
    shutdown_worker(worker);
    ThreadEnd::RuntimeEnded
}

/// The end of a worker: drops what is queued on it, and everything that is left if it is the last.
pub(crate) fn shutdown_worker(mut worker: Worker) {
    worker.enter(Worker::drop_queued);
    // From here on the thread is in no worker: what is woken goes to the injector, not to a queue that is not emptied any more.
    let runtime = worker.into_runtime();
    runtime.drive(|| runtime.worker_exited());
}
