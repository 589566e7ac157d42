//! Maelstrom's workloads as services built on our actors, each under partitions, one-way cuts, pauses, kills and restarts,
//! with a checker. Source of the workloads: Maelstrom (Jepsen), `doc/workloads.md`.
//!
//! What a node must remember over a kill is on its disk: shared with the test, written before anything is acknowledged.

mod broadcast;
mod cluster;
mod counters;
mod echo;
mod history;
mod linear;
mod links;
mod nemesis;
mod register;
mod unique_ids;

use posse::sim::{Options, Sim, TestResult};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

/// What survives the kill of a process.
pub struct Disk<T>(Arc<Mutex<T>>);

impl<T> Disk<T> {
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Blank disks, one for each node.
    pub fn of_each(size: usize) -> Vec<Self>
    where
        T: Default,
    {
        (0..size).map(|_| Self(Arc::default())).collect()
    }
}

impl<T> Clone for Disk<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Plants a mistake: says which seed finds it. The bound leaves room for mistakes that one seed in fifty finds: which one it is
/// changes with every change of the code.
fn is_found<F, Fut>(mistake: &str, within_seeds: u64, says: &str, body: F)
where
    F: Fn(Sim) -> Fut,
    Fut: Future<Output: TestResult> + Send + 'static,
{
    for seed in 0..within_seeds {
        let Some(failure) = posse::sim::run_seed(Options::new(seed), &body).failure else { continue };
        assert!(failure.contains(says), "{mistake}: seed {seed} found something else: {failure}");
        println!("{mistake}: found by seed {seed}");
        return;
    }
    panic!("{mistake}: not found within {within_seeds} seeds");
}
