//! Endpoints on the current runtime.

use crate::PosseRuntime;
use posse_core::runtime::Handle;
use quinn::{Endpoint, EndpointConfig, ServerConfig};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

/// Makes an endpoint that accepts connections at an address. Port 0 lets the system choose.
///
/// # Errors
/// What the system says of the address; an error outside of a runtime.
pub fn server(config: ServerConfig, address: SocketAddr) -> io::Result<Endpoint> {
    endpoint(Some(config), address)
}

/// Makes an endpoint that opens connections from an address, usually one with port 0, where the system chooses.
///
/// # Errors
/// What the system says of the address; an error outside of a runtime.
pub fn client(address: SocketAddr) -> io::Result<Endpoint> {
    endpoint(None, address)
}

#[expect(clippy::disallowed_methods, reason = "quinn wants a socket of std and gives it to the runtime")]
fn endpoint(config: Option<ServerConfig>, address: SocketAddr) -> io::Result<Endpoint> {
    let runtime = Arc::new(PosseRuntime::on(Handle::try_current().map_err(io::Error::other)?));
    Endpoint::new(EndpointConfig::default(), config, UdpSocket::bind(address)?, runtime)
}
