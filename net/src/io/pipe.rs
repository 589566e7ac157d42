//! Pipes in memory: one way, or both. For tests, and for joining what reads to what writes inside of a program.

use futures_io::{AsyncRead, AsyncWrite};
use posse_core::lock::Mutex;
use posse_core::sync::wait_list::{PollWaker, WaitKind, WakerSlot};
use posse_core::task::coop::poll_proceed;
use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Result};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Makes two streams of which each reads what the other writes. In each direction at most `max` bytes (at least one) are
/// on their way; who writes more waits.
///
/// Dropping a stream, or shutting it down, is the end for the other one's reads; writes to a stream that is gone are
/// `BrokenPipe`.
///
/// # Examples
/// ```
/// use posse::io::{AsyncReadExt, AsyncWriteExt, duplex};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (mut client, mut server) = duplex(64);
/// client.write_all(b"ping").await?;
/// client.shutdown().await?;
/// let mut text = String::new();
/// server.read_to_string(&mut text).await?;
/// assert_eq!(text, "ping");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn duplex(max: usize) -> (DuplexStream, DuplexStream) {
    let (here_read, there_write) = simplex(max);
    let (there_read, here_write) = simplex(max);
    let here = DuplexStream { read: here_read, write: here_write };
    (here, DuplexStream { read: there_read, write: there_write })
}

/// Makes a source that gives what is written to a sink. At most `max` bytes (at least one) are on their way; who writes
/// more waits.
///
/// Dropping the sink, or shutting it down, is the end for the source; writes to a source that is gone are `BrokenPipe`.
///
/// # Examples
/// ```
/// use posse::io::{AsyncReadExt, AsyncWriteExt, simplex};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (mut source, mut sink) = simplex(64);
/// sink.write_all(b"one way").await?;
/// drop(sink);
/// let mut text = String::new();
/// source.read_to_string(&mut text).await?;
/// assert_eq!(text, "one way");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn simplex(max: usize) -> (SimplexReader, SimplexWriter) {
    let pipe = Arc::new(Pipe { state: Mutex::default(), max: max.max(1) });
    (SimplexReader(pipe.clone()), SimplexWriter(pipe))
}

/// One of two streams that are joined in memory; see [`duplex`].
#[derive(Debug)]
pub struct DuplexStream {
    read: SimplexReader,
    write: SimplexWriter,
}

/// The source of a pipe in memory; see [`simplex`].
pub struct SimplexReader(Arc<Pipe>);

/// The sink of a pipe in memory; see [`simplex`].
pub struct SimplexWriter(Arc<Pipe>);

struct Pipe {
    state: Mutex<State>,
    max: usize,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// The reader is gone.
    unread: bool,
    /// The writer is gone, or has shut down.
    ended: bool,
    /// Waits for bytes, or for the end.
    reader: WakerSlot,
    /// Waits for room.
    writer: WakerSlot,
}

impl Pipe {
    /// Takes bytes out by `take`, or waits for some.
    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut VecDeque<u8>) -> Result<usize>,
    ) -> Poll<Result<usize>> {
        let progress = ready!(poll_proceed(cx));
        let mut waker = PollWaker::of(cx, WaitKind::Stream);
        let mut state = self.state.lock();
        if state.bytes.is_empty() && !state.ended {
            let prev = state.reader.register(&mut waker);
            drop(state);
            drop(prev);
            return Poll::Pending;
        }

        // There is room now, or the end was seen. Who waits is woken after the lock.
        let read = take(&mut state.bytes);
        let writer = state.writer.take();
        drop(state);
        writer.wake();
        progress.made_progress();
        Poll::Ready(read)
    }

    /// Puts in as much as there is room for, or waits for some.
    fn poll_write(&self, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let progress = ready!(poll_proceed(cx));
        let mut waker = PollWaker::of(cx, WaitKind::Stream);
        let mut state = self.state.lock();
        // Before the look at the room: none would ever be made.
        if state.unread || state.ended {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let room = self.max - state.bytes.len();
        if room == 0 {
            let prev = state.writer.register(&mut waker);
            drop(state);
            drop(prev);
            return Poll::Pending;
        }

        // As much of all buffers together as there is room for.
        let before = state.bytes.len();
        state.bytes.extend(buffers.iter().flat_map(|buffer| buffer.iter()).take(room));
        let written = state.bytes.len() - before;
        let reader = state.reader.take();
        drop(state);
        reader.wake();
        progress.made_progress();
        Poll::Ready(Ok(written))
    }

    /// One side is gone: the other one sees it now, and does not wait any more.
    fn end(&self, end: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        end(&mut state);
        let (reader, writer) = (state.reader.take(), state.writer.take());
        drop(state);
        reader.wake();
        writer.wake();
    }
}

impl Drop for SimplexReader {
    fn drop(&mut self) {
        // What will not be read is dropped outside of the lock.
        let mut bytes = VecDeque::new();
        self.0.end(|state| {
            state.unread = true;
            bytes = mem::take(&mut state.bytes);
        });
    }
}

impl Drop for SimplexWriter {
    fn drop(&mut self) {
        self.0.end(|state| state.ended = true);
    }
}

impl AsyncRead for SimplexReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.0.poll_read(cx, |bytes| bytes.read(buffer))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<Result<usize>> {
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.0.poll_read(cx, |bytes| {
            let mut total = 0;
            for buffer in buffers {
                // A ring gives its first part, then its second.
                let mut rest = &mut buffer[..];
                while !rest.is_empty() && !bytes.is_empty() {
                    let read = bytes.read(rest)?;
                    rest = &mut rest[read..];
                    total += read;
                }
            }
            Ok(total)
        })
    }
}

impl AsyncWrite for SimplexWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.0.poll_write(cx, buffers)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.end(|state| state.ended = true);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for DuplexStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.read).poll_read(cx, buffer)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.read).poll_read_vectored(cx, buffers)
    }
}

impl AsyncWrite for DuplexStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.write).poll_write_vectored(cx, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.write).poll_close(cx)
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").field("max", &self.max).finish_non_exhaustive()
    }
}

impl fmt::Debug for SimplexReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimplexReader").field(&self.0).finish()
    }
}

impl fmt::Debug for SimplexWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimplexWriter").field(&self.0).finish()
    }
}
