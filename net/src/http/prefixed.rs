//! A connection whose first bytes were read already, to see which version of HTTP it speaks.

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use posse_core::sync::OwnedPermit;
use std::future::poll_fn;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection with the bytes that were read ahead, and its place among the connections of the server: what a handler takes over by
/// an upgrade counts as long as it is open.
pub(super) struct Prefixed<I> {
    stream: I,
    prefix: [u8; PREFACE.len()],
    read: usize,
    given: usize,
    _permit: OwnedPermit,
}

/// What the first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
    /// The client left without a word.
    Silent,
}

impl<I: Read + Unpin> Prefixed<I> {
    pub(super) fn new(stream: I, permit: OwnedPermit) -> Self {
        Self { stream, prefix: [0; PREFACE.len()], read: 0, given: 0, _permit: permit }
    }

    /// Reads until it is clear which version the client speaks.
    pub(super) async fn version(&mut self) -> Result<Version> {
        while self.read < PREFACE.len() && self.prefix[..self.read] == PREFACE[..self.read] {
            let read = poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut self.prefix[self.read..]);
                ready!(Pin::new(&mut self.stream).poll_read(cx, buffer.unfilled()))?;
                Poll::Ready(Result::Ok(buffer.filled().len()))
            });
            match read.await? {
                0 => break,
                count => self.read += count,
            }
        }
        Ok(match self.read {
            0 => Version::Silent,
            _ if self.prefix == *PREFACE => Version::Http2,
            _ => Version::Http1,
        })
    }
}

impl<I: Read + Unpin> Read for Prefixed<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        let ahead = &this.prefix[this.given..this.read];
        if ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }

        let ahead = &ahead[..ahead.len().min(buffer.remaining())];
        buffer.put_slice(ahead);
        this.given += ahead.len();
        Poll::Ready(Ok(()))
    }
}

impl<I: Write + Unpin> Write for Prefixed<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }
}
