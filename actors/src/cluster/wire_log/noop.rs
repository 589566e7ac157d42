//! A type of no size, for production: nothing is noted.

use posse_core::runtime::Handle;
use posse_wire::{ActorKey, NodeId};

/// Stands for the log of a simulation.
pub(crate) struct WireLog;

impl WireLog {
    #[inline]
    pub(crate) fn of(_: &Handle) -> Self {
        Self
    }

    #[inline]
    pub(crate) fn sent(&self, _: (NodeId, NodeId), _: ActorKey, _: u64, _: &[u8]) {}

    #[inline]
    pub(crate) fn taken(&self, _: (NodeId, NodeId), _: impl FnOnce() -> ActorKey, _: u64, _: &[u8]) {}
}
