//! A stream of frames in one direction.

use super::state::{Reading, Writing};
use super::{Decoder, Encoder};
use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};

/// Reads frames of codec `C` from a source `T`.
///
/// # Examples
/// ```
/// use posse::net::codec::{FramedRead, LinesCodec};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut lines = FramedRead::new(&b"one\ntwo\n"[..], LinesCodec::new(80));
/// assert_eq!(lines.next().await.transpose()?.as_deref(), Some("one"));
/// assert_eq!(lines.next().await.transpose()?.as_deref(), Some("two"));
/// assert!(lines.next().await.is_none());
/// # Ok::<(), posse::net::codec::CodecError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct FramedRead<T, C> {
    stream: T,
    codec: C,
    reading: Reading,
}

/// Writes frames of codec `C` to a sink `T`.
///
/// # Examples
/// ```
/// use posse::net::codec::{FramedWrite, LengthDelimitedCodec};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut frames = FramedWrite::new(Vec::new(), LengthDelimitedCodec::builder().max_frame_length(80).new_codec());
/// frames.feed("a").await?;
/// frames.send("bc").await?;
/// assert_eq!(frames.get_ref(), b"\0\0\0\x01a\0\0\0\x02bc");
/// # Ok::<(), posse::net::codec::CodecError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct FramedWrite<T, C> {
    stream: T,
    codec: C,
    writing: Writing,
}

impl<T, C> FramedRead<T, C> {
    /// Joins a source and a codec.
    pub fn new(stream: T, codec: C) -> Self {
        Self { stream, codec, reading: Reading::new(BytesMut::new()) }
    }

    /// Returns the source.
    pub fn get_ref(&self) -> &T {
        &self.stream
    }

    /// Returns the source. What is read from it directly is missing in the frames.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.stream
    }

    /// Returns the source; what is buffered is lost.
    pub fn into_inner(self) -> T {
        self.stream
    }

    fn read_parts(&mut self) -> (&mut Reading, &mut T, &mut C) {
        (&mut self.reading, &mut self.stream, &mut self.codec)
    }
}

impl<T, C> FramedWrite<T, C> {
    /// Joins a sink and a codec.
    pub fn new(stream: T, codec: C) -> Self {
        Self { stream, codec, writing: Writing::new(BytesMut::new()) }
    }

    /// Returns the sink.
    pub fn get_ref(&self) -> &T {
        &self.stream
    }

    /// Returns the sink. What is written to it directly comes between the frames.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.stream
    }

    /// Returns the sink; what is buffered is lost.
    pub fn into_inner(self) -> T {
        self.stream
    }

    fn write_parts(&mut self) -> (&mut Writing, &mut T, &mut C) {
        (&mut self.writing, &mut self.stream, &mut self.codec)
    }
}

/// Writes down the reading direction of a type that has `read_parts`.
macro_rules! read_half {
    ($ty:ident) => {
        impl<T, C> $ty<T, C> {
            /// Returns the codec.
            pub fn codec(&self) -> &C {
                &self.codec
            }

            /// Returns the codec.
            pub fn codec_mut(&mut self) -> &mut C {
                &mut self.codec
            }

            /// Returns what was received and not decoded.
            pub fn read_buffer(&self) -> &BytesMut {
                &self.reading.received
            }
        }

        impl<T: AsyncRead + Unpin, C: Decoder> $ty<T, C> {
            /// Reads the next frame; `None` at the end, and for ever after an error.
            ///
            /// # Errors
            /// What the codec says, also of the stream's errors.
            ///
            /// # Cancel safety
            /// Bytes that have come stay for the next call.
            pub async fn next(&mut self) -> Option<Result<C::Item, C::Error>> {
                std::future::poll_fn(|cx| self.poll_frame(cx)).await
            }

            /// Polls for the next frame; see [`next`](Self::next).
            pub fn poll_frame(
                &mut self,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<C::Item, C::Error>>> {
                let (reading, stream, codec) = self.read_parts();
                reading.poll_frame(cx, stream, codec)
            }
        }

        impl<T: AsyncRead + Unpin, C: Decoder + Unpin> futures_core::Stream for $ty<T, C> {
            type Item = Result<C::Item, C::Error>;

            fn poll_next(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Self::Item>> {
                self.get_mut().poll_frame(cx)
            }
        }
    };
}

/// Writes down the writing direction of a type that has `write_parts`.
macro_rules! write_half {
    ($ty:ident) => {
        impl<T, C> $ty<T, C> {
            /// Returns what was encoded and not sent, and what was sent since the buffer was empty.
            pub fn write_buffer(&self) -> &BytesMut {
                &self.writing.to_send
            }

            /// Returns how many bytes may wait before a sink asks its caller to wait.
            pub fn backpressure_boundary(&self) -> usize {
                self.writing.boundary
            }

            /// Sets how many bytes may wait before a sink asks its caller to wait. Default: 8 KiB. A frame that is larger
            /// is taken all the same.
            pub fn set_backpressure_boundary(&mut self, bytes: usize) {
                self.writing.boundary = bytes.max(1);
            }
        }

        impl<T: AsyncWrite + Unpin, C> $ty<T, C> {
            /// Writes a frame and everything fed before it.
            ///
            /// # Errors
            /// What the codec says, also of the stream's errors.
            ///
            /// # Cancel safety
            /// The frame stays queued if the future is dropped; the next send or flush goes on with it. A future that is
            /// dropped before it was polled has queued nothing.
            pub async fn send<I>(&mut self, item: I) -> Result<(), C::Error>
            where
                C: Encoder<I>,
            {
                self.start_send(item)?;
                self.flush().await.map_err(C::Error::from)
            }

            /// Queues a frame, once there is room for it below the [boundary](Self::set_backpressure_boundary).
            ///
            /// # Errors
            /// What the codec says, also of the stream's errors.
            ///
            /// # Cancel safety
            /// The frame is lost if the future is dropped before it had room.
            pub async fn feed<I>(&mut self, item: I) -> Result<(), C::Error>
            where
                C: Encoder<I>,
            {
                std::future::poll_fn(|cx| {
                    let (writing, stream, _) = self.write_parts();
                    writing.poll_room(cx, stream)
                })
                .await?;
                self.start_send(item)
            }

            /// Queues a frame, whether there is room or not, without writing.
            ///
            /// # Errors
            /// What the codec says; nothing is queued.
            pub fn start_send<I>(&mut self, item: I) -> Result<(), C::Error>
            where
                C: Encoder<I>,
            {
                let (writing, _, codec) = self.write_parts();
                let before = writing.to_send.len();
                codec.encode(item, &mut writing.to_send).inspect_err(|_| writing.to_send.truncate(before))
            }

            /// Writes everything that was queued.
            ///
            /// # Errors
            /// What the stream says.
            ///
            /// # Cancel safety
            /// May be repeated.
            pub async fn flush(&mut self) -> std::io::Result<()> {
                std::future::poll_fn(|cx| {
                    let (writing, stream, _) = self.write_parts();
                    writing.poll_flush(cx, stream)
                })
                .await
            }

            /// Writes everything that was queued and ends the writing direction of the stream.
            ///
            /// # Errors
            /// What the stream says.
            ///
            /// # Cancel safety
            /// May be repeated.
            pub async fn close(&mut self) -> std::io::Result<()> {
                std::future::poll_fn(|cx| {
                    let (writing, stream, _) = self.write_parts();
                    writing.poll_close(cx, stream)
                })
                .await
            }
        }

        impl<I, T: AsyncWrite + Unpin, C: Encoder<I> + Unpin> futures_sink::Sink<I> for $ty<T, C> {
            type Error = C::Error;

            fn poll_ready(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), C::Error>> {
                let (writing, stream, _) = self.get_mut().write_parts();
                writing.poll_room(cx, stream).map_err(C::Error::from)
            }

            fn start_send(self: std::pin::Pin<&mut Self>, item: I) -> Result<(), C::Error> {
                self.get_mut().start_send(item)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), C::Error>> {
                let (writing, stream, _) = self.get_mut().write_parts();
                writing.poll_flush(cx, stream).map_err(C::Error::from)
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), C::Error>> {
                let (writing, stream, _) = self.get_mut().write_parts();
                writing.poll_close(cx, stream).map_err(C::Error::from)
            }
        }
    };
}

impl<T, C> FramedWrite<T, C> {
    /// Returns the codec.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// Returns the codec.
    pub fn codec_mut(&mut self) -> &mut C {
        &mut self.codec
    }
}

pub(super) use {read_half, write_half};

read_half!(FramedRead);
write_half!(FramedWrite);
