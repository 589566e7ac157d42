//! Identity of an actor.

use posse_wire::{ActorKey, NodeId};
use std::fmt;

/// Identifies an actor among all actors, past and present. It outlives restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId {
    /// `None` for actors of this runtime.
    node: Option<NodeId>,
    number: u64,
}

impl ActorId {
    pub(crate) fn local(number: u64) -> Self {
        Self { node: None, number }
    }

    pub(crate) fn remote(node: NodeId, key: ActorKey) -> Self {
        Self { node: Some(node), number: u64::from(key.slot) | (u64::from(key.generation) << 32) }
    }

    /// Tells the actors of one runtime apart.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the node of an actor that lives at another one.
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "#{}@{node}", self.number),
            None => write!(f, "#{}", self.number),
        }
    }
}
