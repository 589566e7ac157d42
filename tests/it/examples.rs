//! The example servers, run as a user runs them: their binaries, real sockets, real signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running example; killed if a test fails half-way.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(example: &str) -> Self {
        // Cargo builds the examples before the tests, beside the folder that this test's binary is in.
        let tests: PathBuf = std::env::current_exe().unwrap().parent().unwrap().into();
        let binary = tests.parent().unwrap().join("examples").join(example);
        let mut child = Command::new(binary).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("listening on ").expect("the first line says where it listens").to_owned();
        Self { child, address }
    }

    fn connect(&self) -> std::net::TcpStream {
        #[expect(clippy::disallowed_methods, reason = "a client that is not ours")]
        let stream = std::net::TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn terminate(mut self) {
        let status = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
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
