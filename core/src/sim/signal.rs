//! Signals of a simulated machine: it has none of the system, its world delivers them, each as all of them.

use crate::sync::Notify;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(crate) struct DeliveredSignals {
    delivered: AtomicU64,
    notify: Notify,
}

impl DeliveredSignals {
    pub(crate) fn deliver(&self) {
        self.delivered.fetch_add(1, Ordering::AcqRel);
        self.notify.notify_waiters();
    }

    #[cfg(unix)]
    pub(crate) fn seen(&self) -> u64 {
        self.delivered.load(Ordering::Acquire)
    }

    #[cfg(unix)]
    pub(crate) async fn next(&self, seen: u64) {
        loop {
            let notified = self.notify.notified();
            if self.seen() != seen {
                return;
            }
            notified.await;
        }
    }
}
