//! A TCP connection.

use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::{delegate_read, delegate_write};
use crate::addr::{ToSocketAddrs, try_each};
use bytes::BufMut;
use posse_core::io::{self, Interest, RawStream};
use std::future::poll_fn;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// A TCP connection. It closes when it is dropped.
///
/// # Examples
/// ```
/// use posse_net::io::{AsyncReadExt, AsyncWriteExt};
/// use posse_net::{TcpListener, TcpStream};
///
/// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
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

    /// Connects by address or name; of several addresses the first that works.
    ///
    /// # Errors
    /// What the system says of the last address, which the text names.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    pub async fn connect(addresses: impl ToSocketAddrs) -> std::io::Result<Self> {
        try_each(addresses, io::TcpStream::connect).await.map(Self::from_socket)
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

    /// Reads into the free part of a buffer; zero bytes mean the end (or no room).
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Nothing has been read if the future is dropped.
    pub async fn read_buf<B: BufMut + ?Sized>(&self, buffer: &mut B) -> std::io::Result<usize> {
        poll_fn(|cx| self.socket.poll_read_buf(cx, buffer)).await
    }

    /// Reads what is there without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is.
    pub fn try_read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.socket.try_io(Interest::Readable, |socket| socket.try_read(buffer))
    }

    /// Reads what is there into the free part of a buffer without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is.
    pub fn try_read_buf<B: BufMut + ?Sized>(&self, buffer: &mut B) -> std::io::Result<usize> {
        self.socket.try_read_buf(buffer)
    }

    /// Writes what fits without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing does.
    pub fn try_write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        self.socket.try_io(Interest::Writable, |socket| socket.try_write(bytes))
    }

    /// Writes what fits from several buffers without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing does.
    pub fn try_write_vectored(&self, buffers: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
        self.socket.try_io(Interest::Writable, |socket| socket.try_write_vectored(buffers))
    }

    /// Waits until something can be read, or the end. A following `try_read` may still say `WouldBlock`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn readable(&self) -> std::io::Result<()> {
        self.socket.ready(Interest::Readable).await
    }

    /// Waits until something can be written. A following `try_write` may still say `WouldBlock`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn writable(&self) -> std::io::Result<()> {
        self.socket.ready(Interest::Writable).await
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

    /// Splits into halves that borrow the stream.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::borrowed(self)
    }

    /// Splits into halves that may go to different tasks. Dropping the write half ends the sending direction.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::owned(self)
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
