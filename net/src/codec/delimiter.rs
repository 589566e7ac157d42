//! Frames between delimiters of one's choice, and bytes as they come.

use super::{CodecError, Decoder, Encoder};
use bytes::{BufMut, Bytes, BytesMut};
use std::io;

/// Frames that end with any of several bytes.
///
/// # Examples
/// ```
/// use posse_net::bytes::BytesMut;
/// use posse_net::codec::{AnyDelimiterCodec, Decoder, Encoder};
///
/// let mut codec = AnyDelimiterCodec::new(b",;", b";", 80);
/// let mut wire = BytesMut::from("one,two;three");
/// assert_eq!(codec.decode(&mut wire)?.as_deref(), Some(&b"one"[..]));
/// assert_eq!(codec.decode(&mut wire)?.as_deref(), Some(&b"two"[..]));
/// assert_eq!(codec.decode(&mut wire)?, None);
/// assert_eq!(codec.decode_eof(&mut wire)?.as_deref(), Some(&b"three"[..]));
/// codec.encode("four", &mut wire)?;
/// assert_eq!(wire, b"four;"[..]);
/// # Ok::<(), posse_net::codec::CodecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AnyDelimiterCodec {
    delimiters: Bytes,
    written: Bytes,
    max: usize,
    /// Bytes at the start of the buffer that are known to hold no delimiter.
    searched: usize,
}

impl AnyDelimiterCodec {
    /// Frames of at most `max` bytes that end with any of `delimiters`; behind each that is sent comes `written`.
    pub fn new(delimiters: impl AsRef<[u8]>, written: impl AsRef<[u8]>, max: usize) -> Self {
        let copy = Bytes::copy_from_slice;
        Self { delimiters: copy(delimiters.as_ref()), written: copy(written.as_ref()), max, searched: 0 }
    }

    /// The same, by the name that it has in Tokio.
    pub fn new_with_max_length(delimiters: impl AsRef<[u8]>, written: impl AsRef<[u8]>, max: usize) -> Self {
        Self::new(delimiters, written, max)
    }

    /// Returns the most bytes that a frame may have, its delimiter not counted.
    pub fn max_length(&self) -> usize {
        self.max
    }
}

impl Decoder for AnyDelimiterCodec {
    type Item = Bytes;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, CodecError> {
        // A buffer that is shorter than before is another one.
        let start = if self.searched > buffer.len() { 0 } else { self.searched };
        let found = buffer[start..].iter().position(|byte| self.delimiters.contains(byte)).map(|at| start + at);
        let len = found.unwrap_or(buffer.len());
        if len > self.max {
            // What comes after an error is another buffer: the next datagram.
            self.searched = 0;
            return Err(CodecError::TooLong { max: self.max });
        }
        self.searched = if found.is_some() { 0 } else { len };
        Ok(found.map(|len| {
            let mut frame = buffer.split_to(len + 1);
            frame.truncate(len);
            frame.freeze()
        }))
    }

    /// The last frame may lack its delimiter.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, CodecError> {
        if let Some(frame) = self.decode(buffer)? {
            return Ok(Some(frame));
        }
        self.searched = 0;
        Ok((!buffer.is_empty()).then(|| buffer.split().freeze()))
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for AnyDelimiterCodec {
    type Error = CodecError;

    fn encode(&mut self, item: T, buffer: &mut BytesMut) -> Result<(), CodecError> {
        let bytes = item.as_ref();
        if bytes.len() > self.max {
            return Err(CodecError::TooLong { max: self.max });
        }
        buffer.reserve(bytes.len() + self.written.len());
        buffer.put_slice(bytes);
        buffer.put_slice(&self.written);
        Ok(())
    }
}

/// Bytes as they come: each frame is what was there. It needs no maximum, for it waits for nothing.
///
/// # Examples
/// ```
/// use posse_net::codec::{BytesCodec, Framed};
/// use posse_net::io::duplex;
///
/// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
/// let (ours, theirs) = duplex(64);
/// let (mut ours, mut theirs) = (Framed::new(ours, BytesCodec::new()), Framed::new(theirs, BytesCodec::new()));
/// ours.send("some bytes").await?;
/// assert_eq!(theirs.next().await.transpose()?.as_deref(), Some(&b"some bytes"[..]));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct BytesCodec(());

impl BytesCodec {
    /// Makes the codec.
    pub fn new() -> Self {
        Self(())
    }
}

impl Decoder for BytesCodec {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        Ok((!buffer.is_empty()).then(|| buffer.split()))
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for BytesCodec {
    type Error = io::Error;

    fn encode(&mut self, item: T, buffer: &mut BytesMut) -> io::Result<()> {
        buffer.extend_from_slice(item.as_ref());
        Ok(())
    }
}
