//! Connections that break while both nodes live, and nodes that cannot be reached any more.

use crate::real_cluster::{Tester, Testing, until};
use posse::cluster::NodeConfig;
use posse::prelude::*;
use posse::sync::CancellationToken;
use posse::{AskError, ExitReason};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A wire between two nodes that can be cut, or frozen.
struct Proxy {
    address: SocketAddr,
    cut: CancellationToken,
    frozen: Arc<AtomicBool>,
}

impl Proxy {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, frozen) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let (until_cut, is_frozen) = (cut.clone(), frozen.clone());
        posse::task::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(target).await.unwrap();
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                for (mut read, mut write) in [(near_read, far_write), (far_read, near_write)] {
                    let (until_cut, is_frozen) = (until_cut.clone(), is_frozen.clone());
                    posse::task::spawn(async move {
                        let carry = async {
                            let mut bytes = vec![0; 4096];
                            loop {
                                let n = read.read(&mut bytes).await?;
                                if is_frozen.load(Ordering::Relaxed) {
                                    std::future::pending::<()>().await;
                                }
                                if n == 0 {
                                    return Ok::<(), std::io::Error>(());
                                }
                                write.write_all(&bytes[..n]).await?;
                            }
                        };
                        until_cut.run_until_cancelled(carry).await
                    });
                }
            }
        });
        Self { address, cut, frozen }
    }
}

async fn server(config: NodeConfig) -> (Node, LocalRef<Tester>) {
    let node = Node::builder().name("server").config(config).listen("127.0.0.1:0").await.unwrap();
    let tester = posse::spawn(Tester::default);
    node.register("tester", tester.share::<Testing>()).await.unwrap();
    (node, tester)
}

/// Asks until an ask is answered: those that were on their way when the connection broke are lost. Returns how many.
async fn answered_again(tester: &ActorRef<Testing>) -> u64 {
    let mut lost = 0;
    while let Err(error) = tester.echo("after".to_owned()).within(ms(50)).await {
        assert_eq!(error, AskError::Timeout);
        lost += 1;
        assert!(lost < 100, "it never comes back");
    }
    lost
}

#[posse::test]
async fn cut_connection_is_made_again_and_references_work_on() {
    let mut config = NodeConfig::default();
    // However busy the machine is, the client comes back in time.
    config.return_timeout = config.down_after;
    let (server, local) = server(config).await;
    let proxy = Proxy::to(server.local_addr().unwrap()).await;
    let client = Node::connect(proxy.address).await.unwrap();
    let tester: ActorRef<Testing> = client.whereis("tester").await.unwrap();
    let ending = posse::task::spawn({
        let tester = tester.clone();
        async move { tester.closed().await }
    });
    assert_eq!(tester.echo("before".to_owned()).await.unwrap(), "before");

    // The node tells where it listens, so the way around the proxy is found.
    proxy.cut.cancel();
    let lost = answered_again(&tester).await;
    assert_eq!(client.peers().len(), 1);
    assert!(client.peers()[0].counters.lost <= lost);

    // The monitor was renewed: it fires once, with the reason.
    local.stop();
    assert_eq!(ending.await.unwrap(), ExitReason::Normal);
    until(|| client.peers()[0].counters.unsettled == 0).await;
    let counters = client.peers()[0].counters;
    assert_eq!(counters.accepted, counters.acked + counters.undelivered());
}

#[posse::test]
async fn node_that_refuses_connections_is_down_at_once() {
    let (server, _local) = server(NodeConfig::default()).await;
    let proxy = Proxy::to(server.local_addr().unwrap()).await;
    let client = Node::connect(proxy.address).await.unwrap();
    let tester: ActorRef<Testing> = client.whereis("tester").await.unwrap();
    let ending = posse::task::spawn({
        let tester = tester.clone();
        async move { tester.closed().await }
    });
    // The node is gone without a word: its listener is closed, and then the wire is cut.
    proxy.frozen.store(true, Ordering::Relaxed);
    server.shutdown().await;
    drop(server);
    proxy.cut.cancel();
    assert_eq!(ending.await.unwrap(), ExitReason::NodeDown);
    assert_eq!(tester.echo(String::new()).await.unwrap_err(), AskError::NodeDown);
}
