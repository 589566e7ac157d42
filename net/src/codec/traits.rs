//! The traits of a codec: pure, incremental, with an error of its own.

use super::{CodecError, Framed};
use bytes::BytesMut;
use std::io;

/// Finds frames in what was received.
///
/// # Examples
/// ```
/// use posse::bytes::{Buf, BytesMut};
/// use posse::net::codec::Decoder;
/// use std::io;
///
/// /// Frames of two bytes, the second of which is zero.
/// struct Pairs;
///
/// #[derive(Debug)]
/// enum PairError {
///     NotZero(u8),
///     Io(io::Error),
/// }
///
/// impl From<io::Error> for PairError {
///     fn from(error: io::Error) -> Self {
///         Self::Io(error)
///     }
/// }
///
/// impl Decoder for Pairs {
///     type Item = u8;
///     type Error = PairError;
///
///     fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<u8>, PairError> {
///         let Some(&[first, second]) = buffer.first_chunk() else { return Ok(None) };
///         buffer.advance(2);
///         if second == 0 { Ok(Some(first)) } else { Err(PairError::NotZero(second)) }
///     }
/// }
///
/// let mut buffer = BytesMut::from(&[7, 0, 8][..]);
/// assert!(matches!(Pairs.decode(&mut buffer), Ok(Some(7))));
/// assert!(matches!(Pairs.decode(&mut buffer), Ok(None)));
/// assert!(matches!(Pairs.decode_eof(&mut buffer), Err(PairError::Io(_))));
/// ```
pub trait Decoder {
    /// What a frame is decoded to.
    type Item;

    /// What may go wrong. The stream's own errors become it too.
    type Error: From<io::Error>;

    /// Takes the next whole frame out of `buffer`, or leaves it to grow. `buffer` holds what was left by the call before,
    /// and what has come since. How large it may become is for the codec to say, by an error.
    ///
    /// # Errors
    /// What the codec says; the stream cannot be used any further, and [`Framed`] does not call again.
    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error>;

    /// As [`decode`](Self::decode), after the last byte. It is called until it returns `None`.
    ///
    /// # Errors
    /// `UnexpectedEof` around a [`CodecError::Truncated`] if a part of a frame is left, unless a codec decides otherwise.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Self::Item>, Self::Error> {
        match self.decode(buffer)? {
            Some(item) => Ok(Some(item)),
            None if buffer.is_empty() => Ok(None),
            None => Err(io::Error::from(CodecError::Truncated).into()),
        }
    }

    /// Puts the codec on a stream.
    fn framed<T>(self, stream: T) -> Framed<T, Self>
    where
        Self: Sized,
    {
        Framed::new(stream, self)
    }
}

/// Writes frames.
pub trait Encoder<T> {
    /// What may go wrong. The stream's own errors become it too.
    type Error: From<io::Error>;

    /// Appends a frame to `buffer`.
    ///
    /// # Errors
    /// What the codec says; nothing is appended then.
    fn encode(&mut self, item: T, buffer: &mut BytesMut) -> Result<(), Self::Error>;
}
