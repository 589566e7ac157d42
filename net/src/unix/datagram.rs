//! Unix-domain sockets for datagrams.

use super::SocketAddr;
use crate::readiness::{descriptors, readiness};
use posse_core::io::{self, Interest};
use std::os::unix::net as std_unix;
use std::path::Path;
use std::task::{Context, Poll};

/// A Unix-domain socket for datagrams. None is lost: who sends waits for room.
///
/// # Cancel safety
/// A send or receive that is dropped has sent or received nothing.
///
/// # Examples
/// ```
/// use posse::net::UnixDatagram;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (one, other) = UnixDatagram::pair()?;
/// one.send(b"hello").await?;
/// let mut buffer = [0; 16];
/// let len = other.recv(&mut buffer).await?;
/// assert_eq!(&buffer[..len], b"hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    socket: io::UnixDatagram,
}

impl UnixDatagram {
    /// Binds to a path that does not exist yet.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn bind(path: impl AsRef<Path>) -> std::io::Result<Self> {
        let address = io::unix_address(path.as_ref())?;
        Ok(Self { socket: io::UnixDatagram::bind_unix(&address)? })
    }

    /// Makes one without an address, which can send and not be answered.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn unbound() -> std::io::Result<Self> {
        Ok(Self { socket: io::UnixDatagram::unbound()? })
    }

    /// Makes two that are connected to each other.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn pair() -> std::io::Result<(Self, Self)> {
        let (one, other) = io::UnixDatagram::pair()?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// Takes over a socket from std.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_std(socket: std_unix::UnixDatagram) -> std::io::Result<Self> {
        Ok(Self { socket: io::UnixDatagram::from_std_unix(socket)? })
    }

    /// Gives the socket to std. It stays non-blocking.
    ///
    /// # Errors
    /// None today.
    pub fn into_std(self) -> std::io::Result<std_unix::UnixDatagram> {
        Ok(self.socket.into_std_unix())
    }

    /// Sets the path that `send` sends to and `recv` receives from.
    ///
    /// # Errors
    /// What the system says.
    pub fn connect(&self, path: impl AsRef<Path>) -> std::io::Result<()> {
        self.socket.connect(path)
    }

    /// Sends to the connected address. Returns the number of bytes, always all of them.
    ///
    /// # Errors
    /// What the system says; `NotConnected` before [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Nothing has been sent if the future is dropped.
    pub async fn send(&self, bytes: &[u8]) -> std::io::Result<usize> {
        self.socket.write_io(|socket| socket.send(bytes)).await
    }

    /// Sends to a path.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Nothing has been sent if the future is dropped.
    pub async fn send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> std::io::Result<usize> {
        let path = path.as_ref();
        self.socket.write_io(|socket| socket.send_to(bytes, path)).await
    }

    /// Receives from the connected address. What does not fit the buffer is lost.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Nothing has been received if the future is dropped.
    pub async fn recv(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.socket.read_io(|socket| socket.recv(buffer)).await
    }

    /// Receives from anybody. What does not fit the buffer is lost.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Nothing has been received if the future is dropped.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        self.socket.read_io(|socket| socket.recv_from(buffer)).await
    }

    /// Sends to the connected address without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room.
    pub fn try_send(&self, bytes: &[u8]) -> std::io::Result<usize> {
        self.socket.try_io(Interest::WRITABLE, |socket| socket.send(bytes))
    }

    /// Sends to a path without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room.
    pub fn try_send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> std::io::Result<usize> {
        self.socket.try_io(Interest::WRITABLE, |socket| socket.send_to(bytes, path))
    }

    /// Receives from the connected address without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_recv(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.socket.try_io(Interest::READABLE, |socket| socket.recv(buffer))
    }

    /// Receives from anybody without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        self.socket.try_io(Interest::READABLE, |socket| socket.recv_from(buffer))
    }

    /// Polls for room to send to the connected address. Of several tasks that poll, the last one is woken.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.socket.poll_write_io(cx, |socket| socket.send(bytes))
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

    /// Returns the address it is bound to.
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

    /// Takes the error that happened since the last look.
    ///
    /// # Errors
    /// What the system says.
    pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
        self.socket.take_error()
    }

    /// Ends one or both directions.
    ///
    /// # Errors
    /// What the system says.
    pub fn shutdown(&self, how: std::net::Shutdown) -> std::io::Result<()> {
        self.socket.shutdown(how)
    }
}

readiness!(UnixDatagram: any read write);
descriptors!(UnixDatagram);
