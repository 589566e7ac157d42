//! Metrics: what a runtime counts of itself, always.
//!
//! Each worker counts on cache lines of its own with plain loads and stores, so that counting costs an instruction or two and no worker
//! waits for another. The figures of one moment therefore need not fit each other exactly; each by itself is exact, and counts never
//! go back, except that they start at zero again after 2^64.

use super::Handle;
use super::Histogram;
use crate::scheduler::Remote;
use crate::scheduler::counters::Counters;
use crate::scheduler::histogram::Histograms;
use crate::util::count::Count;
use std::fmt;
use std::time::Duration;

impl Handle {
    /// Returns the counts of the runtime.
    ///
    /// # Examples
    /// ```
    /// use posse::runtime::Builder;
    ///
    /// let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
    /// let metrics = runtime.handle().metrics();
    /// runtime.block_on(async {
    ///     for _ in 0..10 {
    ///         posse::task::spawn(async {}).await.unwrap();
    ///     }
    /// });
    /// assert_eq!(metrics.num_workers(), 2);
    /// assert_eq!(metrics.spawned_tasks_count(), 10);
    /// assert_eq!((0..2).map(|worker| metrics.worker_poll_count(worker)).sum::<u64>(), 10);
    /// println!("{metrics}");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics { runtime: self.clone() }
    }
}

/// The counts of a runtime, from [`Handle::metrics`]. Each method looks at the moment it is called, so one value may be
/// kept and asked for as long as one likes, also after the runtime has ended.
///
/// The names are those of Tokio's `RuntimeMetrics`, where that has the figure. `Display` prints all of them, a line for each
/// worker.
///
/// # Panics
/// All methods that take the index of a worker panic unless it is less than [`num_workers`](Self::num_workers).
#[derive(Clone)]
pub struct RuntimeMetrics {
    runtime: Handle,
}

/// The whole runtime.
impl RuntimeMetrics {
    /// Returns the number of workers.
    pub fn num_workers(&self) -> usize {
        self.runtime.workers()
    }

    /// Returns the number of tasks that have not completed, those of actors included.
    pub fn num_alive_tasks(&self) -> usize {
        self.runtime.alive_tasks()
    }

    /// Returns the number of tasks that were started, those of actors included and closures for the blocking pool not.
    pub fn spawned_tasks_count(&self) -> u64 {
        self.runtime.shared().owned.spawned()
    }

    /// Returns the number of tasks that wait in the queue of all workers.
    pub fn global_queue_depth(&self) -> usize {
        self.runtime.shared().injector.len()
    }

    /// Returns the number of tasks that workers took from the queue of all workers: those that other threads woke or started, and
    /// those that the watchdog put there.
    pub fn remote_schedule_count(&self) -> u64 {
        self.sum(|counters| &counters.injected)
    }

    /// Returns how often a task was made to yield because its cooperative budget was spent, once for each poll.
    pub fn budget_forced_yield_count(&self) -> u64 {
        self.sum(|counters| &counters.forced_yields)
    }

    /// Returns the number of polls that took longer than [`Builder::slow_poll_threshold`](super::Builder::slow_poll_threshold), as seen by the watchdog.
    pub fn slow_poll_count(&self) -> u64 {
        self.runtime.shared().remotes.iter().fold(0, |sum, remote| sum.wrapping_add(remote.slow_polls.get()))
    }

    /// Returns the number of timers that wait for their time.
    pub fn num_timers(&self) -> usize {
        self.runtime.timers().len()
    }

    fn sum(&self, of: impl Fn(&Counters) -> &Count) -> u64 {
        let remotes = self.runtime.shared().remotes.iter();
        remotes.fold(0, |sum, remote| sum.wrapping_add(of(&remote.front.counters).get()))
    }
}

/// Histograms, if they were asked for.
impl RuntimeMetrics {
    /// Returns how long polls took; `None` unless [`Builder::poll_time_histogram`](super::Builder::poll_time_histogram) was called.
    pub fn poll_time_histogram(&self) -> Option<Histogram> {
        Histogram::sum(self.histograms().filter_map(|histograms| histograms.poll_time.as_ref()))
    }

    /// Returns how long tasks waited for a worker after they were woken or started; `None` unless
    /// [`Builder::schedule_latency_histogram`](super::Builder::schedule_latency_histogram) was called.
    pub fn schedule_latency_histogram(&self) -> Option<Histogram> {
        Histogram::sum(self.histograms().filter_map(|histograms| histograms.schedule_latency.as_ref()))
    }

    fn histograms(&self) -> impl Iterator<Item = &Histograms> {
        self.runtime.shared().remotes.iter().filter_map(|remote| remote.front.histograms.as_deref())
    }
}

/// The blocking pool. In a simulation, which has none, its figures are zero.
impl RuntimeMetrics {
    /// Returns the number of threads of the blocking pool.
    pub fn num_blocking_threads(&self) -> usize {
        self.runtime.blocking().counts().0
    }

    /// Returns how many of them have nothing to do.
    pub fn num_idle_blocking_threads(&self) -> usize {
        self.runtime.blocking().counts().1
    }

    /// Returns the number of closures that wait for a thread.
    pub fn blocking_queue_depth(&self) -> usize {
        self.runtime.blocking().counts().2
    }
}

/// The reactor.
impl RuntimeMetrics {
    /// Returns how many sockets were ever registered.
    pub fn io_driver_fd_registered_count(&self) -> u64 {
        self.runtime.io().counts().registered()
    }

    /// Returns how many of them are registered no more.
    pub fn io_driver_fd_deregistered_count(&self) -> u64 {
        self.runtime.io().counts().deregistered()
    }

    /// Returns the number of events that the operating system reported.
    pub fn io_driver_ready_count(&self) -> u64 {
        self.runtime.io().counts().ready()
    }
}

/// One worker.
impl RuntimeMetrics {
    /// Returns how often the worker polled a task. The future inside `block_on` is no task.
    pub fn worker_poll_count(&self, worker: usize) -> u64 {
        self.counters(worker).polls.get()
    }

    /// Returns how long the worker was not asleep, by the runtime's clock. On a current-thread runtime only the time inside
    /// `block_on` counts.
    pub fn worker_total_busy_duration(&self, worker: usize) -> Duration {
        self.counters(worker).busy.get(self.runtime.now())
    }

    /// Returns how often the worker went to sleep.
    pub fn worker_park_count(&self, worker: usize) -> u64 {
        self.worker_park_unpark_count(worker).div_ceil(2)
    }

    /// Returns how often the worker went to sleep and how often it woke up, together. The number is odd while it sleeps.
    pub fn worker_park_unpark_count(&self, worker: usize) -> u64 {
        self.counters(worker).parks_and_unparks.get()
    }

    /// Returns how often the worker woke up, found no task and went to sleep again.
    pub fn worker_noop_count(&self, worker: usize) -> u64 {
        self.counters(worker).noops.get()
    }

    /// Returns how often the worker was woken because there was a task for it, and not by a timer or a socket.
    pub fn worker_wake_count(&self, worker: usize) -> u64 {
        self.counters(worker).wakes.get()
    }

    /// Returns how many tasks the worker took from the queues of others.
    pub fn worker_steal_count(&self, worker: usize) -> u64 {
        self.counters(worker).steals.get()
    }

    /// Returns how often the worker took tasks from the queue of another one; it takes several at once.
    pub fn worker_steal_operations(&self, worker: usize) -> u64 {
        self.counters(worker).steal_operations.get()
    }

    /// Returns the number of tasks that wait in the worker's own queue.
    pub fn worker_local_queue_depth(&self, worker: usize) -> usize {
        self.runtime.shared().local_queue_len(worker)
    }

    /// Returns how many tasks were moved from the worker's own queue to that of all workers. The own queue has no limit: this
    /// happens if the worker is in one poll for so long that the watchdog gives what waits behind it to the others.
    pub fn worker_overflow_count(&self, worker: usize) -> u64 {
        self.remote(worker).drained.get()
    }

    /// Returns how many of the worker's polls took longer than [`Builder::slow_poll_threshold`](super::Builder::slow_poll_threshold), as
    /// seen by the watchdog. The one that it is in counts already.
    pub fn worker_slow_poll_count(&self, worker: usize) -> u64 {
        self.remote(worker).slow_polls.get()
    }

    /// Returns how long the worker's polls took; `None` unless [`Builder::poll_time_histogram`](super::Builder::poll_time_histogram) was called.
    pub fn worker_poll_time_histogram(&self, worker: usize) -> Option<Histogram> {
        let histograms = self.remote(worker).front.histograms.as_ref();
        Histogram::sum(histograms.and_then(|histograms| histograms.poll_time.as_ref()).into_iter())
    }

    fn counters(&self, worker: usize) -> &Counters {
        &self.remote(worker).front.counters
    }

    #[track_caller]
    fn remote(&self, worker: usize) -> &Remote {
        match self.runtime.shared().remotes.get(worker) {
            Some(remote) => remote,
            None => panic!("no worker {worker}: the runtime has {}", self.num_workers()),
        }
    }
}

impl fmt::Debug for RuntimeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeMetrics").field("runtime", &self.runtime).finish()
    }
}

impl fmt::Display for RuntimeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (threads, idle, waiting) = self.runtime.blocking().counts();
        let sockets = self.runtime.io().counts();
        let (alive, spawned, queued) = (self.num_alive_tasks(), self.spawned_tasks_count(), self.global_queue_depth());
        let forced = self.budget_forced_yield_count();
        if let Some(name) = self.runtime.name() {
            writeln!(f, "runtime: {name}")?;
        }
        writeln!(
            f,
            "tasks: {alive} alive, {spawned} spawned, {queued} queued for all workers, {forced} forced yields"
        )?;
        writeln!(f, "blocking pool: {threads} threads, {idle} idle, {waiting} closures queued")?;
        writeln!(f, "timers: {}", self.num_timers())?;
        write!(f, "sockets: {} registered, {} events", sockets.len(), sockets.ready())?;
        (0..self.num_workers()).try_for_each(|worker| self.fmt_worker(f, worker))
    }
}

impl RuntimeMetrics {
    fn fmt_worker(&self, f: &mut fmt::Formatter<'_>, worker: usize) -> fmt::Result {
        let counters = self.counters(worker);
        write!(
            f,
            "\nworker {worker}: {} polls, {} slow, busy {:?}, {} queued, {} steals of {} tasks, {} sleeps, {} wakes, {} overflows",
            counters.polls.get(),
            self.worker_slow_poll_count(worker),
            self.worker_total_busy_duration(worker),
            self.worker_local_queue_depth(worker),
            counters.steal_operations.get(),
            counters.steals.get(),
            self.worker_park_count(worker),
            counters.wakes.get(),
            self.worker_overflow_count(worker),
        )
    }
}
