//! The context that all machines of a world share besides the network: the random numbers, what was found wrong, and values found by type.

use super::{ChoiceKind, SimRng};
use crate::extensions::Extensions;
use crate::lock::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Findings that are kept; after the first the run ends anyway.
const FOUND_MAX: usize = 32;

/// The simulation that a runtime is part of; see [`Handle::simulation`](crate::runtime::Handle::simulation).
pub struct SimContext {
    rng: SimRng,
    buggify: bool,
    any: AtomicBool,
    found: Mutex<Vec<String>>,
    extensions: Extensions,
}

impl SimContext {
    pub(in crate::sim) fn new(rng: SimRng, buggify: bool) -> Arc<Self> {
        Arc::new(Self {
            rng,
            buggify,
            any: AtomicBool::new(false),
            found: Mutex::default(),
            extensions: Extensions::default(),
        })
    }

    /// Returns the dice of the simulation.
    pub fn rng(&self) -> &SimRng {
        &self.rng
    }

    /// Reports that a promise was broken: the run fails.
    pub fn report(&self, text: impl Into<String>) {
        let mut found = self.found.lock();
        if found.len() < FOUND_MAX {
            found.push(text.into());
        }
        self.any.store(true, Ordering::Release);
    }

    pub(in crate::sim) fn take_reports(&self) -> Vec<String> {
        if !self.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.found.lock())
    }

    /// Returns the value of type `T` that all machines share, made by `init` at the first call.
    pub fn extension<T: Send + Sync + 'static>(&self, init: impl FnOnce() -> T) -> Arc<T> {
        self.extensions.get_or_init(init)
    }

    pub(crate) fn misbehaves(&self, probability: f64) -> bool {
        self.buggify && self.rng.chance(ChoiceKind::Buggify, probability)
    }
}

impl fmt::Debug for SimContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimContext").field("rng", &self.rng).finish_non_exhaustive()
    }
}
