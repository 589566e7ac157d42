//! What is measured. Each file is one scenario; the figure is nanoseconds per operation unless its name says otherwise.

mod ask;
mod count;
mod death;
mod idle;
mod ping_pong;
mod remote;
mod spawn;
mod stuck;
mod tcp_echo;
mod udp;

use crate::subject::{Done, Kameo, Posse, Ractor, Subject, Tokio};
use std::future::Future;
use std::sync::mpsc::channel;
use std::time::Duration;

/// One row of the table.
#[derive(Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// Operations of a full run.
    pub count: u64,
    /// Who takes part; ratios are to the first.
    pub subjects: &'static [&'static str],
    /// Client and server are kept on a processor each: where the system puts them decides otherwise, 5 µs or 60.
    pub pinned: bool,
    run: fn(&str, u64) -> f64,
}

impl Scenario {
    /// Measures one subject.
    pub fn measure(&self, subject: &str, count: u64) -> f64 {
        (self.run)(subject, count)
    }
}

const ACTORS: &[&str] = &[Posse::NAME, Tokio::NAME, Ractor::NAME, Kameo::NAME];

/// All of them.
pub const ALL: &[Scenario] = &[
    actors("tell ping-pong", 1_000_000, |s, n| time(s, n, Kind::PingPong)),
    actors("ask, 1 in flight", 300_000, |s, n| time(s, n, Kind::Ask(1))),
    actors("ask, 64 in flight", 300_000, |s, n| time(s, n, Kind::Ask(64))),
    actors("ask from an actor", 300_000, |s, n| time(s, n, Kind::AskFromActor)),
    actors("count 1 -> 1", 1_000_000, |s, n| time(s, n, Kind::Count(1))),
    actors("fan-in 8 -> 1", 1_000_000, |s, n| time(s, n, Kind::Count(8))),
    actors("fan-in 1,000 -> 1", 1_000_000, |s, n| time(s, n, Kind::Count(1000))),
    actors("spawn + stop", 50_000, |s, n| time(s, n, Kind::Spawn)),
    actors("idle actor, bytes", 50_000, idle),
    sockets("late, worker stuck", 200, false, &["posse", "tokio"], stuck::latest),
    sockets("late, 1 of 2 stuck 5 s", 5_000, false, &["posse", "tokio"], stuck::fleet::<2>),
    sockets("late, 1 of 3 stuck 5 s", 5_000, false, &["posse", "tokio"], stuck::fleet::<3>),
    sockets("late, 1 of 4 stuck 5 s", 5_000, false, &["posse", "tokio"], stuck::fleet::<4>),
    sockets("late, 1 of 8 stuck 5 s", 5_000, false, &["posse", "tokio"], stuck::fleet::<8>),
    sockets("TCP echo, 64 conns", 200_000, false, &["posse", "tokio"], tcp_echo::run),
    sockets("TCP echo, 1 conn p50", 20_000, true, &["posse", "tokio", "raw mio"], tcp_echo::p50),
    sockets("UDP datagram 1,200 B", 300_000, true, &["posse", "tokio", "posse, batch", "posse, GSO"], udp::run),
    sockets("remote ask p50", 20_000, true, &["posse", "raw mio"], remote::ask_p50),
    sockets("remote ask, 64 flying", 100_000, false, &["posse"], remote::asks),
    sockets("remote tell 64 B", 1_000_000, false, &["posse"], remote::tells),
    sockets("death notice p50", 100, false, &["posse", "raw"], death::p50),
];

const fn actors(name: &'static str, count: u64, run: fn(&str, u64) -> f64) -> Scenario {
    Scenario { name, count, subjects: ACTORS, pinned: false, run }
}

const fn sockets(
    name: &'static str,
    count: u64,
    pinned: bool,
    subjects: &'static [&'static str],
    run: fn(&str, u64) -> f64,
) -> Scenario {
    Scenario { name, count, subjects, pinned, run }
}

/// Starts what another process measures.
pub fn serve(kind: &str) {
    match kind {
        "remote" => remote::serve(),
        kind => tcp_echo::serve(kind),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    PingPong,
    Ask(u64),
    AskFromActor,
    Count(u64),
    Spawn,
}

/// Nanoseconds per operation of a subject.
fn time(subject: &str, count: u64, kind: Kind) -> f64 {
    let time = match subject {
        Posse::NAME => in_runtime::<Posse, _>(timed::<Posse>(count, kind)),
        Tokio::NAME => in_runtime::<Tokio, _>(timed::<Tokio>(count, kind)),
        Ractor::NAME => in_runtime::<Ractor, _>(timed::<Ractor>(count, kind)),
        Kameo::NAME => in_runtime::<Kameo, _>(timed::<Kameo>(count, kind)),
        other => panic!("unknown subject {other}"),
    };
    time.as_nanos() as f64 / count as f64
}

/// Bytes per actor of a subject.
fn idle(subject: &str, count: u64) -> f64 {
    match subject {
        Posse::NAME => in_runtime::<Posse, _>(idle::bytes::<Posse>(count)),
        Tokio::NAME => in_runtime::<Tokio, _>(idle::bytes::<Tokio>(count)),
        Ractor::NAME => in_runtime::<Ractor, _>(idle::bytes::<Ractor>(count)),
        Kameo::NAME => in_runtime::<Kameo, _>(idle::bytes::<Kameo>(count)),
        other => panic!("unknown subject {other}"),
    }
}

async fn timed<S: Subject>(count: u64, kind: Kind) -> Duration {
    let done = Done::default();
    match kind {
        Kind::PingPong => ping_pong::run::<S>(count, done).await,
        Kind::Ask(askers) => ask::run::<S>(askers, count, done).await,
        Kind::AskFromActor => ask::from_an_actor::<S>(count, done).await,
        Kind::Count(senders) => count::run::<S>(senders, count, done).await,
        Kind::Spawn => spawn::run::<S>(count).await,
    }
}

fn in_runtime<S: Subject, T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (result, measured) = channel();
    S::run(async move { result.send(future.await).expect("the program waits") });
    measured.recv().expect("a figure")
}

/// The middle one.
fn median_ns(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64
}
