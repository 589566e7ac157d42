//! The smallest program: an actor that counts, and a question to it.
//!
//! Run: cargo run --example hello

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

#[posse::main]
async fn main() -> posse::Result {
    let counter = posse::spawn(|| Counter(0));
    println!("{}", counter.ask(Add(5)).await?);
    println!("{}", counter.ask(Add(37)).await?);
    Ok(())
}
