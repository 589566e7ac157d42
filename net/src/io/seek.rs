//! Seeking methods for everything that implements the seeking trait.

use futures_io::AsyncSeek;
use std::future::{Future, poll_fn};
use std::io::{Result, SeekFrom};
use std::pin::Pin;

/// Seeking methods; implemented for every [`AsyncSeek`].
///
/// # Examples
/// ```
/// use posse::io::{AsyncSeekExt, SeekFrom, empty};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// assert_eq!(empty().seek(SeekFrom::End(0)).await?, 0);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub trait AsyncSeekExt: AsyncSeek {
    /// Moves to a position. Returns it, in bytes from the start.
    ///
    /// # Errors
    /// `InvalidInput` for a position before the start; what the stream says.
    ///
    /// # Cancel safety
    /// May be repeated; where the stream stands after a drop is not certain.
    fn seek(&mut self, position: SeekFrom) -> impl Future<Output = Result<u64>>
    where
        Self: Unpin,
    {
        poll_fn(move |cx| Pin::new(&mut *self).poll_seek(cx, position))
    }

    /// Moves to the start.
    ///
    /// # Errors
    /// What the stream says.
    ///
    /// # Cancel safety
    /// As [`seek`](Self::seek).
    fn rewind(&mut self) -> impl Future<Output = Result<()>>
    where
        Self: Unpin,
    {
        async move { self.seek(SeekFrom::Start(0)).await.map(drop) }
    }

    /// Returns the position, in bytes from the start.
    ///
    /// # Errors
    /// What the stream says.
    ///
    /// # Cancel safety
    /// Nothing changes.
    fn stream_position(&mut self) -> impl Future<Output = Result<u64>>
    where
        Self: Unpin,
    {
        self.seek(SeekFrom::Current(0))
    }
}

impl<S: AsyncSeek + ?Sized> AsyncSeekExt for S {}
