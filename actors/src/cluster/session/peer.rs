//! The relation to one other node: its session, who waits for room to send, and whether it is there.
//!
//! User code and wakers run after the locks: what a lock guards is taken out first and acted upon then.

use super::collision::{Collision, PeerPhase, resolve_collision};
use super::connection::Connection;
use super::pending_replies::PendingReplies;
use super::reasons::down_code;
use super::send_waiters::SendWaiters;
use crate::cluster::events::{DisconnectReason, DownReason, NodeEvent};
use crate::cluster::state::NodeState;
use crate::error::AskError;
use crate::id::ExitReason;
use crate::refs::target::RemoteReservation;
use crate::watch::monitor::{DownCallback, Monitors};
use crate::watch::shared::ActorShared;
use bytes::BytesMut;
use posse_core::event;
use posse_core::lock::Mutex;
use posse_core::sync::wait_list::wake_in_rounds;
use posse_core::sync::{CancellationToken, Notify, oneshot, watch};
use posse_wire::{ActorKey, CorrelationId, Counters, NodeId, NodeInfo, Resolution, Session, TypeInfo};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

/// Who waits for an answer from the other node.
pub(crate) enum Requester {
    Ask(oneshot::Sender<Result<BytesMut, AskError>>),
    /// With the number of the actor that is to be told, if it is one.
    Monitor(DownCallback, Option<u64>),
    /// Without an answer the node is down.
    Resolve(oneshot::Sender<Option<Resolution>>),
}

impl Requester {
    /// The node is down.
    fn fail(self) {
        // Who asked may have left meanwhile.
        match self {
            Self::Ask(asker) => drop(asker.send(Err(AskError::NodeDown))),
            Self::Monitor(notify, _) => notify(&ExitReason::NodeDown),
            Self::Resolve(asker) => drop(asker.send(None)),
        }
    }
}

/// Where the relation stands: what [`Peer::wait_for`] waits for.
pub(crate) struct Status {
    /// Written by handshakes, which reserve the relation and release it, by the peer task when a connection ends, and by
    /// [`Peer::mark_down`], after which it stays.
    phase: PeerPhase,
    /// Put here by the handshake that established it, taken by the peer task, which runs it.
    connection: Option<Connection>,
    /// Where it listens: as others say until it was met, then as it says itself. Empty if nowhere. Read to dial it.
    address: String,
    /// A handshake with it was completed, so it is who it says. Set once. One that was not met is dialled without being
    /// reserved, and its end is no event.
    is_met: bool,
    /// There is a peer task. Set once, by the first who has something to send or a connection.
    is_started: bool,
    /// Set once, with the phase. Of those that are down the one that has been for longest is forgotten first.
    down_since: Duration,
}

impl Status {
    pub(crate) fn is_down(&self) -> bool {
        self.phase == PeerPhase::Down
    }

    /// The other node has connected, and its handshake goes on.
    pub(crate) fn is_accepting(&self) -> bool {
        self.phase == PeerPhase::HandshakeIn
    }

    /// There is a connection that the peer task has not taken yet.
    pub(crate) fn has_connection(&self) -> bool {
        self.connection.is_some()
    }
}

/// The relation to one other node. Owned by the node's tables, by references to actors there and by its own tasks.
pub(crate) struct Peer {
    /// For those who are handed out by a shared borrow: the peer task and the callbacks of monitors.
    me: Weak<Peer>,
    /// Weak: references outlive the node, and answer `NodeDown` then.
    node: Weak<NodeState>,
    id: NodeId,
    name: Arc<str>,
    /// Which incarnation of this node the relation is with: what the other one says is meant for that one.
    own: NodeId,
    /// Frames to be written, requests without an answer. Written by senders, by the receiver (acknowledgements, answers) and
    /// by the writer, which takes frames out. The innermost lock.
    session: Mutex<Session<Requester>>,
    /// Written under no other lock, read by all who want to know whether the node is there. What a change entails (events,
    /// answers) is done before those who wait for it are woken.
    status: watch::Sender<Status>,
    /// Senders for whose message the session has no room. Who makes room wakes them: [`wake_senders`](Self::wake_senders).
    senders: SendWaiters,
    /// Asks of the other node that our actors work on. Filled by the receiver, emptied by the writer; down empties it.
    pub(crate) pending_replies: PendingReplies,
    /// Monitors of the other node on our actors. An entry goes when the actor ends, with UNWATCH, and with the connection.
    remote_monitors: Mutex<BTreeMap<CorrelationId, (Arc<Monitors>, u64)>>,
    /// There is something to write, or the connection is to end. Only the writer waits for it.
    pub(crate) write_ready: Notify,
    /// Asks of the other node wait until replies were read, or the reader until answers were written. Written by the reader
    /// before it sleeps, read by the writer. Partner of the load in [`let_asks_begin`](Self::let_asks_begin): the stores in
    /// `Reader::reset_timer` and `let_writer_go_first`.
    pub(crate) asks_wait: AtomicBool,
    /// More of them may be begun. The reader waits for it while `asks_wait`, the writer notifies.
    pub(crate) asks_may_begin: Notify,
    /// Its last long frame came too slowly. Written and read by its connection alone; it outlives that.
    pub(crate) was_slow: AtomicBool,
    /// The node is down, or this one closes: its connection ends. A child of the node's.
    pub(crate) shutdown: CancellationToken,
}

impl Peer {
    /// A node that was not met yet.
    pub(crate) fn new(node: &Arc<NodeState>, node_info: NodeInfo, types: &[TypeInfo]) -> Arc<Self> {
        let NodeInfo { node: id, name, address } = node_info;
        let status = Status {
            phase: PeerPhase::Disconnected,
            connection: None,
            address,
            is_met: false,
            is_started: false,
            down_since: Duration::ZERO,
        };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            node: Arc::downgrade(node),
            id,
            name: name.into(),
            own: node.id(),
            session: Mutex::new(Session::new(node.config.clone(), types)),
            status: watch::Sender::new(status),
            senders: SendWaiters::default(),
            pending_replies: PendingReplies::default(),
            remote_monitors: Mutex::default(),
            write_ready: Notify::new(),
            asks_wait: AtomicBool::new(false),
            was_slow: AtomicBool::new(false),
            asks_may_begin: Notify::new(),
            shutdown: node.shutdown.child_token(),
        })
    }

    /// What [`new`](Self::new) allocates, at least: itself, what it knows of the other node, and the numbers of types.
    pub(crate) fn bytes(node_info: &NodeInfo, types: &[TypeInfo]) -> usize {
        2 * size_of::<usize>() + size_of::<Self>() + node_info.name.len() + node_info.address.len() + size_of_val(types)
    }

    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    pub(crate) fn node_info(&self) -> NodeInfo {
        NodeInfo { node: self.id, name: self.name.to_string(), address: self.address() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    pub(crate) fn address(&self) -> String {
        self.status.borrow().address.clone()
    }

    /// The other node was met, and says where it listens. False if it is down.
    pub(crate) fn mark_met(&self, address: &str) -> bool {
        self.status.send_if_modified(|status| {
            let lives = !status.is_down();
            if lives {
                status.is_met = true;
                address.clone_into(&mut status.address);
            }
            lives
        })
    }

    pub(crate) fn is_met(&self) -> bool {
        self.status.borrow().is_met
    }

    pub(crate) fn is_started(&self) -> bool {
        self.status.borrow().is_started
    }

    pub(crate) fn down_since(&self) -> Duration {
        self.status.borrow().down_since
    }

    /// Sees to it that there is a connection, from now on until the node is down.
    pub(crate) fn start(&self) {
        let is_first = self.status.send_if_modified(|status| {
            let is_first = !status.is_started && !status.is_down();
            status.is_started |= is_first;
            is_first
        });
        if !is_first {
            return;
        }
        match self.node().zip(self.me.upgrade()) {
            Some((node, peer)) => (node.spawn_peer_task)(node, peer),
            None => self.mark_down(DownReason::Closed),
        }
    }

    pub(crate) fn node(&self) -> Option<Arc<NodeState>> {
        self.node.upgrade()
    }

    /// Which incarnation of this node the relation is with.
    pub(crate) fn own(&self) -> NodeId {
        self.own
    }

    pub(crate) fn counters(&self) -> Counters {
        self.session.lock().counters()
    }

    /// Works on the session, then wakes the writer if there is something new to write, and sees to it that there is a
    /// connection if something waits for one. For all callers but the two tasks of a connection.
    pub(crate) fn update_session<R>(&self, f: impl FnOnce(&mut Session<Requester>) -> R) -> R {
        let mut session = self.session.lock();
        let had_output = session.has_output();
        let result = f(&mut session);
        let wake = !had_output && session.has_output();
        let is_wanted = !session.is_attached() && (session.has_pending_requests() || session.counters().unsettled > 0);
        drop(session);
        if wake {
            self.write_ready.notify_one();
        }
        if is_wanted {
            self.start();
        }
        result
    }

    /// Works on the session and wakes no task. For the reader and the writer of its connection, which look by themselves.
    pub(crate) fn with_session<R>(&self, f: impl FnOnce(&mut Session<Requester>) -> R) -> R {
        f(&mut self.session.lock())
    }

    /// Returns true unless others wait for room for an actor before this sender.
    #[inline]
    pub(crate) fn may_send(&self, place: &RemoteReservation, to: ActorKey) -> bool {
        self.senders.is_next(place, to)
    }

    /// Waits in line until a message would not be refused for want of room. The place is kept until it has been sent.
    pub(crate) fn poll_reserve(&self, place: &mut RemoteReservation, to: ActorKey, cx: &mut Context<'_>) -> Poll<()> {
        // Looked at after joining the line: the task that makes room looks at the line afterwards.
        if self.senders.join(place, to, cx) && self.session.lock().has_room(to) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub(crate) fn cancel_reserve(&self, place: &mut RemoteReservation, to: ActorKey) {
        if self.senders.leave(place, to) && self.session.lock().has_room(to) {
            self.senders.wake_first(to);
        }
    }

    /// There may be room: wakes the first of those who wait for each actor for whom there is.
    pub(crate) fn wake_senders(&self) {
        if self.senders.is_empty() {
            return;
        }
        let mut after = None;
        wake_in_rounds(|woken| {
            let session = self.session.lock();
            after = self.senders.take_ready(after, woken, |to| session.has_room(to));
            after.is_some()
        });
    }

    pub(crate) fn is_down(&self) -> bool {
        self.status.borrow().is_down()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.status.borrow().phase == PeerPhase::Connected
    }

    /// Waits until the status satisfies a condition, beginning with the present one. The condition runs with the status locked.
    pub(crate) async fn wait_for(&self, condition: impl Fn(&Status) -> bool) {
        // The sender is here, so there is no end before.
        let _ = self.status.subscribe().wait_for(condition).await;
    }

    /// A handshake is going on.
    pub(crate) fn is_in_handshake(&self) -> bool {
        matches!(self.status.borrow().phase, PeerPhase::HandshakeIn | PeerPhase::HandshakeOut)
    }

    pub(crate) fn is_accepting(&self) -> bool {
        self.status.borrow().is_accepting()
    }

    /// Reserves the relation for dialling. False if there is a connection, or one is being made.
    pub(crate) fn try_start_connect(&self) -> bool {
        self.status.send_if_modified(|status| {
            let is_disconnected = status.phase == PeerPhase::Disconnected;
            // Where others say that it is another node may keep this one waiting, and it may itself be dialling.
            if is_disconnected && status.is_met {
                status.phase = PeerPhase::Connecting;
            }
            is_disconnected
        })
    }

    /// Decides about a connection whose other side has introduced itself, and reserves the relation for it if it may go on.
    /// `inbound`: the other node connected to us.
    pub(crate) fn admit(&self, inbound: bool, we_are_smaller: bool) -> Collision {
        let mut decision = Collision::Wait;
        self.status.send_if_modified(|status| {
            decision = resolve_collision(status.phase, inbound, we_are_smaller);
            if decision == Collision::Accept {
                status.phase = if inbound { PeerPhase::HandshakeIn } else { PeerPhase::HandshakeOut };
            }
            decision == Collision::Accept
        });
        decision
    }

    /// The handshake for which the relation was reserved did not come to its end.
    pub(crate) fn handshake_failed(&self, accepted: bool) {
        self.release(if accepted { PeerPhase::HandshakeIn } else { PeerPhase::HandshakeOut });
    }

    /// Dialling did not lead to anybody who introduced itself as this node.
    pub(crate) fn connect_failed(&self) {
        self.release(PeerPhase::Connecting);
    }

    fn release(&self, reserved: PeerPhase) {
        self.change(|status| {
            if status.phase == reserved {
                status.phase = PeerPhase::Disconnected;
            }
        });
        self.notify_changed();
    }

    /// Changes the status and wakes no task: what the change entails comes before, and [`notify_changed`](Self::notify_changed)
    /// after that.
    fn change(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_if_modified(|status| {
            change(status);
            false
        });
    }

    /// Tells those who wait for this node, or for any, to look at it again.
    fn notify_changed(&self) {
        self.status.send_modify(|_| {});
        if let Some(node) = self.node() {
            node.peers_changed.notify_waiters();
        }
    }

    /// A connection was established, or is no use any more: the node is down.
    pub(crate) fn set_connection(&self, connection: Connection) {
        let mut refused = Some(connection);
        self.change(|status| {
            if !status.is_down() {
                status.phase = PeerPhase::Connected;
                status.connection = refused.take();
            }
        });
        if refused.is_none() {
            self.emit(NodeEvent::Connected { node: self.id, name: self.shared_name() });
        }
        self.notify_changed();
    }

    fn emit(&self, event: NodeEvent) {
        if let Some(node) = self.node() {
            node.events.push(event);
        }
    }

    /// Waits until a connection was established that was not taken yet, or the node is down.
    pub(crate) async fn wait_connection(&self) {
        self.wait_for(|status| status.has_connection() || status.is_down()).await;
    }

    pub(crate) fn take_connection(&self) -> Option<Connection> {
        let mut connection = None;
        self.change(|status| connection = status.connection.take());
        connection
    }

    /// The connection is gone.
    pub(crate) fn on_disconnect(&self, reason: DisconnectReason) {
        // A relation that is down stays so, and was told already.
        let mut was_connected = false;
        self.change(|status| {
            was_connected = status.phase == PeerPhase::Connected;
            if was_connected {
                status.phase = PeerPhase::Disconnected;
            }
        });
        let lost = self.with_session(|session| {
            let before = session.counters().lost;
            session.detach();
            session.counters().lost - before
        });
        self.clear_remote_monitors();
        if was_connected {
            event!(
                INFO, "posse::node", "disconnected",
                node.id = %self.id, node.name = %self.name(), reason = %reason; lost = lost,
            );
            self.emit(NodeEvent::Disconnected { node: self.id, name: self.shared_name(), lost, reason });
        }
        self.notify_changed();
    }

    /// Says that the other node monitors one of our actors. It is told once.
    pub(crate) fn add_remote_monitor(self: &Arc<Self>, id: CorrelationId, shared: &ActorShared) {
        let peer = Arc::downgrade(self);
        let monitors = shared.monitors.clone();
        let key = monitors.add(Box::new(move |reason| {
            let Some(peer) = peer.upgrade() else { return };
            peer.remote_monitors.lock().remove(&id);
            peer.send_down(id, reason);
        }));
        if shared.ended().is_none() {
            let previous = self.remote_monitors.lock().insert(id, (monitors, key));
            if let Some((monitors, key)) = previous {
                monitors.remove(key);
            }
            // It may have ended in between, and was looked for in the list before it was there.
            if shared.ended().is_some() {
                self.remote_monitors.lock().remove(&id);
            }
        }
    }

    fn send_down(&self, id: CorrelationId, reason: &ExitReason) {
        let (code, text) = down_code(reason);
        self.update_session(|session| session.down(id, code, text));
    }

    pub(crate) fn remote_monitor_count(&self) -> usize {
        self.remote_monitors.lock().len()
    }

    pub(crate) fn remove_remote_monitor(&self, id: CorrelationId) {
        let watcher = self.remote_monitors.lock().remove(&id);
        if let Some((monitors, key)) = watcher {
            monitors.remove(key);
        }
    }

    /// After a reconnect the other node monitors anew.
    fn clear_remote_monitors(&self) {
        let remote_monitors = std::mem::take(&mut *self.remote_monitors.lock());
        for (monitors, key) in remote_monitors.into_values() {
            monitors.remove(key);
        }
    }

    /// The node is gone for good: all that wait are told, what comes later is refused, its connection ends.
    pub(crate) fn mark_down(&self, reason: DownReason) {
        // The first says why; all others have nothing left to do.
        let now = self.node().map_or(Duration::ZERO, |node| node.now());
        let (mut was_down, mut connection, mut is_met) = (false, None, false);
        self.change(|status| {
            was_down = status.is_down();
            if !was_down {
                (status.phase, status.down_since) = (PeerPhase::Down, now);
                (connection, is_met) = (status.connection.take(), status.is_met);
            }
        });
        if was_down {
            return;
        }
        drop(connection);
        event!(INFO, "posse::node", "node down", node.id = %self.id, node.name = %self.name(), reason = %reason);

        // From here on nothing can be sent. Those who wait are told one by one, under no lock.
        let requesters = self.with_session(Session::terminate);
        requesters.into_iter().for_each(Requester::fail);
        self.clear_remote_monitors();
        self.cancel_replies();
        self.wake_senders();
        self.shutdown.cancel();
        self.write_ready.notify_one();
        // A node that was only mentioned was no node to anybody.
        if is_met {
            self.emit(NodeEvent::Down { node: self.id, name: self.shared_name(), reason });
        }
        self.notify_changed();
        if let Some(node) = self.node().filter(|_| is_met) {
            node.is_told_down();
        }
    }
}

#[cfg(feature = "sim")]
impl crate::system::audit::Audited for Peer {
    /// What is wrong with the sums of this relation, if anything.
    fn audit(&self) -> Option<String> {
        let node = self.node()?;
        let log = crate::cluster::wire_log::WireLog::of(&node.handle);
        let (counters, down) = (self.counters(), self.is_down());
        if counters.unsettled > node.config.unsettled_max as u64 {
            return Some(format!("{} messages to {} are not settled, more than may be", counters.unsettled, self.id()));
        }
        let (waiting, held) = self.with_session(|session| (session.waiting_bytes(), session.held_bytes()));
        if waiting > node.config.control_bytes_max / 8 * 9 + node.config.message_bytes_max as usize {
            return Some(format!("{waiting} bytes of answers wait for {}, more than may", self.id()));
        }
        if held > node.config.peer_bytes_max() {
            return Some(format!("{held} bytes are held for {}, more than may", self.id()));
        }
        let left = (self.pending_reply_count(), self.remote_monitor_count(), waiting);
        if down && left != (0, 0, 0) {
            return Some(format!("{left:?} replies, monitors and bytes are left of {}, which is down", self.id()));
        }
        if !node.peers().iter().any(|peer| peer.is_connected()) && node.long_frames.is_taken() {
            return Some("there are no connections, and not all room for long frames has come back".to_owned());
        }
        log.check(self.own, self.id(), &counters, down)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
pub(crate) mod tests;
