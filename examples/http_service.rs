//! A web service: an axum router whose handlers ask an actor, under a supervisor, with an ordered end at ctrl-c or SIGTERM.
//!
//! Run: cargo run --example http_service -- 127.0.0.1:8080
//!
//! Then: curl http://127.0.0.1:8080/add/5

use axum::extract::Path;
use axum::{Router, http::StatusCode, routing::get};
use posse::prelude::*;

#[derive(Message)]
#[message(reply = u64)]
struct Add(u64);

struct Counter(u64);
impl Actor for Counter {}
impl Handler<Add> for Counter {
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

async fn add(Path(n): Path<u64>) -> Result<String, StatusCode> {
    let counter = System::current().whereis::<Counter>("counter").ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    counter.ask(Add(n)).await.map(|total| format!("{total}\n")).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

fn main() -> posse::Result {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = Listener::tcp(address).on_bound(|address| println!("listening on {address}"));
    Supervisor::one_for_one()
        .child(Spec::new(|| Counter(0)).name("counter"))
        .child(listener.http(Router::new().route("/add/{n}", get(add))).name("http"))
        .main()
}
