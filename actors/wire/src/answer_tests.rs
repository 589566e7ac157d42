//! Each request has its kinds of answer; and how many there may be that wait for one.

use super::*;
use crate::event::Event;
use crate::handshake::{AwaitHello, Role};
use crate::hello::Hello;

const T0: Duration = Duration::ZERO;
const ADD: TypeInfo = TypeInfo { id: 1, schema: 11 };
const KEY: ActorKey = ActorKey { slot: 3, generation: 1 };

type Side = Session<&'static str>;

fn joined() -> (Side, Side) {
    let (mut a, mut b) = (Session::new(NodeConfig::default(), &[]), Session::new(NodeConfig::default(), &[ADD]));
    connect(&mut a, &mut b);
    (a, b)
}

fn connect(a: &mut Side, b: &mut Side) {
    let hello = |name: &str| Hello::new("c", name, 1, "", &NodeConfig::default()).unwrap();
    let (initiator, mut to_b) = AwaitHello::new(Role::Initiator, hello("a"));
    let (acceptor, _) = AwaitHello::new(Role::Acceptor, hello("b"));
    let (mut at_b, mut to_a) = acceptor.read(&mut to_b).unwrap().unwrap().accept(&[ADD]);
    let (mut at_a, mut to_b) = initiator.read(&mut to_a).unwrap().unwrap().accept(&[]);
    a.attach(at_a.read(&mut to_a).unwrap().unwrap(), T0);
    b.attach(at_b.read(&mut to_b).unwrap().unwrap(), T0);
}

fn ask(asker: &mut Side, request: &'static str) -> CorrelationId {
    match request {
        "ask" => asker.ask(KEY, ADD, b"", Duration::from_secs(1), "ask").unwrap(),
        "watch" => asker.watch(KEY, "watch").unwrap(),
        _ => asker.resolve(1, "name", "resolve").unwrap(),
    }
}

fn answer(answerer: &mut Side, id: CorrelationId, kind: FrameKind) {
    match kind {
        FrameKind::Reply => answerer.reply(id, b"x", None).unwrap(),
        FrameKind::ReplyErr => answerer.reply_err(id, ReplyCode::Full, ""),
        FrameKind::Down => answerer.down(id, DownCode::Normal, ""),
        _ => answerer.resolved(id, Resolution::NotFound),
    }
}

#[test]
fn answer_of_another_kind_is_an_error_and_the_request_stays() {
    let fitting = [
        ("ask", FrameKind::Reply),
        ("ask", FrameKind::ReplyErr),
        ("watch", FrameKind::Down),
        ("resolve", FrameKind::Resolved),
    ];
    for request in ["ask", "watch", "resolve"] {
        for kind in [FrameKind::Reply, FrameKind::ReplyErr, FrameKind::Down, FrameKind::Resolved] {
            let (mut a, mut b) = joined();
            let id = ask(&mut a, request);
            answer(&mut b, id, kind);
            let mut bytes = b.poll_transmit(T0).unwrap();
            let heard = a.read_event(&mut bytes, T0);
            if fitting.contains(&(request, kind)) {
                assert!(matches!(heard, Ok(Some(_))), "{request}, {kind:?}: {heard:?}");
                assert!(!a.has_pending_requests());
            } else {
                assert_eq!(heard, Err(ProtocolError::Answer), "{request}, {kind:?}");
                assert_eq!(a.terminate(), [request]);
            }
        }
    }
}

#[test]
fn lookups_are_bounded_and_make_room_however_they_end() {
    let (mut a, mut b) = joined();
    let first = ask(&mut a, "resolve");
    let second = ask(&mut a, "resolve");
    let waiting = (2..40).map(|_| ask(&mut a, "resolve")).last().unwrap();
    assert!((40..65_536).all(|_| a.resolve(1, "name", "resolve").is_ok()));
    assert_eq!(a.resolve(1, "name", "late"), Err((SendError::Full, "late")));
    for ended in [first, waiting] {
        assert_eq!(a.cancel(ended), Some("resolve"));
        assert!(a.resolve(1, "name", "").is_ok() && a.resolve(1, "name", "").is_err());
    }
    b.resolved(second, Resolution::NotFound);
    let mut bytes = b.poll_transmit(T0).unwrap();
    assert!(matches!(a.read_event(&mut bytes, T0), Ok(Some(_))));
    assert!(a.resolve(1, "name", "").is_ok() && a.resolve(1, "name", "").is_err());
}

/// However many names are looked up at once, few lookups are on their way, so the side that is asked has room for the answers,
/// whatever its bounds are. The others follow in their order.
#[test]
fn lookups_beyond_those_on_their_way_wait_for_answers_in_their_order() {
    let (mut a, mut b) = joined();
    let least = NodeConfig { message_bytes_max: 1024, control_bytes_max: 65_536, ..NodeConfig::default() };
    b.config = least;
    let ids: Vec<_> = (0..500).map(|n| a.resolve(n, "name", "resolve").unwrap()).collect();
    // Two that leave the line.
    assert_eq!((a.cancel(ids[40]), a.cancel(ids[499])), (Some("resolve"), Some("resolve")));
    let mut asked = Vec::new();
    loop {
        let mut sent = Vec::new();
        while let Some(mut bytes) = a.poll_transmit(T0) {
            while let Some(Event::Resolve(id, protocol, _)) = b.read_event(&mut bytes, T0).unwrap() {
                sent.push((id, protocol));
            }
        }
        if sent.is_empty() {
            break;
        }
        // Nothing is written meanwhile.
        assert!(sent.len() <= 32, "{}", sent.len());
        sent.iter().for_each(|(id, _)| b.resolved(*id, Resolution::NotFound));
        assert_eq!(b.handle_timeout(T0), Ok(()));
        asked.extend(sent.into_iter().map(|(_, protocol)| protocol));
        while let Some(mut bytes) = b.poll_transmit(T0) {
            while a.read_event(&mut bytes, T0).unwrap().is_some() {}
        }
    }
    assert!(asked.into_iter().eq((0..499).filter(|n| *n != 40)));
    assert!(!a.has_pending_requests());
}

/// What waits in the line when a connection breaks is asked once, after what was on its way.
#[test]
fn lookups_that_wait_survive_a_connection() {
    let (mut a, mut b) = joined();
    assert!((0..100).all(|n| a.resolve(n, "name", "resolve").is_ok()));
    while a.poll_transmit(T0).is_some() {}
    a.detach();
    assert_eq!(a.lookups.len(), 100);
    connect(&mut a, &mut b);
    let mut asked = Vec::new();
    loop {
        let before = asked.len();
        while let Some(mut bytes) = a.poll_transmit(T0) {
            while let Some(Event::Resolve(id, protocol, _)) = b.read_event(&mut bytes, T0).unwrap() {
                asked.push(protocol);
                b.resolved(id, Resolution::NotFound);
            }
        }
        while let Some(mut bytes) = b.poll_transmit(T0) {
            while a.read_event(&mut bytes, T0).unwrap().is_some() {}
        }
        if asked.len() == before {
            break;
        }
    }
    assert!(asked.into_iter().eq(0..100));
}

/// A node that is down may be remembered for long.
#[test]
fn closed_session_keeps_nothing_but_its_counters() {
    let mut a: Session<u32> = Session::new(NodeConfig::default(), &[ADD]);
    for n in 0..100 {
        let name = format!("third-{n}");
        let node = crate::ids::NodeId { name_hash: n, incarnation: 1 };
        a.send_node_info(&NodeInfo { node, name, address: "host:1".to_owned() }, T0);
        a.watch(KEY, n as u32).unwrap();
        a.resolve(1, "name", 1000 + n as u32).unwrap();
        a.tell(KEY, ADD, b"5").unwrap();
    }
    assert_eq!(a.terminate().len(), 200);
    a.add_types(&[TypeInfo { id: 2, schema: 2 }]);
    let left = (a.node_infos_sent.len(), a.own_types.len(), a.lookups.len(), a.requests.len(), a.waiting_bytes());
    assert_eq!((left, a.counters().lost), ((0, 0, 0, 0, 0), 100));
}
