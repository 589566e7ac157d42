//! A stream for code that blocks: the traits of std over those of this crate.

use super::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
use posse_core::runtime::Handle;
use std::future::Future;
use std::io::{BufRead, Error, IoSlice, IoSliceMut, Read, Result, Seek, SeekFrom, Write};

/// Implements std's blocking traits by waiting in a runtime; for use in `spawn_blocking` and in threads of the program.
///
/// Every call waits for as long as the stream takes. On a worker of the runtime that would be a deadlock; there every call
/// is an error.
///
/// # Examples
/// ```
/// use posse::task::spawn_blocking;
/// use posse::io::{AsyncReadExt, SyncIoBridge, duplex};
/// use std::io::Write;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (ours, mut theirs) = duplex(64);
/// let mut blocking = SyncIoBridge::new(ours);
/// spawn_blocking(move || writeln!(blocking, "{} lines", 3)).await.expect("no panic")?;
/// let mut text = String::new();
/// theirs.read_to_string(&mut text).await?;
/// assert_eq!(text, "3 lines\n");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct SyncIoBridge<T> {
    stream: T,
    runtime: Handle,
}

impl<T> SyncIoBridge<T> {
    /// Waits in the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn new(stream: T) -> Self {
        Self::new_with_handle(stream, Handle::current())
    }

    /// Waits in the given runtime.
    pub fn new_with_handle(stream: T, runtime: Handle) -> Self {
        Self { stream, runtime }
    }

    /// Returns the stream.
    pub fn into_inner(self) -> T {
        self.stream
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> &T {
        &self.stream
    }

    /// Returns the stream.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.stream
    }
}

fn wait<R>(runtime: &Handle, future: impl Future<Output = Result<R>>) -> Result<R> {
    runtime.try_block_on(future).map_err(Error::other)?
}

impl<T: AsyncWrite + Unpin> SyncIoBridge<T> {
    /// Sends on what is buffered and ends the writing direction.
    ///
    /// # Errors
    /// What the stream says.
    pub fn shutdown(&mut self) -> Result<()> {
        wait(&self.runtime, self.stream.shutdown())
    }
}

impl<T: AsyncRead + Unpin> Read for SyncIoBridge<T> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        wait(&self.runtime, self.stream.read(buffer))
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> Result<usize> {
        wait(&self.runtime, self.stream.read_vectored(buffers))
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        wait(&self.runtime, self.stream.read_exact(buffer)).map(drop)
    }
}

impl<T: AsyncBufRead + Unpin> BufRead for SyncIoBridge<T> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        let Self { stream, runtime } = self;
        wait(runtime, stream.fill_buf())
    }

    fn consume(&mut self, bytes: usize) {
        AsyncBufReadExt::consume(&mut self.stream, bytes);
    }
}

impl<T: AsyncWrite + Unpin> Write for SyncIoBridge<T> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        wait(&self.runtime, self.stream.write(bytes))
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> Result<usize> {
        wait(&self.runtime, self.stream.write_vectored(buffers))
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        wait(&self.runtime, self.stream.write_all(bytes))
    }

    fn flush(&mut self) -> Result<()> {
        wait(&self.runtime, self.stream.flush())
    }
}

impl<T: AsyncSeek + Unpin> Seek for SyncIoBridge<T> {
    fn seek(&mut self, position: SeekFrom) -> Result<u64> {
        wait(&self.runtime, self.stream.seek(position))
    }
}
