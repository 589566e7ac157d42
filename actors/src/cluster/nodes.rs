//! The other nodes that this one knows.
//!
//! A node is *met* when a handshake with it was completed; before that, whatever it says of itself, or others say of it,
//! changes nothing about those that were met. Tables alone: nothing here is told to anybody.

use super::session::peer::Peer;
use posse_wire::{NodeId, NodeInfo};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Weak};

/// Former incarnations that are remembered, for their counters. Guessed.
const PAST_INCARNATIONS_MAX: usize = 1024;

/// Third nodes that are remembered before anybody speaks to them. Guessed.
const KNOWN_NODES_MAX: usize = 65_536;

/// Dead entries are looked for when a table has this many.
const SWEEP_MIN: usize = 64;

/// Entries that one reference looks at when there is no place for its node: what it costs does not depend on the table.
const LOOKED_AT_MAX: usize = 64;

/// Under the lock of the node's state. Written by handshakes that were completed (`meet`), introductions (`learn_node`) and
/// references to a node that was mentioned (`add`).
pub(super) struct Nodes {
    /// How many may be met. Does not change.
    met_max: usize,
    /// The latest incarnation of each that was met, by the hash of its name. With one too many the one that has been down for
    /// longest goes.
    met: BTreeMap<u64, Arc<Peer>>,
    /// Those that were not met: mentioned by others, or in a handshake. They are there as long as a reference holds them.
    unmet: BTreeMap<NodeId, Weak<Peer>>,
    /// With this many unmet ones those that no reference holds any more are removed.
    sweep_at: usize,
    /// Up to which of the unmet ones the last search for a place has looked; the next one goes on from there.
    searched: Option<NodeId>,
    /// Relations that are down and have a successor, the last ones.
    past_incarnations: VecDeque<Arc<Peer>>,
    /// Where third nodes are said to be, the last that were mentioned.
    known_nodes: Recent<NodeId, NodeInfo>,
}

/// What is known of a node.
pub(super) enum Known {
    Peer(Arc<Peer>),
    /// A later incarnation was met: this one.
    Later(u64),
    Nothing,
}

/// What it meant that a node was met.
pub(super) enum Met {
    /// It was met before.
    Again,
    /// It is new. The earlier incarnation, if there was one, is to be told that it is down.
    New(Option<Arc<Peer>>),
}

impl Nodes {
    pub(super) fn new(met_max: usize) -> Self {
        Self {
            met_max,
            met: BTreeMap::new(),
            unmet: BTreeMap::new(),
            sweep_at: SWEEP_MIN,
            searched: None,
            past_incarnations: VecDeque::new(),
            known_nodes: Recent::new(KNOWN_NODES_MAX),
        }
    }

    pub(super) fn known(&self, node: NodeId) -> Known {
        match self.met.get(&node.name_hash) {
            Some(peer) if peer.id() == node => return Known::Peer(peer.clone()),
            Some(peer) if peer.id().incarnation > node.incarnation => return Known::Later(peer.id().incarnation),
            _ => {}
        }
        // One that could not be reached may be tried again: nothing is known against it.
        match self.unmet.get(&node).and_then(Weak::upgrade).filter(|peer| !peer.is_down()) {
            Some(peer) => Known::Peer(peer),
            None => Known::Nothing,
        }
    }

    /// Returns true if there is no place for one more: all that were met live, and those that are being let in take the rest.
    pub(super) fn is_full(&self, node: NodeId) -> bool {
        if self.met.len() + self.unmet.len() < self.met_max || self.met.contains_key(&node.name_hash) {
            return false;
        }
        let coming = self.unmet.values().filter_map(Weak::upgrade).filter(|peer| peer.is_in_handshake()).count();
        self.met.len() + coming >= self.met_max && !self.met.values().any(|peer| peer.is_down())
    }

    /// Adds one that was not met.
    pub(super) fn add(&mut self, peer: &Arc<Peer>) {
        if self.unmet.len() >= self.sweep_at {
            self.unmet.retain(|_, peer| peer.strong_count() > 0);
            self.sweep_at = SWEEP_MIN.max(2 * self.unmet.len());
        }
        self.unmet.insert(peer.id(), Arc::downgrade(peer));
    }

    /// Returns the introduction of a node that may be added because a message mentioned it. As many as can be met, and no
    /// more, may be held on to without having been met.
    pub(super) fn admit_referenced(&mut self, node: NodeId) -> Option<NodeInfo> {
        let node_info = self.known_nodes.get(&node)?.clone();
        let has_place = self.unmet.len() < self.met_max || self.evict_unreferenced();
        has_place.then_some(node_info)
    }

    /// Looks at some unmet ones, each time at those that follow, and removes those that no reference holds any more. Returns true if
    /// there is a place then.
    fn evict_unreferenced(&mut self) -> bool {
        let after = self.searched.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.unmet.range((after, Bound::Unbounded)).take(LOOKED_AT_MAX);
        let next: Vec<_> = next.map(|(node, peer)| (*node, peer.strong_count() > 0)).collect();
        // At the end of the table it begins anew the next time.
        self.searched = next.last().filter(|_| next.len() == LOOKED_AT_MAX).map(|(node, _)| *node);
        for (node, _) in next.iter().filter(|(_, is_held)| !is_held) {
            self.unmet.remove(node);
        }
        self.unmet.len() < self.met_max
    }

    pub(super) fn learn_node(&mut self, node_info: NodeInfo) {
        self.known_nodes.insert(node_info.node, node_info);
    }

    /// Returns true if a later incarnation of a node was met.
    pub(super) fn is_outdated(&self, node: NodeId) -> bool {
        self.met.get(&node.name_hash).is_some_and(|known| known.id().incarnation > node.incarnation)
    }

    /// A handshake was completed, with one that is not late.
    pub(super) fn meet(&mut self, peer: &Arc<Peer>) -> Met {
        let node = peer.id();
        let previous = match self.met.get(&node.name_hash) {
            Some(known) if Arc::ptr_eq(known, peer) => return Met::Again,
            previous => previous.cloned(),
        };
        if previous.is_none() && self.met.len() >= self.met_max {
            // The one that has been down for longest is forgotten. If all live, who was let in at the door stays.
            let down = self.met.values().filter(|peer| peer.is_down()).min_by_key(|peer| peer.down_since());
            let hash = down.map(|peer| peer.id().name_hash);
            hash.and_then(|hash| self.met.remove(&hash));
        }
        self.unmet.remove(&node);
        self.met.insert(node.name_hash, peer.clone());
        previous.iter().for_each(|previous| self.keep_past(previous.clone()));
        Met::New(previous)
    }

    fn keep_past(&mut self, previous: Arc<Peer>) {
        self.past_incarnations.push_back(previous);
        if self.past_incarnations.len() > PAST_INCARNATIONS_MAX {
            self.past_incarnations.pop_front();
        }
    }

    /// This node becomes another one that has met no other. Returns all relations there were.
    pub(super) fn forget(&mut self) -> Vec<Arc<Peer>> {
        let met = std::mem::take(&mut self.met);
        met.values().for_each(|peer| self.keep_past(peer.clone()));
        let unmet = std::mem::take(&mut self.unmet);
        met.into_values().chain(unmet.values().filter_map(Weak::upgrade)).collect()
    }

    pub(super) fn met(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.met.values()
    }

    /// All that may still come to talk.
    pub(super) fn living(&self) -> Vec<Arc<Peer>> {
        self.met.values().cloned().chain(self.unmet.values().filter_map(Weak::upgrade)).collect()
    }

    /// Former relations, then those of today.
    pub(super) fn all(&self) -> Vec<Arc<Peer>> {
        let is_past =
            |previous: &&Arc<Peer>| self.met.get(&previous.id().name_hash).is_none_or(|met| met.id() != previous.id());
        let used = self.unmet.values().filter_map(Weak::upgrade).filter(|peer| peer.is_started());
        self.past_incarnations.iter().filter(is_past).cloned().chain(self.met.values().cloned()).chain(used).collect()
    }
}

/// A table that keeps at least the latter half of what was put into it or looked for, and forgets what is older.
#[derive(Debug)]
struct Recent<K, V> {
    half: usize,
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
}

impl<K: Ord + Copy, V> Recent<K, V> {
    fn new(max: usize) -> Self {
        Self { half: max / 2, young: BTreeMap::new(), old: BTreeMap::new() }
    }

    fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn get(&mut self, key: &K) -> Option<&V> {
        if let Some(value) = self.old.remove(key) {
            self.insert(*key, value);
        }
        self.young.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::session::peer::tests::{in_runtime, other};

    fn info(n: usize) -> NodeInfo {
        let name = n.to_string();
        NodeInfo { node: NodeId::new(&name, 1), name, address: String::new() }
    }

    #[test]
    fn reference_without_a_place_looks_at_a_part_of_the_table_and_one_to_nobody_at_none() {
        in_runtime(async {
            let (node, _) = other();
            let max = 4 * LOOKED_AT_MAX - 1;
            let mut nodes = Nodes::new(max);
            let mut held = BTreeMap::new();
            for peer in (0..max).map(|n| Peer::new(&node, info(n), &[])) {
                nodes.add(&peer);
                held.insert(peer.id(), peer);
            }
            let in_order: Vec<_> = held.keys().copied().collect();
            let (third, unknown) = (info(max), info(max + 1).node);
            nodes.learn_node(third.clone());
            for round in 0..8 {
                assert!(nodes.admit_referenced(third.node).is_none());
                assert_eq!(nodes.searched, in_order.get((round % 4 + 1) * LOOKED_AT_MAX - 1).copied());
            }
            // One that no reference holds any more is found once the search comes by, and not before.
            held.remove(&in_order[2 * LOOKED_AT_MAX]);
            assert!(nodes.admit_referenced(unknown).is_none());
            assert_eq!((nodes.searched, nodes.unmet.len()), (None, max));
            let found = [(); 3].map(|()| nodes.admit_referenced(third.node));
            assert_eq!(found, [None, None, Some(third)]);
            assert_eq!(nodes.unmet.len(), max - 1);
        });
    }

    #[test]
    fn what_is_used_is_kept_and_the_rest_forgotten() {
        let mut recent = Recent::new(8);
        for n in 0..100 {
            recent.insert(n, n);
            assert_eq!(recent.get(&0), Some(&0));
            assert_eq!(recent.get(&n), Some(&n));
            assert!(recent.young.len() + recent.old.len() <= 8);
        }
        assert_eq!(recent.get(&50), None);
    }
}
