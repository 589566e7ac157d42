//! Buffers between a caller of small steps and a source or sink of large ones.

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use posse_core::task::coop::poll_proceed;
use std::io::{ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes of a buffer unless said otherwise.
const CAPACITY_BYTES: usize = 8 * 1024;

/// Reads large pieces from a source and gives out small ones.
#[derive(Debug)]
pub struct BufReader<R> {
    pub(super) inner: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<R> BufReader<R> {
    /// Buffers 8 KiB.
    pub fn new(inner: R) -> Self {
        Self::with_capacity(CAPACITY_BYTES, inner)
    }

    /// Buffers `capacity` bytes.
    pub fn with_capacity(capacity: usize, inner: R) -> Self {
        Self { inner, buffer: vec![0; capacity.max(1)].into(), start: 0, end: 0 }
    }

    /// Returns what was read from the source and not given out yet.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Returns the source.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Returns the source. Reading from it directly skips what is buffered.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Returns the source; what is buffered is lost.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Forgets what is buffered.
    pub(super) fn discard(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for BufReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        // A caller with as much room as the buffer has saves the copy.
        if self.start == self.end && buffer.len() >= self.buffer.len() {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let len = available.len().min(buffer.len());
        buffer[..len].copy_from_slice(&available[..len]);
        self.consume(len);
        Poll::Ready(Ok(len))
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for BufReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        let this = self.get_mut();
        if this.start == this.end {
            this.end = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut this.buffer))?;
            this.start = 0;
        }
        Poll::Ready(Ok(&this.buffer[this.start..this.end]))
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
    }
}

impl<R: AsyncWrite + Unpin> AsyncWrite for BufReader<R> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// Collects small writes and sends large ones. What is not flushed is lost when it is dropped.
#[derive(Debug)]
pub struct BufWriter<W> {
    pub(super) inner: W,
    buffer: Vec<u8>,
    capacity: usize,
    sent: usize,
}

impl<W> BufWriter<W> {
    /// Buffers 8 KiB.
    pub fn new(inner: W) -> Self {
        Self::with_capacity(CAPACITY_BYTES, inner)
    }

    /// Buffers `capacity` bytes.
    pub fn with_capacity(capacity: usize, inner: W) -> Self {
        Self { inner, buffer: Vec::with_capacity(capacity.max(1)), capacity: capacity.max(1), sent: 0 }
    }

    /// Returns what has not been sent on.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    /// Returns the sink.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// Returns the sink. Writing to it directly overtakes what is buffered.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Returns the sink; what was not flushed is lost.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: AsyncWrite + Unpin> BufWriter<W> {
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.sent < self.buffer.len() {
            let progress = ready!(poll_proceed(cx));
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.buffer[self.sent..]))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
            progress.made_progress();
        }
        self.buffer.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for BufWriter<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        // No room beside what waits, which goes first. How far it has come is kept: a write that is dropped leaves the rest to the next one.
        if self.buffer.len() + bytes.len() > self.capacity {
            ready!(self.poll_send(cx))?;
        }
        // It would fill the buffer at once, which is empty here.
        if bytes.len() >= self.capacity {
            return Pin::new(&mut self.inner).poll_write(cx, bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
