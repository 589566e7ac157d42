//! The living registrations, found by token. A token is an index and a generation, never a pointer.

use super::readiness::Readiness;
use crate::util::slab::Slab;
use std::sync::Arc;

/// Registrations a runtime can have at once: the width of a token's index.
const REGISTRATIONS_MAX: usize = 1 << 24;

#[derive(Debug, Default)]
pub(in crate::io) struct Registrations {
    /// Changed under the driver's lock, as all here.
    living: Slab<Arc<Readiness>>,
    /// For each slot how often it was emptied: what tells a token from those that had the slot before.
    generations: Vec<u32>,
    /// The runtime has ended: nothing is added any more.
    ended: bool,
}

/// Names a registration to the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) struct Token(pub(in crate::io) usize);

/// Bits of a token's index.
const INDEX_BITS: u32 = REGISTRATIONS_MAX.trailing_zeros();

/// What a token keeps of a place's generation: 32 bits where a `usize` has room for them, 8 on a machine with 32 bits.
const GENERATIONS: u32 = generations(usize::BITS);

const fn generations(word_bits: u32) -> u32 {
    let bits = word_bits - INDEX_BITS;
    if bits >= u32::BITS { u32::MAX } else { (1 << bits) - 1 }
}

impl Token {
    fn new(index: usize, generation: u32) -> Self {
        Self(((generation as usize) << INDEX_BITS) | index)
    }

    fn index(self) -> usize {
        self.0 & (REGISTRATIONS_MAX - 1)
    }

    fn generation(self) -> u32 {
        (self.0 >> INDEX_BITS) as u32
    }
}

impl Registrations {
    /// Adds a registration; `None` if there are too many, or the runtime has ended.
    pub(in crate::io) fn insert(&mut self, readiness: Arc<Readiness>) -> Option<Token> {
        if self.ended {
            return None;
        }
        if self.living.next_index() >= REGISTRATIONS_MAX {
            return None;
        }
        let index = self.living.insert(readiness);
        // A slot that was never used; of others the generation was raised when they were emptied.
        if index == self.generations.len() {
            self.generations.push(0);
        }
        Some(Token::new(index, self.generations[index]))
    }

    /// The runtime has ended: no more registrations. Returns those there are.
    pub(in crate::io) fn end(&mut self) -> impl Iterator<Item = &Arc<Readiness>> {
        self.ended = true;
        self.iter()
    }

    /// Returns all registrations.
    pub(in crate::io) fn iter(&self) -> impl Iterator<Item = &Arc<Readiness>> {
        self.living.iter()
    }

    /// The registration of a token; `None` if it is gone, even if its place is taken by another one.
    pub(in crate::io) fn get(&self, token: Token) -> Option<&Arc<Readiness>> {
        let is_current = self.generations.get(token.index()) == Some(&token.generation());
        if is_current { self.living.get(token.index()) } else { None }
    }

    pub(in crate::io) fn remove(&mut self, token: Token) {
        let Some(generation) = self.generations.get_mut(token.index()) else { return };
        if *generation == token.generation() && self.living.remove(token.index()).is_some() {
            *generation = generation.wrapping_add(1) & GENERATIONS;
        }
    }

    #[cfg(test)]
    pub(in crate::io) fn len(&self) -> usize {
        self.living.len()
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_stale_token_finds_nothing() {
        let mut registrations = Registrations::default();
        let first = registrations.insert(Arc::new(Readiness::new_ready())).unwrap();
        registrations.remove(first);
        let second = registrations.insert(Arc::new(Readiness::new_ready())).unwrap();
        assert_ne!(first, second);
        assert!(registrations.get(first).is_none());
        assert!(registrations.get(second).is_some());
        registrations.remove(first);
        assert_eq!(registrations.len(), 1);
    }

    #[test]
    fn a_token_keeps_all_of_a_generation_that_a_place_can_have() {
        assert_eq!((generations(32), generations(64)), (0xFF, u32::MAX));
        for generation in [0, 1, GENERATIONS - 1, GENERATIONS] {
            assert_eq!(Token::new(7, generation).generation(), generation);
            assert_eq!(Token::new(7, generation).index(), 7);
        }
    }

    #[test]
    fn a_place_may_be_used_again_without_end() {
        let mut registrations = Registrations::default();
        for _ in 0..300 {
            let token = registrations.insert(Arc::new(Readiness::new_ready())).unwrap();
            assert!(registrations.get(token).is_some());
            registrations.remove(token);
            assert_eq!(registrations.len(), 0);
        }
    }
}
