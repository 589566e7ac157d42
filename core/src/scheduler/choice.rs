//! Where the scheduler's free choices come from: fast in production, drawn from the seed and recorded in a simulation.

use crate::rng::Rng;

/// LIFO polls in a row while other local work waits. Measured: a cap of 3 only while others wait keeps ping-pong at
/// 9-18 ns and starved nobody; a hard cap costs 20-76 ns.
const LIFO_POLLS_MAX: u8 = 3;

#[derive(Debug)]
pub(crate) enum Choice {
    Production(Rng),
    /// Explores: any order that the production rules could give, and some they would not. Each decision is recorded.
    Seeded {
        rng: Rng,
        trace: Vec<u32>,
    },
}

impl Choice {
    /// The first victim of `workers` to try.
    pub(crate) fn victim(&mut self, workers: usize) -> usize {
        match self {
            Self::Production(rng) => rng.below(workers),
            Self::Seeded { rng, trace } => {
                let victim = rng.below(workers);
                trace.push(0x100 + victim as u32);
                victim
            }
        }
    }

    /// Whether to run the task in the LIFO slot before the queue, after `polls` LIFO polls in a row.
    #[inline]
    pub(crate) fn lifo_first(&mut self, polls: u8, queue_is_empty: bool) -> bool {
        match self {
            Self::Production(_) => queue_is_empty || polls < LIFO_POLLS_MAX,
            Self::Seeded { rng, trace } => {
                let lifo = rng.below(4) != 0;
                trace.push(u32::from(lifo));
                lifo
            }
        }
    }

    /// Whether to look at the injector before the local queue on this step.
    #[inline]
    pub(crate) fn injector_first(&mut self, tick: u32) -> bool {
        match self {
            Self::Production(_) => tick % super::worker::MAINTENANCE_INTERVAL == 0,
            Self::Seeded { rng, trace } => {
                let first = rng.below(8) == 0;
                trace.push(0x10 + u32::from(first));
                first
            }
        }
    }
}
