//! Tests of what a node makes of what it is told about itself, and of connections that say nothing.

use super::*;
use crate::cluster::remote::RemoteActor;
use crate::id::ExitReason;
use crate::protocol::codec::{self, CodecError};
use crate::protocol::{MessageType, Protocol, RawRef, protocol_id, scope};
use crate::refs::actor_ref::{ActorRef, Repr};
use posse_core::runtime::Builder;
use posse_core::task::yield_now;

fn in_runtime(config: NodeConfig, test: impl AsyncFnOnce(Arc<NodeState>)) {
    Builder::new_current_thread().build().unwrap().block_on(async {
        let hello = Hello::new("c", "me", 5, "", &config).unwrap();
        test(NodeState::new(Handle::current(), hello, config, |_, _| {})).await;
    });
}

fn peer(node: &Arc<NodeState>, name: &str) -> Arc<Peer> {
    let node_info = NodeInfo { node: NodeId::new(name, 1), name: name.into(), address: String::new() };
    let peer = Peer::new(node, node_info, &[]);
    node.nodes.lock().add(&peer);
    peer
}

#[test]
fn node_that_nobody_knows_takes_the_incarnation_after_the_last_one_seen() {
    in_runtime(NodeConfig::default(), async |node| {
        assert!(node.on_stale(5, 9));
        assert_eq!(node.id().incarnation, 10);
        // What an attempt is told that began before is of no use any more.
        assert!(node.on_stale(5, 99));
        assert_eq!(node.id().incarnation, 10);
        assert!(node.on_stale(10, INCARNATION_MAX - 1));
        assert_eq!(node.id().incarnation, INCARNATION_MAX);
        assert!(!node.on_stale(INCARNATION_MAX, INCARNATION_MAX));
    });
}

#[test]
fn node_that_others_know_does_not_outdo_whoever_took_its_name() {
    in_runtime(NodeConfig::default(), async |node| {
        let other = peer(&node, "other");
        assert!(node.meet(&other, "a:1", 5));
        assert!(!node.on_stale(5, 9));
        assert_eq!(node.id().incarnation, 5);
        assert!(!other.is_down());
    });
}

#[test]
fn only_who_met_a_node_can_declare_it_down() {
    in_runtime(NodeConfig::default(), async |node| {
        let (other, liar) = (peer(&node, "other"), peer(&node, "liar"));
        assert!(node.meet(&other, "a:1", 5));
        assert!(!node.on_quarantined(5, &liar, false));
        assert_eq!(node.id().incarnation, 5);
        assert!(node.on_quarantined(5, &other, false));
        let second = node.id().incarnation;
        assert!(second > 5 && other.is_down());
        assert!(node.peers().is_empty());
        // The other attempts that were on their way know nothing of the one that it is now.
        assert!(node.on_quarantined(5, &other, false));
        assert_eq!(node.id().incarnation, second);
        // Not again and again, for the sake of one that was never met.
        let next = peer(&node, "next");
        assert!(node.meet(&next, "a:1", second));
        assert!(!node.on_quarantined(second, &liar, true));
        assert_eq!(node.id().incarnation, second);
    });
}

#[test]
fn later_incarnation_replaces_the_previous_when_it_is_met() {
    in_runtime(NodeConfig::default(), async |node| {
        let previous = peer(&node, "other");
        assert!(node.meet(&previous, "a:1", 5));
        let id = NodeId { incarnation: 2, ..previous.id() };
        let node_info = NodeInfo { node: id, name: "other".into(), address: String::new() };
        let later = Peer::new(&node, node_info, &[]);
        assert!(!previous.is_down());
        assert!(node.meet(&later, "a:1", 5));
        assert!(previous.is_down() && !later.is_down());
        let early = peer(&node, "other");
        assert!(!node.meet(&early, "a:1", 5));
        assert!(node.peer(previous.id()).is_none());
        assert!(node.peer(id).is_some_and(|peer| Arc::ptr_eq(&peer, &later)));
    });
}

#[test]
fn of_connections_that_say_nothing_the_oldest_goes() {
    let mut config = NodeConfig::default();
    config.half_open_max = 2;
    in_runtime(config, async |node| {
        let pending: Vec<_> = (0..4).map(|_| node.handle.spawn(std::future::pending::<()>())).collect();
        let mut left = Vec::new();
        for task in &pending {
            node.track_handshake(task.abort_handle());
            for _ in 0..10 {
                yield_now().await;
            }
            left.push(pending.iter().filter(|task| !task.is_finished()).count());
        }
        assert_eq!(left, [4, 4, 3, 2]);
        assert_eq!(pending.iter().map(|task| task.is_finished()).collect::<Vec<_>>(), [true, true, false, false]);
        node.close();
    });
}

#[test]
fn node_that_was_down_for_longest_makes_place() {
    let mut config = NodeConfig::default();
    config.peers_max = 2;
    in_runtime(config, async |node| {
        let (first, second) = (peer(&node, "first"), peer(&node, "second"));
        assert!(node.meet(&first, "", 5) && node.meet(&second, "", 5));
        let hello = Hello::new("c", "third", 1, "", &NodeConfig::default()).unwrap();
        assert!(matches!(node.admit(&hello, true), Admission::Reject(CloseReason::Overloaded, ..)));
        second.mark_down(DownReason::Left);
        let Admission::Accept(third) = node.admit(&hello, true) else { panic!("there is a place") };
        // No node is forgotten for one that only said its name.
        assert_eq!(node.peers().len(), 2);
        assert!(node.peer(second.id()).is_some_and(|peer| peer.is_down()));
        assert!(node.meet(&third, "", 5));
        let names: Vec<_> = node.peers().iter().map(|peer| peer.name().to_owned()).collect();
        assert!(names.contains(&"first".to_owned()) && names.contains(&"third".to_owned()), "{names:?}");
    });
}

struct Nothing(RawRef);

impl Protocol for Nothing {
    const NAME: &'static str = "nothing";
    const MESSAGES: &'static [MessageType] = &[];

    fn from_raw(raw: RawRef) -> Self {
        Self(raw)
    }

    fn raw(&self) -> &RawRef {
        &self.0
    }
}

fn named(n: usize) -> NodeInfo {
    let name = n.to_string();
    NodeInfo { node: NodeId::new(&name, 1), name, address: String::new() }
}

/// Reads a message of references to actors of these nodes.
fn read(node: &Arc<NodeState>, of: impl IntoIterator<Item = NodeId>) -> Result<Vec<ActorRef<Nothing>>, CodecError> {
    let (key, protocol) = (ActorKey { slot: 1, generation: 1 }, protocol_id::<Nothing>());
    let words: Vec<_> = of.into_iter().map(|node| WireRef { node, key, protocol }.to_words()).collect();
    let mut bytes = Vec::new();
    codec::encode(&words, &mut bytes).unwrap();
    scope::within(node.clone(), || codec::decode(&bytes)).0
}

#[test]
fn reference_to_a_node_of_which_nothing_is_known_is_its_address_and_answers_node_down() {
    in_runtime(NodeConfig::default(), async |node| {
        let unknown = named(1).node;
        let read = read(&node, [unknown]).unwrap();
        assert!(matches!(read[0].repr(), Repr::Gone(wire) if wire.node == unknown));
        assert!(!read[0].is_local());
        assert_eq!(read[0].closed().await, ExitReason::NodeDown);
        assert!(node.nodes.lock().living().is_empty());
        // It goes on as it came, and introduces no node.
        let (sent, introduced) = scope::within(node.clone(), || scope::export(read[0].repr()));
        assert_eq!((sent.unwrap().node, introduced.len()), (unknown, 0));
    });
}

#[test]
fn what_references_take_is_counted() {
    let mut config = NodeConfig::default();
    config.decoded_bytes_max = 256 * 1024;
    in_runtime(config, async |node| {
        (0..400).for_each(|n| node.learn_node(named(n)));
        let place = size_of::<ActorRef<Nothing>>();
        // Each reference takes its place and, if it leads somewhere, an allocation; a node that was not met a relation too.
        let fit = node.config.decoded_bytes_max / place;
        assert_eq!(read(&node, vec![named(1000).node; fit]).unwrap().len(), fit);
        assert!(read(&node, vec![named(1000).node; fit + 1]).is_err());
        let fit = node.config.decoded_bytes_max / (place + RemoteActor::BYTES);
        let met = peer(&node, "other");
        assert_eq!(read(&node, vec![met.id(); fit]).unwrap().len(), fit);
        assert!(read(&node, vec![met.id(); fit + 1]).is_err());
        let unmet = (0..400).map(|n| named(n).node);
        let error = read(&node, unmet.clone()).unwrap_err();
        assert_eq!(error.to_string(), "it takes more than 262144 bytes of memory");
        assert_eq!(read(&node, unmet.take(100)).unwrap().len(), 100);
    });
}
