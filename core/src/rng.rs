//! Seeded randomness: every random choice of a runtime comes from its one seed.
//!
//! Never secure: nonces and keys come from the operating system. Source: SplitMix64 (Steele, Lea, Flood 2014).

use crate::loom::sync::atomic::{AtomicU64, Ordering};

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// A generator that one owner draws from.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// A number below `bound`; 0 if the bound is 0. The bias of the multiplication is below 2^-32 for small bounds.
    #[inline]
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as usize
    }
}

/// A generator that many threads draw from.
#[derive(Debug)]
pub(crate) struct SharedRng(AtomicU64);

impl SharedRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Relaxed: each draw gets a state of its own, no other memory depends on it.
    pub(crate) fn next(&self) -> u64 {
        mix(self.0.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA))
    }
}

/// A seed for one purpose, split from a runtime's seed.
pub(crate) fn split(seed: u64, purpose: u64) -> u64 {
    mix(seed ^ mix(purpose.wrapping_mul(GAMMA)))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_same_numbers_and_other_purpose_others() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        assert!((0..100).all(|_| a.next() == b.next()));
        assert_ne!(split(7, 1), split(7, 2));
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::new(1);
        assert!((1..1000).all(|bound| rng.below(bound) < bound));
    }
}
