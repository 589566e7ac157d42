//! The HTTP server: both versions, its limits, what a handler may do to it, and its end.

use crate::common::{manual, settle};
use crate::events::heard;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Path};
use axum::routing::{get, post};
use hyper::client::conn::http2;
use posse::http::{self, Config, Incoming, PeerAddr, Request, Response, StatusCode};
use posse::hyper::{Executor, Io};
use posse::prelude::*;
use posse::runtime::Handle;
use posse::sync::{Notify, oneshot};
use posse::task::{self, JoinHandle};
use std::net::SocketAddr;
use std::sync::Arc;
use tracing::Level;

/// Bytes that no buffer of the system takes.
pub const LARGE: usize = 32 << 20;

/// A server with a few ways to behave, and what opens the gate that `/wait` waits at.
pub struct Server {
    pub address: SocketAddr,
    pub gate: Arc<Notify>,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn panics() -> &'static str {
    panic!("broken on purpose")
}

fn router(gate: &Arc<Notify>) -> Router {
    let gate = gate.clone();
    let wait = move || async move {
        gate.notified().await;
        "waited"
    };
    Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route("/panic", get(panics))
        .route("/number/{n}", get(|Path(n): Path<usize>| async move { format!("number {n}") }))
        .route("/echo", post(|body: Bytes| async { body }))
        .route("/large", get(|| async { vec![0; LARGE] }))
        .route("/peer", get(|Extension(PeerAddr(peer)): Extension<PeerAddr>| async move { peer.to_string() }))
        .route("/wait", get(wait))
}

impl Server {
    pub async fn start(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, gate) = (listener.local_addr().unwrap(), Arc::new(Notify::new()));
        let (end, ended) = oneshot::channel();
        let signal = async move { ended.await.unwrap_or(()) };
        let server = http::serve(listener, router(&gate)).config(config).with_graceful_shutdown(signal);
        Self { address, gate, end: Some(end), task: task::spawn(server.into_future()) }
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Begins the graceful end, and waits until the server has seen it.
    async fn end(&mut self) {
        self.end.take().unwrap().send(()).unwrap();
        settle().await;
    }
}

/// A client that writes its requests by hand.
pub struct Client(pub TcpStream);

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub async fn send(&mut self, path: &str) {
        let head = format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n");
        self.0.write_all(head.as_bytes()).await.unwrap();
    }

    /// The body of the next answer; `None` if the connection ends instead.
    pub async fn answer(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(self.0.read_u8().await.ok()?));
        }
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        Some(String::from_utf8(body).unwrap())
    }

    pub async fn get(&mut self, path: &str) -> Option<String> {
        self.send(path).await;
        self.answer().await
    }

    async fn is_closed(&mut self) -> bool {
        self.0.read(&mut [0]).await.is_ok_and(|read| read == 0)
    }
}

pub async fn client_of_version_2(address: SocketAddr) -> http2::SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = http2::handshake(Executor::new(), stream).await.unwrap();
    task::spawn(connection);
    client
}

pub async fn get_by_version_2(client: &mut http2::SendRequest<Body>, path: &str) -> hyper::Result<String> {
    let request = Request::get(format!("http://here{path}")).body(Body::empty()).unwrap();
    let response = client.send_request(request).await?;
    assert_eq!(response.status(), StatusCode::OK);
    let body = to_bytes(Body::new(response.into_body()), 1 << 20).await.unwrap();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[posse::test]
async fn requests_of_both_versions_are_answered_on_one_port() {
    let server = Server::start(Config::new()).await;
    let (mut one, mut two) = (server.client().await, client_of_version_2(server.address).await);
    for _ in 0..3 {
        assert_eq!(one.get("/hello").await.unwrap(), "hello");
        assert_eq!(get_by_version_2(&mut two, "/hello").await.unwrap(), "hello");
    }
    // A head that comes byte by byte, and begins as the preface of the other version does.
    let mut slow = server.client().await;
    for byte in b"PRI /hello HTTP/1.1\r\nhost: here\r\n\r\n" {
        slow.0.write_u8(*byte).await.unwrap();
        task::yield_now().await;
    }
    let mut status = [0; 12];
    slow.0.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 405");
}

#[test]
fn a_handler_that_panics_answers_500_and_is_said() {
    let said = heard(Level::ERROR, "posse::http", async {
        let server = Server::start(Config::new()).await;
        let (mut broken, mut whole) = (server.client().await, server.client().await);
        assert_eq!(whole.get("/hello").await.unwrap(), "hello");
        broken.send("/panic").await;
        let mut status = [0; 12];
        broken.0.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 500");
        assert_eq!(whole.get("/hello").await.unwrap(), "hello");
        assert_eq!(server.client().await.get("/hello").await.unwrap(), "hello");
    });
    let [line] = &said[..] else { panic!("{said:?}") };
    assert!(line.starts_with("ERROR posse::http: a handler panicked net.peer=127.0.0.1:"), "{line}");
    assert!(line.ends_with("reason=broken on purpose"), "{line}");
}

#[posse::test]
async fn a_handshake_that_panics_at_its_begin_ends_no_other_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let begun = std::sync::atomic::AtomicUsize::new(0);
    let handshake = move |stream: TcpStream| {
        assert!(begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0, "broken on purpose");
        std::future::ready(std::io::Result::Ok(stream))
    };
    let server = http::serve(listener, router(&Arc::default())).handshake(handshake).into_future();
    let server = task::spawn(server);
    assert!(Client::connect(address).await.is_closed().await);
    assert!(Client::connect(address).await.get("/hello").await.unwrap().ends_with("hello"));
    assert!(!server.is_finished());
}

#[test]
fn a_panic_in_version_2_ends_its_request_alone() {
    let said = heard(Level::ERROR, "posse::", async {
        let server = Server::start(Config::new()).await;
        let mut client = client_of_version_2(server.address).await;
        let request = Request::get("http://here/panic").body(Body::empty()).unwrap();
        assert_eq!(client.send_request(request).await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(get_by_version_2(&mut client, "/hello").await.unwrap(), "hello");
    });
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn a_client_that_sends_no_head_in_time_is_disconnected() {
    manual().block_on(async {
        let server = Server::start(Config::new().header_timeout(secs(10))).await;
        let (mut silent, mut halting, mut idle) = (server.client().await, server.client().await, server.client().await);
        halting.0.write_all(b"GET /hello HTTP/1.1\r\nhost:").await.unwrap();
        assert_eq!(idle.get("/hello").await.unwrap(), "hello");
        // All connections are in their tasks by now: the last of them has been answered.
        settle().await;
        Handle::current().advance(secs(9));
        assert_eq!(idle.get("/hello").await.unwrap(), "hello");

        Handle::current().advance(secs(1));
        assert!(silent.is_closed().await);
        assert!(halting.is_closed().await);
        assert_eq!(idle.get("/hello").await.unwrap(), "hello");
        settle().await;
        Handle::current().advance(secs(10));
        assert!(idle.is_closed().await);
    });
}

#[posse::test]
async fn no_more_connections_are_served_at_once_than_may_be() {
    let server = Server::start(Config::new().max_connections(1)).await;
    let (mut first, mut second) = (server.client().await, server.client().await);
    assert_eq!(first.get("/hello").await.unwrap(), "hello");
    second.send("/hello").await;
    assert_eq!(first.get("/hello").await.unwrap(), "hello");
    assert_eq!(second.0.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    assert_eq!(second.answer().await.unwrap(), "hello");
}

#[test]
fn a_graceful_end_answers_what_was_begun_and_closes_what_is_idle() {
    let said = heard(Level::WARN, "posse::http", async {
        let mut server = Server::start(Config::new()).await;
        let (mut busy, mut idle, mut fresh) = (server.client().await, server.client().await, server.client().await);
        let mut two = client_of_version_2(server.address).await;
        assert_eq!(get_by_version_2(&mut two, "/hello").await.unwrap(), "hello");
        assert_eq!(idle.get("/hello").await.unwrap(), "hello");
        busy.send("/wait").await;
        assert_eq!(server.client().await.get("/hello").await.unwrap(), "hello");

        server.end().await;
        assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
        assert!(idle.is_closed().await && fresh.is_closed().await);
        assert!(!server.task.is_finished());
        server.gate.notify_one();
        assert_eq!(busy.answer().await.unwrap(), "waited");
        assert!(busy.is_closed().await);
        server.task.await.unwrap().unwrap();
    });
    assert_eq!(said, [""; 0]);
}

#[test]
fn what_is_not_answered_in_the_time_of_grace_is_cut_off_and_said() {
    let said = heard(Level::WARN, "posse::http", async {
        let mut server = Server::start(Config::new().grace(secs(10))).await;
        let mut busy = server.client().await;
        busy.send("/wait").await;
        assert_eq!(server.client().await.get("/hello").await.unwrap(), "hello");
        server.end().await;
        Handle::current().advance(secs(9));
        settle().await;
        assert!(!server.task.is_finished());
        Handle::current().advance(secs(1));
        assert!(busy.is_closed().await);
        server.task.await.unwrap().unwrap();
    });
    assert_eq!(said, ["WARN posse::http: connections were cut off at the end count=1"]);
}

#[posse::test]
async fn a_server_that_is_dropped_ends_its_connections_at_once() {
    let server = Server::start(Config::new()).await;
    let (mut busy, mut idle) = (server.client().await, server.client().await);
    busy.send("/wait").await;
    assert_eq!(idle.get("/hello").await.unwrap(), "hello");
    server.task.abort();
    assert!(busy.is_closed().await && idle.is_closed().await);
}

#[posse::test]
async fn requests_tell_where_they_come_from_if_asked_to() {
    let server = Server::start(Config::new().peer_addr(true)).await;
    let mut client = server.client().await;
    let own = client.0.local_addr().unwrap().to_string();
    assert_eq!(client.get("/peer").await, Some(own));
}

#[posse::test]
async fn a_connection_that_a_handler_takes_over_counts_until_it_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = http::service_fn(|mut request: Request<Incoming>| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        task::spawn(async move {
            let mut stream = Io::new(upgrade.await.unwrap());
            let mut text = [0; 4];
            stream.read_exact(&mut text).await.unwrap();
            stream.write_all(&text).await.unwrap();
            stream.flush().await.unwrap();
            // Until the client ends it.
            assert_eq!(stream.read(&mut text).await.unwrap(), 0);
        });
        let switch = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS).header("upgrade", "echo");
        std::io::Result::Ok(switch.header("connection", "upgrade").body(String::new()).unwrap())
    });
    let server = http::serve(listener, service).config(Config::new().max_connections(1));
    task::spawn(server.into_future());

    let mut first = Client::connect(address).await;
    let head = b"GET / HTTP/1.1\r\nhost: here\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\necho";
    first.0.write_all(head).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\necho") {
        answer.push(first.0.read_u8().await.unwrap());
    }
    let mut second = Client::connect(address).await;
    second.0.write_all(head).await.unwrap();
    settle().await;
    assert_eq!(second.0.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    assert_eq!(second.0.read_u8().await.unwrap(), b'H');
}

#[posse::test]
async fn a_supervised_server_answers_what_it_has_begun_before_it_stops() {
    let gate = Arc::new(Notify::new());
    let (bound, mut addresses) = posse::sync::mpsc::unbounded_channel();
    let listener = Listener::tcp("127.0.0.1:0").on_bound(move |address| assert!(bound.send(address).is_ok()));
    let supervisor = Supervisor::one_for_one().child(listener.http(router(&gate)).name("http")).spawn();
    let address = addresses.recv().await.unwrap();
    let (mut busy, mut idle) = (Client::connect(address).await, Client::connect(address).await);
    busy.send("/wait").await;
    assert_eq!(idle.get("/hello").await.unwrap(), "hello");

    let stopping = task::spawn(async move { supervisor.shutdown().await });
    assert!(idle.is_closed().await);
    gate.notify_one();
    assert_eq!(busy.answer().await.unwrap(), "waited");
    stopping.await.unwrap();
    assert_eq!(posse::System::current().alive(), 0);
}

#[posse::test]
async fn no_time_that_a_server_is_given_is_too_long() {
    let most = std::time::Duration::MAX;
    let times: [fn(Config, std::time::Duration) -> Config; 5] =
        [Config::header_timeout, Config::body_timeout, Config::write_timeout, Config::idle_timeout, Config::grace];
    let all = times.iter().fold(Config::new(), |config, set| set(config, most));
    for config in times.iter().map(|set| set(Config::new(), most)).chain([all]) {
        let mut server = Server::start(config).await;
        let mut client = server.client().await;
        assert_eq!(client.get("/hello").await.as_deref(), Some("hello"));
        let mut newer = client_of_version_2(server.address).await;
        assert_eq!(get_by_version_2(&mut newer, "/number/2").await.unwrap(), "number 2");
        drop((client, newer));
        server.end().await;
        server.task.await.unwrap().unwrap();
    }
}
