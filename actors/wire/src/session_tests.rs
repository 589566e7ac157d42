//! Two sessions joined in memory, and one that gets any bytes.

use super::*;
use crate::body::{self, Ack, DownBody, Heartbeat};
use crate::event::Event;
use crate::frame::{Parsed, parse};
use crate::handshake::{AwaitHello, Role};
use crate::hello::Hello;
use crate::ids::WireRef;
use proptest::prelude::*;

#[path = "bound_tests.rs"]
mod bound_tests;

const T0: Duration = Duration::ZERO;
const ADD: TypeInfo = TypeInfo { id: 1, schema: 11 };
const KEY: ActorKey = ActorKey { slot: 3, generation: 1 };

type Pair = (Session<u32>, Session<u32>);

fn connect((a, b): &mut Pair, now: Duration) -> (u64, u64) {
    let hello = |name: &str| Hello::new("c", name, 1, "", &NodeConfig::default()).unwrap();
    let (initiator, mut to_b) = AwaitHello::new(Role::Initiator, hello("a"));
    let (acceptor, _) = AwaitHello::new(Role::Acceptor, hello("b"));
    let (mut at_b, mut to_a) = acceptor.read(&mut to_b).unwrap().unwrap().accept(&b.own_types);
    let (mut at_a, mut to_b) = initiator.read(&mut to_a).unwrap().unwrap().accept(&a.own_types);
    let connected_a = at_a.read(&mut to_a).unwrap().unwrap();
    let connected_b = at_b.read(&mut to_b).unwrap().unwrap();
    (a.attach(connected_a, now), b.attach(connected_b, now))
}

fn joined(config: &NodeConfig) -> Pair {
    let mut pair = (Session::new(config.clone(), &[]), Session::new(config.clone(), &[ADD]));
    connect(&mut pair, T0);
    pair
}

/// Carries everything from one side to the other.
fn carry(from: &mut Session<u32>, to: &mut Session<u32>, now: Duration) -> Vec<Event<u32>> {
    let mut wire = BytesMut::new();
    while let Some(bytes) = from.poll_transmit(now) {
        wire.extend_from_slice(&bytes);
        from.recycle(bytes);
    }
    let mut events = Vec::new();
    while let Some(event) = to.read_event(&mut wire, now).unwrap() {
        events.push(event);
    }
    assert!(wire.is_empty());
    events
}

#[test]
fn ask_is_answered_with_its_token() {
    let (mut a, mut b) = joined(&NodeConfig::default());
    let id = a.ask(KEY, ADD, b"5", Duration::from_secs(2), 77).unwrap();
    let events = carry(&mut a, &mut b, T0);
    let [Event::Ask(message, at_b, left)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((message.to, &message.body[..], *at_b, *left), (KEY, &b"5"[..], id, Duration::from_secs(2)));
    assert_eq!(message.type_key, TypeKey { id: 1, schema: None });

    b.reply(*at_b, b"6", None).unwrap();
    assert_eq!(carry(&mut b, &mut a, T0), [Event::Reply(77, BytesMut::from(&b"6"[..]))]);
    b.reply(*at_b, b"again", None).unwrap();
    assert_eq!(carry(&mut b, &mut a, T0), []);
}

#[test]
fn what_was_taken_and_refused_is_told_and_adds_up() {
    let (mut a, mut b) = joined(&NodeConfig::default());
    for _ in 0..3 {
        a.tell(KEY, ADD, b"x").unwrap();
    }
    let refusals = [None, Some(RejectReason::Full), None];
    for (event, rejected) in carry(&mut a, &mut b, T0).into_iter().zip(refusals) {
        let Event::Tell(message) = event else { panic!("{event:?}") };
        b.settle(1, message.frame_bytes, rejected, T0);
    }
    assert_eq!(b.poll_transmit(T0), None);
    let later = b.poll_timeout().unwrap();
    assert_eq!(later, NodeConfig::default().ack_delay);
    assert_eq!(carry(&mut b, &mut a, later), [Event::Settled]);
    let counters = a.counters();
    assert_eq!((counters.accepted, counters.acked, counters.rejected, counters.unsettled), (3, 2, [0, 1, 0, 0], 0));
}

#[test]
fn sender_is_refused_when_too_much_is_unsettled() {
    let config = NodeConfig { unsettled_bytes_max: 2048, ..NodeConfig::default() };
    let (mut a, mut b) = joined(&config);
    let (body, other) = ([0; 1000], ActorKey { slot: 4, generation: 1 });
    for _ in 0..2 {
        assert_eq!(a.tell(KEY, ADD, &body), Ok(()));
    }
    assert_eq!(a.tell(KEY, ADD, &body), Err(SendError::Full));
    assert!(!a.has_room(KEY) && a.has_room(other));
    assert_eq!(a.tell(other, ADD, &body), Ok(()));
    assert!(!a.has_room(other));
    for event in carry(&mut a, &mut b, T0) {
        let Event::Tell(message) = event else { panic!("{event:?}") };
        b.settle(1, message.frame_bytes, None, T0);
    }
    carry(&mut b, &mut a, T0);
    assert_eq!(a.tell(KEY, ADD, &[0; 5000]), Ok(()));
    assert_eq!(a.tell(KEY, ADD, &vec![0; 16 * 1024 * 1024 + 1]), Err(SendError::TooLarge));
}

#[test]
fn type_of_another_schema_is_not_sent_and_an_unknown_one_is_sent_in_full() {
    let (mut a, mut b) = joined(&NodeConfig::default());
    assert_eq!(a.tell(KEY, TypeInfo { schema: 12, ..ADD }, b""), Err(SendError::Incompatible));
    let other = TypeInfo { id: 2, schema: 22 };
    a.tell(KEY, other, b"").unwrap();
    b.add_types(&[other]);
    let events = carry(&mut a, &mut b, T0);
    assert!(matches!(&events[..], [Event::Tell(m)] if m.type_key == TypeKey { id: 2, schema: Some(22) }), "{events:?}");
    carry(&mut b, &mut a, T0);
    a.tell(KEY, other, b"").unwrap();
    let events = carry(&mut a, &mut b, T0);
    assert!(matches!(&events[..], [Event::Tell(m)] if m.type_key == TypeKey { id: 2, schema: None }), "{events:?}");
}

#[test]
fn number_out_of_the_table_costs_that_message_alone() {
    let (mut a, mut b) = joined(&NodeConfig::default());
    let mut wire = BytesMut::new();
    let id = CorrelationId { slot: 9, generation: 9 };
    let ask = Header { type_ix: 999, correlation: Some(id), ..Header::new(FrameKind::Ask) };
    ask.write(b"", &mut wire);
    assert_eq!(b.read_event(&mut wire, T0), Ok(None));
    let id_at_a = a.ask(KEY, ADD, b"", Duration::MAX, 5).unwrap();
    carry(&mut a, &mut b, T0);
    b.reply_err(id_at_a, ReplyCode::Stopped, "");
    let mut wire = BytesMut::new();
    while let Some(bytes) = b.poll_transmit(Duration::from_millis(5)) {
        wire.extend_from_slice(&bytes);
    }
    let Parsed::Frame(header, body, _) = parse(&mut wire, u32::MAX).unwrap() else { panic!("no frame") };
    assert_eq!((header.kind, header.correlation), (FrameKind::ReplyErr, Some(id)));
    assert_eq!(body::read_reply_err(&body).unwrap().0, ReplyCode::Incompatible);
}

#[test]
fn what_was_on_its_way_is_lost_and_what_waited_goes_over_the_next_connection() {
    let mut pair = joined(&NodeConfig::default());
    pair.0.tell(KEY, ADD, b"lost").unwrap();
    drop(pair.0.poll_transmit(T0));
    pair.0.tell(KEY, ADD, b"kept").unwrap();
    pair.0.detach();
    pair.1.detach();
    pair.0.tell(KEY, ADD, b"late").unwrap();
    assert_eq!(pair.0.poll_transmit(T0), None);
    let counters = pair.0.counters();
    assert_eq!((counters.accepted, counters.lost, counters.unsettled), (3, 1, 2));

    assert_eq!(connect(&mut pair, T0), (2, 2));
    let (mut a, mut b) = pair;
    let bodies: Vec<_> = carry(&mut a, &mut b, T0)
        .into_iter()
        .map(|event| match event {
            Event::Tell(message) => message.body,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bodies, [&b"kept"[..], b"late"]);

    // What belongs to the previous connection settles nothing on this one.
    b.settle(1, 20, None, T0);
    assert_eq!(b.poll_transmit(Duration::from_millis(5)), None);
}

/// The kinds of frames that one side writes, in order.
fn written(from: &mut Session<u32>, now: Duration) -> Vec<FrameKind> {
    let mut wire = BytesMut::new();
    while let Some(bytes) = from.poll_transmit(now) {
        wire.extend_from_slice(&bytes);
    }
    let mut kinds = Vec::new();
    while let Ok(Parsed::Frame(header, ..)) = parse(&mut wire, u32::MAX) {
        kinds.push(header.kind);
    }
    kinds
}

#[test]
fn go_away_ends_with_its_connection_and_what_waited_does_not() {
    let mut pair = joined(&NodeConfig::default());
    pair.0.tell(KEY, ADD, b"waits").unwrap();
    pair.0.close(CloseReason::Protocol, "stuck");
    assert!(pair.0.is_closing() && pair.0.has_output());
    // The connection is stuck: nothing is written before it breaks.
    connect(&mut pair, T0);
    assert!(!pair.0.is_closing());
    assert_eq!(written(&mut pair.0, T0), [FrameKind::Tell]);
    pair.0.detach();
    assert!(!pair.0.is_closing());
}

#[test]
fn go_away_is_before_what_waits_unless_the_node_shuts_down() {
    let mut pair = joined(&NodeConfig::default());
    pair.0.tell(KEY, ADD, b"waits").unwrap();
    pair.0.close(CloseReason::Protocol, "");
    assert_eq!(written(&mut pair.0, T0), [FrameKind::GoAway]);
    assert!(pair.0.is_closing() && !pair.0.has_output());
    pair.0.tell(KEY, ADD, b"waits too").unwrap();
    assert_eq!(written(&mut pair.0, T0), []);
    connect(&mut pair, T0);
    pair.0.close(CloseReason::Shutdown, "");
    pair.0.tell(KEY, ADD, b"too late").unwrap();
    assert_eq!(written(&mut pair.0, T0), [FrameKind::Tell, FrameKind::Tell, FrameKind::GoAway]);
    assert_eq!(pair.0.counters().unsettled, 3);
}

#[test]
fn types_are_told_once_to_each_connection() {
    let mut pair = joined(&NodeConfig::default());
    let other = TypeInfo { id: 2, schema: 22 };
    pair.1.add_types(&[other]);
    assert!(pair.1.has_output());
    // Not written before the connection breaks; the next handshake tells them.
    connect(&mut pair, T0);
    assert!(!pair.1.has_output());
    let (mut a, mut b) = pair;
    b.tell(KEY, ADD, b"").unwrap();
    assert_eq!(carry(&mut b, &mut a, T0).len(), 1);
    a.tell(KEY, other, b"").unwrap();
    let events = carry(&mut a, &mut b, T0);
    assert!(matches!(&events[..], [Event::Tell(m)] if m.type_key == TypeKey { id: 2, schema: None }), "{events:?}");
}

#[test]
fn bytes_that_a_broken_connection_did_not_take_wait_for_the_next() {
    let mut pair = joined(&NodeConfig::default());
    (0..3).for_each(|_| pair.0.tell(KEY, ADD, b"12345678").unwrap());
    pair.0.watch(KEY, 9).unwrap();
    pair.0.add_types(&[ADD]);
    let bytes = pair.0.poll_transmit(T0).unwrap();
    // One message was written, and a part of the second one. What comes from a previous connection is too late.
    pair.0.return_unwritten(7, &bytes, 0);
    pair.0.return_unwritten(1, &bytes, 30);
    connect(&mut pair, T0);
    let (mut a, mut b) = pair;
    let events = carry(&mut a, &mut b, T0);
    assert!(matches!(&events[..], [Event::Watch(..), Event::Tell(_)]), "{events:?}");
    let counters = a.counters();
    assert_eq!((counters.accepted, counters.lost, counters.unsettled), (3, 2, 1));
}

#[test]
fn third_node_is_introduced_again_to_who_may_not_have_heard_of_it() {
    let third = NodeInfo { node: NodeId::new("c", 1), name: "c".into(), address: "x:1".into() };
    let mut pair = joined(&NodeConfig::default());
    pair.0.send_node_info(&third, T0);
    pair.0.send_node_info(&third, T0);
    assert_eq!(written(&mut pair.0, T0), [FrameKind::NodeInfo]);
    pair.0.send_node_info(&third, T0);
    pair.0.tell(KEY, ADD, b"mentions it").unwrap();
    connect(&mut pair, T0);
    assert_eq!(written(&mut pair.0, T0), [FrameKind::NodeInfo, FrameKind::Tell]);
    // Nothing waits that mentions it: it is introduced when it is mentioned.
    connect(&mut pair, T0);
    assert_eq!(written(&mut pair.0, T0), []);
    pair.0.send_node_info(&third, T0);
    assert_eq!(written(&mut pair.0, T0), [FrameKind::NodeInfo]);
    // The other side may have forgotten it by then.
    pair.0.send_node_info(&third, Duration::from_millis(9_999));
    assert_eq!(written(&mut pair.0, T0), []);
    pair.0.send_node_info(&third, Duration::from_secs(10));
    pair.0.send_node_info(&third, Duration::from_secs(10));
    assert_eq!(written(&mut pair.0, T0), [FrameKind::NodeInfo]);
}

#[test]
fn monitors_and_lookups_are_asked_again_once() {
    let mut pair = joined(&NodeConfig::default());
    pair.0.watch(KEY, 1).unwrap();
    pair.0.tell(KEY, ADD, b"").unwrap();
    pair.0.resolve(42, "tally", 2).unwrap();
    // They wait as they were: no connection that breaks before they are written makes them more.
    for _ in 0..3 {
        connect(&mut pair, T0);
    }
    assert_eq!(written(&mut pair.0, T0), [FrameKind::Watch, FrameKind::Tell, FrameKind::Resolve]);
    pair.0.tell(KEY, ADD, b"").unwrap();
    for _ in 0..3 {
        connect(&mut pair, T0);
    }
    // Those that may be lost come before what waits.
    assert_eq!(written(&mut pair.0, T0), [FrameKind::Watch, FrameKind::Resolve, FrameKind::Tell]);
}

#[test]
fn monitors_and_lookups_are_asked_again() {
    let mut pair = joined(&NodeConfig::default());
    let watch = pair.0.watch(KEY, 1).unwrap();
    let resolve = pair.0.resolve(42, "tally", 2).unwrap();
    drop(pair.0.poll_transmit(T0));
    connect(&mut pair, T0);
    let (mut a, mut b) = pair;
    let asked = carry(&mut a, &mut b, T0);
    assert_eq!(asked, [Event::Watch(watch, KEY), Event::Resolve(resolve, 42, "tally".into())]);

    let found = Resolution::Found(WireRef { node: NodeId::new("b", 1), key: KEY, protocol: 42 });
    b.resolved(resolve, found);
    b.down(watch, DownCode::Failed, "oh");
    let down = DownBody { code: DownCode::Failed, text: "oh".into() };
    assert_eq!(carry(&mut b, &mut a, T0), [Event::Resolved(2, found), Event::Down(1, down)]);
}

#[test]
fn down_comes_after_every_message_before_it() {
    let (mut a, mut b) = joined(&NodeConfig::default());
    let watch = a.watch(KEY, 1).unwrap();
    carry(&mut a, &mut b, T0);
    a.add_types(&[ADD]);
    for _ in 0..100 {
        b.tell(KEY, ADD, &[0; 2000]).unwrap();
    }
    b.down(watch, DownCode::Normal, "");
    let events = carry(&mut b, &mut a, T0);
    assert_eq!(events.len(), 101);
    assert!(matches!(events[100], Event::Down(1, _)));
}

#[test]
fn cancelled_request_gives_its_token_back_and_tells_the_other_side() {
    let (mut a, mut b) = joined(&NodeConfig::default());
    let ask = a.ask(KEY, ADD, b"", Duration::MAX, 1).unwrap();
    let watch = a.watch(KEY, 2).unwrap();
    carry(&mut a, &mut b, T0);
    assert_eq!((a.cancel(ask), a.cancel(ask), a.cancel(watch)), (Some(1), None, Some(2)));
    assert_eq!(carry(&mut a, &mut b, T0), [Event::Cancel(ask), Event::Unwatch(watch)]);
}

/// A large message over a slow way: each second brings a part of it, which is no silence. A trickle is.
#[test]
fn part_of_a_frame_is_a_sign_of_life_and_a_trickle_is_silence() {
    let config = NodeConfig::default();
    let (mut a, mut b) = joined(&config);
    a.tell(KEY, ADD, &[7; 100_000]).unwrap();
    let whole = a.poll_transmit(T0).unwrap();
    let mut input = BytesMut::new();
    for second in 1..=9 {
        let now = Duration::from_secs(second);
        input.extend_from_slice(&whole[input.len()..input.len() + 10_000]);
        assert_eq!(b.read_event(&mut input, now), Ok(None));
        assert_eq!(b.handle_timeout(now), Ok(()));
        // The other side hears from us meanwhile.
        assert!(b.poll_transmit(now).is_some());
    }
    for millisecond in 9_000..13_000 {
        let now = Duration::from_millis(millisecond);
        input.extend_from_slice(&whole[input.len()..=input.len()]);
        assert_eq!(b.read_event(&mut input, now), Ok(None));
    }
    assert_eq!(b.handle_timeout(Duration::from_secs(13)), Err(ProtocolError::IdleTimeout(config.max_idle_timeout)));
}

/// Who does not read cannot hear, and blames no peer for it.
#[test]
fn silence_does_not_count_while_this_side_does_not_read() {
    let (mut a, _) = joined(&NodeConfig::default());
    let silence = NodeConfig::default().max_idle_timeout;
    a.reset_idle_timeout(silence);
    assert_eq!(a.handle_timeout(silence * 2 - Duration::from_nanos(1)), Ok(()));
    let error = a.handle_timeout(silence * 2).unwrap_err();
    assert_eq!((&error, error.to_string().as_str()), (&ProtocolError::IdleTimeout(silence), "no frame for 4s"));
}

#[test]
fn silence_is_answered_by_a_ping_and_then_by_the_end() {
    let (mut a, mut b) = joined(&NodeConfig::default());
    let config = NodeConfig::default();
    assert_eq!(a.poll_timeout(), Some(config.keep_alive_interval));
    assert_eq!(carry(&mut a, &mut b, config.keep_alive_interval), []);
    assert_eq!(carry(&mut b, &mut a, config.keep_alive_interval), []);
    assert_eq!(a.handle_timeout(config.max_idle_timeout), Ok(()));
    assert_eq!(
        a.handle_timeout(config.keep_alive_interval + config.max_idle_timeout),
        Err(ProtocolError::IdleTimeout(config.max_idle_timeout))
    );
}

#[test]
fn pings_are_numbered_from_one() {
    let (mut a, _) = joined(&NodeConfig::default());
    for number in 1..4 {
        let mut wire = a.poll_transmit(NodeConfig::default().keep_alive_interval * number).unwrap();
        let Parsed::Frame(header, body, _) = parse(&mut wire, u32::MAX).unwrap() else { panic!("no frame") };
        assert_eq!(header.kind, FrameKind::Ping);
        assert_eq!(Heartbeat::read(&body).unwrap().number, u64::from(number));
    }
}

#[test]
fn closing_gives_all_tokens_back_and_refuses_what_comes_later() {
    let (mut a, _) = joined(&NodeConfig::default());
    a.tell(KEY, ADD, b"").unwrap();
    a.ask(KEY, ADD, b"", Duration::MAX, 1).unwrap();
    a.watch(KEY, 2).unwrap();
    assert_eq!(a.terminate(), [1, 2]);
    assert_eq!(a.tell(KEY, ADD, b""), Err(SendError::Closed));
    assert_eq!(a.watch(KEY, 3), Err((SendError::Closed, 3)));
    let counters = a.counters();
    assert_eq!((counters.lost, counters.unsettled, counters.returned), (2, 0, 1));
}

/// One actor that settles nothing has half of the room, two have a third each, and another one is always served.
#[test]
fn actor_that_settles_nothing_takes_no_more_than_its_share() {
    let config = NodeConfig { unsettled_max: 600, ..NodeConfig::default() };
    let (mut a, mut b) = joined(&config);
    let key = |slot| ActorKey { slot, generation: 1 };
    let fill = |a: &mut Session<u32>, slot: u32| (0..).take_while(|_| a.tell(key(slot), ADD, b"x").is_ok()).count();
    assert_eq!(fill(&mut a, 1), 300);
    assert_eq!(fill(&mut a, 2), 150);
    // What arrives for the first two is held; the third one's is taken.
    for n in 0..1000 {
        a.tell(key(3), ADD, b"x").unwrap();
        let now = Duration::from_millis(5 * n);
        for event in carry(&mut a, &mut b, now) {
            let Event::Tell(message) = event else { continue };
            match message.to.slot {
                3 => b.settle(1, message.frame_bytes, None, now),
                _ => b.add_backlog(1, message.to, message.frame_bytes, now),
            }
        }
        carry(&mut b, &mut a, now + Duration::from_millis(5));
    }
    assert_eq!(a.counters().unsettled, 450);
    // Those of the first one are taken: only then there is room for it again.
    assert!(!a.has_room(key(1)));
    let bytes = 17;
    for _ in 0..300 {
        b.remove_backlog(1, key(1), bytes);
        b.settle(1, bytes, None, T0);
    }
    carry(&mut b, &mut a, Duration::from_secs(6));
    assert_eq!(a.counters().unsettled, 150);
    assert!(a.has_room(key(1)));
    assert_eq!(fill(&mut a, 1), 225);
}

#[test]
fn pong_is_written_without_waiting_for_anything_else() {
    let (mut a, mut b) = joined(&NodeConfig::default());
    let now = NodeConfig::default().keep_alive_interval;
    let mut wire = a.poll_transmit(now).unwrap();
    assert!(!b.has_output());
    assert_eq!(b.read_event(&mut wire, now), Ok(None));
    assert!(b.has_output());
    assert_eq!(written(&mut b, now), [FrameKind::Pong]);
}

/// Replies are rejected before they crowd out what else has to be said, and what expires makes room.
#[test]
fn replies_that_are_not_read_are_bounded() {
    let config = NodeConfig { control_bytes_max: 1 << 20, message_bytes_max: 1 << 18, ..NodeConfig::default() };
    let (_, mut b) = joined(&config);
    let id = CorrelationId { slot: 0, generation: 1 };
    let second = Duration::from_secs(1);
    let sent = (0..).take_while(|_| b.reply(id, &[0; 100_000], Some(second)).is_ok()).count();
    assert_eq!(sent, 10);
    b.reply_err(id, ReplyCode::Encode, "no room");
    assert_eq!(b.ask_allowance(T0, 0, true), 0);
    assert_eq!(b.handle_timeout(T0), Ok(()));
    assert!(b.ask_allowance(second, 0, true) > 0);
    b.reply(id, &[0; 100_000], Some(second)).unwrap();
    assert_eq!(b.handle_timeout(second), Ok(()));
    assert_eq!(written(&mut b, second), [FrameKind::ReplyErr, FrameKind::Ping]);
}

#[test]
fn side_that_takes_no_answers_is_given_up() {
    let config = NodeConfig { control_bytes_max: 65_536, ..NodeConfig::default() };
    let mut pair = joined(&config);
    let id = CorrelationId { slot: 0, generation: 1 };
    for _ in 0..10_000 {
        pair.1.down(id, DownCode::Failed, "a text that is left out when much waits");
    }
    assert_eq!(pair.1.handle_timeout(T0), Err(ProtocolError::ControlOverflow));
    // The next connection is none the worse for it.
    connect(&mut pair, T0);
    assert_eq!(pair.1.handle_timeout(T0), Ok(()));
    pair.1.detach();
    pair.1.down(id, DownCode::Normal, "");
    connect(&mut pair, T0);
    assert_eq!(pair.1.handle_timeout(T0), Ok(()));
}

#[test]
fn ack_of_what_was_not_sent_ends_the_connection() {
    let (mut a, _) = joined(&NodeConfig::default());
    let mut body = Vec::new();
    Ack { settled: 1, bytes: 1, rejected: [0; 4] }.write(&mut body);
    let mut wire = BytesMut::new();
    Header::new(FrameKind::Ack).write(&body, &mut wire);
    assert_eq!(a.read_event(&mut wire, T0), Err(ProtocolError::Ack));
}

proptest! {
    #[test]
    fn any_bytes_are_understood_or_refused(frames in prop::collection::vec((any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)), 0..20)) {
        let (mut a, _) = joined(&NodeConfig::default());
        a.ask(KEY, ADD, b"", Duration::MAX, 1).unwrap();
        drop(a.poll_transmit(T0));
        let mut wire = BytesMut::new();
        for (kind, flags, body) in frames {
            let kind = FrameKind::ALL[usize::from(kind) % FrameKind::ALL.len()];
            wire.extend_from_slice(&(16 + body.len() as u32).to_le_bytes());
            wire.extend_from_slice(&[kind as u8, flags & 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            wire.extend_from_slice(&body);
        }
        while let Ok(Some(_)) = a.read_event(&mut wire, T0) {}
    }

    #[test]
    fn messages_come_over_in_order_in_any_pieces(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..30), cut in 1..64_usize) {
        let (mut a, mut b) = joined(&NodeConfig::default());
        for body in &bodies {
            a.tell(KEY, ADD, body).unwrap();
        }
        let bytes = a.poll_transmit(T0).unwrap();
        let mut input = BytesMut::new();
        let mut arrived = Vec::new();
        for piece in bytes.chunks(cut) {
            input.extend_from_slice(piece);
            while let Some(event) = b.read_event(&mut input, T0).unwrap() {
                let Event::Tell(message) = event else { panic!("{event:?}") };
                arrived.push(message.body.to_vec());
            }
        }
        prop_assert_eq!(arrived, bodies);
    }
}
