//! A stream buffered in both directions, and seeking through buffers.

use super::{BufReader, BufWriter};
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
use std::io::{IoSlice, IoSliceMut, Result, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Buffers both directions of a stream. What is not flushed is lost when it is dropped.
///
/// # Examples
/// ```
/// use posse::io::{AsyncBufReadExt, AsyncWriteExt, BufStream, duplex};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (ours, theirs) = duplex(64);
/// let (mut ours, mut theirs) = (BufStream::new(ours), BufStream::new(theirs));
/// ours.write_all(b"a line\n").await?;
/// ours.flush().await?;
/// let mut line = String::new();
/// theirs.read_line(80, &mut line).await?;
/// assert_eq!(line, "a line\n");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct BufStream<S>(BufReader<BufWriter<S>>);

impl<S> BufStream<S> {
    /// Buffers 8 KiB in each direction.
    pub fn new(stream: S) -> Self {
        Self(BufReader::new(BufWriter::new(stream)))
    }

    /// Buffers `read` and `write` bytes in the two directions.
    pub fn with_capacity(read: usize, write: usize, stream: S) -> Self {
        Self(BufReader::with_capacity(read, BufWriter::with_capacity(write, stream)))
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> &S {
        self.0.get_ref().get_ref()
    }

    /// Returns the stream. Reading from it skips what is buffered, and writing to it overtakes that.
    pub fn get_mut(&mut self) -> &mut S {
        self.0.get_mut().get_mut()
    }

    /// Returns the stream; what is buffered in either direction is lost.
    pub fn into_inner(self) -> S {
        self.0.into_inner().into_inner()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BufWriter<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_read_vectored(cx, buffers)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BufStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + Unpin> AsyncBufRead for BufStream<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        Pin::new(&mut self.get_mut().0).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        Pin::new(&mut self.0).consume(bytes);
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BufStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// The buffer is read ahead of where its reader stands, so a relative step starts earlier than the source would.
impl<R: AsyncRead + AsyncSeek + Unpin> AsyncSeek for BufReader<R> {
    fn poll_seek(mut self: Pin<&mut Self>, cx: &mut Context<'_>, position: SeekFrom) -> Poll<Result<u64>> {
        let ahead = self.buffer().len() as i64;
        let reached = match position {
            SeekFrom::Current(step) => match step.checked_sub(ahead) {
                Some(step) => ready!(Pin::new(&mut self.inner).poll_seek(cx, SeekFrom::Current(step)))?,
                None => {
                    // The step is so long that it takes two.
                    ready!(Pin::new(&mut self.inner).poll_seek(cx, SeekFrom::Current(-ahead)))?;
                    self.discard();
                    ready!(Pin::new(&mut self.inner).poll_seek(cx, SeekFrom::Current(step)))?
                }
            },
            absolute => ready!(Pin::new(&mut self.inner).poll_seek(cx, absolute))?,
        };
        self.discard();
        Poll::Ready(Ok(reached))
    }
}

/// What is buffered is written where the sink stands, before it moves.
impl<W: AsyncWrite + AsyncSeek + Unpin> AsyncSeek for BufWriter<W> {
    fn poll_seek(mut self: Pin<&mut Self>, cx: &mut Context<'_>, position: SeekFrom) -> Poll<Result<u64>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_seek(cx, position)
    }
}
