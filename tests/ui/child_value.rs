//~ an actor cannot be started from `Counter`
//~ write a closure that makes the actor
use posse::prelude::*;

struct Counter(#[expect(dead_code)] u64);
impl Actor for Counter {}

fn main() {
    let _ = Supervisor::one_for_one().child(Counter(0));
}
