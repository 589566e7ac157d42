//! Sources of bytes as streams of buffers, and streams of buffers as sources of bytes.

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use futures_io::{AsyncBufRead, AsyncRead};
use posse_core::task::coop::poll_proceed;
use std::io::{Error, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes asked for at once unless said otherwise.
const CAPACITY_BYTES: usize = 8 * 1024;

/// The bytes of a source as a stream of buffers. It ends with the source, and after an error.
///
/// # Examples
/// ```
/// use futures_core::Stream;
/// use posse::io::ReaderStream;
/// use std::future::poll_fn;
/// use std::pin::Pin;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut stream = ReaderStream::with_capacity(&b"four more"[..], 4);
/// let mut pieces = Vec::new();
/// while let Some(piece) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
///     pieces.push(piece?);
/// }
/// assert_eq!(pieces, [&b"four"[..], b" mor", b"e"]);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct ReaderStream<R> {
    /// `None` after the end.
    reader: Option<R>,
    buffer: BytesMut,
    capacity: usize,
}

impl<R> ReaderStream<R> {
    /// Reads up to 8 KiB at once.
    pub fn new(reader: R) -> Self {
        Self::with_capacity(reader, CAPACITY_BYTES)
    }

    /// Reads up to `capacity` bytes at once, at least one.
    pub fn with_capacity(reader: R, capacity: usize) -> Self {
        Self { reader: Some(reader), buffer: BytesMut::new(), capacity: capacity.max(1) }
    }
}

impl<R: AsyncRead + Unpin> Stream for ReaderStream<R> {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(reader) = &mut this.reader else { return Poll::Ready(None) };
        let progress = ready!(poll_proceed(cx));
        // The buffer stays, initialised, while the source has nothing.
        this.buffer.resize(this.capacity, 0);
        let read = ready!(Pin::new(reader).poll_read(cx, &mut this.buffer));
        progress.made_progress();
        // After the end, or an error, the source is gone: it is not asked again.
        match read {
            Ok(0) => this.reader = None,
            Ok(read) => return Poll::Ready(Some(Ok(this.buffer.split_to(read).freeze()))),
            Err(error) => {
                this.reader = None;
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(None)
    }
}

/// A stream of buffers as a source of bytes.
///
/// # Examples
/// ```
/// use posse::io::{AsyncReadExt, ReaderStream, StreamReader};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let pieces = ReaderStream::with_capacity(&b"there and back"[..], 4);
/// let mut text = String::new();
/// StreamReader::new(pieces).read_to_string(&mut text).await?;
/// assert_eq!(text, "there and back");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct StreamReader<S, B> {
    stream: S,
    /// What is not read yet of the last buffer.
    rest: Option<B>,
}

impl<S, B> StreamReader<S, B> {
    /// Reads from a stream of results.
    pub fn new(stream: S) -> Self {
        Self { stream, rest: None }
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the stream.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns the stream, and what was not read of the last buffer.
    pub fn into_inner(self) -> (S, Option<B>) {
        (self.stream, self.rest)
    }
}

impl<S, B, E> AsyncRead for StreamReader<S, B>
where
    S: Stream<Item = std::result::Result<B, E>> + Unpin,
    B: Buf + Unpin,
    E: Into<Error>,
{
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let len = available.len().min(buffer.len());
        buffer[..len].copy_from_slice(&available[..len]);
        self.consume(len);
        Poll::Ready(Ok(len))
    }
}

impl<S, B, E> AsyncBufRead for StreamReader<S, B>
where
    S: Stream<Item = std::result::Result<B, E>> + Unpin,
    B: Buf + Unpin,
    E: Into<Error>,
{
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        let this = self.get_mut();
        // Empty buffers are none: they would be the end to who reads.
        while this.rest.as_ref().is_none_or(|rest| !rest.has_remaining()) {
            let progress = ready!(poll_proceed(cx));
            this.rest = match ready!(Pin::new(&mut this.stream).poll_next(cx)) {
                Some(next) => Some(next.map_err(Into::into)?),
                None => return Poll::Ready(Ok(&[])),
            };
            progress.made_progress();
        }
        Poll::Ready(Ok(this.rest.as_ref().map_or(&[], Buf::chunk)))
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        if let Some(rest) = &mut self.rest {
            rest.advance(bytes.min(rest.remaining()));
        }
    }
}
