//~ `Other` has no name that other processes know it by
use posse::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Message, Serialize, Deserialize)]
struct Other;

fn name<M: posse::protocol::Wire>() -> &'static str {
    M::TYPE.name
}

fn main() {
    name::<Other>();
}
