//! A buffered source cut into lines or at another delimiter, piece by piece.

use super::buf_read::no_delimiter;
use futures_core::Stream;
use futures_io::AsyncBufRead;
use posse_core::task::coop::poll_proceed;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The pieces between delimiters; see [`AsyncBufReadExt::split`](super::AsyncBufReadExt::split).
///
/// # Examples
/// ```
/// use posse::io::{AsyncBufReadExt, BufReader};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut fields = BufReader::new(&b"a,,b"[..]).split(b',', 80);
/// let mut found = Vec::new();
/// while let Some(field) = fields.next_segment().await? {
///     found.push(field);
/// }
/// assert_eq!(found, [&b"a"[..], b"", b"b"]);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Split<R> {
    reader: R,
    delimiter: u8,
    max: usize,
    /// Bytes of a piece that do not count: the `\r` of the end of a line.
    uncounted: usize,
    /// The start of the next piece, which has no delimiter in it.
    partial: Vec<u8>,
    /// A piece was too long: where the next one begins is not known.
    failed: bool,
}

impl<R> Split<R> {
    pub(super) fn new(reader: R, delimiter: u8, max: usize) -> Self {
        Self { reader, delimiter, max, uncounted: 0, partial: Vec::new(), failed: false }
    }

    /// Returns the source.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// Returns the source.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Returns the source; the start of a piece that has come is lost.
    pub fn into_inner(self) -> R {
        self.reader
    }
}

impl<R: AsyncBufRead + Unpin> Split<R> {
    /// Reads the next piece, without its delimiter; `None` at the end, and for ever after a piece that was too long.
    ///
    /// # Errors
    /// `InvalidData` if the piece is longer than the maximum; what the source says.
    ///
    /// # Cancel safety
    /// What has come stays for the next call.
    pub async fn next_segment(&mut self) -> Result<Option<Vec<u8>>> {
        poll_fn(|cx| self.poll_next_segment(cx)).await
    }

    /// Polls for the next piece; see [`next_segment`](Self::next_segment).
    ///
    /// # Errors
    /// As [`next_segment`](Self::next_segment).
    pub fn poll_next_segment(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>>> {
        if self.failed {
            return Poll::Ready(Ok(None));
        }
        loop {
            let progress = ready!(poll_proceed(cx));
            let available = ready!(Pin::new(&mut self.reader).poll_fill_buf(cx))?;
            progress.made_progress();
            if available.is_empty() {
                let last = mem::take(&mut self.partial);
                return Poll::Ready(Ok((!last.is_empty()).then_some(last)));
            }

            // The maximum is looked at before the piece is taken in: a peer without a delimiter has no more of our memory than that.
            let found = available.iter().position(|&byte| byte == self.delimiter);
            let len = found.unwrap_or(available.len());
            if self.partial.len() + len > self.max.saturating_add(self.uncounted) {
                self.failed = true;
                self.partial = Vec::new();
                return Poll::Ready(Err(no_delimiter(self.max)));
            }
            self.partial.extend_from_slice(&available[..len]);
            Pin::new(&mut self.reader).consume(found.map_or(len, |position| position + 1));
            if found.is_some() {
                return Poll::Ready(Ok(Some(mem::take(&mut self.partial))));
            }
        }
    }
}

impl<R: AsyncBufRead + Unpin> Stream for Split<R> {
    type Item = Result<Vec<u8>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next_segment(cx).map(Result::transpose)
    }
}

/// The lines of a source; see [`AsyncBufReadExt::lines`](super::AsyncBufReadExt::lines).
///
/// # Examples
/// ```
/// use posse::io::AsyncBufReadExt;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut lines = (&b"one\r\ntwo\n\nfour"[..]).lines(80);
/// let mut found = Vec::new();
/// while let Some(line) = lines.next_line().await? {
///     found.push(line);
/// }
/// assert_eq!(found, ["one", "two", "", "four"]);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Lines<R> {
    split: Split<R>,
}

impl<R> Lines<R> {
    pub(super) fn new(reader: R, max: usize) -> Self {
        Self { split: Split { uncounted: 1, ..Split::new(reader, b'\n', max) } }
    }

    /// Returns the source.
    pub fn get_ref(&self) -> &R {
        self.split.get_ref()
    }

    /// Returns the source.
    pub fn get_mut(&mut self) -> &mut R {
        self.split.get_mut()
    }

    /// Returns the source; the start of a line that has come is lost.
    pub fn into_inner(self) -> R {
        self.split.into_inner()
    }
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Reads the next line; `None` at the end, and for ever after a line that was too long.
    ///
    /// # Errors
    /// `InvalidData` if the line is longer than the maximum; also if it is not UTF-8, and then the next line can be read.
    /// What the source says.
    ///
    /// # Cancel safety
    /// What has come stays for the next call.
    pub async fn next_line(&mut self) -> Result<Option<String>> {
        poll_fn(|cx| self.poll_next_line(cx)).await
    }

    /// Polls for the next line; see [`next_line`](Self::next_line).
    ///
    /// # Errors
    /// As [`next_line`](Self::next_line).
    pub fn poll_next_line(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<String>>> {
        let Some(mut line) = ready!(self.split.poll_next_segment(cx))? else { return Poll::Ready(Ok(None)) };
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        // The split lets the `\r` of an end pass as one more byte. Here there was none.
        if line.len() > self.split.max {
            self.split.failed = true;
            return Poll::Ready(Err(no_delimiter(self.split.max)));
        }
        let text = String::from_utf8(line).map_err(|error| Error::new(ErrorKind::InvalidData, error));
        Poll::Ready(text.map(Some))
    }
}

impl<R: AsyncBufRead + Unpin> Stream for Lines<R> {
    type Item = Result<String>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next_line(cx).map(Result::transpose)
    }
}
