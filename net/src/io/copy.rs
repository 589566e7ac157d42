//! Moving everything from one stream to another.

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use posse_core::task::coop::poll_proceed;
use std::future::poll_fn;
use std::io::{ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes on their way at once, in each direction.
const CAPACITY_BYTES: usize = 8 * 1024;

/// One direction of a copy.
struct CopyBuffer {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    at_end: bool,
    unflushed: bool,
    closed: bool,
    total: u64,
}

impl CopyBuffer {
    fn new(capacity: usize) -> Self {
        let buffer = vec![0; capacity.max(1)].into();
        Self { buffer, start: 0, end: 0, at_end: false, unflushed: false, closed: false, total: 0 }
    }

    /// Copies until the end of the source, and flushes whenever the source has nothing for now.
    fn poll<R, W>(&mut self, cx: &mut Context<'_>, reader: &mut R, writer: &mut W) -> Poll<Result<u64>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            let progress = ready!(poll_proceed(cx));
            if self.start < self.end {
                match ready!(Pin::new(&mut *writer).poll_write(cx, &self.buffer[self.start..self.end]))? {
                    0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    written => self.start += written,
                }
                self.unflushed = true;
                progress.made_progress();
                continue;
            }
            if self.at_end {
                ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                return Poll::Ready(Ok(self.total));
            }

            // Nothing is left in the buffer, so all of it is free.
            match Pin::new(&mut *reader).poll_read(cx, &mut self.buffer)? {
                Poll::Ready(0) => self.at_end = true,
                Poll::Ready(read) => {
                    (self.start, self.end) = (0, read);
                    self.total += read as u64;
                    progress.made_progress();
                }
                Poll::Pending => {
                    // Nothing more comes for now: who waits at the other side must not wait for what a sink holds back.
                    if self.unflushed {
                        ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// As [`poll`](Self::poll), then passes the end on.
    fn poll_to_close<R, W>(&mut self, cx: &mut Context<'_>, reader: &mut R, writer: &mut W) -> Poll<Result<u64>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        if !self.closed {
            ready!(self.poll(cx, reader, writer))?;
            ready!(Pin::new(writer).poll_close(cx))?;
            self.closed = true;
        }
        Poll::Ready(Ok(self.total))
    }
}

/// Copies from `reader` to `writer` up to the end. Returns the number of bytes. The writer is flushed, not shut down.
///
/// # Errors
/// What either side says.
///
/// # Cancel safety
/// Not cancel safe: up to 8 KiB may have been read and not written.
pub async fn copy<R, W>(reader: &mut R, writer: &mut W) -> Result<u64>
where
    R: AsyncRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    let mut buffer = CopyBuffer::new(CAPACITY_BYTES);
    poll_fn(|cx| buffer.poll(cx, reader, writer)).await
}

/// As [`copy`](super::copy), from a source that has a buffer of its own, which is used instead of another one.
///
/// # Errors
/// What either side says.
///
/// # Cancel safety
/// No byte is lost: what was not written is still in the reader. What was written may not have been flushed, and its number is lost.
///
/// # Examples
/// ```
/// use posse::io::{BufReader, copy_buf};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut written = Vec::new();
/// let mut reader = BufReader::new(&b"all of it"[..]);
/// assert_eq!(copy_buf(&mut reader, &mut written).await?, 9);
/// assert_eq!(written, b"all of it");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn copy_buf<R, W>(reader: &mut R, writer: &mut W) -> Result<u64>
where
    R: AsyncBufRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    let mut total = 0;
    let mut unflushed = false;
    poll_fn(|cx| {
        loop {
            let progress = ready!(poll_proceed(cx));
            let Poll::Ready(available) = Pin::new(&mut *reader).poll_fill_buf(cx)? else {
                if unflushed {
                    ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                    unflushed = false;
                }
                return Poll::Pending;
            };
            if available.is_empty() {
                ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                return Poll::Ready(Ok(total));
            }

            // Taken out only once it is written: the one that drops this future finds the rest in the reader.
            let written = ready!(Pin::new(&mut *writer).poll_write(cx, available))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            Pin::new(&mut *reader).consume(written);
            total += written as u64;
            unflushed = true;
            progress.made_progress();
        }
    })
    .await
}

/// Copies both ways until both directions have ended; each end is passed on. Returns the bytes from `a` and from `b`.
///
/// # Errors
/// What either side says.
///
/// # Cancel safety
/// Not cancel safe: up to 8 KiB in each direction may have been read and not written.
pub async fn copy_bidirectional<A, B>(a: &mut A, b: &mut B) -> Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    copy_bidirectional_with_sizes(a, b, CAPACITY_BYTES, CAPACITY_BYTES).await
}

/// As [`copy_bidirectional`], with buffers of the given sizes in bytes (at least one) for each direction instead of 8 KiB.
///
/// # Errors
/// What either side says.
///
/// # Cancel safety
/// Not cancel safe: what is in the buffers is lost.
pub async fn copy_bidirectional_with_sizes<A, B>(
    a: &mut A,
    b: &mut B,
    a_to_b: usize,
    b_to_a: usize,
) -> Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (mut forth, mut back) = (CopyBuffer::new(a_to_b), CopyBuffer::new(b_to_a));
    let mut back_first = true;
    poll_fn(|cx| {
        // A direction that never waits spends the budget, so they take turns at being first.
        back_first = !back_first;
        let (sent, received);
        if back_first {
            received = back.poll_to_close(cx, b, a)?;
            sent = forth.poll_to_close(cx, a, b)?;
        } else {
            sent = forth.poll_to_close(cx, a, b)?;
            received = back.poll_to_close(cx, b, a)?;
        }
        // Each keeps its total, so the one that has ended may be polled again.
        match (sent, received) {
            (Poll::Ready(sent), Poll::Ready(received)) => Poll::Ready(Ok((sent, received))),
            _ => Poll::Pending,
        }
    })
    .await
}
