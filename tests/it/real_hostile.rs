//! Strangers at a node's door, and nodes that break the rules: they pay for it, the node does not.

use crate::real_cluster::{Tester, Testing, until};
use bytes::BytesMut;
use posse::cluster::{NodeConfig, PeerState};
use posse::prelude::*;
use posse_wire::{
    ActorKey, AwaitHello, CorrelationId, Established, Event, Hello, ReplyCode, Resolution, Role, Session, TypeInfo,
    fnv1a64,
};
use std::time::Duration;

async fn server(config: NodeConfig) -> Node {
    let node = Node::builder().name("server").config(config).listen("127.0.0.1:0").await.unwrap();
    node.register("tester", posse::spawn(Tester::default).share::<Testing>()).await.unwrap();
    node
}

async fn stranger(node: &Node) -> TcpStream {
    TcpStream::connect(node.local_addr().unwrap()).await.unwrap()
}

/// Reads to the end, which has to come.
async fn last_words(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // The connection may be reset, which is an end as well.
    let _ = posse::time::timeout(secs(10), stream.read_to_end(&mut all)).await.expect("the connection stays open");
    all
}

async fn still_serves(node: &Node) {
    let client = Node::connect(node.local_addr().unwrap()).await.unwrap();
    let tester: ActorRef<Testing> = client.whereis("tester").await.unwrap();
    assert_eq!(tester.echo("fine".to_owned()).await.unwrap(), "fine");
}

#[posse::test]
async fn strangers_are_shown_the_door() {
    let node = server(NodeConfig::default()).await;
    let tls = [0x16, 3, 1, 0, 5];
    let huge_hello = b"POSS\x01\x01\0\0\xff\xff\xff\x7f\0\0\0\0";
    let greetings = [&b"GET / HTTP/1.1\r\n\r\n"[..], &tls, huge_hello, b"POSS\x09\x09\0\0\0\0\0\0\0\0\0\0", &[0; 4096]];
    for greeting in greetings {
        let mut stream = stranger(&node).await;
        stream.write_all(greeting).await.unwrap();
        let said = last_words(&mut stream).await;
        let version_is_told = greeting.starts_with(b"POSS\x09") && said.starts_with(b"POSS");
        assert!(said.is_empty() || version_is_told, "{greeting:?}: {said:?}");
    }
    assert!(node.peers().is_empty());
    still_serves(&node).await;
}

#[posse::test]
async fn who_does_not_introduce_itself_in_time_is_closed() {
    let mut config = NodeConfig::default();
    config.handshake_timeout = Duration::from_millis(50);
    let node = server(config).await;
    let mut silent = stranger(&node).await;
    let mut half = stranger(&node).await;
    half.write_all(b"POSS\x01\x01").await.unwrap();
    assert!(last_words(&mut silent).await.is_empty());
    assert!(last_words(&mut half).await.is_empty());
}

#[posse::test]
async fn of_too_many_half_open_connections_the_oldest_goes() {
    let mut config = NodeConfig::default();
    config.half_open_max = 4;
    let node = server(config).await;
    let mut silent = Vec::new();
    for _ in 0..12 {
        silent.push(stranger(&node).await);
    }
    for stream in &mut silent[..8] {
        assert!(last_words(stream).await.is_empty());
    }
    // An honest node gets in all the same.
    still_serves(&node).await;
}

/// A node made by hand, which can say anything after its handshake.
pub struct Rogue {
    stream: TcpStream,
    input: BytesMut,
    session: Session<&'static str>,
    tester: ActorKey,
}

const NOW: Duration = Duration::ZERO;
const ECHO: TypeInfo = TypeInfo { id: fnv1a64(b"Testing/echo"), schema: 0 };

impl Rogue {
    pub async fn enter(node: &Node) -> Self {
        Self::enter_as(node, "rogue", 1).await
    }

    pub async fn enter_as(node: &Node, name: &str, incarnation: u64) -> Self {
        let mut stream = stranger(node).await;
        let config = NodeConfig::default();
        let hello = Hello::new("default", name, incarnation, "", &config).unwrap();
        let (greeting, out) = AwaitHello::new(Role::Initiator, hello);
        stream.write_all(&out).await.unwrap();
        let mut input = BytesMut::new();
        let introduced = loop {
            stream.read_buf(&mut input).await.unwrap();
            if let Some(introduced) = greeting.read(&mut input).unwrap() {
                break introduced;
            }
        };
        let (mut agreeing, out) = introduced.accept(&[]);
        stream.write_all(&out).await.unwrap();
        let connected: Established = loop {
            if let Some(connected) = agreeing.read(&mut input).unwrap() {
                break connected;
            }
            stream.read_buf(&mut input).await.unwrap();
        };
        let mut session = Session::new(config, &[]);
        session.attach(connected, NOW);
        let mut rogue = Self { stream, input, session, tester: ActorKey::NODE };
        rogue.tester = rogue.find("tester").await;
        rogue
    }

    async fn find(&mut self, name: &str) -> ActorKey {
        self.session.resolve(fnv1a64(b"Testing"), name, "where").unwrap();
        let Event::Resolved("where", Resolution::Found(found)) = self.next().await else { panic!("not found") };
        found.key
    }

    async fn flush(&mut self) {
        while let Some(bytes) = self.session.poll_transmit(NOW) {
            self.stream.write_all(&bytes).await.unwrap();
        }
    }

    async fn next(&mut self) -> Event<&'static str> {
        self.flush().await;
        loop {
            match self.session.read_event(&mut self.input, NOW).unwrap() {
                Some(Event::Settled) => {}
                Some(event) => return event,
                None => assert_ne!(self.stream.read_buf(&mut self.input).await.unwrap(), 0, "closed"),
            }
        }
    }

    fn schema_of_echo() -> TypeInfo {
        let echo =
            <Testing as posse::protocol::Protocol>::MESSAGES.iter().find(|message| message.id == ECHO.id).unwrap();
        TypeInfo { id: echo.id, schema: echo.schema }
    }

    async fn says(mut self, bytes: &[u8]) -> Vec<u8> {
        self.flush().await;
        self.stream.write_all(bytes).await.unwrap();
        last_words(&mut self.stream).await
    }
}

#[posse::test]
async fn frames_that_break_the_rules_end_the_connection_with_a_word() {
    let node = server(NodeConfig::default()).await;
    let too_long = [0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let too_short = [3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let unknown_kind = [16, 0, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let unknown_flags = [16, 0, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let second_ready =
        [32, 0, 0, 0, 0x29, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let ack_of_nothing = [&[64, 0, 0, 0, 0x2e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9][..], &[0; 47]].concat();
    for (frame, words) in [
        (&too_long[..], "longer than agreed"),
        (&too_short, "cannot hold what it announces"),
        (&unknown_kind, "unknown kind of frame 0x77"),
        (&unknown_flags, "unknown flags 0x80"),
        (&second_ready, "comes too late"),
        (&ack_of_nothing, "acknowledgement of what was not sent"),
    ] {
        let said = Rogue::enter(&node).await.says(frame).await;
        assert!(String::from_utf8_lossy(&said).contains(words), "{words}: {}", String::from_utf8_lossy(&said));
        until(|| node.peers().iter().all(|peer| peer.state != PeerState::Connected)).await;
    }
    still_serves(&node).await;
}

#[posse::test]
async fn bodies_that_cannot_be_read_cost_that_message_alone() {
    let node = server(NodeConfig::default()).await;
    let mut rogue = Rogue::enter(&node).await;
    let (to, echo) = (rogue.tester, Rogue::schema_of_echo());
    let bomb = u64::MAX.to_le_bytes();
    for (whom, info, body, expected) in [
        (to, echo, &bomb[..], ReplyCode::Decode),
        (to, echo, &[], ReplyCode::Decode),
        (to, TypeInfo { id: 42, schema: 1 }, &[], ReplyCode::Incompatible),
        (ActorKey { slot: 99, generation: 7 }, echo, &[], ReplyCode::NoSuchActor),
    ] {
        rogue.session.ask(whom, info, body, Duration::from_secs(5), "ask").unwrap();
        let Event::ReplyErr("ask", code, _) = rogue.next().await else { panic!("expected an error") };
        assert_eq!(code, expected);
    }
    let hello = [&2_u64.to_le_bytes()[..], b"hi"].concat();
    rogue.session.ask(to, echo, &hello, Duration::from_secs(5), "ask").unwrap();
    assert_eq!(rogue.next().await, Event::Reply("ask", BytesMut::from(&hello[..])));
    still_serves(&node).await;
}

#[posse::test]
async fn answers_that_nobody_asked_for_are_dropped() {
    let node = server(NodeConfig::default()).await;
    let mut rogue = Rogue::enter(&node).await;
    let id = CorrelationId { slot: 7, generation: 7 };
    rogue.session.reply(id, b"unasked", None).unwrap();
    rogue.session.reply_err(id, ReplyCode::Crashed, "unasked");
    rogue.session.resolved(id, Resolution::NotFound);
    let (to, echo) = (rogue.tester, Rogue::schema_of_echo());
    rogue.session.ask(to, echo, &0_u64.to_le_bytes(), Duration::from_secs(5), "ask").unwrap();
    assert!(matches!(rogue.next().await, Event::Reply("ask", _)));
}

#[posse::test]
async fn what_waits_for_full_mailboxes_is_bounded_for_all_of_them_together() {
    const HELD: u64 = 10;
    let mut config = NodeConfig::default();
    config.unsettled_max = HELD as usize;
    let node = server(config).await;
    let mut rogue = Rogue::enter(&node).await;
    let (to_tester, echo, body) = (rogue.tester, Rogue::schema_of_echo(), 0_u64.to_le_bytes());
    let mut sent = 0;
    for name in ["one", "two", "three"] {
        let stuck = posse::spawn(Spec::new(Tester::default).capacity(1));
        node.register(name, stuck.share::<Testing>()).await.unwrap();
        stuck.tell(crate::real_cluster::Stuck {}).await.unwrap();
        until(|| stuck.queued() == 0).await;
        let to = rogue.find(name).await;
        for _ in 0..20 {
            rogue.session.tell(to, echo, &body).unwrap();
            sent += 1;
        }
    }
    // Each mailbox has room for one. What has neither room nor a place to wait is refused at once.
    let refused = sent - 3 - HELD;
    let seen = |rogue: &Rogue| rogue.session.counters().rejected[posse_wire::RejectReason::Full as usize];
    while seen(&rogue) < refused {
        rogue.session.ask(to_tester, echo, &body, Duration::from_secs(5), "ask").unwrap();
        assert!(matches!(rogue.next().await, Event::Reply("ask", _)));
    }
    assert_eq!(seen(&rogue), refused);
    still_serves(&node).await;
}

#[posse::test]
async fn nodes_beyond_the_bound_are_refused_until_another_is_down() {
    let mut config = NodeConfig::default();
    config.peers_max = 3;
    let node = server(config).await;
    let mut names = Vec::new();
    for name in ["one", "two", "three"] {
        names.push(Node::builder().name(name).connect(node.local_addr().unwrap()).await.unwrap());
    }
    let fourth = Node::builder().name("four");
    let error = fourth.clone().connect(node.local_addr().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("too many"), "{error}");

    let gone = names.remove(1);
    gone.shutdown().await;
    node.node_down(gone.id()).await;
    let fourth = fourth.connect(node.local_addr().unwrap()).await.unwrap();
    assert_eq!(fourth.whereis::<Testing>("tester").await.unwrap().echo("in".to_owned()).await.unwrap(), "in");
    assert_eq!(node.peers().len(), 3);
}

/// Tells the program that it is the server of the test, with few descriptors.
#[cfg(unix)]
const SERVER: &str = "POSSE_TEST_FEW_DESCRIPTORS";

/// Silent strangers take all descriptors of a node, which would give each of them an hour: an honest one gets in all the same.
#[test]
#[cfg(unix)]
fn silent_strangers_that_take_all_descriptors_keep_no_honest_node_out() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};
    if std::env::var_os(SERVER).is_some() {
        return few_descriptors();
    }
    let test = "real_hostile::silent_strangers_that_take_all_descriptors_keep_no_honest_node_out";
    let mut server = Command::new("sh");
    server.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    server.args(["--exact", test, "--test-threads=1", "--nocapture"]).env(SERVER, "1");
    let mut server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address: std::net::SocketAddr =
        lines.find_map(|line| line.strip_prefix("it listens on ").map(|at| at.parse().unwrap())).unwrap();

    posse::runtime::Runtime::new().unwrap().block_on(async {
        let mut strangers = Vec::new();
        for _ in 0..200 {
            strangers.push(TcpStream::connect(address).await.unwrap());
        }
        let client = loop {
            // It may be shown the door with them.
            if let Ok(client) = Node::connect(address).await {
                break client;
            }
        };
        let tester: ActorRef<Testing> = client.whereis("tester").await.unwrap();
        assert_eq!(tester.echo("fine".to_owned()).await.unwrap(), "fine");
        client.shutdown().await;
    });

    // What it said, as no subscriber was set.
    drop(server.stdin.take());
    let mut said = String::new();
    server.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(server.wait().unwrap().success(), "{said}");
    let line = said.lines().find(|line| line.contains("connections cannot be accepted for now")).expect("it says so");
    assert!(line.starts_with("WARN posse::net: connections cannot be accepted for now reason="), "{line}");
    assert!(line.contains(" pause=0.0"), "{line}");
}

/// The server, until nobody reads any more what it would say.
#[cfg(unix)]
fn few_descriptors() {
    let mut config = NodeConfig::default();
    config.handshake_timeout = Duration::from_secs(3600);
    posse::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        let node = server(config).await;
        println!("\nit listens on {}", node.local_addr().unwrap());
        let ended = posse::task::spawn_blocking(|| std::io::stdin().lines().count());
        ended.await.unwrap();
    });
}
