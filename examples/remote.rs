//! The same actor over the network: a protocol, who serves it, who uses it, and a reference that travels in a message.
//!
//! Run: cargo run --example remote
//! Or on two terminals: cargo run --example remote -- 127.0.0.1:9000
//!                      cargo run --example remote -- --connect 127.0.0.1:9000

use posse::prelude::*;
use posse::signal;

/// Counts. Server and client share this and nothing else.
#[posse::protocol]
pub trait Counting {
    /// Adds to the total, and returns it.
    async fn add(n: u64) -> u64;
    /// Tells a recipient about every change from now on.
    async fn watch(who: ActorRef<Observing>);
}

/// Is told what happens.
#[posse::protocol]
pub trait Observing {
    /// The total has changed.
    async fn changed(total: u64);
}

#[derive(Default)]
struct Tally {
    total: u64,
    watchers: Vec<ActorRef<Observing>>,
}

impl Actor for Tally {}

impl Handler<Add> for Tally {
    async fn handle(&mut self, Add { n }: Add, _: &mut Context<Self>) -> u64 {
        self.total += n;
        for watcher in &self.watchers {
            // A watcher that is gone, or too slow, misses it.
            let _ = watcher.try_tell(Changed { total: self.total });
        }
        self.total
    }
}

impl Handler<Watch> for Tally {
    async fn handle(&mut self, Watch { who }: Watch, _: &mut Context<Self>) {
        self.watchers.push(who);
    }
}

/// Lives with the client; the server tells it over the network.
struct Printer;

impl Actor for Printer {}

impl Handler<Changed> for Printer {
    async fn handle(&mut self, Changed { total }: Changed, _: &mut Context<Self>) {
        println!("the total is {total} now");
    }
}

async fn serve(address: &str) -> posse::Result<Node> {
    let node = Node::listen(address).await?;
    node.register("tally", posse::spawn(Tally::default).share::<Counting>()).await?;
    if let Some(address) = node.local_addr() {
        println!("listening on {address}");
    }
    Ok(node)
}

async fn count(address: &str) -> posse::Result {
    let node = Node::connect(address).await?;
    let tally: ActorRef<Counting> = node.whereis("tally").await?;

    let printer = posse::spawn(|| Printer);
    tally.watch(printer.share()).await?;
    println!("5 added: {}", tally.add(5).await?);
    println!("7 added: {}", tally.ask(Add { n: 7 }).within(secs(1)).await?);

    node.shutdown().await;
    printer.drain();
    printer.closed().await;
    Ok(())
}

#[posse::main]
async fn main() -> posse::Result {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let server = serve("127.0.0.1:0").await?;
            let address = server.local_addr().ok_or("the server does not listen")?;
            count(&address.to_string()).await
        }
        ["--connect", address] => count(address).await,
        [address] => {
            let shutdown = signal::shutdown();
            let server = serve(address).await?;
            shutdown.await?;
            server.shutdown().await;
            Ok(())
        }
        _ => Err("give an address to listen on, --connect and an address, or nothing".into()),
    }
}
