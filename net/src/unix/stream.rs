//! Unix-domain stream sockets.

use super::SocketAddr;
use super::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::accept_backoff::AcceptBackoff;
use crate::readiness::{descriptors, readiness, tries};
use crate::tcp::{delegate_read, delegate_write};
use futures_core::Stream;
use posse_core::io;
use std::net::Shutdown;
use std::os::unix::net as std_unix;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A Unix-domain connection.
///
/// # Examples
/// ```
/// use posse::net::UnixStream;
/// use posse::io::{AsyncReadExt, AsyncWriteExt};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (mut one, mut other) = UnixStream::pair()?;
/// one.write_u32(7).await?;
/// assert_eq!(other.read_u32().await?, 7);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct UnixStream {
    pub(super) socket: io::UnixStream,
}

/// Who the process at the other end was when the connection was made; see [`UnixStream::peer_cred`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UCred {
    pid: Option<i32>,
    uid: u32,
    gid: u32,
}

impl UCred {
    /// Returns the number of the process, if the system tells.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// Returns the user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Returns the group.
    pub fn gid(&self) -> u32 {
        self.gid
    }
}

impl UnixStream {
    /// Connects to a path.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    pub async fn connect(path: impl AsRef<Path>) -> std::io::Result<Self> {
        let address = io::unix_address(path.as_ref())?;
        Self::connect_addr(&address).await
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    pub async fn connect_addr(address: &SocketAddr) -> std::io::Result<Self> {
        Ok(Self { socket: io::UnixStream::connect_unix(address).await? })
    }

    /// Makes two that are connected to each other.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn pair() -> std::io::Result<(Self, Self)> {
        let (one, other) = io::UnixStream::pair()?;
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// Takes over a connection from std.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_std(stream: std_unix::UnixStream) -> std::io::Result<Self> {
        Ok(Self { socket: io::UnixStream::from_std_unix(stream)? })
    }

    /// Gives the connection to std. It stays non-blocking.
    ///
    /// # Errors
    /// None today.
    pub fn into_std(self) -> std::io::Result<std_unix::UnixStream> {
        Ok(self.socket.into_std_unix())
    }

    /// Returns who the process at the other end was when the connection was made.
    ///
    /// # Errors
    /// What the system says.
    #[cfg(target_os = "linux")]
    pub fn peer_cred(&self) -> std::io::Result<UCred> {
        let (pid, uid, gid) = self.socket.peer_cred()?;
        Ok(UCred { pid, uid, gid })
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns the address of the other end.
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

    /// Closes one or both directions without waiting.
    ///
    /// # Errors
    /// What the system says.
    pub fn shutdown_sync(&self, how: Shutdown) -> std::io::Result<()> {
        self.socket.shutdown(how)
    }
}

delegate_read!(UnixStream, socket);
delegate_write!(UnixStream, socket);
delegate_read!(&UnixStream, socket);
delegate_write!(&UnixStream, socket);
tries!(UnixStream);
readiness!(UnixStream: any read write);
descriptors!(UnixStream, UnixListener);

/// A Unix-domain socket that accepts connections. The path stays after it is dropped.
#[derive(Debug)]
pub struct UnixListener {
    socket: io::UnixListener,
    backoff: AcceptBackoff,
}

impl UnixListener {
    /// Binds to a path that does not exist yet, and listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(path: impl AsRef<Path>) -> std::io::Result<Self> {
        Self::bind_addr(&io::unix_address(path.as_ref())?)
    }

    /// Binds to an address, and listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind_addr(address: &SocketAddr) -> std::io::Result<Self> {
        io::UnixListener::listen_unix(address).map(Self::from_socket)
    }

    /// Takes over a listener from std.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_std(listener: std_unix::UnixListener) -> std::io::Result<Self> {
        io::UnixListener::from_std_unix(listener).map(Self::from_socket)
    }

    /// Gives the listener to std. It stays non-blocking.
    ///
    /// # Errors
    /// None today.
    pub fn into_std(self) -> std::io::Result<std_unix::UnixListener> {
        Ok(self.socket.into_std_unix())
    }

    fn from_socket(socket: io::UnixListener) -> Self {
        Self { socket, backoff: AcceptBackoff::default() }
    }

    /// Accepts the next connection. Running out of descriptors or memory is waited for, as by
    /// [`TcpListener`](crate::TcpListener).
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// No connection is lost by dropping the future. Any number of tasks may accept at once.
    pub async fn accept(&self) -> std::io::Result<(UnixStream, SocketAddr)> {
        let (socket, peer) = self.backoff.accept(|| self.socket.accept_unix()).await?;
        Ok((UnixStream { socket }, peer))
    }

    /// Polls for the next connection. Of several tasks that poll, the last one is woken.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<(UnixStream, SocketAddr)>> {
        let accepted = ready!(self.backoff.poll(cx, |cx| self.socket.poll_accept_unix(cx)));
        Poll::Ready(accepted.map(|(socket, peer)| (UnixStream { socket }, peer)))
    }

    /// Returns the address it listens on.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes the error that happened since the last look.
    ///
    /// # Errors
    /// What the system says.
    pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
        self.socket.take_error()
    }
}

/// The connections, without an end.
impl Stream for UnixListener {
    type Item = std::io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_accept(cx).map(|accepted| Some(accepted.map(|(stream, _)| stream)))
    }
}
