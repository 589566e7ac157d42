//! Shared state of the actors of one runtime: ids, names, dead letters, counters. It hangs on the runtime; there is no global.

pub(crate) mod audit;
pub(crate) mod dead_letter;
pub(crate) mod registry;
pub(crate) mod throttle;

use crate::id::ActorId;
use crate::system::dead_letter::DeadLetters;
use crate::system::registry::Registry;
use posse_core::runtime::Handle;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The actors of one runtime, seen as a whole.
#[derive(Debug, Default)]
pub struct System {
    /// Of the next actor; counts up.
    next_id: AtomicU64,
    /// Actors that have not ended: one more for each spawn, one less at each end.
    alive: AtomicUsize,
    /// Messages that handlers have taken; added to by actors, at intervals.
    handled: AtomicU64,
    /// Incarnations after the first; added to by supervised actors.
    restarts: AtomicU64,
    /// The actors that have names.
    pub(crate) registry: Registry,
    /// What was accepted and not handled.
    pub(crate) dead_letters: DeadLetters,
    /// What a simulation checks; of no size in production.
    pub(crate) audit: audit::Audit,
}

impl System {
    /// Returns the system of a runtime.
    pub fn of(handle: &Handle) -> Arc<Self> {
        handle.extension(Self::default)
    }

    /// Returns the system of the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn current() -> Arc<Self> {
        Self::of(&Handle::current())
    }

    /// Returns the number of actors that have not ended.
    pub fn alive(&self) -> usize {
        self.alive.load(Ordering::Acquire)
    }

    /// Returns how many messages were handled by actors that have ended. Those of living actors are added when they end.
    pub fn handled(&self) -> u64 {
        self.handled.load(Ordering::Acquire)
    }

    /// Returns how often an actor was restarted.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Acquire)
    }

    /// Returns the messages that were accepted and not handled.
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.dead_letters
    }

    /// Returns how many names there are.
    pub fn names(&self) -> usize {
        self.registry.len()
    }

    pub(crate) fn actor_started(&self) -> ActorId {
        self.alive.fetch_add(1, Ordering::AcqRel);
        ActorId::local(self.next_id.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn actor_exited(&self) {
        self.alive.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn add_handled(&self, handled: u64) {
        self.handled.fetch_add(handled, Ordering::AcqRel);
    }

    pub(crate) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::AcqRel);
    }
}
