//! The watchdog: sees that a worker has been in one poll for long, and gives what waits behind it to the others, and
//! that a task has been in one poll for too long, and names it.
//!
//! A thread of its own. It takes part in nothing: workers only show it how many steps
//! they have begun ([`Ticks`], a plain store), and it looks at that every [`INTERVAL`] while anybody is awake. When all
//! sleep it rests; [`Idle::park_watchdog`](super::idle::Idle::park_watchdog) says why no worker runs unwatched. It runs no code of users and
//! drops none of their values: it moves tasks to the injector and wakes workers, who do the rest. What it says
//! of a task it has said by a thread of the blocking pool.

use super::host::{Host, SlowPoll};
use super::owned::Listed;
use super::{Remote, Shared};
use crate::loom::sync::atomic::{AtomicU32, Ordering};
use crate::time::driver::Instant;
use std::time::Duration;

/// Time between two looks. A task behind a stuck worker waits for one to two of them. Chosen: 5 ms is far below what a
/// person or a deadline notices, and 200 looks of a few microseconds a second are 0.1 % of a processor.
pub(crate) const INTERVAL: Duration = Duration::from_millis(5);

/// How late a timer may be before a worker is disturbed for it. The event queue counts in milliseconds and rounds up, so
/// less would disturb workers that are about to wake by themselves.
const LATE: Duration = Duration::from_millis(2);

/// The least threshold of a slow poll: the watchdog looks as often.
const THRESHOLD_MIN: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Watchdog<H> {
    /// Whose workers it looks at; it keeps the runtime's memory, not its life.
    runtime: H,
    /// What the last look showed of each worker, by its index.
    looks: Vec<Look>,
    /// Turns of the driver as of the last look.
    turns: u32,
    /// How long a poll may take before it is told of.
    slow_poll_threshold: Duration,
}

/// What the last look at a worker showed.
#[derive(Clone, Debug)]
struct Look {
    ticks: u32,
    /// It has begun a step since the look before.
    has_stepped: bool,
    /// When the poll that it is in was seen first.
    since: Instant,
    /// That poll was counted as slow.
    is_counted: bool,
}

impl<H: Host> Watchdog<H> {
    pub(crate) fn new(runtime: H, slow_poll_threshold: Duration) -> Self {
        let look = Look { ticks: 0, has_stepped: true, since: runtime.shared().now(), is_counted: false };
        let looks = vec![look; runtime.shared().remotes.len()];
        Self { runtime, looks, turns: 0, slow_poll_threshold: slow_poll_threshold.max(THRESHOLD_MIN) }
    }

    /// The life of the thread, until the runtime shuts down.
    pub(crate) fn run(mut self) {
        let interval = INTERVAL.min(self.slow_poll_threshold);
        while self.runtime.shared().is_open() {
            self.runtime.shared().idle.watchdog().park(Some(interval));
            let quiet = !self.check_workers();
            // A clock that is moved by hand says nothing of how long a poll takes.
            if !self.runtime.shared().clock.is_manual() {
                self.check_polls(self.runtime.shared().now());
            }
            self.check_driver();
            self.check_timers();
            // Not before a whole interval has passed without a step: rousing it costs more than a look.
            if quiet {
                self.runtime.shared().idle.park_watchdog();
            }
        }
    }

    /// Frees what waits behind a worker that has begun no step since the last look. True if any worker has begun one.
    pub(crate) fn check_workers(&mut self) -> bool {
        let shared = self.runtime.shared();
        let mut any = false;
        for (remote, look) in shared.remotes.iter().zip(&mut self.looks) {
            look.has_stepped = remote.front.ticks.get() != look.ticks;
            any |= look.has_stepped;
            // A single worker has no other to give its work to.
            if !look.has_stepped && shared.remotes.len() > 1 {
                drain_to_injector(shared, remote);
            }
            // Once for each standstill: a worker that sleeps for days would else be hurried round and past its due step.
            if look.has_stepped {
                look.ticks = remote.front.ticks.hurry(look.ticks, shared.intervals.maintenance);
            }
        }
        any
    }

    /// Counts the polls that take long, and tells of their tasks: those that a worker was in at every look since the threshold.
    pub(crate) fn check_polls(&mut self, now: Instant) {
        let shared = self.runtime.shared();
        for (worker, (remote, look)) in shared.remotes.iter().zip(&mut self.looks).enumerate() {
            let slot = remote.front.polled.load(Ordering::Relaxed);
            if look.has_stepped || !shared.owned.is_running(slot, worker) {
                (look.since, look.is_counted) = (now, false);
                continue;
            }
            let lasts = now.saturating_duration_since(look.since);
            if look.is_counted || lasts < self.slow_poll_threshold {
                continue;
            }

            look.is_counted = true;
            remote.slow_polls.add(1);
            let poll = shared.owned.mark_slow(slot, worker, |listed| SlowPoll::new(&listed, worker, lasts));
            poll.into_iter().for_each(|poll| self.runtime.report_slow_poll(poll));
        }
    }

    /// If no worker has looked for events since the last look, a sleeper is woken: it finds nothing and sleeps in the driver.
    fn check_driver(&mut self) {
        let shared = self.runtime.shared();
        // No turn since the last look and none under way: no task will hear of a socket until a worker sleeps.
        let turns = shared.turns();
        if turns == self.turns && !shared.timers.is_attended() {
            shared.wake_one();
        }
        self.turns = turns;
    }

    /// If a timer is late, its worker is busy: the worker that sleeps in the driver fires it, else the first that looks up.
    fn check_timers(&self) {
        let shared = self.runtime.shared();
        let (timers, clock) = (&shared.timers, &shared.clock);
        let earliest = if clock.is_manual() { None } else { timers.earliest() };
        if earliest.is_none_or(|earliest| earliest.saturating_add(LATE) > clock.now()) {
            return;
        }

        if timers.is_attended() {
            shared.io().unpark();
        } else {
            timers.set_overdue();
            shared.wake_one();
        }
    }
}

impl SlowPoll {
    fn new(listed: &Listed<'_>, worker: usize, lasts: Duration) -> Self {
        Self {
            task: listed.task.id(),
            name: listed.name.cloned(),
            type_name: listed.task.type_name(),
            spawned_at: listed.spawned_at,
            worker,
            lasts,
        }
    }
}

/// Moves what is queued on a worker to the injector, where all workers find it.
fn drain_to_injector(shared: &Shared, stuck: &Remote) {
    if let Some(task) = stuck.front.lifo.steal() {
        stuck.drained.add(1);
        shared.inject(task);
    }
    // Those that are there now: what the worker pushes meanwhile shows that it is not stuck any more.
    for _ in 0..stuck.stealer.len() {
        let Some(task) = stuck.stealer.steal() else { break };
        stuck.drained.add(1);
        shared.inject(task);
    }
}

/// Steps that a worker has begun.
///
/// The owner counts with a plain load and store, so a write of the watchdog may be lost in between. Then the owner has
/// begun a step, and the next look tries again.
#[derive(Debug)]
pub(crate) struct Ticks(AtomicU32);

impl Ticks {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Begins a step, whose number it returns.
    #[inline]
    pub(crate) fn advance(&self) -> u32 {
        let ticks = self.0.load(Ordering::Relaxed).wrapping_add(1);
        self.0.store(ticks, Ordering::Relaxed);
        ticks
    }

    pub(super) fn starting_at(ticks: u32) -> Self {
        Self(AtomicU32::new(ticks))
    }

    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes the next step one with maintenance if there was none since `last`: steps that take milliseconds would else
    /// put it off for seconds. Returns the number of steps as it stands then: it is due before that many more have been counted.
    fn hurry(&self, last: u32, interval: u32) -> u32 {
        let ticks = self.get();
        if ticks.wrapping_sub(last) >= interval {
            return ticks;
        }
        let due = ticks.wrapping_add(interval);
        self.0.store(due, Ordering::Relaxed);
        due
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_worker_with_long_steps_is_hurried_to_its_maintenance_and_one_with_short_steps_is_not() {
        let ticks = Ticks::new();
        (0..10).for_each(|_| _ = ticks.advance());
        let seen = ticks.hurry(0, 61);
        assert_eq!((seen, ticks.advance()), (71, 72));

        (0..100).for_each(|_| _ = ticks.advance());
        assert_eq!(ticks.hurry(seen, 61), 172);
        assert_eq!(ticks.advance(), 173);
    }
}
