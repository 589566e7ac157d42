//! The two directions of any stream, apart, and put together again.
//!
//! The halves share the stream by taking it out of a slot for the time of one poll, so the stream's own code never runs
//! under a lock. A half that finds the slot empty waits until the other one has put the stream back. Sockets have halves
//! of their own that share nothing but a reference.

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use posse_core::lock::Mutex;
use posse_core::sync::wait_list::{PollWaker, TakenWaker, WaitKind, WakerSlot};
use std::fmt;
use std::io::{IoSlice, IoSliceMut, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Splits a stream into a reading and a writing half, which may go to different tasks.
///
/// Dropping a half ends nothing: shut the writing half down to send an end.
///
/// # Examples
/// ```
/// use posse::io::{self, AsyncReadExt, AsyncWriteExt};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (ours, mut theirs) = io::duplex(64);
/// let (mut read, mut write) = io::split(ours);
/// write.write_all(b"ping").await?;
/// theirs.write_all(b"pong").await?;
/// let mut bytes = [0; 4];
/// read.read_exact(&mut bytes).await?;
/// assert_eq!(&bytes, b"pong");
/// assert!(read.is_pair_of(&write));
/// let _ours = read.unsplit(write).expect("they are of the same stream");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn split<T: AsyncRead + AsyncWrite>(stream: T) -> (ReadHalf<T>, WriteHalf<T>) {
    let slot = Slot { stream: Some(Box::pin(stream)), waiting: Default::default() };
    let shared = Arc::new(Shared(Mutex::new(slot)));
    (ReadHalf(shared.clone()), WriteHalf(shared))
}

/// The reading half of any stream; see [`split`].
pub struct ReadHalf<T>(Arc<Shared<T>>);

/// The writing half of any stream; see [`split`].
pub struct WriteHalf<T>(Arc<Shared<T>>);

/// Halves that are not of the same stream; they are given back. See [`ReadHalf::unsplit`].
pub struct UnsplitError<T>(pub ReadHalf<T>, pub WriteHalf<T>);

impl<T> ReadHalf<T> {
    /// Returns whether the two are halves of one stream.
    pub fn is_pair_of(&self, other: &WriteHalf<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Puts the halves together again.
    ///
    /// # Errors
    /// [`UnsplitError`] with both halves if they are not of the same stream.
    pub fn unsplit(self, write: WriteHalf<T>) -> std::result::Result<T, UnsplitError<T>>
    where
        T: Unpin,
    {
        if !self.is_pair_of(&write) {
            return Err(UnsplitError(self, write));
        }
        let stream = self.0.0.lock().stream.take();
        // The slot is empty only during a poll, which borrows one of the halves.
        stream.map(|stream| *Pin::into_inner(stream)).ok_or(UnsplitError(self, write))
    }
}

impl<T> WriteHalf<T> {
    /// Returns whether the two are halves of one stream.
    pub fn is_pair_of(&self, other: &ReadHalf<T>) -> bool {
        other.is_pair_of(self)
    }
}

struct Shared<T>(Mutex<Slot<T>>);

struct Slot<T> {
    /// Empty while a half polls the stream.
    stream: Option<Pin<Box<T>>>,
    /// The halves that found it empty, by [`Side`].
    waiting: [WakerSlot; 2],
}

#[derive(Clone, Copy)]
enum Side {
    Read,
    Write,
}

/// The stream, out of its slot for one poll. It goes back however the poll ends.
struct Taken<'a, T> {
    shared: &'a Shared<T>,
    stream: Option<Pin<Box<T>>>,
}

impl<T> Shared<T> {
    fn poll<R>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let mut waker = PollWaker::of(cx, WaitKind::Stream);
        let mut slot = self.0.lock();
        // The other half has it for a poll, and wakes those who came meanwhile when it puts it back.
        let Some(stream) = slot.stream.take() else {
            let prev = slot.waiting[side as usize].register(&mut waker);
            drop(slot);
            drop(prev);
            return Poll::Pending;
        };
        drop(slot);

        // From here on foreign code runs, without the lock; if it panics the guard puts the stream back.
        let mut taken = Taken { shared: self, stream: Some(stream) };
        match &mut taken.stream {
            Some(stream) => poll(stream.as_mut(), cx),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        let mut slot = self.shared.0.lock();
        slot.stream = self.stream.take();
        let waiting = slot.waiting.each_mut().map(WakerSlot::take);
        drop(slot);
        waiting.into_iter().for_each(TakenWaker::wake);
    }
}

impl<T: AsyncRead> AsyncRead for ReadHalf<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        self.0.poll(Side::Read, cx, |stream, cx| stream.poll_read(cx, buffer))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<Result<usize>> {
        self.0.poll(Side::Read, cx, |stream, cx| stream.poll_read_vectored(cx, buffers))
    }
}

impl<T: AsyncWrite> AsyncWrite for WriteHalf<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.0.poll(Side::Write, cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        self.0.poll(Side::Write, cx, |stream, cx| stream.poll_write_vectored(cx, buffers))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll(Side::Write, cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll(Side::Write, cx, |stream, cx| stream.poll_close(cx))
    }
}

impl<T> fmt::Debug for ReadHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for WriteHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for UnsplitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsplitError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for UnsplitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of the same stream")
    }
}

impl<T> std::error::Error for UnsplitError<T> {}

/// Makes one stream of a source and a sink.
///
/// # Examples
/// ```
/// use posse::io::{self, AsyncReadExt, AsyncWriteExt};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut stream = io::join(&b"from here"[..], Vec::new());
/// stream.write_all(b"to there").await?;
/// let mut text = String::new();
/// stream.read_to_string(&mut text).await?;
/// let (_, written) = stream.into_inner();
/// assert_eq!((&text[..], &written[..]), ("from here", &b"to there"[..]));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn join<R, W>(reader: R, writer: W) -> Join<R, W> {
    Join { reader, writer }
}

/// A source and a sink as one stream; see [`join`].
#[derive(Debug)]
pub struct Join<R, W> {
    reader: R,
    writer: W,
}

impl<R, W> Join<R, W> {
    /// Returns the source.
    pub fn reader(&self) -> &R {
        &self.reader
    }

    /// Returns the source.
    pub fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Returns the sink.
    pub fn writer(&self) -> &W {
        &self.writer
    }

    /// Returns the sink.
    pub fn writer_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// Returns both.
    pub fn into_inner(self) -> (R, W) {
        (self.reader, self.writer)
    }
}

impl<R: AsyncRead + Unpin, W: Unpin> AsyncRead for Join<R, W> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.reader).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.reader).poll_read_vectored(cx, buffers)
    }
}

impl<R: AsyncBufRead + Unpin, W: Unpin> AsyncBufRead for Join<R, W> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        Pin::new(&mut self.get_mut().reader).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        Pin::new(&mut self.reader).consume(bytes);
    }
}

impl<R: Unpin, W: AsyncWrite + Unpin> AsyncWrite for Join<R, W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.writer).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.writer).poll_close(cx)
    }
}
