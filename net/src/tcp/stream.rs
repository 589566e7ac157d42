//! A TCP connection.

use super::connect::connect;
use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::{delegate_read, delegate_write};
use crate::addr::ToSocketAddrs;
use crate::readiness::{readiness, tries};
use posse_core::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// A TCP connection. It closes when it is dropped.
///
/// # Examples
/// ```
/// use posse::io::{AsyncReadExt, AsyncWriteExt};
/// use posse::net::{TcpListener, TcpStream};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let mut client = TcpStream::connect(listener.local_addr()?).await?;
/// let (mut server, _) = listener.accept().await?;
/// client.write_all(b"hello").await?;
/// client.shutdown().await?;
/// let mut text = String::new();
/// server.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpStream {
    pub(super) socket: io::TcpStream,
}

impl TcpStream {
    pub(super) fn from_socket(socket: io::TcpStream) -> Self {
        Self { socket }
    }

    /// Connects by address or name.
    ///
    /// Of several addresses the first that answers is taken (Happy Eyeballs, RFC 8305): the families take turns, and the next
    /// address is tried as soon as one has failed, or has not answered for 250 ms.
    ///
    /// # Errors
    /// What the system says of the last address; the text names all of them.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    pub async fn connect(addresses: impl ToSocketAddrs) -> std::io::Result<Self> {
        connect(addresses.to_socket_addrs().await?, io::TcpStream::connect).await.map(Self::from_socket)
    }

    /// Takes over a connection from std.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_std(stream: std::net::TcpStream) -> std::io::Result<Self> {
        io::TcpStream::from_std(stream).map(Self::from_socket)
    }

    /// Gives the connection to std. It stays non-blocking.
    ///
    /// # Errors
    /// What the system says.
    pub fn into_std(self) -> std::io::Result<std::net::TcpStream> {
        self.socket.into_std()
    }

    /// Reads without taking the bytes out of the connection.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Nothing is taken.
    pub async fn peek(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.socket.read_io(|socket| socket.peek(buffer)).await
    }

    /// Closes one or both directions without waiting.
    ///
    /// # Errors
    /// What the system says.
    pub fn shutdown_sync(&self, how: Shutdown) -> std::io::Result<()> {
        self.socket.shutdown(how)
    }

    /// Sets whether small writes are sent at once. Default: the system's, which delays them.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_nodelay(&self, nodelay: bool) -> std::io::Result<()> {
        self.socket.set_nodelay(nodelay)
    }

    /// Returns whether small writes are sent at once.
    ///
    /// # Errors
    /// What the system says.
    pub fn nodelay(&self) -> std::io::Result<bool> {
        self.socket.nodelay()
    }

    /// Sets how long closing waits for unsent data; `Some(ZERO)` resets the connection instead.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_linger(&self, time: Option<Duration>) -> std::io::Result<()> {
        self.socket.set_linger(time)
    }

    /// Asks for keep-alive probes once the connection has been idle for `time`.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_keepalive(&self, time: Duration) -> std::io::Result<()> {
        self.socket.set_keepalive(time)
    }

    /// Returns how long closing waits for unsent data.
    ///
    /// # Errors
    /// What the system says.
    pub fn linger(&self) -> std::io::Result<Option<Duration>> {
        self.socket.options()?.linger()
    }

    /// Closing resets the connection: unsent data is lost, and the address is free at once.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_zero_linger(&self) -> std::io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// Returns whether keep-alive probes are sent.
    ///
    /// # Errors
    /// What the system says.
    pub fn keepalive(&self) -> std::io::Result<bool> {
        self.socket.options()?.keepalive()
    }

    /// Returns how many hops a packet may take.
    ///
    /// # Errors
    /// What the system says.
    pub fn ttl(&self) -> std::io::Result<u32> {
        self.socket.options()?.ttl_v4()
    }

    /// Takes the error that happened since the last look.
    ///
    /// # Errors
    /// What the system says.
    pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
        self.socket.take_error()
    }

    /// Sets whether data is acknowledged at once. The system may go back to what it likes better: set it again.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(target_os = "linux")]
    pub fn set_quickack(&self, quickack: bool) -> std::io::Result<()> {
        self.socket.options()?.set_tcp_quickack(quickack)
    }

    /// Returns whether data is acknowledged at once.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(target_os = "linux")]
    pub fn quickack(&self) -> std::io::Result<bool> {
        self.socket.options()?.tcp_quickack()
    }

    /// Sets the type of service of IPv4 packets.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_tos_v4(&self, tos: u32) -> std::io::Result<()> {
        self.socket.options()?.set_tos_v4(tos)
    }

    /// Returns the type of service of IPv4 packets.
    ///
    /// # Errors
    /// What the system says.
    pub fn tos_v4(&self) -> std::io::Result<u32> {
        self.socket.options()?.tos_v4()
    }

    /// Sets the traffic class of IPv6 packets.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(target_os = "linux")]
    pub fn set_tclass_v6(&self, class: u32) -> std::io::Result<()> {
        self.socket.options()?.set_tclass_v6(class)
    }

    /// Returns the traffic class of IPv6 packets.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(target_os = "linux")]
    pub fn tclass_v6(&self) -> std::io::Result<u32> {
        self.socket.options()?.tclass_v6()
    }

    /// Sets how many hops a packet may take.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_ttl(&self, hops: u32) -> std::io::Result<()> {
        self.socket.set_ttl(hops)
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    /// What the system says.
    pub fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

delegate_read!(TcpStream, socket);
delegate_write!(TcpStream, socket);
delegate_read!(&TcpStream, socket);
delegate_write!(&TcpStream, socket);
tries!(TcpStream);
readiness!(TcpStream: any read write);

#[cfg(unix)]
crate::readiness::descriptors!(TcpStream);
