//~ `Counter` does not handle `Sub`
//~ write `impl Handler<Sub> for Counter
use posse::prelude::*;

struct Counter;
impl Actor for Counter {}

#[derive(Message)]
struct Sub;

async fn send(counter: LocalRef<Counter>) {
    counter.tell(Sub).await.unwrap();
}

fn main() {}
