//! Reasons for which an actor ends.

use std::fmt;
use std::sync::Arc;

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
    /// It is not known to have ended: it is at another node, and is not monitored because one of the two nodes takes no more
    /// monitors of the other; see [`NodeConfig::monitors_max`](crate::cluster::NodeConfig::monitors_max).
    TooManyMonitors,
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
            Self::TooManyMonitors => {
                f.write_str("it is not monitored: there are too many monitors between the two nodes")
            }
        }
    }
}
