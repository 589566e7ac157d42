//! The source of every choice of a simulation, and the trace of what was chosen.
//!
//! One seeded generator for everything: who steps next, whom to steal from, how long a segment travels. Each draw is
//! recorded with its kind, so that two runs of one seed can be compared decision by decision. Not secure, never fast path.

use crate::lock::Mutex;
use crate::rng::{Rng, split};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Decisions kept one by one; beyond, only the hash goes on. 64 MiB and 16 bytes for each turn of time, far beyond what a test of minutes takes.
const LOG_MAX: usize = 16 * 1024 * 1024;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ChoiceKind {
    /// Which worker takes the next step.
    Step = 1,
    /// Whether the LIFO slot goes first.
    Lifo,
    /// Whether the injector goes first.
    Injector,
    /// Whom to steal from first.
    Victim,
    /// A priority, or when it changes.
    Priority,
    /// How long something travels.
    Latency,
    /// Whether something goes wrong on its way.
    Fault,
    /// Where a stream of bytes is cut.
    Chunk,
    /// Whether a point in production code misbehaves.
    Buggify,
    /// A number that code of a runtime drew.
    Random,
    /// Time was turned.
    Time,
    /// Bytes that were sent.
    Bytes,
    /// Whether the watchdog looks at the workers.
    Watchdog,
}

/// One decision.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decision(u32);

impl Decision {
    fn new(kind: ChoiceKind, value: u64) -> Self {
        Self(((kind as u32) << 24) | (value as u32 & 0x00FF_FFFF))
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ChoiceKind::Step,
            ChoiceKind::Lifo,
            ChoiceKind::Injector,
            ChoiceKind::Victim,
            ChoiceKind::Priority,
            ChoiceKind::Latency,
            ChoiceKind::Fault,
            ChoiceKind::Chunk,
            ChoiceKind::Buggify,
            ChoiceKind::Random,
            ChoiceKind::Time,
            ChoiceKind::Bytes,
            ChoiceKind::Watchdog,
        ];
        match kinds.get((self.0 >> 24) as usize - 1) {
            Some(kind) => write!(f, "{kind:?}({})", self.0 & 0x00FF_FFFF),
            None => write!(f, "?{:#x}", self.0),
        }
    }
}

/// The first difference between two runs of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// How many decisions were the same.
    pub index: usize,
    /// The world's time before it last jumped on, counted from the beginning.
    pub at: Duration,
    /// What the first run decided; `None` if it decided no more.
    pub first: Option<Decision>,
    /// What the second run decided; `None` if it decided no more.
    pub second: Option<Decision>,
}

/// A run's decisions.
#[derive(Clone, Default)]
pub struct Trace {
    decisions: Vec<Decision>,
    /// When time was turned, and to what, in nanoseconds: by its decision's place.
    turns: Vec<(u32, u64)>,
    count: u64,
    hash: u64,
}

impl Trace {
    /// Returns the hash over all decisions.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns how many decisions there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns where another run of the same seed went another way, if it did.
    pub fn differs_from(&self, second: &Self) -> Option<Divergence> {
        if self.hash == second.hash && self.count == second.count {
            return None;
        }
        let same = self.decisions.iter().zip(&second.decisions).take_while(|(a, b)| a == b).count();
        let at = |record: &Self| record.decisions.get(same).copied();
        let turned = self.turns.partition_point(|&(index, _)| (index as usize) < same);
        let nanos = turned.checked_sub(1).map_or(0, |last| self.turns[last].1);
        Some(Divergence { index: same, at: Duration::from_nanos(nanos), first: at(self), second: at(second) })
    }

    fn push(&mut self, kind: ChoiceKind, value: u64) {
        let folded = self.hash ^ value ^ ((kind as u64) << 56);
        self.hash = folded.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        self.count += 1;
        if self.decisions.len() < LOG_MAX {
            if kind == ChoiceKind::Time {
                self.turns.push((self.decisions.len() as u32, value));
            }
            self.decisions.push(Decision::new(kind, value));
        }
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.count == other.count
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({} decisions, {:016x})", self.count, self.hash)
    }
}

/// The dice of one simulation; clones draw from the same ones.
#[derive(Clone)]
pub struct SimRng(Arc<Mutex<State>>);

struct State {
    rng: Rng,
    record: Trace,
}

impl SimRng {
    /// SimRng that fall the same way each time they are made from the same seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { rng: Rng::new(split(seed, 0xD1CE)), record: Trace::default() })))
    }

    /// Draws a number below `bound`, 0 if the bound is 0 or 1.
    pub fn below(&self, kind: ChoiceKind, bound: usize) -> usize {
        if bound < 2 {
            return 0;
        }
        let mut state = self.0.lock();
        let drawn = state.rng.below(bound);
        state.record.push(kind, drawn as u64);
        drawn
    }

    /// Draws from a range, both ends included.
    pub fn between(&self, kind: ChoiceKind, least: u64, most: u64) -> u64 {
        if least >= most {
            return least;
        }
        let mut state = self.0.lock();
        let span = most - least;
        let drawn = if span == u64::MAX { state.rng.next() } else { state.rng.next() % (span + 1) };
        state.record.push(kind, drawn);
        least + drawn
    }

    /// True so often, 0.0 never and 1.0 always.
    pub fn chance(&self, kind: ChoiceKind, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        const PARTS: usize = 1 << 20;
        (self.below(kind, PARTS) as f64) < probability * PARTS as f64
    }

    /// Draws 64 bits.
    pub fn next(&self, kind: ChoiceKind) -> u64 {
        let mut state = self.0.lock();
        let drawn = state.rng.next();
        state.record.push(kind, drawn);
        drawn
    }

    /// Records what was not drawn but must be the same in every run.
    pub fn note(&self, kind: ChoiceKind, value: u64) {
        self.0.lock().record.push(kind, value);
    }

    /// Returns everything that was decided so far.
    pub fn record(&self) -> Trace {
        self.0.lock().record.clone()
    }
}

impl fmt::Debug for SimRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimRng({:?})", self.0.lock().record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_different_decision_is_named() {
        let draw = |seed| {
            let rng = SimRng::new(seed);
            rng.note(ChoiceKind::Time, 7);
            (0..100).for_each(|_| assert!(rng.below(ChoiceKind::Step, 1000) < 1000));
            rng.record()
        };
        assert_eq!(draw(1).differs_from(&draw(1)), None);
        let divergence = draw(1).differs_from(&draw(2)).unwrap();
        assert_eq!((divergence.index, divergence.at), (1, Duration::from_nanos(7)));
        assert!(format!("{:?}", divergence.first).contains("Step("));
    }

    #[test]
    fn draws_keep_their_bounds() {
        let rng = SimRng::new(3);
        assert!((0..1000).all(|_| (5..=9).contains(&rng.between(ChoiceKind::Latency, 5, 9))));
        assert!(!rng.chance(ChoiceKind::Fault, 0.0) && rng.chance(ChoiceKind::Fault, 1.0));
        let hits = (0..10_000).filter(|_| rng.chance(ChoiceKind::Fault, 0.25)).count();
        assert!((2_000..3_000).contains(&hits));
    }
}
