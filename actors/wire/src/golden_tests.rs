//! Golden bytes: each kind of frame, whole, as `docs/protocol.md` has it. Written by hand; a session writes them, and reads
//! them as what they are.

use super::*;
use crate::body::DownBody;
use crate::event::{Delivery, Event};
use crate::handshake::{AwaitHello, Role};
use crate::hello::Hello;
use crate::ids::WireRef;

/// When everything happens: 1,000,000,000 ns, which is 3B9ACA00.
const NOW: Duration = Duration::from_secs(1);
const ADD: TypeInfo = TypeInfo { id: 0x0a, schema: 0x0b };
const OTHER: TypeInfo = TypeInfo { id: 0x0c, schema: 0x0d };
const KEY: ActorKey = ActorKey { slot: 0x0706_0504, generation: 0x0b0a_0908 };

type Side = Session<&'static str>;

/// Two sides that are connected; the second one receives ADD.
fn joined() -> (Side, Side) {
    let hello = |name: &str| Hello::new("c", name, 1, "", &NodeConfig::default()).unwrap();
    let (mut a, mut b) = (Session::new(NodeConfig::default(), &[]), Session::new(NodeConfig::default(), &[ADD]));
    let (initiator, mut to_b) = AwaitHello::new(Role::Initiator, hello("a"));
    let (acceptor, _) = AwaitHello::new(Role::Acceptor, hello("b"));
    let (mut at_b, mut to_a) = acceptor.read(&mut to_b).unwrap().unwrap().accept(&[ADD]);
    let (mut at_a, mut to_b) = initiator.read(&mut to_a).unwrap().unwrap().accept(&[]);
    a.attach(at_a.read(&mut to_a).unwrap().unwrap(), Duration::ZERO);
    b.attach(at_b.read(&mut to_b).unwrap().unwrap(), Duration::ZERO);
    (a, b)
}

/// What a side has to say before it would ask whether the other is there.
fn said(side: &mut Side, now: Duration) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(bytes) = side.poll_transmit(now) {
        all.extend_from_slice(&bytes);
    }
    all
}

fn heard(side: &mut Side, bytes: &[u8]) -> Vec<Event<&'static str>> {
    let mut input = BytesMut::from(bytes);
    let mut events = Vec::new();
    while let Some(event) = side.read_event(&mut input, Duration::ZERO).unwrap() {
        events.push(event);
    }
    assert!(input.is_empty());
    events
}

/// No number of a type, for the node, the first request: what most control frames begin with after their length and kind.
const TO_NODE: [u8; 10] = [0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
const FIRST: [u8; 8] = [0, 0, 0, 0, 1, 0, 0, 0];
const FIRST_ID: CorrelationId = CorrelationId { slot: 0, generation: 1 };
const KEY_BYTES: [u8; 8] = [4, 5, 6, 7, 8, 9, 10, 11];

#[test]
fn messages_and_their_answers_have_their_golden_bytes() {
    let (mut a, mut b) = joined();
    let early = Duration::ZERO;
    a.tell(KEY, ADD, b"hi").unwrap();
    let golden = [&[18, 0, 0, 0, 0x01, 0, 0, 0][..], &KEY_BYTES, b"hi"].concat();
    assert_eq!(said(&mut a, early), golden);
    let type_key = TypeKey { id: 0x0a, schema: None };
    let delivery = |body: &[u8], frame_bytes| Delivery { to: KEY, type_key, body: body.into(), frame_bytes };
    assert_eq!(heard(&mut b, &golden), [Event::Tell(delivery(b"hi", 18))]);

    a.ask(KEY, ADD, b"5", Duration::from_secs(5), "ask").unwrap();
    let deadline = [0x88, 0x13, 0, 0, 0, 0, 0, 0];
    let golden = [&[33, 0, 0, 0, 0x02, 2 | 4, 0, 0][..], &KEY_BYTES, &FIRST, &deadline, b"5"].concat();
    assert_eq!(said(&mut a, early), golden);
    let ask = Event::Ask(delivery(b"5", 33), FIRST_ID, Duration::from_secs(5));
    assert_eq!(heard(&mut b, &golden), [ask]);

    b.reply(FIRST_ID, b"6", None).unwrap();
    let golden = [&[25, 0, 0, 0, 0x03, 2][..], &TO_NODE, &FIRST, b"6"].concat();
    assert_eq!(said(&mut b, early), golden);
    assert_eq!(heard(&mut a, &golden), [Event::Reply("ask", BytesMut::from(&b"6"[..]))]);

    let (mut a, mut b) = joined();
    a.ask(KEY, ADD, b"5", Duration::from_secs(5), "ask").unwrap();
    b.reply_err(FIRST_ID, ReplyCode::Decode, "bad ä");
    let golden = [&[32, 0, 0, 0, 0x04, 2][..], &TO_NODE, &FIRST, &[7, 0], "bad ä".as_bytes()].concat();
    assert_eq!(said(&mut b, early), golden);
    assert_eq!(heard(&mut a, &golden), [Event::ReplyErr("ask", ReplyCode::Decode, "bad ä".into())]);

    let id = a.ask(KEY, ADD, b"5", Duration::from_secs(5), "ask").unwrap();
    said(&mut a, early);
    a.cancel(id);
    // The slot is used for the second time.
    let golden = [&[24, 0, 0, 0, 0x05, 2][..], &TO_NODE, &[0, 0, 0, 0, 2, 0, 0, 0]].concat();
    assert_eq!(said(&mut a, early), golden);
    assert_eq!(heard(&mut b, &golden), [Event::Cancel(CorrelationId { slot: 0, generation: 2 })]);
}

#[test]
fn monitors_and_lookups_have_their_golden_bytes() {
    let (mut a, mut b) = joined();
    let early = Duration::ZERO;
    a.watch(KEY, "watch").unwrap();
    let golden = [&[24, 0, 0, 0, 0x30, 2, 0xff, 0xff][..], &KEY_BYTES, &FIRST].concat();
    assert_eq!(said(&mut a, early), golden);
    assert_eq!(heard(&mut b, &golden), [Event::Watch(FIRST_ID, KEY)]);

    b.down(FIRST_ID, DownCode::Failed, "oh");
    let golden = [&[28, 0, 0, 0, 0x32, 2][..], &TO_NODE, &FIRST, &[4, 0], b"oh"].concat();
    assert_eq!(said(&mut b, early), golden);
    let down = DownBody { code: DownCode::Failed, text: "oh".into() };
    assert_eq!(heard(&mut a, &golden), [Event::Down("watch", down)]);

    let (mut a, mut b) = joined();
    let id = a.watch(KEY, "watch").unwrap();
    said(&mut a, early);
    a.cancel(id);
    let golden = [&[24, 0, 0, 0, 0x31, 2, 0xff, 0xff][..], &KEY_BYTES, &FIRST].concat();
    assert_eq!(said(&mut a, early), golden);
    assert_eq!(heard(&mut b, &golden), [Event::Unwatch(FIRST_ID)]);

    let (mut a, mut b) = joined();
    a.resolve(0x2a, "tally", "resolve").unwrap();
    let golden = [&[37, 0, 0, 0, 0x39, 2][..], &TO_NODE, &FIRST, &[0x2a, 0, 0, 0, 0, 0, 0, 0], b"tally"].concat();
    assert_eq!(said(&mut a, early), golden);
    assert_eq!(heard(&mut b, &golden), [Event::Resolve(FIRST_ID, 42, "tally".into())]);

    let node = NodeId { name_hash: 1, incarnation: 2 };
    let found = Resolution::Found(WireRef { node, key: KEY, protocol: 42 });
    b.resolved(FIRST_ID, found);
    let reference = [[1, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0], KEY_BYTES, [42, 0, 0, 0, 0, 0, 0, 0]].concat();
    let golden = [&[64, 0, 0, 0, 0x3a, 2][..], &TO_NODE, &FIRST, &[0; 8], &reference].concat();
    assert_eq!(said(&mut b, early), golden);
    assert_eq!(heard(&mut a, &golden), [Event::Resolved("resolve", found)]);

    b.resolved(FIRST_ID, Resolution::WrongProtocol);
    let golden = [&[32, 0, 0, 0, 0x3a, 2][..], &TO_NODE, &FIRST, &[2, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(said(&mut b, early), golden);
}

#[test]
fn frames_of_a_connection_have_their_golden_bytes() {
    let (mut a, mut b) = joined();
    let early = Duration::ZERO;
    let beat = [0x00, 0xca, 0x9a, 0x3b, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let ping = [&[32, 0, 0, 0, 0x20, 0][..], &TO_NODE, &beat].concat();
    assert_eq!(said(&mut a, NOW), ping);
    assert_eq!(heard(&mut b, &ping), []);
    let pong = [&[32, 0, 0, 0, 0x21, 0][..], &TO_NODE, &beat].concat();
    assert_eq!(said(&mut b, early), pong);
    assert_eq!(heard(&mut a, &pong), []);

    // ADD was told in the handshake.
    b.add_types(&[OTHER]);
    let entry = [0x0c, 0, 0, 0, 0, 0, 0, 0, 0x0d, 0, 0, 0, 0, 0, 0, 0];
    let types = [&[40, 0, 0, 0, 0x26, 0][..], &TO_NODE, &[1, 0, 0, 0, 2, 0, 0, 0], &entry].concat();
    assert_eq!(said(&mut b, early), types);
    assert_eq!(heard(&mut a, &types), []);
    a.tell(KEY, OTHER, b"").unwrap();
    let tell = [&[16, 0, 0, 0, 0x01, 0, 1, 0][..], &KEY_BYTES].concat();
    assert_eq!(said(&mut a, early), tell);
    assert_eq!(heard(&mut b, &tell).len(), 1);

    // One more message was refused as full than waits.
    a.tell(KEY, OTHER, b"").unwrap();
    let message = said(&mut a, early);
    heard(&mut b, &message);
    b.settle(1, 16, Some(RejectReason::Full), early);
    b.add_backlog(1, KEY, 16, early);
    let word = |n: u8| [n, 0, 0, 0, 0, 0, 0, 0];
    let backlog = [&[40, 0, 0, 0, 0x2d, 0][..], &TO_NODE, &KEY_BYTES, &word(1), &word(16)].concat();
    let sums = [word(1), word(16), word(0), word(1), word(0), word(0)].concat();
    let ack = [&[64, 0, 0, 0, 0x2e, 0][..], &TO_NODE, &sums].concat();
    let both = [backlog, ack].concat();
    assert_eq!(said(&mut b, NodeConfig::default().ack_delay), both);
    assert_eq!(heard(&mut a, &both), [Event::Settled]);

    let third = NodeInfo { node: NodeId::new("n", 2), name: "n".into(), address: "a:1".into() };
    a.send_node_info(&third, early);
    // The FNV-1a hash of "n".
    let hash = [0x71, 0xf8, 0x01, 0x86, 0x4c, 0xe3, 0x63, 0xaf];
    let node_info = [&[38, 0, 0, 0, 0x27, 0][..], &TO_NODE, &hash, &word(2), &[1, 0], b"n", b"a:1"].concat();
    assert_eq!(said(&mut a, early), node_info);
    assert_eq!(heard(&mut b, &node_info), [Event::NodeInfo(third)]);

    a.close(CloseReason::Overloaded, "no");
    let go_away = [&[34, 0, 0, 0, 0x28, 0][..], &TO_NODE, &[9, 0, 0, 0, 0, 0, 0, 0], &word(0), b"no"].concat();
    assert_eq!(said(&mut a, early), go_away);
    assert_eq!(heard(&mut b, &go_away), [Event::GoAway(CloseReason::Overloaded, "no".into())]);
}

#[test]
fn what_follows_hello_has_its_golden_bytes() {
    let hello = |name: &str| Hello::new("c", name, 1, "", &NodeConfig::default()).unwrap();
    let mut out = BytesMut::new();
    hello("b").write(&mut out);
    let introduction = out.len();
    let introduced = || {
        let (_, mut to_b) = AwaitHello::new(Role::Initiator, hello("a"));
        AwaitHello::new(Role::Acceptor, hello("b")).0.read(&mut to_b).unwrap().unwrap()
    };
    let (_, accepted) = introduced().accept(&[ADD]);
    let word = |n: u8| [n, 0, 0, 0, 0, 0, 0, 0];
    let types = [&[40, 0, 0, 0, 0x26, 0][..], &TO_NODE, &[0, 0, 0, 0, 1, 0, 0, 0], &word(10), &word(11)].concat();
    let ready = [&[32, 0, 0, 0, 0x29, 0][..], &TO_NODE, &[1, 1, 0, 0, 0, 0, 0, 0], &word(0)].concat();
    assert_eq!(accepted[introduction..], [types, ready].concat());

    let (_, rejected) = introduced().reject(CloseReason::Stale, 7, "old");
    let reject = [&[35, 0, 0, 0, 0x2b, 0][..], &TO_NODE, &word(5), &word(7), b"old"].concat();
    assert_eq!(rejected[introduction..], reject);
}
