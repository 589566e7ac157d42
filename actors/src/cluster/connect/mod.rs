//! Connections as they are established: by dialling (`dial`) or accepting (`accept`), then a `handshake`; of two that meet one stays
//! (`session/collision.rs`). `peer_task` is the life of a relation: it sees to it that there is a connection until the node is down.

pub(super) mod accept;
pub(super) mod dial;
mod handshake;
pub(super) mod peer_task;

use posse_wire::{CloseReason, HandshakeError};
use std::io;
use std::net::SocketAddr;

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum DialError {
    /// It could not be reached.
    Io(io::Error),
    /// It could be reached from other machines.
    NotLoopback(SocketAddr),
    /// It is not one to talk to.
    Handshake(HandshakeError),
    /// This node has become another incarnation meanwhile: to be tried again.
    Renewed,
    /// We refused it.
    Refused(CloseReason, &'static str),
    /// It took too long.
    Timeout,
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<dial::ResolveError> for DialError {
    fn from(error: dial::ResolveError) -> Self {
        match error {
            dial::ResolveError::Io(error) => Self::Io(error),
            dial::ResolveError::NotLoopback(address) => Self::NotLoopback(address),
        }
    }
}

impl From<HandshakeError> for DialError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}
