//~ `Tally` does not handle `Reset`
//~ write `impl Handler<Reset> for Tally
use posse::prelude::*;

#[posse::protocol]
pub trait Counting {
    async fn add(n: u64) -> u64;
    async fn reset();
}

struct Tally;
impl Actor for Tally {}
impl Handler<Add> for Tally {
    async fn handle(&mut self, Add { n }: Add, _: &mut Context<Self>) -> u64 {
        n
    }
}

fn share(tally: LocalRef<Tally>) -> ActorRef<Counting> {
    tally.share()
}

fn main() {}
