//! Many runtimes in one process, each with a node of its own: they share nothing.

use crate::cluster::{Tester, Testing};
use posse::prelude::*;
use posse::runtime::{Builder, Runtime};
use posse::{FindError, System};
use std::collections::BTreeSet;

const RUNTIMES: usize = 50;

struct Cluster {
    node: Node,
    tester: LocalRef<Tester>,
}

fn start() -> (Runtime, Cluster) {
    let runtime = Builder::new_current_thread().build().unwrap();
    let cluster = runtime.block_on(async {
        // The same names in every one of them.
        let node = Node::builder().name("same").cluster("same").listen("127.0.0.1:0").await.unwrap();
        let tester = posse::spawn(Tester::default);
        node.publish("tester", tester.share::<Testing>()).await.unwrap();
        System::current().registry().register("tester", &tester).unwrap();
        Cluster { node, tester }
    });
    (runtime, cluster)
}

#[test]
fn fifty_runtimes_with_a_node_each_share_nothing() {
    let mut runtimes: Vec<_> = (0..RUNTIMES).map(|_| start()).collect();

    // Randomness: no two draw the same. Addresses and incarnations differ as well.
    let draws: BTreeSet<u64> = runtimes.iter().map(|(runtime, _)| runtime.handle().random_u64()).collect();
    assert_eq!(draws.len(), RUNTIMES);
    let addresses: BTreeSet<_> = runtimes.iter().map(|(_, cluster)| cluster.node.local_addr()).collect();
    assert_eq!(addresses.len(), RUNTIMES);

    // Names and counters: each knows its own actor, by every name, and has handled its own messages alone.
    for (n, (runtime, Cluster { node, tester })) in runtimes.iter().enumerate() {
        runtime.block_on(async {
            for _ in 0..n {
                tester.tell(crate::cluster::Note { n: 1 }).await.unwrap();
            }
            let found: ActorRef<Testing> = node.find("tester").await.unwrap();
            assert_eq!(found.notes().await.unwrap().len(), n);
            let system = System::current();
            assert_eq!(system.registry().whereis::<Tester>("tester").as_ref(), Some(tester));
            assert_eq!((system.alive(), node.peers().len()), (1, 0));
        });
    }

    // Ending one of them touches no other.
    let (ended, cluster) = runtimes.remove(0);
    drop(ended);
    assert!(!cluster.tester.is_alive());
    for (runtime, Cluster { node, tester }) in &runtimes {
        runtime.block_on(async {
            assert_eq!(tester.ask(crate::cluster::Echo { text: "still".into() }).await.unwrap(), "still");
            assert_eq!(node.find::<Testing>("nobody").await.unwrap_err(), FindError::NotFound);
        });
    }
}

#[test]
fn nodes_of_two_runtimes_on_two_threads_talk() {
    let (runtime, cluster) = start();
    let address = cluster.node.local_addr().unwrap();
    let multi = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let asking = multi.spawn(async move {
        let client = Node::builder().cluster("same").name("other").connect(address).await.unwrap();
        let tester: ActorRef<Testing> = client.find("tester").await.unwrap();
        tester.echo("across".to_owned()).await.unwrap()
    });
    assert_eq!(runtime.block_on(asking).unwrap(), "across");
}
