//! What an actor takes that has nothing to do.

use crate::subject::{Done, Subject};

/// Bytes for each actor, its reference included, as the system counts the process.
pub(super) async fn bytes<S: Subject>(count: u64) -> f64 {
    let done = Done::default();
    let first = S::counter(u64::MAX, done.clone()).await;
    S::sum(&first).await;
    let before = resident();
    let mut actors = Vec::new();
    for _ in 0..count {
        actors.push(S::counter(u64::MAX, done.clone()).await);
    }
    // Each has started once it answers.
    for actor in &actors {
        S::sum(actor).await;
    }
    (resident() - before) as f64 / count as f64
}

/// Bytes of the process that are in memory.
fn resident() -> usize {
    let sizes = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = sizes.split(' ').nth(1).expect("a second field").parse().expect("a number");
    pages * 4096
}
