//! Two handshakes against each other, and against what strangers send.

use super::*;
use crate::config::NodeConfig;
use proptest::prelude::*;

fn hello(cluster: &str, name: &str) -> Hello {
    Hello::new(cluster, name, 1, "", &NodeConfig::default()).unwrap()
}

const TYPES: [TypeInfo; 2] = [TypeInfo { id: 1, schema: 2 }, TypeInfo { id: 3, schema: 4 }];

#[test]
fn both_sides_agree_and_know_each_other() {
    let (initiator, mut to_b) = AwaitHello::new(Role::Initiator, hello("c", "a"));
    let (acceptor, nothing) = AwaitHello::new(Role::Acceptor, hello("c", "b"));
    assert!(nothing.is_empty());

    let at_b = acceptor.read(&mut to_b).unwrap().unwrap();
    assert_eq!(at_b.peer().name, "a");
    let (mut at_b, mut to_a) = at_b.accept(&TYPES);
    let at_a = initiator.read(&mut to_a).unwrap().unwrap();
    let (mut at_a, mut to_b) = at_a.accept(&[]);

    let a = at_a.read(&mut to_a).unwrap().unwrap();
    let b = at_b.read(&mut to_b).unwrap().unwrap();
    assert_eq!((a.peer().name.as_str(), a.types.count(), a.types_sent), ("b", 2, 0));
    assert_eq!((b.peer().name.as_str(), b.types.count(), b.types_sent), ("a", 0, 2));
    assert!(to_a.is_empty() && to_b.is_empty());
}

#[test]
fn table_of_the_largest_size_comes_over() {
    let types: Vec<_> = (0..TYPES_MAX as u64).map(|id| TypeInfo { id, schema: id }).collect();
    let mut out = BytesMut::new();
    write_all_types(0, &types, &mut out);
    let mut agreeing = AwaitReady { peer: hello("c", "a"), types: PeerTypes::default(), types_sent: 0 };
    assert!(agreeing.read(&mut out).unwrap().is_none());
    assert_eq!(agreeing.types.count(), TYPES_MAX);

    write_all_types(TYPES_MAX, &TYPES, &mut out);
    assert!(matches!(agreeing.read(&mut out), Err(HandshakeError::Frame(FrameError::Malformed(_)))));
}

#[test]
fn refusal_reaches_the_initiator_with_its_reason() {
    let (initiator, mut to_b) = AwaitHello::new(Role::Initiator, hello("c", "a"));
    let (acceptor, _) = AwaitHello::new(Role::Acceptor, hello("c", "b"));
    let (_, mut to_a) = acceptor.read(&mut to_b).unwrap().unwrap().reject(CloseReason::Stale, 7, "old");
    let (mut at_a, _) = initiator.read(&mut to_a).unwrap().unwrap().accept(&[]);
    let rejected = HandshakeError::Rejected { code: CloseReason::Stale, detail: 7, text: "old".into() };
    assert_eq!(at_a.read(&mut to_a).unwrap_err(), rejected);
}

#[test]
fn another_cluster_is_refused_and_told_so() {
    let (_, mut to_b) = AwaitHello::new(Role::Initiator, hello("red", "a"));
    let (acceptor, _) = AwaitHello::new(Role::Acceptor, hello("blue", "b"));
    let error = acceptor.read(&mut to_b).unwrap_err();
    assert_eq!(error, HandshakeError::Cluster("red".into()));
    assert!(acceptor.reject_frame(&error).is_some());
    assert!(acceptor.reject_frame(&HandshakeError::NotPosse).is_none());
}

#[test]
fn two_that_refuse_each_other_both_hear_why() {
    let (initiator, mut to_b) = AwaitHello::new(Role::Initiator, hello("c", "a"));
    let (acceptor, _) = AwaitHello::new(Role::Acceptor, hello("c", "b"));
    let (mut at_b, mut to_a) = acceptor.read(&mut to_b).unwrap().unwrap().reject(CloseReason::Quarantined, 3, "");
    let (mut at_a, mut to_b) = initiator.read(&mut to_a).unwrap().unwrap().reject(CloseReason::Quarantined, 2, "");
    let heard = |detail| HandshakeError::Rejected { code: CloseReason::Quarantined, detail, text: String::new() };
    assert_eq!(at_a.read(&mut to_a).unwrap_err(), heard(3));
    assert_eq!(at_b.read(&mut to_b).unwrap_err(), heard(2));
}

#[test]
fn other_side_is_told_what_it_can_understand_and_nothing_else() {
    let malformed = FrameError::Malformed("");
    let rejected = HandshakeError::Rejected { code: CloseReason::Stale, detail: 7, text: String::new() };
    let table = [
        (HandshakeError::NotPosse, None),
        (HandshakeError::Tls, None),
        (HandshakeError::Version { min: 2, max: 3 }, Some(CloseReason::Version)),
        (HandshakeError::Cluster("red".into()), Some(CloseReason::Cluster)),
        (HandshakeError::Unsupported("this"), Some(CloseReason::Unsupported)),
        (HandshakeError::Malformed(""), None),
        (HandshakeError::Frame(malformed), None),
        (rejected, None),
    ];
    for (error, told) in table {
        assert_eq!(error.close_reason(), told, "{error:?}");

        let (acceptor, _) = AwaitHello::new(Role::Acceptor, hello("c", "b"));
        let reject_frame = acceptor.reject_frame(&error);
        assert_eq!(reject_frame.is_some(), told.is_some(), "{error:?}");
        let (Some(mut to_a), Some(code)) = (reject_frame, told) else { continue };
        let (initiator, _) = AwaitHello::new(Role::Initiator, hello("c", "a"));
        let (mut at_a, _) = initiator.read(&mut to_a).unwrap().unwrap().accept(&[]);
        let rejected = HandshakeError::Rejected { code, detail: 0, text: error.to_string() };
        assert_eq!(at_a.read(&mut to_a).unwrap_err(), rejected);
    }
}

#[test]
fn message_before_ready_is_refused() {
    let mut agreeing = AwaitReady { peer: hello("c", "a"), types: PeerTypes::default(), types_sent: 0 };
    let mut input = BytesMut::new();
    Header::new(FrameKind::Tell).write(b"", &mut input);
    assert!(matches!(agreeing.read(&mut input), Err(HandshakeError::Malformed(_))));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut agreeing = AwaitReady { peer: hello("c", "a"), types: PeerTypes::default(), types_sent: 0 };
        let _ = agreeing.read(&mut BytesMut::from(&bytes[..]));
        let (greeting, _) = AwaitHello::new(Role::Acceptor, hello("c", "b"));
        let _ = greeting.read(&mut BytesMut::from(&bytes[..]));
    }
}
