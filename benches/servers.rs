//! Whole servers beside those of others, driven by programs of others: hyper on Posse beside hyper on Tokio by `wrk`, `examples/mini_redis` beside
//! redis-server by `redis-benchmark`. Subjects take turns, each round in a fresh process; medians, and the ratio to the other one.
//!
//! `cargo bench -p posse-benches --bench servers [-- --smoke]`; what is not installed is left out, and said.
#![allow(clippy::unwrap_used, missing_docs)]

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use posse_benches::process::{Server, listening};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

// Its `main` is the example's own.
#[allow(dead_code)]
#[path = "../examples/mini_redis/main.rs"]
mod mini_redis;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--serve") {
        return serve(&arguments[at + 1]);
    }
    let plan = if arguments.iter().any(|argument| argument == "--smoke") {
        Plan { rounds: 1, seconds: 1, requests: 10_000 }
    } else {
        Plan { rounds: 5, seconds: 4, requests: 1_000_000 }
    };
    if is_installed("wrk") {
        web(&plan);
    } else {
        println!("left out: wrk is not installed");
    }
    if is_installed("redis-benchmark") && is_installed("redis-server") {
        redis(&plan);
    } else {
        println!("left out: redis-server and redis-tools are not installed");
    }
}

struct Plan {
    rounds: usize,
    /// Of each run of `wrk`.
    seconds: usize,
    /// Of each run of `redis-benchmark`.
    requests: usize,
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn serve(kind: &str) {
    match kind {
        "hyper on posse" => posse_runtime().block_on(hyper_on_posse()),
        "posse::http" => posse_runtime().block_on(posse_http()),
        "hyper on tokio" => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2).enable_all().build().unwrap().block_on(hyper_on_tokio());
        }
        "mini_redis" => posse::run(mini_redis::serve("127.0.0.1:0".to_owned(), None)).unwrap(),
        other => panic!("no server is called {other}"),
    }
}

fn posse_runtime() -> posse::runtime::Runtime {
    posse::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

/// Answers with a word, after the whole body has been read and dropped.
async fn hello<B: Body + Unpin>(mut request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    while let Some(Ok(_)) = request.body_mut().frame().await {}
    Ok(Response::new(Full::new(Bytes::from_static(b"Hello, world!"))))
}

async fn hyper_on_posse() {
    let listener = posse::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    announce(listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        posse::task::spawn(async move {
            http1::Builder::new().serve_connection(stream, service_fn(hello::<Incoming>)).await
        });
    }
}

async fn posse_http() {
    let listener = posse::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    announce(listener.local_addr().unwrap());
    posse::http::serve(listener, posse::http::service_fn(hello)).await.unwrap();
}

async fn hyper_on_tokio() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    announce(listener.local_addr().unwrap());
    loop {
        let stream = hyper_util::rt::TokioIo::new(listener.accept().await.unwrap().0);
        tokio::spawn(
            async move { http1::Builder::new().serve_connection(stream, service_fn(hello::<Incoming>)).await },
        );
    }
}

/// Says where it listens; the end of the standard input is the end of the process.
#[expect(clippy::disallowed_methods, reason = "a thread that waits for a pipe, in a server that is measured")]
fn announce(address: SocketAddr) {
    std::thread::spawn(move || listening(address));
}

const WEB: [&str; 3] = ["hyper on posse", "posse::http", "hyper on tokio"];

fn web(plan: &Plan) {
    let script = std::env::temp_dir().join(format!("posse-bench-{}.lua", std::process::id()));
    std::fs::write(&script, "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", 1048576)\n").unwrap();
    let script = script.to_str().unwrap();
    println!("| requests/s | {} | posse::http / hyper on tokio | hyper on posse / on tokio |", WEB.join(" | "));
    println!("|---|---|---|---|---|---|");
    for (row, connections, post) in
        [("hello, c=64", 64, false), ("hello, c=1,000", 1_000, false), ("POST 1 MiB, c=8", 8, true)]
    {
        let mut figures = [const { Vec::new() }; WEB.len()];
        for _ in 0..plan.rounds {
            for (kind, figures) in WEB.iter().zip(&mut figures) {
                let server = Server::start(kind);
                figures.push(wrk(&server, plan, connections, post.then_some(script)));
            }
        }
        let medians = figures.map(median);
        let shown: Vec<_> = medians.iter().map(|median| format!("{median:.0}")).collect();
        let (served, direct) = (medians[1] / medians[2], medians[0] / medians[2]);
        println!("| {row} | {} | {served:.2} | {direct:.2} |", shown.join(" | "));
    }
    let _ = std::fs::remove_file(script);
}

fn wrk(server: &Server, plan: &Plan, connections: usize, script: Option<&str>) -> f64 {
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{}s", plan.seconds)]);
    command.args(script.iter().flat_map(|script| ["-s", script]));
    let output = command.arg(format!("http://{}/", server.address)).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains("Non-2xx"), "{said}");
    let rate = said.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")).expect("a rate");
    rate.trim().parse().unwrap()
}

/// A redis-server without persistence; killed when it is dropped.
struct Redis(Child, u16);

impl Redis {
    #[expect(clippy::disallowed_methods, reason = "a free port for a server that is not ours")]
    fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        Self(child, port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn redis(plan: &Plan) {
    println!("\n| requests/s, 50 connections | mini_redis | redis-server | ratio |");
    println!("|---|---|---|---|");
    for pipeline in [1, 16, 64] {
        let requests = if pipeline == 1 { plan.requests / 5 } else { plan.requests };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            let server = Server::start("mini_redis");
            ours.push(redis_benchmark(server.address.port(), pipeline, requests));
            drop(server);
            let server = Redis::start();
            theirs.push(redis_benchmark(server.1, pipeline, requests));
        }
        for (test, of) in [("SET", 0), ("GET", 1)] {
            let [ours, theirs] =
                [&ours, &theirs].map(|rounds| median(rounds.iter().map(|round: &[f64; 2]| round[of]).collect()));
            println!("| {test}, P={pipeline} | {ours:.0} | {theirs:.0} | {:.2} |", ours / theirs);
        }
    }
}

/// Requests a second of SET and GET.
fn redis_benchmark(port: u16, pipeline: usize, requests: usize) -> [f64; 2] {
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &port.to_string(), "-P", &pipeline.to_string(), "-n", &requests.to_string()]);
    let output = command.args(["-t", "set,get", "-r", "100000", "-c", "50", "--csv"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    ["SET", "GET"].map(|test| {
        let row = said.lines().find_map(|line| line.strip_prefix(&format!("\"{test}\",\"")));
        let rate = row.and_then(|row| row.split('"').next());
        rate.unwrap_or_else(|| panic!("no figure for {test}: {said}")).parse().unwrap()
    })
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
