//! Non-blocking sockets tied to the runtime they were made in.
//!
//! A [`Socket`] joins an operating-system socket with its registration. Every operation has the same shape: wait until
//! the direction is ready, try, and if it would block say so and wait again.

use super::driver::Registration;
use super::os;
use super::registration::{Direction, Readiness};
use super::source::{ListenerSource, Readable, Source, TcpSource, UdpSource};
use crate::runtime::Handle;
#[cfg(feature = "sim")]
use crate::sim::net::Port;
use crate::sync::wait_list::WaiterKey;
use crate::task::coop;
use bytes::BufMut;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::task::{Context, Poll, ready};

/// A socket of kind `S` in the reactor.
///
/// Any number of futures may wait for the same direction, each event wakes all of them, and one that is dropped leaves
/// nothing behind. The `poll_*` functions of one direction share one place: the last waker they were polled with is woken.
#[derive(Debug)]
pub struct Socket<S: Source> {
    /// Present until the socket is dropped or given back.
    source: Option<S>,
    registration: Registration,
}

/// A future's place among those who wait for one direction; it leaves when it is dropped.
struct Waiting<'a> {
    readiness: &'a Readiness,
    direction: Direction,
    key: WaiterKey,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.readiness.leave(self.direction, &mut self.key);
    }
}

/// A TCP connection.
pub type TcpStream = Socket<TcpSource>;
/// A TCP listener.
pub type TcpListener = Socket<ListenerSource>;
/// A UDP socket.
pub type UdpSocket = Socket<UdpSource>;
/// A Unix-domain connection.
pub type UnixStream = Socket<os::UnixStream>;
/// A Unix-domain listener.
pub type UnixListener = Socket<os::UnixListener>;
/// The readable end of the pipe through which signals come.
pub(crate) type SignalPipe = Socket<os::UnixStream>;

impl<S: Source> Socket<S> {
    fn register(source: S, readiness: Readiness) -> io::Result<Self> {
        let handle = Handle::try_current().map_err(io::Error::other)?;
        let mut source = source;
        let registration = handle.io().register(&mut source, readiness)?;
        Ok(Self { source: Some(source), registration })
    }

    /// Puts a non-blocking socket into the current runtime's reactor, taking it to be ready until it says otherwise.
    fn new(source: S) -> io::Result<Self> {
        Self::register(source, Readiness::new())
    }

    /// Waits, tries, waits again. `drained` looks at a result and says whether the next try would block for sure.
    fn poll_io<R>(
        &self,
        direction: Direction,
        mut key: Option<&mut WaiterKey>,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&S) -> io::Result<R>,
        drained: impl FnOnce(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        let progress = ready!(coop::poll_proceed(cx));
        if crate::buggify(0.01) {
            // Not ready after all: the next look tells.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let seen = ready!(self.registration.readiness.poll(direction, key.as_deref_mut(), cx));
            match operation(self) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.readiness.clear(direction, seen);
                    if self.registration.readiness.has_ended() {
                        return Poll::Ready(Err(ended()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    if matches!(&result, Ok(value) if drained(value)) {
                        self.registration.readiness.clear_drained(direction, seen);
                    }
                    progress.made_progress();
                    return Poll::Ready(result);
                }
            }
        }
    }

    /// Polls an operation that reads: tries when readable, waits when it would block.
    pub fn poll_read_io<R>(
        &self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_io(Direction::Read, None, cx, operation, |_| false)
    }

    /// Polls an operation that writes: tries when writable, waits when it would block.
    pub fn poll_write_io<R>(
        &self,
        cx: &mut Context<'_>,
        operation: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.poll_io(Direction::Write, None, cx, operation, |_| false)
    }

    /// Reads: tries when readable, waits when it would block.
    ///
    /// # Cancel safety
    /// An operation that did not succeed has done nothing.
    ///
    /// # Errors
    /// What the operation says.
    pub async fn read_io<R>(&self, operation: impl FnMut(&S) -> io::Result<R>) -> io::Result<R> {
        self.io(Direction::Read, operation).await
    }

    /// Writes: tries when writable, waits when it would block.
    ///
    /// # Cancel safety
    /// As [`read_io`](Self::read_io).
    ///
    /// # Errors
    /// What the operation says.
    pub async fn write_io<R>(&self, operation: impl FnMut(&S) -> io::Result<R>) -> io::Result<R> {
        self.io(Direction::Write, operation).await
    }

    async fn io<R>(&self, direction: Direction, mut operation: impl FnMut(&S) -> io::Result<R>) -> io::Result<R> {
        let mut waiting = self.waiting(direction);
        poll_fn(|cx| self.poll_io(direction, Some(&mut waiting.key), cx, &mut operation, |_| false)).await
    }

    fn waiting(&self, direction: Direction) -> Waiting<'_> {
        Waiting { readiness: &self.registration.readiness, direction, key: WaiterKey::default() }
    }

    /// Waits until the socket is ready. The next operation may still block: readiness is a hint.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// If it is not ready and the runtime has shut down.
    pub async fn ready(&self, interest: os::Interest) -> io::Result<()> {
        let direction = direction(interest);
        let mut waiting = self.waiting(direction);
        let seen = poll_fn(|cx| waiting.readiness.poll(direction, Some(&mut waiting.key), cx)).await;
        // Else who tries and waits in turn would do so for ever, without a pause.
        if seen.is_ready { Ok(()) } else { Err(ended()) }
    }

    /// Tries an operation without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if the socket is not ready, and what the operation says.
    pub fn try_io<R>(&self, interest: os::Interest, operation: impl FnOnce(&S) -> io::Result<R>) -> io::Result<R> {
        let direction = direction(interest);
        let Some(seen) = self.registration.readiness.seen(direction) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let result = operation(self);
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.registration.readiness.clear(direction, seen);
        }
        result
    }

    /// Takes the socket out of the reactor; it stays non-blocking.
    fn into_source(mut self) -> Option<S> {
        let mut source = self.source.take()?;
        self.registration.deregister(&mut source);
        Some(source)
    }
}

fn ended() -> io::Error {
    io::Error::other("the runtime has shut down")
}

fn direction(interest: os::Interest) -> Direction {
    match interest {
        os::Interest::Readable => Direction::Read,
        os::Interest::Writable => Direction::Write,
    }
}

impl<S: Source> Deref for Socket<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.source.as_ref().expect("invariant: present until dropped")
    }
}

impl<S: Source> Drop for Socket<S> {
    fn drop(&mut self) {
        if let Some(mut source) = self.source.take() {
            self.registration.deregister(&mut source);
        }
    }
}

impl<S: Source + Readable> Socket<S> {
    /// Polls for bytes into `buffer`; zero bytes mean the end.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // Edge-triggered: a read that did not fill the buffer has emptied the socket, and more will be a new event.
        let len = buffer.len();
        self.poll_io(Direction::Read, None, cx, |source| source.read_now(buffer), |&read| 0 < read && read < len)
    }

    /// Polls for bytes into the free part of a buffer that grows.
    pub fn poll_read_buf<B: BufMut + ?Sized>(&self, cx: &mut Context<'_>, buffer: &mut B) -> Poll<io::Result<usize>> {
        if !buffer.has_remaining_mut() {
            return Poll::Ready(Ok(0));
        }
        let len = buffer.chunk_mut().len().min(READ_MAX);
        self.poll_io(Direction::Read, None, cx, |source| read_uninit(source, buffer), |&read| 0 < read && read < len)
    }

    /// Polls for bytes into several buffers.
    pub fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [io::IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_io(cx, |source| source.read_vectored_now(buffers))
    }

    /// Polls for room to write.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = if crate::buggify(0.02) { &bytes[..bytes.len().min(1)] } else { bytes };
        self.poll_io(Direction::Write, None, cx, |source| source.write_now(bytes), |&written| written < bytes.len())
    }

    /// Polls for room to write from several buffers.
    pub fn poll_write_vectored(&self, cx: &mut Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_write_io(cx, |source| source.write_vectored_now(buffers))
    }

    /// Reads into the free part of a buffer without waiting.
    ///
    /// # Errors
    /// `WouldBlock`, and what the operating system says.
    pub fn try_read_buf<B: BufMut + ?Sized>(&self, buffer: &mut B) -> io::Result<usize> {
        self.try_io(os::Interest::Readable, |source| read_uninit(source, buffer))
    }
}

/// Bytes prepared for one read into a buffer that has room for more.
const READ_MAX: usize = 64 * 1024;

/// Reads into the free part of a buffer.
fn read_uninit<S: Readable, B: BufMut + ?Sized>(source: &S, buffer: &mut B) -> io::Result<usize> {
    let chunk = buffer.chunk_mut();
    let len = chunk.len().min(READ_MAX);
    // SAFETY: nothing uninitialised is written to the chunk.
    let spare = unsafe { chunk[..len].as_uninit_slice_mut() };
    let read = source.read_uninit_now(spare)?;
    // SAFETY: the system has just written `read` bytes; it never reports more than it was given.
    unsafe { buffer.advance_mut(read.min(len)) };
    Ok(read)
}

impl TcpListener {
    /// Binds and listens.
    ///
    /// # Errors
    /// What the operating system says, for example that the address is in use; an error outside of a runtime.
    pub fn listen(address: SocketAddr) -> io::Result<Self> {
        #[cfg(feature = "sim")]
        if let Some(port) = Port::current() {
            return Self::new(port.listen(address)?.into());
        }
        Self::new(os::listen(address)?.into())
    }

    /// Takes over a listener from std.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::new(os::TcpListener::from_std(listener).into())
    }

    /// Accepts a connection.
    ///
    /// # Cancel safety
    /// No connection is lost by dropping the future.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.read_io(|listener| listener.accept()).await?;
        TcpStream::new(stream).map(|stream| (stream, peer))
    }

    /// Polls for a connection.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (stream, peer) = ready!(self.poll_read_io(cx, |listener| listener.accept()))?;
        Poll::Ready(TcpStream::new(stream).map(|stream| (stream, peer)))
    }
}

impl TcpStream {
    /// Connects to one address.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        // The first event that counts is the one that the handshake causes.
        let stream = Self::register(Self::begin_connect(address)?, Readiness::unready())?;
        let connected = stream.write_io(|stream| match stream.take_error()? {
            Some(error) => Err(error),
            None => match stream.peer_addr() {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(io::ErrorKind::WouldBlock.into()),
                other => other.map(drop),
            },
        });
        connected.await?;
        Ok(stream)
    }

    fn begin_connect(address: SocketAddr) -> io::Result<TcpSource> {
        #[cfg(feature = "sim")]
        if let Some(port) = Port::current() {
            return port.connect(address).map(TcpSource::from);
        }
        os::TcpStream::connect(address).map(TcpSource::from)
    }

    /// Takes over a connection from std.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        Self::new(os::from_std(stream)?.into())
    }

    /// Gives the connection to std; it stays non-blocking.
    ///
    /// # Errors
    /// In a simulation, which has no sockets of the system.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.into_source().ok_or(io::ErrorKind::NotConnected)?.into_std()
    }
}

impl UdpSocket {
    /// Binds to an address.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        #[cfg(feature = "sim")]
        if let Some(port) = Port::current() {
            return Self::new(port.bind_udp(address)?.into());
        }
        Self::new(os::UdpSocket::bind(address)?.into())
    }

    /// Takes over a socket from std.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::new(os::UdpSocket::from_std(socket).into())
    }
}

impl UnixStream {
    /// Connects to a path.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn connect_unix(path: &std::path::Path) -> io::Result<Self> {
        Self::new(os::UnixStream::connect(path)?)
    }

    /// Takes over a connection from std.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn from_std_unix(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::new(os::UnixStream::from_std(stream))
    }
}

impl UnixListener {
    /// Binds to a path and listens.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn listen_unix(path: &std::path::Path) -> io::Result<Self> {
        Self::new(os::UnixListener::bind(path)?)
    }

    /// Accepts a connection.
    ///
    /// # Cancel safety
    /// No connection is lost by dropping the future.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn accept_unix(&self) -> io::Result<UnixStream> {
        let (stream, _) = self.read_io(|listener| listener.accept()).await?;
        UnixStream::new(stream)
    }
}
