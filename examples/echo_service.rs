//! A supervised TCP service: an actor for each connection, restarts with backoff, an ordered end at ctrl-c or SIGTERM.
//!
//! Run: cargo run --example echo_service -- 127.0.0.1:7000

use posse::prelude::*;

struct Echo(TcpStream);

impl Actor for Echo {
    async fn run(&mut self, _: &mut Context<Self>) -> posse::Result {
        let (mut read, mut write) = self.0.split();
        io::copy(&mut read, &mut write).await?;
        Ok(())
    }
}

fn main() -> posse::Result {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".to_owned());
    let listener =
        Listener::tcp(address).max_connections(10_000).on_bound(|address| println!("listening on {address}"));

    Supervisor::one_for_one()
        .restart_limit(5, secs(10))
        .backoff(Backoff::exponential(ms(50)..secs(5)))
        .child(listener.serve(Echo).name("echo"))
        .main()
}
