//! One runtime whose logical workers take one step at a time on the calling thread.

use crate::runtime::{self, Builder, Handle, Runtime, Worker, WorkerParts};
use crate::scheduler::watchdog::Watchdog;
use crate::sim::env::{ChoiceKind, SimContext, SimEnv, SimRng, Trace};
use crate::time::Instant;
use std::fmt;
use std::io;
use std::time::Duration;

/// Steps between two looks of the watchdog, on average. Guessed: seldom enough that most of the run is production order.
const WATCHDOG_INTERVAL: usize = 64;

/// A runtime whose workers take one step at a time. Time stands still unless it is turned; nothing here starts a thread or
/// sleeps; sockets still belong to the operating system.
///
/// # Examples
/// ```
/// use posse::sim::Stepper;
///
/// let run = |seed| {
///     let mut stepper = Stepper::new(3, seed)?;
///     for n in 0..20 {
///         stepper.handle().spawn(async move {
///             for _ in 0..n {
///                 posse::task::yield_now().await;
///             }
///         });
///     }
///     stepper.run_until_stalled();
///     Ok::<_, std::io::Error>(stepper.record().hash())
/// };
/// assert_eq!(run(7)?, run(7)?);
/// assert_ne!(run(7)?, run(8)?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Stepper {
    runtime: Runtime,
    workers: Vec<Worker>,
    watchdog: Watchdog<Handle>,
    rng: SimRng,
}

impl Stepper {
    /// Builds a runtime with `workers` logical workers.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(workers: usize, seed: u64) -> io::Result<Self> {
        let simulation = SimContext::new(SimRng::new(seed), false);
        Self::with(workers, seed, SimEnv { simulation, machine: None })
    }

    pub(super) fn with(workers: usize, seed: u64, simulated: SimEnv) -> io::Result<Self> {
        let rng = simulated.simulation.rng().clone();
        let mut runtime = Builder::new_simulated(workers, seed, simulated).build()?;
        let workers = runtime.take_simulated().into_iter().map(WorkerParts::into_worker).collect();
        let watchdog = Watchdog::new(runtime.handle().clone(), Duration::MAX);
        Ok(Self { runtime, workers, watchdog, rng })
    }

    /// Returns the handle of the runtime.
    pub fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Lets one worker, chosen by the seed, take one step. False if all sleep and nothing wakes them.
    pub fn step(&mut self) -> bool {
        let runnable: Vec<usize> = (0..self.workers.len()).filter(|&index| self.workers[index].is_runnable()).collect();
        if runnable.is_empty() {
            return false;
        }
        let index = runnable[self.rng.below(ChoiceKind::Step, runnable.len())];
        self.step_worker(index);
        true
    }

    pub(super) fn step_worker(&mut self, index: usize) {
        // No worker is in a poll for long here: one that was not chosen since the last look stands for a stuck one.
        if self.rng.below(ChoiceKind::Watchdog, WATCHDOG_INTERVAL) == 0 {
            self.watchdog.check_workers();
        }
        self.workers[index].enter(Worker::logical_step);
    }

    /// Whether a worker could step at a time on the runtime's clock.
    pub(super) fn is_ready(&self, index: usize, now: Instant) -> bool {
        let worker = &self.workers[index];
        worker.is_runnable() || self.next_deadline().is_some_and(|deadline| deadline <= now)
    }

    /// When the first of the timers wants to be looked at.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.handle().timers().earliest()
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Steps until nothing can happen without the clock. Returns the number of steps.
    pub fn run_until_stalled(&mut self) -> usize {
        let mut steps = 0;
        while self.step() {
            steps += 1;
        }
        steps
    }

    /// Turns the clock, then steps until nothing can happen without it.
    pub fn advance(&mut self, time: Duration) {
        self.handle().clone().advance(time);
        self.run_until_stalled();
    }

    /// Jumps to the next timer and steps until nothing can happen. False if there is no timer.
    pub fn advance_to_next_timer(&mut self) -> bool {
        let Some(next) = self.next_deadline() else { return false };
        let now = self.handle().clock().now();
        self.advance(next.saturating_duration_since(now));
        true
    }

    /// Returns every decision taken so far.
    pub fn record(&self) -> Trace {
        self.rng.record()
    }
}

impl Drop for Stepper {
    fn drop(&mut self) {
        self.handle().shared().begin_end();
        self.workers.drain(..).for_each(runtime::shutdown_worker);
    }
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper").field("workers", &self.workers.len()).field("rng", &self.rng).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A mix of yielding, spawning and joining tasks.
    fn scenario(stepper: &mut Stepper) -> usize {
        let done = Arc::new(AtomicUsize::new(0));
        for n in 0..30usize {
            let done = done.clone();
            stepper.handle().spawn(async move {
                let children: Vec<_> = (0..n % 5).map(|_| task::spawn(task::yield_now())).collect();
                for child in children {
                    child.await.expect("no panic");
                }
                done.fetch_add(1, Ordering::AcqRel);
            });
        }
        stepper.run_until_stalled();
        done.load(Ordering::Acquire)
    }

    #[test]
    fn the_same_seed_takes_the_same_decisions() {
        for seed in 0..50 {
            let mut runs = (0..2).map(|_| {
                let mut stepper = Stepper::new(4, seed).expect("a runtime");
                assert_eq!(scenario(&mut stepper), 30);
                stepper.record()
            });
            let (first, second) = (runs.next().unwrap(), runs.next().unwrap());
            assert_eq!(first.differs_from(&second), None);
        }
    }

    #[test]
    fn other_seeds_steal_and_wake_differently() {
        let hashes: std::collections::BTreeSet<u64> = (0..20)
            .map(|seed| {
                let mut stepper = Stepper::new(4, seed).expect("a runtime");
                scenario(&mut stepper);
                stepper.record().hash()
            })
            .collect();
        assert_eq!(hashes.len(), 20);
    }

    #[test]
    fn dropping_a_stepper_drops_its_tasks() {
        let held = Arc::new(());
        let mut stepper = Stepper::new(2, 1).expect("a runtime");
        for _ in 0..10 {
            let held = held.clone();
            stepper.handle().spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
        }
        stepper.run_until_stalled();
        drop(stepper);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
