//! The timers of a runtime: one wheel per worker, each behind a lock that is nearly always uncontended.
//!
//! A timer lives in the shard of the worker that first polled it, but it belongs to the runtime: that worker fires it
//! unless it is busy, and so does the worker that sleeps in the driver, which sleeps no longer than the earliest deadline of all
//! shards. Wakers run outside of the lock.

use super::Instant;
use super::attendance::Attendance;
use super::wheel::{Key, Wheel};
use crate::loom::sync::Mutex;
use crate::loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::raw_task::Id;
use crate::raw_task::panic::wake_all;
use crate::raw_task::poll_waker::PollWaker;
use crate::raw_task::wait_kind::WaitKind;
use crate::raw_task::waker::task_of;
use std::task::Waker;

/// The `next` of a shard without timers.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Timers {
    /// One for each worker; a timer stays in the shard of the worker that first polled it.
    shards: Box<[Shard]>,
    /// Whether a worker sleeps for all shards, and until when.
    attendance: Attendance,
    /// Some shard is late and all workers are busy. Set by the watchdog, taken by a worker: the next worker that looks up fires all.
    overdue: AtomicBool,
}

/// On cache lines of its own: two workers that set timers must not wait for each other's.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    /// The timers. Its worker fires, any thread sets, moves and drops.
    wheel: Mutex<Wheel<Waker>>,
    /// When `fire` has something to do, readable without the lock. Written under it.
    next: AtomicU64,
}

/// Where a timer waits.
#[derive(Debug)]
pub(crate) struct Entry {
    shard: usize,
    key: Key,
}

impl Timers {
    pub(crate) fn new(shards: usize) -> Self {
        let shard = |_| Shard { wheel: Mutex::new(Wheel::new()), next: AtomicU64::new(NEVER) };
        let shards = (0..shards.max(1)).map(shard).collect();
        Self { shards, attendance: Attendance::new(), overdue: AtomicBool::new(false) }
    }

    /// Adds a timer. True if it became the earliest of its shard.
    pub(crate) fn insert(&self, shard: usize, deadline: Instant, waker: Waker) -> (Entry, bool) {
        let shard = shard.min(self.shards.len() - 1);
        let mut wheel = self.shards[shard].wheel.lock();
        let key = wheel.insert(deadline.0, waker);
        // Written under the lock. It need not be asked of the wheel, which costs more than the insertion.
        let next = &self.shards[shard].next;
        let earliest = deadline.0 < next.load(Ordering::Relaxed);
        if earliest {
            next.store(deadline.0, Ordering::Release);
        }
        (Entry { shard, key }, earliest)
    }

    /// Makes a timer wake `waker`. False if it has fired.
    pub(crate) fn update(&self, entry: &Entry, waker: &Waker) -> bool {
        let mut waker = PollWaker::new(waker, WaitKind::Listed);
        let mut wheel = self.shards[entry.shard].wheel.lock();
        let Some(known) = wheel.get_mut(entry.key) else { return false };
        let prev = waker.renew(known);
        drop(wheel);
        drop(prev);
        true
    }

    pub(crate) fn cancel(&self, entry: &Entry) {
        let mut wheel = self.shards[entry.shard].wheel.lock();
        let waker = wheel.cancel(entry.key);
        // `next` may stay too early: that costs one look, cheaper than finding the new earliest at each cancel.
        if wheel.len() == 0 {
            self.shards[entry.shard].next.store(NEVER, Ordering::Release);
        }
        drop(wheel);
        drop(waker);
    }

    /// Wakes all in the shard whose time has come. Returns how many.
    pub(crate) fn fire(&self, shard: usize, now: Instant) -> usize {
        let shard = &self.shards[shard];
        if shard.next.load(Ordering::Acquire) > now.0 {
            return 0;
        }

        let mut due = Vec::new();
        let mut wheel = shard.wheel.lock();
        wheel.fire(now.0, |waker| due.push(waker));
        shard.publish(&wheel);
        drop(wheel);
        let count = due.len();
        wake_all(due);
        count
    }

    /// Wakes all, whatever the time: the runtime has ended.
    pub(crate) fn end(&self) {
        self.fire_all(Instant(u64::MAX));
    }

    /// When `fire` may have something to do for the shard.
    pub(crate) fn next_deadline(&self, shard: usize) -> Option<Instant> {
        let next = self.shards[shard].next.load(Ordering::Acquire);
        (next != NEVER).then_some(Instant(next))
    }

    /// Wakes all whose time has come. Returns how many.
    pub(crate) fn fire_all(&self, now: Instant) -> usize {
        (0..self.shards.len()).map(|shard| self.fire(shard, now)).sum()
    }

    /// When `fire_all` may have something to do.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        (0..self.shards.len()).filter_map(|shard| self.next_deadline(shard)).min()
    }

    /// A worker is about to sleep in the driver, no longer than to the instant returned, until the guard is dropped.
    pub(crate) fn attend(&self) -> (Attending<'_>, Option<Instant>) {
        self.attendance.arrive();
        let attending = Attending(&self.attendance);
        let earliest = self.earliest();
        self.attendance.sleep_until(earliest.map(|instant| instant.0));
        (attending, earliest)
    }

    /// Whether a worker sleeps in the driver.
    pub(crate) fn is_attended(&self) -> bool {
        self.attendance.is_attended()
    }

    /// After a timer was set by a thread that fires none: whether the one in the driver may sleep past it.
    pub(crate) fn sleeps_past(&self, deadline: Instant) -> bool {
        self.attendance.sleeps_past(deadline.0)
    }

    /// Asks the next worker that looks up from its work to fire all shards.
    pub(crate) fn set_overdue(&self) {
        self.overdue.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn take_overdue(&self) -> bool {
        let overdue = self.overdue.load(Ordering::Relaxed);
        if overdue {
            self.overdue.store(false, Ordering::Relaxed);
        }
        overdue
    }

    /// Shows each timer that wakes a task. `f` runs under a lock.
    pub(crate) fn for_each_task(&self, mut f: impl FnMut(Id, Instant)) {
        for shard in &self.shards {
            let wheel = shard.wheel.lock();
            wheel
                .iter()
                .for_each(|(deadline, waker)| task_of(waker).into_iter().for_each(|id| f(id, Instant(deadline))));
        }
    }

    /// Number of timers that wait.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.wheel.lock().len()).sum()
    }
}

/// The stay of a worker in the driver.
pub(crate) struct Attending<'a>(&'a Attendance);

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Shard {
    fn publish(&self, wheel: &Wheel<Waker>) {
        self.next.store(wheel.next_deadline().unwrap_or(NEVER), Ordering::Release);
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::loom::sync::Arc;
    use crate::scheduler::park::Parker;
    use crate::testing::counting_waker;

    /// A thread that is no worker sets a timer, and then an earlier one, while a worker goes to sleep in the driver, whose event queue the parker
    /// stands for. If the worker slept past the earlier one nothing would end its sleep, which loom reports as a deadlock.
    #[test]
    fn loom_a_deadline_set_from_outside_is_not_slept_past() {
        loom::model(|| {
            let shared = Arc::new((Timers::new(2), Parker::new()));
            let outside = {
                let shared = shared.clone();
                loom::thread::spawn(move || {
                    let (timers, driver) = &*shared;
                    for deadline in [Instant(9), Instant(7)] {
                        let (_, is_earliest) = timers.insert(0, deadline, Waker::noop().clone());
                        if is_earliest && timers.sleeps_past(deadline) {
                            driver.unpark(|| {});
                        }
                    }
                })
            };
            let (timers, driver) = &*shared;
            loop {
                let (_attending, earliest) = timers.attend();
                if earliest == Some(Instant(7)) {
                    break;
                }
                driver.park(None);
            }
            outside.join().unwrap();
        });
    }

    /// A worker sets a timer in its shard and drops another one, while a second worker, which has slept for all, fires what is due there, and goes
    /// to sleep again. Each of them sleeps no longer than to the new deadline: the one that set it in any case, the other one if it slept later.
    #[test]
    fn loom_a_deadline_set_while_another_worker_fires_the_shard_is_seen() {
        loom::model(|| {
            let timers = Arc::new(Timers::new(2));
            let (wakes, waker) = counting_waker();
            let (_due, _) = timers.insert(0, Instant(3), waker);
            let (dropped, _) = timers.insert(0, Instant(6), Waker::noop().clone());
            let other = {
                let timers = timers.clone();
                loom::thread::spawn(move || {
                    timers.fire_all(Instant(5));
                    let (_attending, earliest) = timers.attend();
                    earliest
                })
            };
            timers.insert(0, Instant(7), Waker::noop().clone());
            timers.cancel(&dropped);
            let own = timers.next_deadline(0);
            assert!(own <= Some(Instant(7)) && own.is_some());
            // What was dropped may be counted in, which costs a look; nothing is overlooked.
            let slept = other.join().unwrap();
            assert!(slept.is_none_or(|until| until == Instant(6) || until == Instant(7)), "{slept:?}");
            assert_eq!(wakes.count(), 1);
            timers.fire_all(Instant(6));
            assert_eq!(timers.attend().1, Some(Instant(7)));
        });
    }
}
