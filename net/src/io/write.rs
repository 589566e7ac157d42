//! Writing methods for everything that implements the writing trait.

use bytes::Buf;
use futures_io::AsyncWrite;
use posse_core::task::coop::poll_proceed;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

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

/// Buffers handed over in one write.
const SLICES: usize = 16;

/// Writing methods; implemented for every [`AsyncWrite`].
///
/// # Examples
/// ```
/// use posse::bytes::Buf;
/// use posse::io::AsyncWriteExt;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut written = Vec::new();
/// written.write_u16_le(7).await?;
/// written.write_all_buf(&mut (&b"two "[..]).chain(&b"parts"[..])).await?;
/// assert_eq!(written, b"\x07\x00two parts");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
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

    /// Writes some of a buffer, and takes what was written out of it. Returns the number of bytes.
    ///
    /// # Errors
    /// What the sink says.
    ///
    /// # Cancel safety
    /// Nothing has been written, and nothing taken out, if the future is dropped.
    fn write_buf<B: Buf + ?Sized>(&mut self, buffer: &mut B) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        poll_fn(move |cx| poll_write_buf(Pin::new(&mut *self), cx, buffer))
    }

    /// Writes all of a buffer.
    ///
    /// # Errors
    /// `WriteZero` if the sink takes no more; what the sink says.
    ///
    /// # Cancel safety
    /// What was written is no longer in the buffer: calling again with it goes on.
    fn write_all_buf<B: Buf + ?Sized>(&mut self, buffer: &mut B) -> impl Future<Output = Result<()>>
    where
        Self: Unpin,
    {
        poll_fn(move |cx| {
            while buffer.has_remaining() {
                let progress = ready!(poll_proceed(cx));
                if ready!(poll_write_buf(Pin::new(&mut *self), cx, buffer))? == 0 {
                    return Poll::Ready(Err(ErrorKind::WriteZero.into()));
                }
                progress.made_progress();
            }
            Poll::Ready(Ok(()))
        })
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
        write_i8 i8, to_be_bytes, "one signed byte";
        write_u16 u16, to_be_bytes, "a big-endian `u16`";
        write_i16 i16, to_be_bytes, "a big-endian `i16`";
        write_u32 u32, to_be_bytes, "a big-endian `u32`";
        write_i32 i32, to_be_bytes, "a big-endian `i32`";
        write_u64 u64, to_be_bytes, "a big-endian `u64`";
        write_i64 i64, to_be_bytes, "a big-endian `i64`";
        write_u128 u128, to_be_bytes, "a big-endian `u128`";
        write_i128 i128, to_be_bytes, "a big-endian `i128`";
        write_f32 f32, to_be_bytes, "a big-endian `f32`";
        write_f64 f64, to_be_bytes, "a big-endian `f64`";
        write_u16_le u16, to_le_bytes, "a little-endian `u16`";
        write_i16_le i16, to_le_bytes, "a little-endian `i16`";
        write_u32_le u32, to_le_bytes, "a little-endian `u32`";
        write_i32_le i32, to_le_bytes, "a little-endian `i32`";
        write_u64_le u64, to_le_bytes, "a little-endian `u64`";
        write_i64_le i64, to_le_bytes, "a little-endian `i64`";
        write_u128_le u128, to_le_bytes, "a little-endian `u128`";
        write_i128_le i128, to_le_bytes, "a little-endian `i128`";
        write_f32_le f32, to_le_bytes, "a little-endian `f32`";
        write_f64_le f64, to_le_bytes, "a little-endian `f64`";
    }
}

impl<W: AsyncWrite + ?Sized> AsyncWriteExt for W {}

fn poll_write_buf<W, B>(writer: Pin<&mut W>, cx: &mut Context<'_>, buffer: &mut B) -> Poll<Result<usize>>
where
    W: AsyncWrite + ?Sized,
    B: Buf + ?Sized,
{
    if !buffer.has_remaining() {
        return Poll::Ready(Ok(0));
    }
    // A buffer in one piece needs no list of pieces.
    let mut slices = [IoSlice::new(&[]); SLICES];
    let written = match buffer.chunks_vectored(&mut slices) {
        0 | 1 => ready!(writer.poll_write(cx, buffer.chunk()))?,
        count => ready!(writer.poll_write_vectored(cx, &slices[..count]))?,
    };
    buffer.advance(written);
    Poll::Ready(Ok(written))
}
