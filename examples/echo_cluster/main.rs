//! A cluster of processes that echo, and a client that drives them, kills one and adds everything up.
//!
//! Run: cargo run --example echo_cluster
//!
//! By hand, on several terminals:
//!   cargo run --example echo_cluster -- --node a --listen 127.0.0.1:7001
//!   cargo run --example echo_cluster -- --node b --listen 127.0.0.1:7002 --join 127.0.0.1:7001
//!   cargo run --example echo_cluster -- --drive --join 127.0.0.1:7001 --join 127.0.0.1:7002

mod load;
mod process;
mod report;
mod service;

use load::{Load, counters};
use posse::cluster::{Node, PeerState};
use posse::prelude::*;
use posse::sync::CancellationToken;
use posse::time::{Instant, sleep, timeout};
use posse::{ExitReason, signal};
use process::Process;
use report::Row;
use service::{Echoing, Parrot, payload};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const HELP: &str = "\
Without arguments: starts three nodes on this machine, drives them, kills one of them in mid-run, starts it again,
and checks that every message is accounted for.

  --node NAME     be a node with an echo actor, until ctrl-c or SIGTERM
  --listen ADDR   where the node listens; default 127.0.0.1:0, which lets the system choose a port
  --join ADDR     a node to connect to; may be given more than once
  --drive         drive the joined nodes for 5 seconds and print the table
  --help          this text

Nodes without credentials talk over loopback addresses only, so for now all of them run on one machine.
";

/// How long each part of the run drives the nodes.
const PART: Duration = Duration::from_millis(1500);

#[derive(Default)]
struct Arguments {
    node: Option<String>,
    listen: Option<String>,
    join: Vec<String>,
    drive: bool,
    help: bool,
    /// Leave when the node of this name is down. For the nodes that the run starts, so that none is left behind.
    until_down: Option<String>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> posse::Result<Self> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value; try --help"));
            match word.as_str() {
                "--node" => arguments.node = Some(value()?),
                "--listen" => arguments.listen = Some(value()?),
                "--join" => arguments.join.push(value()?),
                "--until-down" => arguments.until_down = Some(value()?),
                "--drive" => arguments.drive = true,
                "--help" | "-h" => arguments.help = true,
                other => return Err(format!("unknown argument {other}; try --help").into()),
            }
        }
        Ok(arguments)
    }
}

#[posse::main]
async fn main() -> posse::Result {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    if arguments.help {
        print!("{HELP}");
        return Ok(());
    }
    match &arguments.node {
        Some(name) => be_a_node(name, &arguments).await,
        None if arguments.drive => drive_by_hand(&arguments.join).await,
        None => run_the_cluster().await,
    }
}

/// One node: an echo actor under a name, until it is ended.
async fn be_a_node(name: &str, arguments: &Arguments) -> posse::Result {
    // Installed first, so that a signal counts from the first line on, also while the node joins others.
    let signalled = signal::shutdown();
    let listen = arguments.listen.as_deref().unwrap_or("127.0.0.1:0");
    let node = Node::builder().name(name).listen(listen).await?;
    let parrot = posse::spawn(Parrot::default);
    node.register(&format!("echo-{name}"), parrot.share::<Echoing>()).await?;
    if let Some(address) = node.local_addr() {
        println!("listening on {address}");
    }
    let told = CancellationToken::new();
    let telling = told.clone();
    let listening = posse::task::spawn(async move {
        let result = signalled.await;
        telling.cancel();
        result
    });
    let life = live(&node, arguments);
    match told.run_until_cancelled(life).await {
        Some(result) => result?,
        None => listening.await??,
    }

    node.shutdown().await;
    parrot.drain();
    parrot.closed().await;
    Ok(())
}

/// Joins others, and stays; at most until a certain node is down.
async fn live(node: &Node, arguments: &Arguments) -> posse::Result {
    for address in &arguments.join {
        node.join(address.as_str()).await?;
        println!("joined {address}");
    }
    match arguments.until_down.as_deref() {
        Some(up) => node.wait_for(|peers| peers.iter().any(|p| p.name == up && p.state == PeerState::Down)).await,
        None => std::future::pending().await,
    }
    Ok(())
}

/// Drives nodes that another process has started.
async fn drive_by_hand(join: &[String]) -> posse::Result {
    let client = match join.split_first() {
        Some((first, rest)) => {
            let client = Node::connect(first.as_str()).await?;
            for address in rest {
                client.join(address.as_str()).await?;
            }
            client
        }
        None => return Err("--drive needs at least one --join; try --help".into()),
    };
    let (stop, requests) = (CancellationToken::new(), Arc::default());
    let mut loads = Vec::new();
    for peer in client.peers() {
        loads.push((peer.name.clone(), Load::start(&client, &peer.name, &stop, &requests).await?));
    }
    progress(&requests, secs(5)).await;
    stop.cancel();
    let mut rows = Vec::new();
    for (name, load) in loads {
        let (seen, counters) = settle(&client, load).await?;
        let handled = seen.handled;
        rows.push(Row { name, seen, counters, handled, relayed: 0, killed: false });
    }
    report::print(&mut rows);
    Ok(())
}

/// The whole story: three processes, one of which dies in the middle.
async fn run_the_cluster() -> posse::Result {
    let mut processes = Vec::new();
    for name in ["a", "b", "c"] {
        processes.push(Process::start(name).await?);
    }
    let client = Node::builder().name("client").connect(processes[0].address).await?;
    for process in &processes {
        println!("node {} is process {} and listens on {}", process.name, process.id(), process.address);
        if process.name != "a" {
            client.join(process.address).await?;
        }
    }

    let (stop, requests) = (CancellationToken::new(), Arc::default());
    let a = Load::start(&client, "a", &stop, &requests).await?;
    let b = Load::start(&client, "b", &stop, &requests).await?;
    let c = Load::start(&client, "c", &stop, &requests).await?;
    println!("found echo-a, echo-b and echo-c by name");
    progress(&requests, PART).await;
    pass_a_reference(&a, &c).await?;

    println!("killing node b with SIGKILL");
    let killed = Instant::now();
    processes[1].kill().await?;
    let reason = timeout(secs(15), b.actor.closed()).await?;
    if reason != ExitReason::NodeDown {
        return Err(format!("the monitor of b said: {reason}").into());
    }
    println!("its monitor fired after {:.1} ms: {reason}", killed.elapsed().as_secs_f64() * 1000.0);
    progress(&requests, PART / 3).await;

    processes[1] = Process::start("b").await?;
    client.join(processes[1].address).await?;
    let again = Load::start(&client, "b", &stop, &requests).await?;
    println!("node b is process {} now, joined and found again", processes[1].id());
    progress(&requests, PART).await;
    stop.cancel();

    let mut rows = Vec::new();
    for (name, load, relayed) in [("a", a, 0), ("b, again", again, 0), ("c", c, 1)] {
        rows.push(living(&client, name, load, relayed).await?);
    }
    let (seen, counters) = settle(&client, b).await?;
    let handled = seen.handled;
    rows.insert(1, Row { name: "b, killed".into(), seen, counters, handled, relayed: 0, killed: true });
    report::print(&mut rows);
    let broken = report::check(&rows);

    client.shutdown().await;
    for process in processes {
        process.end().await?;
    }
    if broken > 0 {
        return Err(format!("{broken} of the sums above do not hold").into());
    }
    println!("everything is accounted for");
    Ok(())
}

/// Gives the actor at node a a reference to the one at node c, which it uses there.
async fn pass_a_reference(a: &Load, c: &Load) -> posse::Result {
    let sent = payload(7);
    a.offered_one_more();
    let echoed = a.actor.relay(c.actor.clone(), sent.clone()).await??;
    if echoed.payload != sent {
        return Err("the payload was changed on its way".into());
    }
    println!("the actor at a was given a reference to the one at c, and used it");
    Ok(())
}

/// The row of a node that lives: its actor is asked what it has handled.
async fn living(client: &Node, name: &str, load: Load, relayed: u64) -> posse::Result<Row> {
    let actor = load.actor.clone();
    let (mut seen, _) = settle(client, load).await?;
    seen.offered += 1;
    let counts = actor.count().await?;
    seen.corrupt += counts.corrupt;
    let node = actor.id().node().ok_or("the actor should live at another node")?;
    let counters = settled(client, node).await?;
    Ok(Row { name: name.into(), seen, counters, handled: counts.handled, relayed, killed: false })
}

/// Ends a load and waits until the fate of every message is known.
async fn settle(client: &Node, load: Load) -> posse::Result<(load::Seen, posse::cluster::Counters)> {
    let node = load.node;
    let seen = load.finish().await?;
    Ok((seen, settled(client, node).await?))
}

async fn settled(client: &Node, node: posse::NodeId) -> posse::Result<posse::cluster::Counters> {
    let settling = async {
        loop {
            match counters(client, node) {
                Some(counters) if counters.unsettled == 0 => return Ok(counters),
                Some(_) => sleep(ms(5)).await,
                None => return Err(format!("node {node} is not known").into()),
            }
        }
    };
    timeout(secs(10), settling).await?
}

/// Says now and then how far it is.
async fn progress(requests: &AtomicU64, time: Duration) {
    let steps = 3;
    for _ in 0..steps {
        let before = requests.load(Ordering::Relaxed);
        sleep(time / steps).await;
        let now = requests.load(Ordering::Relaxed);
        let rate = (now - before) as f64 / (time / steps).as_secs_f64();
        println!("  {now:>9} requests, {rate:>8.0} a second");
    }
}
