//! The part of a worker that code running on it reaches through the context: its queue, and what it shows to others.
//!
//! A task that is about to block the thread may take both away in the middle of its poll, for another thread to go on with
//! ([`LocalQueue::exchange`]). A stand-in lies here then: an empty queue that no worker steals from, and a front that none looks at.

use super::queue::Local;
use super::watchdog::Ticks;
use super::{Flavor, Front};
use crate::loom::cell::UnsafeCell;
use crate::loom::sync::atomic::Ordering;
use crate::raw_task::{Runnable, TaskRef};
use std::fmt;
use std::sync::Arc;

pub(crate) struct LocalQueue {
    /// The worker's index among those of its runtime.
    pub(crate) index: usize,
    /// That of the worker's runtime: it says whether the worker can go to another thread.
    pub(crate) flavor: Flavor,
    /// Exchanged by a task that takes the worker away, in the middle of its poll.
    seat: UnsafeCell<Seat>,
}

/// What makes a thread the worker.
pub(super) struct Seat {
    /// Tasks to run, in order: only this worker pushes and pops, others steal at the far end.
    pub(super) queue: Local,
    /// The LIFO slot and the counts, which others see too.
    pub(super) front: Arc<Front>,
    /// In a stand-in: the task that took the worker away.
    taker: Option<TaskRef>,
}

impl fmt::Debug for LocalQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalQueue")
            .field("index", &self.index)
            .field("queued", &self.with(|seat| seat.queue.len()))
            .finish()
    }
}

impl LocalQueue {
    pub(super) fn new(index: usize, flavor: Flavor, queue: Local, front: Arc<Front>) -> Self {
        Self { index, flavor, seat: UnsafeCell::new(Seat { queue, front, taker: None }) }
    }

    /// Calls `f`, which runs no foreign code: the seat may change in any.
    #[inline]
    pub(super) fn with<R>(&self, f: impl FnOnce(&Seat) -> R) -> R {
        // SAFETY: the cell belongs to one thread, being no `Sync`. It is written in `replace` alone, which no `f` calls, because
        // `replace` is for code that a task runs.
        self.seat.with(|seat| f(unsafe { &*seat }))
    }

    fn replace(&self, seat: Seat) -> Seat {
        // SAFETY: as in `with`; there is no reference to the seat while a task runs.
        self.seat.with_mut(|place| std::mem::replace(unsafe { &mut *place }, seat))
    }

    /// Puts a task that was just woken into the LIFO slot. True if that moved another one to the queue.
    #[inline]
    pub(crate) fn push_lifo(&self, task: Runnable) -> bool {
        self.with(|seat| match seat.front.lifo.replace(task) {
            Some(prev) => {
                seat.queue.push(prev);
                true
            }
            None => false,
        })
    }

    /// Puts a task behind those in the queue, where others may steal it.
    #[cold]
    pub(crate) fn push(&self, task: Runnable) -> bool {
        self.with(|seat| seat.queue.push(task));
        true
    }

    /// A task of this worker has no budget left.
    pub(crate) fn count_forced_yield(&self) {
        self.with(|seat| seat.front.counters.forced_yield());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.with(|seat| seat.front.lifo.is_empty() && seat.queue.is_empty())
    }

    /// Takes the queue out of a worker that no code is inside of.
    pub(super) fn into_queue(self) -> Local {
        self.seat.into_inner().queue
    }

    /// Takes the worker away from its thread on behalf of the task that runs. The next step of the thread is one with maintenance,
    /// in which it notices; they are `maintenance` steps apart.
    pub(crate) fn exchange(&self, taker: TaskRef, maintenance: u32) -> (Local, Arc<Front>) {
        // The stand-in first, then one exchange: at no moment has the thread no seat, or two.
        let front = self.with(|seat| Front::stand_in(&seat.front, maintenance));
        let seat = Seat { queue: Local::new(), front: Arc::new(front), taker: Some(taker) };
        let taken = self.replace(seat);
        // The task is in no worker's poll from here on, and not slow, whatever it does.
        taken.front.polled.store(0, Ordering::Relaxed);
        (taken.queue, taken.front)
    }

    /// Gives the worker back, before the task has returned. The task's own poll goes on in it.
    pub(crate) fn restore(&self, queue: Local, front: Arc<Front>) {
        drop(self.replace(Seat { queue, front, taker: None }));
    }

    /// Whether the worker was taken away.
    pub(super) fn is_lost(&self) -> bool {
        self.with(|seat| seat.taker.is_some())
    }

    /// What a thread without its worker has left: the task that took it away, and whether it was woken while it ran.
    pub(super) fn leftover(&self) -> Option<(TaskRef, Option<Runnable>)> {
        self.with(|seat| seat.taker.clone().map(|taker| (taker, seat.queue.pop())))
    }
}

impl Front {
    /// A front for a thread whose worker is elsewhere: its next step is one with maintenance.
    fn stand_in(taken: &Self, interval: u32) -> Self {
        let mut front = Self::new(None, false);
        front.ticks = Ticks::starting_at(taken.ticks.get().wrapping_add(interval));
        front
    }
}
