//! Many runtimes in one process, each with a node of its own: they share nothing.

use crate::real_cluster::{Tester, Testing};
use posse::prelude::*;
use posse::runtime::{Builder, Runtime};
use posse::{System, WhereisError};
use std::collections::BTreeSet;
use std::sync::mpsc;

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
        node.register("tester", tester.share::<Testing>()).await.unwrap();
        System::current().register("tester", &tester).unwrap();
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
                tester.tell(crate::real_cluster::Note { n: 1 }).await.unwrap();
            }
            let found: ActorRef<Testing> = node.whereis("tester").await.unwrap();
            assert_eq!(found.notes().await.unwrap().len(), n);
            let system = System::current();
            assert_eq!(system.whereis::<Tester>("tester").as_ref(), Some(tester));
            assert_eq!((system.alive(), node.peers().len()), (1, 0));
        });
    }

    // Ending one of them touches no other.
    let (ended, cluster) = runtimes.remove(0);
    drop(ended);
    assert!(!cluster.tester.is_alive());
    for (runtime, Cluster { node, tester }) in &runtimes {
        runtime.block_on(async {
            assert_eq!(tester.ask(crate::real_cluster::Echo { text: "still".into() }).await.unwrap(), "still");
            assert_eq!(
                node.whereis::<Testing>("nobody").await.unwrap_err(),
                WhereisError::NotFound { name: "nobody".into() }
            );
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
        let tester: ActorRef<Testing> = client.whereis("tester").await.unwrap();
        tester.echo("across".to_owned()).await.unwrap()
    });
    assert_eq!(runtime.block_on(asking).unwrap(), "across");
}

/// Says so when it is dropped.
struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

struct Owner(Option<Runtime>);
impl Actor for Owner {}

#[derive(Message)]
#[message(reply = ())]
struct DropIt;

impl Handler<DropIt> for Owner {
    async fn handle(&mut self, _: DropIt, _: &mut Context<Self>) {
        self.0 = None;
    }
}

/// A runtime with a task that never ends, and who hears once that task is dropped.
fn busy() -> (Runtime, mpsc::Receiver<()>) {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (told, dropped) = mpsc::channel();
    let held = Told(told);
    drop(runtime.spawn(async move {
        let _held = held;
        std::future::pending::<()>().await;
    }));
    (runtime, dropped)
}

/// Waits for the end of the task. The receiver then finds nobody left who could say it twice.
fn dropped_once(dropped: &mpsc::Receiver<()>) {
    assert!(dropped.recv().is_ok());
    assert!(dropped.recv().is_err());
}

#[test]
fn a_runtime_is_dropped_anywhere_without_a_panic() {
    let outer = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    // In `block_on`, a task, a blocking closure and an actor of another runtime.
    outer.block_on(async {
        let (runtime, dropped) = busy();
        drop(runtime);
        dropped_once(&dropped);

        let (runtime, dropped) = busy();
        posse::task::spawn(async move { drop(runtime) }).await.unwrap();
        dropped_once(&dropped);

        let (runtime, dropped) = busy();
        posse::task::spawn_blocking(move || drop(runtime)).await.unwrap();
        dropped_once(&dropped);

        let (runtime, dropped) = busy();
        let owner = posse::spawn(Spec::once(Owner(Some(runtime))));
        owner.ask(DropIt).await.unwrap();
        dropped_once(&dropped);
    });

    // By a blocking closure and an actor of its own.
    let (runtime, dropped) = busy();
    let handle = runtime.handle().clone();
    drop(handle.spawn_blocking(move || drop(runtime)));
    dropped_once(&dropped);

    let (runtime, dropped) = busy();
    let handle = runtime.handle().clone();
    let owner = outer.block_on(handle.spawn(async { posse::spawn(Spec::once(Owner(Some(runtime)))) })).unwrap();
    assert!(owner.try_tell(DropIt).is_ok());
    dropped_once(&dropped);
    assert_ne!(outer.block_on(owner.closed()), ExitReason::Killed);
}

#[posse::test(start_paused = true)]
async fn a_test_whose_time_stands_still_waits_for_no_time_out() {
    let start = posse::time::Instant::now();
    assert!(posse::time::timeout(posse::secs(3600), std::future::pending::<()>()).await.is_err());
    assert_eq!(start.elapsed(), posse::secs(3600));
}
