//! Settings of a runtime that few programs need: hooks, policies, and the knobs of the scheduler.

use super::Builder;
use crate::scheduler::hooks::{Hook, TaskMeta, ThreadHooks};
use std::sync::Arc;

/// What becomes of a runtime in which a task panics; see [`Builder::unhandled_panic`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnhandledPanic {
    /// The task ends alone. If its handle was dropped the panic is an event.
    #[default]
    Ignore,
    /// The runtime shuts down.
    ShutdownRuntime,
}

fn hook(f: impl Fn() + Send + Sync + 'static) -> Option<Hook> {
    Some(Arc::new(move |()| f()))
}

/// Hooks: what a program has run at points of the runtime's life. They run on the runtime's threads, beside its tasks, so they should be quick; a
/// panic of one is an event, and nothing else.
impl Builder {
    fn thread_hooks(&mut self) -> &mut ThreadHooks {
        self.thread_hooks.get_or_insert_default()
    }

    /// Sets what each worker and each thread of the blocking pool calls when it starts. Default: nothing.
    ///
    /// # Examples
    /// ```
    /// use posse::runtime::Builder;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let threads = Arc::new(AtomicUsize::new(0));
    /// let (start, stop) = (threads.clone(), threads.clone());
    /// let runtime = Builder::new_multi_thread()
    ///     .worker_threads(2)
    ///     .on_thread_start(move || _ = start.fetch_add(1, Ordering::Relaxed))
    ///     .on_thread_stop(move || _ = stop.fetch_sub(1, Ordering::Relaxed))
    ///     .build()?;
    /// drop(runtime);
    /// assert_eq!(threads.load(Ordering::Relaxed), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn on_thread_start(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.thread_hooks().start = hook(f);
        self
    }

    /// Sets what each worker and each thread of the blocking pool calls before it ends. Default: nothing.
    #[must_use]
    pub fn on_thread_stop(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.thread_hooks().stop = hook(f);
        self
    }

    /// Sets what a worker calls when it has found nothing to do, before it sleeps; tasks that this wakes or spawns are run first. On a
    /// current-thread runtime it is the thread inside `block_on`. Default: nothing.
    #[must_use]
    pub fn on_thread_park(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.thread_hooks().park = hook(f);
        self
    }

    /// Sets what a worker calls after it has slept. Default: nothing.
    #[must_use]
    pub fn on_thread_unpark(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.thread_hooks().unpark = hook(f);
        self
    }

    /// Sets what is called for each new task, those of actors included, by who starts it and before it can run. Default: nothing. Not called for
    /// closures of the blocking pool, tasks of a [`LocalSet`](crate::task::LocalSet) and tasks that a runtime refuses because it ends.
    ///
    /// A runtime without hooks for tasks pays nothing for them. One with any of them looks up each task at each poll, some 50 ns.
    ///
    /// # Examples
    /// ```
    /// use posse::runtime::Builder;
    /// use posse::task;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let log = Arc::new(Mutex::new(Vec::new()));
    /// let (spawns, ends) = (log.clone(), log.clone());
    /// let runtime = Builder::new_current_thread()
    ///     .on_task_spawn(move |task| spawns.lock().unwrap().push(format!("spawned {:?}", task.name())))
    ///     .on_task_terminate(move |task| ends.lock().unwrap().push(format!("ended {:?}", task.name())))
    ///     .build()?;
    /// runtime.block_on(async { task::Builder::new().name("sum").spawn(async { 1 + 2 }).await.unwrap() });
    /// assert_eq!(*log.lock().unwrap(), ["spawned Some(\"sum\")", "ended Some(\"sum\")"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn on_task_spawn(mut self, f: impl Fn(&TaskMeta) + Send + Sync + 'static) -> Self {
        self.task_hooks.spawn = Some(Arc::new(f));
        self
    }

    /// Sets what a worker calls before each poll of a task; see [`on_task_spawn`](Self::on_task_spawn). Default: nothing.
    #[must_use]
    pub fn on_before_task_poll(mut self, f: impl Fn(&TaskMeta) + Send + Sync + 'static) -> Self {
        self.task_hooks.before_poll = Some(Arc::new(f));
        self
    }

    /// Sets what a worker calls after each poll of a task; see [`on_task_spawn`](Self::on_task_spawn). Default: nothing.
    #[must_use]
    pub fn on_after_task_poll(mut self, f: impl Fn(&TaskMeta) + Send + Sync + 'static) -> Self {
        self.task_hooks.after_poll = Some(Arc::new(f));
        self
    }

    /// Sets what is called when a task has completed, panicked or been dropped, by the thread that saw to it; see
    /// [`on_task_spawn`](Self::on_task_spawn). Default: nothing.
    #[must_use]
    pub fn on_task_terminate(mut self, f: impl Fn(&TaskMeta) + Send + Sync + 'static) -> Self {
        self.task_hooks.terminate = Some(Arc::new(f));
        self
    }

    /// Sets what becomes of the runtime when a task or a closure of the blocking pool panics, whether its handle is still held or not. Default:
    /// [`UnhandledPanic::Ignore`]. Panics of actors are their supervisors' affair, and none of this.
    ///
    /// # Examples
    /// ```
    /// use posse::runtime::{BlockOnError, Builder, UnhandledPanic};
    ///
    /// let runtime = Builder::new_current_thread().unhandled_panic(UnhandledPanic::ShutdownRuntime).build()?;
    /// let ended = runtime.handle().try_block_on(async {
    ///     posse::task::spawn(async { panic!("on purpose") });
    ///     std::future::pending::<()>().await
    /// });
    /// assert_eq!(ended, Err(BlockOnError::TaskPanicked));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn unhandled_panic(mut self, policy: UnhandledPanic) -> Self {
        self.unhandled_panic = policy;
        self
    }

    /// Sets after how many tasks a busy worker looks at its timers and at the sockets, at least 1. Default: 61.
    #[must_use]
    pub fn event_interval(mut self, tasks: u32) -> Self {
        self.intervals.maintenance = tasks.clamp(1, INTERVAL_MAX);
        self
    }

    /// Sets after how many tasks a busy worker looks at those that were woken from outside, at least 1. Default: 61.
    #[must_use]
    pub fn global_queue_interval(mut self, tasks: u32) -> Self {
        self.intervals.injector = tasks.clamp(1, INTERVAL_MAX);
        self
    }

    /// Sets how many events of sockets are taken from the operating system at one look, 1 to 65,536. Default: 1,024. The next look takes the
    /// rest; fewer at a time put what they wake into the queues in smaller portions, and cost a call of the system for each.
    ///
    /// # Examples
    /// ```
    /// let runtime = posse::runtime::Builder::new_multi_thread().max_io_events_per_tick(128).build()?;
    /// assert_eq!(runtime.block_on(async { 1 + 1 }), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn max_io_events_per_tick(mut self, events: usize) -> Self {
        self.io_events_max = events.clamp(1, IO_EVENTS_MAX);
        self
    }

    /// Runs tasks in the order in which they were woken, and lets other workers have the one that was woken last. Default: a worker runs that one
    /// next, because what it needs is in the processor's cache; up to three in a row while others wait.
    ///
    /// # Examples
    /// ```
    /// let runtime = posse::runtime::Builder::new_current_thread().disable_lifo_slot().build()?;
    /// assert_eq!(runtime.block_on(async { 1 + 1 }), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn disable_lifo_slot(mut self) -> Self {
        self.no_lifo_slot = true;
        self
    }

    /// Does nothing: sockets and timers are always there, and start when they are used. For programs that are written for Tokio.
    #[must_use]
    pub fn enable_all(self) -> Self {
        self
    }

    /// Does nothing; see [`enable_all`](Self::enable_all).
    #[must_use]
    pub fn enable_io(self) -> Self {
        self
    }

    /// Does nothing; see [`enable_all`](Self::enable_all).
    #[must_use]
    pub fn enable_time(self) -> Self {
        self
    }
}

/// More would put off what is looked at for longer than anybody can mean, and the count of steps is compared modulo 2^32.
const INTERVAL_MAX: u32 = 1 << 20;

/// The memory for the events of one look is had when the runtime is built: this many take less than 1 MiB.
const IO_EVENTS_MAX: usize = 1 << 16;
