//! The watchdog: sees that a worker has been in one poll for long, and gives what waits behind it to the others.
//!
//! A thread of its own, in runtimes with several workers. It takes part in nothing: workers only show it how many steps
//! they have begun ([`Ticks`], a plain store), and it looks at that every [`INTERVAL`] while anybody is awake. When all
//! sleep it rests; [`Idle::park_watchdog`](super::idle::Idle::park_watchdog) says why no worker runs unwatched. It runs no code of users and
//! drops none of their values: it moves tasks to the injector and wakes workers, who do the rest.

use super::worker::MAINTENANCE_INTERVAL;
use super::{Remote, Shared};
use crate::loom::sync::atomic::{AtomicU32, Ordering};
use crate::runtime::Handle;
use crate::time::Timers;
use std::time::Duration;

/// Time between two looks. A task behind a stuck worker waits for one to two of them. Chosen: 5 ms is far below what a
/// person or a deadline notices, and 200 looks of a few microseconds a second are 0.1 % of a processor.
pub(crate) const INTERVAL: Duration = Duration::from_millis(5);

/// How late a timer may be before a worker is disturbed for it. The event queue counts in milliseconds and rounds up, so
/// less would disturb workers that are about to wake by themselves.
const LATE: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Watchdog {
    runtime: Handle,
    /// What each worker's ticks were at the last look.
    ticks: Vec<u32>,
    turns: u32,
}

impl Watchdog {
    pub(crate) fn new(runtime: Handle) -> Self {
        let ticks = vec![0; runtime.shared().remotes.len()];
        Self { runtime, ticks, turns: 0 }
    }

    /// The life of the thread, until the runtime shuts down.
    pub(crate) fn run(mut self) {
        while self.runtime.shared().is_open() {
            self.runtime.shared().idle.watchdog().park(Some(INTERVAL));
            let quiet = !self.check_workers();
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
        for (remote, last) in shared.remotes.iter().zip(&mut self.ticks) {
            let ticks = remote.front.ticks.get();
            if ticks == *last {
                drain_to_injector(shared, remote);
            } else {
                any = true;
            }
            *last = remote.front.ticks.hurry(*last);
        }
        any
    }

    /// If no worker has looked for events since the last look, a sleeper is woken: it finds nothing and sleeps in the driver.
    fn check_driver(&mut self) {
        let shared = self.runtime.shared();
        let turns = shared.turns();
        if turns == self.turns && !self.runtime.timers().is_attended() {
            shared.wake_one();
        }
        self.turns = turns;
    }

    /// If a timer is late, its worker is busy: the worker that sleeps in the driver fires it, else the first that looks up.
    fn check_timers(&self) {
        let timers: &Timers = self.runtime.timers();
        let clock = self.runtime.clock();
        let earliest = if clock.is_manual() { None } else { timers.earliest() };
        if earliest.is_none_or(|earliest| earliest.saturating_add(LATE) > clock.now()) {
            return;
        }

        if timers.is_attended() {
            self.runtime.shared().io().unpark();
        } else {
            timers.set_overdue();
            self.runtime.shared().wake_one();
        }
    }
}

/// Moves what is queued on a worker to the injector, where all workers find it.
fn drain_to_injector(shared: &Shared, stuck: &Remote) {
    if let Some(task) = stuck.front.lifo.steal() {
        stuck.drained.add(1);
        shared.inject(task);
    }
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

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes the next step one with maintenance if there was none since `last`: steps that take milliseconds would else
    /// put it off for seconds. Returns the number of steps as it stands then.
    fn hurry(&self, last: u32) -> u32 {
        let ticks = self.get();
        if ticks.wrapping_sub(last) >= MAINTENANCE_INTERVAL {
            return ticks;
        }
        let before_maintenance = (ticks - ticks % MAINTENANCE_INTERVAL).wrapping_add(MAINTENANCE_INTERVAL - 1);
        self.0.store(before_maintenance, Ordering::Relaxed);
        before_maintenance
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_worker_with_long_steps_is_hurried_to_its_maintenance_and_one_with_short_steps_is_not() {
        let ticks = Ticks::new();
        (0..10).for_each(|_| _ = ticks.advance());
        let seen = ticks.hurry(0);
        assert_eq!((seen, ticks.advance()), (60, 61));

        (0..100).for_each(|_| _ = ticks.advance());
        assert_eq!(ticks.hurry(seen), 161);
        assert_eq!(ticks.advance(), 162);
    }
}
