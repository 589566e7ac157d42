//! Sources and sinks without anything behind them: nothing, one byte for ever, and what swallows everything.

use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
use posse_core::task::coop::poll_proceed;
use std::io::{IoSlice, Result, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Makes a source that is at its end, and a sink that swallows everything.
///
/// # Examples
/// ```
/// use posse::io::{AsyncReadExt, empty};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// assert_eq!(empty().read(&mut [0; 8]).await?, 0);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn empty() -> Empty {
    Empty(())
}

/// Makes a source that gives one byte for ever.
///
/// # Examples
/// ```
/// use posse::io::{AsyncReadExt, repeat};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut bytes = [0; 3];
/// repeat(7).read_exact(&mut bytes).await?;
/// assert_eq!(bytes, [7; 3]);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn repeat(byte: u8) -> Repeat {
    Repeat(byte)
}

/// Makes a sink that swallows everything.
///
/// # Examples
/// ```
/// use posse::io::{copy, sink};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// assert_eq!(copy(&mut &b"gone"[..], &mut sink()).await?, 4);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn sink() -> Sink {
    Sink(())
}

/// A source at its end, and a sink that swallows everything; see [`empty`].
#[derive(Clone, Debug)]
pub struct Empty(());

/// A source of one byte for ever; see [`repeat`].
#[derive(Clone, Debug)]
pub struct Repeat(u8);

/// A sink that swallows everything; see [`sink`].
#[derive(Clone, Debug)]
pub struct Sink(());

/// What is always ready spends the budget of a task that loops over it.
fn poll_ready<T>(cx: &mut Context<'_>, value: T) -> Poll<Result<T>> {
    ready!(poll_proceed(cx)).made_progress();
    Poll::Ready(Ok(value))
}

impl AsyncRead for Empty {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut [u8]) -> Poll<Result<usize>> {
        poll_ready(cx, 0)
    }
}

impl AsyncBufRead for Empty {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<&[u8]>> {
        Poll::Ready(Ok(&[]))
    }

    fn consume(self: Pin<&mut Self>, _: usize) {}
}

impl AsyncSeek for Empty {
    fn poll_seek(self: Pin<&mut Self>, cx: &mut Context<'_>, _: SeekFrom) -> Poll<Result<u64>> {
        poll_ready(cx, 0)
    }
}

impl AsyncRead for Repeat {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        ready!(poll_ready(cx, ()))?;
        buffer.fill(self.0);
        Poll::Ready(Ok(buffer.len()))
    }
}

macro_rules! swallows {
    ($($ty:ty),*) => {$(
        impl AsyncWrite for $ty {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
                poll_ready(cx, bytes.len())
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<Result<usize>> {
                poll_ready(cx, buffers.iter().map(|buffer| buffer.len()).sum())
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
    )*};
}

swallows!(Empty, Sink);
