//! Books of one machine of a simulation: messages sent, asks and monitors that go on, relations to other nodes.

use crate::system::System;
use posse_core::lock::Mutex;
use posse_core::runtime::Handle;
use posse_core::sim::SimContext;
use posse_core::time::Instant;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long after its deadline an ask may go on: the world's clocks stand still while others step.
const GRACE: Duration = Duration::from_secs(1);

/// One machine's books. They hang on its `System`; clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audit(Arc<Books>);

/// What can say by itself what is wrong with it, if anything.
pub(crate) trait Audited: Send + Sync {
    fn audit(&self) -> Option<String>;
}

#[derive(Default)]
struct Books {
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
    peers: Vec<Weak<dyn Audited>>,
}

struct Watched {
    /// Whether the actor, or its node, has ended.
    is_over: Box<dyn Fn() -> bool + Send>,
    over_since: Option<Instant>,
}

impl Books {
    /// Offered, returned, accepted.
    fn counts(&self) -> [u64; 3] {
        [&self.offered, &self.returned, &self.accepted].map(|counter| counter.load(Ordering::Acquire))
    }
}

impl Audit {
    /// A message was offered to a mailbox, and taken or given back.
    pub(crate) fn record_send(&self, accepted: bool) {
        let books = &*self.0;
        books.offered.fetch_add(1, Ordering::AcqRel);
        let counter = if accepted { &books.accepted } else { &books.returned };
        counter.fetch_add(1, Ordering::AcqRel);
    }

    /// Offered, returned, accepted.
    pub(crate) fn counts(&self) -> [u64; 3] {
        self.0.counts()
    }

    /// A monitor was set.
    pub(crate) fn monitor(&self, is_over: impl FnOnce() -> Box<dyn Fn() -> bool + Send>) -> TrackedMonitor {
        let is_over = is_over();
        let mut state = self.0.state.lock();
        let key = state.next;
        state.next += 1;
        state.monitors.insert(key, Watched { is_over, over_since: None });
        TrackedMonitor(Some((self.clone(), key)))
    }

    /// Another node became known.
    pub(crate) fn add_peer<T: Audited + 'static>(&self, peer: &Arc<T>) {
        let mut state = self.0.state.lock();
        state.peers.retain(|peer| peer.strong_count() > 0);
        let peer: Arc<dyn Audited> = peer.clone();
        state.peers.push(Arc::downgrade(&peer));
    }

    /// What is wrong with the sums of what was sent to other nodes.
    pub(crate) fn wrong_sums(&self) -> Vec<String> {
        let peers: Vec<_> = self.0.state.lock().peers.iter().filter_map(Weak::upgrade).collect();
        peers.iter().filter_map(|peer| peer.audit()).collect()
    }

    /// Asks that should have ended.
    pub(crate) fn overdue_asks(&self) -> Vec<String> {
        let now = Instant::now();
        let state = self.0.state.lock();
        let overdue = state.asks.values().filter(|(deadline, _)| deadline.saturating_add(GRACE) < now);
        overdue.map(|(_, message)| format!("an ask with {message} goes on past its deadline")).collect()
    }

    /// Monitors whose actor ended long ago and that did not fire.
    pub(crate) fn overdue_monitors(&self) -> Vec<String> {
        let now = Instant::now();
        let mut overdue = Vec::new();
        for watched in self.0.state.lock().monitors.values_mut() {
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

    /// Asks that did not end though everything was dropped.
    pub(crate) fn left_asks(&self) -> usize {
        self.0.state.lock().asks.len()
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// An ask of the record, from `begin` until `end` or its drop.
#[derive(Debug, Default)]
pub(crate) struct TrackedAsk(Option<(Audit, u64)>);

impl TrackedAsk {
    /// Notes the ask with the runtime that asks, unless that is done.
    pub(crate) fn begin(&mut self, within: Duration, message: fn() -> &'static str) {
        if self.0.is_some() {
            return;
        }
        let Ok(handle) = Handle::try_current() else { return };
        let audit = System::of(&handle).audit.clone();
        let mut state = audit.0.state.lock();
        let key = state.next;
        state.next += 1;
        state.asks.insert(key, (Instant::now() + within, message()));
        drop(state);
        self.0 = Some((audit, key));
    }

    pub(crate) fn end(&mut self) {
        if let Some((audit, key)) = self.0.take() {
            audit.0.state.lock().asks.remove(&key);
        }
    }
}

impl Drop for TrackedAsk {
    fn drop(&mut self) {
        self.end();
    }
}

/// A monitor of the record, if it was set by an actor. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrackedMonitor(Option<(Audit, u64)>);

impl TrackedMonitor {
    /// Its `Down` was sent to the actor that has set it.
    pub(crate) fn fired(&self, accepted: bool) {
        if let Some((audit, _)) = &self.0 {
            audit.record_send(accepted);
        }
        self.remove();
    }

    pub(crate) fn cancelled(&self) {
        self.remove();
    }

    fn remove(&self) {
        let Some((audit, key)) = &self.0 else { return };
        if audit.0.state.lock().monitors.remove(key).is_none() {
            if let Some(simulation) = SimContext::current() {
                simulation.report("a monitor fired twice");
            }
        }
    }
}
