//! The table of `benches/README.md`: each cell in a fresh process, subjects in turn, medians and spread, ratios.
//!
//! Run: cargo bench -p posse-benches --bench compare            (9 rounds)
//!      cargo bench -p posse-benches --bench compare -- --smoke (1 small round)
#![allow(clippy::unwrap_used, clippy::expect_used)]

use posse_benches::subject::{Done, Kameo, Posse, Ractor, Subject, Tokio};
use std::future::Future;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const ROUNDS: usize = 9;
const SUBJECTS: [&str; 4] = [Posse::NAME, Tokio::NAME, Ractor::NAME, Kameo::NAME];

/// A name, and how many operations a full run has.
const SCENARIOS: [(&str, u64); 5] = [
    ("tell ping-pong", 1_000_000),
    ("ask, 1 in flight", 300_000),
    ("count 1 -> 1", 1_000_000),
    ("fan-in 8 -> 1", 1_000_000),
    ("spawn + stop", 50_000),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.as_slice() {
        [cell, subject, scenario, count] if cell == "--cell" => {
            let count = count.parse().expect("a count");
            let time = match subject.as_str() {
                Posse::NAME => measure::<Posse>(scenario, count),
                Tokio::NAME => measure::<Tokio>(scenario, count),
                Ractor::NAME => measure::<Ractor>(scenario, count),
                _ => measure::<Kameo>(scenario, count),
            };
            println!("{}", time.as_nanos() as f64 / count as f64);
        }
        [smoke] if smoke == "--smoke" => table(1, 100),
        [] => table(ROUNDS, 1),
        other => panic!("unknown arguments {other:?}; known is --smoke"),
    }
}

fn table(rounds: usize, divisor: u64) {
    println!("ns per operation, 2 workers: median (min..max) of {rounds}, and the ratio to posse's median\n");
    for (scenario, count) in SCENARIOS {
        let mut times = vec![Vec::new(); SUBJECTS.len()];
        for _ in 0..rounds {
            for (subject, times) in SUBJECTS.iter().zip(&mut times) {
                times.push(cell(subject, scenario, count / divisor));
            }
        }
        let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
        for ((subject, times), median) in SUBJECTS.iter().zip(&times).zip(&medians) {
            let (min, max) = (times[0], times[times.len() - 1]);
            println!("{scenario:18} {subject:8} {median:8.0} ({min:.0}..{max:.0})  {:6.2}x", median / medians[0]);
        }
        println!();
    }
}

/// One measurement in a process of its own.
fn cell(subject: &str, scenario: &str, count: u64) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["--cell", subject, scenario, &count.to_string()])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn measure<S: Subject>(scenario: &str, count: u64) -> Duration {
    let (result, time) = channel();
    let scenario = scenario.to_owned();
    S::run(async move {
        let done = Done::default();
        let time = match scenario.as_str() {
            "tell ping-pong" => {
                let start = now();
                S::rally(count, done.clone()).await;
                done.wait().await;
                start.elapsed()
            }
            "ask, 1 in flight" => {
                let counter = S::counter(u64::MAX, done).await;
                let start = now();
                for _ in 0..count {
                    S::sum(&counter).await;
                }
                start.elapsed()
            }
            "count 1 -> 1" => many::<S>(1, count, done).await,
            "fan-in 8 -> 1" => many::<S>(8, count, done).await,
            _ => {
                let start = now();
                for _ in 0..count {
                    S::spawn_and_stop().await;
                }
                start.elapsed()
            }
        };
        result.send(time).expect("the program waits");
    });
    time.recv().expect("a time")
}

/// So many senders tell one counter.
async fn many<S: Subject>(senders: u64, count: u64, done: Done) -> Duration {
    let each = count / senders;
    let counter = S::counter(each * senders, done.clone()).await;
    let start = now();
    let mut tasks = Vec::new();
    for _ in 0..senders {
        let counter = counter.clone();
        tasks.push(Box::pin(S::task(async move {
            for n in 0..each {
                S::add(&counter, n).await;
            }
        })));
    }
    // The first poll of each starts its task.
    std::future::poll_fn(|cx| {
        tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
        if tasks.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.wait().await;
    start.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}
