//! An actor at another node, in a process of its own, is asked and told 64 bytes.

use super::median_ns;
use crate::now;
use crate::process::{Server, listening};
use crate::raw::{BYTES, Load};
use crate::subject::WORKERS;
use bytes::Bytes;
use posse::prelude::*;
use std::time::Duration;

/// Tasks that ask at once.
const ASKERS: u64 = 64;

/// What is spoken.
#[posse::protocol]
pub trait Echoing {
    async fn echo(payload: Bytes) -> Bytes;
    async fn note(payload: Bytes);
    async fn noted() -> u64;
}

#[derive(Default)]
struct Parrot(u64);
impl Actor for Parrot {}
impl Handler<Echo> for Parrot {
    async fn handle(&mut self, Echo { payload }: Echo, _: &mut Context<Self>) -> Bytes {
        payload
    }
}
impl Handler<Note> for Parrot {
    async fn handle(&mut self, _: Note, _: &mut Context<Self>) {
        self.0 += 1;
    }
}
impl Handler<Noted> for Parrot {
    async fn handle(&mut self, _: Noted, _: &mut Context<Self>) -> u64 {
        self.0
    }
}

pub(super) fn runtime() -> posse::runtime::Runtime {
    posse::runtime::Builder::new_multi_thread().worker_threads(WORKERS).build().expect("a runtime")
}

pub(super) fn serve() {
    let runtime = runtime();
    let node = runtime.block_on(async {
        let node = Node::listen("127.0.0.1:0").await.expect("a port");
        node.register("parrot", posse::spawn(Parrot::default).share::<Echoing>()).await.expect("a name");
        node
    });
    listening(node.local_addr().expect("an address"));
}

pub(super) async fn connect(server: &Server) -> (Node, ActorRef<Echoing>) {
    let node = Node::connect(server.address).await.expect("connected");
    let parrot = node.whereis("parrot").await.expect("found");
    (node, parrot)
}

/// The median time of an ask, in nanoseconds, or of a bare round trip.
pub(super) fn ask_p50(subject: &str, count: u64) -> f64 {
    if subject == "raw mio" {
        let server = Server::start("raw mio");
        let mut load = Load::connect(server.address, 1);
        load.run(count as usize / 10);
        return median_ns(load.run(count as usize));
    }
    let server = Server::start("remote");
    let task = async move {
        let (_node, parrot) = connect(&server).await;
        let payload = Bytes::from_static(&[7; BYTES]);
        let mut times: Vec<Duration> = Vec::new();
        for n in 0..count + count / 10 {
            let start = now();
            parrot.echo(payload.clone()).await.expect("a reply");
            if n >= count / 10 {
                times.push(start.elapsed());
            }
        }
        median_ns(times)
    };
    let runtime = runtime();
    let task = runtime.spawn(task);
    runtime.block_on(task).expect("no panic")
}

/// Nanoseconds per ask, with many at once.
pub(super) fn asks(_: &str, count: u64) -> f64 {
    let server = Server::start("remote");
    runtime().block_on(async move {
        let (_node, parrot) = connect(&server).await;
        let start = now();
        let askers: Vec<_> = (0..ASKERS)
            .map(|_| {
                let parrot = parrot.clone();
                posse::task::spawn(async move {
                    let payload = Bytes::from_static(&[7; BYTES]);
                    for _ in 0..count / ASKERS {
                        parrot.echo(payload.clone()).await.expect("a reply");
                    }
                })
            })
            .collect();
        for asker in askers {
            asker.await.expect("no panic");
        }
        start.elapsed().as_nanos() as f64 / count as f64
    })
}

/// Nanoseconds per tell, until the last one was handled.
pub(super) fn tells(_: &str, count: u64) -> f64 {
    let server = Server::start("remote");
    runtime().block_on(async move {
        let (_node, parrot) = connect(&server).await;
        let payload = Bytes::from_static(&[7; BYTES]);
        let start = now();
        for _ in 0..count {
            parrot.note(payload.clone()).await.expect("sent");
        }
        let noted = parrot.noted().within(secs(60)).await.expect("a reply");
        assert_eq!(noted, count);
        start.elapsed().as_nanos() as f64 / count as f64
    })
}
