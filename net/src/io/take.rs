//! A source cut off after a number of bytes, and two sources one after the other.

use futures_io::{AsyncBufRead, AsyncRead};
use std::io::{IoSliceMut, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A source that ends after a number of bytes; see [`AsyncReadExt::take`](super::AsyncReadExt::take).
#[derive(Debug)]
pub struct Take<R> {
    inner: R,
    limit: u64,
}

impl<R> Take<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self { inner, limit }
    }

    /// Returns how many bytes may still be read.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Sets how many bytes may still be read.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Returns the source.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Returns the source. What is read from it directly does not count.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Returns the source.
    pub fn into_inner(self) -> R {
        self.inner
    }

    fn max(&self, len: usize) -> usize {
        usize::try_from(self.limit).map_or(len, |limit| limit.min(len))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Take<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        // At the limit the source is not asked: it might wait for what is not wanted.
        let max = self.max(buffer.len());
        if max == 0 {
            return Poll::Ready(Ok(0));
        }
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer[..max]))?;
        self.limit = self.limit.saturating_sub(read as u64);
        Poll::Ready(Ok(read))
    }
}

impl<R: AsyncBufRead + Unpin> AsyncBufRead for Take<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        let this = self.get_mut();
        if this.limit == 0 {
            return Poll::Ready(Ok(&[]));
        }
        let limit = this.limit;
        let available = ready!(Pin::new(&mut this.inner).poll_fill_buf(cx))?;
        let max = usize::try_from(limit).map_or(available.len(), |limit| limit.min(available.len()));
        Poll::Ready(Ok(&available[..max]))
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        // A caller may say more than it was shown.
        let used = self.max(bytes);
        self.limit -= used as u64;
        Pin::new(&mut self.inner).consume(used);
    }
}

/// A source behind another one; see [`AsyncReadExt::chain`](super::AsyncReadExt::chain).
#[derive(Debug)]
pub struct Chain<A, B> {
    first: A,
    second: B,
    first_ended: bool,
}

impl<A, B> Chain<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self { first, second, first_ended: false }
    }

    /// Returns the sources.
    pub fn get_ref(&self) -> (&A, &B) {
        (&self.first, &self.second)
    }

    /// Returns the sources.
    pub fn get_mut(&mut self) -> (&mut A, &mut B) {
        (&mut self.first, &mut self.second)
    }

    /// Returns the sources.
    pub fn into_inner(self) -> (A, B) {
        (self.first, self.second)
    }
}

impl<A: AsyncRead + Unpin, B: AsyncRead + Unpin> AsyncRead for Chain<A, B> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        // Into no room a read says zero as well, which is no end.
        if !self.first_ended && !buffer.is_empty() {
            match ready!(Pin::new(&mut self.first).poll_read(cx, buffer))? {
                0 => self.first_ended = true,
                read => return Poll::Ready(Ok(read)),
            }
        }
        Pin::new(&mut self.second).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<Result<usize>> {
        if !self.first_ended && buffers.iter().any(|buffer| !buffer.is_empty()) {
            match ready!(Pin::new(&mut self.first).poll_read_vectored(cx, buffers))? {
                0 => self.first_ended = true,
                read => return Poll::Ready(Ok(read)),
            }
        }
        Pin::new(&mut self.second).poll_read_vectored(cx, buffers)
    }
}

impl<A: AsyncBufRead + Unpin, B: AsyncBufRead + Unpin> AsyncBufRead for Chain<A, B> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        let this = self.get_mut();
        if !this.first_ended {
            this.first_ended = ready!(Pin::new(&mut this.first).poll_fill_buf(cx))?.is_empty();
        }
        if this.first_ended {
            Pin::new(&mut this.second).poll_fill_buf(cx)
        } else {
            Pin::new(&mut this.first).poll_fill_buf(cx)
        }
    }

    fn consume(mut self: Pin<&mut Self>, bytes: usize) {
        if self.first_ended {
            Pin::new(&mut self.second).consume(bytes);
        } else {
            Pin::new(&mut self.first).consume(bytes);
        }
    }
}
