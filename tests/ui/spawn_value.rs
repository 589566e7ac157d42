//~ an actor cannot be started from `Counter`
//~ write a closure that makes the actor
//~ `Spec::once(actor)`
use posse::prelude::*;

struct Counter(#[expect(dead_code)] u64);
impl Actor for Counter {}

fn main() {
    posse::spawn(Counter(0));
}
