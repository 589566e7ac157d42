//! Name resolution, off the workers: one driver call, so that a simulation can answer it.

use crate::runtime::Handle;
use crate::sim::env::HostNet;
use crate::time::sleep;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// Resolves `host:port` on the blocking pool.
///
/// # Errors
/// What the system's resolver says; `Other` if the runtime shuts down meanwhile.
///
/// # Cancel safety
/// Dropping the future gives the answer up; nothing else happens.
#[expect(clippy::disallowed_methods, reason = "the one place that asks the system's resolver")]
pub async fn resolve(name: String) -> io::Result<Vec<SocketAddr>> {
    if let Some(host) = HostNet::current() {
        let (takes, fails) = host.draw_resolution();
        sleep(takes).await;
        return if fails { Err(io::Error::other("temporary failure in name resolution")) } else { host.lookup(&name) };
    }
    let lookup = Handle::current().spawn_blocking(move || {
        let found = name.to_socket_addrs().map(Vec::from_iter);
        found.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))
    });
    lookup.await.map_err(io::Error::other)?
}
