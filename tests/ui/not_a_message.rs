//~ `Plain` is not a message
//~ write `#[derive(Message)]` on it
use posse::prelude::*;

struct Plain;

struct Counter;
impl Actor for Counter {}
impl Handler<Plain> for Counter {
    async fn handle(&mut self, _: Plain, _: &mut Context<Self>) {}
}

fn main() {}
