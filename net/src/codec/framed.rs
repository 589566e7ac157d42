//! A stream of frames over a stream of bytes, in both directions.

use super::halves::{read_half, write_half};
use super::state::{Reading, Writing};
use super::{Decoder, Encoder};
use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};

/// Reads and writes frames of codec `C` over a stream `T`.
///
/// It is a `Stream` and a `Sink`; the methods of its own do the same without a crate of combinators.
///
/// # Examples
/// ```
/// use posse::net::codec::{Framed, LinesCodec};
/// use posse::net::{TcpListener, TcpStream};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let mut client = Framed::new(TcpStream::connect(listener.local_addr()?).await?, LinesCodec::new(80));
/// let mut server = Framed::new(listener.accept().await?.0, LinesCodec::new(80));
/// client.send("hello").await?;
/// assert_eq!(server.next().await.transpose()?, Some("hello".to_owned()));
/// drop(client);
/// assert!(server.next().await.is_none());
/// # Ok::<(), posse::net::codec::CodecError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Framed<T, C> {
    stream: T,
    codec: C,
    reading: Reading,
    writing: Writing,
}

/// What a [`Framed`] is made of.
#[derive(Debug)]
#[non_exhaustive]
pub struct FramedParts<T, C> {
    /// The stream.
    pub io: T,
    /// The codec.
    pub codec: C,
    /// What was received and not decoded.
    pub read_buf: BytesMut,
    /// What was encoded and not sent.
    pub write_buf: BytesMut,
}

impl<T, C> FramedParts<T, C> {
    /// A stream and a codec, with nothing buffered.
    pub fn new(io: T, codec: C) -> Self {
        Self { io, codec, read_buf: BytesMut::new(), write_buf: BytesMut::new() }
    }
}

impl<T, C> Framed<T, C> {
    /// Joins a stream and a codec.
    pub fn new(stream: T, codec: C) -> Self {
        Self::from_parts(FramedParts::new(stream, codec))
    }

    /// Joins a stream, a codec, and what another one has left.
    pub fn from_parts(parts: FramedParts<T, C>) -> Self {
        let (reading, writing) = (Reading::new(parts.read_buf), Writing::new(parts.write_buf));
        Self { stream: parts.io, codec: parts.codec, reading, writing }
    }

    /// Takes everything apart: the stream, the codec, what was received beyond the last frame, and what was not sent.
    pub fn into_parts(self) -> FramedParts<T, C> {
        FramedParts {
            io: self.stream,
            codec: self.codec,
            read_buf: self.reading.received,
            write_buf: self.writing.into_unsent(),
        }
    }

    /// Goes on with another codec, such as after a handshake.
    pub fn map_codec<D>(self, map: impl FnOnce(C) -> D) -> Framed<T, D> {
        Framed { stream: self.stream, codec: map(self.codec), reading: self.reading, writing: self.writing }
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> &T {
        &self.stream
    }

    /// Returns the stream. Reading from it and writing to it directly mixes with the frames.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.stream
    }

    /// Returns the stream; what is buffered is lost.
    pub fn into_inner(self) -> T {
        self.stream
    }

    fn read_parts(&mut self) -> (&mut Reading, &mut T, &mut C) {
        (&mut self.reading, &mut self.stream, &mut self.codec)
    }

    fn write_parts(&mut self) -> (&mut Writing, &mut T, &mut C) {
        (&mut self.writing, &mut self.stream, &mut self.codec)
    }
}

read_half!(Framed);
write_half!(Framed);
