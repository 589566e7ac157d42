//~ `Other` is not a message of the protocol `Counting`
use posse::prelude::*;
use serde::{Deserialize, Serialize};

#[posse::protocol]
pub trait Counting {
    async fn add(n: u64) -> u64;
    async fn reset();
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "elsewhere/other")]
struct Other;

async fn send(tally: ActorRef<Counting>) {
    tally.tell(Other).await.unwrap();
}

fn main() {}
