//! The choice of the worker that steps next: uniform, or by priorities.
//!
//! Uniform choice finds most mistakes. Pct with few changes find those that need a long run of one side: source
//! "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs" (Burckhardt and others, 2010), for workers in
//! place of threads.

use crate::sim::env::{ChoiceKind, SimRng};
use std::collections::BTreeMap;

/// How the next worker is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Each with the same chance.
    Uniform,
    /// The one with the highest priority. Priorities are drawn at the start and change `changes` times during the run.
    Pct {
        /// How many changes there are.
        changes: u32,
    },
}

/// Steps within which the changes of priorities lie. Guessed: a seed's run takes some ten thousands.
const CHANGE_WITHIN: u64 = 20_000;

/// Steps that one worker may take in a row while others could: a worker that waits for another by yielding would else
/// wait for ever.
const IN_A_ROW_MAX: u32 = 200;

/// Names a worker of a machine.
pub(super) type WorkerId = (usize, usize);

#[derive(Debug)]
pub(super) struct StepChooser {
    policy: Policy,
    priorities: BTreeMap<WorkerId, u64>,
    changes: Vec<u64>,
    steps: u64,
    last: Option<WorkerId>,
    in_a_row: u32,
}

impl StepChooser {
    pub(super) fn new(policy: Policy, rng: &SimRng) -> Self {
        let count = match policy {
            Policy::Uniform => 0,
            Policy::Pct { changes } => changes,
        };
        let mut changes: Vec<u64> = (0..count).map(|_| rng.between(ChoiceKind::Priority, 0, CHANGE_WITHIN)).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Self { policy, priorities: BTreeMap::new(), changes, steps: 0, last: None, in_a_row: 0 }
    }

    /// Chooses one of the workers that could step. There is at least one.
    pub(super) fn choose(&mut self, ready: &[WorkerId], rng: &SimRng) -> WorkerId {
        self.steps += 1;
        if self.policy == Policy::Uniform {
            return ready[rng.below(ChoiceKind::Step, ready.len())];
        }

        for lane in ready {
            // The upper half, so that a lowered priority is below all that were drawn.
            self.priorities.entry(*lane).or_insert_with(|| (1 << 63) | (rng.next(ChoiceKind::Priority) >> 1));
        }
        let highest = ready.iter().max_by_key(|lane| self.priorities.get(lane));
        let mut chosen = *highest.unwrap_or(&ready[0]);
        self.in_a_row = if self.last == Some(chosen) { self.in_a_row + 1 } else { 0 };
        self.last = Some(chosen);
        let change = self.changes.last().is_some_and(|&at| at <= self.steps);
        if change {
            self.changes.pop();
        }
        if change || self.in_a_row > IN_A_ROW_MAX {
            self.in_a_row = 0;
            self.priorities.insert(chosen, (1 << 62) - self.steps);
            chosen = *ready.iter().max_by_key(|lane| self.priorities.get(lane)).unwrap_or(&ready[0]);
        }
        rng.note(ChoiceKind::Step, ((chosen.0 as u64) << 8) | chosen.1 as u64);
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_stay_with_one_until_they_change_and_starve_nobody() {
        let rng = SimRng::new(1);
        let mut chooser = StepChooser::new(Policy::Pct { changes: 0 }, &rng);
        let lanes = [(0, 0), (1, 0), (2, 0)];
        let chosen: Vec<WorkerId> = (0..1000).map(|_| chooser.choose(&lanes, &rng)).collect();
        assert!(chosen[..100].iter().all(|lane| *lane == chosen[0]));
        assert!(lanes.iter().all(|lane| chosen.contains(lane)));
    }

    #[test]
    fn uniform_choice_takes_everybody_about_as_often() {
        let rng = SimRng::new(1);
        let mut chooser = StepChooser::new(Policy::Uniform, &rng);
        let lanes = [(0, 0), (1, 0)];
        let first = (0..1000).filter(|_| chooser.choose(&lanes, &rng) == (0, 0)).count();
        assert!((400..600).contains(&first));
    }
}
