//! Pipes: nameless ones, and FIFOs, which are pipes with a path.

use crate::io::{AsyncRead, AsyncWrite};
use crate::readiness::{descriptors, readiness};
use posse_core::io::{self, Interest, PipeReceiver, PipeSender};
use std::fs;
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Read, Result, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Opening a FIFO, or a descriptor, must not wait for its other end.
const NONBLOCK: i32 = io::O_NONBLOCK;

/// Makes a pipe: what is written to the first is read from the second.
///
/// # Errors
/// What the system says; an error outside of a runtime.
///
/// # Examples
/// ```
/// use posse::io::{AsyncReadExt, AsyncWriteExt};
/// use posse::net::unix::pipe;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (mut sender, mut receiver) = pipe::pipe()?;
/// sender.write_all(b"through").await?;
/// drop(sender);
/// let mut text = String::new();
/// receiver.read_to_string(&mut text).await?;
/// assert_eq!(text, "through");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn pipe() -> Result<(Sender, Receiver)> {
    let (sender, receiver) = io::pipe()?;
    Ok((Sender { socket: sender }, Receiver { socket: receiver }))
}

/// How a FIFO is opened.
///
/// # Examples
/// ```no_run
/// use posse::net::unix::pipe::OpenOptions;
///
/// # fn main() -> std::io::Result<()> {
/// let commands = OpenOptions::new().open_receiver("/run/service/commands")?;
/// # drop(commands); Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    read_write: bool,
}

/// The writing end of a pipe.
#[derive(Debug)]
pub struct Sender {
    socket: PipeSender,
}

/// The reading end of a pipe.
#[derive(Debug)]
pub struct Receiver {
    socket: PipeReceiver,
}

impl OpenOptions {
    /// Both ends are opened for themselves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether an end is opened as the other one too. A reader then never sees an end, and a writer never lacks a
    /// reader. Default: false. Linux alone promises that it works.
    pub fn read_write(&mut self, on: bool) -> &mut Self {
        self.read_write = on;
        self
    }

    /// Opens a FIFO for reading. This does not wait for a writer.
    ///
    /// # Errors
    /// `InvalidInput` for a file that is no FIFO; what the system says; an error outside of a runtime.
    pub fn open_receiver(&self, path: impl AsRef<Path>) -> Result<Receiver> {
        Receiver::from_owned_fd(self.open(path.as_ref(), true, self.read_write)?)
    }

    /// Opens a FIFO for writing.
    ///
    /// # Errors
    /// What the system says, such as that no process reads (ENXIO); `InvalidInput` for a file that is no FIFO; an error outside
    /// of a runtime.
    pub fn open_sender(&self, path: impl AsRef<Path>) -> Result<Sender> {
        Sender::from_owned_fd(self.open(path.as_ref(), self.read_write, true)?)
    }

    fn open(&self, path: &Path, read: bool, write: bool) -> Result<OwnedFd> {
        let file = fs::OpenOptions::new().read(read).write(write).custom_flags(NONBLOCK).open(path)?;
        if file.metadata()?.file_type().is_fifo() {
            Ok(file.into())
        } else {
            Err(Error::new(ErrorKind::InvalidInput, format!("{} is no FIFO", path.display())))
        }
    }
}

impl Sender {
    /// Takes over a descriptor of a pipe's writing end.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_owned_fd(descriptor: OwnedFd) -> Result<Self> {
        PipeSender::from_fd(descriptor).map(|socket| Self { socket })
    }

    /// Gives the descriptor back; it blocks from then on.
    ///
    /// # Errors
    /// What the system says.
    pub fn into_blocking_fd(self) -> Result<OwnedFd> {
        self.socket.into_fd(false)
    }

    /// Gives the descriptor back; it stays non-blocking.
    ///
    /// # Errors
    /// What the system says.
    pub fn into_nonblocking_fd(self) -> Result<OwnedFd> {
        self.socket.into_fd(true)
    }

    /// Writes what fits without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing does.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize> {
        self.socket.try_io(Interest::WRITABLE, |mut pipe| pipe.write(bytes))
    }
}

impl Receiver {
    /// Takes over a descriptor of a pipe's reading end.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_owned_fd(descriptor: OwnedFd) -> Result<Self> {
        PipeReceiver::from_fd(descriptor).map(|socket| Self { socket })
    }

    /// Gives the descriptor back; it blocks from then on.
    ///
    /// # Errors
    /// What the system says.
    pub fn into_blocking_fd(self) -> Result<OwnedFd> {
        self.socket.into_fd(false)
    }

    /// Gives the descriptor back; it stays non-blocking.
    ///
    /// # Errors
    /// What the system says.
    pub fn into_nonblocking_fd(self) -> Result<OwnedFd> {
        self.socket.into_fd(true)
    }

    /// Reads what is there without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.socket.try_io(Interest::READABLE, |mut pipe| pipe.read(buffer))
    }
}

impl AsyncWrite for Sender {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.socket.poll_write_io(cx, |mut pipe| pipe.write(bytes))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        self.socket.poll_write_io(cx, |mut pipe| pipe.write_vectored(buffers))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A pipe has no half to shut down: dropping the sender is the end.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Receiver {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        self.socket.poll_read_io(cx, |mut pipe| pipe.read(buffer))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<Result<usize>> {
        self.socket.poll_read_io(cx, |mut pipe| pipe.read_vectored(buffers))
    }
}

readiness!(Sender: any write);
readiness!(Receiver: any read);
descriptors!(Sender, Receiver);
