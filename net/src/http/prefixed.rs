//! A connection whose first bytes were read already, to see which version of HTTP it speaks.

use super::standstill::Standstill;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use posse_core::sync::OwnedSemaphorePermit;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection with the bytes that were read ahead, and its place among the connections of the server: what a handler takes over by
/// an upgrade counts as long as it is open.
pub(super) struct Prefixed<I> {
    stream: I,
    prefix: [u8; PREFACE.len()],
    read: usize,
    given: usize,
    /// The client takes nothing of what is written.
    writing: Standstill,
    _permit: OwnedSemaphorePermit,
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
    pub(super) fn new(stream: I, permit: OwnedSemaphorePermit, write_timeout: Duration) -> Self {
        let writing = Standstill::new(write_timeout);
        Self { stream, prefix: [0; PREFACE.len()], read: 0, given: 0, writing, _permit: permit }
    }

    /// Reads until it is clear which version the client speaks.
    pub(super) async fn version(&mut self) -> Result<Version> {
        // The first byte that differs decides: a client of version 1 need not send as many as the preface has.
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
        // The bytes that told the version belong to the conversation.
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

impl<I: Write + Unpin> Prefixed<I> {
    /// Writes, and ends the wait for a client that takes nothing.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut I>, &mut Context<'_>) -> Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        // The time counts only while the client takes nothing.
        let written = write(Pin::new(&mut self.stream), cx);
        if written.is_ready() {
            self.writing.moved();
            return written;
        }
        self.writing.poll(cx).map(|()| Err(Error::new(ErrorKind::TimedOut, "the client reads nothing")))
    }
}

impl<I: Write + Unpin> Write for Prefixed<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.write(cx, Write::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.write(cx, Write::poll_shutdown)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.write(cx, |stream, cx| stream.poll_write_vectored(cx, buffers))
    }
}
