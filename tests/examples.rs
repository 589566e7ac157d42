//! The example servers, run as a user runs them: their binaries, real sockets, real signals.
//!
//! A binary of its own: a process that is being started holds copies of all descriptors of its parent for a moment, and a
//! test beside it that closes a listener and binds to the same address again would find it taken.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

/// A running example; killed if a test fails half-way.
struct Server {
    child: Child,
    address: String,
    /// Stays open, so that it can go on talking.
    stdout: BufReader<ChildStdout>,
}

/// The examples are built beside the folder that this test's binary is in: by `cargo test` before the tests, by
/// `cargo test --test examples` not at all, so that it is done here.
fn binary(example: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    let tests: PathBuf = std::env::current_exe().unwrap().parent().unwrap().into();
    let profile = tests.parent().unwrap();
    BUILT.call_once(|| {
        let release = profile.ends_with("release").then_some("--release");
        let target = profile.parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--examples"]).args(release).env("CARGO_TARGET_DIR", target);
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    });
    profile.join("examples").join(example)
}

impl Server {
    fn start(example: &str) -> Self {
        Self::start_with(example, &["127.0.0.1:0"])
    }

    fn start_with(example: &str, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(binary(example)).args(arguments))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("listening on ").expect("the first line says where it listens").to_owned();
        Self { child, address, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn connect(&self) -> std::net::TcpStream {
        #[expect(clippy::disallowed_methods, reason = "a client that is not ours")]
        let stream = std::net::TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Processor time used so far, in ticks of 10 ms.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    fn terminate(self) {
        self.end("-TERM");
    }

    /// As ctrl-c does.
    fn interrupt(self) {
        self.end("-INT");
    }

    fn end(mut self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
        assert!(self.child.wait().unwrap().success(), "it did not end with 0");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tcp_servers_echo_a_thousand_connections_at_once_and_end_with_zero() {
    for example in ["tcp_echo", "echo_service"] {
        let server = Server::start(example);
        let mut clients: Vec<_> = (0..1000).map(|_| server.connect()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            client.write_all(&n.to_be_bytes()).unwrap();
        }
        for (n, client) in clients.iter_mut().enumerate() {
            let mut back = [0; 8];
            client.read_exact(&mut back).unwrap();
            assert_eq!(back, n.to_be_bytes());
        }
        server.terminate();
    }
}

#[test]
fn servers_that_run_out_of_descriptors_recover_without_spinning() {
    for (example, request) in
        [("tcp_echo", &b"x"[..]), ("echo_service", b"x"), ("http_service", b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")]
    {
        let limited = format!("ulimit -n 40; exec {} 127.0.0.1:0", binary(example).display());
        let server = Server::spawn(Command::new("sh").args(["-c", &limited]));
        // More than it can take: the rest waits in the backlog.
        let mut clients: Vec<_> = (0..80).map(|_| server.connect()).collect();
        clients.iter_mut().for_each(|client| client.write_all(request).unwrap());
        let mut back = [0; 1];
        for client in &mut clients[..20] {
            client.read_exact(&mut back).unwrap();
        }

        // Those in front leave, so the others are served.
        let before = server.cpu_ticks();
        clients.drain(..60);
        for client in &mut clients {
            client.read_exact(&mut back).unwrap();
        }
        assert!(server.cpu_ticks() - before < 50, "it spins while it has no descriptors");
        server.terminate();
    }
}

#[test]
fn the_udp_server_echoes_and_ends_with_zero() {
    let server = Server::start("udp_echo");
    #[expect(clippy::disallowed_methods, reason = "a client that is not ours")]
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.send_to(b"hello", &server.address).unwrap();
    let mut back = [0; 16];
    let len = client.recv(&mut back).unwrap();
    assert_eq!(&back[..len], b"hello");
    server.terminate();
}

#[test]
fn the_web_service_asks_its_actor_and_ends_with_zero() {
    let server = Server::start("http_service");
    let mut client = server.connect();
    let mut answer = |path: &str| {
        client.write_all(format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        // The body is one line, which unlike those of the head ends without a carriage return.
        while !text.ends_with('\n') || text.ends_with("\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            text.push(char::from(byte[0]));
        }
        text
    };
    assert!(answer("/add/5").ends_with("\r\n\r\n5\n"));
    assert!(answer("/add/37").ends_with("\r\n\r\n42\n"));
    // Connections that are idle do not hold up the end.
    let fresh = server.connect();
    server.terminate();
    for mut client in [client, fresh] {
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn the_remote_example_talks_between_processes() {
    let server = Server::start("remote");
    let output = Command::new(binary("remote")).args(["--connect", &server.address]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for line in ["5 added: 5", "7 added: 12", "the total is 12 now"] {
        assert!(said.lines().any(|said| said == line), "no {line:?} in {said}");
    }
    server.terminate();
}

#[test]
fn the_cluster_example_runs_by_hand() {
    let a = Server::start_with("echo_cluster", &["--node", "a", "--listen", "127.0.0.1:0"]);
    let mut b = Server::start_with("echo_cluster", &["--node", "b", "--join", &a.address]);
    assert_eq!(b.line(), format!("joined {}", a.address));
    b.terminate();
    a.interrupt();
    let help = Command::new(binary("echo_cluster")).arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--listen ADDR"));
    let wrong = Command::new(binary("echo_cluster")).arg("--nodes").output().unwrap();
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("--help"));
}

#[test]
fn a_node_of_the_cluster_example_leaves_while_it_joins() {
    #[expect(clippy::disallowed_methods, reason = "a node that never answers")]
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let joining = Server::start_with("echo_cluster", &["--node", "a", "--join", &address]);
    let (_stream, _) = mute.accept().unwrap();
    joining.terminate();
}

#[test]
fn servers_end_with_zero_at_ctrl_c_and_echo_first_what_has_arrived() {
    for example in ["tcp_echo", "echo_service", "udp_echo", "remote"] {
        Server::start(example).interrupt();
    }
    let server = Server::start("tcp_echo");
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    let sent = vec![7; 100_000];
    for client in &mut clients {
        // The first byte comes back, so the connection is served; the rest arrives before the signal.
        client.write_all(&sent).unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
    server.interrupt();
    for mut client in clients {
        let mut back = Vec::new();
        client.read_to_end(&mut back).unwrap();
        assert_eq!(back.len(), sent.len() - 1);
    }
}

/// A program that sets no subscriber is told all the same.
#[test]
fn the_metrics_example_finds_the_task_that_is_stuck() {
    let output = Command::new(binary("metrics")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.lines().any(|line| line.starts_with("stuck: task") && line.contains("\"import\": running")), "{text}");
    assert!(text.contains("spawned at examples/metrics.rs:") && text.contains("\"client 2\": waiting"), "{text}");
}

#[test]
fn warnings_go_to_standard_error_while_nobody_listens() {
    let output = Command::new(binary("supervision")).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    let warning =
        errors.lines().find(|line| line.starts_with("WARN posse::supervisor: restarting a child supervisor.id="));
    assert!(warning.is_some_and(|line| line.contains(" reason=")), "{errors}");
    assert!(!errors.contains("posse::deadletter"), "an orderly end loses nothing: {errors}");
}

/// What `redis-cli` does, by hand.
struct RedisClient(std::net::TcpStream);

impl RedisClient {
    /// Sends requests in one go and returns as many bytes of replies as `expected` has.
    fn expect(&mut self, requests: &[&[&str]], expected: &str) {
        let mut bytes = Vec::new();
        for words in requests {
            write!(bytes, "*{}\r\n", words.len()).unwrap();
            words.iter().for_each(|word| write!(bytes, "${}\r\n{word}\r\n", word.len()).unwrap());
        }
        self.0.write_all(&bytes).unwrap();
        self.read(expected);
    }

    fn read(&mut self, expected: &str) {
        let mut replies = vec![0; expected.len()];
        self.0.read_exact(&mut replies).unwrap();
        assert_eq!(String::from_utf8_lossy(&replies), expected);
    }
}

#[test]
fn mini_redis_answers_in_order_publishes_and_remembers() {
    let folder = std::env::temp_dir().join(format!("posse-mini-redis-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let start = || Server::start_with("mini_redis", &["127.0.0.1:0", folder.to_str().unwrap()]);

    let server = start();
    let mut client = RedisClient(server.connect());
    client.0.write_all(b"PING\r\n").unwrap();
    client.read("+PONG\r\n");
    // One batch, with all shards in it.
    let requests: &[&[&str]] = &[
        &["SET", "a", "1"],
        &["INCR", "a"],
        &["MSET", "b", "two", "c", "3"],
        &["MGET", "a", "b", "c", "d"],
        &["DEL", "b", "c", "d"],
        &["INCR", "word"],
        &["SET", "word", "x", "NX"],
        &["GET", "nothing"],
        &["nonsense"],
        &["GET"],
        &["DBSIZE"],
    ];
    let replies = "+OK\r\n:2\r\n+OK\r\n*4\r\n$1\r\n2\r\n$3\r\ntwo\r\n$1\r\n3\r\n$-1\r\n:2\r\n:1\r\n$-1\r\n$-1\r\n\
                   -ERR unknown command 'NONSENSE'\r\n-ERR wrong number of arguments\r\n:2\r\n";
    client.expect(requests, replies);
    client.expect(&[&["EXPIRE", "word", "0"], &["GET", "word"], &["TTL", "a"]], ":1\r\n$-1\r\n:-1\r\n");
    client.expect(&[&["SET", "later", "x", "EX", "1000"], &["TTL", "later"]], "+OK\r\n:1000\r\n");

    let mut subscriber = RedisClient(server.connect());
    subscriber.expect(&[&["SUBSCRIBE", "news"]], "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    client.expect(&[&["PUBLISH", "news", "hello"], &["PUBLISH", "old", "hello"]], ":1\r\n:0\r\n");
    subscriber.read("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    subscriber.expect(&[&["UNSUBSCRIBE"]], "*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:0\r\n");
    client.expect(&[&["PUBLISH", "news", "again"], &["SAVE"]], ":0\r\n+OK\r\n");
    client.0.write_all(b"*1\r\n$x\r\n").unwrap();
    client.read("-ERR Protocol error: invalid bulk length\r\n");
    server.terminate();

    // What was written at the end is there again.
    let server = start();
    RedisClient(server.connect()).expect(&[&["MGET", "a", "word"]], "*2\r\n$1\r\n2\r\n$-1\r\n");
    server.terminate();
    std::fs::remove_dir_all(folder).unwrap();
}
