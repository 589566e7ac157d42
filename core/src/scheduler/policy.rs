//! The policy of the scheduler's free choices: fast in production, drawn from the seed and recorded in a simulation.

use crate::rng::Rng;
use crate::sim::env::{ChoiceKind, SimRng};

/// LIFO polls in a row while other local work waits. Measured: a cap of 3 only while others wait keeps ping-pong at
/// 9-18 ns and starved no task; a hard cap costs 20-76 ns.
const LIFO_POLLS_MAX: u8 = 3;

#[derive(Debug)]
pub(crate) enum SchedulePolicy {
    Production(Rng),
    /// Explores: any order that the production rules could give, and some they would not. Each decision is recorded.
    Simulated(SimRng),
}

impl SchedulePolicy {
    /// The first victim of `workers` to try.
    pub(crate) fn victim(&mut self, workers: usize) -> usize {
        match self {
            Self::Production(rng) => rng.below(workers),
            Self::Simulated(rng) => rng.below(ChoiceKind::Victim, workers),
        }
    }

    /// Whether to run the task in the LIFO slot before the queue, after `polls` LIFO polls in a row.
    #[inline]
    pub(crate) fn lifo_first(&mut self, polls: u8, queue_is_empty: bool) -> bool {
        match self {
            Self::Production(_) => queue_is_empty || polls < LIFO_POLLS_MAX,
            Self::Simulated(rng) => queue_is_empty || rng.below(ChoiceKind::Lifo, 4) != 0,
        }
    }

    /// Whether a worker looks at the injector after an interval without a look. If not it draws when.
    pub(crate) fn has_intervals(&self) -> bool {
        matches!(self, Self::Production(_))
    }

    /// Whether to look at the injector before the local queue on this step though it is not due.
    #[inline]
    pub(crate) fn injector_first(&mut self) -> bool {
        match self {
            Self::Production(_) => false,
            Self::Simulated(rng) => rng.below(ChoiceKind::Injector, 8) == 0,
        }
    }
}
