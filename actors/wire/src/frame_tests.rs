//! Golden bytes and properties of frames.

use super::*;
use proptest::prelude::*;

const MAX: u32 = 4096;

fn whole(bytes: &[u8]) -> (Header, BytesMut, u32) {
    match parse(&mut BytesMut::from(bytes), MAX).unwrap() {
        Parsed::Frame(header, body, bytes) => (header, body, bytes),
        other => panic!("expected a frame, got {other:?}"),
    }
}

fn fails(bytes: &[u8]) -> FrameError {
    parse(&mut BytesMut::from(bytes), MAX).unwrap_err()
}

#[test]
fn tell_has_its_golden_bytes() {
    let header = Header {
        type_ix: 0x0302,
        to: ActorKey { slot: 0x0706_0504, generation: 0x0b0a_0908 },
        ..Header::new(FrameKind::Tell)
    };
    let mut out = BytesMut::new();
    header.write(b"hi", &mut out);
    assert_eq!(out[..], [18, 0, 0, 0, 0x01, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, b'h', b'i']);
    assert_eq!(header.frame_bytes(2), 18);
}

#[test]
fn ask_has_its_golden_bytes() {
    let header = Header {
        to: ActorKey { slot: 1, generation: 2 },
        correlation: Some(CorrelationId { slot: 3, generation: 4 }),
        deadline_ms: Some(5000),
        type_key: Some(TypeKey { id: 0x1122_3344_5566_7788, schema: Some(9) }),
        ..Header::new(FrameKind::Ask)
    };
    let mut out = BytesMut::new();
    header.write(b"?", &mut out);
    let golden = [
        &[49, 0, 0, 0, 0x02, 2 | 4 | 16, 0xff, 0xff][..],
        &[1, 0, 0, 0, 2, 0, 0, 0],
        &[3, 0, 0, 0, 4, 0, 0, 0],
        &[0x88, 0x13, 0, 0, 0, 0, 0, 0],
        &[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 9, 0, 0, 0, 0, 0, 0, 0],
        b"?",
    ];
    assert_eq!(out[..], golden.concat()[..]);
}

#[test]
fn length_is_refused_before_the_rest_has_arrived() {
    assert_eq!(fails(&(MAX + 1).to_le_bytes()), FrameError::TooLong(MAX + 1));
    assert_eq!(fails(&u32::MAX.to_le_bytes()), FrameError::TooLong(u32::MAX));
    assert_eq!(fails(&15_u32.to_le_bytes()), FrameError::TooShort(15));
}

#[test]
fn kind_and_flags_are_refused_before_the_body_has_arrived() {
    let start = |kind: u8, flags: u8| [&100_u32.to_le_bytes()[..], &[kind, flags], &[0; 10]].concat();
    assert_eq!(fails(&start(0x77, 0)), FrameError::UnknownKind(0x77));
    assert_eq!(fails(&start(0x01, 0x80)), FrameError::UnknownFlags(0x80));
    assert_eq!(fails(&start(0x01, 0x40)), FrameError::UnknownFlags(0x40));
}

#[test]
fn skippable_kind_is_skipped_whatever_its_flags() {
    let mut input = BytesMut::from(&[&[20, 0, 0, 0, 0xc0, 0xff][..], &[0; 14]].concat()[..]);
    assert!(matches!(parse(&mut input, MAX).unwrap(), Parsed::Skipped));
    assert!(input.is_empty());
}

#[test]
fn frame_shorter_than_its_extensions_is_refused() {
    let frame = [&[16, 0, 0, 0, 0x02, 2][..], &[0; 10]].concat();
    assert_eq!(fails(&frame), FrameError::TooShort(16));
}

#[test]
fn request_without_correlation_is_refused() {
    let frame = [&[16, 0, 0, 0, 0x02, 0][..], &[0; 10]].concat();
    assert!(matches!(fails(&frame), FrameError::Malformed(_)));
}

#[test]
fn only_messages_have_a_type_and_only_one() {
    let type_key = Some(TypeKey { id: 1, schema: Some(2) });
    for &kind in FrameKind::ALL {
        let correlation = kind.needs_correlation().then_some(CorrelationId { slot: 3, generation: 4 });
        for type_ix in [NO_INDEX, 0] {
            let mut frame = BytesMut::new();
            Header { type_ix, correlation, type_key, ..Header::new(kind) }.write(b"", &mut frame);
            // What a header of this node has written may not be what it is asked to read.
            let parsed = parse(&mut frame, MAX);
            let is_right = type_ix == NO_INDEX && matches!(kind, FrameKind::Tell | FrameKind::Ask);
            assert_eq!(matches!(parsed, Ok(Parsed::Frame(..))), is_right, "{kind:?} {type_ix}: {parsed:?}");
        }
    }
}

#[test]
fn every_kind_has_a_number_of_its_own() {
    for kind in FrameKind::ALL {
        assert_eq!(FrameKind::from_u8(*kind as u8), Some(*kind));
    }
}

fn headers() -> impl Strategy<Value = Header> {
    let kinds = prop::sample::select(FrameKind::ALL);
    let ids = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let parts = (any::<u16>(), prop::option::of(any::<u32>()), any::<bool>(), any::<bool>());
    (kinds, ids, parts).prop_map(
        |(kind, (to, from, correlation, id, schema), (type_ix, deadline_ms, says_from, full))| {
            let type_key = (full && kind.is_message()).then_some(TypeKey { id, schema: Some(schema) });
            Header {
                kind,
                type_ix: if type_key.is_some() { NO_INDEX } else { type_ix },
                to: ActorKey::from_bits(to),
                from: says_from.then_some(ActorKey::from_bits(from)),
                correlation: kind.needs_correlation().then_some(CorrelationId::from_bits(correlation)),
                deadline_ms,
                type_key,
            }
        },
    )
}

proptest! {
    #[test]
    fn every_frame_comes_back(header in headers(), body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut out = BytesMut::new();
        header.write(&body, &mut out);
        prop_assert_eq!(out.len(), header.frame_bytes(body.len()));

        for cut in 0..out.len() {
            let mut part = BytesMut::from(&out[..cut]);
            prop_assert!(matches!(parse(&mut part, MAX), Ok(Parsed::Incomplete)));
        }
        let (back, back_body, bytes) = whole(&out);
        prop_assert_eq!((back, &back_body[..], bytes as usize), (header, &body[..], out.len()));
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Parsed::Skipped | Parsed::Frame(..)) = parse(&mut input, MAX) {}
    }
}
