//~ this must be an `async fn`
//~ this function takes no arguments
//~ `message` knows `reply = Type`, `name = "area/what"`, `version = 1` and `crate = path`
//~ a version needs a name: `name = "area/what"`
//~ a program's time does not stand still; that of a test does
mod a {
    #[posse::main]
    fn main() {}
}
mod b {
    #[posse::test]
    async fn test(n: u64) {}
}
mod c {
    #[derive(posse::Message)]
    #[message(answer = u64)]
    struct Add;
}
mod d {
    #[derive(posse::Message)]
    #[message(version = 2)]
    struct Add;
}
mod e {
    #[posse::main(start_paused = true)]
    async fn main() {}
}

fn main() {}
