//! Frames behind their length.

use super::{CodecError, Decoder, Encoder, Framed, FramedRead, FramedWrite};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of the widest length there is.
const WIDTH_MAX: usize = 8;

/// The longest frame unless it is said otherwise, as in `tokio_util`.
const FRAME_MAX: usize = 8 << 20;

/// Frames behind their length: four bytes, big-endian, not counting themselves, and at most 8 MiB of frame, unless a
/// [builder](Self::builder) says otherwise.
///
/// # Examples
/// ```
/// use posse::bytes::BytesMut;
/// use posse::net::codec::{Decoder, Encoder, LengthDelimitedCodec};
///
/// let mut codec = LengthDelimitedCodec::new();
/// let mut wire = BytesMut::new();
/// codec.encode("hello", &mut wire)?;
/// assert_eq!(wire, b"\0\0\0\x05hello"[..]);
/// assert_eq!(codec.decode(&mut wire)?.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), posse::net::codec::CodecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LengthDelimitedCodec {
    options: LengthDelimitedBuilder,
}

/// How the length of a frame lies on the wire; see [`LengthDelimitedCodec::builder`].
///
/// # Examples
/// A type of one byte, then a little-endian length of two that counts the whole frame; what comes out is the payload.
/// ```
/// use posse::bytes::BytesMut;
/// use posse::net::codec::{Decoder, LengthDelimitedCodec};
///
/// let mut codec = LengthDelimitedCodec::builder().max_frame_length(1024)
///     .length_field_offset(1)
///     .length_field_length(2)
///     .little_endian()
///     .length_adjustment(-3)
///     .new_codec();
/// let mut wire = BytesMut::from(&b"\xAA\x08\x00hello"[..]);
/// assert_eq!(codec.decode(&mut wire)?.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), posse::net::codec::CodecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LengthDelimitedBuilder {
    max: usize,
    offset: usize,
    width: usize,
    is_little_endian: bool,
    adjustment: isize,
    /// `None`: everything up to the end of the length.
    skip: Option<usize>,
}

impl LengthDelimitedBuilder {
    /// Sets the most bytes that a frame may have as it comes out. Default: 8 MiB.
    pub fn max_frame_length(mut self, bytes: usize) -> Self {
        self.max = bytes;
        self
    }

    /// Sets how many bytes lie in front of the length. Default: 0. Frames with such a head can be read, not written.
    pub fn length_field_offset(mut self, bytes: usize) -> Self {
        self.offset = bytes;
        self
    }

    /// Sets how many bytes the length has. Default: 4.
    ///
    /// # Panics
    /// Unless it has 1 to 8 bytes.
    pub fn length_field_length(mut self, bytes: usize) -> Self {
        assert!((1..=WIDTH_MAX).contains(&bytes), "a length has 1 to {WIDTH_MAX} bytes, not {bytes}");
        self.width = bytes;
        self
    }

    /// The length has as many bytes as a type, such as `u16`.
    ///
    /// # Panics
    /// If the type has none, or more than 8.
    pub fn length_field_type<T>(self) -> Self {
        self.length_field_length(size_of::<T>())
    }

    /// The most significant byte of the length comes first. This is the default.
    pub fn big_endian(mut self) -> Self {
        self.is_little_endian = false;
        self
    }

    /// The least significant byte of the length comes first.
    pub fn little_endian(mut self) -> Self {
        self.is_little_endian = true;
        self
    }

    /// The bytes of the length are in the machine's order.
    pub fn native_endian(mut self) -> Self {
        self.is_little_endian = cfg!(target_endian = "little");
        self
    }

    /// Sets what is added to a length on the wire to get the length of the frame that comes out: minus the bytes of the
    /// head if it counts itself. Default: 0.
    pub fn length_adjustment(mut self, bytes: isize) -> Self {
        self.adjustment = bytes;
        self
    }

    /// Sets how many bytes at the start are not part of the frame that comes out. Default: all up to the end of the
    /// length.
    pub fn num_skip(mut self, bytes: usize) -> Self {
        self.skip = Some(bytes);
        self
    }

    /// Makes the codec.
    pub fn new_codec(self) -> LengthDelimitedCodec {
        LengthDelimitedCodec { options: self }
    }

    /// Reads such frames from a source.
    pub fn new_read<T>(self, source: T) -> FramedRead<T, LengthDelimitedCodec> {
        FramedRead::new(source, self.new_codec())
    }

    /// Writes such frames to a sink.
    pub fn new_write<T>(self, sink: T) -> FramedWrite<T, LengthDelimitedCodec> {
        FramedWrite::new(sink, self.new_codec())
    }

    /// Reads and writes such frames over a stream.
    pub fn new_framed<T>(self, stream: T) -> Framed<T, LengthDelimitedCodec> {
        Framed::new(stream, self.new_codec())
    }

    /// Bytes that must be there to know how long the frame is.
    fn head(&self) -> usize {
        self.offset.saturating_add(self.width)
    }

    fn read_length(&self, field: &[u8]) -> u64 {
        let fold = |length: u64, byte: &u8| length << 8 | u64::from(*byte);
        if self.is_little_endian { field.iter().rev().fold(0, fold) } else { field.iter().fold(0, fold) }
    }

    fn write_length(&self, length: u64, buffer: &mut BytesMut) -> Result<(), CodecError> {
        let bytes = length.to_be_bytes();
        let (rest, field) = bytes.split_at(WIDTH_MAX - self.width);
        if rest.iter().any(|&byte| byte != 0) {
            return Err(CodecError::BadLength);
        }
        if self.is_little_endian {
            field.iter().rev().for_each(|&byte| buffer.put_u8(byte));
        } else {
            buffer.put_slice(field);
        }
        Ok(())
    }
}

impl LengthDelimitedCodec {
    /// Frames of at most 8 MiB.
    pub fn new() -> Self {
        Self::builder().new_codec()
    }

    /// Says how the length lies on the wire, and how long a frame may be.
    pub fn builder() -> LengthDelimitedBuilder {
        LengthDelimitedBuilder {
            max: FRAME_MAX,
            offset: 0,
            width: 4,
            is_little_endian: false,
            adjustment: 0,
            skip: None,
        }
    }

    /// Returns the most bytes that a frame may have as it comes out.
    pub fn max_frame_length(&self) -> usize {
        self.options.max
    }

    /// Sets the most bytes that a frame may have as it comes out, from the next one on.
    pub fn set_max_frame_length(&mut self, max: usize) {
        self.options.max = max;
    }
}

impl Default for LengthDelimitedCodec {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for LengthDelimitedCodec {
    type Item = Bytes;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, CodecError> {
        let options = &self.options;
        let head = options.head();
        if buffer.len() < head {
            return Ok(None);
        }

        let too_long = CodecError::TooLong { max: options.max };
        let length = options.read_length(&buffer[options.offset..head]);
        let Ok(length) = usize::try_from(length) else { return Err(too_long) };
        let length = length.checked_add_signed(options.adjustment).ok_or(CodecError::BadLength)?;
        if length > options.max {
            return Err(too_long);
        }

        let skip = options.skip.unwrap_or(head);
        let whole = skip.checked_add(length).ok_or(CodecError::BadLength)?;
        if whole < head {
            // The frame would end before its own length does, and the next one begin within it.
            return Err(CodecError::BadLength);
        }
        if buffer.len() < whole {
            return Ok(None);
        }
        buffer.advance(skip);
        Ok(Some(buffer.split_to(length).freeze()))
    }
}

impl<T: AsRef<[u8]>> Encoder<T> for LengthDelimitedCodec {
    type Error = CodecError;

    fn encode(&mut self, item: T, buffer: &mut BytesMut) -> Result<(), CodecError> {
        let (bytes, options) = (item.as_ref(), &self.options);
        if options.offset != 0 {
            return Err(CodecError::HasHead);
        }
        if bytes.len() > options.max {
            return Err(CodecError::TooLong { max: options.max });
        }
        let length = options.adjustment.checked_neg().and_then(|step| bytes.len().checked_add_signed(step));
        buffer.reserve(options.width + bytes.len());
        options.write_length(length.ok_or(CodecError::BadLength)? as u64, buffer)?;
        buffer.put_slice(bytes);
        Ok(())
    }
}
