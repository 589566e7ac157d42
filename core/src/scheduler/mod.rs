//! The scheduler's shared part: queues that others may reach, the sleeping protocol, the driver and the list of tasks.
//!
//! See `README.md` in this folder for why no wake-up is lost.

pub(crate) mod idle;
pub(crate) mod life;
pub(crate) mod lifo;
#[cfg(all(test, posse_loom))]
mod loom_models;
pub(crate) mod owned;
pub(crate) mod park;
pub(crate) mod policy;
pub(crate) mod queue;
pub(crate) mod watchdog;
pub(crate) mod worker;

use self::idle::Idle;
use self::life::Life;
use self::lifo::Lifo;
use self::owned::OwnedTasks;
use self::park::Parker;
use self::queue::{Injector, Local, Stealer};
use self::watchdog::Ticks;
use crate::context;
use crate::io::{Driver, IoHandle};
use crate::lock::{Mutex, MutexGuard};
use crate::loom::sync::atomic::{AtomicU32, Ordering};
use crate::task::raw::Runnable;
use std::sync::Arc;
use std::time::Duration;

/// What the other workers see of one worker.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) stealer: Stealer,
    pub(crate) parker: Parker,
    pub(crate) front: Arc<Front>,
}

/// What a worker writes at each step and the watchdog looks at now and then: on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Front {
    pub(crate) lifo: Lifo,
    pub(crate) ticks: Ticks,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) injector: Injector,
    pub(crate) remotes: Box<[Remote]>,
    pub(crate) idle: Idle,
    pub(crate) owned: OwnedTasks,
    io: IoHandle,
    driver: Mutex<Driver>,
    /// How often the driver was asked, written by who holds it.
    turns: AtomicU32,
    pub(crate) life: Life,
}

impl Shared {
    pub(crate) fn new(workers: usize, driver: Driver, io: IoHandle) -> (Self, Vec<Local>) {
        let locals: Vec<Local> = (0..workers).map(|_| Local::new()).collect();
        let remote = |local: &Local| {
            let front = Arc::new(Front { lifo: Lifo::new(), ticks: Ticks::new() });
            Remote { stealer: local.stealer(), parker: Parker::new(), front }
        };
        let remotes = locals.iter().map(remote).collect();
        let shared = Self {
            injector: Injector::new(),
            remotes,
            idle: Idle::new(workers),
            owned: OwnedTasks::new(workers),
            io,
            driver: Mutex::new(driver),
            turns: AtomicU32::new(0),
            life: Life::new(workers),
        };
        (shared, locals)
    }

    pub(crate) fn io(&self) -> &IoHandle {
        &self.io
    }

    /// Queues a task that was woken: on the worker that runs this code if it is one of ours, else for anybody.
    #[inline]
    pub(crate) fn submit(&self, task: Runnable) {
        let rest = context::with_local_queue(|local| match local {
            Some((owner, local)) if std::ptr::eq(owner, self) => {
                if local.push_lifo(task) {
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

    /// Who wakes a task never drops it. After the end nobody takes it out of the injector again: see `drop_tasks`.
    fn inject(&self, task: Runnable) {
        self.injector.push(task);
        self.wake_one();
    }

    /// Wakes one sleeping worker to search, unless somebody searches already.
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

    fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.remotes.iter().any(|remote| !remote.stealer.is_empty())
    }

    /// Lets the driver hand out what has become ready, unless another worker is in it.
    pub(crate) fn poll_driver(&self) {
        if self.io.len() == 0 {
            return;
        }
        if let Some(mut driver) = self.try_driver() {
            self.turn(&mut driver, Some(Duration::ZERO));
        }
    }

    fn turn(&self, driver: &mut Driver, timeout: Option<Duration>) {
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
    /// No worker is left to run anything. So a task in the list is asleep, or in the injector, or on its way there in the
    /// hands of who wakes it or of the watchdog. The injector is emptied first. From then on nobody takes a task out of it, and what comes
    /// late is a name that nobody looks at: its task is taken by way of the list.
    pub(crate) fn drop_tasks(&self) {
        while let Some(task) = self.injector.pop() {
            task.cancel_unrun();
        }
        self.owned.shut_down();
    }
}
