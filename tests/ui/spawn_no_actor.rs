//~ `Counter` is not an actor
//~ write `impl Actor for Counter {}`
struct Counter;

fn main() {
    posse::spawn(|| Counter);
}
