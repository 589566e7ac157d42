//! Errors of a handshake: why two nodes are not connected, and what to tell the other side.

use crate::code::CloseReason;
use crate::config::VERSION;
use crate::frame::FrameError;
use std::fmt;

/// Why a connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The other side does not speak this protocol.
    NotPosse,
    /// The other side wants to speak TLS.
    Tls,
    /// No version that both speak.
    Version {
        /// The lowest the other side speaks.
        min: u8,
        /// The highest the other side speaks.
        max: u8,
    },
    /// The other side is a node of another cluster.
    Cluster(String),
    /// The other side requires what this one does not know.
    Unsupported(&'static str),
    /// A part of the introduction breaks the rules.
    Malformed(&'static str),
    /// A frame that breaks the rules.
    Frame(FrameError),
    /// The other side has refused.
    Rejected {
        /// Why.
        code: CloseReason,
        /// With [`CloseReason::Stale`] the latest incarnation that is known, with [`CloseReason::Quarantined`] the number of nodes
        /// that the other side is connected to.
        detail: u64,
        /// What it says about it.
        text: String,
    },
}

impl HandshakeError {
    /// What to tell the other side, if it is one that would understand.
    pub fn close_reason(&self) -> Option<CloseReason> {
        match self {
            Self::Version { .. } => Some(CloseReason::Version),
            Self::Cluster(_) => Some(CloseReason::Cluster),
            Self::Unsupported(_) => Some(CloseReason::Unsupported),
            _ => None,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPosse => f.write_str("the other side does not speak the node protocol"),
            Self::Tls => f.write_str("the other side speaks TLS, which this node does not"),
            Self::Version { min, max } => {
                write!(f, "no common version: the other side speaks {min} to {max}, this one {VERSION}")
            }
            Self::Cluster(theirs) => write!(f, "the other side is a node of cluster `{theirs}`"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::Malformed(what) => f.write_str(what),
            Self::Frame(error) => write!(f, "{error}"),
            Self::Rejected { code, text, .. } if text.is_empty() => write!(f, "the other side refused: {code}"),
            Self::Rejected { code, text, .. } => write!(f, "the other side refused: {code}: {text}"),
        }
    }
}

impl std::error::Error for HandshakeError {}

impl From<FrameError> for HandshakeError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}
