//! What waits for other nodes is dropped at every moment: no node, address or name is left behind, and what was begun is finished by the next
//! call.

use super::at_every_real_moment;
use crate::real_cluster::{Tester, Testing};
use posse::cluster::{NodeEvent, PeerState};
use posse::prelude::*;
use std::net::SocketAddr;

async fn node(name: &str) -> Node {
    Node::builder().name(name).listen("127.0.0.1:0").await.unwrap()
}

fn address(node: &Node) -> SocketAddr {
    node.local_addr().unwrap()
}

fn connected(peers: &[posse::cluster::PeerInfo]) -> bool {
    peers.iter().any(|peer| peer.state == PeerState::Connected)
}

#[test]
fn listening_starts_no_node_and_frees_the_address() {
    at_every_real_moment(async |moment| {
        let at = super::real_sockets::listener_of_ones_own().await.local_addr().unwrap();
        let name = format!("localhost:{}", at.port());
        let listens = moment.cut(Node::listen(name.as_str()), || ()).await.map(|node| node.unwrap());
        let ended = listens.is_some();
        if let Some(node) = listens {
            node.shutdown().await;
        }
        let again = moment.cut(Node::builder().listen(at), || ()).await.map(|node| node.unwrap());
        let both = ended && again.is_some();
        if let Some(node) = again {
            node.shutdown().await;
        }
        node_at(at).await.shutdown().await;
        both
    });
}

async fn node_at(at: SocketAddr) -> Node {
    Node::listen(at).await.unwrap()
}

#[test]
fn connecting_ends_the_node_that_was_to_join() {
    at_every_real_moment(async |moment| {
        let server = node("server").await;
        let client = moment.cut(Node::connect(address(&server)), || ()).await.map(|node| node.unwrap());
        let ended = client.is_some();
        drop(client);
        // Known or not, it goes.
        server.wait_for(|peers| peers.iter().all(|peer| peer.state == PeerState::Down)).await;
        let again = Node::builder().name("client").connect(address(&server)).await.unwrap();
        server.wait_for(connected).await;
        again.shutdown().await;
        server.shutdown().await;
        ended
    });
}

#[test]
fn joining_may_be_repeated() {
    at_every_real_moment(async |moment| {
        let (server, client) = (node("server").await, node("client").await);
        let joined = moment.cut(client.join(address(&server)), || ()).await.map(|id| id.unwrap());
        assert!(joined.is_none_or(|id| id == server.id()));
        assert_eq!(client.join(address(&server)).await.unwrap(), server.id(), "{moment:?}");
        server.wait_for(connected).await;
        assert!(client.leave(address(&server)).await.unwrap(), "{moment:?}: it is joined once");
        assert!(!client.leave(address(&server)).await.unwrap(), "{moment:?}");
        client.shutdown().await;
        server.shutdown().await;
        joined.is_some()
    });
}

#[test]
fn leaving_is_done_once_the_address_is_known() {
    at_every_real_moment(async |moment| {
        let (server, client) = (node("server").await, node("client").await);
        client.join(address(&server)).await.unwrap();
        let left = moment.cut(client.leave(address(&server)), || ()).await.map(|left| left.unwrap());
        assert_eq!(left, moment.begins().then_some(true), "{moment:?}");
        assert_eq!(client.leave(address(&server)).await.unwrap(), left.is_none(), "{moment:?}");
        client.shutdown().await;
        server.shutdown().await;
        left.is_some()
    });
}

#[test]
fn names_are_registered_and_found() {
    at_every_real_moment(async |moment| {
        let server = node("server").await;
        let tester = posse::spawn(Tester::default).share::<Testing>();
        let registered = moment.cut(server.register("tester", tester.clone()), || ()).await.map(|done| done.unwrap());
        assert_eq!(server.unregister("tester"), registered.is_some(), "{moment:?}: once polled it is done");
        server.register("tester", tester).await.unwrap();

        let client = Node::builder().name("client").connect(address(&server)).await.unwrap();
        let found = moment.cut(client.whereis::<Testing>("tester"), || ()).await.map(|found| found.unwrap());
        let there = client.whereis::<Testing>("tester").await.unwrap();
        assert!(!there.is_local() && found.as_ref().is_none_or(|found| found.id() == there.id()), "{moment:?}");
        client.shutdown().await;
        server.shutdown().await;
        registered.is_some() && found.is_some()
    });
}

#[test]
fn what_happens_to_nodes_is_seen() {
    at_every_real_moment(async |moment| {
        let server = node("server").await;
        let mut events = server.events();
        let client = Node::builder().name("client").connect(address(&server)).await.unwrap();
        let seen = moment.cut(server.wait_for(connected), || ()).await.is_some();
        server.wait_for(connected).await;

        // No event is lost: those that another stream from the same moment on gives are the same.
        let mut others = events.clone();
        let first = moment.cut(events.next(), || ()).await;
        let ended = first.is_some();
        let first = match first {
            Some(first) => first,
            None => events.next().await,
        };
        assert_eq!(format!("{first:?}"), format!("{:?}", others.next().await), "{moment:?}");
        assert!(!matches!(first, Some(NodeEvent::Missed(_))));

        let mut leaving = None;
        let id = client.id();
        let down = moment
            .cut(server.node_down(id), || leaving = Some(posse::task::spawn(async move { client.shutdown().await })));
        let down = down.await.is_some();
        server.node_down(id).await;
        leaving.unwrap().await.unwrap();
        server.shutdown().await;
        seen && ended && down
    });
}

#[test]
fn a_node_whose_shutdown_is_dropped_leaves() {
    at_every_real_moment(async |moment| {
        let at = super::real_sockets::listener_of_ones_own().await.local_addr().unwrap();
        let server = Node::builder().name("server").listen(at).await.unwrap();
        let client = Node::builder().name("client").connect(at).await.unwrap();
        let ended = moment.cut(server.shutdown(), || ()).await.is_some();
        if !moment.begins() {
            assert!(connected(&client.peers()), "it was not begun");
            server.shutdown().await;
        }
        client.node_down(server.id()).await;
        // To wait for it once more.
        server.shutdown().await;
        node_at(at).await.shutdown().await;
        client.shutdown().await;
        ended
    });
}

#[test]
fn tells_and_asks_to_another_node() {
    at_every_real_moment(async |moment| {
        let server = node("server").await;
        server.register("tester", posse::spawn(Tester::default).share::<Testing>()).await.unwrap();
        let client = Node::builder().name("client").connect(address(&server)).await.unwrap();
        let tester: ActorRef<Testing> = client.whereis("tester").await.unwrap();
        let mine = posse::spawn(Tester::default).share::<Testing>();
        let asked = moment.cut(tester.pass(mine.clone(), "one".to_owned()).into_future(), || ()).await;
        assert!(asked.as_ref().is_none_or(Result::is_ok));
        // Those that come after it are answered.
        assert_eq!(tester.pass(mine, "two".to_owned()).await.unwrap().unwrap(), "two", "{moment:?}");
        client.shutdown().await;
        server.shutdown().await;
        asked.is_some()
    });
}
