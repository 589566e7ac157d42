//! UDP datagrams.

mod batch;
mod options;
mod ready;

use crate::addr::{ToSocketAddrs, try_each};
use posse_core::io::{self, Interest};
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// A UDP socket.
///
/// # Cancel safety
/// A send or receive that is dropped has sent or received nothing.
///
/// # Examples
/// ```
/// use posse::net::UdpSocket;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let a = UdpSocket::bind("127.0.0.1:0").await?;
/// let b = UdpSocket::bind("127.0.0.1:0").await?;
/// a.send_to(b"hello", b.local_addr()?).await?;
/// let mut buffer = [0; 16];
/// let (len, from) = b.recv_from(&mut buffer).await?;
/// assert_eq!((&buffer[..len], from), (&b"hello"[..], a.local_addr()?));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    pub(super) socket: io::UdpSocket,
}

impl UdpSocket {
    /// Binds to the first address that works. Port 0 lets the system choose.
    ///
    /// # Errors
    /// What the system says of the last address.
    ///
    /// # Cancel safety
    /// Dropping the future binds nothing, or frees the address again.
    pub async fn bind(addresses: impl ToSocketAddrs) -> std::io::Result<Self> {
        let socket = try_each(addresses, |address| async move { io::UdpSocket::bind(address) }).await?;
        Ok(Self { socket })
    }

    /// Takes over a socket from std.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_std(socket: std::net::UdpSocket) -> std::io::Result<Self> {
        Ok(Self { socket: io::UdpSocket::from_std(socket)? })
    }

    /// Gives the socket to std. It stays non-blocking.
    ///
    /// # Errors
    /// `Unsupported` in a simulation.
    pub fn into_std(self) -> std::io::Result<std::net::UdpSocket> {
        self.socket.into_std()
    }

    /// Sets the address that `send` sends to and `recv` receives from.
    ///
    /// # Errors
    /// What the system says of the last address.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the socket as it was; it only waits for the name to be resolved.
    pub async fn connect(&self, addresses: impl ToSocketAddrs) -> std::io::Result<()> {
        try_each(addresses, |address| async move { self.socket.connect(address) }).await
    }

    /// Sends to the connected address. Returns the number of bytes, always all of them.
    ///
    /// # Errors
    /// What the system says; `NotConnected` before [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// A send that is dropped has not sent.
    pub async fn send(&self, bytes: &[u8]) -> std::io::Result<usize> {
        self.socket.write_io(|socket| socket.send(bytes)).await
    }

    /// Receives from the connected address. What does not fit the buffer is lost.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// No datagram is lost by dropping the future.
    pub async fn recv(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.socket.read_io(|socket| socket.recv(buffer)).await
    }

    /// Sends to the first of the given addresses.
    ///
    /// # Errors
    /// What the system says; `InvalidInput` if the name has no address.
    ///
    /// # Cancel safety
    /// A send that is dropped has not sent.
    pub async fn send_to(&self, bytes: &[u8], addresses: impl ToSocketAddrs) -> std::io::Result<usize> {
        let address = match addresses.known() {
            Some(address) => address,
            None => {
                let none = || std::io::Error::new(std::io::ErrorKind::InvalidInput, "the name has no address");
                *addresses.to_socket_addrs().await?.first().ok_or_else(none)?
            }
        };
        self.socket.write_io(|socket| socket.send_to(bytes, address)).await
    }

    /// Receives from anybody. What does not fit the buffer is lost.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// No datagram is lost by dropping the future.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        self.socket.read_io(|socket| socket.recv_from(buffer)).await
    }

    /// Polls for room to send to an address. Of several tasks that poll, the last one is woken.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        address: SocketAddr,
    ) -> Poll<std::io::Result<usize>> {
        self.socket.poll_write_io(cx, |socket| socket.send_to(bytes, address))
    }

    /// Polls for a datagram from anybody. Of several tasks that poll, the last one is woken.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<std::io::Result<(usize, SocketAddr)>> {
        self.socket.poll_read_io(cx, |socket| socket.recv_from(buffer))
    }

    /// Receives without taking the datagram out.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// No datagram is lost by dropping the future.
    pub async fn peek_from(&self, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        self.socket.read_io(|socket| socket.peek_from(buffer)).await
    }

    /// Sends to an address without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room.
    pub fn try_send_to(&self, bytes: &[u8], address: SocketAddr) -> std::io::Result<usize> {
        self.socket.try_io(Interest::WRITABLE, |socket| socket.send_to(bytes, address))
    }

    /// Receives without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        self.socket.try_io(Interest::READABLE, |socket| socket.recv_from(buffer))
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns the connected address.
    ///
    /// # Errors
    /// What the system says.
    pub fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}
