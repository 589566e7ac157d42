//! Instructions and allocations per operation, as valgrind counts them: figures that need no quiet machine.
//!
//! Each cell is the difference of two runs under valgrind with different counts, divided by the difference of the counts. One worker, so
//! that no wait for the other processor is counted; both ends of a message are.
//!
//! Run: cargo bench -p posse-benches --bench instructions           (needs valgrind)
//!      cargo bench -p posse-benches --bench instructions -- tell   (operations whose name has this in it)
//!      cargo bench -p posse-benches --bench instructions -- --smoke  (each a few times, without valgrind)
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::process::{Command, Output};
use std::task::Poll;
use std::time::Duration;

struct Operation {
    name: &'static str,
    /// Operations of the shorter run; the longer one has three times as many.
    count: u64,
    posse: fn(u64),
    /// Its nearest equivalent without actors, if there is one.
    tokio: Option<fn(u64)>,
}

const OPERATIONS: &[Operation] = &[
    beside("yield", 20_000, with_posse::yields, with_tokio::yields),
    beside("spawn + join", 10_000, with_posse::spawns, with_tokio::spawns),
    beside("mpsc send + recv", 20_000, with_posse::sends, with_tokio::sends),
    beside("timer, dropped", 10_000, with_posse::dropped_timers, with_tokio::dropped_timers),
    beside("timer, fired", 4_000, with_posse::fired_timers, with_tokio::fired_timers),
    beside("TCP echo", 2_000, with_posse::echoes, with_tokio::echoes),
    beside("tell", 20_000, with_posse::tells, with_tokio::sends),
    beside("ask", 10_000, with_posse::asks, with_tokio::asks),
    alone("spawn + stop an actor", 5_000, with_posse::actors),
    alone("remote tell", 10_000, with_posse::remote_tells),
    alone("remote ask", 2_000, with_posse::remote_asks),
];

const fn beside(name: &'static str, count: u64, posse: fn(u64), tokio: fn(u64)) -> Operation {
    Operation { name, count, posse, tokio: Some(tokio) }
}

const fn alone(name: &'static str, count: u64, posse: fn(u64)) -> Operation {
    Operation { name, count, posse, tokio: None }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--run", subject, name, count] => {
            let operation = OPERATIONS.iter().find(|operation| operation.name == name).expect("an operation");
            let run = if subject == "posse" { operation.posse } else { operation.tokio.expect("a subject") };
            run(count.parse().expect("a count"));
        }
        ["--smoke"] => {
            for operation in OPERATIONS {
                (operation.posse)(64);
                operation.tokio.into_iter().for_each(|run| run(64));
            }
        }
        [] => table(""),
        [part] if !part.starts_with('-') => table(part),
        ref other => panic!("unknown arguments {other:?}; known are --smoke and a part of an operation's name"),
    }
}

fn table(part: &str) {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("valgrind is not installed: nothing is counted");
        return;
    }
    println!("| per operation, one worker | instructions | of tokio | allocations | of tokio | bytes | of tokio |");
    println!("|---|---|---|---|---|---|---|");
    for operation in OPERATIONS.iter().filter(|operation| operation.name.contains(part)) {
        let posse = count("posse", operation);
        let tokio = operation.tokio.map(|_| count("tokio", operation));
        let cells: Vec<String> = (0..3)
            .map(|column| {
                let digits = if column == 1 { 2 } else { 0 };
                let tokio = tokio.map(|tokio| format!("{:.digits$}", tokio[column])).unwrap_or_default();
                format!("{:.digits$} | {tokio}", posse[column])
            })
            .collect();
        println!("| {} | {} |", operation.name, cells.join(" | "));
    }
}

/// Instructions, allocations and bytes allocated per operation.
fn count(subject: &str, operation: &Operation) -> [f64; 3] {
    let (few, many) = (operation.count, 3 * operation.count);
    let [before, after] = [few, many].map(|count| {
        let calls = valgrind(&["--tool=callgrind", "--callgrind-out-file=/dev/null"], subject, operation, count);
        let heap = valgrind(&["--leak-check=no", "--undef-value-errors=no"], subject, operation, count);
        [number_after(&calls, "Collected :"), number_after(&heap, "heap usage:"), number_after(&heap, "frees,")]
    });
    [0, 1, 2].map(|column| (after[column] - before[column]) / (many - few) as f64)
}

fn valgrind(options: &[&str], subject: &str, operation: &Operation, count: u64) -> String {
    let program = std::env::current_exe().expect("this program");
    let run = ["--run", subject, operation.name, &count.to_string()].map(str::to_owned);
    let Output { status, stderr, .. } =
        Command::new("valgrind").args(options).arg(program).args(run).output().expect("valgrind starts");
    let report = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{report}");
    report
}

/// The number that follows some words in valgrind's report.
fn number_after(report: &str, words: &str) -> f64 {
    let (_, rest) = report.split_once(words).unwrap_or_else(|| panic!("no {words:?} in {report}"));
    let digits: String = rest.trim().chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    digits.replace(',', "").parse().expect("a number")
}

/// Timers armed at once: what the worker's sleep and wake cost is shared among so many.
const TIMERS: u64 = 64;
const NAP: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_secs(3600);
const CHANNEL: usize = 1024;
const BYTES: usize = 64;

/// Polls a future once.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        let _ = future.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
}

/// Arms many timers, then waits until all have fired, again and again.
async fn fire<F: Future>(count: u64, sleep: impl Fn() -> F) {
    for _ in 0..count / TIMERS {
        let mut timers: Vec<_> = (0..TIMERS).map(|_| Box::pin(sleep())).collect();
        for timer in &mut timers {
            poll_once(timer.as_mut()).await;
        }
        for timer in timers {
            timer.await;
        }
    }
}

async fn arm_and_drop<F: Future>(count: u64, sleep: impl Fn() -> F) {
    for _ in 0..count {
        poll_once(std::pin::pin!(sleep())).await;
    }
}

mod with_posse {
    use super::*;
    use bytes::Bytes;
    use posse::io::{AsyncReadExt, AsyncWriteExt};
    use posse::net::{TcpListener, TcpStream};
    use posse::prelude::*;
    use posse::sync::mpsc;

    fn run(future: impl Future<Output = ()> + Send + 'static) {
        let runtime = posse::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let task = runtime.spawn(future);
        runtime.block_on(task).expect("no panic");
    }

    pub(super) fn yields(count: u64) {
        run(async move {
            for _ in 0..count {
                posse::task::yield_now().await;
            }
        });
    }

    pub(super) fn spawns(count: u64) {
        run(async move {
            for _ in 0..count {
                posse::task::spawn(async {}).await.expect("no panic");
            }
        });
    }

    pub(super) fn sends(count: u64) {
        run(async move {
            let (send, mut receive) = mpsc::channel(CHANNEL);
            let receiver = posse::task::spawn(async move { while receive.recv().await.is_some() {} });
            for n in 0..count {
                send.send(n).await.expect("received");
            }
            drop(send);
            receiver.await.expect("no panic");
        });
    }

    pub(super) fn dropped_timers(count: u64) {
        run(arm_and_drop(count, || posse::time::sleep(HOUR)));
    }

    pub(super) fn fired_timers(count: u64) {
        run(fire(count, || posse::time::sleep(NAP)));
    }

    pub(super) fn echoes(count: u64) {
        run(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            posse::task::spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                    stream.write_all(&bytes[..n]).await.expect("written");
                }
            });
            let mut stream = TcpStream::connect(address).await.expect("connected");
            let mut bytes = [7; BYTES];
            for _ in 0..count {
                stream.write_all(&bytes).await.expect("written");
                stream.read_exact(&mut bytes).await.expect("read");
            }
        });
    }

    #[derive(Default)]
    struct Counter(u64);
    impl Actor for Counter {}

    #[derive(Message)]
    struct Add(u64);
    impl Handler<Add> for Counter {
        async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) {
            self.0 += n;
        }
    }

    #[derive(Message)]
    #[message(reply = u64)]
    struct Sum;
    impl Handler<Sum> for Counter {
        async fn handle(&mut self, _: Sum, _: &mut Context<Self>) -> u64 {
            self.0
        }
    }

    pub(super) fn tells(count: u64) {
        run(async move {
            let counter = posse::spawn(Counter::default);
            for n in 0..count {
                counter.tell(Add(n)).await.expect("told");
            }
            counter.ask(Sum).await.expect("a reply");
        });
    }

    pub(super) fn asks(count: u64) {
        run(async move {
            let counter = posse::spawn(Counter::default);
            for _ in 0..count {
                counter.ask(Sum).await.expect("a reply");
            }
        });
    }

    pub(super) fn actors(count: u64) {
        run(async move {
            for _ in 0..count {
                let actor = posse::spawn(Spec::once(Counter::default()));
                actor.stop();
                actor.closed().await;
            }
        });
    }

    #[posse::protocol]
    pub trait Echoing {
        async fn echo(payload: Bytes) -> Bytes;
        async fn note(payload: Bytes);
    }

    #[derive(Default)]
    struct Parrot;
    impl Actor for Parrot {}
    impl Handler<Echo> for Parrot {
        async fn handle(&mut self, Echo { payload }: Echo, _: &mut Context<Self>) -> Bytes {
            payload
        }
    }
    impl Handler<Note> for Parrot {
        async fn handle(&mut self, _: Note, _: &mut Context<Self>) {}
    }

    /// Two nodes of one process.
    async fn nodes() -> (Node, Node, ActorRef<Echoing>) {
        let server = Node::listen("127.0.0.1:0").await.expect("a port");
        server.register("parrot", posse::spawn(Parrot::default).share::<Echoing>()).await.expect("a name");
        let client = Node::connect(server.local_addr().expect("an address")).await.expect("connected");
        let parrot = client.whereis("parrot").await.expect("found");
        (server, client, parrot)
    }

    pub(super) fn remote_tells(count: u64) {
        run(async move {
            let (_server, _client, parrot) = nodes().await;
            let payload = Bytes::from_static(&[7; BYTES]);
            for _ in 0..count {
                parrot.note(payload.clone()).await.expect("sent");
            }
            parrot.echo(payload).within(secs(60)).await.expect("a reply");
        });
    }

    pub(super) fn remote_asks(count: u64) {
        run(async move {
            let (_server, _client, parrot) = nodes().await;
            let payload = Bytes::from_static(&[7; BYTES]);
            for _ in 0..count {
                parrot.echo(payload.clone()).within(secs(60)).await.expect("a reply");
            }
        });
    }
}

mod with_tokio {
    use super::*;
    use ::tokio::io::{AsyncReadExt, AsyncWriteExt};
    use ::tokio::net::{TcpListener, TcpStream};
    use ::tokio::sync::{mpsc, oneshot};

    fn run(future: impl Future<Output = ()> + Send + 'static) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let task = runtime.spawn(future);
        runtime.block_on(task).expect("no panic");
    }

    pub(super) fn yields(count: u64) {
        run(async move {
            for _ in 0..count {
                tokio::task::yield_now().await;
            }
        });
    }

    pub(super) fn spawns(count: u64) {
        run(async move {
            for _ in 0..count {
                tokio::spawn(async {}).await.expect("no panic");
            }
        });
    }

    pub(super) fn sends(count: u64) {
        run(async move {
            let (send, mut receive) = mpsc::channel(CHANNEL);
            let receiver = tokio::spawn(async move { while receive.recv().await.is_some() {} });
            for n in 0..count {
                send.send(n).await.expect("received");
            }
            drop(send);
            receiver.await.expect("no panic");
        });
    }

    pub(super) fn asks(count: u64) {
        run(async move {
            let (send, mut receive) = mpsc::channel::<oneshot::Sender<u64>>(CHANNEL);
            tokio::spawn(async move {
                while let Some(reply) = receive.recv().await {
                    reply.send(0).expect("the receiver waits");
                }
            });
            for _ in 0..count {
                let (reply, answer) = oneshot::channel();
                send.send(reply).await.expect("received");
                answer.await.expect("a reply");
            }
        });
    }

    pub(super) fn dropped_timers(count: u64) {
        run(arm_and_drop(count, || tokio::time::sleep(HOUR)));
    }

    pub(super) fn fired_timers(count: u64) {
        run(fire(count, || tokio::time::sleep(NAP)));
    }

    pub(super) fn echoes(count: u64) {
        run(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut bytes).await {
                    stream.write_all(&bytes[..n]).await.expect("written");
                }
            });
            let mut stream = TcpStream::connect(address).await.expect("connected");
            let mut bytes = [7; BYTES];
            for _ in 0..count {
                stream.write_all(&bytes).await.expect("written");
                stream.read_exact(&mut bytes).await.expect("read");
            }
        });
    }
}
