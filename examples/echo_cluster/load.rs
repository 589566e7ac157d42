//! The load: tasks that ask and tell one node until they are told to stop, and what they saw.

use crate::service::{Echoing, Note, payload};
use posse::cluster::{Counters, Node};
use posse::prelude::*;
use posse::sync::CancellationToken;
use posse::time::Instant;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Tasks that ask one node at once.
const ASKERS: u64 = 8;

/// Notes a teller sends before it asks for an echo, so that it does not run ahead of the actor.
const NOTES_AT_ONCE: u64 = 32;

/// What was seen of one incarnation of a node.
#[derive(Default)]
pub struct Seen {
    pub offered: u64,
    pub answered: u64,
    pub corrupt: u64,
    /// The most messages the actor said it had handled.
    pub handled: u64,
    pub errors: BTreeMap<String, u64>,
    pub latencies_ns: Vec<u64>,
    /// How long the load lasted.
    pub seconds: f64,
}

/// The load on one incarnation of a node.
pub struct Load {
    pub node: posse::NodeId,
    pub actor: ActorRef<Echoing>,
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<posse::task::JoinHandle<()>>,
}

impl Load {
    /// Finds the echo actor of a node by its name, and starts to ask and to tell it.
    pub async fn start(
        client: &Node,
        name: &str,
        stop: &CancellationToken,
        requests: &Arc<AtomicU64>,
    ) -> posse::Result<Self> {
        let actor: ActorRef<Echoing> = client.whereis(&format!("echo-{name}")).await?;
        let node = actor.id().node().ok_or("the actor should live at another node")?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = Vec::new();
        for n in 0..ASKERS {
            let (actor, seen, stop, requests) = (actor.clone(), seen.clone(), stop.clone(), requests.clone());
            tasks.push(posse::task::spawn(ask(actor, n << 32, seen, stop, requests)));
        }
        tasks.push(posse::task::spawn(tell(actor.clone(), seen.clone(), stop.clone(), requests.clone())));
        Ok(Self { node, actor, seen, tasks })
    }

    /// Counts something that was sent beside the load.
    pub fn offered_one_more(&self) {
        lock(&self.seen).offered += 1;
    }

    /// Waits for the tasks. Returns what they saw.
    pub async fn finish(self) -> posse::Result<Seen> {
        for task in self.tasks {
            task.await?;
        }
        Ok(std::mem::take(&mut *lock(&self.seen)))
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn ask(
    actor: ActorRef<Echoing>,
    first: u64,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    requests: Arc<AtomicU64>,
) {
    let (mut mine, start) = (Seen::default(), Instant::now());
    let mut number = first;
    while !stop.is_cancelled() && mine.ask(&actor, number).await {
        number += 1;
        requests.fetch_add(1, Ordering::Relaxed);
    }
    mine.seconds = start.elapsed().as_secs_f64();
    merge(&seen, mine);
}

async fn tell(actor: ActorRef<Echoing>, seen: Arc<Mutex<Seen>>, stop: CancellationToken, requests: Arc<AtomicU64>) {
    let (mut mine, start) = (Seen::default(), Instant::now());
    let mut number = 0;
    while !stop.is_cancelled() && mine.tell(&actor, number).await {
        number += 1;
        requests.fetch_add(1, Ordering::Relaxed);
        if number % NOTES_AT_ONCE == 0 && !mine.ask(&actor, number).await {
            break;
        }
    }
    mine.seconds = start.elapsed().as_secs_f64();
    merge(&seen, mine);
}

impl Seen {
    /// Asks for an echo and checks it. False if the node is gone.
    async fn ask(&mut self, actor: &ActorRef<Echoing>, number: u64) -> bool {
        let (sent, start) = (payload(number), Instant::now());
        self.offered += 1;
        match actor.echo(sent.clone()).await {
            Ok(echoed) => {
                self.latencies_ns.push(start.elapsed().as_nanos() as u64);
                self.answered += 1;
                self.corrupt += u64::from(echoed.payload != sent);
                self.handled = self.handled.max(echoed.handled);
                true
            }
            Err(error) => self.failed(error.to_string(), error != AskError::NodeDown),
        }
    }

    /// Tells a note. False if the node is gone.
    async fn tell(&mut self, actor: &ActorRef<Echoing>, number: u64) -> bool {
        self.offered += 1;
        match actor.tell(Note { number, payload: payload(number) }).await {
            Ok(()) => true,
            // The message comes back with the reason.
            Err(error) => self.failed(error.to_string(), error.into_message().number != number),
        }
    }

    fn failed(&mut self, error: String, go_on: bool) -> bool {
        *self.errors.entry(error).or_default() += 1;
        go_on
    }
}

fn merge(seen: &Mutex<Seen>, mine: Seen) {
    let mut seen = lock(seen);
    seen.offered += mine.offered;
    seen.answered += mine.answered;
    seen.corrupt += mine.corrupt;
    seen.handled = seen.handled.max(mine.handled);
    seen.latencies_ns.extend(mine.latencies_ns);
    seen.seconds = seen.seconds.max(mine.seconds);
    for (error, count) in mine.errors {
        *seen.errors.entry(error).or_default() += count;
    }
}

/// What became of the messages to a node, as the client's node counts it.
pub fn counters(client: &Node, node: posse::NodeId) -> Option<Counters> {
    client.peers().into_iter().find(|peer| peer.id == node).map(|peer| peer.counters)
}
