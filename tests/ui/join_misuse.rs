//~ `join!` takes futures with commas between them, after `biased;` if that is wanted
//~ `try_join!` takes futures with commas between them, after `biased;` if that is wanted
//~ up to 32 futures can be joined
//~ `u8` is not a future
async fn semicolon() {
    posse::join!(async {}; async {});
}

async fn order() {
    let _ = posse::try_join!(async { Ok::<(), u8>(()) }, biased;);
}

async fn too_many() {
    posse::join!(
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
    );
}

async fn no_future() {
    posse::join!(1u8);
}

fn main() {}
