//~ `Secret` cannot leave this process
//~ derive `Serialize` and `Deserialize` on it, or send it to a `LocalRef`
use posse::prelude::*;

pub struct Secret;

#[posse::protocol]
pub trait Counting {
    async fn keep(secret: Secret);
}

fn main() {}
