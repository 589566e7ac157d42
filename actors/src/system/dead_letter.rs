//! Messages that were accepted and not handled: each is counted once, by reason.

use super::throttle::Throttle;
use crate::id::ActorId;
use posse_core::event;
use posse_core::lock::Mutex;
use posse_core::time::Instant;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Stopped actors a second whose lost messages are said one by one; of the others the number is said later. Guessed.
const SAID_PER_SECOND: u32 = 16;

/// Dead letters that are remembered one by one; beyond, only the counts grow. Specified.
const RECENT_MAX: usize = 1024;

/// Why a message was accepted and not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// The actor ended before it began with the message.
    Stopped,
    /// The actor failed or was killed while it handled the message.
    Failed,
    /// It was an ask, and its asker had gone.
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
    pub reason: DeadLetterReason,
}

/// Counts of dead letters, and the latest of them.
#[derive(Debug)]
pub struct DeadLetters {
    counts: [AtomicU64; 3],
    recent: Mutex<VecDeque<DeadLetter>>,
    /// Of what stops have dropped.
    throttle: Mutex<Throttle>,
}

impl Default for DeadLetters {
    fn default() -> Self {
        let throttle = Mutex::new(Throttle::new(SAID_PER_SECOND, Duration::from_secs(1)));
        Self { counts: Default::default(), recent: Mutex::default(), throttle }
    }
}

impl DeadLetters {
    /// Returns how many there were for a reason.
    pub fn count(&self, reason: DeadLetterReason) -> u64 {
        self.counts[reason as usize].load(Ordering::Acquire)
    }

    /// Returns how many there were.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    /// Returns the latest ones, oldest first, at most 1,024. Failed and expired ones are only counted.
    pub fn recent(&self) -> Vec<DeadLetter> {
        self.recent.lock().iter().cloned().collect()
    }

    pub(crate) fn add(&self, reason: DeadLetterReason, count: u64) {
        self.counts[reason as usize].fetch_add(count, Ordering::AcqRel);
    }

    pub(crate) fn record(&self, letter: DeadLetter) {
        self.add(letter.reason, 1);
        let mut recent = self.recent.lock();
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(letter);
    }

    /// Says that a stop has dropped messages whose senders are not told: at once, or together with others.
    pub(crate) fn say(&self, unreported: &Unreported, to: ActorId, actor: &'static str, name: &str) {
        let admitted = self.throttle.lock().admit(Instant::now(), unreported.count);
        if let Some(unsaid) = admitted {
            event!(
                WARN, "posse::deadletter", "a stop dropped messages",
                actor.id = %to, actor.type = %actor, actor.name = %name, message.type = %unreported.message;
                count = unreported.count, unsaid = unsaid,
            );
        }
    }
}

/// What was not said yet is said at last.
impl Drop for DeadLetters {
    fn drop(&mut self) {
        let unsaid = self.throttle.get_mut().unsaid();
        if unsaid > 0 {
            event!(WARN, "posse::deadletter", "stops dropped messages"; unsaid = unsaid);
        }
    }
}

/// Messages that one stop dropped and whose senders are not told.
#[derive(Debug, Default)]
pub(crate) struct Unreported {
    pub(crate) count: u64,
    /// The type of the first.
    message: &'static str,
}

impl Unreported {
    pub(crate) fn add(&mut self, message: &'static str) {
        if self.count == 0 {
            self.message = message;
        }
        self.count += 1;
    }
}
