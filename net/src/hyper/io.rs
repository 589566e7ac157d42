//! Streams that are not ours, for hyper, and hyper's for ours.

use super::Spare;
use crate::io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The most bytes that one read through the wrapper asks for: the size of a TLS record. futures-io hands out initialised memory
/// alone, so what is asked for is filled with zeros first.
const READ_MAX: usize = 16 * 1024;

/// A stream of one family of traits as one of the other: what speaks futures-io (a TLS stream of futures-rustls) for hyper, and what
/// hyper gives away (an upgraded connection) for what speaks futures-io.
///
/// Sockets need it not: they implement both. Dropping a read or a write that is pending loses nothing that the stream does not lose.
///
/// # Examples
/// ```
/// use posse::hyper::Io;
/// use posse::io::{AsyncReadExt, AsyncWriteExt};
/// use posse::net::{TcpListener, TcpStream};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let mut client = TcpStream::connect(listener.local_addr()?).await?;
/// let (server, _) = listener.accept().await?;
///
/// // There and back again: to hyper's traits, and from them to futures-io's.
/// let mut wrapped = Io::new(Io::new(server));
/// client.write_all(b"hello").await?;
/// let mut text = [0; 5];
/// wrapped.read_exact(&mut text).await?;
/// assert_eq!(&text, b"hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Io<T>(T);

impl<T> Io<T> {
    /// Wraps a stream.
    pub fn new(stream: T) -> Self {
        Self(stream)
    }

    /// Returns the stream.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Returns the stream by reference.
    pub fn get_ref(&self) -> &T {
        &self.0
    }

    /// Returns the stream by mutable reference.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: AsyncRead + Unpin> Read for Io<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<Result<()>> {
        let mut spare = Spare::new(buffer);
        spare.fill(READ_MAX, |memory| Pin::new(&mut self.0).poll_read(cx, memory))
    }
}

impl<T: AsyncWrite + Unpin> Write for Io<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, buffers)
    }
}

impl<T: Read + Unpin> AsyncRead for Io<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.0).poll_read(cx, buffer.unfilled()))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<T: Write + Unpin> AsyncWrite for Io<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, buffers)
    }
}
