//! State of a node: itself, its exported actors and their names, and the other nodes.
//!
//! Locks are taken in the order types, nodes, session, and never held while user code or a waker runs.

use super::events::{DownReason, NodeEvent, Ring};
use super::exports::Exports;
use super::nodes::{Known, Met, Nodes};
use super::refusals::Refusals;
use super::session::collision::Collision;
use super::session::frame_reader::LongFrames;
use super::session::peer::Peer;
use crate::error::RegisterError;
use crate::protocol::decode_limits::made_aside;
use crate::protocol::dispatch::Endpoint;
use posse_core::event;
use posse_core::lock::Mutex;
use posse_core::runtime::Handle;
use posse_core::sync::{CancellationToken, Notify};
use posse_core::task::AbortHandle;
use posse_core::time::{Backoff, Instant};
use posse_wire::{
    ActorKey, CloseReason, Hello, INCARNATION_MAX, NodeConfig, NodeId, NodeInfo, Resolution, TypeInfo, WireRef,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

type SpawnPeerTask = fn(Arc<NodeState>, Arc<Peer>);

/// One for each [`Node`](super::Node). Owned by it, by its tasks and by readers of its events; peers hold it weakly.
pub(crate) struct NodeState {
    /// For peers, which hold it weakly.
    me: Weak<NodeState>,
    /// How the node introduces itself, but for the incarnation, which changes.
    hello: Hello,
    /// Of its name: the part of its id that stays.
    name_hash: u64,
    /// Which start of the node this is, as far as others are concerned. Read with each message that mentions an actor of
    /// this node; changed under the lock of `nodes`, by [`on_stale`](Self::on_stale) and
    /// [`on_quarantined`](Self::on_quarantined).
    incarnation: AtomicU64,
    /// Some other node knows this incarnation: set with the first handshake that is completed, until there is another one.
    /// Changed under the lock of `nodes`.
    is_confirmed: AtomicBool,
    /// Another process has taken the name, and that was told. Set by `on_stale`, so that it is told once.
    is_superseded: AtomicBool,
    /// When it was declared down and became another one, in milliseconds; 0 for never.
    renewed_at: AtomicU64,
    /// As the program set them; they do not change.
    pub(crate) config: NodeConfig,
    /// The runtime of all tasks of the node.
    pub(super) handle: Handle,
    /// How a relation gets its task, when there is something to send or a connection: `connect::peer_task`. Given by who builds
    /// the node, because sessions, which start it, stand below `connect`.
    pub(super) spawn_peer_task: SpawnPeerTask,
    /// Everything that the node runs ends with it. Cancelled by [`close`](Self::close), parent of each peer's.
    pub(super) shutdown: CancellationToken,
    /// The listener is closed, or there is none. Cancelled by the task that drops it, awaited by `Node::shutdown`.
    pub(super) listener_closed: CancellationToken,
    /// Some peer's status has changed: it was met, is there, is away or is down. Notified by the peer, after what the change
    /// entails; `Node::wait_for` and `Node::join` look again.
    pub(super) peers_changed: Notify,
    /// What programs hear of; written where it happens, after the locks.
    pub(super) events: Ring,
    /// Handshakes that were refused, and not logged yet.
    pub(super) refusals: Refusals,
    /// Nodes that were met and whose end was not told yet. When the node is closed and this is 0 no event follows.
    living: AtomicUsize,
    /// The actors of this node that others may reach, and their names.
    pub(super) exports: Exports,
    /// Room for what arrives in large pieces, shared by all connections.
    pub(super) long_frames: LongFrames,
    /// Grows with each protocol that is exported for the first time. Taken before `nodes`.
    types: Mutex<Types>,
    /// The other nodes: read with each reference that arrives, written when one is met.
    nodes: Mutex<Nodes>,
    /// Addresses that were joined and not left, `peers_max` at most, each with what ends its rejoin loop. Written by `Node::join`,
    /// `Node::leave` and that loop, read when a name is not found.
    joined_at: Mutex<BTreeMap<Vec<SocketAddr>, (Joined, CancellationToken)>>,
    /// Connections that were accepted and have not introduced themselves; see [`track_handshake`](Self::track_handshake).
    half_open: Mutex<VecDeque<(Instant, AbortHandle)>>,
}

/// How it stands with an address that was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// There is a node, or it may come back.
    There,
    /// The node is down, and another one is looked for.
    Away,
    /// The node that is there refuses this one.
    Refused(CloseReason),
}

/// Types this node receives, in the order in which other nodes number them.
#[derive(Default)]
struct Types {
    list: Vec<TypeInfo>,
    known: BTreeSet<u64>,
}

/// Who asks to be let in, and what to do with it.
pub(super) enum Admission {
    Accept(Arc<Peer>),
    /// Another connection to it is being made; ask again when that has come about or has not.
    Wait(Arc<Peer>),
    Reject(CloseReason, u64, &'static str),
    /// It was declared down. With the weight of this node.
    Down(Arc<Peer>, u64),
}

impl NodeState {
    pub(super) fn new(handle: Handle, hello: Hello, config: NodeConfig, spawn_peer_task: SpawnPeerTask) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            name_hash: hello.node().name_hash,
            incarnation: AtomicU64::new(hello.incarnation),
            is_confirmed: AtomicBool::new(false),
            is_superseded: AtomicBool::new(false),
            renewed_at: AtomicU64::new(0),
            hello,
            shutdown: CancellationToken::new(),
            listener_closed: CancellationToken::new(),
            peers_changed: Notify::new(),
            events: Ring::default(),
            refusals: Refusals::default(),
            living: AtomicUsize::new(0),
            exports: Exports::new(&handle),
            long_frames: LongFrames::new(&config),
            types: Mutex::default(),
            nodes: Mutex::new(Nodes::new(config.peers_max)),
            joined_at: Mutex::default(),
            half_open: Mutex::default(),
            config,
            handle,
            spawn_peer_task,
        })
    }

    /// How long to wait between attempts to reach a node.
    pub(super) fn reconnect_backoff(&self) -> Backoff {
        Backoff::exponential(self.config.reconnect_min..self.config.reconnect_max)
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId { name_hash: self.name_hash, incarnation: self.incarnation.load(Ordering::Acquire) }
    }

    pub(super) fn name(&self) -> &str {
        &self.hello.name
    }

    /// How the node introduces itself.
    pub(super) fn hello(&self) -> Hello {
        Hello { incarnation: self.id().incarnation, ..self.hello.clone() }
    }

    /// The node introduced itself as `incarnation` and was told that a later one is known. True if it is to be tried again:
    /// no node knows this one, because the clock went back, and it takes the next after the one that is known. Else another
    /// process has its name.
    pub(super) fn on_stale(&self, incarnation: u64, seen: u64) -> bool {
        let nodes = self.nodes.lock();
        let known = self.is_confirmed.load(Ordering::Relaxed) || seen >= INCARNATION_MAX;
        match self.id().incarnation {
            // It has changed since it introduced itself: what was said of the previous one is past.
            current if current != incarnation => return true,
            // No node knows this one, so none misses it.
            current if !known => {
                self.incarnation.store(current.max(seen + 1), Ordering::Release);
                drop(nodes);
                event!(
                    INFO, "posse::node", "the clock went back: this node takes a later incarnation",
                    node.name = %self.name(); seen = seen,
                );
                return true;
            }
            _ => drop(nodes),
        }
        if !self.is_superseded.swap(true, Ordering::AcqRel) {
            event!(ERROR, "posse::node", "another process has taken the name", node.name = %self.name(); by = seen);
            self.events.push(NodeEvent::Superseded { by: seen });
        }
        false
    }

    /// The node introduced itself as `incarnation` and was told by `peer` that this one is down for good. It becomes a new
    /// node that has met no other, and whose actors keep their names. `is_chosen`: the program chose where to ask.
    ///
    /// False if that cannot be true: a node that declares this incarnation down must have met it.
    pub(super) fn on_quarantined(&self, incarnation: u64, peer: &Peer, is_chosen: bool) -> bool {
        let mut nodes = self.nodes.lock();
        let previous = self.id();
        if previous.incarnation != incarnation {
            return true;
        }
        // Who was asked may have met this node a moment before the connection broke, so that this one does not know. If that
        // is a lie it has an effect now and then, on a node whose program asked the liar.
        let now = (self.now().as_millis() as u64).max(1);
        let before = self.renewed_at.load(Ordering::Relaxed);
        let down_after = u64::try_from(self.config.down_after.as_millis()).unwrap_or(u64::MAX);
        let lately = before > 0 && now < before.saturating_add(down_after);
        if !peer.is_met() && self.is_confirmed.load(Ordering::Relaxed) && (!is_chosen || lately) {
            return false;
        }
        let clock = u64::try_from(self.handle.unix_time().as_micros()).unwrap_or(0);
        let next = clock.clamp(incarnation.saturating_add(1), INCARNATION_MAX);
        if next <= incarnation {
            return false;
        }
        // Under the lock: who is met after this is met by the new one.
        self.incarnation.store(next, Ordering::Release);
        self.is_confirmed.store(false, Ordering::Relaxed);
        self.is_superseded.store(false, Ordering::Relaxed);
        self.renewed_at.store(now, Ordering::Relaxed);
        let relations = nodes.forget();
        drop(nodes);
        let (now, by) = (self.id(), peer.shared_name());
        event!(
            WARN, "posse::node", "this node was declared down: it is back as a new incarnation",
            node.name = %self.name(), previous = %previous, now = %now, by = %by,
        );
        relations.iter().for_each(|peer| peer.mark_down(DownReason::Renewed));
        self.events.push(NodeEvent::Renewed { previous, now, by });
        true
    }

    /// How many others this node is connected to: of two that declared each other down the one with fewer comes back as a
    /// new incarnation, so that the many do not begin anew for the sake of the few.
    pub(super) fn weight(&self) -> u64 {
        self.nodes.lock().met().filter(|peer| peer.is_connected()).count() as u64
    }

    /// Time as the sessions count it.
    pub(super) fn now(&self) -> Duration {
        Instant::now().since_origin()
    }

    /// A strong reference to itself, as long as the node lives.
    fn me(&self) -> Option<Arc<Self>> {
        self.me.upgrade()
    }

    /// Gives an actor an address, the same one each time.
    pub(super) fn export(&self, endpoint: &Arc<dyn Endpoint>) -> WireRef {
        let (number, protocol) = (endpoint.shared().id().number(), endpoint.protocol());
        let (key, is_new) = self.exports.export(endpoint);
        if is_new {
            self.register_types(endpoint);
            let node = self.me.clone();
            let monitor = endpoint.shared().monitors.add(Box::new(move |_| {
                if let Some(node) = node.upgrade() {
                    node.exports.unexport(key, number, protocol);
                }
            }));
            self.exports.set_monitor(key, monitor);
        }
        WireRef { node: self.id(), key, protocol }
    }

    /// Tells all nodes the numbers of the messages of an actor's protocol.
    fn register_types(&self, endpoint: &Arc<dyn Endpoint>) {
        let mut types = self.types.lock();
        let new: Vec<_> = endpoint
            .messages()
            .iter()
            .filter(|message| types.known.insert(message.id))
            .map(|message| TypeInfo { id: message.id, schema: message.schema })
            .collect();
        if new.is_empty() {
            return;
        }
        types.list.extend_from_slice(&new);
        let peers = self.nodes.lock().living();
        // Under the lock, so that all tables are in one order. It starts nothing: a hook of the runtime's may export an actor.
        peers.iter().for_each(|peer| peer.with_session(|session| session.add_types(&new)));
        drop(types);
        peers.iter().for_each(|peer| peer.write_ready.notify_one());
    }

    pub(super) fn types(&self) -> Vec<TypeInfo> {
        self.types.lock().list.clone()
    }

    pub(super) fn exported(&self, key: ActorKey) -> Option<Arc<dyn Endpoint>> {
        self.exports.get(key)
    }

    /// Gives a name to an actor of this node.
    pub(super) fn register(&self, name: &str, endpoint: &Arc<dyn Endpoint>) -> Result<(), RegisterError> {
        let key = self.export(endpoint).key;
        self.exports.register(name, key)
    }

    /// Looks for a name among the actors of this node.
    pub(super) fn whereis(&self, name: &str, protocol: u64) -> Result<(Arc<dyn Endpoint>, ActorKey), Resolution> {
        self.exports.whereis(name, protocol)
    }

    /// The nodes that were met, each in its latest incarnation.
    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        self.nodes.lock().met().cloned().collect()
    }

    /// All that is known, previous incarnations first.
    pub(super) fn all_peers(&self) -> Vec<Arc<Peer>> {
        self.nodes.lock().all()
    }

    /// The relation to a node that a reference mentions. It is dialled once something is to be sent to it. `None` if the one
    /// that is meant has been replaced, or nothing is known of it.
    pub(crate) fn peer(&self, node: NodeId) -> Option<Arc<Peer>> {
        let own = self.me().filter(|_| node.name_hash != self.name_hash)?;
        let types = self.types.lock();
        let mut nodes = self.nodes.lock();
        match nodes.known(node) {
            Known::Peer(peer) => Some(peer),
            Known::Later(_) => None,
            Known::Nothing => {
                let node_info = nodes.admit_referenced(node)?;
                // Charged to the message that mentions it, which may mention many.
                made_aside(Peer::bytes(&node_info, &types.list));
                let peer = Peer::new(&own, node_info, &types.list);
                nodes.add(&peer);
                Some(peer)
            }
        }
    }

    /// Decides about a node that has introduced itself. `inbound`: it connected to us. Nothing that is known changes by it.
    pub(super) fn admit(&self, hello: &Hello, inbound: bool) -> Admission {
        let node = hello.node();
        let me = self.id();
        if node == me {
            return Admission::Reject(CloseReason::SelfConnect, 0, "");
        }
        if node.same_name(&me) {
            return Admission::Reject(CloseReason::AlreadyConnected, 0, "this node has the same name");
        }
        let Some(own) = self.me() else { return Admission::Reject(CloseReason::Shutdown, 0, "") };

        let types = self.types.lock();
        let mut nodes = self.nodes.lock();
        let peer = match nodes.known(node) {
            Known::Later(seen) => return Admission::Reject(CloseReason::Stale, seen, ""),
            Known::Peer(peer) => peer,
            Known::Nothing if nodes.is_full(node) => {
                return Admission::Reject(CloseReason::Overloaded, 0, "this node knows too many others");
            }
            Known::Nothing => {
                let node_info = NodeInfo { node, name: hello.name.clone(), address: hello.address.clone() };
                let peer = Peer::new(&own, node_info, &types.list);
                nodes.add(&peer);
                peer
            }
        };
        drop((types, nodes));
        match peer.admit(inbound, me < node) {
            Collision::Accept => Admission::Accept(peer),
            Collision::Wait => Admission::Wait(peer),
            Collision::Reject(CloseReason::Quarantined) if peer.is_met() => Admission::Down(peer, self.weight()),
            // It was given up a moment ago without having been met: nothing is known against it, and it may try again.
            Collision::Reject(CloseReason::Quarantined) => Admission::Reject(CloseReason::Simultaneous, 0, ""),
            Collision::Reject(code) => Admission::Reject(code, 0, ""),
        }
    }

    /// A handshake, in which this node introduced itself as `incarnation`, was completed: now the other one counts. False if
    /// either of the two has become another incarnation meanwhile.
    pub(super) fn meet(&self, peer: &Arc<Peer>, address: &str, incarnation: u64) -> bool {
        let mut nodes = self.nodes.lock();
        // A relation that is down is so for good; who wants another one introduces itself again.
        if self.id().incarnation != incarnation || nodes.is_outdated(peer.id()) || !peer.mark_met(address) {
            return false;
        }
        self.is_confirmed.store(true, Ordering::Relaxed);
        let met = nodes.meet(peer);
        drop(nodes);
        match met {
            Met::Again => {}
            Met::New(previous) => {
                self.living.fetch_add(1, Ordering::AcqRel);
                // It is in its list by now, so that a task that hears of its end finds it.
                previous.iter().for_each(|previous| previous.mark_down(DownReason::Replaced));
            }
        }
        true
    }

    /// A node that was met is down, and that was told.
    pub(super) fn is_told_down(&self) {
        self.living.fetch_sub(1, Ordering::AcqRel);
        self.events.wake();
    }

    /// Returns true if no event will come any more.
    pub(super) fn is_over(&self) -> bool {
        self.shutdown.is_cancelled() && self.living.load(Ordering::Acquire) == 0
    }

    /// Another node says where a third one is.
    pub(super) fn learn_node(&self, node_info: NodeInfo) {
        if node_info.node.name_hash != self.name_hash {
            self.nodes.lock().learn_node(node_info);
        }
    }

    /// Notes that an address was joined. If it was not before: what ends its rejoin loop, which the caller starts.
    pub(super) fn begin_joined(&self, at: &[SocketAddr]) -> Option<CancellationToken> {
        let mut joined = self.joined_at.lock();
        if let Some((state, _)) = joined.get_mut(at) {
            *state = Joined::There;
            return None;
        }
        let left = self.shutdown.child_token();
        joined.insert(at.to_vec(), (Joined::There, left.clone()));
        Some(left)
    }

    /// Notes how it stands with an address that was joined, unless it was left. Returns what was noted before.
    pub(super) fn note_joined(&self, at: &[SocketAddr], left: &CancellationToken, state: Joined) -> Option<Joined> {
        let mut joined = self.joined_at.lock();
        // After a `leave` the address may have been joined anew: that is not this one's.
        let (known, _) = joined.get_mut(at).filter(|(_, token)| token == left)?;
        Some(mem::replace(known, state))
    }

    /// Whether one more address may be joined.
    pub(super) fn may_join(&self, at: &[SocketAddr]) -> bool {
        let joined = self.joined_at.lock();
        joined.len() < self.config.peers_max || joined.contains_key(at)
    }

    /// Forgets an address that was joined. False if it was not.
    pub(super) fn leave(&self, at: &[SocketAddr]) -> bool {
        let left = self.joined_at.lock().remove(at);
        left.inspect(|(_, left)| left.cancel()).is_some()
    }

    /// One of those that were joined that refuses this node, or else one that is down.
    pub(super) fn misses(&self) -> Option<(Vec<SocketAddr>, Joined)> {
        let joined = self.joined_at.lock();
        let refused = joined.iter().find(|(_, (joined, _))| matches!(joined, Joined::Refused(_)));
        let missed = refused.or_else(|| joined.iter().find(|(_, (joined, _))| *joined == Joined::Away));
        missed.map(|(at, (joined, _))| (at.clone(), *joined))
    }

    /// Counts a connection that has not introduced itself yet. Of too many the oldest goes.
    pub(super) fn track_handshake(&self, handshake: AbortHandle) {
        let mut half_open = self.half_open.lock();
        half_open.retain(|(_, handshake)| !handshake.is_finished());
        half_open.push_back((Instant::now(), handshake));
        let oldest = if half_open.len() > self.config.half_open_max { half_open.pop_front() } else { None };
        drop(half_open);
        if let Some((_, oldest)) = oldest {
            oldest.abort();
        }
    }

    /// Others find no room because of them: closes the connections that have not introduced themselves for so long.
    pub(super) fn close_half_open(&self, older_than: Duration) {
        let now = Instant::now();
        let mut half_open = self.half_open.lock();
        let count = half_open.iter().take_while(|(since, _)| now - *since >= older_than).count();
        let old: Vec<_> = half_open.drain(..count).collect();
        drop(half_open);
        old.into_iter().for_each(|(_, handshake)| handshake.abort());
    }

    pub(super) fn close(&self) {
        self.shutdown.cancel();
        let half_open = std::mem::take(&mut *self.half_open.lock());
        half_open.into_iter().for_each(|(_, handshake)| handshake.abort());
        self.events.wake();
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
