//! Running the real worker loop step by step on one thread, from one seed.
//!
//! Several logical workers share the calling thread. Which of them steps next, whom it steals from, whether it prefers
//! its LIFO slot: every such choice is drawn from the seed and recorded. Time stands still unless it is turned. Nothing
//! here starts a thread or sleeps; sockets still belong to the operating system.

use crate::rng::{Rng, split};
use crate::runtime::{self, Builder, Handle, Runtime};
use crate::scheduler::worker::{Worker, WorkerParts};
use std::fmt;
use std::io;
use std::time::Duration;

/// Where the stepper's own choices are split from the seed; the workers use 0 and up.
const STEPPER: u64 = u64::MAX;

/// A runtime whose workers take one step at a time.
///
/// # Examples
/// ```
/// use posse_core::sim::Stepper;
///
/// let run = |seed| {
///     let mut stepper = Stepper::new(3, seed)?;
///     for n in 0..20 {
///         stepper.handle().spawn(async move {
///             for _ in 0..n {
///                 posse_core::task::yield_now().await;
///             }
///         });
///     }
///     stepper.run_until_stalled();
///     Ok::<_, std::io::Error>(stepper.decisions())
/// };
/// assert_eq!(run(7)?, run(7)?);
/// assert_ne!(run(7)?, run(8)?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Stepper {
    runtime: Runtime,
    workers: Vec<Worker>,
    rng: Rng,
    chosen: Vec<u32>,
}

impl Stepper {
    /// Builds a runtime with so many logical workers.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(workers: usize, seed: u64) -> io::Result<Self> {
        let mut runtime = Builder::new_stepped(workers, seed).build()?;
        let workers = runtime.take_stepped().into_iter().map(WorkerParts::into_worker).collect();
        Ok(Self { runtime, workers, rng: Rng::new(split(seed, STEPPER)), chosen: Vec::new() })
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

        let index = runnable[self.rng.below(runnable.len())];
        self.chosen.push(((runnable.len() as u32) << 16) | index as u32);
        self.workers[index].enter(Worker::logical_step);
        true
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
        let handle = self.handle().clone();
        let next = (0..handle.workers()).filter_map(|shard| handle.timers().next_deadline(shard)).min();
        let Some(next) = next else { return false };
        self.advance(next.saturating_duration_since(handle.clock().now()));
        true
    }

    /// Returns every decision taken so far: who stepped among how many, and each worker's own choices.
    pub fn decisions(&self) -> Vec<u32> {
        let mut decisions = self.chosen.clone();
        for worker in &self.workers {
            decisions.extend_from_slice(worker.trace());
        }
        decisions
    }
}

impl Drop for Stepper {
    fn drop(&mut self) {
        self.handle().shared().shut_down();
        for worker in &mut self.workers {
            runtime::leave(worker);
        }
    }
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper").field("workers", &self.workers.len()).field("steps", &self.chosen.len()).finish()
    }
}

#[cfg(all(test, not(posse_loom)))]
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
                stepper.decisions()
            });
            assert_eq!(runs.next(), runs.next());
        }
    }

    #[test]
    fn other_seeds_steal_and_wake_differently() {
        let decisions: std::collections::BTreeSet<Vec<u32>> = (0..20)
            .map(|seed| {
                let mut stepper = Stepper::new(4, seed).expect("a runtime");
                scenario(&mut stepper);
                stepper.decisions()
            })
            .collect();
        assert_eq!(decisions.len(), 20);
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
