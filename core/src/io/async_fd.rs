//! Descriptors of others in our reactor.

use super::driver::interest::{Interest, Ready};
use super::driver::raw_socket::RawSocket;
use super::driver::readiness::ReadyEvent;
use super::os;
use super::socket::Socket;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll, ready};

/// A descriptor in the reactor, for libraries that bring their own.
///
/// It must be non-blocking, and of a kind that the event queue of the system takes: sockets, pipes, terminals, descriptors
/// of timers, processes, or devices; no files. It is closed when this is dropped if `T` closes it.
///
/// Wait until it is ready, try an operation, and say whether it would have blocked: [`AsyncFdReadyGuard::try_io`] does the
/// last, [`async_io`](Self::async_io) all three.
///
/// # Examples
/// ```
/// use posse::io::unix::AsyncFd;
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// # #[allow(clippy::disallowed_methods)]
/// # fn main() {
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (ours, mut theirs) = UnixStream::pair()?;
/// ours.set_nonblocking(true)?;
/// let ours = AsyncFd::new(ours)?;
/// theirs.write_all(b"hello")?;
/// let mut buffer = [0; 16];
/// let read = loop {
///     let mut guard = ours.readable().await?;
///     if let Ok(read) = guard.try_io(|fd| fd.get_ref().read(&mut buffer)) {
///         break read?;
///     }
/// };
/// assert_eq!(&buffer[..read], b"hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncFd<T: AsRawFd>(Socket<Fd<T>>);

/// A descriptor as the reactor holds it.
#[doc(hidden)]
pub struct Fd<T>(os::FdSource<T>);

impl<T: AsRawFd> RawSocket for Fd<T> {
    fn os(&mut self) -> Option<&mut dyn os::Source> {
        Some(&mut self.0)
    }
}

impl<T> fmt::Debug for Fd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fd").finish_non_exhaustive()
    }
}

impl<T: AsRawFd> AsyncFd<T> {
    /// Puts a descriptor into the current runtime's reactor, to wait for data and for room.
    ///
    /// # Errors
    /// What the system says, such as for a file; an error outside of a runtime, `Unsupported` in a simulation.
    pub fn new(inner: T) -> io::Result<Self> {
        Self::with_interest(inner, Interest::READABLE | Interest::WRITABLE)
    }

    /// As [`new`](Self::new), to wait for these conditions alone.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_interest(inner: T, interest: Interest) -> io::Result<Self> {
        Socket::new_not_ready(Fd(os::FdSource { inner, interest })).map(Self)
    }

    /// Returns what has the descriptor.
    pub fn get_ref(&self) -> &T {
        &self.0.0.inner
    }

    /// Takes the descriptor out of the reactor.
    pub fn into_inner(self) -> T {
        self.0.into_raw().0.inner
    }

    /// Waits until it is ready for any of these conditions.
    ///
    /// # Errors
    /// If the runtime has shut down.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn ready(&self, interest: Interest) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        let event = self.0.ready_event(interest).await?;
        Ok(AsyncFdReadyGuard { fd: self, event: Some(event) })
    }

    /// Waits until something, or the end, can be read.
    ///
    /// # Errors
    /// If the runtime has shut down.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::READABLE).await
    }

    /// Waits until something can be written.
    ///
    /// # Errors
    /// If the runtime has shut down.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, T>> {
        self.ready(Interest::WRITABLE).await
    }

    /// Polls until something, or the end, can be read. Of several tasks that poll, the last one is woken.
    ///
    /// # Errors
    /// If the runtime has shut down.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, T>>> {
        self.poll_ready(cx, Interest::READABLE)
    }

    /// Polls until something can be written. Of several tasks that poll, the last one is woken.
    ///
    /// # Errors
    /// If the runtime has shut down.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, T>>> {
        self.poll_ready(cx, Interest::WRITABLE)
    }

    fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<io::Result<AsyncFdReadyGuard<'_, T>>> {
        let event = ready!(self.0.poll_ready_event(cx, interest))?;
        Poll::Ready(Ok(AsyncFdReadyGuard { fd: self, event: Some(event) }))
    }

    /// Tries an operation, if it is ready, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if it is not ready, and what the operation says.
    pub fn try_io<R>(&self, interest: Interest, operation: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(interest, |fd| operation(&fd.0.inner))
    }

    /// Waits until it is ready and tries an operation, until that does not say `WouldBlock`.
    ///
    /// # Errors
    /// What the operation says; an error if the runtime has shut down.
    ///
    /// # Cancel safety
    /// An operation that did not succeed has done nothing.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.0.async_io(interest, |fd| operation(&fd.0.inner)).await
    }
}

impl<T: AsRawFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.get_ref().as_raw_fd()
    }
}

impl<T: AsRawFd + AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

/// Proof that a descriptor was seen ready. Clear it when an operation would have blocked, or every wait ends at once.
#[must_use = "a descriptor stays ready until the guard is told that an operation would have blocked"]
pub struct AsyncFdReadyGuard<'a, T: AsRawFd> {
    fd: &'a AsyncFd<T>,
    /// `None` once it was cleared.
    event: Option<ReadyEvent>,
}

/// The operation would have blocked, and the descriptor is not taken to be ready any more.
#[derive(Debug)]
pub struct TryIoError(());

impl<'a, T: AsRawFd> AsyncFdReadyGuard<'a, T> {
    /// Tries an operation. If it says `WouldBlock` the descriptor is ready no more, unless an event has come since.
    ///
    /// # Errors
    /// [`TryIoError`] if it would have blocked. What else the operation says is inside.
    pub fn try_io<R>(
        &mut self,
        operation: impl FnOnce(&'a AsyncFd<T>) -> io::Result<R>,
    ) -> Result<io::Result<R>, TryIoError> {
        match operation(self.fd) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear_ready();
                Err(TryIoError(()))
            }
            result => Ok(result),
        }
    }

    /// Says that an operation would have blocked.
    pub fn clear_ready(&mut self) {
        self.clear_ready_matching(Ready::ALL);
    }

    /// As [`clear_ready`](Self::clear_ready), for some of the conditions.
    pub fn clear_ready_matching(&mut self, ready: Ready) {
        if let Some(event) = self.event {
            self.fd.0.clear_ready_event(event, ready);
            self.event = event.without(ready);
        }
    }

    /// Says that nothing is known to block. The same as dropping the guard.
    pub fn retain_ready(&mut self) {}

    /// Returns what it was seen to be ready for.
    pub fn ready(&self) -> Ready {
        self.event.map_or(Ready::EMPTY, |event| event.ready)
    }

    /// Returns the descriptor.
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.fd
    }

    /// Returns what has the descriptor.
    pub fn get_inner(&self) -> &'a T {
        self.fd.get_ref()
    }
}

impl<T: AsRawFd> fmt::Debug for AsyncFdReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFdReadyGuard").field("ready", &self.ready()).finish_non_exhaustive()
    }
}

impl fmt::Display for TryIoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operation would have blocked")
    }
}

impl std::error::Error for TryIoError {}

/// Opens a descriptor of a process, which is readable from the end of the process on.
///
/// # Errors
/// `Unsupported` elsewhere than on Linux; what the system says, as that its kernel is older than 5.3.
#[doc(hidden)]
pub fn pidfd(process: u32) -> io::Result<OwnedFd> {
    os::pidfd(process)
}
