//! Whether a worker sleeps in the driver, and until when: what decides whether a timer set from outside interrupts it.
//!
//! Dekker's pattern on two words, the earliest deadline of a shard and `until`. The sleeper announces itself, fences, and
//! reads the deadlines; who sets one from outside writes it, fences, and reads the announcement. So at least one of the two
//! sees the other, and no deadline is slept past.

use crate::loom::sync::atomic::{AtomicU64, Ordering, fence};

/// No worker is in the driver. Earlier than any deadline, so none is interrupted.
const NOBODY: u64 = 0;
/// No deadline is known, or none is yet. Later than any.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Attendance {
    until: AtomicU64,
}

impl Attendance {
    pub(super) fn new() -> Self {
        Self { until: AtomicU64::new(NOBODY) }
    }

    /// A worker will sleep in the driver. The deadlines are read after this.
    pub(super) fn arrive(&self) {
        self.until.store(NEVER, Ordering::Relaxed);
        // Partner: the fence in `sleeps_past`.
        fence(Ordering::SeqCst);
    }

    /// `None`: there are no deadlines.
    pub(super) fn sleep_until(&self, deadline: Option<u64>) {
        self.until.store(deadline.unwrap_or(NEVER).max(NOBODY + 1), Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.until.store(NOBODY, Ordering::Relaxed);
    }

    /// After a deadline was written: whether a worker may sleep past it, and must be interrupted.
    pub(super) fn sleeps_past(&self, deadline: u64) -> bool {
        // Partner: the fence in `arrive`.
        fence(Ordering::SeqCst);
        deadline < self.until.load(Ordering::Relaxed)
    }

    pub(super) fn is_attended(&self) -> bool {
        self.until.load(Ordering::Relaxed) != NOBODY
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::loom::sync::Arc;
    use crate::scheduler::park::Parker;

    /// The parker stands for the event queue, which keeps an interruption until the next turn. If a deadline were slept
    /// past nothing would end the sleep, which loom reports as a deadlock.
    #[test]
    fn loom_no_deadline_is_slept_past() {
        loom::model(|| {
            let shared = Arc::new((Attendance::new(), AtomicU64::new(NEVER), Parker::new()));
            let outside = {
                let shared = shared.clone();
                loom::thread::spawn(move || {
                    let (attendance, next, driver) = &*shared;
                    next.store(7, Ordering::Release);
                    if attendance.sleeps_past(7) {
                        driver.unpark(|| {});
                    }
                })
            };
            let (attendance, next, driver) = &*shared;
            loop {
                attendance.arrive();
                let deadline = next.load(Ordering::Acquire);
                attendance.sleep_until((deadline != NEVER).then_some(deadline));
                if deadline != NEVER {
                    break;
                }
                driver.park(None);
                attendance.leave();
            }
            outside.join().unwrap();
        });
    }
}
