//! Reading methods for everything that implements the reading trait.

use super::take::{Chain, Take};
use bytes::BufMut;
use futures_io::AsyncRead;
use posse_core::task::coop::poll_proceed;
use std::future::{Future, poll_fn};
use std::io::{Error, ErrorKind, IoSliceMut, Result};
use std::pin::Pin;
use std::task::{Poll, ready};

/// Bytes asked for at once by the methods that read to the end.
const CHUNK_BYTES: usize = 8 * 1024;

macro_rules! read_number {
    ($($name:ident $ty:ty, $from:ident, $doc:literal;)*) => {$(
        #[doc = concat!("Reads ", $doc, ".")]
        ///
        /// # Errors
        /// `UnexpectedEof` if the end comes first.
        ///
        /// # Cancel safety
        /// Not cancel safe: bytes already read are lost.
        fn $name(&mut self) -> impl Future<Output = Result<$ty>>
        where
            Self: Unpin,
        {
            async move {
                let mut bytes = [0; size_of::<$ty>()];
                self.read_exact(&mut bytes).await?;
                Ok(<$ty>::$from(bytes))
            }
        }
    )*};
}

/// Reading methods; implemented for every [`AsyncRead`].
///
/// # Examples
/// ```
/// use posse::io::AsyncReadExt;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut source = (&[0, 7, 0xFF][..]).chain(&b"text and more"[..]);
/// assert_eq!((source.read_u16().await?, source.read_i8().await?), (7, -1));
/// let mut text = String::new();
/// source.take(4).read_to_string(&mut text).await?;
/// assert_eq!(text, "text");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub trait AsyncReadExt: AsyncRead {
    /// Reads some bytes; zero means the end, or an empty buffer.
    ///
    /// # Errors
    /// What the source says.
    ///
    /// # Cancel safety
    /// Nothing has been read if the future is dropped.
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        poll_fn(move |cx| Pin::new(&mut *self).poll_read(cx, buffer))
    }

    /// Reads some bytes into several buffers, filling one after the other; zero means the end.
    ///
    /// # Errors
    /// What the source says.
    ///
    /// # Cancel safety
    /// Nothing has been read if the future is dropped.
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        poll_fn(move |cx| Pin::new(&mut *self).poll_read_vectored(cx, buffers))
    }

    /// Reads some bytes into the free part of a buffer, at most 8 KiB at once; zero means the end, or a buffer without room.
    ///
    /// The bytes are copied once. The sockets of this crate have a method of this name that does not copy; through a
    /// `&mut` reference, where this one is found first, call it as `TcpStream::read_buf(stream, buffer)`.
    ///
    /// # Errors
    /// What the source says.
    ///
    /// # Cancel safety
    /// Nothing has been read if the future is dropped.
    fn read_buf<B: BufMut + ?Sized>(&mut self, buffer: &mut B) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        poll_fn(move |cx| {
            let mut chunk = [0; CHUNK_BYTES];
            // Into a chunk of this function's: the trait reads into bytes that have a value, and the free part has none.
            let room = buffer.remaining_mut().min(CHUNK_BYTES);
            if room == 0 {
                return Poll::Ready(Ok(0));
            }
            let read = ready!(Pin::new(&mut *self).poll_read(cx, &mut chunk[..room]))?;
            buffer.put_slice(&chunk[..read]);
            Poll::Ready(Ok(read))
        })
    }

    /// Fills the whole buffer. Returns its length.
    ///
    /// # Errors
    /// `UnexpectedEof` if the end comes first; what the source says.
    ///
    /// # Cancel safety
    /// Not cancel safe: bytes already read are lost.
    fn read_exact(&mut self, buffer: &mut [u8]) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        let mut filled = 0;
        poll_fn(move |cx| {
            while filled < buffer.len() {
                let progress = ready!(poll_proceed(cx));
                match ready!(Pin::new(&mut *self).poll_read(cx, &mut buffer[filled..]))? {
                    0 => return Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
                    read => filled += read,
                }
                progress.made_progress();
            }
            Poll::Ready(Ok(filled))
        })
    }

    /// Reads everything up to the end. Returns the number of bytes. Memory is the limit: prefer framing for strangers.
    ///
    /// # Errors
    /// What the source says; what was read before is in the buffer.
    ///
    /// # Cancel safety
    /// What was read is in the buffer.
    fn read_to_end(&mut self, buffer: &mut Vec<u8>) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        let before = buffer.len();
        let mut chunk = [0; CHUNK_BYTES];
        poll_fn(move |cx| {
            loop {
                let progress = ready!(poll_proceed(cx));
                match ready!(Pin::new(&mut *self).poll_read(cx, &mut chunk))? {
                    0 => return Poll::Ready(Ok(buffer.len() - before)),
                    read => buffer.extend_from_slice(&chunk[..read]),
                }
                progress.made_progress();
            }
        })
    }

    /// Reads everything up to the end as text. Returns the number of bytes.
    ///
    /// # Errors
    /// `InvalidData` if it is not UTF-8; what the source says. The text is not changed then.
    ///
    /// # Cancel safety
    /// Not cancel safe: bytes already read are lost.
    fn read_to_string(&mut self, text: &mut String) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        async move {
            let mut bytes = Vec::new();
            // Aside, for the text must stay as it is if this is none.
            let read = self.read_to_end(&mut bytes).await?;
            text.push_str(std::str::from_utf8(&bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))?);
            Ok(read)
        }
    }

    /// Returns a source that ends after `limit` bytes.
    fn take(self, limit: u64) -> Take<Self>
    where
        Self: Sized,
    {
        Take::new(self, limit)
    }

    /// Returns a source that goes on with another one at its end.
    fn chain<R: AsyncRead>(self, next: R) -> Chain<Self, R>
    where
        Self: Sized,
    {
        Chain::new(self, next)
    }

    read_number! {
        read_u8 u8, from_be_bytes, "one byte";
        read_i8 i8, from_be_bytes, "one signed byte";
        read_u16 u16, from_be_bytes, "a big-endian `u16`";
        read_i16 i16, from_be_bytes, "a big-endian `i16`";
        read_u32 u32, from_be_bytes, "a big-endian `u32`";
        read_i32 i32, from_be_bytes, "a big-endian `i32`";
        read_u64 u64, from_be_bytes, "a big-endian `u64`";
        read_i64 i64, from_be_bytes, "a big-endian `i64`";
        read_u128 u128, from_be_bytes, "a big-endian `u128`";
        read_i128 i128, from_be_bytes, "a big-endian `i128`";
        read_f32 f32, from_be_bytes, "a big-endian `f32`";
        read_f64 f64, from_be_bytes, "a big-endian `f64`";
        read_u16_le u16, from_le_bytes, "a little-endian `u16`";
        read_i16_le i16, from_le_bytes, "a little-endian `i16`";
        read_u32_le u32, from_le_bytes, "a little-endian `u32`";
        read_i32_le i32, from_le_bytes, "a little-endian `i32`";
        read_u64_le u64, from_le_bytes, "a little-endian `u64`";
        read_i64_le i64, from_le_bytes, "a little-endian `i64`";
        read_u128_le u128, from_le_bytes, "a little-endian `u128`";
        read_i128_le i128, from_le_bytes, "a little-endian `i128`";
        read_f32_le f32, from_le_bytes, "a little-endian `f32`";
        read_f64_le f64, from_le_bytes, "a little-endian `f64`";
    }
}

impl<R: AsyncRead + ?Sized> AsyncReadExt for R {}
