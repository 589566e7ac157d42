//! Non-blocking sockets tied to the runtime they were made in.
//!
//! A [`Socket`] joins an operating-system socket with its registration. Every operation has the same shape: wait until
//! the direction is ready, try, and if it would block say so and wait again.

use super::driver::Registration;
use super::driver::interest::{Interest, Ready};
use super::driver::raw_socket::{RawSocket, RawStream, RawTcpListener, RawTcpStream, RawUdpSocket};
use super::driver::readiness::{Direction, Readiness, ReadyEvent};
use super::os;
use crate::raw_task::coop;
use crate::runtime::Handle;
use crate::sim::env::HostNet;
use crate::wait_list::WaiterKey;
use bytes::BufMut;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::ops::Deref;
use std::task::{Context, Poll, ready};

/// A socket of kind `S` in the reactor.
///
/// Any number of futures may wait for the same direction, each event wakes all of them, and one that is dropped leaves
/// nothing behind. The `poll_*` functions of one direction share one place: the last waker they were polled with is woken.
#[derive(Debug)]
pub struct Socket<S: RawSocket> {
    /// Present until the socket is dropped or given back.
    raw: Option<S>,
    registration: Registration,
}

/// A future's place among those who wait for one direction; it leaves when it is dropped.
struct Waiter<'a> {
    /// Of the socket.
    readiness: &'a Readiness,
    /// What it waits for: to read or to write.
    direction: Direction,
    /// Its place in the line for that; idle while it does not wait.
    key: WaiterKey,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.readiness.leave(self.direction, &mut self.key);
    }
}

/// A future's places among those who wait for either direction; it leaves them when it is dropped.
struct InterestWaiter<'a> {
    readiness: &'a Readiness,
    keys: [WaiterKey; 2],
}

impl Drop for InterestWaiter<'_> {
    fn drop(&mut self) {
        for (direction, key) in [Direction::Read, Direction::Write].into_iter().zip(&mut self.keys) {
            self.readiness.leave(direction, key);
        }
    }
}

/// A TCP connection.
pub type TcpStream = Socket<RawTcpStream>;
/// A TCP listener.
pub type TcpListener = Socket<RawTcpListener>;
/// A UDP socket.
pub type UdpSocket = Socket<RawUdpSocket>;
/// A Unix-domain connection.
#[cfg(unix)]
pub type UnixStream = Socket<os::UnixStream>;
/// A Unix-domain listener.
#[cfg(unix)]
pub type UnixListener = Socket<os::UnixListener>;
/// The readable end of the pipe through which signals come.
#[cfg(unix)]
pub(crate) type SignalPipe = Socket<os::UnixStream>;

impl<S: RawSocket> Socket<S> {
    fn register(raw: S, readiness: Readiness) -> io::Result<Self> {
        let handle = Handle::try_current().map_err(io::Error::other)?;
        let mut raw = raw;
        let registration = handle.io().register(&mut raw, readiness)?;
        Ok(Self { raw: Some(raw), registration })
    }

    /// Puts a non-blocking socket into the current runtime's reactor, taking it to be ready until it says otherwise.
    pub(super) fn new(raw: S) -> io::Result<Self> {
        Self::register(raw, Readiness::new_ready())
    }

    /// Puts a descriptor of others into the current runtime's reactor. Only an event says what it is ready for.
    pub(super) fn new_not_ready(raw: S) -> io::Result<Self> {
        Self::register(raw, Readiness::new_not_ready())
    }

    /// Waits, tries, waits again. `is_partial` looks at a result and says whether the next try would block for sure.
    fn poll_io<R>(
        &self,
        direction: Direction,
        mut key: Option<&mut WaiterKey>,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&S) -> io::Result<R>,
        is_partial: impl FnOnce(&R) -> bool,
    ) -> Poll<io::Result<R>> {
        let progress = ready!(coop::poll_proceed(cx));
        if crate::buggify(0.01) {
            // Not ready after all: the next look tells.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            // Ready until an operation says otherwise: then exactly what was seen is cleared, and the next look waits or finds a newer event.
            let ready_event = ready!(self.registration.readiness.poll(direction, key.as_deref_mut(), cx));
            match operation(self) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.readiness.clear_readiness(direction, ready_event);
                    if self.registration.readiness.has_ended() {
                        return Poll::Ready(Err(ended()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    // It moved less than it could have: what comes next waits at once, without a call that would only say so.
                    if matches!(&result, Ok(value) if is_partial(value)) {
                        self.registration.readiness.clear_partial(direction, ready_event);
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
        let mut waiter = self.waiter(direction);
        poll_fn(|cx| self.poll_io(direction, Some(&mut waiter.key), cx, &mut operation, |_| false)).await
    }

    fn waiter(&self, direction: Direction) -> Waiter<'_> {
        Waiter { readiness: &self.registration.readiness, direction, key: WaiterKey::default() }
    }

    /// Waits until the socket is ready for any of these conditions. The next operation may still block: readiness is a hint.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// If it is not ready and the runtime has shut down.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.ready_event(interest).await.map(|event| event.ready)
    }

    /// Polls for any of these conditions. The last waker that was polled with for a direction is woken.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<Ready>> {
        self.poll_ready_event(cx, interest).map_ok(|event| event.ready)
    }

    pub(super) fn poll_ready_event(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<ReadyEvent>> {
        self.registration.readiness.poll_interest(interest, None, cx).map(not_ended)
    }

    pub(super) async fn ready_event(&self, interest: Interest) -> io::Result<ReadyEvent> {
        let readiness = &*self.registration.readiness;
        let mut waiter = InterestWaiter { readiness, keys: Default::default() };
        poll_fn(|cx| readiness.poll_interest(interest, Some(&mut waiter.keys), cx).map(not_ended)).await
    }

    /// An operation would have blocked.
    #[cfg(unix)]
    pub(super) fn clear_ready_event(&self, event: ReadyEvent, ready: Ready) {
        self.registration.readiness.clear_event(event, ready);
    }

    /// Tries an operation without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if the socket is not ready, and what the operation says.
    pub fn try_io<R>(&self, interest: Interest, operation: impl FnOnce(&S) -> io::Result<R>) -> io::Result<R> {
        let Some(event) = self.registration.readiness.interest_event(interest) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let result = operation(self);
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.clear_blocked(event);
        }
        result
    }

    /// Waits for any of these conditions and tries an operation, until that does not say `WouldBlock`.
    ///
    /// # Cancel safety
    /// An operation that did not succeed has done nothing.
    ///
    /// # Errors
    /// What the operation says; an error if the runtime has shut down.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut operation: impl FnMut(&S) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            poll_fn(|cx| coop::poll_proceed(cx).map(coop::Progress::made_progress)).await;
            let event = self.ready_event(interest).await?;
            match operation(self) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.clear_blocked(event),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// An operation has blocked, so a direction that had ended has not.
    fn clear_blocked(&self, event: ReadyEvent) {
        self.registration.readiness.clear_all(event);
    }

    /// Takes the socket out of the reactor; it stays non-blocking.
    pub(super) fn into_raw(mut self) -> S {
        let mut raw = self.raw.take().expect("invariant: present until dropped");
        self.registration.deregister(&mut raw);
        raw
    }
}

fn ended() -> io::Error {
    io::Error::other("the runtime has shut down")
}

/// Else who tries and waits in turn would do so for ever, without a pause.
fn not_ended(event: ReadyEvent) -> io::Result<ReadyEvent> {
    if event.ready.is_empty() { Err(ended()) } else { Ok(event) }
}

impl<S: RawSocket> Deref for Socket<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.raw.as_ref().expect("invariant: present until dropped")
    }
}

impl<S: RawSocket> Drop for Socket<S> {
    fn drop(&mut self) {
        if let Some(mut raw) = self.raw.take() {
            self.registration.deregister(&mut raw);
        }
    }
}

impl<S: RawSocket + RawStream> Socket<S> {
    /// Polls for bytes into `buffer`; zero bytes mean the end.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        // Edge-triggered: a read that did not fill the buffer has emptied the socket, and more will be a new event.
        let len = buffer.len();
        self.poll_io(Direction::Read, None, cx, |raw| raw.try_read(buffer), |&read| 0 < read && read < len)
    }

    /// Polls for bytes into the free part of a buffer that grows.
    pub fn poll_read_buf<B: BufMut + ?Sized>(&self, cx: &mut Context<'_>, buffer: &mut B) -> Poll<io::Result<usize>> {
        if !buffer.has_remaining_mut() {
            return Poll::Ready(Ok(0));
        }
        let len = buffer.chunk_mut().len().min(READ_MAX);
        self.poll_io(Direction::Read, None, cx, |raw| read_uninit(raw, buffer), |&read| 0 < read && read < len)
    }

    /// Polls for bytes into several buffers.
    pub fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [io::IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_io(cx, |raw| raw.try_read_vectored(buffers))
    }

    /// Polls for room to write.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = if crate::buggify(0.02) { &bytes[..bytes.len().min(1)] } else { bytes };
        self.poll_io(Direction::Write, None, cx, |raw| raw.try_write(bytes), |&written| written < bytes.len())
    }

    /// Polls for room to write from several buffers.
    pub fn poll_write_vectored(&self, cx: &mut Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_write_io(cx, |raw| raw.try_write_vectored(buffers))
    }

    /// Reads into the free part of a buffer without waiting.
    ///
    /// # Errors
    /// `WouldBlock`, and what the operating system says.
    pub fn try_read_buf<B: BufMut + ?Sized>(&self, buffer: &mut B) -> io::Result<usize> {
        self.try_io(Interest::READABLE, |raw| read_uninit(raw, buffer))
    }
}

/// Bytes prepared for one read into a buffer that has room for more.
const READ_MAX: usize = 64 * 1024;

/// Reads into the free part of a buffer.
fn read_uninit<S: RawStream, B: BufMut + ?Sized>(raw: &S, buffer: &mut B) -> io::Result<usize> {
    fill(buffer, READ_MAX, |spare| Ok((raw.try_read_uninit(spare)?, ()))).map(|(read, ())| read)
}

/// Receives a datagram into the free part of a buffer.
fn recv_uninit<B: BufMut + ?Sized>(raw: &RawUdpSocket, buffer: &mut B) -> io::Result<(usize, Option<SocketAddr>)> {
    fill(buffer, READ_MAX, |spare| raw.recv_uninit(spare))
}

/// Has the free part of a buffer filled by the system, which says how much it has written.
fn fill<B: BufMut + ?Sized, T>(
    buffer: &mut B,
    max: usize,
    read: impl FnOnce(&mut [MaybeUninit<u8>]) -> io::Result<(usize, T)>,
) -> io::Result<(usize, T)> {
    let chunk = buffer.chunk_mut();
    let len = chunk.len().min(max);
    // SAFETY: nothing uninitialised is written to the chunk.
    let spare = unsafe { chunk[..len].as_uninit_slice_mut() };
    let (read, value) = read(spare)?;
    // SAFETY: the system has just written `read` bytes; it never reports more than it was given.
    unsafe { buffer.advance_mut(read.min(len)) };
    Ok((read, value))
}

impl TcpListener {
    /// Binds and listens.
    ///
    /// # Errors
    /// What the operating system says, for example that the address is in use; an error outside of a runtime.
    pub fn listen(address: SocketAddr) -> io::Result<Self> {
        if let Some(host) = HostNet::current() {
            return Self::new(host.listen(address)?.into());
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

impl TcpListener {
    /// Gives the listener to std; it stays non-blocking.
    ///
    /// # Errors
    /// In a simulation, which has no sockets of the system.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.into_raw().into_std()
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
        Self::finish_connect(Self::start_connect(address)?).await
    }

    /// Waits for the end of a handshake that was begun.
    pub(super) async fn finish_connect(stream: RawTcpStream) -> io::Result<Self> {
        // The first event that counts is the one that the handshake causes.
        let stream = Self::new_not_ready(stream)?;
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

    fn start_connect(address: SocketAddr) -> io::Result<RawTcpStream> {
        if let Some(host) = HostNet::current() {
            return host.connect(address).map(RawTcpStream::from);
        }
        os::TcpStream::connect(address).map(RawTcpStream::from)
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
        self.into_raw().into_std()
    }
}

impl UdpSocket {
    /// Binds to an address.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        if let Some(host) = HostNet::current() {
            return Self::new(host.bind_udp(address)?.into());
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

    /// Gives the socket to std; it stays non-blocking.
    ///
    /// # Errors
    /// In a simulation, which has no sockets of the system.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        self.into_raw().into_std()
    }

    /// Polls for a datagram into the free part of a buffer that grows, and from whom it is.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn poll_recv_buf<B: BufMut + ?Sized>(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut B,
    ) -> Poll<io::Result<(usize, Option<SocketAddr>)>> {
        self.poll_read_io(cx, |raw| recv_uninit(raw, buffer))
    }

    /// As [`poll_recv_buf`](Self::poll_recv_buf), for any number of tasks.
    ///
    /// # Errors
    /// What the operating system says.
    ///
    /// # Cancel safety
    /// Nothing has been received if the future is dropped.
    pub async fn recv_buf<B: BufMut + ?Sized>(&self, buffer: &mut B) -> io::Result<(usize, Option<SocketAddr>)> {
        self.read_io(|raw| recv_uninit(raw, buffer)).await
    }

    /// Receives into the free part of a buffer without waiting.
    ///
    /// # Errors
    /// `WouldBlock`, and what the operating system says.
    pub fn try_recv_buf<B: BufMut + ?Sized>(&self, buffer: &mut B) -> io::Result<(usize, Option<SocketAddr>)> {
        self.try_io(Interest::READABLE, |raw| recv_uninit(raw, buffer))
    }
}
