//! The log of one simulation.

use posse_core::lock::Mutex;
use posse_core::runtime::Handle;
use posse_core::sim::SimContext;
use posse_wire::{ActorKey, Counters, NodeId, fnv1a64};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The log of the simulation that a runtime is part of, if it is part of one.
pub(crate) struct WireLog(Option<(Arc<SimContext>, Arc<Log>)>);

/// All messages between nodes of one simulation.
#[derive(Debug, Default)]
struct Log(Mutex<BTreeMap<(NodeId, NodeId), Route>>);

/// From one incarnation of a node to one of another.
#[derive(Debug, Default)]
struct Route {
    /// By actor: what was sent and has not arrived yet, as far as is known.
    sent: BTreeMap<ActorKey, VecDeque<u64>>,
    taken: u64,
    is_used: bool,
}

impl WireLog {
    pub(crate) fn of(handle: &Handle) -> Self {
        Self(handle.simulation().map(|simulation| (simulation.clone(), simulation.extension(Log::default))))
    }

    pub(crate) fn sent(&self, between: (NodeId, NodeId), actor: ActorKey, message_type: u64, body: &[u8]) {
        if let Some((_, log)) = &self.0 {
            log.sent(between, actor, message_type, body);
        }
    }

    /// A message got into a mailbox.
    pub(crate) fn taken(
        &self,
        (from, to): (NodeId, NodeId),
        actor: impl FnOnce() -> ActorKey,
        message_type: u64,
        body: &[u8],
    ) {
        let Some((simulation, log)) = &self.0 else { return };
        if !log.taken((from, to), actor(), message_type, body) {
            simulation.report(format!(
                "a message from {from} to {to} came twice, out of order, or to another incarnation than it was sent to"
            ));
        }
    }

    /// What is wrong with a sender's sum, if anything.
    pub(crate) fn check(&self, from: NodeId, to: NodeId, counters: &Counters, down: bool) -> Option<String> {
        self.0.as_ref().and_then(|(_, log)| log.check(from, to, counters, down))
    }
}

impl Log {
    fn sent(&self, between: (NodeId, NodeId), actor: ActorKey, message_type: u64, body: &[u8]) {
        let mut ways = self.0.lock();
        let way = ways.entry(between).or_default();
        way.is_used = true;
        let line = way.sent.entry(actor).or_default();
        line.push_back(hash(message_type, body));
    }

    /// A message gets into a mailbox: it was sent to this incarnation, after those that got there before. What was sent in
    /// between is lost and cannot come any more. A node made by hand sends what it likes.
    fn taken(&self, (from, to): (NodeId, NodeId), actor: ActorKey, message_type: u64, body: &[u8]) -> bool {
        let mut ways = self.0.lock();
        let way = ways.entry((from, to)).or_default();
        way.taken += 1;
        let line = way.sent.entry(actor).or_default();
        let wanted = hash(message_type, body);
        match line.iter().position(|sent| *sent == wanted) {
            Some(position) => {
                line.drain(..=position);
                true
            }
            None => !ways.iter().any(|((sender, _), way)| way.is_used && sender.same_name(&from)),
        }
    }

    /// What is wrong with a sender's sum, if anything.
    fn check(&self, from: NodeId, to: NodeId, counters: &Counters, down: bool) -> Option<String> {
        let Counters { accepted, acked, lost, unsettled, .. } = *counters;
        if accepted != acked + counters.undelivered() + unsettled {
            return Some(format!("the sums of what was sent to {to} do not add up: {counters:?}"));
        }
        if down && unsettled > 0 {
            return Some(format!("{to} is down, and {unsettled} messages to it are not settled"));
        }
        let taken = self.0.lock().get(&(from, to)).map_or(0, |way| way.taken);
        if acked > taken {
            return Some(format!("{to} acknowledged {acked} messages and took {taken} (lost: {lost})"));
        }
        None
    }
}

fn hash(message_type: u64, body: &[u8]) -> u64 {
    message_type ^ fnv1a64(body)
}
