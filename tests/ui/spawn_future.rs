//~ an actor cannot be started from `{async block@
//~ `posse::task::spawn(future)`
fn main() {
    posse::spawn(async {});
}
