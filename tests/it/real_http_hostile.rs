//! An HTTP server on an open network: clients that say too little, too much or nonsense, and programs that panic.

use crate::common::settle;
use crate::events::heard;
use crate::real_http::{Client, Server, client_of_version_2, get_by_version_2};
use axum::body::{Body, Bytes};
use hyper::body::{Body as _, Frame, SizeHint};
use posse::http::{self, Config, Incoming, Request, Response, StatusCode};
use posse::prelude::*;
use posse::runtime::Handle;
use posse::task;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as Cx, Poll};
use tower_service::Service;
use tracing::Level;

/// Turns the clock second by second until `is_done`, and says how many it took.
async fn seconds_until(mut is_done: impl FnMut() -> bool) -> u64 {
    for seconds in 0..200 {
        settle().await;
        if is_done() {
            return seconds;
        }
        Handle::current().advance(secs(1));
    }
    panic!("not in 200 s");
}

/// Runs a test on a clock that is turned by hand; what the server says is of no interest.
fn by_hand(test: impl Future<Output = ()>) {
    drop(heard(Level::ERROR, "posse::http", test));
}

/// Waits until the only place of a server is free, which a second client shows.
async fn seconds_until_freed(server: &Server) -> u64 {
    let mut second = server.client().await;
    second.send("/hello").await;
    let mut first_byte = [0];
    let seconds = seconds_until(|| second.0.try_read(&mut first_byte).is_ok()).await;
    assert_eq!(&first_byte, b"H");
    seconds
}

fn one_place() -> Config {
    Config::new().max_connections(1).header_timeout(secs(100)).write_timeout(secs(10)).idle_timeout(secs(20))
}

#[test]
fn a_client_that_reads_nothing_is_cut_off_in_version_1() {
    by_hand(async {
        let server = Server::start(one_place()).await;
        let mut greedy = server.client().await;
        greedy.send("/large").await;
        assert!((10..=12).contains(&seconds_until_freed(&server).await));
    });
}

#[test]
fn a_client_that_reads_nothing_is_cut_off_in_version_2_though_its_connection_lives() {
    by_hand(async {
        let server = Server::start(one_place()).await;
        let mut greedy = client_of_version_2(server.address).await;
        let request = Request::get("http://here/large").body(Body::empty()).unwrap();
        let unread = greedy.send_request(request).await.unwrap();
        // Looked at as often as the time is long.
        assert!((10..=20).contains(&seconds_until_freed(&server).await));
        assert!(axum::body::to_bytes(Body::new(unread.into_body()), usize::MAX).await.is_err());
    });
}

#[test]
fn a_client_of_version_2_that_reads_slowly_is_served_to_the_end() {
    by_hand(async {
        let server = Server::start(one_place()).await;
        let mut client = client_of_version_2(server.address).await;
        let request = Request::get("http://here/large").body(Body::empty()).unwrap();
        let mut body = client.send_request(request).await.unwrap().into_body();
        let mut received = 0;
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            received += frame.unwrap().into_data().unwrap().len();
            Handle::current().advance(ms(50));
        }
        assert_eq!(received, crate::real_http::LARGE);
    });
}

#[test]
fn a_connection_of_version_2_ends_when_it_is_idle_and_not_while_a_request_runs() {
    by_hand(async {
        let server = Server::start(one_place()).await;
        let mut client = client_of_version_2(server.address).await;
        let mut waiting = client.clone();
        let waiting = task::spawn(async move { get_by_version_2(&mut waiting, "/wait").await });
        for _ in 0..50 {
            settle().await;
            Handle::current().advance(secs(1));
        }
        assert_eq!(get_by_version_2(&mut client, "/hello").await.unwrap(), "hello");
        server.gate.notify_one();
        assert_eq!(waiting.await.unwrap().unwrap(), "waited");
        assert!((20..=30).contains(&seconds_until_freed(&server).await));
        assert!(client.is_closed());
    });
}

#[test]
fn a_client_that_sends_nothing_of_a_body_is_given_up() {
    by_hand(async {
        let server = Server::start(Config::new().body_timeout(secs(10))).await;
        let mut silent = server.client().await;
        silent.0.write_all(b"POST /echo HTTP/1.1\r\nhost: here\r\ncontent-length: 9\r\n\r\n").await.unwrap();
        for byte in b"slow" {
            for _ in 0..9 {
                settle().await;
                Handle::current().advance(secs(1));
            }
            silent.0.write_u8(*byte).await.unwrap();
        }
        let mut status = [0; 12];
        assert!(matches!(silent.0.try_read(&mut status), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock));
        let seconds = seconds_until(|| silent.0.try_read(&mut status).is_ok()).await;
        assert!((9..=11).contains(&seconds), "{seconds}");
        assert_eq!(&status, b"HTTP/1.1 400");
        silent.0.read_to_end(&mut Vec::new()).await.unwrap();
    });
}

#[posse::test]
async fn ten_thousand_requests_at_once_are_answered_in_their_order() {
    const REQUESTS: usize = 10_000;
    let server = Server::start(Config::new()).await;
    let (mut r, mut w) = server.client().await.0.into_split();
    let writing = task::spawn(async move {
        for n in 0..REQUESTS {
            let end = if n + 1 == REQUESTS { "connection: close\r\n" } else { "" };
            let head = format!("GET /number/{n} HTTP/1.1\r\nhost: here\r\n{end}\r\n");
            w.write_all(head.as_bytes()).await.unwrap();
        }
        w
    });
    let mut answers = Vec::new();
    r.read_to_end(&mut answers).await.unwrap();
    drop(writing.await.unwrap());
    let text = String::from_utf8(answers).unwrap();
    let numbers: Vec<usize> = text
        .lines()
        .filter_map(|line| line.split("HTTP/1.1").next()?.strip_prefix("number "))
        .map(|number| number.parse().unwrap())
        .collect();
    assert_eq!(numbers.len(), REQUESTS);
    assert!(numbers.into_iter().eq(0..REQUESTS));
}

/// Sends what is no request that can be served; what is answered, if anything.
async fn answer_to(server: &Server, bytes: &[u8]) -> String {
    let (mut r, mut w) = server.client().await.0.into_split();
    let bytes = bytes.to_vec();
    let writing = task::spawn(async move {
        // The server may close before it has read everything.
        drop(w.write_all(&bytes).await);
        w
    });
    let mut answer = Vec::new();
    drop(r.read_to_end(&mut answer).await);
    drop(writing.await.unwrap());
    String::from_utf8_lossy(&answer).into_owned()
}

#[posse::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = Server::start(Config::new().max_header_size(10_000)).await;
    let fields = |count: usize| (0..count).map(|n| format!("x-{n}: a\r\n")).collect::<String>();
    let long = |len: usize| format!("x: {}\r\n", "a".repeat(len));
    for (fields, status) in [
        (fields(99), "200"),
        (fields(100), "431"),
        (long(9_000), "200"),
        (long(11_000), "431"),
        // Without an end.
        (long(1 << 20) + &long(1 << 20), "431"),
    ] {
        let head = format!("GET /hello HTTP/1.1\r\nconnection: close\r\n{fields}\r\n");
        let answer = answer_to(&server, head.as_bytes()).await;
        // The system may drop an answer whose client goes on sending.
        assert!(answer.is_empty() && status == "431" || answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    let mut two = client_of_version_2(server.address).await;
    let request = Request::get("http://here/hello").header("x", "a".repeat(11_000)).body(Body::empty()).unwrap();
    let refused = two.send_request(request).await;
    assert!(refused.is_err() || refused.unwrap().status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(server.client().await.get("/hello").await.unwrap(), "hello");
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// `GET /hello`, in HPACK.
const GET_HELLO: &[u8] = b"\x82\x86\x04\x06/hello\x41\x04here";

#[posse::test]
async fn nonsense_ends_its_connection_alone() {
    let server = Server::start(Config::new().header_timeout(secs(3600))).await;
    let mut whole = server.client().await;
    let mut whole_2 = client_of_version_2(server.address).await;
    let garbage: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let resets = (0..1_000u32).flat_map(|n| {
        let mut frames = frame(HEADERS, 5, 2 * n + 1, GET_HELLO);
        frames.extend(frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]));
        frames
    });
    let mut continued = frame(HEADERS, 1, 1, GET_HELLO);
    for _ in 0..10_000 {
        continued.extend(frame(CONTINUATION, 0, 1, b"\0\x01x\x01x"));
    }
    for (what, bytes) in [
        ("a client hello of TLS", [&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], &garbage[..600]].concat()),
        ("garbage", garbage.clone()),
        ("the preface, and then garbage", [PREFACE, &garbage].concat()),
        ("rapid reset", [PREFACE, &resets.collect::<Vec<_>>()].concat()),
        ("a head in many frames", [PREFACE, &continued].concat()),
        ("a frame that is too long", [PREFACE, &frame(0, 0, 1, &vec![0; 100_000])].concat()),
    ] {
        // It returns because the server ends the connection.
        let answer = answer_to(&server, &bytes).await;
        assert!(!answer.contains("200 OK"), "{what}: {answer}");
        assert_eq!(whole.get("/hello").await.unwrap(), "hello", "{what}");
        assert_eq!(get_by_version_2(&mut whole_2, "/hello").await.unwrap(), "hello", "{what}");
    }
}

#[test]
fn pings_that_nobody_reads_the_answers_of_end_their_connection() {
    by_hand(async {
        let server = Server::start(one_place()).await;
        let flood = server.client().await;
        let pings = frame(PING, 0, 0, &[7; 8]).repeat(10_000);
        let (mut bytes, mut stuck) = ([PREFACE, &pings].concat(), 0);
        // Until the server takes no more: it answers before it reads on.
        for _ in 0..100_000 {
            match flood.0.try_write(&bytes) {
                Ok(written) => {
                    bytes.drain(..written);
                    if bytes.len() < pings.len() {
                        bytes.extend_from_slice(&pings);
                    }
                    stuck = 0;
                }
                Err(_) => stuck += 1,
            }
            settle().await;
            if stuck > 20 {
                break;
            }
        }
        assert!(stuck > 20, "the server takes any number of pings");
        assert!((10..=12).contains(&seconds_until_freed(&server).await));
    });
}

/// hyper takes the end of what a client sends for the client's end, so that a handler does not work for nobody.
#[posse::test]
async fn a_client_that_closes_its_half_gives_up_what_is_not_answered() {
    let server = Server::start(Config::new()).await;
    let mut client = server.client().await;
    assert_eq!(client.get("/hello").await.unwrap(), "hello");
    client.send("/wait").await;
    client.0.shutdown().await.unwrap();
    assert_eq!(client.answer().await, None);
    // The handler does not wait any more.
    settle().await;
    server.gate.notify_one();
    assert_eq!(server.client().await.get("/wait").await.unwrap(), "waited");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Nowhere,
    Clone,
    Ready,
    Call,
    Future,
    FutureDrop,
    Frame,
    SizeHint,
    EndStream,
    Data,
}

/// A service that panics in one place, at the second connection.
struct Broken {
    place: Place,
    clones: Arc<AtomicUsize>,
    is_broken: bool,
}

fn panic_if(is_so: bool) {
    assert!(!is_so, "broken on purpose");
}

/// The first clone is that of the first connection and the second that of its request; so the third is of the second connection.
const CLONE_OF_CONNECTION: usize = 3;

impl Clone for Broken {
    fn clone(&self) -> Self {
        let number = self.clones.fetch_add(1, Ordering::Relaxed) + 1;
        panic_if(self.place == Place::Clone && number == CLONE_OF_CONNECTION + 1);
        let is_broken = self.is_broken || number == CLONE_OF_CONNECTION;
        Self { place: self.place, clones: self.clones.clone(), is_broken }
    }
}

struct BrokenFuture(Option<Place>);

impl Future for BrokenFuture {
    type Output = Result<Response<BrokenBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Cx<'_>) -> Poll<Self::Output> {
        panic_if(self.0 == Some(Place::Future));
        Poll::Ready(Ok(Response::new(BrokenBody(self.0, Some("hello")))))
    }
}

impl Drop for BrokenFuture {
    fn drop(&mut self) {
        panic_if(self.0 == Some(Place::FutureDrop));
    }
}

struct BrokenBody(Option<Place>, Option<&'static str>);

impl hyper::body::Body for BrokenBody {
    type Data = BrokenData;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Cx<'_>) -> Poll<Option<Result<Frame<BrokenData>, Infallible>>> {
        panic_if(self.0 == Some(Place::Frame));
        let data = self.1.take().map(|text| BrokenData(self.0, Bytes::from(text)));
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        panic_if(self.0 == Some(Place::EndStream));
        self.1.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        panic_if(self.0 == Some(Place::SizeHint));
        SizeHint::with_exact(5)
    }
}

struct BrokenData(Option<Place>, Bytes);

impl bytes::Buf for BrokenData {
    fn remaining(&self) -> usize {
        self.1.len()
    }

    fn chunk(&self) -> &[u8] {
        panic_if(self.0 == Some(Place::Data));
        &self.1
    }

    fn advance(&mut self, count: usize) {
        bytes::Buf::advance(&mut self.1, count);
    }
}

impl Service<Request<Incoming>> for Broken {
    type Response = Response<BrokenBody>;
    type Error = Infallible;
    type Future = BrokenFuture;

    fn poll_ready(&mut self, _: &mut Cx<'_>) -> Poll<Result<(), Infallible>> {
        panic_if(self.is_broken && self.place == Place::Ready);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> BrokenFuture {
        panic_if(self.is_broken && self.place == Place::Call);
        BrokenFuture(self.is_broken.then_some(self.place))
    }
}

#[test]
fn a_panic_of_the_program_ends_its_request_alone_wherever_it_is() {
    use Place::*;
    for place in [Nowhere, Clone, Ready, Call, Future, FutureDrop, Frame, SizeHint, EndStream, Data] {
        let said = heard(Level::ERROR, "posse::", async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let service = Broken { place, clones: Arc::default(), is_broken: false };
            let server = task::spawn(http::serve(listener, service).into_future());
            let get = async || {
                let mut client = Client::connect(address).await;
                client.0.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
                let mut answer = String::new();
                drop(client.0.read_to_string(&mut answer).await);
                answer
            };
            assert!(get().await.ends_with("hello"));
            let answer = get().await;
            match place {
                Nowhere => assert!(answer.ends_with("hello")),
                Clone | Ready | Call | Future | FutureDrop => {
                    assert!(answer.starts_with("HTTP/1.1 500 "), "{place:?}: {answer}");
                }
                Frame | Data => assert!(!answer.ends_with("hello"), "{place:?}: {answer}"),
                // hyper asks for what it can do without, and not always.
                SizeHint | EndStream => {}
            }
            assert!(get().await.ends_with("hello"), "{place:?}");
            assert!(!server.is_finished());
        });
        assert_eq!(said.is_empty(), place == Nowhere, "{place:?}: {said:?}");
        assert!(said.iter().all(|line| line.contains("posse::http")), "{place:?}: {said:?}");
    }
}
