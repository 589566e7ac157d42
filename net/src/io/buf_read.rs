//! Reading methods for buffered sources: by lines, by delimiters, by what is there.
//!
//! Everything that collects takes a maximum, which Tokio's methods of the same names do not: else a peer that sends no
//! delimiter decides how much memory the program uses.

use super::lines::{Lines, Split};
use futures_io::AsyncBufRead;
use posse_core::task::coop::poll_proceed;
use std::future::{Future, poll_fn};
use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

/// Reading methods for buffered sources; implemented for every [`AsyncBufRead`].
///
/// # Examples
/// ```
/// use posse::io::{AsyncBufReadExt, BufReader};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut source = BufReader::new(&b"name: value\nbody"[..]);
/// let mut name = Vec::new();
/// source.read_until(b':', 80, &mut name).await?;
/// let mut line = String::new();
/// source.read_line(80, &mut line).await?;
/// assert_eq!((&name[..], &line[..]), (&b"name:"[..], " value\n"));
/// assert_eq!(source.fill_buf().await?, b"body");
/// source.consume(2);
/// assert_eq!(source.fill_buf().await?, b"dy");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
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
                // Taken out of the source piece by piece, and into the buffer at once: a drop between two polls loses none.
                let found = available.iter().position(|&byte| byte == delimiter);
                let used = found.map_or(available.len(), |position| position + 1);
                if total + used > max {
                    return Poll::Ready(Err(no_delimiter(max)));
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
    /// Not cancel safe: the part already read is lost. [`Lines::next_line`] keeps it.
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

    /// Returns the lines, without their ends (`\n` or `\r\n`), each of at most `max` bytes.
    fn lines(self, max: usize) -> Lines<Self>
    where
        Self: Sized,
    {
        Lines::new(self, max)
    }

    /// Returns the pieces between delimiters, each of at most `max` bytes. The last one may lack its delimiter.
    fn split(self, delimiter: u8, max: usize) -> Split<Self>
    where
        Self: Sized,
    {
        Split::new(self, delimiter, max)
    }

    /// Waits for bytes and returns them without taking them out; none means the end. [`consume`](Self::consume) takes
    /// them out.
    ///
    /// # Errors
    /// What the source says.
    ///
    /// # Cancel safety
    /// Nothing is taken out.
    fn fill_buf(&mut self) -> impl Future<Output = Result<&[u8]>>
    where
        Self: Unpin,
    {
        async move {
            let is_end = poll_fn(|cx| Pin::new(&mut *self).poll_fill_buf(cx).map_ok(<[u8]>::is_empty)).await?;
            if is_end {
                // To look again would be to read again.
                return Ok(&[][..]);
            }
            // What was there stays until it is consumed, so nothing is waited for here.
            match Pin::new(self).poll_fill_buf(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(filled) => filled,
                Poll::Pending => Err(Error::other("the source has lost what it had buffered")),
            }
        }
    }

    /// Takes bytes out that [`fill_buf`](Self::fill_buf) has returned.
    fn consume(&mut self, bytes: usize)
    where
        Self: Unpin,
    {
        AsyncBufRead::consume(Pin::new(self), bytes);
    }
}

impl<R: AsyncBufRead + ?Sized> AsyncBufReadExt for R {}

/// The error of a piece that is too long.
pub(super) fn no_delimiter(max: usize) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("no delimiter within {max} bytes, the `max` of this call: pass more if such long pieces are meant"),
    )
}
