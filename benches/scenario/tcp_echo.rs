//! A TCP echo server in a process of its own, and connections that each wait for their message to come back.

use super::median_ns;
use crate::now;
use crate::process::{Server, listening};
use crate::raw::{self, Load};
use crate::subject::WORKERS;
use std::thread;

const CONNECTIONS: usize = 64;

/// Nanoseconds per round trip, with many connections at once.
pub(super) fn run(subject: &str, count: u64) -> f64 {
    let server = Server::start(subject);
    let mut load = Load::connect(server.address, CONNECTIONS);
    load.run(CONNECTIONS * 10);
    let start = now();
    load.run(count as usize);
    start.elapsed().as_nanos() as f64 / count as f64
}

/// The median round trip of one connection, in nanoseconds.
pub(super) fn p50(subject: &str, count: u64) -> f64 {
    let server = Server::start(subject);
    let mut load = Load::connect(server.address, 1);
    load.run(count as usize / 10);
    median_ns(load.run(count as usize))
}

pub(super) fn serve(subject: &str) {
    match subject {
        "posse" => serve_posse(),
        "tokio" => serve_tokio(),
        _ => raw::serve(|address| {
            #[expect(clippy::disallowed_methods, reason = "bare threads are the subject")]
            thread::spawn(move || listening(address));
        }),
    }
}

fn serve_posse() {
    use posse::io::{AsyncReadExt, AsyncWriteExt};
    let runtime = posse::runtime::Builder::new_multi_thread().worker_threads(WORKERS).build().expect("a runtime");
    let listener = runtime.block_on(posse::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    runtime.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("set");
            posse::task::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                    if stream.write_all(&bytes[..n]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    listening(address);
}

fn serve_tokio() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    runtime.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("set");
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                    if stream.write_all(&bytes[..n]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    listening(address);
}
