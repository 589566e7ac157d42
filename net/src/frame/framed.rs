//! A stream of frames over a stream of bytes.

use super::codec::{CodecError, Decode, Encode};
use bytes::BytesMut;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use posse_core::task::coop::poll_proceed;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes asked for at once.
const READ: usize = 8 * 1024;

/// Reads and writes frames of codec `C` over a stream `T`.
///
/// # Examples
/// ```
/// use posse_net::frame::{Framed, Lines};
/// use posse_net::{TcpListener, TcpStream};
///
/// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let mut client = Framed::new(TcpStream::connect(listener.local_addr()?).await?, Lines::new(80));
/// let mut server = Framed::new(listener.accept().await?.0, Lines::new(80));
/// client.send("hello").await?;
/// assert_eq!(server.next().await.transpose()?, Some("hello".to_owned()));
/// drop(client);
/// assert!(server.next().await.is_none());
/// # Ok::<(), posse_net::frame::CodecError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Framed<T, C> {
    stream: T,
    codec: C,
    received: BytesMut,
    to_send: BytesMut,
    sent: usize,
    reading: Reading,
}

/// How far the reading direction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Bytes may come.
    Open,
    /// The last byte has come; frames may be left.
    Ended,
    /// There was an error, after which the codec is asked no more.
    Failed,
}

impl<T, C> Framed<T, C> {
    /// Joins a stream and a codec.
    pub fn new(stream: T, codec: C) -> Self {
        Self { stream, codec, received: BytesMut::new(), to_send: BytesMut::new(), sent: 0, reading: Reading::Open }
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> &T {
        &self.stream
    }

    /// Returns the stream, and what was received beyond the last frame.
    pub fn into_parts(self) -> (T, BytesMut) {
        (self.stream, self.received)
    }
}

impl<T: AsyncRead + Unpin, C: Decode> Framed<T, C> {
    /// Reads the next frame; `None` at the end, and for ever after an error.
    ///
    /// # Errors
    /// [`CodecError`].
    ///
    /// # Cancel safety
    /// Bytes that have come stay for the next call.
    pub async fn next(&mut self) -> Option<Result<C::Item, CodecError>> {
        poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// Polls for the next frame; see [`next`](Self::next).
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<C::Item, CodecError>>> {
        loop {
            let progress = ready!(poll_proceed(cx));
            let decoded = match self.reading {
                Reading::Open => self.codec.decode(&mut self.received),
                Reading::Ended => self.codec.decode_end(&mut self.received),
                Reading::Failed => return Poll::Ready(None),
            };
            match decoded {
                Ok(None) if self.reading == Reading::Open => {}
                Ok(item) => {
                    progress.made_progress();
                    return Poll::Ready(item.map(Ok));
                }
                Err(error) => return Poll::Ready(self.fail(error)),
            }

            let filled = self.received.len();
            self.received.resize(filled + READ, 0);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut self.received[filled..]);
            self.received.truncate(filled + if let Poll::Ready(Ok(read)) = read { read } else { 0 });
            match ready!(read) {
                Ok(0) => self.reading = Reading::Ended,
                Ok(_) => progress.made_progress(),
                Err(error) => return Poll::Ready(self.fail(error.into())),
            }
        }
    }

    fn fail(&mut self, error: CodecError) -> Option<Result<C::Item, CodecError>> {
        self.reading = Reading::Failed;
        self.received.clear();
        Some(Err(error))
    }
}

impl<T: AsyncRead + Unpin, C: Decode + Unpin> Stream for Framed<T, C> {
    type Item = Result<C::Item, CodecError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_frame(cx)
    }
}

impl<T: AsyncWrite + Unpin, C> Framed<T, C> {
    /// Writes a frame and everything fed before it.
    ///
    /// # Errors
    /// [`CodecError`].
    ///
    /// # Cancel safety
    /// The frame stays queued if the future is dropped; the next send or flush goes on with it.
    pub async fn send<I>(&mut self, item: I) -> Result<(), CodecError>
    where
        C: Encode<I>,
    {
        self.feed(item)?;
        self.flush().await
    }

    /// Queues a frame without writing. Memory is the limit: flush now and then.
    ///
    /// # Errors
    /// [`CodecError::TooLong`].
    pub fn feed<I>(&mut self, item: I) -> Result<(), CodecError>
    where
        C: Encode<I>,
    {
        self.codec.encode(item, &mut self.to_send)
    }

    /// Writes everything that was fed.
    ///
    /// # Errors
    /// What the stream says.
    ///
    /// # Cancel safety
    /// May be repeated.
    pub async fn flush(&mut self) -> Result<(), CodecError> {
        poll_fn(|cx| {
            while self.sent < self.to_send.len() {
                let progress = ready!(poll_proceed(cx));
                match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.to_send[self.sent..]))? {
                    0 => return Poll::Ready(Err(CodecError::Io(std::io::ErrorKind::WriteZero.into()))),
                    written => self.sent += written,
                }
                progress.made_progress();
            }
            self.to_send.clear();
            self.sent = 0;
            Pin::new(&mut self.stream).poll_flush(cx).map_err(CodecError::Io)
        })
        .await
    }
}
