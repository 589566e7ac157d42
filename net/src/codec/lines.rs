//! Frames that are lines of text.

use super::{CodecError, Decoder, Encoder};
use bytes::{BufMut, BytesMut};

/// Lines that end with `\n` or `\r\n`; the last one may lack its end.
///
/// # Examples
/// ```
/// use posse_net::bytes::BytesMut;
/// use posse_net::codec::{Decoder, LinesCodec};
///
/// let mut codec = LinesCodec::new(80);
/// let mut wire = BytesMut::from("one\r\ntwo");
/// assert_eq!(codec.decode(&mut wire)?.as_deref(), Some("one"));
/// assert_eq!(codec.decode(&mut wire)?, None);
/// assert_eq!(codec.decode_eof(&mut wire)?.as_deref(), Some("two"));
/// # Ok::<(), posse_net::codec::CodecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LinesCodec {
    max: usize,
    /// Bytes at the start of the buffer that are known to hold no end of line.
    pub(super) searched: usize,
}

impl LinesCodec {
    /// Lines of at most `max` bytes, their end not counted.
    pub fn new(max: usize) -> Self {
        Self { max, searched: 0 }
    }

    /// The same, by the name that it has in Tokio.
    pub fn new_with_max_length(max: usize) -> Self {
        Self::new(max)
    }

    /// Returns the most bytes that a line may have, its end not counted.
    pub fn max_length(&self) -> usize {
        self.max
    }

    fn text(&self, mut line: &[u8]) -> Result<String, CodecError> {
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.max {
            return Err(CodecError::TooLong { max: self.max });
        }
        std::str::from_utf8(line).map(str::to_owned).map_err(|_| CodecError::NotText)
    }
}

impl Decoder for LinesCodec {
    type Item = String;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<String>, CodecError> {
        // A buffer that is shorter than before is another one.
        if self.searched > buffer.len() {
            self.searched = 0;
        }
        let found = buffer[self.searched..].iter().position(|&byte| byte == b'\n');
        let Some(position) = found else {
            // One more than the maximum may be the `\r` of the end.
            let too_long = buffer.len() > self.max.saturating_add(1);
            // What comes after an error is another buffer: the next datagram.
            self.searched = if too_long { 0 } else { buffer.len() };
            return if too_long { Err(CodecError::TooLong { max: self.max }) } else { Ok(None) };
        };

        let line = buffer.split_to(self.searched + position + 1);
        self.searched = 0;
        self.text(&line[..line.len() - 1]).map(Some)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<String>, CodecError> {
        match self.decode(buffer)? {
            Some(line) => Ok(Some(line)),
            None if buffer.is_empty() => Ok(None),
            None => {
                self.searched = 0;
                let line = buffer.split();
                self.text(&line).map(Some)
            }
        }
    }
}

impl<T: AsRef<str>> Encoder<T> for LinesCodec {
    type Error = CodecError;

    fn encode(&mut self, item: T, buffer: &mut BytesMut) -> Result<(), CodecError> {
        let line = item.as_ref();
        if line.len() > self.max {
            return Err(CodecError::TooLong { max: self.max });
        }
        buffer.reserve(line.len() + 1);
        buffer.put_slice(line.as_bytes());
        buffer.put_u8(b'\n');
        Ok(())
    }
}
