//! Who an actor was and why it ended.

use posse_wire::{ActorKey, NodeId};
use std::fmt;
use std::sync::Arc;

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

/// Why an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitReason {
    /// It came to its end, or was asked to stop or drain.
    Normal,
    /// Its parent or its runtime shut down.
    Shutdown,
    /// It was killed.
    Killed,
    /// A callback panicked or returned an error, with the text of it.
    Failed(Arc<str>),
    /// A supervisor: a child needed more restarts than it may, with the text of it.
    GaveUp(Arc<str>),
    /// Its node is gone.
    NodeDown,
    /// It had ended, or never was, when it was asked for at its node.
    NoSuchActor,
}

impl ExitReason {
    pub(crate) fn failed(text: impl Into<Arc<str>>) -> Self {
        Self::Failed(text.into())
    }

    /// Returns true unless the actor ended as it should: `Normal` and `Shutdown` are as it should.
    pub fn is_abnormal(&self) -> bool {
        !matches!(self, Self::Normal | Self::Shutdown)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("it came to its end"),
            Self::Shutdown => f.write_str("it was shut down"),
            Self::Killed => f.write_str("it was killed"),
            Self::Failed(text) => write!(f, "it failed: {text}"),
            Self::GaveUp(text) => write!(f, "it gave up: {text}"),
            Self::NodeDown => f.write_str("its node is down"),
            Self::NoSuchActor => f.write_str("there was no such actor"),
        }
    }
}
