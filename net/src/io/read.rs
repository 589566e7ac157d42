//! Reading methods for everything that implements the reading traits.

use futures_io::{AsyncBufRead, AsyncRead};
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
            let read = self.read_to_end(&mut bytes).await?;
            text.push_str(std::str::from_utf8(&bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))?);
            Ok(read)
        }
    }

    read_number! {
        read_u8 u8, from_be_bytes, "one byte";
        read_u16 u16, from_be_bytes, "a big-endian `u16`";
        read_u32 u32, from_be_bytes, "a big-endian `u32`";
        read_u64 u64, from_be_bytes, "a big-endian `u64`";
        read_i32 i32, from_be_bytes, "a big-endian `i32`";
        read_i64 i64, from_be_bytes, "a big-endian `i64`";
        read_u16_le u16, from_le_bytes, "a little-endian `u16`";
        read_u32_le u32, from_le_bytes, "a little-endian `u32`";
        read_u64_le u64, from_le_bytes, "a little-endian `u64`";
    }
}

impl<R: AsyncRead + ?Sized> AsyncReadExt for R {}

/// Reading methods for buffered sources; implemented for every [`AsyncBufRead`].
pub trait AsyncBufReadExt: AsyncBufRead {
    /// Reads up to and including `delimiter`, or to the end, but no more than `max` bytes. Returns the number of bytes.
    ///
    /// # Errors
    /// `InvalidData` once there are more than `max` bytes without the delimiter; what the source says.
    ///
    /// # Cancel safety
    /// What was read is in the buffer.
    fn read_until(&mut self, delimiter: u8, max: usize, buffer: &mut Vec<u8>) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        let mut total = 0;
        poll_fn(move |cx| {
            loop {
                let progress = ready!(poll_proceed(cx));
                let available = ready!(Pin::new(&mut *self).poll_fill_buf(cx))?;
                progress.made_progress();
                let found = available.iter().position(|&byte| byte == delimiter);
                let used = found.map_or(available.len(), |position| position + 1);
                if total + used > max {
                    let text = format!("no delimiter within {max} bytes");
                    return Poll::Ready(Err(Error::new(ErrorKind::InvalidData, text)));
                }
                buffer.extend_from_slice(&available[..used]);
                Pin::new(&mut *self).consume(used);
                total += used;
                if found.is_some() || used == 0 {
                    return Poll::Ready(Ok(total));
                }
            }
        })
    }

    /// Reads a line of at most `max` bytes, its end included. Returns the number of bytes; zero at the end.
    ///
    /// # Errors
    /// `InvalidData` for a longer line, or one that is not UTF-8; what the source says.
    ///
    /// # Cancel safety
    /// Not cancel safe: the part already read is lost.
    fn read_line(&mut self, max: usize, line: &mut String) -> impl Future<Output = Result<usize>>
    where
        Self: Unpin,
    {
        async move {
            let mut bytes = Vec::new();
            let read = self.read_until(b'\n', max, &mut bytes).await?;
            line.push_str(std::str::from_utf8(&bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))?);
            Ok(read)
        }
    }
}

impl<R: AsyncBufRead + ?Sized> AsyncBufReadExt for R {}
