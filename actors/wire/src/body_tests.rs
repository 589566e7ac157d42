//! Golden bytes and round trips of the bodies of control frames.

use super::*;
use crate::ids::ActorKey;
use proptest::prelude::*;

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

#[test]
fn go_away_has_its_golden_bytes() {
    let go_away = GoAwayBody { code: CloseReason::Stale, detail: 0x0102, text: "old".into() };
    let golden = [5, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, b'o', b'l', b'd'];
    assert_eq!(written(|out| go_away.write(out)), golden);
}

#[test]
fn ready_has_its_golden_bytes() {
    let ready = Ready { version: 1, codec: 1, features: 3 };
    let golden = [&[1, 1, 0, 0, 0, 0, 0, 0][..], &[3, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(written(|out| ready.write(out)), golden);
}

#[test]
fn ack_has_its_golden_bytes() {
    let ack = Ack { settled: 1, bytes: 2, rejected: [3, 4, 5, 6] };
    let golden: Vec<u8> = (1..=6_u64).flat_map(u64::to_le_bytes).collect();
    assert_eq!(written(|out| ack.write(out)), golden);
}

#[test]
fn backlog_has_its_golden_bytes() {
    let backlogs =
        [(ActorKey { slot: 1, generation: 2 }, Load { messages: 3, bytes: 4 }), (ActorKey::NODE, Load::default())];
    let golden = [&[1, 0, 0, 0, 2, 0, 0, 0][..], &3_u64.to_le_bytes(), &4_u64.to_le_bytes(), &[0; 24]].concat();
    assert_eq!(written(|out| write_backlogs(&backlogs, out)), golden);
    assert_eq!(read_backlogs(&golden).unwrap(), backlogs);
    assert!(read_backlogs(&golden[1..]).is_err());
    assert!(read_backlogs(&[0; 24 * 2000]).is_ok());
    assert!(read_backlogs(&[0; 24 * 2001]).is_err());
}

#[test]
fn node_info_has_its_golden_bytes() {
    let node = NodeId::new("n", 2);
    let node_info = NodeInfo { node, name: "n".into(), address: "a:1".into() };
    let golden = [&crate::fnv1a64(b"n").to_le_bytes()[..], &2_u64.to_le_bytes(), &[1, 0], b"n", b"a:1"].concat();
    assert_eq!(written(|out| node_info.write(out)), golden);
}

#[test]
fn resolution_has_its_golden_bytes() {
    assert_eq!(written(|out| Resolution::NotFound.write(out)), [1, 0, 0, 0, 0, 0, 0, 0]);
    let reference = WireRef::from_bytes([7; 32]);
    assert_eq!(written(|out| Resolution::Found(reference).write(out)), [&[0; 8][..], &[7; 32]].concat());
}

#[test]
fn text_that_is_too_long_is_cut_between_characters() {
    let text = "ä".repeat(TEXT_BYTES_MAX);
    let body = written(|out| write_coded(4, &text, out));
    assert_eq!(read_reply_err(&body).unwrap(), (ReplyCode::Crashed, "ä".repeat(TEXT_BYTES_MAX / 2)));
    assert_eq!(cut("aä", 2), "a");
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn go_aways_come_back(code in any::<u16>(), detail in any::<u64>(), text in text()) {
        let go_away = GoAwayBody { code: CloseReason::from_u16(code), detail, text };
        prop_assert_eq!(GoAwayBody::read(&written(|out| go_away.write(out))).unwrap(), go_away);
    }

    #[test]
    fn readies_come_back(version in any::<u8>(), codec in any::<u8>(), features in any::<u64>()) {
        let ready = Ready { version, codec, features };
        prop_assert_eq!(Ready::read(&written(|out| ready.write(out))).unwrap(), ready);
    }

    #[test]
    fn acks_come_back(settled in any::<u64>(), bytes in any::<u64>(), rejected in any::<[u64; 4]>()) {
        let ack = Ack { settled, bytes, rejected };
        prop_assert_eq!(Ack::read(&written(|out| ack.write(out))).unwrap(), ack);
    }

    #[test]
    fn heartbeats_come_back(time_ns in any::<u64>(), number in any::<u64>()) {
        let beat = Heartbeat { time_ns, number };
        prop_assert_eq!(Heartbeat::read(&written(|out| beat.write(out))).unwrap(), beat);
    }

    #[test]
    fn types_come_back(entries in prop::collection::vec(any::<(u64, u64)>(), 0..50), start in 0..1000_usize) {
        let types: Vec<_> = entries.into_iter().map(|(id, schema)| TypeInfo { id, schema }).collect();
        let total = start + types.len();
        let body = written(|out| write_types(start, total, &types, out));
        prop_assert_eq!(read_types(&body).unwrap(), (start as u32, total as u32, types));
    }

    #[test]
    fn node_infos_come_back(incarnation in any::<u64>(), name in text(), address in text()) {
        let node_info = NodeInfo { node: NodeId::new(&name, incarnation), name, address };
        prop_assert_eq!(NodeInfo::read(&written(|out| node_info.write(out))).unwrap(), node_info.clone());
        let node = NodeId { name_hash: node_info.node.name_hash ^ 1, incarnation };
        let lie = NodeInfo { node, ..node_info };
        prop_assert!(NodeInfo::read(&written(|out| lie.write(out))).is_err());
    }

    #[test]
    fn lookups_come_back(protocol in any::<u64>(), name in text()) {
        prop_assert_eq!(read_resolve(&written(|out| write_resolve(protocol, &name, out))).unwrap(), (protocol, name));
    }

    #[test]
    fn resolutions_come_back(bytes in any::<[u8; 32]>()) {
        let reference = WireRef::from_bytes(bytes);
        prop_assert_ne!(reference.key, ActorKey::NODE);
        for resolution in [Resolution::Found(reference), Resolution::NotFound, Resolution::WrongProtocol] {
            prop_assert_eq!(Resolution::read(&written(|out| resolution.write(out))).unwrap(), resolution);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = (read_reply_err(&body), DownBody::read(&body), GoAwayBody::read(&body), Ready::read(&body), Ack::read(&body));
        let _ = (Heartbeat::read(&body), read_types(&body), NodeInfo::read(&body), read_resolve(&body));
        let _ = Resolution::read(&body);
    }
}
