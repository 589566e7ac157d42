//! Messages that were accepted and not handled: each is counted once, by reason.

use crate::exit::ActorId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Dead letters that are remembered one by one; beyond, only the counts grow. Specified.
const RECENT_MAX: usize = 1024;

/// Why a message was accepted and not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadReason {
    /// The actor ended before it began with the message.
    Stopped,
    /// The actor failed or was killed while it handled the message.
    Crashed,
    /// It was an ask, and nobody waited for the reply any more.
    Expired,
}

/// One message that was accepted and not handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The actor it was for.
    pub to: ActorId,
    /// The name of the message's type, for people.
    pub message: &'static str,
    /// Why it was not handled.
    pub reason: DeadReason,
}

/// Counts of dead letters, and the latest of them.
#[derive(Debug, Default)]
pub struct DeadLetters {
    counts: [AtomicU64; 3],
    recent: Mutex<VecDeque<DeadLetter>>,
}

impl DeadLetters {
    /// Returns how many there were for a reason.
    pub fn count(&self, reason: DeadReason) -> u64 {
        self.counts[reason as usize].load(Ordering::Acquire)
    }

    /// Returns how many there were.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    /// Returns the latest ones, oldest first, at most 1,024. Crashed and expired ones are only counted.
    pub fn recent(&self) -> Vec<DeadLetter> {
        self.lock().iter().cloned().collect()
    }

    pub(crate) fn add(&self, reason: DeadReason, count: u64) {
        self.counts[reason as usize].fetch_add(count, Ordering::AcqRel);
    }

    pub(crate) fn record(&self, letter: DeadLetter) {
        self.add(letter.reason, 1);
        let mut recent = self.lock();
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(letter);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<DeadLetter>> {
        self.recent.lock().unwrap_or_else(|e| e.into_inner())
    }
}
