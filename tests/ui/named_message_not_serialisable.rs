//~ `Deposit` cannot leave this process
use posse::prelude::*;

#[derive(Message)]
#[message(name = "bank/deposit")]
struct Deposit {
    cents: u64,
}

fn main() {}
