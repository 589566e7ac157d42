//! Writing methods for everything that implements the writing trait.

use futures_io::AsyncWrite;
use posse_core::task::coop::poll_proceed;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Poll, ready};

macro_rules! write_number {
    ($($name:ident $ty:ty, $to:ident, $doc:literal;)*) => {$(
        #[doc = concat!("Writes ", $doc, ".")]
        ///
        /// # Errors
        /// What the sink says.
        ///
        /// # Cancel safety
        /// Not cancel safe: a part may have been written.
        fn $name(&mut self, value: $ty) -> impl Future<Output = Result<()>>
        where
            Self: Unpin,
        {
            async move { self.write_all(&value.$to()).await }
        }
    )*};
}

/// Writing methods; implemented for every [`AsyncWrite`].
pub trait AsyncWriteExt: AsyncWrite {
    /// Writes some of the bytes. Returns how many.
    ///
    /// # Errors
    /// What the sink says.
    ///
    /// # Cancel safety
    /// Nothing has been written if the future is dropped.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        poll_fn(move |cx| Pin::new(&mut *self).poll_write(cx, bytes))
    }

    /// Writes some of the bytes of several buffers. Returns how many.
    ///
    /// # Errors
    /// What the sink says.
    ///
    /// # Cancel safety
    /// Nothing has been written if the future is dropped.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        poll_fn(move |cx| Pin::new(&mut *self).poll_write_vectored(cx, buffers))
    }

    /// Writes all of the bytes.
    ///
    /// # Errors
    /// `WriteZero` if the sink takes no more; what the sink says.
    ///
    /// # Cancel safety
    /// Not cancel safe: a part may have been written.
    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = Result<()>>
    where
        Self: Unpin,
    {
        let mut rest = bytes;
        poll_fn(move |cx| {
            while !rest.is_empty() {
                let progress = ready!(poll_proceed(cx));
                match ready!(Pin::new(&mut *self).poll_write(cx, rest))? {
                    0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    written => rest = &rest[written..],
                }
                progress.made_progress();
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Sends on what the sink has buffered.
    ///
    /// # Errors
    /// What the sink says.
    ///
    /// # Cancel safety
    /// May be repeated.
    fn flush(&mut self) -> impl Future<Output = Result<()>>
    where
        Self: Unpin,
    {
        poll_fn(move |cx| Pin::new(&mut *self).poll_flush(cx))
    }

    /// Sends on what is buffered and ends the writing direction.
    ///
    /// # Errors
    /// What the sink says.
    ///
    /// # Cancel safety
    /// May be repeated.
    fn shutdown(&mut self) -> impl Future<Output = Result<()>>
    where
        Self: Unpin,
    {
        poll_fn(move |cx| Pin::new(&mut *self).poll_close(cx))
    }

    write_number! {
        write_u8 u8, to_be_bytes, "one byte";
        write_u16 u16, to_be_bytes, "a big-endian `u16`";
        write_u32 u32, to_be_bytes, "a big-endian `u32`";
        write_u64 u64, to_be_bytes, "a big-endian `u64`";
        write_i32 i32, to_be_bytes, "a big-endian `i32`";
        write_i64 i64, to_be_bytes, "a big-endian `i64`";
        write_u16_le u16, to_le_bytes, "a little-endian `u16`";
        write_u32_le u32, to_le_bytes, "a little-endian `u32`";
        write_u64_le u64, to_le_bytes, "a little-endian `u64`";
    }
}

impl<W: AsyncWrite + ?Sized> AsyncWriteExt for W {}
