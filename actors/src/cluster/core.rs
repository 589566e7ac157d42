//! What a node knows: itself, its exported actors and their names, and the other nodes.
//!
//! Locks are taken in the order types, exports, peers, session, and never held while user code or a waker runs.

use super::connect;
use super::peer::{Peer, Turn};
use crate::protocol::Served;
use posse_core::runtime::Handle;
use posse_core::sync::{CancellationToken, Notify};
use posse_core::task::AbortHandle;
use posse_core::time::Instant;
use posse_wire::{ActorKey, Goodbye, Hello, Introduction, Limits, NodeId, Resolution, Slab, TypeInfo, WireRef};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

/// Former incarnations that are remembered, for their counters. Guessed.
const FORMER_MAX: usize = 1024;

/// The latest incarnation that another node may claim to have seen, so that a liar cannot use up all numbers.
const INCARNATION_MAX: u64 = u64::MAX / 2;

/// Third nodes that are remembered before anybody speaks to them. Guessed.
const INTRODUCTIONS_MAX: usize = 65_536;

pub(crate) struct Core {
    me: Weak<Core>,
    /// But for the incarnation, which `identity` holds.
    hello: Hello,
    identity: Mutex<Identity>,
    pub(super) limits: Limits,
    pub(super) handle: Handle,
    /// Everything that the node runs ends with it.
    pub(super) closing: CancellationToken,
    /// The listener is closed, or there is none.
    pub(super) deaf: CancellationToken,
    /// A connection to some node has come about.
    pub(super) joined: Notify,
    /// Some node was met, is there, is away or is down.
    pub(super) moved: Notify,
    types: Mutex<Types>,
    exports: Mutex<Exports>,
    peers: Mutex<BTreeMap<u64, Arc<Peer>>>,
    /// Earlier incarnations of those.
    former: Mutex<VecDeque<Arc<Peer>>>,
    introductions: Mutex<BTreeMap<NodeId, Introduction>>,
    half_open: Mutex<VecDeque<AbortHandle>>,
}

/// Which start of the node this is, as far as others are concerned.
struct Identity {
    incarnation: u64,
    /// Some other node knows it, so it stays.
    is_bound: bool,
}

/// Types this node receives, in the order in which other nodes number them.
#[derive(Default)]
struct Types {
    list: Vec<TypeInfo>,
    known: BTreeSet<u64>,
}

#[derive(Default)]
struct Exports {
    actors: Slab<Arc<dyn Served>>,
    /// By the number of the actor and the protocol.
    keys: BTreeMap<(u64, u64), ActorKey>,
    names: BTreeMap<String, ActorKey>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Who asks to be let in, and what to do with it.
pub(super) enum Admission {
    Welcome(Arc<Peer>),
    /// Another connection to it is being made; ask again when that has come about or has not.
    Wait(Arc<Peer>),
    Refused(Goodbye, u64, &'static str),
}

impl Core {
    pub(super) fn new(handle: Handle, hello: Hello, limits: Limits) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            identity: Mutex::new(Identity { incarnation: hello.incarnation, is_bound: false }),
            hello,
            limits,
            handle,
            closing: CancellationToken::new(),
            deaf: CancellationToken::new(),
            joined: Notify::new(),
            moved: Notify::new(),
            types: Mutex::default(),
            exports: Mutex::default(),
            peers: Mutex::default(),
            former: Mutex::default(),
            introductions: Mutex::default(),
            half_open: Mutex::default(),
        })
    }

    pub(crate) fn id(&self) -> NodeId {
        self.hello().node()
    }

    pub(super) fn name(&self) -> &str {
        &self.hello.name
    }

    /// How the node introduces itself.
    pub(super) fn hello(&self) -> Hello {
        Hello { incarnation: lock(&self.identity).incarnation, ..self.hello.clone() }
    }

    /// A connection on which the node introduced itself as `incarnation` has come about. False if it took another one
    /// meanwhile; else it keeps this one.
    pub(super) fn bind(&self, incarnation: u64) -> bool {
        let mut identity = lock(&self.identity);
        let current = identity.incarnation == incarnation;
        identity.is_bound |= current;
        current
    }

    /// Another node has seen a later incarnation of this one: the clock went back. Takes the next one after that. False
    /// if others know this incarnation already.
    pub(super) fn renew(&self, seen: u64) -> bool {
        let mut identity = lock(&self.identity);
        if identity.is_bound || seen > INCARNATION_MAX {
            return false;
        }
        identity.incarnation = identity.incarnation.max(seen + 1);
        true
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
    pub(super) fn export(&self, served: &Arc<dyn Served>) -> WireRef {
        self.learn_types(served);
        let (number, protocol) = (served.shared().id().number(), served.protocol());
        let mut exports = lock(&self.exports);
        if let Some(key) = exports.keys.get(&(number, protocol)) {
            return WireRef { node: self.id(), key: *key, protocol };
        }
        let (slot, generation) = exports.actors.insert(served.clone());
        let key = ActorKey { slot, generation };
        exports.keys.insert((number, protocol), key);
        drop(exports);

        let core = self.me.clone();
        served.shared().monitors.add(Box::new(move |_| {
            if let Some(core) = core.upgrade() {
                core.withdraw(key, number, protocol);
            }
        }));
        WireRef { node: self.id(), key, protocol }
    }

    /// The actor has ended: its address and names lead nowhere.
    fn withdraw(&self, key: ActorKey, number: u64, protocol: u64) {
        let mut exports = lock(&self.exports);
        exports.keys.remove(&(number, protocol));
        exports.names.retain(|_, named| *named != key);
        let ended = exports.actors.remove(key.slot, key.generation);
        drop(exports);
        drop(ended);
    }

    /// Tells all nodes the numbers of the messages of an actor's protocol.
    fn learn_types(&self, served: &Arc<dyn Served>) {
        let mut types = lock(&self.types);
        let new: Vec<_> = served
            .messages()
            .iter()
            .filter(|message| types.known.insert(message.id))
            .map(|message| TypeInfo { id: message.id, schema: message.schema })
            .collect();
        if !new.is_empty() {
            types.list.extend_from_slice(&new);
            let peers: Vec<_> = lock(&self.peers).values().cloned().collect();
            peers.iter().for_each(|peer| peer.with_session(|session| session.add_types(&new)));
        }
    }

    pub(super) fn types(&self) -> Vec<TypeInfo> {
        lock(&self.types).list.clone()
    }

    pub(super) fn exported(&self, key: ActorKey) -> Option<Arc<dyn Served>> {
        lock(&self.exports).actors.get(key.slot, key.generation).cloned()
    }

    /// Gives a name to an exported actor. False if a living actor has it.
    pub(super) fn publish(&self, name: &str, served: &Arc<dyn Served>) -> bool {
        let key = self.export(served).key;
        let mut exports = lock(&self.exports);
        if exports.names.get(name).is_some_and(|taken| *taken != key) {
            return false;
        }
        // An actor that has ended meanwhile has no address any more, and keeps no name.
        if exports.actors.get(key.slot, key.generation).is_some() {
            exports.names.insert(name.to_owned(), key);
        }
        true
    }

    pub(super) fn unpublish(&self, name: &str) -> bool {
        lock(&self.exports).names.remove(name).is_some()
    }

    /// Looks for a name among the actors of this node.
    pub(super) fn find(&self, name: &str, protocol: u64) -> Result<(Arc<dyn Served>, ActorKey), Resolution> {
        let exports = lock(&self.exports);
        let Some(key) = exports.names.get(name) else { return Err(Resolution::NotFound) };
        match exports.actors.get(key.slot, key.generation) {
            Some(served) if served.protocol() == protocol => Ok((served.clone(), *key)),
            Some(_) => Err(Resolution::WrongProtocol),
            None => Err(Resolution::NotFound),
        }
    }

    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        lock(&self.peers).values().cloned().collect()
    }

    /// Earlier incarnations of nodes, all of them down.
    pub(super) fn former(&self) -> Vec<Arc<Peer>> {
        lock(&self.former).iter().cloned().collect()
    }

    /// The relation to a node that a reference mentions. It is dialled once something is to be sent to it.
    pub(crate) fn peer(&self, node: NodeId) -> Arc<Peer> {
        let introduction = lock(&self.introductions).get(&node).cloned();
        let types = lock(&self.types);
        let mut peers = lock(&self.peers);
        match peers.get(&node.name_hash).cloned() {
            Some(peer) if peer.id() == node => peer,
            // A later incarnation is known: the one that is meant is gone.
            Some(peer) if peer.id().incarnation > node.incarnation => Arc::new(Peer::gone(self.me.clone(), node)),
            former => match (introduction, self.me()) {
                (Some(introduction), Some(core)) if former.is_none() && self.makes_place(&mut peers) => {
                    let peer = Arc::new(Peer::new(&core, introduction, &types.list));
                    peers.insert(node.name_hash, peer.clone());
                    drop((types, peers));
                    connect::begin(core, peer.clone());
                    peer
                }
                _ => Arc::new(Peer::gone(self.me.clone(), node)),
            },
        }
    }

    /// Decides about a node that has introduced itself. `accepted`: it connected to us.
    pub(super) fn admit(&self, hello: &Hello, accepted: bool) -> Admission {
        let node = hello.node();
        let me = self.id();
        if node == me {
            return Admission::Refused(Goodbye::Itself, 0, "");
        }
        if node.same_name(&me) {
            return Admission::Refused(Goodbye::Already, 0, "this node has the same name");
        }
        let Some(core) = self.me() else { return Admission::Refused(Goodbye::Shutdown, 0, "") };

        let types = lock(&self.types);
        let mut peers = lock(&self.peers);
        let former = peers.get(&node.name_hash).cloned();
        if let Some(known) = former.as_ref().filter(|known| known.id().incarnation > node.incarnation) {
            return Admission::Refused(Goodbye::Stale, known.id().incarnation, "");
        }
        if let Some(peer) = former.as_ref().filter(|known| known.id() == node) {
            return match peer.turn(accepted, me < node) {
                Turn::Welcome => Admission::Welcome(peer.clone()),
                Turn::Wait => Admission::Wait(peer.clone()),
                Turn::Refuse(code) => Admission::Refused(code, 0, ""),
            };
        }

        if former.is_none() && !self.makes_place(&mut peers) {
            return Admission::Refused(Goodbye::Overloaded, 0, "this node knows too many others");
        }
        let introduction = Introduction { node, name: hello.name.clone(), address: hello.address.clone() };
        let peer = Arc::new(Peer::new(&core, introduction, &types.list));
        // It is nobody else's yet, so it is welcome.
        peer.turn(accepted, false);
        peers.insert(node.name_hash, peer.clone());
        drop((types, peers));
        if let Some(former) = former {
            let mut all = lock(&self.former);
            all.push_back(former.clone());
            if all.len() > FORMER_MAX {
                all.pop_front();
            }
            drop(all);
            // It is in the list by now, so that whoever hears of its end finds it.
            former.down();
        }
        connect::begin(core, peer.clone());
        Admission::Welcome(peer)
    }

    /// Looks for a place for one more node; forgets one that is down if it must, the lowest hash first.
    fn makes_place(&self, peers: &mut BTreeMap<u64, Arc<Peer>>) -> bool {
        if peers.len() < self.limits.peers_max {
            return true;
        }
        let down = peers.iter().find(|(_, peer)| peer.is_down()).map(|(hash, _)| *hash);
        down.and_then(|hash| peers.remove(&hash)).is_some()
    }

    /// Another node says where a third one is.
    pub(super) fn introduce(&self, introduction: Introduction) {
        let mut introductions = lock(&self.introductions);
        if introduction.node != self.id() && introductions.len() < INTRODUCTIONS_MAX {
            introductions.insert(introduction.node, introduction);
        }
    }

    /// Counts a connection that has not introduced itself yet. Of too many the oldest goes.
    pub(super) fn half_open(&self, handshake: AbortHandle) {
        let mut half_open = lock(&self.half_open);
        half_open.retain(|handshake| !handshake.is_finished());
        half_open.push_back(handshake);
        let oldest = if half_open.len() > self.limits.half_open_max { half_open.pop_front() } else { None };
        drop(half_open);
        if let Some(oldest) = oldest {
            oldest.abort();
        }
    }

    pub(super) fn close(&self) {
        self.closing.cancel();
        let half_open = std::mem::take(&mut *lock(&self.half_open));
        half_open.into_iter().for_each(|handshake| handshake.abort());
    }
}
