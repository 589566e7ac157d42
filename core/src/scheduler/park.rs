//! The parker of a worker: its sleep, on a condition variable or inside the driver, and its end.
//!
//! Invariant: an `unpark` that happens before or during a `park` ends it (at most one token is kept). Partner of the
//! swap in `unpark` is the compare-exchange at the start of each park and the swap at its end.

use crate::loom::sync::atomic::{AtomicU8, Ordering};
use crate::loom::sync::{Condvar, Mutex};
use std::time::Duration;

const EMPTY: u8 = 0;
const ON_CONDVAR: u8 = 1;
const IN_DRIVER: u8 = 2;
const NOTIFIED: u8 = 3;

#[derive(Debug)]
pub(crate) struct Parker {
    /// `EMPTY`, how the owner sleeps, or `NOTIFIED`. Every thread swaps in the token; the owner alone takes it out.
    state: AtomicU8,
    /// Held by the owner from its last look at `state` until it is inside `condvar`'s wait; guards no data.
    lock: Mutex<()>,
    /// Where the owner sleeps while another worker has the driver.
    condvar: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(EMPTY), lock: Mutex::new(()), condvar: Condvar::new() }
    }

    /// Wakes the owner, or keeps its next park from sleeping. `wake_driver` interrupts the driver's turn.
    pub(crate) fn unpark(&self, wake_driver: impl FnOnce()) {
        match self.state.swap(NOTIFIED, Ordering::AcqRel) {
            ON_CONDVAR => {
                // Taking the lock makes sure the owner is inside `wait`, not on its way there.
                drop(self.lock.lock());
                self.condvar.notify_one();
            }
            IN_DRIVER => wake_driver(),
            _ => {}
        }
    }

    /// Sleeps until `unpark`, or for the given time.
    pub(crate) fn park(&self, timeout: Option<Duration>) {
        if timeout == Some(Duration::ZERO) {
            self.state.swap(EMPTY, Ordering::AcqRel);
            return;
        }

        // From the announcement to the wait under one lock, which `unpark` takes before it notifies.
        let mut guard = self.lock.lock();
        if self.transition_to_parked(ON_CONDVAR) {
            loop {
                guard = match timeout {
                    None => self.condvar.wait(guard),
                    Some(timeout) => self.condvar.wait_timeout(guard, timeout).0,
                };
                // With a time-out a spurious wake-up is as good as a late one: the caller looks at the clock.
                if timeout.is_some() || self.state.load(Ordering::Acquire) == NOTIFIED {
                    break;
                }
            }
        }
        self.state.swap(EMPTY, Ordering::AcqRel);
    }

    /// Runs a turn of the driver as the way to sleep. `turn` gets false if it must not block. True if there was an `unpark`.
    pub(crate) fn park_in_driver(&self, turn: impl FnOnce(bool)) -> bool {
        // An interruption that comes before the turn is kept by the event queue.
        turn(self.transition_to_parked(IN_DRIVER));
        self.state.swap(EMPTY, Ordering::AcqRel) == NOTIFIED
    }

    /// Takes the token if there is one, without sleeping.
    #[cfg(feature = "sim")]
    pub(crate) fn take_token(&self) -> bool {
        self.state.swap(EMPTY, Ordering::AcqRel) == NOTIFIED
    }

    /// Whether the next park would return at once.
    #[cfg(feature = "sim")]
    pub(crate) fn has_token(&self) -> bool {
        self.state.load(Ordering::Acquire) == NOTIFIED
    }

    /// False if a token was waiting.
    fn transition_to_parked(&self, how: u8) -> bool {
        self.state.compare_exchange(EMPTY, how, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}
