//! The codecs, given bytes in all kinds of pieces.

use super::*;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

/// Decodes `bytes` cut into pieces, as a socket would give them. After an error the codec is asked once more, with
/// what it left and with nothing: the answer is of no use, but there must be one.
fn decode_all<D: Decoder<Error = CodecError> + Clone>(
    mut codec: D,
    bytes: &[u8],
    cut: usize,
) -> Result<Vec<D::Item>, CodecError> {
    let mut buffer = BytesMut::new();
    let decoded = decode_into(&mut codec, &mut buffer, bytes, cut);
    if decoded.is_err() {
        for mut left in [buffer, BytesMut::new(), BytesMut::from(&b"a\n"[..])] {
            let _ = codec.clone().decode_eof(&mut left.clone());
            let _ = codec.clone().decode(&mut left);
        }
    }
    decoded
}

fn decode_into<D: Decoder<Error = CodecError>>(
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
    while let Some(item) = codec.decode_eof(buffer)? {
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
        let mut codec = LengthDelimitedCodec::builder().max_frame_length(100).new_codec();
        let mut wire = BytesMut::new();
        for frame in &frames {
            codec.encode(frame, &mut wire).unwrap();
        }
        let decoded = decode_all(codec, &wire, cut).unwrap();
        prop_assert_eq!(decoded, frames);
    }

    #[test]
    fn lines_survive_any_cutting(lines in proptest::collection::vec("[^\r\n]{0,30}", 0..20), cut in 1usize..50) {
        let mut codec = LinesCodec::new(200);
        let mut wire = BytesMut::new();
        for line in &lines {
            codec.encode(line, &mut wire).unwrap();
        }
        prop_assert_eq!(decode_all(codec, &wire, cut).unwrap(), lines);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
        let _ = decode_all(LengthDelimitedCodec::builder().max_frame_length(64).new_codec(), &bytes, cut);
        let _ = decode_all(LinesCodec::new(16), &bytes, cut);
        let _ = decode_all(AnyDelimiterCodec::new(b"\0a", b"", 16), &bytes, cut);
    }

    #[test]
    fn arbitrary_lengths_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        cut in 1usize..50,
        (offset, width, adjustment, skip) in (0usize..6, 1usize..9, -12isize..12, proptest::option::of(0usize..12)),
        is_little in any::<bool>(),
    ) {
        let mut options = LengthDelimitedCodec::builder().max_frame_length(64)
            .length_field_offset(offset)
            .length_field_length(width)
            .length_adjustment(adjustment);
        options = if is_little { options.little_endian() } else { options.big_endian() };
        options = skip.into_iter().fold(options, LengthDelimitedBuilder::num_skip);
        let mut codec = options.new_codec();
        let _ = decode_all(codec.clone(), &bytes, cut);

        // What can be written is read again, if nothing is left out or in.
        let mut wire = BytesMut::new();
        let frame = &bytes[..bytes.len().min(20)];
        if codec.encode(frame, &mut wire).is_ok() && skip.is_none() {
            prop_assert_eq!(decode_all(codec, &wire, cut).unwrap(), vec![Bytes::copy_from_slice(frame)]);
        }
    }
}

#[test]
fn a_frame_over_the_maximum_is_refused_before_its_bytes_come() {
    let announced = [0xff, 0xff, 0xff, 0xff];
    assert!(matches!(
        decode_all(LengthDelimitedCodec::builder().max_frame_length(10).new_codec(), &announced, 4),
        Err(CodecError::TooLong { max: 10 })
    ));
    assert!(matches!(decode_all(LinesCodec::new(4), b"abcdef", 6), Err(CodecError::TooLong { max: 4 })));
    let longer_by_one = (8u32 << 20) + 1;
    let by_default = decode_all(LengthDelimitedCodec::new(), &longer_by_one.to_be_bytes(), 4);
    assert!(matches!(by_default, Err(CodecError::TooLong { max }) if max == 8 << 20));
}

#[test]
fn an_end_within_a_frame_is_an_error() {
    assert!(matches!(
        decode_all(LengthDelimitedCodec::builder().max_frame_length(10).new_codec(), &[0, 0, 0, 3, 1], 9),
        Err(CodecError::Truncated)
    ));
    assert_eq!(decode_all(LinesCodec::new(10), b"a\r\nb", 9).unwrap(), ["a", "b"]);
}

#[test]
fn what_is_exactly_as_long_as_the_maximum_passes_and_one_byte_more_does_not() {
    let mut out = BytesMut::new();
    let mut codec = LengthDelimitedCodec::builder().max_frame_length(4).new_codec();
    codec.encode("abcd", &mut out).unwrap();
    assert_eq!(decode_all(codec.clone(), &out, 9).unwrap(), ["abcd"]);
    assert!(matches!(codec.encode("abcde", &mut out), Err(CodecError::TooLong { max: 4 })));
    assert!(matches!(decode_all(codec, &[0, 0, 0, 5], 9), Err(CodecError::TooLong { max: 4 })));

    let mut out = BytesMut::new();
    let mut codec = LinesCodec::new(4);
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
    let mut codec = LengthDelimitedCodec::builder().max_frame_length(4).new_codec();
    assert_eq!(codec.decode_eof(&mut wire).unwrap().unwrap(), "a");
    assert_eq!(codec.decode_eof(&mut wire).unwrap().unwrap(), "b");
    assert_eq!(codec.decode_eof(&mut wire).unwrap(), None);

    let mut wire = BytesMut::from("a\nb");
    let mut codec = LinesCodec::new(4);
    assert_eq!(codec.decode_eof(&mut wire).unwrap().unwrap(), "a");
    assert_eq!(codec.decode_eof(&mut wire).unwrap().unwrap(), "b");
    assert_eq!(codec.decode_eof(&mut wire).unwrap(), None);
}

#[test]
fn no_byte_of_a_long_line_is_searched_twice() {
    let mut codec = LinesCodec::new(100);
    let mut buffer = BytesMut::from("abc");
    assert_eq!(codec.decode(&mut buffer).unwrap(), None);
    assert_eq!(codec.searched, 3);
    buffer.extend_from_slice(b"d\ne");
    assert_eq!(codec.decode(&mut buffer).unwrap().unwrap(), "abcd");
    assert_eq!(codec.searched, 0);
}

/// Decodes all frames that lie in `wire`.
fn frames(mut codec: LengthDelimitedCodec, wire: &[u8]) -> Result<Vec<Bytes>, CodecError> {
    decode_into(&mut codec, &mut BytesMut::new(), wire, 3)
}

#[test]
fn a_length_lies_where_the_options_say() {
    let builder = || LengthDelimitedCodec::builder().max_frame_length(100);
    // The length alone is left out, or comes along.
    assert_eq!(frames(builder().length_field_type::<u16>().new_codec(), b"\0\x02ab").unwrap(), ["ab"]);
    let whole = builder().length_field_length(2).length_adjustment(2).num_skip(0).new_codec();
    assert_eq!(frames(whole, b"\0\x02ab").unwrap(), [&b"\0\x02ab"[..]]);
    // It counts itself.
    let itself = builder().length_field_length(2).length_adjustment(-2);
    assert_eq!(frames(itself.clone().new_codec(), b"\0\x04ab").unwrap(), ["ab"]);
    assert!(matches!(frames(itself.clone().new_codec(), b"\0\x01ab"), Err(CodecError::BadLength)));
    let mut written = BytesMut::new();
    itself.new_codec().encode("ab", &mut written).unwrap();
    assert_eq!(written, b"\0\x04ab"[..]);
    // Something lies in front of it and behind it.
    let head = builder().length_field_offset(1).length_field_length(3).little_endian().length_adjustment(1).num_skip(4);
    assert_eq!(frames(head.clone().new_codec(), b"h\x02\0\0tab").unwrap(), ["tab"]);
    assert!(matches!(head.new_codec().encode("ab", &mut written), Err(CodecError::HasHead)));
    // A frame that would end within its own head.
    let short = builder().length_field_length(2).num_skip(0).new_codec();
    assert!(matches!(frames(short, b"\0\x01ab"), Err(CodecError::BadLength)));
}

#[test]
fn a_length_that_does_not_fit_is_refused() {
    let mut codec = LengthDelimitedCodec::builder().max_frame_length(1000).length_field_length(1).new_codec();
    let mut wire = BytesMut::new();
    codec.encode([0; 255], &mut wire).unwrap();
    assert_eq!(wire.len(), 256);
    assert!(matches!(codec.encode([0; 256], &mut wire), Err(CodecError::BadLength)));
    assert_eq!(wire.len(), 256, "nothing was appended");
    let eight = LengthDelimitedCodec::builder().max_frame_length(1000).length_field_length(8).new_codec();
    assert!(matches!(frames(eight, &[0xFF; 8]), Err(CodecError::TooLong { max: 1000 })));
    codec.set_max_frame_length(3);
    assert!(matches!(frames(codec, &[4]), Err(CodecError::TooLong { max: 3 })));
}

#[test]
fn any_delimiter_ends_a_frame_and_the_last_may_lack_its_own() {
    let codec = AnyDelimiterCodec::new(b",;", b"", 3);
    assert_eq!(decode_all(codec.clone(), b"abc,;d", 2).unwrap(), ["abc", "", "d"]);
    assert!(matches!(decode_all(codec.clone(), b"abcd,", 9), Err(CodecError::TooLong { max: 3 })));
    assert!(matches!(decode_all(codec.clone(), b"abcd", 1), Err(CodecError::TooLong { max: 3 })));
    assert!(matches!(codec.clone().encode("abcd", &mut BytesMut::new()), Err(CodecError::TooLong { max: 3 })));
}

#[test]
fn errors_keep_their_reason_on_their_way_through_others() {
    let there = std::io::Error::from(CodecError::TooLong { max: 7 });
    assert_eq!(there.kind(), std::io::ErrorKind::InvalidData);
    assert!(matches!(CodecError::from(there), CodecError::TooLong { max: 7 }));
    let there = std::io::Error::from(CodecError::Io(std::io::ErrorKind::BrokenPipe.into()));
    assert_eq!(there.kind(), std::io::ErrorKind::BrokenPipe);
    let back = CodecError::from(there);
    assert!(matches!(back, CodecError::Io(_)));
    let cause = |error: &CodecError| std::error::Error::source(error).map(ToString::to_string);
    assert_eq!(cause(&back), Some(std::io::Error::from(std::io::ErrorKind::BrokenPipe).to_string()));
    assert_eq!(cause(&CodecError::Truncated), None);
}

#[test]
fn after_an_error_a_new_buffer_is_searched_from_its_start() {
    let (mut lines, mut fields) = (LinesCodec::new(10), AnyDelimiterCodec::new(b",\n", b",", 10));
    let too_long = || BytesMut::from(&[b'x'; 20][..]);
    assert!(lines.decode(&mut too_long()).is_err() && lines.decode_eof(&mut too_long()).is_err());
    assert!(fields.decode(&mut too_long()).is_err() && fields.decode_eof(&mut too_long()).is_err());
    let mut next = BytesMut::from("one\ntwo\nthree\nfour\nfive\n");
    assert_eq!(lines.decode(&mut next.clone()).unwrap().as_deref(), Some("one"));
    assert_eq!(fields.decode(&mut next).unwrap().as_deref(), Some(&b"one"[..]));
}
