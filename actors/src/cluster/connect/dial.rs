//! Dialling: from an address to a connection whose other side has introduced itself.

use super::DialError;
use super::handshake::handshake;
use crate::cluster::session::peer::Peer;
use crate::cluster::state::NodeState;
use posse_core::time::timeout;
use posse_net::{TcpStream, ToSocketAddrs, lookup_host};
use posse_wire::Role;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why there is no address to listen on or to dial.
#[derive(Debug)]
pub(crate) enum ResolveError {
    Io(io::Error),
    /// It could be reached from other machines.
    NotLoopback(SocketAddr),
}

/// The addresses of a name, all of them on this machine: without credentials no other machine may command the actors.
pub(crate) async fn resolve_loopback(address: impl ToSocketAddrs) -> Result<Vec<SocketAddr>, ResolveError> {
    let addresses = lookup_host(address).await.map_err(ResolveError::Io)?;
    match addresses.iter().find(|address| !address.ip().is_loopback()) {
        Some(open) => Err(ResolveError::NotLoopback(*open)),
        None => Ok(addresses),
    }
}

/// Connects to where the program wants, and shakes hands. The connection is with the peer then.
pub(crate) async fn dial(node: &Arc<NodeState>, addresses: &[SocketAddr]) -> Result<Arc<Peer>, DialError> {
    let dialling = async {
        let stream = connect_tcp(addresses).await?;
        handshake(node, stream, Role::Initiator, true).await
    };
    timeout(node.config.handshake_timeout, dialling).await.unwrap_or(Err(DialError::Timeout))
}

pub(super) async fn connect_tcp(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in addresses {
        match TcpStream::connect(*address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
