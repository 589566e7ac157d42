//! What the machines of a simulation write down of their actors, so that the promises can be checked. Only here: in
//! production nothing is written.

use crate::cluster::Peer;
use posse_core::sim::SimContext;
use posse_core::time::Instant;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

/// How long after its deadline an ask may go on: the world's clocks stand still while others step.
const GRACE: Duration = Duration::from_secs(1);

/// One machine's books. They hang on its `System`.
#[derive(Default)]
pub(crate) struct Ledger {
    offered: AtomicU64,
    returned: AtomicU64,
    accepted: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    asks: BTreeMap<u64, (Instant, &'static str)>,
    monitors: BTreeMap<u64, Watched>,
    peers: Vec<Weak<Peer>>,
}

struct Watched {
    /// Whether the actor, or its node, has ended.
    is_over: Box<dyn Fn() -> bool + Send>,
    over_since: Option<Instant>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A message was offered to a mailbox, and taken or given back.
    pub(crate) fn offer(&self, accepted: bool) {
        self.offered.fetch_add(1, Ordering::AcqRel);
        let counter = if accepted { &self.accepted } else { &self.returned };
        counter.fetch_add(1, Ordering::AcqRel);
    }

    /// Offered, returned, accepted.
    pub(crate) fn offers(&self) -> [u64; 3] {
        [&self.offered, &self.returned, &self.accepted].map(|counter| counter.load(Ordering::Acquire))
    }

    /// An ask begins; it ends when the guard is dropped.
    pub(crate) fn ask(self: &Arc<Self>, within: Duration, message: &'static str) -> AskGuard {
        let mut state = self.lock();
        let key = state.next;
        state.next += 1;
        state.asks.insert(key, (Instant::now() + within, message));
        AskGuard { ledger: self.clone(), key }
    }

    /// A monitor was set.
    pub(crate) fn monitor(self: &Arc<Self>, is_over: Box<dyn Fn() -> bool + Send>) -> MonitorRecord {
        let mut state = self.lock();
        let key = state.next;
        state.next += 1;
        state.monitors.insert(key, Watched { is_over, over_since: None });
        MonitorRecord { ledger: self.clone(), key }
    }

    /// Another node became known.
    pub(crate) fn add_peer(&self, peer: &Arc<Peer>) {
        let mut state = self.lock();
        state.peers.retain(|peer| peer.strong_count() > 0);
        state.peers.push(Arc::downgrade(peer));
    }

    /// What is wrong with the sums of what was sent to other nodes.
    pub(crate) fn wrong_sums(&self) -> Vec<String> {
        let peers: Vec<_> = self.lock().peers.iter().filter_map(Weak::upgrade).collect();
        peers.iter().filter_map(|peer| peer.audit()).collect()
    }

    /// Asks that should have ended.
    pub(crate) fn overdue_asks(&self) -> Vec<String> {
        let now = Instant::now();
        let state = self.lock();
        let overdue = state.asks.values().filter(|(deadline, _)| deadline.saturating_add(GRACE) < now);
        overdue.map(|(_, message)| format!("an ask with {message} goes on past its deadline")).collect()
    }

    /// Monitors whose actor ended long ago and that did not fire.
    pub(crate) fn overdue_monitors(&self) -> Vec<String> {
        let now = Instant::now();
        let mut overdue = Vec::new();
        for watched in self.lock().monitors.values_mut() {
            if !(watched.is_over)() {
                continue;
            }
            let since = *watched.over_since.get_or_insert(now);
            if since.saturating_add(GRACE) < now {
                overdue.push("a monitor did not fire though its actor has ended".to_owned());
            }
        }
        overdue
    }

    /// Asks that nobody ended though everything was dropped.
    pub(crate) fn left_asks(&self) -> usize {
        self.lock().asks.len()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("offers", &self.offers()).finish_non_exhaustive()
    }
}

/// An ask that goes on.
#[derive(Debug)]
pub(crate) struct AskGuard {
    ledger: Arc<Ledger>,
    key: u64,
}

impl Drop for AskGuard {
    fn drop(&mut self) {
        self.ledger.lock().asks.remove(&self.key);
    }
}

/// A monitor that is set.
#[derive(Debug)]
pub(crate) struct MonitorRecord {
    ledger: Arc<Ledger>,
    key: u64,
}

impl MonitorRecord {
    /// It fired, or nobody wants to know any more.
    pub(crate) fn settle(&self) {
        if self.ledger.lock().monitors.remove(&self.key).is_none() {
            if let Some(simulation) = SimContext::current() {
                simulation.report("a monitor fired twice");
            }
        }
    }
}
