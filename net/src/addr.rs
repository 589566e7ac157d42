//! Addresses to connect or bind to: socket addresses, and names that are resolved off the workers.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Something that names one or more socket addresses.
///
/// A text that is no address is resolved by the system's resolver, on the blocking pool.
pub trait ToSocketAddrs: Send + Sync {
    /// Finds the addresses.
    fn to_socket_addrs(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Returns the address, if it is one that needs no looking up: then nothing is allocated.
    fn known(&self) -> Option<SocketAddr> {
        None
    }
}

/// Resolves a name.
///
/// # Errors
/// What the system's resolver says.
///
/// # Cancel safety
/// Dropping the future gives the answer up.
///
/// # Examples
/// ```
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let found = posse::net::lookup_host("localhost:80").await?;
/// assert!(found.iter().all(|address| address.ip().is_loopback()));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    host.to_socket_addrs().await
}

/// Tries `connect` with each address until one works; the error is that of the last.
pub(crate) async fn try_each<T, F: Future<Output = io::Result<T>>>(
    addresses: impl ToSocketAddrs,
    mut attempt: impl FnMut(SocketAddr) -> F,
) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in addresses.to_socket_addrs().await? {
        match attempt(address).await {
            Ok(value) => return Ok(value),
            Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(last)
}

macro_rules! known {
    ($($ty:ty),* $(,)?) => {$(
        impl ToSocketAddrs for $ty {
            async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
                Ok(vec![SocketAddr::from(*self)])
            }

            fn known(&self) -> Option<SocketAddr> {
                Some(SocketAddr::from(*self))
            }
        }
    )*};
}

known!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

impl ToSocketAddrs for str {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        match self.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => posse_core::io::resolve(self.to_owned()).await,
        }
    }
}

impl ToSocketAddrs for String {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_socket_addrs().await
    }
}

impl ToSocketAddrs for (&str, u16) {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![SocketAddr::new(ip, self.1)]),
            Err(_) => posse_core::io::resolve(format!("{}:{}", self.0, self.1)).await,
        }
    }
}

impl ToSocketAddrs for (String, u16) {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        (self.0.as_str(), self.1).to_socket_addrs().await
    }
}

impl ToSocketAddrs for [SocketAddr] {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.to_vec())
    }
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {
    async fn to_socket_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        (**self).to_socket_addrs().await
    }

    fn known(&self) -> Option<SocketAddr> {
        (**self).known()
    }
}
