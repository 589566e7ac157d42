//! What Posse says of itself, and where a handler's own log line comes from. `docs/guide/events.md` lists it all.
//!
//! Run: cargo run --example events

use posse::prelude::*;
use tracing::Level;

struct Till {
    cents: u64,
}

impl Actor for Till {}

#[derive(Message)]
#[message(reply = u64)]
struct Pay(u64);

impl Handler<Pay> for Till {
    async fn handle(&mut self, Pay(cents): Pay, _: &mut Context<Self>) -> u64 {
        assert!(cents < 1_000_000, "no account has that much");
        self.cents += cents;
        // The line says in which actor and with which message, though nothing here does.
        tracing::info!(total = self.cents, "paid");
        self.cents
    }
}

#[posse::main]
async fn main() -> posse::Result {
    tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(std::io::stderr).without_time().init();

    // A handler's line in its span; then a restart, which is a warning.
    let supervisor = Supervisor::one_for_one().spawn();
    let till = supervisor.start_child(Spec::new(|| Till { cents: 0 }).name("till")).await?;
    till.ask(Pay(250)).await?;
    if let Err(error) = till.ask(Pay(5_000_000)).await {
        println!("the asker is told: {error}");
    }
    till.ask(Pay(100)).await?;

    // This one is not restarted: its failure is an error.
    let alone = posse::spawn(|| Till { cents: 0 });
    alone.tell(Pay(5_000_000)).await?;
    println!("it ended: {}", alone.closed().await);

    // What a stop leaves behind is counted, and said.
    let stopped = posse::spawn(|| Till { cents: 0 });
    stopped.stop();
    for _ in 0..3 {
        let _ = stopped.try_tell(Pay(1));
    }
    stopped.closed().await;

    supervisor.shutdown().await;
    Ok(())
}
