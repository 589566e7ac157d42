//~ `Secret` cannot leave this process
use posse::prelude::*;

pub struct Secret;

#[posse::protocol]
pub trait Counting {
    async fn reveal() -> Secret;
}

fn main() {}
