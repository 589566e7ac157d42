//! Nodes over real sockets on loopback: names, messages, references, monitors, accounting, and what breaks.

use crate::common::{elsewhere, join};
use posse::cluster::{ConnectError, ListenError, NodeConfig, PeerState};
use posse::prelude::*;
use posse::{AskError, RegisterError, WhereisError};
use std::time::Duration;

/// What the tests speak.
#[posse::protocol]
pub trait Testing {
    #[derive(Debug, Clone)]
    async fn echo(text: String) -> String;
    async fn note(n: u64);
    async fn notes() -> Vec<u64>;
    async fn stuck();
    async fn never() -> u64;
    async fn crash() -> u64;
    async fn pass(to: ActorRef<Testing>, text: String) -> Result<String, AskError>;
    async fn me() -> Option<ActorRef<Testing>>;
    async fn blob(bytes: u64) -> Vec<u8>;
}

#[derive(Default)]
pub struct Tester {
    notes: Vec<u64>,
    me: Option<ActorRef<Testing>>,
}

impl Actor for Tester {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        self.me = Some(ctx.myself().share());
        Ok(())
    }
}

impl Handler<Echo> for Tester {
    async fn handle(&mut self, Echo { text }: Echo, _: &mut Context<Self>) -> String {
        text
    }
}

impl Handler<Note> for Tester {
    async fn handle(&mut self, Note { n }: Note, _: &mut Context<Self>) {
        self.notes.push(n);
    }
}

impl Handler<Notes> for Tester {
    async fn handle(&mut self, _: Notes, _: &mut Context<Self>) -> Vec<u64> {
        self.notes.clone()
    }
}

impl Handler<Stuck> for Tester {
    async fn handle(&mut self, _: Stuck, _: &mut Context<Self>) {
        std::future::pending().await
    }
}

impl Handler<Never> for Tester {
    async fn handle(&mut self, _: Never, _: &mut Context<Self>) -> u64 {
        std::future::pending().await
    }
}

impl Handler<Crash> for Tester {
    async fn handle(&mut self, _: Crash, _: &mut Context<Self>) -> u64 {
        panic!("crash on purpose")
    }
}

impl Handler<Pass> for Tester {
    async fn handle(&mut self, Pass { to, text }: Pass, _: &mut Context<Self>) -> Result<String, AskError> {
        to.echo(text).await
    }
}

impl Handler<Me> for Tester {
    async fn handle(&mut self, _: Me, _: &mut Context<Self>) -> Option<ActorRef<Testing>> {
        self.me.clone()
    }
}

impl Handler<Blob> for Tester {
    async fn handle(&mut self, Blob { bytes }: Blob, _: &mut Context<Self>) -> Vec<u8> {
        vec![7; bytes as usize]
    }
}

/// Collects the ends of what it monitors.
struct Watcher(posse::sync::mpsc::UnboundedSender<Down>);
impl Actor for Watcher {}

#[derive(Message)]
#[message(reply = ())]
struct Look(ActorRef<Testing>);

impl Handler<Look> for Watcher {
    async fn handle(&mut self, Look(whom): Look, ctx: &mut Context<Self>) {
        ctx.monitor(&whom);
    }
}

impl Handler<Down> for Watcher {
    async fn handle(&mut self, down: Down, _: &mut Context<Self>) {
        self.0.send(down).unwrap();
    }
}

async fn server(name: &str) -> (Node, LocalRef<Tester>) {
    let node = Node::builder().name(name).listen("127.0.0.1:0").await.unwrap();
    let tester = posse::spawn(Tester::default);
    node.register("tester", tester.share::<Testing>()).await.unwrap();
    (node, tester)
}

async fn client(server: &Node) -> (Node, ActorRef<Testing>) {
    let node = Node::connect(server.local_addr().unwrap()).await.unwrap();
    let tester = node.whereis("tester").await.unwrap();
    (node, tester)
}

/// Waits, without sleeping, until something that other tasks bring about is so.
pub async fn until(mut done: impl FnMut() -> bool) {
    posse::time::timeout(secs(10), async {
        while !done() {
            posse::time::sleep(ms(1)).await;
        }
    })
    .await
    .expect("it never came about");
}

#[posse::test]
async fn asks_and_tells_reach_the_other_node_in_order() {
    let (server, _tester) = server("a").await;
    let (_client, tester) = client(&server).await;
    assert!(!tester.is_local());
    assert_eq!(tester.echo("hello".to_owned()).await.unwrap(), "hello");
    for n in 0..1000 {
        tester.note(n).await.unwrap();
    }
    assert_eq!(tester.notes().await.unwrap(), (0..1000).collect::<Vec<_>>());
}

#[posse::test]
async fn same_name_is_found_here_without_the_network() {
    let (server, tester) = server("a").await;
    let found: ActorRef<Testing> = server.whereis("tester").await.unwrap();
    assert!(found.is_local());
    assert_eq!(found, tester.share::<Testing>());
    assert_eq!(found.echo("here".to_owned()).await.unwrap(), "here");
}

#[posse::test]
async fn reference_to_another_node_is_passed_on_and_used_there() {
    let a = Node::builder().name("a").listen("127.0.0.1:0").await.unwrap();
    let b = Node::builder().name("b").listen("127.0.0.1:0").await.unwrap();
    a.register("at-a", posse::spawn(Tester::default).share::<Testing>()).await.unwrap();
    b.register("at-b", posse::spawn(Tester::default).share::<Testing>()).await.unwrap();
    let client = Node::connect(a.local_addr().unwrap()).await.unwrap();
    client.join(b.local_addr().unwrap()).await.unwrap();
    let at_a: ActorRef<Testing> = client.whereis("at-a").await.unwrap();
    let at_b: ActorRef<Testing> = client.whereis("at-b").await.unwrap();

    assert!(!a.peers().iter().any(|peer| peer.id == b.id()));
    assert_eq!(at_a.pass(at_b, "over".to_owned()).await.unwrap().unwrap(), "over");
    assert!(a.peers().iter().any(|peer| peer.id == b.id() && peer.state == PeerState::Connected));
}

#[posse::test]
async fn own_reference_comes_back_as_a_local_one() {
    let (server, _tester) = server("a").await;
    let (client, tester) = client(&server).await;
    let mine = posse::spawn(Tester::default);
    assert_eq!(tester.pass(mine.share(), "round".to_owned()).await.unwrap().unwrap(), "round");
    assert!(client.peers()[0].counters.accepted > 0);

    let theirs = tester.me().await.unwrap().unwrap();
    assert_eq!(theirs, tester);
}

#[posse::test]
async fn names_that_lead_nowhere_say_why() {
    #[posse::protocol]
    pub trait Other {
        async fn another() -> u8;
    }
    let (server, tester) = server("a").await;
    let (client, _) = client(&server).await;
    assert_eq!(
        client.whereis::<Testing>("nobody").await.unwrap_err(),
        WhereisError::NotFound { name: "nobody".into() }
    );
    let other = WhereisError::WrongProtocol { name: "tester".into(), node: server.name().into() };
    assert_eq!(client.whereis::<Other>("tester").await.unwrap_err(), other);
    assert_eq!(server.whereis::<Other>("tester").await.unwrap_err(), other);
    let second = posse::spawn(Tester::default);
    let taken = server.register("tester", second.share::<Testing>()).await;
    assert_eq!(taken, Err(RegisterError::Taken(tester.id())));
    let far: ActorRef<Testing> = client.whereis("tester").await.unwrap();
    assert_eq!(client.register("tester", far).await, Err(RegisterError::NotLocal));
    assert_eq!(server.register("", second.share::<Testing>()).await, Err(RegisterError::InvalidName));

    // The name ends with its actor.
    tester.kill();
    tester.closed().await;
    assert_eq!(
        client.whereis::<Testing>("tester").await.unwrap_err(),
        WhereisError::NotFound { name: "tester".into() }
    );
    assert_eq!(server.register("other", tester.share::<Testing>()).await, Err(RegisterError::Stopped));
    server.register("tester", second.share::<Testing>()).await.unwrap();
    assert_eq!(client.whereis::<Testing>("tester").await.unwrap().echo("2".to_owned()).await.unwrap(), "2");
}

#[posse::test]
async fn asks_end_with_the_reason_there_is_no_reply() {
    let (server, local) = server("a").await;
    let (_client, tester) = client(&server).await;
    assert_eq!(tester.never().within(ms(20)).await.unwrap_err(), AskError::Timeout);
    // The handler still holds the actor; a crash ends it.
    local.kill();
    assert_eq!(local.closed().await, ExitReason::Killed);
    assert_eq!(tester.echo("late".to_owned()).await.unwrap_err(), AskError::NoSuchActor);

    let crashing = posse::spawn(Tester::default);
    server.register("crashing", crashing.share::<Testing>()).await.unwrap();
    let crashing: ActorRef<Testing> = _client.whereis("crashing").await.unwrap();
    assert_eq!(crashing.crash().await.unwrap_err(), AskError::Failed);
}

#[posse::test]
async fn ask_that_timed_out_is_not_handled_any_more() {
    let (server, _local) = server("a").await;
    let (_client, tester) = client(&server).await;
    tester.stuck().await.unwrap();
    assert_eq!(tester.echo("too late".to_owned()).within(ms(20)).await.unwrap_err(), AskError::Timeout);
    let system = posse::System::current();
    // The cancelled ask is seen by the actor only after it is let go.
    let second = posse::spawn(Tester::default);
    server.register("second", second.share::<Testing>()).await.unwrap();
    let second: ActorRef<Testing> = _client.whereis("second").await.unwrap();
    assert_eq!(second.echo("fine".to_owned()).await.unwrap(), "fine");
    assert_eq!(system.dead_letters().count(posse::DeadLetterReason::Failed), 0);
}

#[posse::test]
async fn monitor_fires_once_with_the_reason_after_the_last_message() {
    let (server, local) = server("a").await;
    let (_client, tester) = client(&server).await;
    let (downs, mut seen) = posse::sync::mpsc::unbounded_channel();
    let watcher = posse::spawn(Spec::once(Watcher(downs)));
    watcher.ask(Look(tester.clone())).await.unwrap();
    // A round trip over the same connection: the monitor has arrived.
    tester.echo(String::new()).await.unwrap();
    local.stop();
    let down = seen.recv().await.unwrap();
    assert_eq!((down.actor, down.reason), (tester.id(), ExitReason::Normal));

    watcher.ask(Look(tester.clone())).await.unwrap();
    assert_eq!(seen.recv().await.unwrap().reason, ExitReason::NoSuchActor);
    assert_eq!(tester.closed().await, ExitReason::NoSuchActor);
}

#[posse::test]
async fn node_that_leaves_is_down_at_once() {
    let (server, _local) = server("a").await;
    let (client, tester) = client(&server).await;
    let (downs, mut seen) = posse::sync::mpsc::unbounded_channel();
    let watcher = posse::spawn(Spec::once(Watcher(downs)));
    watcher.ask(Look(tester.clone())).await.unwrap();
    let waiting = posse::task::spawn({
        let tester = tester.clone();
        async move { tester.never().await }
    });
    until(|| client.peers()[0].counters.acked == 1).await;

    server.shutdown().await;
    assert_eq!(seen.recv().await.unwrap().reason, ExitReason::NodeDown);
    assert_eq!(waiting.await.unwrap().unwrap_err(), AskError::NodeDown);
    assert_eq!(tester.echo(String::new()).await.unwrap_err(), AskError::NodeDown);
    assert!(matches!(tester.note(1).await, Err(TellError { reason: SendReason::NodeDown, message: Note { n: 1 } })));
    assert_eq!(client.peers()[0].state, PeerState::Down);
}

#[posse::test]
async fn successor_at_the_same_address_is_joined_by_itself() {
    let (server, _local) = server("a").await;
    let address = server.local_addr().unwrap();
    let (client, tester) = client(&server).await;
    server.shutdown().await;
    drop(server);
    assert_eq!(tester.echo(String::new()).await.unwrap_err(), AskError::NodeDown);

    let again = Node::builder().name("a").listen(address).await.unwrap();
    again.register("tester", posse::spawn(Tester::default).share::<Testing>()).await.unwrap();
    until(|| client.peers().iter().any(|peer| peer.id == again.id() && peer.state == PeerState::Connected)).await;
    let found: ActorRef<Testing> = client.whereis("tester").await.unwrap();
    assert_eq!(found.echo("again".to_owned()).await.unwrap(), "again");
    // The old reference is one to the incarnation that is gone.
    assert_eq!(tester.echo(String::new()).await.unwrap_err(), AskError::NodeDown);
    assert_ne!(found, tester);
}

#[posse::test]
async fn every_accepted_message_is_acknowledged_refused_or_waits() {
    let (server, local) = server("a").await;
    let (client, tester) = client(&server).await;
    for n in 0..500 {
        tester.note(n).await.unwrap();
    }
    tester.notes().await.unwrap();
    local.kill();
    local.closed().await;
    for n in 0..50 {
        tester.note(n).await.unwrap();
    }
    until(|| client.peers()[0].counters.unsettled == 0).await;
    let counters = client.peers()[0].counters;
    assert_eq!(counters.accepted, 551);
    assert_eq!((counters.acked, counters.rejected.iter().sum::<u64>(), counters.lost), (501, 50, 0));
}

#[posse::test]
async fn slow_actor_holds_up_nobody_else_and_its_sender_is_held_back() {
    let config = {
        let mut config = NodeConfig::default();
        config.unsettled_bytes_max = 64 * 1024;
        config
    };
    let server = Node::builder().name("a").config(config.clone()).listen("127.0.0.1:0").await.unwrap();
    let slow = posse::spawn(Spec::new(Tester::default).capacity(4));
    server.register("slow", slow.share::<Testing>()).await.unwrap();
    server.register("quick", posse::spawn(Tester::default).share::<Testing>()).await.unwrap();
    let client = Node::builder().config(config).connect(server.local_addr().unwrap()).await.unwrap();
    let slow_ref: ActorRef<Testing> = client.whereis("slow").await.unwrap();
    let quick: ActorRef<Testing> = client.whereis("quick").await.unwrap();

    slow_ref.stuck().await.unwrap();
    for n in 0..200 {
        slow_ref.note(n).await.unwrap();
    }
    assert_eq!(quick.echo("through".to_owned()).await.unwrap(), "through");

    // Beyond the bound the sender waits, and gets its message back if it does not want to.
    let mut accepted = 200;
    while slow_ref.try_tell(Note { n: accepted }).is_ok() {
        accepted += 1;
        assert!(accepted < 10_000, "nothing holds the sender back");
    }
    assert!(matches!(slow_ref.try_tell(Note { n: 0 }), Err(TellError { reason: SendReason::Full, .. })));
    slow.kill();
    slow.closed().await;
    until(|| client.peers()[0].counters.unsettled == 0).await;
    assert_eq!(quick.echo("again".to_owned()).await.unwrap(), "again");
    let counters = client.peers()[0].counters;
    assert_eq!(counters.accepted, counters.acked + counters.undelivered());
}

#[posse::test]
async fn sizes_are_bounded_on_both_ways() {
    let mut config = NodeConfig::default();
    config.message_bytes_max = 100_000;
    let server = Node::builder().name("a").config(config).listen("127.0.0.1:0").await.unwrap();
    server.register("tester", posse::spawn(Tester::default).share::<Testing>()).await.unwrap();
    let (_client, tester) = client(&server).await;
    let large = "x".repeat(99_000);
    assert_eq!(tester.echo(large.clone()).await.unwrap(), large);
    assert_eq!(tester.echo("x".repeat(200_000)).await.unwrap_err(), AskError::TooLarge);
    assert!(matches!(tester.blob(200_000).await.unwrap_err(), AskError::Encode(_)));
    assert_eq!(tester.echo("still there".to_owned()).await.unwrap(), "still there");
}

#[posse::test]
async fn addresses_of_other_machines_are_refused_with_the_reason() {
    let error = Node::listen("0.0.0.0:0").await.unwrap_err();
    assert!(matches!(error, ListenError::NotLoopback(_)));
    assert!(error.to_string().contains("without credentials anybody could command the actors"), "{error}");
    assert!(matches!(Node::connect("192.0.2.1:9").await.unwrap_err(), ConnectError::NotLoopback(_)));
}

#[posse::test]
async fn reference_outside_of_a_message_is_an_error_that_says_so() {
    let tester = posse::spawn(Tester::default).share::<Testing>();
    // Any serializer will do; the standard formatter is one.
    struct Written<'a>(&'a ActorRef<Testing>);
    impl std::fmt::Display for Written<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            serde::Serialize::serialize(self.0, f)
        }
    }
    let mut text = String::new();
    assert!(std::fmt::Write::write_fmt(&mut text, format_args!("{}", Written(&tester))).is_err());

    let words = serde::de::value::SeqDeserializer::<_, serde::de::value::Error>::new([1_u64, 2, 3, 4].into_iter());
    let error = <ActorRef<Testing> as serde::Deserialize>::deserialize(words).unwrap_err();
    assert_eq!(error.to_string(), "an `ActorRef` travels only in a message to another node");
}

#[posse::test]
async fn nodes_of_other_clusters_and_namesakes_are_refused() {
    let red = Node::builder().cluster("red").name("a").listen("127.0.0.1:0").await.unwrap();
    let error = Node::builder().cluster("blue").connect(red.local_addr().unwrap()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Handshake { .. }), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("a node of cluster `red`"), "{cause}");
    let error = Node::builder().cluster("red").name("a").connect(red.local_addr().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("same name"), "{error}");
}

#[posse::test]
async fn nodes_that_join_each_other_at_once_end_up_connected() {
    for _ in 0..20 {
        let a = Node::builder().name("a").listen("127.0.0.1:0").await.unwrap();
        let b = Node::builder().name("b").listen("127.0.0.1:0").await.unwrap();
        let joining = posse::task::spawn({
            let (b, to) = (b.clone(), a.local_addr().unwrap());
            async move { b.join(to).await }
        });
        let (one, other) = (a.join(b.local_addr().unwrap()).await, joining.await.unwrap());
        assert_eq!((one.unwrap(), other.unwrap()), (b.id(), a.id()));
        until(|| a.peers()[0].state == PeerState::Connected && b.peers()[0].state == PeerState::Connected).await;
    }
}

#[posse::test]
async fn many_asks_at_once_are_all_answered() {
    let (server, _local) = server("a").await;
    let (_client, tester) = client(&server).await;
    let asks: Vec<_> = (0..500)
        .map(|n| {
            let tester = tester.clone();
            posse::task::spawn(async move { (n, tester.echo(format!("{n}")).within(Duration::from_secs(20)).await) })
        })
        .collect();
    for ask in asks {
        let (n, reply) = ask.await.unwrap();
        assert_eq!(reply.unwrap(), n.to_string());
    }
}

#[posse::test]
async fn ask_to_another_node_works_on_a_thread_that_no_runtime_knows() {
    let (server, _tester) = server("server").await;
    let (_client, tester) = client(&server).await;
    let echoed = elsewhere(tester.echo("hello".into()));
    assert_eq!(join(echoed).await.as_deref(), Ok("hello"));
    let late = elsewhere(tester.never().within(ms(20)));
    assert_eq!(join(late).await, Err(AskError::Timeout));
}
