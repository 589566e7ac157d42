//~ `select!` waits for at least one branch: `pattern = future => handler`
//~ a branch of `select!` is `pattern = future => handler` or `pattern = future, if condition => handler`
//~ `else => handler` is the last branch of `select!`
//~ `select!` takes up to 32 branches
async fn nothing() {
    posse::select! {}
}

async fn no_handler() {
    posse::select! {
        value = async { 1 },
        other = async { 2 } => drop(other),
    }
}

async fn no_pattern() {
    posse::select! {
        async => 1,
    }
}

async fn else_before_others() {
    posse::select! {
        else => {}
        () = async {} => {}
    }
}

async fn too_many() {
    posse::select! {
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {} () = async {} => {}
        () = async {} => {} () = async {} => {} () = async {} => {}
    }
}

fn main() {}
