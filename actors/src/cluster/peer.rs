//! The relation to one other node: its session, who waits for room, and whether it is there.

use super::connect;
use super::converse::Connection;
use super::core::Core;
use super::events::{DownReason, NodeEvent};
use super::owed::Owed;
use super::room::Room;
use crate::error::AskError;
use crate::id::ExitReason;
use crate::refs::target::Place;
use crate::watch::monitor::{DownCallback, Monitors};
use crate::watch::shared::ActorShared;
use bytes::BytesMut;
use posse_core::event;
use posse_core::lock::Mutex;
use posse_core::sync::wait_list::wake_in_rounds;
use posse_core::sync::{CancellationToken, Notify, oneshot};
use posse_wire::{
    ActorKey, CorrelationId, Counters, DownCode, Goodbye, Introduction, NodeId, Resolution, Session, TypeInfo,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

/// Who waits for an answer from the other node.
pub(super) enum Answer {
    Ask(oneshot::Sender<Result<BytesMut, AskError>>),
    /// With the number of the actor that is to be told, if it is one.
    Watch(DownCallback, Option<u64>),
    /// Without an answer the node is down.
    Resolve(oneshot::Sender<Option<Resolution>>),
}

impl Answer {
    /// The node is down.
    fn give_up(self) {
        // Who asked may have left meanwhile.
        match self {
            Self::Ask(asker) => drop(asker.send(Err(AskError::NodeDown))),
            Self::Watch(notify, _) => notify(&ExitReason::NodeDown),
            Self::Resolve(asker) => drop(asker.send(None)),
        }
    }
}

/// Where the relation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No connection, and none is being made.
    Apart,
    /// We connect, and do not know yet who answers.
    Dialling,
    /// The other node has welcomed us, and the handshake goes on.
    Welcomed,
    /// The other node connected, was welcomed, and the handshake goes on.
    Accepting,
    Together,
    Down,
}

/// What becomes of a connection whose other side has introduced itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Welcome,
    /// Another connection between the two is being made, and it is not clear yet which one stays.
    Wait,
    Refuse(Goodbye),
}

struct Status {
    phase: Phase,
    /// A connection that has come about and waits to be taken up.
    offered: Option<Connection>,
    /// Where it listens: as others say until it was met, then as it says itself.
    address: String,
    /// A handshake with it was completed, so it is who it says.
    is_met: bool,
    /// Somebody sees to its connections.
    has_begun: bool,
    down_since: Duration,
}

pub(crate) struct Peer {
    me: Weak<Peer>,
    core: Weak<Core>,
    node: NodeId,
    name: Arc<str>,
    /// Which incarnation of this node the relation is with.
    own: NodeId,
    session: Mutex<Session<Answer>>,
    status: Mutex<Status>,
    /// Senders that wait for room.
    room: Room,
    /// Asks of the other node that our actors work on.
    pub(super) owed: Owed,
    /// Monitors of the other node on our actors.
    watchers: Mutex<BTreeMap<CorrelationId, (Arc<Monitors>, u64)>>,
    /// There is something to write.
    pub(super) output: Notify,
    /// Asks of the other node wait until replies were read. Partner of the load: `Reader::converse`.
    pub(super) asks_wait: AtomicBool,
    /// More of them may be begun.
    pub(super) begin: Notify,
    /// Its last long frame came too slowly. Written and read by its connection alone.
    pub(super) dawdled: AtomicBool,
    /// The phase has changed.
    moved: Notify,
    /// The node is down, or this one closes: its connection ends.
    pub(super) closing: CancellationToken,
}

impl Peer {
    /// A node that was not met yet.
    pub(super) fn new(core: &Arc<Core>, introduction: Introduction, types: &[TypeInfo]) -> Arc<Self> {
        let session = Session::new(core.limits.clone(), types);
        let closing = core.closing.child_token();
        let core = (Arc::downgrade(core), core.id());
        Arc::new_cyclic(|me| Self::with(me.clone(), core, introduction, session, Phase::Apart, closing))
    }

    /// A node of which nothing but its id is known, and that it is gone.
    pub(super) fn gone(core: Weak<Core>, node: NodeId) -> Self {
        let mut session = Session::new(posse_wire::Limits::default(), &[]);
        session.close();
        let introduction = Introduction { node, name: String::new(), address: String::new() };
        Self::with(Weak::new(), (core, node), introduction, session, Phase::Down, CancellationToken::new())
    }

    fn with(
        me: Weak<Self>,
        (core, own): (Weak<Core>, NodeId),
        introduction: Introduction,
        session: Session<Answer>,
        phase: Phase,
        closing: CancellationToken,
    ) -> Self {
        let Introduction { node, name, address } = introduction;
        let status =
            Status { phase, offered: None, address, is_met: false, has_begun: false, down_since: Duration::ZERO };
        Self {
            me,
            core,
            node,
            name: name.into(),
            own,
            session: Mutex::new(session),
            status: Mutex::new(status),
            room: Room::default(),
            owed: Owed::default(),
            watchers: Mutex::default(),
            output: Notify::new(),
            asks_wait: AtomicBool::new(false),
            dawdled: AtomicBool::new(false),
            begin: Notify::new(),
            moved: Notify::new(),
            closing,
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.node
    }

    pub(crate) fn introduction(&self) -> Introduction {
        Introduction { node: self.node, name: self.name.to_string(), address: self.address() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    pub(super) fn address(&self) -> String {
        self.status.lock().address.clone()
    }

    /// The other node was met, and says where it listens. False if it is down.
    pub(super) fn is_at(&self, address: &str) -> bool {
        let mut status = self.status.lock();
        let lives = status.phase != Phase::Down;
        if lives {
            status.is_met = true;
            address.clone_into(&mut status.address);
        }
        lives
    }

    pub(super) fn is_met(&self) -> bool {
        self.status.lock().is_met
    }

    pub(super) fn has_begun(&self) -> bool {
        self.status.lock().has_begun
    }

    pub(super) fn down_since(&self) -> Duration {
        self.status.lock().down_since
    }

    /// Sees to it that there is a connection, from now on until the node is down.
    pub(super) fn begin(&self) {
        let mut status = self.status.lock();
        if status.has_begun || status.phase == Phase::Down {
            return;
        }
        status.has_begun = true;
        drop(status);
        match self.core().zip(self.me.upgrade()) {
            Some((core, peer)) => connect::begin(core, peer),
            None => self.down(DownReason::Closed),
        }
    }

    pub(super) fn core(&self) -> Option<Arc<Core>> {
        self.core.upgrade()
    }

    /// Which incarnation of this node the relation is with.
    pub(super) fn own(&self) -> NodeId {
        self.own
    }

    pub(super) fn counters(&self) -> Counters {
        self.session.lock().counters()
    }

    /// Works on the session, then wakes the writer if there is something new to write.
    pub(super) fn with_session<R>(&self, f: impl FnOnce(&mut Session<Answer>) -> R) -> R {
        let mut session = self.session.lock();
        let had_output = session.has_output();
        let result = f(&mut session);
        let wake = !had_output && session.has_output();
        let is_wanted = !session.is_attached() && (session.waits() || session.counters().unsettled > 0);
        drop(session);
        if wake {
            self.output.notify_one();
        }
        if is_wanted {
            self.begin();
        }
        result
    }

    /// As [`with_session`](Self::with_session) for the two ends of a connection, which wake nobody.
    pub(super) fn on_session<R>(&self, f: impl FnOnce(&mut Session<Answer>) -> R) -> R {
        f(&mut self.session.lock())
    }

    /// Returns true unless others wait for room for an actor before this sender.
    #[inline]
    pub(super) fn may_send(&self, place: &Place, to: ActorKey) -> bool {
        self.room.is_free(place, to)
    }

    /// Waits in line until a message would not be refused for want of room. The place is kept until it has been sent.
    pub(super) fn poll_room(&self, place: &mut Place, to: ActorKey, cx: &mut Context<'_>) -> Poll<()> {
        // Looked at after joining the line: whoever makes room looks at the line afterwards.
        if self.room.wait(place, to, cx) && self.session.lock().has_room(to) { Poll::Ready(()) } else { Poll::Pending }
    }

    pub(super) fn leave_line(&self, place: &mut Place, to: ActorKey) {
        if self.room.leave(place, to) && self.session.lock().has_room(to) {
            self.room.wake(to);
        }
    }

    /// There may be room: wakes the first of those who wait for each actor for whom there is.
    pub(super) fn wake_line(&self) {
        if self.room.is_empty() {
            return;
        }
        let mut after = None;
        wake_in_rounds(|woken| {
            let session = self.session.lock();
            after = self.room.gather(after, woken, |to| session.has_room(to));
            after.is_some()
        });
    }

    pub(crate) fn is_down(&self) -> bool {
        self.status.lock().phase == Phase::Down
    }

    pub(super) fn is_together(&self) -> bool {
        self.status.lock().phase == Phase::Together
    }

    /// Waits until something is so that goes with the phase.
    pub(super) async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        loop {
            let moved = self.moved.notified();
            if is_so(self) {
                return;
            }
            moved.await;
        }
    }

    /// A handshake is going on.
    pub(super) fn is_reserved(&self) -> bool {
        matches!(self.status.lock().phase, Phase::Accepting | Phase::Welcomed)
    }

    pub(super) fn is_accepting(&self) -> bool {
        self.status.lock().phase == Phase::Accepting
    }

    /// Reserves the relation for dialling. False if there is a connection, or one is being made.
    pub(super) fn begin_dialling(&self) -> bool {
        let mut status = self.status.lock();
        let apart = status.phase == Phase::Apart;
        // Where others say that it is somebody else may keep us waiting, and it may itself be at the door.
        if apart && status.is_met {
            status.phase = Phase::Dialling;
        }
        apart
    }

    /// Decides about a connection whose other side has introduced itself. Of two nodes that connect to each other at
    /// once the smaller one's connection stays, unless the other one is further.
    pub(super) fn turn(&self, accepted: bool, we_are_smaller: bool) -> Turn {
        let mut status = self.status.lock();
        let welcome = match (status.phase, accepted) {
            (Phase::Apart, _) | (Phase::Dialling, false) => true,
            (Phase::Dialling, true) if !we_are_smaller => true,
            (Phase::Dialling | Phase::Welcomed, _) => return Turn::Refuse(Goodbye::Simultaneous),
            (Phase::Accepting, false) if we_are_smaller => false,
            (Phase::Accepting, false) => return Turn::Refuse(Goodbye::Simultaneous),
            (Phase::Accepting | Phase::Together, _) => return Turn::Refuse(Goodbye::Already),
            (Phase::Down, _) => return Turn::Refuse(Goodbye::Quarantined),
        };
        if !welcome {
            return Turn::Wait;
        }
        status.phase = if accepted { Phase::Accepting } else { Phase::Welcomed };
        Turn::Welcome
    }

    /// The handshake for which the relation was reserved did not come to its end.
    pub(super) fn abandon(&self, accepted: bool) {
        self.free(if accepted { Phase::Accepting } else { Phase::Welcomed });
    }

    /// Dialling did not lead to anybody who introduced itself as this node.
    pub(super) fn stop_dialling(&self) {
        self.free(Phase::Dialling);
    }

    fn free(&self, reserved: Phase) {
        let mut status = self.status.lock();
        if status.phase == reserved {
            status.phase = Phase::Apart;
        }
        drop(status);
        self.say_moved();
    }

    /// Tells those who wait for this node, or for any, to look at it again.
    fn say_moved(&self) {
        self.moved.notify_waiters();
        if let Some(core) = self.core() {
            core.moved.notify_waiters();
        }
    }

    /// A connection has come about.
    pub(super) fn offer(&self, connection: Connection) {
        let mut status = self.status.lock();
        let is_down = status.phase == Phase::Down;
        if !is_down {
            status.phase = Phase::Together;
            status.offered = Some(connection);
        }
        drop(status);
        if !is_down {
            self.say(NodeEvent::Connected { node: self.node, name: self.shared_name() });
        }
        self.say_moved();
    }

    fn say(&self, event: NodeEvent) {
        if let Some(core) = self.core() {
            core.events.push(event);
        }
    }

    pub(super) fn has_offer(&self) -> bool {
        self.status.lock().offered.is_some()
    }

    /// Waits until a connection is offered, or the node is down. It looks at what is so, so nothing that was over long ago
    /// ends the wait.
    pub(super) async fn until_offered(&self) {
        self.until(|peer| peer.has_offer() || peer.is_down()).await;
    }

    pub(super) fn take_offer(&self) -> Option<Connection> {
        self.status.lock().offered.take()
    }

    /// The connection is gone.
    pub(super) fn part(&self) {
        let mut status = self.status.lock();
        let was_together = status.phase == Phase::Together;
        if was_together {
            status.phase = Phase::Apart;
        }
        drop(status);
        let lost = self.on_session(|session| {
            let before = session.counters().lost;
            session.detach();
            session.counters().lost - before
        });
        self.forget_watchers();
        if was_together {
            event!(INFO, "posse::node", "disconnected", node.id = %self.node, node.name = %self.name(); lost = lost);
            self.say(NodeEvent::Disconnected { node: self.node, name: self.shared_name(), lost });
        }
        self.say_moved();
    }

    /// Says that the other node monitors one of our actors. It is told once.
    pub(super) fn watched_by(self: &Arc<Self>, id: CorrelationId, shared: &ActorShared) {
        let peer = Arc::downgrade(self);
        let monitors = shared.monitors.clone();
        let key = monitors.add(Box::new(move |reason| {
            let Some(peer) = peer.upgrade() else { return };
            peer.watchers.lock().remove(&id);
            peer.say_down(id, reason);
        }));
        if shared.ended().is_none() {
            let former = self.watchers.lock().insert(id, (monitors, key));
            if let Some((monitors, key)) = former {
                monitors.remove(key);
            }
            // It may have ended in between, and was looked for in the list before it was there.
            if shared.ended().is_some() {
                self.watchers.lock().remove(&id);
            }
        }
    }

    fn say_down(&self, id: CorrelationId, reason: &ExitReason) {
        let (code, text) = down_code(reason);
        self.with_session(|session| session.down(id, code, text));
    }

    pub(super) fn watcher_count(&self) -> usize {
        self.watchers.lock().len()
    }

    pub(super) fn unwatch(&self, id: CorrelationId) {
        let watcher = self.watchers.lock().remove(&id);
        if let Some((monitors, key)) = watcher {
            monitors.remove(key);
        }
    }

    /// After a reconnect the other node monitors anew.
    fn forget_watchers(&self) {
        let watchers = std::mem::take(&mut *self.watchers.lock());
        for (monitors, key) in watchers.into_values() {
            monitors.remove(key);
        }
    }

    /// The node is gone for good: everybody who waits is told, what comes later is refused, its connection ends.
    pub(super) fn down(&self, reason: DownReason) {
        let mut status = self.status.lock();
        if status.phase == Phase::Down {
            return;
        }
        status.phase = Phase::Down;
        let (offered, is_met) = (status.offered.take(), status.is_met);
        status.down_since = self.core().map_or(Duration::ZERO, |core| core.now());
        drop(status);
        drop(offered);
        event!(INFO, "posse::node", "node down", node.id = %self.node, node.name = %self.name(), reason = %reason);

        let answers = self.on_session(Session::close);
        answers.into_iter().for_each(Answer::give_up);
        self.forget_watchers();
        self.forgive_all();
        self.wake_line();
        self.closing.cancel();
        self.output.notify_one();
        if is_met {
            self.say(NodeEvent::Down { node: self.node, name: self.shared_name(), reason });
        }
        self.say_moved();
        if let Some(core) = self.core().filter(|_| is_met) {
            core.is_told_down();
        }
    }
}

#[cfg(feature = "sim")]
impl crate::system::audit::Audited for Peer {
    /// What is wrong with the sums of this relation, if anything.
    fn audit(&self) -> Option<String> {
        let core = self.core()?;
        let log = super::wire_log::WireLog::of(&core.handle);
        let (counters, down) = (self.counters(), self.is_down());
        if counters.unsettled > core.limits.unsettled_max as u64 {
            return Some(format!("{} messages to {} are not settled, more than may be", counters.unsettled, self.id()));
        }
        let waiting = self.session.lock().waiting_bytes();
        if waiting > core.limits.control_bytes_max / 8 * 9 + core.limits.message_bytes_max as usize {
            return Some(format!("{waiting} bytes of answers wait for {}, more than may", self.id()));
        }
        let left = (self.owed_count(), self.watcher_count(), waiting);
        if down && left != (0, 0, 0) {
            return Some(format!("{left:?} replies, monitors and bytes are left of {}, which is down", self.id()));
        }
        if !core.peers().iter().any(|peer| peer.is_together()) && core.long_frames.is_taken() {
            return Some("there are no connections, and not all room for long frames has come back".to_owned());
        }
        log.check(self.own, self.id(), &counters, down)
    }
}

/// The partner of `inbound::exit_reason`.
pub(super) fn down_code(reason: &ExitReason) -> (DownCode, &str) {
    match reason {
        ExitReason::Normal => (DownCode::Normal, ""),
        ExitReason::Shutdown => (DownCode::Shutdown, ""),
        ExitReason::Killed => (DownCode::Killed, ""),
        ExitReason::Failed(text) | ExitReason::GaveUp(text) => (DownCode::Failed, text),
        ExitReason::NodeDown => (DownCode::NodeDown, ""),
        ExitReason::NoSuchActor => (DownCode::NoSuchActor, ""),
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
pub(super) mod tests;
