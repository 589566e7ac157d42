//! Codecs: how frames lie in a stream of bytes. Pure, incremental, bounded.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::fmt;
use std::io;

/// Bytes of the length in front of a length-delimited frame.
const LENGTH_BYTES: usize = 4;

/// Finds frames in what was received.
pub trait Decode {
    /// What a frame is decoded to.
    type Item;

    /// Takes the next whole frame out of `buffer`, or leaves it to grow. `buffer` holds what was left by the call before,
    /// and what has come since.
    ///
    /// # Errors
    /// [`CodecError`]; the stream cannot be used any further, and [`Framed`](super::Framed) does not call again.
    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Self::Item>, CodecError>;

    /// As [`decode`](Self::decode), after the last byte.
    ///
    /// # Errors
    /// [`CodecError::Truncated`] if a part of a frame is left.
    fn decode_end(&mut self, buffer: &mut BytesMut) -> Result<Option<Self::Item>, CodecError> {
        match self.decode(buffer)? {
            Some(item) => Ok(Some(item)),
            None if buffer.is_empty() => Ok(None),
            None => Err(CodecError::Truncated),
        }
    }
}

/// Writes frames.
pub trait Encode<T> {
    /// Appends a frame to `buffer`.
    ///
    /// # Errors
    /// [`CodecError::TooLong`]; nothing is appended.
    fn encode(&mut self, item: T, buffer: &mut BytesMut) -> Result<(), CodecError>;
}

/// Why a stream could not be cut into frames.
#[derive(Debug)]
#[non_exhaustive]
pub enum CodecError {
    /// A frame is longer than the maximum.
    TooLong {
        /// The maximum, in bytes.
        max: usize,
    },
    /// The stream ended within a frame.
    Truncated,
    /// A line is not UTF-8.
    NotText,
    /// The stream failed.
    Io(io::Error),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max } => write!(f, "a frame is longer than {max} bytes"),
            Self::Truncated => f.write_str("the stream ended within a frame"),
            Self::NotText => f.write_str("a line is not UTF-8"),
            Self::Io(_) => f.write_str("the stream failed"),
        }
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Frames behind their length: four bytes, big-endian, not counting themselves.
#[derive(Clone, Debug)]
pub struct LengthDelimited {
    max: usize,
}

impl LengthDelimited {
    /// Frames of at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { max: max.min(u32::MAX as usize) }
    }
}

impl Decode for LengthDelimited {
    type Item = Bytes;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, CodecError> {
        let Some(&length) = buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(length) as usize;
        if length > self.max {
            return Err(CodecError::TooLong { max: self.max });
        }
        if buffer.len() - LENGTH_BYTES < length {
            return Ok(None);
        }
        buffer.advance(LENGTH_BYTES);
        Ok(Some(buffer.split_to(length).freeze()))
    }
}

impl<T: AsRef<[u8]>> Encode<T> for LengthDelimited {
    fn encode(&mut self, item: T, buffer: &mut BytesMut) -> Result<(), CodecError> {
        let bytes = item.as_ref();
        if bytes.len() > self.max {
            return Err(CodecError::TooLong { max: self.max });
        }
        buffer.reserve(LENGTH_BYTES + bytes.len());
        buffer.put_u32(bytes.len() as u32);
        buffer.put_slice(bytes);
        Ok(())
    }
}

/// Lines that end with `\n` or `\r\n`; the last one may lack its end.
#[derive(Clone, Debug)]
pub struct Lines {
    max: usize,
    /// Bytes at the start of the buffer that are known to hold no end of line.
    searched: usize,
}

impl Lines {
    /// Lines of at most `max` bytes, their end not counted.
    pub fn new(max: usize) -> Self {
        Self { max, searched: 0 }
    }

    fn text(&self, mut line: &[u8]) -> Result<String, CodecError> {
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > self.max {
            return Err(CodecError::TooLong { max: self.max });
        }
        std::str::from_utf8(line).map(str::to_owned).map_err(|_| CodecError::NotText)
    }
}

impl Decode for Lines {
    type Item = String;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<String>, CodecError> {
        // A buffer that is shorter than before is another one.
        if self.searched > buffer.len() {
            self.searched = 0;
        }
        let found = buffer[self.searched..].iter().position(|&byte| byte == b'\n');
        let Some(position) = found else {
            self.searched = buffer.len();
            // One more than the maximum may be the `\r` of the end.
            let too_long = buffer.len() > self.max.saturating_add(1);
            return if too_long { Err(CodecError::TooLong { max: self.max }) } else { Ok(None) };
        };

        let line = buffer.split_to(self.searched + position + 1);
        self.searched = 0;
        self.text(&line[..line.len() - 1]).map(Some)
    }

    fn decode_end(&mut self, buffer: &mut BytesMut) -> Result<Option<String>, CodecError> {
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

impl<T: AsRef<str>> Encode<T> for Lines {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes `bytes` cut into pieces, as a socket would give them. After an error the codec is asked once more, with
    /// what it left and with nothing: the answer is of no use, but there must be one.
    fn decode_all<D: Decode + Clone>(mut codec: D, bytes: &[u8], cut: usize) -> Result<Vec<D::Item>, CodecError> {
        let mut buffer = BytesMut::new();
        let decoded = decode_into(&mut codec, &mut buffer, bytes, cut);
        if decoded.is_err() {
            for mut left in [buffer, BytesMut::new(), BytesMut::from(&b"a\n"[..])] {
                let _ = codec.clone().decode_end(&mut left.clone());
                let _ = codec.clone().decode(&mut left);
            }
        }
        decoded
    }

    fn decode_into<D: Decode>(
        codec: &mut D,
        buffer: &mut BytesMut,
        bytes: &[u8],
        cut: usize,
    ) -> Result<Vec<D::Item>, CodecError> {
        let mut items = Vec::new();
        for piece in bytes.chunks(cut) {
            buffer.extend_from_slice(piece);
            while let Some(item) = codec.decode(buffer)? {
                items.push(item);
            }
        }
        while let Some(item) = codec.decode_end(buffer)? {
            items.push(item);
        }
        Ok(items)
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..20),
            cut in 1usize..50,
        ) {
            let mut codec = LengthDelimited::new(100);
            let mut wire = BytesMut::new();
            for frame in &frames {
                codec.encode(frame, &mut wire).unwrap();
            }
            let decoded = decode_all(codec, &wire, cut).unwrap();
            prop_assert_eq!(decoded, frames);
        }

        #[test]
        fn lines_survive_any_cutting(lines in proptest::collection::vec("[^\r\n]{0,30}", 0..20), cut in 1usize..50) {
            let mut codec = Lines::new(200);
            let mut wire = BytesMut::new();
            for line in &lines {
                codec.encode(line, &mut wire).unwrap();
            }
            prop_assert_eq!(decode_all(codec, &wire, cut).unwrap(), lines);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
            let _ = decode_all(LengthDelimited::new(64), &bytes, cut);
            let _ = decode_all(Lines::new(16), &bytes, cut);
        }
    }

    #[test]
    fn a_frame_over_the_maximum_is_refused_before_its_bytes_come() {
        let announced = [0xff, 0xff, 0xff, 0xff];
        assert!(matches!(decode_all(LengthDelimited::new(10), &announced, 4), Err(CodecError::TooLong { max: 10 })));
        assert!(matches!(decode_all(Lines::new(4), b"abcdef", 6), Err(CodecError::TooLong { max: 4 })));
    }

    #[test]
    fn an_end_within_a_frame_is_an_error() {
        assert!(matches!(decode_all(LengthDelimited::new(10), &[0, 0, 0, 3, 1], 9), Err(CodecError::Truncated)));
        assert_eq!(decode_all(Lines::new(10), b"a\r\nb", 9).unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_is_exactly_as_long_as_the_maximum_passes_and_one_byte_more_does_not() {
        let mut out = BytesMut::new();
        let mut codec = LengthDelimited::new(4);
        codec.encode("abcd", &mut out).unwrap();
        assert_eq!(decode_all(codec.clone(), &out, 9).unwrap(), ["abcd"]);
        assert!(matches!(codec.encode("abcde", &mut out), Err(CodecError::TooLong { max: 4 })));
        assert!(matches!(decode_all(codec, &[0, 0, 0, 5], 9), Err(CodecError::TooLong { max: 4 })));

        let mut out = BytesMut::new();
        let mut codec = Lines::new(4);
        codec.encode("abcd", &mut out).unwrap();
        assert_eq!(decode_all(codec.clone(), &out, 9).unwrap(), ["abcd"]);
        assert!(matches!(codec.encode("abcde", &mut out), Err(CodecError::TooLong { max: 4 })));
        for cut in 1..7 {
            assert_eq!(decode_all(codec.clone(), b"abcd\r\n", cut).unwrap(), ["abcd"]);
            assert_eq!(decode_all(codec.clone(), b"abcd\r", cut).unwrap(), ["abcd"]);
            for long in ["abcde\n", "abcde\r\n", "abcde", "abcdef"] {
                let decoded = decode_all(codec.clone(), long.as_bytes(), cut);
                assert!(matches!(decoded, Err(CodecError::TooLong { max: 4 })), "{long:?}");
            }
        }
    }

    #[test]
    fn what_is_whole_at_the_end_comes_out_one_by_one() {
        let mut wire = BytesMut::from(&[0, 0, 0, 1, b'a', 0, 0, 0, 1, b'b'][..]);
        let mut codec = LengthDelimited::new(4);
        assert_eq!(codec.decode_end(&mut wire).unwrap().unwrap(), "a");
        assert_eq!(codec.decode_end(&mut wire).unwrap().unwrap(), "b");
        assert_eq!(codec.decode_end(&mut wire).unwrap(), None);

        let mut wire = BytesMut::from("a\nb");
        let mut codec = Lines::new(4);
        assert_eq!(codec.decode_end(&mut wire).unwrap().unwrap(), "a");
        assert_eq!(codec.decode_end(&mut wire).unwrap().unwrap(), "b");
        assert_eq!(codec.decode_end(&mut wire).unwrap(), None);
    }

    #[test]
    fn no_byte_of_a_long_line_is_searched_twice() {
        let mut codec = Lines::new(100);
        let mut buffer = BytesMut::from("abc");
        assert_eq!(codec.decode(&mut buffer).unwrap(), None);
        assert_eq!(codec.searched, 3);
        buffer.extend_from_slice(b"d\ne");
        assert_eq!(codec.decode(&mut buffer).unwrap().unwrap(), "abcd");
        assert_eq!(codec.searched, 0);
    }
}
