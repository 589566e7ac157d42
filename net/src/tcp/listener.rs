//! A TCP socket that accepts connections.

use crate::TcpStream;
use crate::accept_backoff::AcceptBackoff;
use crate::addr::{ToSocketAddrs, try_each};
use posse_core::io;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A TCP socket that accepts connections.
///
/// When the system runs out of descriptors or memory, accepting pauses for 5 to 100 ms and tries again; that is no error.
///
/// # Examples
/// ```
/// use posse::net::{TcpListener, TcpStream};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (_server, peer) = listener.accept().await?;
/// assert_eq!(peer, client.local_addr()?);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpListener {
    socket: io::TcpListener,
    backoff: AcceptBackoff,
}

impl TcpListener {
    /// Binds and listens; the first of several addresses that works. Port 0 lets the system choose.
    ///
    /// # Errors
    /// What the system says of the last address.
    ///
    /// # Cancel safety
    /// Dropping the future binds nothing, or frees the address again.
    pub async fn bind(addresses: impl ToSocketAddrs) -> std::io::Result<Self> {
        let socket = try_each(addresses, |address| async move { io::TcpListener::listen(address) }).await?;
        Ok(Self::from_socket(socket))
    }

    /// Takes over a listener from std.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_std(listener: std::net::TcpListener) -> std::io::Result<Self> {
        io::TcpListener::from_std(listener).map(Self::from_socket)
    }

    pub(super) fn from_socket(socket: io::TcpListener) -> Self {
        Self { socket, backoff: AcceptBackoff::default() }
    }

    /// Accepts the next connection.
    ///
    /// # Errors
    /// What the system says, but for running out of descriptors or memory, and connections reset before they were taken.
    ///
    /// # Cancel safety
    /// No connection is lost by dropping the future. Any number of tasks may accept at once.
    pub async fn accept(&self) -> std::io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.backoff.accept(|| self.socket.accept()).await?;
        Ok((TcpStream::from_socket(stream), peer))
    }

    /// Completes when, from now on, a connection cannot be accepted because the system is out of descriptors or memory. Accepting goes
    /// on by itself after a pause; a server that can do without some of its connections may close them here.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    /// ```
    /// use posse::net::{TcpListener, TcpStream};
    /// use posse::select;
    ///
    /// # posse::runtime::Runtime::new().unwrap().block_on(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let _client = TcpStream::connect(listener.local_addr()?).await?;
    /// let mut idle: Vec<TcpStream> = Vec::new();
    /// let (stream, _) = loop {
    ///     select! {
    ///         accepted = listener.accept() => break accepted?,
    ///         () = listener.exhausted() => drop(idle.pop()),
    ///     }
    /// };
    /// # drop(stream);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn exhausted(&self) -> impl Future<Output = ()> + Send + '_ {
        self.backoff.exhausted()
    }

    /// Polls for the next connection. Of several tasks that poll, the last one is woken; [`accept`](Self::accept) has a place
    /// for each.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<(TcpStream, SocketAddr)>> {
        let accepted = ready!(self.backoff.poll(cx, |cx| self.socket.poll_accept(cx)));
        Poll::Ready(accepted.map(|(stream, peer)| (TcpStream::from_socket(stream), peer)))
    }

    /// Returns the connections as a stream that does not end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Gives the listener to std. It stays non-blocking.
    ///
    /// # Errors
    /// `Unsupported` in a simulation.
    pub fn into_std(self) -> std::io::Result<std::net::TcpListener> {
        self.socket.into_std()
    }

    /// Sets how many hops a packet of its connections may take.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_ttl(&self, hops: u32) -> std::io::Result<()> {
        self.socket.options()?.set_ttl_v4(hops)
    }

    /// Returns how many hops a packet of its connections may take.
    ///
    /// # Errors
    /// What the system says.
    pub fn ttl(&self) -> std::io::Result<u32> {
        self.socket.options()?.ttl_v4()
    }

    /// Returns the address it listens on.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// The connections of a listener as a stream; see [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl futures_core::Stream for Incoming<'_> {
    type Item = std::io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.listener.poll_accept(cx).map(|accepted| Some(accepted.map(|(stream, _)| stream)))
    }
}

#[cfg(unix)]
crate::readiness::descriptors!(TcpListener);
