//! The handle: everything of a runtime that code inside and outside of it may reach.

use crate::context;
use crate::extensions::Extensions;
use crate::io::driver::IoHandle;
use crate::lock::{Condvar, Mutex};
use crate::loom::sync::atomic::{AtomicU64, Ordering};
use crate::raw_task::wait_kind::WaitKind;
use crate::raw_task::{self, Header, Id, JoinHandle, Joiner, Runnable, Schedule};
use crate::rng::{SharedRng, split};
use crate::runtime::UnhandledPanic;
use crate::runtime::blocking::{BlockingTask, Pool};
use crate::runtime::simulated_closures;
use crate::scheduler::host::{Host, SlowPoll};
use crate::scheduler::life::WorkerExit;
use crate::scheduler::owned::{self, Origin};
use crate::scheduler::queue::Local;
use crate::scheduler::{self, Flavor, Shared};
use crate::sim::env::SimHandle;
use crate::time::driver::{Clock, Instant, Timers};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// A cheap, clonable reference to a running runtime.
///
/// It does not keep the runtime running: after the [`Runtime`](crate::runtime::Runtime) was dropped, new tasks are
/// cancelled at once.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Queues, idle protocol, driver, clock, timers, list of tasks: what workers share.
    shared: Shared,
    /// Threads for closures that block, and for workers whose threads do.
    blocking: Pool,
    /// What `random_u64` draws from, from any thread.
    rng: SharedRng,
    /// The next task's.
    task_ids: AtomicU64,
    /// What would elsewhere be globals, by type.
    extensions: Extensions,
    /// The worker of a current-thread runtime.
    pub(super) worker_slot: super::block_on::WorkerSlot,
    /// Told when the last worker has dropped all tasks.
    pub(super) ended: Ended,
    /// Whether a task's panic ends the runtime, and who inside `block_on` must learn of it.
    pub(super) failure: super::block_on::Failure,
    /// For people.
    name: Option<Box<str>>,
    /// The simulation that the runtime is part of.
    simulation: Option<SimHandle>,
}

/// What a runtime is put together from.
pub(crate) struct Config {
    /// Of its workers, timers and sockets.
    pub(crate) scheduler: scheduler::Config,
    /// Not started: its threads come with the first closure.
    pub(crate) pool: Pool,
    /// What its random numbers follow from.
    pub(crate) seed: u64,
    /// For people.
    pub(crate) name: Option<Box<str>>,
    /// What becomes of the runtime when a task panics.
    pub(crate) unhandled_panic: UnhandledPanic,
    /// The simulation that it is part of.
    pub(crate) simulation: Option<SimHandle>,
}

impl Inner {
    /// With the queues of the workers.
    pub(crate) fn build(config: Config) -> (Handle, Vec<Local>) {
        let (shared, locals) = Shared::new(config.scheduler);
        let inner = Self {
            shared,
            blocking: config.pool,
            rng: SharedRng::new(split(config.seed, 0)),
            task_ids: AtomicU64::new(1),
            extensions: Extensions::default(),
            worker_slot: super::block_on::WorkerSlot::default(),
            ended: Ended::default(),
            failure: super::block_on::Failure::new(config.unhandled_panic),
            name: config.name,
            simulation: config.simulation,
        };
        (Handle { inner: Arc::new(inner) }, locals)
    }
}

/// Identifies a runtime; see [`Handle::id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuntimeId(usize);

impl fmt::Display for RuntimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Whether the last worker has left: what the thread waits for that ends the runtime.
#[derive(Debug, Default)]
pub(super) struct Ended(Mutex<bool>, Condvar);

impl Ended {
    fn set(&self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }

    pub(super) fn wait(&self) {
        let mut ended = self.0.lock();
        while !*ended {
            ended = self.1.wait(ended);
        }
    }
}

/// The code runs outside of any runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRuntime;

impl fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no Posse runtime on this thread: call this inside `Runtime::block_on`, a task, or `Handle::enter`")
    }
}

impl std::error::Error for NoRuntime {}

/// A task was to be pinned to a worker that the runtime does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchWorker {
    worker: usize,
    workers: usize,
}

impl NoSuchWorker {
    /// # Errors
    /// If the runtime has no worker of this index.
    #[doc(hidden)]
    pub fn check(worker: usize, runtime: &Handle) -> Result<(), Self> {
        let workers = runtime.workers();
        if worker < workers { Ok(()) } else { Err(Self { worker, workers }) }
    }
}

impl fmt::Display for NoSuchWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, workers } = self;
        write!(f, "no worker {worker}: the runtime has {workers}, counted from 0 (`Handle::workers`)")
    }
}

impl std::error::Error for NoSuchWorker {}

impl Handle {
    /// Returns the handle of the runtime this code runs in.
    ///
    /// # Errors
    /// [`NoRuntime`] outside of any runtime.
    pub fn try_current() -> Result<Self, NoRuntime> {
        context::with_current(|handle| handle.cloned().ok_or(NoRuntime))
    }

    /// Returns the handle of the runtime this code runs in.
    ///
    /// # Panics
    /// Outside of any runtime.
    #[track_caller]
    pub fn current() -> Self {
        match Self::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts a task; see [`task::spawn`](crate::task::spawn). If the runtime has shut down the task is cancelled at once.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.clone().spawn_from(future, Origin::here())
    }

    /// Starts a task that one worker runs and no other; see [`task::Builder::spawn_pinned`](crate::task::Builder::spawn_pinned).
    ///
    /// # Errors
    /// [`NoSuchWorker`] if the runtime has no worker of this index. The future is dropped.
    #[track_caller]
    pub fn spawn_pinned<F>(&self, worker: usize, future: F) -> Result<JoinHandle<F::Output>, NoSuchWorker>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_pinned_from(worker, future, Origin::here())
    }

    pub(crate) fn spawn_pinned_from<F>(
        &self,
        worker: usize,
        future: F,
        origin: Origin<'_>,
    ) -> Result<JoinHandle<F::Output>, NoSuchWorker>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        NoSuchWorker::check(worker, self)?;
        let (task, runnable) = raw_task::new(self.next_task_id(), self.clone(), (), Joiner::Handle, |_| future);
        self.launch_pinned_from(worker, runnable, origin);
        Ok(JoinHandle::new(task.into_untyped()))
    }

    /// The task keeps the handle.
    pub(crate) fn spawn_from<F>(self, future: F, origin: Origin<'_>) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (task, runnable) = raw_task::new(self.next_task_id(), self, (), Joiner::Handle, |_| future);
        task.scheduler().launch_from(runnable, origin);
        JoinHandle::new(task.into_untyped())
    }

    /// Lists and submits a new task, on one worker alone if there is one of this index.
    pub(crate) fn launch(
        &self,
        worker: Option<usize>,
        spawned_at: &'static Location<'static>,
        name: Option<&Arc<str>>,
        task: Runnable,
    ) {
        let origin = Origin { spawned_at, name };
        match worker.filter(|&worker| worker < self.workers()) {
            Some(worker) => self.launch_pinned_from(worker, task, origin),
            None => self.launch_from(task, origin),
        }
    }

    fn launch_from(&self, task: Runnable, origin: Origin<'_>) {
        // The shard whose lock this thread has mostly to itself.
        let shard = context::shard().unwrap_or(0);
        let shared = &self.inner.shared;
        if shared.owned.insert(&shared.life, shard, &task, origin) {
            shared.submit(task);
        } else {
            self.refuse(task);
        }
    }

    /// As [`launch_from`](Self::launch_from), on a worker that there is.
    #[cold]
    fn launch_pinned_from(&self, worker: usize, task: Runnable, origin: Origin<'_>) {
        let shared = &self.inner.shared;
        shared.allow_pinned();
        if shared.owned.insert(&shared.life, worker, &task, origin) {
            owned::pin(task.header());
            shared.submit(task);
        } else {
            self.refuse(task);
        }
    }

    /// Drops the future of a task that will never run, in the context of the runtime that refuses it.
    pub(crate) fn refuse(&self, task: Runnable) {
        let _entered = context::enter(self.clone());
        task.cancel_unrun();
    }

    /// A worker has left for good. The last one ends the runtime: it drops all tasks, and wakes who still waits for a timer
    /// or a socket.
    pub(crate) fn worker_exited(&self) {
        let shared = &self.inner.shared;
        if shared.life.worker_exited() == WorkerExit::Last {
            shared.drop_tasks();
            shared.life.end();
            shared.timers.end();
            shared.io().end();
            self.inner.ended.set();
        }
    }

    /// Runs a closure that may block; see [`task::spawn_blocking`](crate::task::spawn_blocking).
    pub fn spawn_blocking<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if let Some(simulation) = &self.inner.simulation {
            return self.spawn(simulated_closures::run(self.clone(), simulation.clone(), f));
        }
        // A task like any other, but for who runs it: the pool, and once.
        let (task, runnable) =
            raw_task::new(self.next_task_id(), self.clone(), (), Joiner::Handle, |_| BlockingTask::new(f));
        self.inner.blocking.submit(self, runnable);
        JoinHandle::new(task.into_untyped())
    }

    /// Makes this the current runtime of the thread until the guard is dropped.
    ///
    /// Without effect in the destructor of a thread-local value that runs after those of this crate: there is no current runtime any more. What is
    /// asked of the handle itself works there too.
    ///
    /// # Examples
    /// ```
    /// let runtime = posse::runtime::Runtime::new()?;
    /// let _guard = runtime.enter();
    /// posse::task::spawn(async { /* runs on `runtime` */ });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn enter(&self) -> EnterGuard {
        EnterGuard { _entered: context::enter(self.clone()), _not_send: std::marker::PhantomData }
    }

    /// Advances a manual clock by `time` and fires the timers that became due, in order of their deadlines within a worker.
    ///
    /// Returns false, and does nothing, if the runtime has no manual clock.
    pub fn advance(&self, time: Duration) -> bool {
        let turned = self.clock().advance(time);
        if turned {
            self.fire_all_timers();
        }
        turned
    }

    pub(crate) fn fire_all_timers(&self) {
        self.timers().fire_all(self.now());
    }

    /// Returns the value of type `T` that hangs on this runtime, made by `init` at the first call.
    ///
    /// This is where what would elsewhere be a global lives. `init` runs without a lock held; of two racing values one is
    /// kept.
    pub fn extension<T: Send + Sync + 'static>(&self, init: impl FnOnce() -> T) -> Arc<T> {
        self.inner.extensions.get_or_init(init)
    }

    /// Returns which flavor the runtime is.
    pub fn flavor(&self) -> Flavor {
        self.inner.shared.flavor
    }

    /// Returns the name that [`Builder::name`](super::Builder::name) gave the runtime.
    ///
    /// # Examples
    /// ```
    /// let runtime = posse::runtime::Builder::new_current_thread().name("orders").build()?;
    /// assert_eq!(runtime.handle().name(), Some("orders"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// Returns what tells this runtime from all others of the process, for as long as a handle of it exists.
    ///
    /// # Examples
    /// ```
    /// use posse::runtime::{Handle, Runtime};
    ///
    /// let (one, other) = (Runtime::new()?, Runtime::new()?);
    /// assert_eq!(one.block_on(async { Handle::current().id() }), one.handle().id());
    /// assert_ne!(one.handle().id(), other.handle().id());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn id(&self) -> RuntimeId {
        RuntimeId(Arc::as_ptr(&self.inner).addr())
    }

    /// Runs the life of a thread of the runtime.
    pub(crate) fn around_thread<R>(&self, life: impl FnOnce() -> R) -> R {
        match &self.inner.shared.thread_hooks {
            Some(hooks) => hooks.around(life),
            None => life(),
        }
    }

    /// A task's future has panicked.
    #[cold]
    pub(crate) fn task_panicked(&self) {
        if self.inner.failure.come() {
            crate::event!(ERROR, "posse::runtime", "a task panicked and the runtime shuts down for it", runtime.name = %self.name().unwrap_or("-"));
            self.inner.shared.begin_end();
            self.inner.blocking.shut_down(self);
            self.inner.failure.wake_all();
        }
    }

    /// Returns the number of workers.
    pub fn workers(&self) -> usize {
        self.inner.shared.remotes.len()
    }

    /// Returns the number of tasks that have not completed, those of actors included.
    pub fn alive_tasks(&self) -> usize {
        self.inner.shared.owned.len()
    }

    /// Returns true once the runtime began to shut down.
    pub fn is_shut_down(&self) -> bool {
        !self.inner.shared.is_open()
    }

    /// Draws from the runtime's seeded generator. Not secure.
    pub fn random_u64(&self) -> u64 {
        self.inner.rng.next()
    }

    /// Returns the wall-clock time since the Unix epoch. With a manual clock it is the time that clock shows.
    pub fn unix_time(&self) -> Duration {
        self.clock().unix_time()
    }

    /// Returns true if both handles are of the same runtime.
    pub fn same_runtime(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Returns the time on the runtime's clock, from any thread.
    pub fn now(&self) -> Instant {
        self.clock().now()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.shared.clock
    }

    /// Returns the simulation this runtime is part of, if it is.
    #[cfg(feature = "sim")]
    pub fn simulation(&self) -> Option<&Arc<crate::sim::env::SimContext>> {
        self.inner.simulation.as_ref()
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.inner.shared.timers
    }

    pub(crate) fn io(&self) -> &IoHandle {
        self.inner.shared.io()
    }

    pub(crate) fn blocking(&self) -> &Pool {
        &self.inner.blocking
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Relaxed: only uniqueness matters.
    pub(crate) fn next_task_id(&self) -> Id {
        Id(self.inner.task_ids.fetch_add(1, Ordering::Relaxed))
    }
}

/// A task of a runtime waits for any of its workers.
impl Schedule for Handle {
    /// What its workers run is in a list. Closures of the blocking pool are in none.
    const UNLISTED: WaitKind = WaitKind::Blocking;

    #[inline]
    fn schedule(&self, task: Runnable) {
        self.inner.shared.submit(task);
    }

    #[inline]
    fn release(&self, task: &Header) {
        self.inner.shared.owned.remove(task);
    }

    fn panicked(&self) {
        self.task_panicked();
    }
}

/// The runtime of its workers.
impl Host for Handle {
    #[inline]
    fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    fn drive<R>(&self, f: impl FnOnce() -> R) -> R {
        let _no_blocking = context::disallow_blocking();
        let _entered = context::enter(self.clone());
        f()
    }

    fn has_outside_work(&self) -> bool {
        self.inner.blocking.busy() > 0
    }

    /// Tells of it on a thread of the blocking pool: a subscriber may wait for what the slow task holds.
    fn report_slow_poll(&self, poll: SlowPoll) {
        drop(self.spawn_blocking(move || {
            let SlowPoll { task, name, type_name, spawned_at, worker, lasts } = poll;
            crate::event!(
                WARN, "posse::task", "a task is in one poll for long",
                task.id = %task, task.name = %name.as_deref().unwrap_or("-"), task.type = %type_name,
                task.place = %spawned_at; worker = worker, lasts = lasts.as_secs_f64(),
            );
        }));
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("name", &self.name())
            .field("flavor", &self.flavor())
            .field("workers", &self.workers())
            .finish()
    }
}

/// Restores the thread's previous current runtime when dropped. Guards must be dropped in reverse order.
#[derive(Debug)]
pub struct EnterGuard {
    _entered: context::Entered,
    _not_send: std::marker::PhantomData<*const ()>,
}
