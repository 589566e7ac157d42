//! What a node knows of the others, and what it leaves behind.

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
        assert_eq!(client.until_down(node.id()).await, ());
    }
}

#[posse::test]
async fn the_end_of_a_node_completes_all_who_wait_for_it() {
    let server = Node::listen("127.0.0.1:0").await.unwrap();
    let client = Node::builder().name("client").connect(server.local_addr().unwrap()).await.unwrap();
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let (client, id) = (client.clone(), server.id());
            posse::task::spawn(async move { client.until_down(id).await })
        })
        .collect();
    server.until(|peers| peers.iter().any(|peer| peer.state == PeerState::Connected)).await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    server.shutdown().await;
    for waiting in waiting {
        waiting.await.unwrap();
    }
    // It stays down, and a node that nobody knows is not there either.
    client.until_down(server.id()).await;
    server.until_down(server.id()).await;
}
