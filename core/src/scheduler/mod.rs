//! The scheduler's shared part: queues that others may reach, the sleeping protocol, the driver and the list of tasks.
//!
//! See `README.md` in this folder for why no wake-up is lost.

pub(crate) mod counters;
pub(crate) mod current;
pub(crate) mod histogram;
pub(crate) mod hooks;
pub(crate) mod host;
pub(crate) mod idle;
pub(crate) mod inbox;
pub(crate) mod life;
pub(crate) mod lifo;
pub(crate) mod local;
#[cfg(all(test, posse_loom))]
mod loom_models;
pub(crate) mod owned;
pub(crate) mod park;
#[cfg(all(test, not(posse_loom)))]
mod pinned_tests;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod watchdog;
#[cfg(all(test, not(posse_loom)))]
mod watchdog_tests;
pub(crate) mod worker;

use self::counters::Counters;
use self::histogram::{Histograms, Scales};
use self::hooks::{TaskHooks, ThreadHooks};
use self::idle::Idle;
use self::inbox::Inbox;
use self::life::Life;
use self::lifo::Lifo;
use self::owned::OwnedTasks;
use self::park::Parker;
use self::queue::{Injector, Local, Stealer};
use self::watchdog::Ticks;
use self::worker::MAINTENANCE_INTERVAL;
use crate::io::driver::{Driver, IoHandle};
use crate::lock::{Mutex, MutexGuard};
use crate::loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::raw_task::{Runnable, TaskRef};
use crate::time::driver::{Clock, Instant, Timers};
use crate::util::count::Count;
use std::sync::Arc;
use std::time::Duration;

/// What the other workers see of one worker.
#[derive(Debug)]
pub(crate) struct Remote {
    /// The far end of its queue: the other workers and the watchdog take tasks here.
    pub(crate) stealer: Stealer,
    /// Tasks that are pinned to it: every thread pushes, the worker pops.
    pub(crate) inbox: Inbox<Runnable>,
    /// Ends its sleep; only the worker itself parks here.
    pub(crate) parker: Parker,
    /// Shared with the worker's own [`local::LocalQueue`].
    pub(crate) front: Arc<Front>,
    /// Tasks that the watchdog moved from this worker's queue to the injector. Written by the watchdog alone.
    pub(crate) drained: Count,
    /// Polls that took long. Written by the watchdog alone.
    pub(crate) slow_polls: Count,
}

/// What a worker writes at each step and others look at now and then: on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Front {
    /// The task that was woken last; filled by the worker, emptied by it or by the watchdog.
    pub(crate) lifo: Lifo,
    /// Steps begun; counted by the worker, read and brought forward by the watchdog.
    pub(crate) ticks: Ticks,
    pub(crate) counters: Counters,
    /// The place in the list of tasks of the one that was polled last; see [`OwnedTasks::is_running`].
    pub(crate) polled: AtomicU64,
    /// What the worker measures, if it measures anything.
    pub(crate) histograms: Option<Box<Histograms>>,
    /// Whether it measures anything, or a program has hooks around polls.
    pub(crate) is_watched: bool,
}

impl Front {
    fn new(histograms: Option<Box<Histograms>>, has_hooks: bool) -> Self {
        Self {
            lifo: Lifo::new(),
            ticks: Ticks::new(),
            counters: Counters::default(),
            polled: AtomicU64::new(0),
            is_watched: has_hooks || histograms.is_some(),
            histograms,
        }
    }
}

/// How a runtime gets its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flavor {
    /// Workers on threads of their own.
    MultiThread,
    /// One worker on the thread inside `block_on`.
    CurrentThread,
    /// Several logical workers, stepped one by one on one thread.
    Simulated,
}

#[derive(Debug)]
pub(crate) struct Shared {
    /// What becomes of the workers; never changes.
    pub(crate) flavor: Flavor,
    /// What `now` is; timers and records of polls go by it.
    pub(crate) clock: Clock,
    /// In a shard for each worker.
    pub(crate) timers: Timers,
    /// Tasks woken by threads that are no worker of this runtime; every thread pushes, workers pop.
    pub(crate) injector: Injector,
    /// One for each worker, by its index; never changes.
    pub(crate) remotes: Box<[Remote]>,
    /// Which workers sleep; changed by workers on their way to and from sleep, and by each thread that pushes a task.
    pub(crate) idle: Idle,
    /// All tasks that have not completed: a spawn adds, the run that completes a task removes.
    pub(crate) owned: OwnedTasks,
    /// Registers sockets and interrupts the driver, from any thread.
    io: IoHandle,
    /// Held by the one worker that sleeps in the driver or asks it for events.
    driver: Mutex<Driver>,
    /// Turns of the driver; written under its lock, read by the watchdog.
    turns: AtomicU32,
    /// Whether the runtime ends, and how many workers have not left.
    pub(crate) life: Life,
    /// What a program has run on each thread of the runtime; few programs do.
    pub(crate) thread_hooks: Option<ThreadHooks>,
    /// What few programs ask for; see [`Extras`].
    extras: Option<Box<Extras>>,
    /// There are extras, or a task was pinned: one look where a task is queued. Once true it stays so.
    is_special: AtomicBool,
    /// Steps between two looks at the driver and the timers, and at the injector, while local work lasts.
    pub(crate) intervals: Intervals,
}

/// What a scheduler is put together from.
pub(crate) struct Config {
    pub(crate) workers: usize,
    pub(crate) flavor: Flavor,
    pub(crate) clock: Clock,
    pub(crate) driver: Driver,
    pub(crate) io: IoHandle,
    pub(crate) histograms: Scales,
    pub(crate) intervals: Intervals,
    pub(crate) thread_hooks: Option<ThreadHooks>,
    pub(crate) extras: Extras,
}

/// What few programs ask for.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// If it is measured how long tasks wait for a worker.
    pub(crate) schedule_clock: Option<Clock>,
    pub(crate) task_hooks: Option<TaskHooks>,
    /// Tasks go into the queue, in the order in which they were woken.
    pub(crate) no_lifo_slot: bool,
}

impl Extras {
    fn is_needed(&self) -> bool {
        self.schedule_clock.is_some() || self.task_hooks.is_some() || self.no_lifo_slot
    }
}

/// Counted in steps of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    pub(crate) maintenance: u32,
    pub(crate) injector: u32,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { maintenance: MAINTENANCE_INTERVAL, injector: MAINTENANCE_INTERVAL }
    }
}

impl Shared {
    /// With the queues of the workers.
    pub(crate) fn new(config: Config) -> (Self, Vec<Local>) {
        let Config { workers, flavor, clock, driver, io, histograms, intervals, thread_hooks, extras } = config;
        // The near ends go to the workers, the far ends and the fronts stay here for the others.
        let locals: Vec<Local> = (0..workers).map(|_| Local::new()).collect();
        let remote = |local: &Local| {
            let front = Arc::new(Front::new(Histograms::new(&histograms), extras.task_hooks.is_some()));
            Remote {
                stealer: local.stealer(),
                inbox: Inbox::new(),
                parker: Parker::new(),
                front,
                drained: Count::default(),
                slow_polls: Count::default(),
            }
        };
        let remotes = locals.iter().map(remote).collect();
        let shared = Self {
            flavor,
            clock,
            timers: Timers::new(workers),
            injector: Injector::new(),
            remotes,
            idle: Idle::new(workers),
            owned: OwnedTasks::new(workers),
            io,
            driver: Mutex::new(driver),
            turns: AtomicU32::new(0),
            life: Life::new(workers),
            intervals,
            thread_hooks,
            is_special: AtomicBool::new(extras.is_needed()),
            extras: extras.is_needed().then(|| Box::new(extras)),
        };
        (shared, locals)
    }

    pub(crate) fn io(&self) -> &IoHandle {
        &self.io
    }

    /// The time on the runtime's clock.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// A thread that is no worker set a timer, the earliest of its shard. A worker that is awake will look at all deadlines
    /// before it sleeps; one that sleeps in the driver may have to sleep less long now.
    pub(crate) fn timer_was_set(&self, deadline: Instant) {
        if self.timers.sleeps_past(deadline) {
            self.io.unpark();
        }
    }

    /// Queues a task that was woken: on the worker that runs this code if it is one of this runtime, else in the injector. One copy for
    /// all that wakes: what it calls is in it then.
    #[inline(never)]
    pub(crate) fn submit(&self, task: Runnable) {
        // Relaxed: the thread that wakes a pinned task knows it from after it was started.
        if self.is_special.load(Ordering::Relaxed) {
            return self.submit_special(task);
        }
        self.enqueue(task, false);
    }

    #[cold]
    fn submit_special(&self, task: Runnable) {
        let mut no_lifo_slot = false;
        if let Some(extras) = &self.extras {
            // Until it was run once it is queued once: by who spawns it.
            if let (Some(hooks), 0) = (&extras.task_hooks, task.header().polls().count()) {
                hooks.spawned(self, &task);
            }
            if let Some(clock) = &extras.schedule_clock {
                task.header().polls().set_scheduled(clock.now().0);
            }
            no_lifo_slot = extras.no_lifo_slot;
        }
        match owned::pinned_to(task.header()) {
            Some(worker) => self.push_pinned(worker, task),
            None => self.enqueue(task, no_lifo_slot),
        }
    }

    /// Queues a task on the one worker that may run it, and wakes that.
    #[cold]
    fn push_pinned(&self, worker: usize, task: Runnable) {
        // An index beyond the workers is refused at the spawn, so this finds one.
        let Some(remote) = self.remotes.get(worker) else { return self.inject(task) };
        remote.inbox.push(task);
        // The worker itself looks before it parks.
        let is_here = current::with_local_queue(|local| {
            local.is_some_and(|(owner, local)| std::ptr::eq(owner, self) && local.index == worker)
        });
        if !is_here {
            self.unpark(worker);
        }
    }

    /// From here on tasks may be pinned.
    pub(crate) fn allow_pinned(&self) {
        self.is_special.store(true, Ordering::Relaxed);
    }

    /// Queues a task that a thread has run without a worker: on its own one if it is pinned, else in the injector.
    fn requeue(&self, task: Runnable) {
        match owned::pinned_to(task.header()) {
            Some(worker) => self.push_pinned(worker, task),
            None => self.inject(task),
        }
    }

    #[inline]
    fn enqueue(&self, task: Runnable, no_lifo_slot: bool) {
        // A worker of this runtime queues for itself: that neither locks nor wakes unless it displaces a task.
        let rest = current::with_local_queue(|local| match local {
            Some((owner, local)) if std::ptr::eq(owner, self) => {
                if if no_lifo_slot { local.push(task) } else { local.push_lifo(task) } {
                    self.wake_one();
                }
                None
            }
            _ => Some(task),
        });
        if let Some(task) = rest {
            self.inject(task);
        }
    }

    /// The thread that wakes a task never drops it. After the end no worker takes it out of the injector: see `drop_tasks`.
    pub(crate) fn inject(&self, task: Runnable) {
        self.injector.push(task);
        self.wake_one();
    }

    /// Wakes one sleeping worker to search, unless a worker searches already.
    #[inline]
    pub(crate) fn wake_one(&self) {
        if let Some(worker) = self.idle.worker_to_wake() {
            self.unpark(worker);
        }
    }

    /// Ends the sleep of a worker.
    pub(crate) fn unpark(&self, worker: usize) {
        if let Some(remote) = self.remotes.get(worker) {
            remote.parker.unpark(|| self.io.unpark());
        }
    }

    /// Tasks that wait on one worker.
    pub(crate) fn local_queue_len(&self, worker: usize) -> usize {
        let remote = &self.remotes[worker];
        remote.stealer.len() + usize::from(!remote.front.lifo.is_empty()) + remote.inbox.len()
    }

    fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.remotes.iter().any(|remote| !remote.stealer.is_empty())
    }

    /// Lets the driver hand out what has become ready, unless another worker is in it.
    pub(crate) fn poll_driver(&self) {
        if !self.io.is_needed() {
            return;
        }
        // Else another worker has it, and hands out the events.
        if let Some(mut driver) = self.try_driver() {
            self.turn(&mut driver, Some(Duration::ZERO));
        }
    }

    fn turn(&self, driver: &mut Driver, timeout: Option<Duration>) {
        // Before the turn: one that lasts counts from its beginning.
        self.turns.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = driver.turn(&self.io, timeout) {
            crate::event!(ERROR, "posse::runtime", "the reactor could not ask the operating system for events", reason = %error);
        }
    }

    fn turns(&self) -> u32 {
        self.turns.load(Ordering::Relaxed)
    }

    fn try_driver(&self) -> Option<MutexGuard<'_, Driver>> {
        self.driver.try_lock()
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.life.is_open()
    }

    /// Begins the end: no new tasks, and workers leave after the poll they are in.
    pub(crate) fn begin_end(&self) {
        if self.life.begin_end() {
            // Each gets a token, so one that has not seen the end yet does not sleep before it looks again.
            (0..self.remotes.len()).for_each(|worker| self.unpark(worker));
            self.idle.watchdog().unpark(|| {});
        }
    }

    /// Drops the futures of all tasks. Called once, by the worker that left last, outside of its queue.
    ///
    /// No worker is left to run anything. So a task in the list is asleep, or in the injector or an inbox, or on its way there in the
    /// hands of who wakes it or of the watchdog. These are emptied first. From then on no worker takes a task out of them, and what comes
    /// late is a pointer that is not followed: its task is taken by way of the list.
    pub(crate) fn drop_tasks(&self) {
        let next = || self.injector.pop().or_else(|| self.remotes.iter().find_map(|remote| remote.inbox.pop()));
        while let Some(task) = next() {
            self.cancel_unrun(task);
        }
        self.owned.for_each_left(|task| self.shut_down(task));
    }

    /// Drops the future of a task that no worker will run any more.
    pub(crate) fn shut_down(&self, task: &TaskRef) {
        match self.task_hooks() {
            Some(hooks) => hooks.around_end(self, task, TaskRef::shut_down),
            None => {
                task.shut_down();
            }
        }
    }

    /// Drops the future of a queued task instead of running it.
    pub(crate) fn cancel_unrun(&self, task: Runnable) {
        match self.task_hooks() {
            Some(hooks) => hooks.around_end(self, &task.task_ref(), |_| {
                task.cancel_unrun();
                true
            }),
            None => task.cancel_unrun(),
        }
    }

    pub(crate) fn task_hooks(&self) -> Option<&TaskHooks> {
        self.extras.as_ref()?.task_hooks.as_ref()
    }
}
