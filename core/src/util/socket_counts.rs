//! Counts of a driver's sockets.

use std::sync::atomic::{AtomicU64, Ordering};

/// Relaxed throughout: the counts order nothing.
#[derive(Debug, Default)]
pub(crate) struct SocketCounts {
    registered: AtomicU64,
    deregistered: AtomicU64,
    ready: AtomicU64,
}

impl SocketCounts {
    pub(crate) fn register(&self) {
        self.registered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn deregister(&self) {
        self.deregistered.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts events that were handed out.
    pub(crate) fn add_ready(&self, events: usize) {
        if events > 0 {
            self.ready.fetch_add(events as u64, Ordering::Relaxed);
        }
    }

    /// Sockets that are registered now.
    pub(crate) fn len(&self) -> u64 {
        // In this order a socket that comes and goes meanwhile cannot make the difference negative.
        let deregistered = self.deregistered();
        self.registered().saturating_sub(deregistered)
    }

    pub(crate) fn registered(&self) -> u64 {
        self.registered.load(Ordering::Relaxed)
    }

    pub(crate) fn deregistered(&self) -> u64 {
        self.deregistered.load(Ordering::Relaxed)
    }

    pub(crate) fn ready(&self) -> u64 {
        self.ready.load(Ordering::Relaxed)
    }
}
