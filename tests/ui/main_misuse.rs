//~ this must be an `async fn`
//~ this function takes no arguments
//~ the flavor is `current_thread` or `multi_thread`
//~ a number of workers needs the flavor `multi_thread`
//~ this is set twice
//~ known are `flavor = ".."`, `workers = N` and `crate = path`, for tests also `start_paused = true`, `sim` and `seeds = N`
//~ expected integer literal
//~ this function is a test already
//~ a simulated test takes one argument: `sim: Sim`
mod a {
    #[posse::main]
    fn main() {}
}
mod b {
    #[posse::main]
    async fn main(arguments: Vec<String>) {}
}
mod c {
    #[posse::main(flavor = "one")]
    async fn main() {}
}
mod d {
    #[posse::main(workers = 2, flavor = "current_thread")]
    async fn main() {}
}
mod e {
    #[posse::main(workers = 2, workers = 3)]
    async fn main() {}
}
mod f {
    #[posse::main(sim)]
    async fn main() {}
}
mod g {
    #[posse::main(workers = "two")]
    async fn main() {}
}
mod h {
    #[posse::test]
    #[test]
    async fn test() {}
}
mod i {
    #[posse::test(sim)]
    async fn test() {}
}

fn main() {}
