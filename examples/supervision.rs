//! An actor that breaks now and then, and a supervisor that starts it over. The reference stays good all the time.
//!
//! Run: cargo run --example supervision

use posse::prelude::*;

#[derive(Message)]
#[message(reply = u64)]
struct Divide(u64, u64);

/// Does not check what it is given.
struct Calculator {
    done: u64,
}

impl Actor for Calculator {
    async fn started(&mut self, _: &mut Context<Self>) -> posse::Result {
        println!("  calculator started");
        Ok(())
    }
}

impl Handler<Divide> for Calculator {
    async fn handle(&mut self, Divide(a, b): Divide, _: &mut Context<Self>) -> u64 {
        self.done += 1;
        println!("  dividing {a} by {b}, number {} since the start", self.done);
        a / b
    }
}

#[posse::main]
async fn main() -> posse::Result {
    let supervisor =
        Supervisor::one_for_one().restart_limit(3, secs(10)).backoff(Backoff::exponential(ms(10)..secs(1))).spawn();
    let calculator = supervisor.start_child(Spec::new(|| Calculator { done: 0 }).name("calculator")).await?;

    for (a, b) in [(84, 2), (1, 0), (10, 5)] {
        match calculator.ask(Divide(a, b)).await {
            Ok(quotient) => println!("{a} / {b} = {quotient}"),
            Err(error) => println!("{a} / {b}: {error}"),
        }
    }

    println!("restarts: {}", posse::System::current().restarts());
    supervisor.shutdown().await;
    Ok(())
}
