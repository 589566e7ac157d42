//! Types of no size, for production: nothing is noted.

use std::sync::Arc;
use std::time::Duration;

/// Stands for the record of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Audit;

impl Audit {
    #[inline]
    pub(crate) fn record_send(&self, _accepted: bool) {}

    pub(crate) fn monitor(&self, _is_over: impl FnOnce() -> Box<dyn Fn() -> bool + Send>) -> TrackedMonitor {
        TrackedMonitor(())
    }

    pub(crate) fn add_peer<T>(&self, _peer: &Arc<T>) {}
}

/// Stands for an ask of the record.
#[derive(Debug, Default)]
pub(crate) struct TrackedAsk(());

impl TrackedAsk {
    #[inline]
    pub(crate) fn begin(&mut self, _within: Duration, _message: fn() -> &'static str) {}

    #[inline]
    pub(crate) fn end(&mut self) {}
}

/// Stands for a monitor of the record.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrackedMonitor(());

impl TrackedMonitor {
    pub(crate) fn fired(&self, _accepted: bool) {}

    pub(crate) fn cancelled(&self) {}
}
