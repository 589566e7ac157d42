//~ LocalRef<Tally>` cannot leave this process
//~ a `LocalRef` stays in its process: send what `.share::<Protocol>()` returns
use posse::prelude::*;

pub struct Tally;
impl Actor for Tally {}

#[posse::protocol]
pub trait Counting {
    async fn watch(who: LocalRef<Tally>);
}

fn main() {}
