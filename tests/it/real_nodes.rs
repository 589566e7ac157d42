//! What a node knows of the others, and what it leaves behind.

use crate::real_cluster::{Tester, Testing};
use crate::real_hostile::Rogue;
use posse::cluster::PeerState;
use posse::prelude::*;

#[posse::test]
async fn the_address_of_a_node_is_free_after_its_shutdown() {
    let first = Node::listen("127.0.0.1:0").await.unwrap();
    let address = first.local_addr().unwrap();
    first.shutdown().await;
    for _ in 0..50 {
        let node = Node::listen(address).await.unwrap();
        let client = Node::connect(address).await.unwrap();
        node.shutdown().await;
        assert_eq!(client.node_down(node.id()).await, ());
    }
}

#[posse::test]
async fn the_end_of_a_node_completes_all_who_wait_for_it() {
    let server = Node::listen("127.0.0.1:0").await.unwrap();
    let client = Node::builder().name("client").connect(server.local_addr().unwrap()).await.unwrap();
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let (client, id) = (client.clone(), server.id());
            posse::task::spawn(async move { client.node_down(id).await })
        })
        .collect();
    server.wait_for(|peers| peers.iter().any(|peer| peer.state == PeerState::Connected)).await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    server.shutdown().await;
    for waiting in waiting {
        waiting.await.unwrap();
    }
    // It stays down, and a node that nobody knows is not there either.
    client.node_down(server.id()).await;
    server.node_down(server.id()).await;
}

/// Later than any clock shows.
const FUTURE: u64 = u64::MAX / 2 - 100;

async fn server() -> Node {
    let node = Node::builder().name("server").listen("127.0.0.1:0").await.unwrap();
    node.register("tester", posse::spawn(Tester::default).share::<Testing>()).await.unwrap();
    node
}

#[posse::test]
async fn a_node_whose_clock_went_back_takes_the_incarnation_after_the_last_one_seen() {
    let server = server().await;
    drop(Rogue::enter_as(&server, "a", FUTURE).await);
    let node = Node::builder().name("a").connect(server.local_addr().unwrap()).await.unwrap();
    assert_eq!(node.id().incarnation, FUTURE + 1);
    let tester: ActorRef<Testing> = node.whereis("tester").await.unwrap();
    let mine = posse::spawn(Tester::default).share::<Testing>();
    assert_eq!(tester.pass(mine, "round".to_owned()).await.unwrap().unwrap(), "round");
    // The earlier one, which had only broken off, is down by that.
    let known: Vec<_> = server.peers().iter().map(|peer| (peer.id.incarnation, peer.state)).collect();
    assert_eq!(known, [(FUTURE, PeerState::Down), (FUTURE + 1, PeerState::Connected)]);
}

#[posse::test]
async fn so_does_a_node_that_is_joined() {
    let server = server().await;
    drop(Rogue::enter_as(&server, "a", FUTURE).await);
    let node = Node::builder().name("a").listen("127.0.0.1:0").await.unwrap();
    assert_eq!(server.join(node.local_addr().unwrap()).await.unwrap().incarnation, FUTURE + 1);
    assert_eq!(node.id().incarnation, FUTURE + 1);
}

#[posse::test]
async fn a_node_that_others_know_keeps_its_incarnation() {
    let (first, second) = (server().await, Node::builder().name("second").listen("127.0.0.1:0").await.unwrap());
    second.register("tester", posse::spawn(Tester::default).share::<Testing>()).await.unwrap();
    drop(Rogue::enter_as(&second, "a", FUTURE).await);
    let node = Node::builder().name("a").connect(first.local_addr().unwrap()).await.unwrap();
    let before = node.id();
    let error = node.join(second.local_addr().unwrap()).await.unwrap_err();
    let text = format!("{:?}", posse::Error::from(error));
    assert!(text.contains("later incarnation"), "{text}");
    assert!(second.join(first.local_addr().unwrap()).await.is_ok());
    assert_eq!(node.id(), before);
    assert_eq!(node.whereis::<Testing>("tester").await.unwrap().echo("fine".to_owned()).await.unwrap(), "fine");
}

#[posse::test]
async fn a_name_that_was_taken_back_is_found_by_nobody() {
    let server = server().await;
    let client = Node::connect(server.local_addr().unwrap()).await.unwrap();
    assert!(client.whereis::<Testing>("tester").await.is_ok());
    assert!(server.unregister("tester"));
    assert!(!server.unregister("tester"));
    assert_eq!(
        client.whereis::<Testing>("tester").await.unwrap_err(),
        posse::WhereisError::NotFound { name: "tester".into() }
    );
    let again = posse::spawn(Tester::default).share::<Testing>();
    server.register("tester", again).await.unwrap();
    assert!(client.whereis::<Testing>("tester").await.is_ok());
}
