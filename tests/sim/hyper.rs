//! hyper by itself, client and server, without the HTTP server of Posse: its pings and time-outs are what notices a partition.

use axum::body::{Body, to_bytes};
use hyper::body::Incoming;
use hyper::client::conn::{http1 as client1, http2 as client2};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use posse::http::{Request, Response};
use posse::hyper::{Executor, Timer};
use posse::prelude::*;
use posse::sim::Sim;
use posse::task;
use posse::time::{sleep, timeout};
use std::collections::BTreeSet;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// How many connections a machine has begun and ended.
#[derive(Default)]
struct Connections(Mutex<(u64, u64)>);

type Numbers = Arc<Mutex<BTreeSet<u64>>>;

/// Notes a number, once however often it is told, and answers with how many there are.
async fn note(request: Request<Incoming>, numbers: Numbers) -> Result<Response<String>, Box<dyn Error + Send + Sync>> {
    let body = to_bytes(Body::new(request.into_body()), 100).await?;
    sleep(ms(300)).await;
    let mut numbers = numbers.lock().unwrap();
    numbers.insert(std::str::from_utf8(&body)?.parse()?);
    Ok(Response::new(numbers.len().to_string()))
}

/// Serves until the machine ends, by hyper alone.
async fn serve(version_2: bool, numbers: Numbers, connections: Arc<Connections>) -> posse::Result {
    let listener = TcpListener::bind("server:80").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        connections.0.lock().unwrap().0 += 1;
        let (numbers, connections) = (numbers.clone(), connections.clone());
        let service = service_fn(move |request| note(request, numbers.clone()));
        task::spawn(async move {
            // How it ends is seen by who asked.
            let _ = if version_2 {
                let mut builder = http2::Builder::new(Executor::new());
                builder.timer(Timer::new()).keep_alive_interval(secs(1)).keep_alive_timeout(secs(2));
                builder.serve_connection(stream, service).await
            } else {
                let mut builder = http1::Builder::new();
                builder.timer(Timer::new()).header_read_timeout(secs(3)).serve_connection(stream, service).await
            };
            connections.0.lock().unwrap().1 += 1;
        });
    }
}

/// A connection on which one number after the other is told, until one has no answer. Nothing here but hyper's own pings ends a wait of
/// version 2; version 1 has none.
async fn tell(server: SocketAddr, next: &mut u64, version_2: bool) -> posse::Result<usize> {
    let stream = timeout(secs(3), TcpStream::connect(server)).await??;
    let mut count = 0;
    let request = |n: u64| Request::post("http://server/").header("host", "server").body(n.to_string());
    let counted = async |response: Response<Incoming>| {
        let body = to_bytes(Body::new(response.into_body()), 100).await?;
        posse::Result::Ok(std::str::from_utf8(&body)?.parse()?)
    };
    if version_2 {
        let mut builder = client2::Builder::new(Executor::new());
        builder.timer(Timer::new()).keep_alive_interval(secs(1)).keep_alive_timeout(secs(2));
        let (mut client, connection) = builder.handshake(stream).await?;
        let _connection = task::AbortOnDropHandle::new(task::spawn(connection));
        while *next < NUMBERS {
            count = counted(client.send_request(request(*next)?).await?).await?;
            *next += 1;
        }
    } else {
        let (mut client, connection) = client1::handshake(stream).await?;
        let _connection = task::AbortOnDropHandle::new(task::spawn(connection));
        while *next < NUMBERS {
            client.ready().await?;
            count = counted(timeout(secs(3), client.send_request(request(*next)?)).await??).await?;
            *next += 1;
        }
    }
    Ok(count)
}

const NUMBERS: u64 = 20;

#[posse::test(sim, seeds = 20)]
async fn hyper_notices_a_partition_and_goes_on_after_it(sim: Sim) {
    let version_2 = sim.random_below(2) == 1;
    let (numbers, connections) = (Numbers::default(), Arc::new(Connections::default()));
    let service = {
        let (numbers, connections) = (numbers.clone(), connections.clone());
        move || serve(version_2, numbers.clone(), connections.clone())
    };
    let (server, client) = (sim.host("server", service).await, sim.host("client", || async { Ok(()) }).await);
    let address = SocketAddr::new(server.ip().into(), 80);
    let telling = client.spawn(async move {
        let mut next = 0;
        for attempt in 1.. {
            match tell(address, &mut next, version_2).await {
                Ok(count) => return (attempt, count),
                Err(_) => sleep(ms(100)).await,
            }
        }
        unreachable!()
    });
    // Before it connects, or while it tells.
    sleep(ms(sim.random_below(5_000) as u64)).await;
    sim.partition([&server], [&client]).during(secs(20)).await;
    let healed = sim.elapsed();
    let (attempts, count) = telling.await.unwrap();
    assert_eq!((count, numbers.lock().unwrap().len()), (NUMBERS as usize, NUMBERS as usize));
    assert!(attempts > 1, "the partition was not noticed");
    assert!(sim.elapsed() - healed < secs(15));
    // The server has let go of what nobody is at the other end of.
    let both = move || {
        let connections = connections.0.lock().unwrap();
        connections.0 > 0 && connections.0 == connections.1
    };
    sim.wait_for(secs(30), "every connection has ended", both).await;
}
