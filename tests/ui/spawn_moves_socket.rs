//~ an actor cannot be started from `{closure@
//~ if the actor cannot be made again, as it owns a socket or the like: `Spec::once(actor)`
use posse::prelude::*;

struct Echo(#[expect(dead_code)] TcpStream);
impl Actor for Echo {}

fn serve(stream: TcpStream) {
    posse::spawn(move || Echo(stream));
}

fn main() {}
