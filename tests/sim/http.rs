//! A web service as it is deployed, axum and hyper included, on machines that lose each other.

use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::{Router, routing::get};
use hyper::client::conn::{http1, http2};
use posse::http::{Incoming, Request, Response, StatusCode};
use posse::hyper::{Executor, Timer};
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::task;
use posse::time::{sleep, timeout};
use std::collections::BTreeSet;
use std::net::SocketAddr;

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
