//! Settings of a runtime, and how its parts are put together.

use crate::io::driver::{Driver, EVENTS_MAX, IoHandle};
use crate::rng;
use crate::runtime::blocking::Pool;
use crate::runtime::thread_names::ThreadNames;
use crate::runtime::{Config, Flavor, HistogramConfig, Inner, Runtime, UnhandledPanic, Worker};
use crate::scheduler::histogram::Scales;
use crate::scheduler::hooks::{TaskHooks, ThreadHooks};
use crate::scheduler::policy::SchedulePolicy;
use crate::scheduler::{self, Extras, Intervals};
use crate::sim::env::SimEnv;
use crate::time::driver::Clock;
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// Names the environment variable that sets the default number of workers.
const WORKERS_VARIABLE: &str = "POSSE_WORKER_THREADS";

/// More workers than any machine we know has processors; a larger number is a mistake.
pub(crate) const WORKERS_MAX: usize = 1024;

/// The same default as Tokio's: blocking work waits on disks and resolvers, not on processors.
const BLOCKING_THREADS_MAX: usize = 512;

/// Long enough that a steady trickle of blocking work keeps its threads. Guessed; the field uses 10 s too.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The default of [`Builder::slow_poll_threshold`]: what a person or a deadline begins to notice. Chosen.
const SLOW_POLL: Duration = Duration::from_millis(10);

/// Builds a [`Runtime`]. The settings are independent of each other.
///
/// # Examples
/// ```
/// use posse::runtime::Builder;
///
/// let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("service").build()?;
/// assert_eq!(runtime.block_on(async { 1 + 1 }), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    flavor: Flavor,
    workers: Option<usize>,
    name: Option<String>,
    thread_names: Option<ThreadNames>,
    stack_size: Option<usize>,
    blocking_max: usize,
    keep_alive: Duration,
    seed: Option<u64>,
    manual_clock: bool,
    start_paused: bool,
    slow_poll_threshold: Option<Duration>,
    poll_time_histogram: Option<HistogramConfig>,
    schedule_latency_histogram: Option<HistogramConfig>,
    pub(super) thread_hooks: Option<ThreadHooks>,
    pub(super) task_hooks: TaskHooks,
    pub(super) unhandled_panic: UnhandledPanic,
    pub(super) intervals: Intervals,
    pub(super) no_lifo_slot: bool,
    pub(super) io_events_max: usize,
    simulated: Option<SimEnv>,
}

impl Builder {
    fn new(flavor: Flavor) -> Self {
        Self {
            flavor,
            workers: None,
            name: None,
            thread_names: None,
            stack_size: None,
            blocking_max: BLOCKING_THREADS_MAX,
            keep_alive: KEEP_ALIVE,
            seed: None,
            manual_clock: false,
            start_paused: false,
            slow_poll_threshold: None,
            poll_time_histogram: None,
            schedule_latency_histogram: None,
            thread_hooks: None,
            task_hooks: TaskHooks::default(),
            unhandled_panic: UnhandledPanic::default(),
            intervals: Intervals::default(),
            no_lifo_slot: false,
            io_events_max: EVENTS_MAX,
            simulated: None,
        }
    }

    /// A runtime with several workers that steal work from each other.
    pub fn new_multi_thread() -> Self {
        Self::new(Flavor::MultiThread)
    }

    /// A runtime whose tasks run on the thread that is inside [`Runtime::block_on`], and only then.
    pub fn new_current_thread() -> Self {
        Self::new(Flavor::CurrentThread)
    }

    #[cfg(feature = "sim")]
    pub(crate) fn new_simulated(workers: usize, seed: u64, simulated: SimEnv) -> Self {
        let mut builder = Self::new(Flavor::Simulated).worker_threads(workers).seed(seed).manual_clock();
        builder.simulated = Some(simulated);
        builder
    }

    /// Sets the number of workers, 1 to 1,024. Default: the environment variable `POSSE_WORKER_THREADS`, else the number of
    /// processors this process may use. A current-thread runtime has one worker, always.
    #[must_use]
    pub fn worker_threads(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Sets the name of the runtime, which [`Handle::name`](super::Handle::name), its metrics and its events show, and its threads if they get no other.
    /// Default: none.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets what the names of the threads begin with; the index of the worker follows, or what else the thread is for. Default: `posse-worker`, or
    /// the name of the runtime and `-worker`.
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_names = Some(ThreadNames::Base(name.into()));
        self
    }

    /// Sets a function that gives each thread of the runtime its name, in place of [`thread_name`](Self::thread_name). It is called by the
    /// thread that starts the new one.
    ///
    /// # Examples
    /// ```
    /// use posse::runtime::Builder;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let count = AtomicUsize::new(0);
    /// let name = move || format!("pool-{}", count.fetch_add(1, Ordering::Relaxed));
    /// let runtime = Builder::new_multi_thread().worker_threads(1).thread_name_fn(name).build()?;
    /// let named = runtime.spawn(async { std::thread::current().name().map(str::to_owned) });
    /// assert_eq!(runtime.block_on(named).unwrap().as_deref(), Some("pool-0"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn thread_name_fn(mut self, name: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.thread_names = Some(ThreadNames::Made(Arc::new(name)));
        self
    }

    /// Sets the stack size of all threads, in bytes. Default: that of `std::thread`.
    #[must_use]
    pub fn thread_stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Sets the most threads of the blocking pool, at least 1. Default: 512.
    #[must_use]
    pub fn max_blocking_threads(mut self, threads: usize) -> Self {
        self.blocking_max = threads.max(1);
        self
    }

    /// Sets how long a thread of the blocking pool stays without work. Default: 10 seconds.
    #[must_use]
    pub fn thread_keep_alive(mut self, time: Duration) -> Self {
        self.keep_alive = time;
        self
    }

    /// Sets the seed of every random choice: steal order, jitter, ids. Default: drawn from the operating system.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Gives the runtime a clock that stands still until
    /// [`Handle::advance`](crate::runtime::Handle::advance) turns it. Default: the real clock.
    #[must_use]
    pub fn manual_clock(mut self) -> Self {
        self.manual_clock = true;
        self
    }

    /// Makes time stand still from the start, as [`time::pause`](crate::time::pause) does. Only for a current-thread runtime. Default: false.
    ///
    /// # Examples
    /// ```
    /// use posse::runtime::Builder;
    /// use posse::time::{Duration, Instant, sleep};
    ///
    /// Builder::new_current_thread().start_paused(true).build()?.block_on(async {
    ///     let start = Instant::now();
    ///     sleep(Duration::from_secs(3600)).await; // at once
    ///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn start_paused(mut self, paused: bool) -> Self {
        self.start_paused = paused;
        self
    }

    /// Sets how long a task may be in one poll before it counts as slow, at least 1 ms. Default: 10 ms. `Duration::MAX` switches this
    /// off.
    ///
    /// The watchdog counts slow polls ([`RuntimeMetrics::slow_poll_count`](super::RuntimeMetrics::slow_poll_count)) and tells of each task
    /// once, while it still runs: `WARN`, target `posse::task`, with the task's name and the place where it was spawned. It looks
    /// every 5 ms, or as often as the threshold if that is less, so a poll that is longer than the threshold by no more than that may
    /// pass unseen; none that is shorter is reported. Nothing is seen on a clock that does not go on by itself.
    ///
    /// A current-thread runtime has a watchdog, a thread of its own, only if this is called.
    ///
    /// # Examples
    /// ```
    /// use posse::runtime::Builder;
    /// use std::time::Duration;
    ///
    /// let runtime = Builder::new_multi_thread().slow_poll_threshold(Duration::from_secs(50)).build()?;
    /// runtime.block_on(async { /* polls of more than 50 s are reported */ });
    /// assert_eq!(runtime.handle().metrics().slow_poll_count(), 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn slow_poll_threshold(mut self, threshold: Duration) -> Self {
        self.slow_poll_threshold = Some(threshold);
        self
    }

    /// Makes workers measure how long each poll takes; see
    /// [`RuntimeMetrics::poll_time_histogram`](super::RuntimeMetrics::poll_time_histogram). Default: they do not. It costs two looks at the clock for
    /// each poll, some 50 ns.
    #[must_use]
    pub fn poll_time_histogram(mut self, config: HistogramConfig) -> Self {
        self.poll_time_histogram = Some(config);
        self
    }

    /// Makes workers measure how long tasks that were woken or started wait for a worker; see
    /// [`RuntimeMetrics::schedule_latency_histogram`](super::RuntimeMetrics::schedule_latency_histogram). Default: they do not. It costs two looks at
    /// the clock for each wake, some 50 ns.
    #[must_use]
    pub fn schedule_latency_histogram(mut self, config: HistogramConfig) -> Self {
        self.schedule_latency_histogram = Some(config);
        self
    }

    /// Builds the runtime and starts its workers.
    ///
    /// # Errors
    /// `InvalidInput` for a number of workers out of range, also in the environment, for a histogram without buckets or with
    /// too many, and for `start_paused` with workers; else what the operating system
    /// says when it refuses an event queue or a thread.
    pub fn build(self) -> std::io::Result<Runtime> {
        let workers = self.worker_count()?;
        let (clock, driver, io) = self.clock_and_driver()?;
        let seed = self.seed.unwrap_or_else(random_seed);
        let names = self.thread_names();
        let pool = Pool::new(names.clone(), self.blocking_max, self.keep_alive, self.stack_size);
        let scheduler = scheduler::Config {
            workers,
            flavor: self.flavor,
            driver,
            io,
            histograms: Scales {
                poll_time: self.poll_time_histogram.as_ref().map(HistogramConfig::scale).transpose()?,
                schedule_latency: self.schedule_latency_histogram.as_ref().map(HistogramConfig::scale).transpose()?,
            },
            extras: Extras {
                schedule_clock: self.schedule_latency_histogram.as_ref().map(|_| clock.clone()),
                task_hooks: (!self.task_hooks.is_empty()).then(|| self.task_hooks.clone()),
                no_lifo_slot: self.no_lifo_slot,
            },
            intervals: self.intervals,
            thread_hooks: self.thread_hooks.clone(),
            clock,
        };
        let config = Config {
            scheduler,
            pool,
            seed,
            name: self.name.as_deref().map(Into::into),
            unhandled_panic: self.unhandled_panic,
            simulation: self.simulated.as_ref().map(|simulated| simulated.simulation().clone()),
        };
        let (handle, locals) = Inner::build(config);

        let workers: Vec<Worker> = locals
            .into_iter()
            .enumerate()
            .map(|(index, local)| {
                let policy = self.schedule_policy(rng::split(seed, 1 + index as u64));
                Worker::new(handle.clone(), index, local, policy)
            })
            .collect();
        let threshold = self.slow_poll_threshold.or((self.flavor == Flavor::MultiThread).then_some(SLOW_POLL));
        Runtime::start(handle, workers, &names, self.stack_size, threshold)
    }

    fn thread_names(&self) -> ThreadNames {
        let base = || self.name.as_ref().map_or_else(|| "posse-worker".to_owned(), |name| format!("{name}-worker"));
        self.thread_names.clone().unwrap_or_else(|| ThreadNames::Base(base()))
    }

    /// The clock and the driver: the machine's, or a simulation's.
    fn clock_and_driver(&self) -> std::io::Result<(Clock, Driver, IoHandle)> {
        if let Some((clock, host)) = self.simulated.as_ref().and_then(SimEnv::machine) {
            return Ok((clock.into(), host.clone().into(), host.into()));
        }
        let clock = match self.flavor {
            _ if self.manual_clock => Clock::manual(),
            Flavor::CurrentThread if self.start_paused => Clock::paused(),
            Flavor::CurrentThread => Clock::pausable(),
            _ if self.start_paused => {
                let text = "time that starts paused needs a current-thread runtime";
                return Err(Error::new(ErrorKind::InvalidInput, text));
            }
            _ => Clock::real(),
        };
        let (driver, io) = Driver::new(self.io_events_max)?;
        Ok((clock, driver, io))
    }

    fn schedule_policy(&self, seed: u64) -> SchedulePolicy {
        match &self.simulated {
            Some(simulated) => SchedulePolicy::Simulated(simulated.simulation().rng().clone()),
            None => SchedulePolicy::Production(rng::Rng::new(seed)),
        }
    }

    fn worker_count(&self) -> std::io::Result<usize> {
        let count = match (self.flavor, self.workers) {
            (Flavor::CurrentThread, _) => 1,
            (_, Some(workers)) => workers,
            (_, None) => default_workers()?,
        };
        if (1..=WORKERS_MAX).contains(&count) {
            return Ok(count);
        }
        Err(Error::new(ErrorKind::InvalidInput, format!("{count} workers asked for, 1 to {WORKERS_MAX} are possible")))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that decides the default number of workers")]
fn default_workers() -> std::io::Result<usize> {
    match std::env::var(WORKERS_VARIABLE) {
        Ok(text) => text.trim().parse().map_err(|_| {
            Error::new(ErrorKind::InvalidInput, format!("{WORKERS_VARIABLE} is {text:?}, which is not a number"))
        }),
        Err(_) => Ok(std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX)),
    }
}

/// A seed that differs from run to run. The standard library seeds its maps from the operating system.
#[expect(clippy::disallowed_methods, reason = "the one place that asks for a random seed")]
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
