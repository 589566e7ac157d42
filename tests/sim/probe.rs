//! An actor that writes down what it sees, and what the failure scenarios share.

use posse::NodeId;
use posse::cluster::{Counters, PeerInfo, PeerState};
use posse::prelude::*;
use posse::sim::{MachineBuilder, Sim, SimMachine};
use posse_wire::{TypeInfo, fnv1a64};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// As deep as one likes.
#[derive(Serialize, Deserialize)]
pub enum Chain {
    End,
    Link(Box<Chain>),
}

/// As many bytes as are given at most: more than any test asks for.
const GIVEN_MAX: u64 = 64 << 20;

/// What it speaks.
#[posse::protocol]
pub trait Probing {
    async fn echo(text: String) -> String;
    async fn note(n: u64);
    async fn seen() -> Vec<String>;
    async fn slow(ms: u64) -> u64;
    async fn weigh(bytes: Vec<u8>) -> u64;
    async fn give(bytes: u64) -> Vec<u8>;
    async fn watch(whom: ActorRef<Probing>);
    /// Tells so many notes to another one, then ends: in order, or by a panic.
    async fn count_and_end(to: ActorRef<Probing>, count: u64, crash: bool);
    async fn nested(list: Vec<Vec<u64>>) -> u64;
    async fn depth(chain: Chain) -> u64;
    /// Asks another one for an echo.
    async fn pass(to: ActorRef<Probing>, text: String) -> Result<String, AskError>;
}

#[derive(Default)]
pub struct Probe {
    seen: Vec<String>,
}

impl Actor for Probe {}

impl Handler<Echo> for Probe {
    async fn handle(&mut self, Echo { text }: Echo, _: &mut Context<Self>) -> String {
        text
    }
}

impl Handler<Note> for Probe {
    async fn handle(&mut self, Note { n }: Note, _: &mut Context<Self>) {
        self.seen.push(n.to_string());
    }
}

impl Handler<Seen> for Probe {
    async fn handle(&mut self, _: Seen, _: &mut Context<Self>) -> Vec<String> {
        self.seen.clone()
    }
}

impl Handler<Slow> for Probe {
    async fn handle(&mut self, Slow { ms: time }: Slow, _: &mut Context<Self>) -> u64 {
        self.seen.push(format!("slow {time}"));
        posse::time::sleep(ms(time)).await;
        time
    }
}

impl Handler<Weigh> for Probe {
    async fn handle(&mut self, Weigh { bytes }: Weigh, _: &mut Context<Self>) -> u64 {
        self.seen.push(format!("{} bytes", bytes.len()));
        assert!(bytes.iter().all(|byte| *byte == 7));
        bytes.len() as u64
    }
}

impl Handler<Give> for Probe {
    async fn handle(&mut self, Give { bytes }: Give, _: &mut Context<Self>) -> Vec<u8> {
        self.seen.push(format!("give {bytes}"));
        // A hostile node may ask for any number: memory for it is the actor's to refuse.
        vec![7; bytes.min(GIVEN_MAX) as usize]
    }
}

impl Handler<Watch> for Probe {
    async fn handle(&mut self, Watch { whom }: Watch, ctx: &mut Context<Self>) {
        ctx.monitor(&whom);
    }
}

impl Handler<Down> for Probe {
    async fn handle(&mut self, Down { reason, .. }: Down, _: &mut Context<Self>) {
        self.seen.push(format!("down: {reason}"));
    }
}

impl Handler<CountAndEnd> for Probe {
    async fn handle(&mut self, CountAndEnd { to, count, crash }: CountAndEnd, ctx: &mut Context<Self>) {
        for n in 0..count {
            let _ = to.note(n).await;
        }
        assert!(!crash, "crash on purpose");
        ctx.stop();
    }
}

impl Handler<Nested> for Probe {
    async fn handle(&mut self, Nested { list }: Nested, _: &mut Context<Self>) -> u64 {
        list.iter().flatten().sum()
    }
}

impl Handler<Depth> for Probe {
    async fn handle(&mut self, Depth { mut chain }: Depth, _: &mut Context<Self>) -> u64 {
        let mut depth = 0;
        while let Chain::Link(next) = chain {
            (chain, depth) = (*next, depth + 1);
        }
        depth
    }
}

impl Handler<Pass> for Probe {
    async fn handle(&mut self, Pass { to, text }: Pass, _: &mut Context<Self>) -> Result<String, AskError> {
        to.echo(text).await
    }
}

/// A machine whose node registers a probe, under a name that every such machine uses and under one of its own.
pub fn server(sim: &Sim, name: &str) -> MachineBuilder {
    sim.node(name).run(|node: Node| async move {
        let probe = posse::spawn(Probe::default).share::<Probing>();
        node.register("probe", probe.clone()).await?;
        node.register(&format!("probe-{}", node.name()), probe).await?;
        Ok(())
    })
}

/// A machine that does nothing of its own accord.
pub async fn idle(sim: &Sim, name: &str) -> SimMachine {
    sim.host(name, || async { Ok(()) }).await
}

/// Joins one machine's node to another's, and finds its probe.
pub async fn find(from: &SimMachine, server: &SimMachine) -> ActorRef<Probing> {
    let address = server.address();
    from.with(move |node| async move { node.join(address).await.unwrap() }).await;
    probe_of(from, server).await
}

/// Finds the probe of a machine whose node is joined.
pub async fn probe_of(from: &SimMachine, server: &SimMachine) -> ActorRef<Probing> {
    let name = format!("probe-{}", server.name());
    from.with(move |node| async move { node.whereis::<Probing>(&name).await.unwrap() }).await
}

/// Asks from a machine for an echo.
pub async fn echo(from: &SimMachine, probe: &ActorRef<Probing>, within: Duration) -> Result<String, AskError> {
    let probe = probe.clone();
    from.run(async move { probe.echo("there?".into()).within(within).await }).await
}

/// Asks from a machine for what a probe has seen. An ask that is on its way when a connection breaks is lost, so it is
/// asked again (`resets_under_load_lose_only_what_was_on_its_way`, seed 615).
pub async fn seen(from: &SimMachine, probe: &ActorRef<Probing>) -> Vec<String> {
    for _ in 0..5 {
        let probe = probe.clone();
        match from.run(async move { probe.seen().within(secs(5)).await }).await {
            Err(AskError::Timeout) => {}
            answer => return answer.unwrap(),
        }
    }
    panic!("nobody answers");
}

/// What a machine's node knows of another incarnation.
pub fn peer(of: &SimMachine, id: NodeId) -> Option<PeerInfo> {
    of.node()?.peers().into_iter().find(|peer| peer.id == id)
}

pub fn state(of: &SimMachine, id: NodeId) -> Option<PeerState> {
    peer(of, id).map(|peer| peer.state)
}

pub fn id_of(machine: &SimMachine) -> NodeId {
    machine.node().unwrap().id()
}

/// Waits until the fate of every message from one node to another is known.
pub async fn settled(sim: &Sim, from: &SimMachine, to: NodeId) -> Counters {
    sim.wait_for(secs(30), "every message is settled", || {
        peer(from, to).is_some_and(|peer| peer.counters.unsettled == 0)
    })
    .await;
    let counters = peer(from, to).unwrap().counters;
    assert_eq!(counters.accepted, counters.acked + counters.undelivered());
    counters
}

/// The numbers among what was seen; they must have come in order, once.
pub fn numbers(seen: &[String]) -> Vec<u64> {
    let numbers: Vec<u64> = seen.iter().filter_map(|entry| entry.parse().ok()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "out of order, or twice: {numbers:?}");
    numbers
}

/// A random time below so many milliseconds.
pub fn moment(sim: &Sim, below_ms: usize) -> Duration {
    Duration::from_micros(sim.random_below(below_ms * 1000) as u64)
}

/// Reads to the end, or a reset, which has to come within a time.
pub async fn until_closed(stream: &mut TcpStream, within: Duration) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = posse::time::timeout(within, stream.read_to_end(&mut all)).await.expect("the connection stays open");
    all
}

/// The type of a message of [`Probing`].
pub fn message(name: &str) -> TypeInfo {
    let id = fnv1a64(format!("Probing/{name}").as_bytes());
    let found = <Probing as posse::protocol::Protocol>::MESSAGES.iter().find(|message| message.id == id).unwrap();
    TypeInfo { id, schema: found.schema }
}
