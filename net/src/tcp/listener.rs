//! A TCP socket that accepts connections.

use super::TcpStream;
use crate::addr::{ToSocketAddrs, first_of};
use posse_core::io;
use posse_core::time::{self, Instant, Sleep};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The first pause after the system ran out of descriptors; each further one is twice as long. Guessed.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// The longest pause. Specified: serving again at most 200 ms after descriptors are free.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Between two warnings about it.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// A TCP socket that accepts connections.
///
/// When the system runs out of descriptors or memory, accepting pauses for 5 to 100 ms and tries again; that is no error.
///
/// # Examples
/// ```
/// use posse_net::{TcpListener, TcpStream};
///
/// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (_server, peer) = listener.accept().await?;
/// assert_eq!(peer, client.local_addr()?);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpListener {
    socket: io::TcpListener,
    pause: Mutex<Pause>,
}

#[derive(Debug, Default)]
struct Pause {
    sleep: Option<Sleep>,
    length: Duration,
    warned: Option<Instant>,
}

impl TcpListener {
    /// Binds and listens; the first of several addresses that works. Port 0 lets the system choose.
    ///
    /// # Errors
    /// What the system says of the last address.
    pub async fn bind(addresses: impl ToSocketAddrs) -> std::io::Result<Self> {
        let socket = first_of(addresses, |address| async move { io::TcpListener::listen(address) }).await?;
        Ok(Self::from_socket(socket))
    }

    /// Takes over a listener from std.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_std(listener: std::net::TcpListener) -> std::io::Result<Self> {
        io::TcpListener::from_std(listener).map(Self::from_socket)
    }

    fn from_socket(socket: io::TcpListener) -> Self {
        Self { socket, pause: Mutex::default() }
    }

    /// Accepts the next connection.
    ///
    /// # Errors
    /// What the system says, but for running out of descriptors or memory, and connections reset before they were taken.
    ///
    /// # Cancel safety
    /// No connection is lost by dropping the future.
    pub async fn accept(&self) -> std::io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Polls for the next connection.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<(TcpStream, SocketAddr)>> {
        loop {
            let mut pause = self.pause();
            if let Some(sleep) = &mut pause.sleep {
                ready!(Pin::new(sleep).poll(cx));
                pause.sleep = None;
            }
            drop(pause);

            match ready!(self.socket.poll_accept(cx)) {
                Ok((stream, peer)) => {
                    self.pause().length = Duration::ZERO;
                    return Poll::Ready(Ok((TcpStream::from_socket(stream), peer)));
                }
                Err(error) if is_exhausted(&error) => self.pause().begin(&error),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Returns the connections as a stream that does not end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// Returns the address it listens on.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn pause(&self) -> MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Pause {
    fn begin(&mut self, error: &std::io::Error) {
        self.length = (self.length * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        self.sleep = Some(time::sleep(self.length));

        let now = Instant::now();
        if self.warned.is_none_or(|warned| now - warned >= WARNING_INTERVAL) {
            self.warned = Some(now);
            tracing::warn!(%error, pause = ?self.length, "cannot accept connections for now");
        }
    }
}

/// Out of descriptors or memory: ENFILE 23, EMFILE 24, ENOBUFS 105 (55 on BSD), ENOMEM 12.
fn is_exhausted(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 55 | 12))
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
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
