//! A web service as it is deployed, axum and hyper included, on machines that lose each other.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Path;
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use posse::http::{Config, Request, Response, StatusCode, TimeoutLayer};
use posse::hyper::{Executor, Timer};
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::task;
use posse::time::{sleep, timeout};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Notes numbers, each once however often it is told.
#[derive(Default)]
struct Notes(BTreeSet<u64>);
impl Actor for Notes {}

#[derive(Message)]
#[message(reply = usize)]
struct Note(u64);

impl Handler<Note> for Notes {
    async fn handle(&mut self, Note(n): Note, _: &mut Context<Self>) -> usize {
        self.0.insert(n);
        self.0.len()
    }
}

async fn note(Path(n): Path<u64>) -> Result<String, StatusCode> {
    // As if it asked a slow database.
    sleep(secs(1)).await;
    let notes = System::current().whereis::<Notes>("notes").ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    notes.ask(Note(n)).await.map(|count| count.to_string()).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

async fn web(sim: &Sim) -> SimMachine {
    let service = || async {
        let router = Router::new().route("/note/{n}", get(note));
        let supervisor = Supervisor::one_for_one()
            .child(Spec::new(Notes::default).name("notes"))
            .child(Listener::tcp("web:80").http(router).name("http"))
            .spawn();
        std::future::pending::<()>().await;
        supervisor.shutdown().await;
        Ok(())
    };
    sim.host("web", service).await
}

/// One attempt, on a connection of its own.
async fn attempt(web: SocketAddr, n: u64, version_2: bool) -> posse::Result<usize> {
    let stream = TcpStream::connect(web).await?;
    let request = Request::get(format!("http://web/note/{n}")).header("host", "web").body(Body::empty())?;
    let response: Response<Incoming> = if version_2 {
        let mut builder = http2::Builder::new(Executor::new());
        let (mut client, connection) = builder.timer(Timer::new()).handshake(stream).await?;
        task::spawn(connection);
        client.send_request(request).await?
    } else {
        let (mut client, connection) = http1::handshake(stream).await?;
        task::spawn(connection);
        client.send_request(request).await?
    };
    let body = to_bytes(Body::new(response.into_body()), 100).await?;
    Ok(std::str::from_utf8(&body)?.parse()?)
}

/// Asks until there is an answer.
async fn noted(web: SocketAddr, n: u64, version_2: bool) -> usize {
    loop {
        if let Ok(Ok(count)) = timeout(secs(3), attempt(web, n, version_2)).await {
            return count;
        }
        sleep(ms(100)).await;
    }
}

#[posse::test(sim, seeds = 20)]
async fn requests_to_an_axum_router_survive_a_partition(sim: Sim) {
    let (web, client) = (web(&sim).await, sim.host("client", || async { Ok(()) }).await);
    let address = SocketAddr::new(web.ip().into(), 80);
    let version_2 = sim.random_below(2) == 1;
    let asking = client.spawn(async move {
        let mut count = 0;
        for n in 0..5 {
            count = noted(address, n, version_2).await;
        }
        count
    });
    sleep(ms(sim.random_below(3000) as u64)).await;
    sim.partition([&web], [&client]).during(secs(6)).await;
    assert_eq!(asking.await.unwrap(), 5);
    assert!(sim.elapsed() >= secs(6));
}

/// Connects as soon as the service listens.
async fn connected(web: SocketAddr) -> TcpStream {
    loop {
        match TcpStream::connect(web).await {
            Ok(stream) => return stream,
            Err(_) => sleep(ms(10)).await,
        }
    }
}

#[posse::test(sim, seeds = 5)]
async fn the_times_of_hyper_are_those_of_the_simulation(sim: Sim) {
    let (web, client) = (web(&sim).await, sim.host("client", || async { Ok(()) }).await);
    let address = SocketAddr::new(web.ip().into(), 80);
    let begun = sim.elapsed();
    let silence = client.spawn(async move {
        let mut stream = connected(address).await;
        stream.write_all(b"GET /note/1 HTTP/1.1\r\n").await.unwrap();
        stream.read(&mut [0]).await.unwrap()
    });
    assert_eq!(silence.await.unwrap(), 0);
    assert!((secs(30)..secs(32)).contains(&(sim.elapsed() - begun)));
}

/// A web service that a test describes.
async fn host(sim: &Sim, max: usize, router: Router) -> (SimMachine, SocketAddr) {
    let service = move || {
        let listener = Listener::tcp("web:80").max_connections(max);
        let supervisor = Supervisor::one_for_one().child(listener.http(router.clone())).spawn();
        async move {
            std::future::pending::<()>().await;
            supervisor.shutdown().await;
            Ok(())
        }
    };
    let web = sim.host("web", service).await;
    let address = SocketAddr::new(web.ip().into(), 80);
    (web, address)
}

/// The whole answer to a request of HTTP/1, by hand; empty if there is none.
async fn answer(web: SocketAddr, path: &str) -> String {
    let mut stream = connected(web).await;
    let head = format!("GET {path} HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    if stream.write_all(head.as_bytes()).await.is_ok() {
        drop(stream.read_to_end(&mut answer).await);
    }
    String::from_utf8(answer).unwrap()
}

#[posse::test(sim, seeds = 10)]
async fn a_handler_that_takes_too_long_is_answered_for(sim: Sim) {
    let slow = |Path(time): Path<u64>| async move {
        sleep(ms(time)).await;
        "done"
    };
    let limit = TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, secs(2));
    let (_web, address) = host(&sim, 10, Router::new().route("/{time}", get(slow)).layer(limit)).await;
    let client = sim.host("client", || async { Ok(()) }).await;
    let times = [sim.random_below(1_900) as u64, 2_100 + sim.random_below(10_000) as u64];
    for time in times {
        let asking = client.spawn(async move { answer(address, &format!("/{time}")).await });
        let answer = asking.await.unwrap();
        let expected = if time < 2_000 { "HTTP/1.1 200 OK" } else { "HTTP/1.1 503 Service Unavailable" };
        assert!(answer.starts_with(expected), "{time} ms: {answer}");
    }
    assert!(sim.elapsed() < secs(6));
}

#[posse::test(sim, seeds = 2)]
async fn five_thousand_clients_are_served_by_a_hundred_places(sim: Sim) {
    const CLIENTS: usize = 5_000;
    const PLACES: usize = 100;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    let work = move || {
        let (now, most) = (now.clone(), most.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            sleep(ms(10)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            "done"
        }
    };
    let (_web, address) = host(&sim, PLACES, Router::new().route("/", get(work))).await;
    let client = sim.host("client", || async { Ok(()) }).await;
    let asking: Vec<_> = (0..CLIENTS).map(|_| client.spawn(answer(address, "/"))).collect();
    for asking in asking {
        assert!(asking.await.unwrap().ends_with("done"));
    }
    assert_eq!(seen.load(Ordering::Relaxed), PLACES);
}

/// Holds a connection in one of the ways that clients have, until the server ends it.
async fn hold(web: SocketAddr, way: usize) {
    let mut stream = connected(web).await;
    let said: &[u8] = match way {
        0 => b"",
        1 => b"GET / HTTP/1.1\r\nhost: web\r\n\r\n",
        2 => b"POST /echo HTTP/1.1\r\nhost: web\r\ncontent-length: 100\r\n\r\nbegun",
        3 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        4 => b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 nonsense\r\n\r\n",
        5 => {
            // A head that never ends.
            while stream.write_all(b"a").await.is_ok() {
                sleep(secs(1)).await;
            }
            return;
        }
        6 => {
            stream.write_all(b"GET /large HTTP/1.1\r\nhost: web\r\n\r\n").await.unwrap();
            // It is served from here on, and stops to read.
            stream.read_exact(&mut [0]).await.unwrap();
            sleep(secs(100)).await;
            let mut answer = Vec::new();
            drop(stream.read_to_end(&mut answer).await);
            return assert!(answer.len() < LARGE, "all of it was sent to one who does not read");
        }
        _ => {
            let mut builder = http2::Builder::new(Executor::new());
            let handshake = builder.timer(Timer::new()).initial_stream_window_size(1_000).handshake(stream).await;
            let (mut client, connection) = handshake.unwrap();
            let connection = task::spawn(connection);
            // Idle, or with an answer that it does not read, it answers pings.
            let path = if way == 7 { "http://web/" } else { "http://web/large" };
            let unread = client.send_request(Request::get(path).body(Body::empty()).unwrap()).await;
            drop(connection.await);
            return drop(unread);
        }
    };
    drop(stream.write_all(said).await);
    drop(stream.read_to_end(&mut Vec::new()).await);
}

/// What no buffer on the way takes.
const LARGE: usize = 4 << 20;

#[posse::test(sim, seeds = 10)]
async fn clients_that_hold_their_connections_keep_nobody_out_for_long(sim: Sim) {
    const WAYS: usize = 9;
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/large", get(|| async { vec![b'a'; LARGE] }))
        .route("/echo", post(|body: Bytes| async { body }));
    let (_web, address) = host(&sim, 6, router).await;
    let client = sim.host("client", || async { Ok(()) }).await;
    // Each way twice, in any order, for a third of as many places.
    let first = sim.random_below(WAYS);
    let holding: Vec<_> = (0..2 * WAYS).map(|n| client.spawn(hold(address, (first + n * 4) % WAYS))).collect();
    sleep(ms(sim.random_below(60_000) as u64)).await;
    let honest = client.spawn(answer(address, "/"));
    assert!(honest.await.unwrap().ends_with("hello"));
    for holding in holding {
        holding.await.unwrap();
    }
    assert!(sim.elapsed() < secs(600));
}

#[posse::test(sim, seeds = 20)]
async fn an_end_in_the_middle_cuts_no_answer(sim: Sim) {
    let (ending, ended) = posse::sync::oneshot::channel::<()>();
    let ended = Arc::new(posse::sync::Mutex::new(Some(ended)));
    let slow = |Path(time): Path<u64>| async move {
        sleep(ms(time)).await;
        "done".repeat(10_000)
    };
    let router = Router::new().route("/{time}", get(slow));
    let service = move || {
        let (ended, router) = (ended.clone(), router.clone());
        async move {
            let listener = TcpListener::bind("web:80").await?;
            let ended = ended.lock().await.take();
            let signal = async move {
                if let Some(ended) = ended {
                    let _ = ended.await;
                }
            };
            posse::http::serve(listener, router).config(Config::new()).with_graceful_shutdown(signal).await?;
            Ok(())
        }
    };
    let web = sim.host("web", service).await;
    let address = SocketAddr::new(web.ip().into(), 80);
    let client = sim.host("client", || async { Ok(()) }).await;
    let times: Vec<_> = (0..20).map(|_| (sim.random_below(3_000) as u64, sim.random_below(3_000) as u64)).collect();
    let asking: Vec<_> = times
        .into_iter()
        .map(|(begin, time)| {
            client.spawn(async move {
                sleep(ms(begin)).await;
                let Ok(mut stream) = TcpStream::connect(address).await else { return String::new() };
                let head = format!("GET /{time} HTTP/1.1\r\nhost: web\r\n\r\n");
                let mut answer = Vec::new();
                if stream.write_all(head.as_bytes()).await.is_ok() {
                    // The connection stays open, so it ends with the server.
                    drop(stream.read_to_end(&mut answer).await);
                }
                String::from_utf8(answer).unwrap()
            })
        })
        .collect();
    sleep(ms(1_000 + sim.random_below(2_000) as u64)).await;
    let end = sim.elapsed();
    ending.send(()).unwrap();
    let mut answered = 0;
    for asking in asking {
        let answer = asking.await.unwrap();
        assert!(answer.is_empty() || answer.ends_with("done") && answer.len() > 40_000, "{} bytes", answer.len());
        answered += usize::from(!answer.is_empty());
    }
    assert!(answered > 0);
    assert!(sim.elapsed() - end < secs(4), "nothing is waited for that nobody asked for");
}
