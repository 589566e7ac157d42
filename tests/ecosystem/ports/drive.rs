//! The client of the programs, whichever runtime they run on: plain sockets, and signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

/// An example of a package, which is built beside the folder that this test's program is in.
pub fn program(package: &str, example: &str) -> Command {
    static BUILT: Once = Once::new();
    let tests: PathBuf = std::env::current_exe().unwrap().parent().unwrap().into();
    let profile = tests.parent().unwrap();
    // As `cargo test` does before the tests, and `cargo test --test native` does not.
    BUILT.call_once(|| {
        let release = profile.ends_with("release").then_some("--release");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--examples", "--package", package]).args(release);
        cargo.env("CARGO_TARGET_DIR", profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(cargo.status().unwrap().success());
    });
    Command::new(profile.join("examples").join(example))
}

/// A running program; killed if a test fails half-way.
struct Server {
    child: Child,
    address: SocketAddr,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("it says where it listens").parse().unwrap();
        Self { child, address, stdout }
    }

    fn connect(&self) -> Client {
        #[expect(clippy::disallowed_methods, reason = "a client of no runtime")]
        let stream = std::net::TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client(BufReader::new(stream))
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// Waits for its end, and returns what it has said since it began to listen.
    fn ends(mut self) -> String {
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "it did not end with 0");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client(BufReader<std::net::TcpStream>);

impl Client {
    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn hears(&mut self, expected: &str) {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert_eq!(line.strip_suffix('\n'), Some(expected));
    }

    /// The other side has closed.
    fn hears_the_end(&mut self) {
        assert_eq!(self.0.read(&mut [0]).unwrap(), 0);
    }
}

pub fn echo(program: &mut Command) {
    let server = Server::start(program.arg("127.0.0.1:0"));
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.say(&n.to_string());
    }
    for (n, client) in clients.iter_mut().enumerate() {
        client.hears(&n.to_string());
        client.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
        client.hears_the_end();
    }
}

pub fn chat(program: &mut Command) {
    let server = Server::start(program.arg("127.0.0.1:0"));
    let enter = |name: &str| {
        let mut client = server.connect();
        client.hears("your name?");
        client.say(name);
        client.hears(&format!("welcome, {name}"));
        client
    };
    let mut ann = enter("Ann");
    let mut bob = enter("Bob");
    ann.hears("Bob comes");
    let mut eve = enter("Eve");
    ann.hears("Eve comes");
    bob.hears("Eve comes");

    bob.say("hello");
    ann.hears("Bob: hello");
    eve.hears("Bob: hello");
    // More than a line may have.
    eve.say(&"x".repeat(10_000));
    for client in [&mut ann, &mut bob] {
        client.hears("Eve goes");
    }
    drop(bob);
    ann.hears("Bob goes");

    server.signal("-INT");
    ann.hears("the room closes");
    ann.hears_the_end();
    assert_eq!(server.ends(), "");
}

/// A request on a connection of its own; the status and the body of its answer.
fn ask(server: &Server, head: &str, body: &str) -> (u16, String) {
    let mut client = server.connect();
    let request =
        format!("{head} HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    client.0.get_mut().write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.0.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// With the database at an address, until a signal.
pub fn service(program: &mut Command, database: SocketAddr, signal: &str) {
    let connect = format!("host={} port={} user=posse dbname=postgres", database.ip(), database.port());
    let server = Server::start(program.args(["127.0.0.1:0", &connect]));
    let before: u64 = ask(&server, "GET /notes", "").1.parse().unwrap();
    let (status, id) = ask(&server, "POST /notes", "buy milk");
    assert_eq!(status, 201);
    assert_eq!(ask(&server, &format!("GET /notes/{id}"), ""), (200, "buy milk".to_owned()));
    assert_eq!(ask(&server, "GET /notes/0", "").0, 404);
    assert_eq!(ask(&server, "GET /notes", ""), (200, (before + 1).to_string()));
    server.signal(signal);
    assert_eq!(server.ends(), "ended\n");
}
