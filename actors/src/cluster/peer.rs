//! The relation to one other node: its session, who waits for room, and whether it is there.

use super::converse::Connection;
use super::core::Core;
use super::owed::Owed;
use crate::cell::Shared;
use crate::error::{AskError, FindError};
use crate::exit::ExitReason;
use crate::link::{Monitors, Notify as Told};
use bytes::BytesMut;
use posse_core::sync::{Notify, oneshot};
use posse_wire::{
    ActorKey, CorrelationId, Counters, DownCode, Goodbye, Introduction, NodeId, Resolution, Session, TypeInfo,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};

/// Who waits for an answer from the other node.
pub(super) enum Answer {
    Ask(oneshot::Sender<Result<BytesMut, AskError>>),
    /// With the number of the actor that is to be told, if it is one.
    Watch(Told, Option<u64>),
    Resolve(oneshot::Sender<Result<Resolution, FindError>>),
}

impl Answer {
    /// The node is down.
    fn give_up(self) {
        // Who asked may have left meanwhile.
        match self {
            Self::Ask(asker) => drop(asker.send(Err(AskError::NodeDown))),
            Self::Watch(notify, _) => notify(&ExitReason::NodeDown),
            Self::Resolve(asker) => drop(asker.send(Err(FindError::NodeDown))),
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
}

/// A sender's place among those who wait for room.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<u64>);

#[derive(Default)]
struct Room {
    next: u64,
    /// By place: whom the message is for.
    waiting: BTreeMap<u64, (ActorKey, Waker)>,
}

pub(crate) struct Peer {
    core: Weak<Core>,
    introduction: Introduction,
    session: Mutex<Session<Answer>>,
    status: Mutex<Status>,
    room: Mutex<Room>,
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
    /// Something is to be sent, and there is no connection.
    pub(super) wanted: Notify,
    /// The phase has changed.
    moved: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Peer {
    pub(super) fn new(core: &Arc<Core>, introduction: Introduction, types: &[TypeInfo]) -> Self {
        let session = Session::new(core.limits.clone(), types);
        Self::with(Arc::downgrade(core), introduction, session, Phase::Apart)
    }

    /// A node of which nothing but its id is known, and that it is gone.
    pub(super) fn gone(core: Weak<Core>, node: NodeId) -> Self {
        let mut session = Session::new(posse_wire::Limits::default(), &[]);
        session.close();
        let introduction = Introduction { node, name: String::new(), address: String::new() };
        Self::with(core, introduction, session, Phase::Down)
    }

    fn with(core: Weak<Core>, introduction: Introduction, session: Session<Answer>, phase: Phase) -> Self {
        Self {
            core,
            introduction,
            session: Mutex::new(session),
            status: Mutex::new(Status { phase, offered: None }),
            room: Mutex::default(),
            owed: Owed::default(),
            watchers: Mutex::default(),
            output: Notify::new(),
            asks_wait: AtomicBool::new(false),
            begin: Notify::new(),
            wanted: Notify::new(),
            moved: Notify::new(),
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.introduction.node
    }

    pub(super) fn introduction(&self) -> Introduction {
        self.introduction.clone()
    }

    pub(super) fn name(&self) -> &str {
        &self.introduction.name
    }

    pub(super) fn address(&self) -> &str {
        &self.introduction.address
    }

    pub(super) fn core(&self) -> Option<Arc<Core>> {
        self.core.upgrade()
    }

    /// What is wrong with the sums of this relation, if anything.
    #[cfg(feature = "sim")]
    pub(crate) fn audit(&self) -> Option<String> {
        let core = self.core()?;
        let log = crate::sim::WireLog::of(&core.handle)?;
        let (counters, down) = (self.counters(), self.is_down());
        if counters.unsettled > core.limits.unsettled_max as u64 {
            return Some(format!("{} messages to {} are not settled, more than may be", counters.unsettled, self.id()));
        }
        let waiting = lock(&self.session).waiting_bytes();
        if waiting > core.limits.control_bytes_max / 8 * 9 + core.limits.message_bytes_max as usize {
            return Some(format!("{waiting} bytes of answers wait for {}, more than may", self.id()));
        }
        log.check(core.id(), self.id(), &counters, down)
    }

    pub(super) fn counters(&self) -> Counters {
        lock(&self.session).counters()
    }

    /// Works on the session, then wakes the writer if there is something new to write.
    pub(super) fn with_session<R>(&self, f: impl FnOnce(&mut Session<Answer>) -> R) -> R {
        let mut session = lock(&self.session);
        let had_output = session.has_output();
        let result = f(&mut session);
        let (wake, apart) = (!had_output && session.has_output(), !session.is_attached());
        drop(session);
        if wake {
            self.output.notify_one();
        }
        if apart {
            self.wanted.notify_one();
        }
        result
    }

    /// As [`with_session`](Self::with_session) for the two ends of a connection, which wake nobody.
    pub(super) fn on_session<R>(&self, f: impl FnOnce(&mut Session<Answer>) -> R) -> R {
        f(&mut lock(&self.session))
    }

    /// Waits in line until a message would not be refused for want of room.
    pub(super) fn poll_room(&self, place: &mut Place, to: ActorKey, cx: &mut Context<'_>) -> Poll<()> {
        let mut room = lock(&self.room);
        let key = *place.0.get_or_insert_with(|| {
            room.next += 1;
            room.next
        });
        let former = room.waiting.insert(key, (to, cx.waker().clone()));
        drop(room);
        drop(former);

        // Looked at after joining the line: whoever makes room looks at the line afterwards.
        let has_room = lock(&self.session).has_room(to);
        if has_room {
            self.leave_line(place);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    pub(super) fn leave_line(&self, place: &mut Place) {
        if let Some(key) = place.0.take() {
            let waker = lock(&self.room).waiting.remove(&key);
            drop(waker);
        }
    }

    /// There may be room: wakes those for whose actors there is.
    pub(super) fn wake_line(&self) {
        let session = lock(&self.session);
        let mut room = lock(&self.room);
        if room.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut room.waiting);
        let (served, rest) = waiting.into_iter().partition(|(_, (to, _))| session.has_room(*to));
        room.waiting = rest;
        drop((room, session));
        let served: BTreeMap<u64, (ActorKey, Waker)> = served;
        served.into_values().for_each(|(_, waker)| waker.wake());
    }

    pub(crate) fn is_down(&self) -> bool {
        lock(&self.status).phase == Phase::Down
    }

    pub(super) fn is_together(&self) -> bool {
        lock(&self.status).phase == Phase::Together
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

    pub(super) fn is_accepting(&self) -> bool {
        lock(&self.status).phase == Phase::Accepting
    }

    /// Reserves the relation for dialling. False if there is a connection, or one is being made.
    pub(super) fn begin_dialling(&self) -> bool {
        let mut status = lock(&self.status);
        let apart = status.phase == Phase::Apart;
        if apart {
            status.phase = Phase::Dialling;
        }
        apart
    }

    /// Decides about a connection whose other side has introduced itself. Of two nodes that connect to each other at
    /// once the smaller one's connection stays, unless the other one is further.
    pub(super) fn turn(&self, accepted: bool, we_are_smaller: bool) -> Turn {
        let mut status = lock(&self.status);
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

    /// The connection that was reserved for did not come about.
    pub(super) fn abandon(&self, accepted: bool) {
        let mut status = lock(&self.status);
        let ours = if accepted { Phase::Accepting } else { Phase::Welcomed };
        if status.phase == ours || (!accepted && status.phase == Phase::Dialling) {
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
        let mut status = lock(&self.status);
        if status.phase != Phase::Down {
            status.phase = Phase::Together;
            status.offered = Some(connection);
        }
        drop(status);
        self.say_moved();
    }

    pub(super) fn has_offer(&self) -> bool {
        lock(&self.status).offered.is_some()
    }

    /// Waits until a connection is offered, or the node is down. It looks at what is so, so nothing that was over long ago
    /// ends the wait.
    pub(super) async fn until_offered(&self) {
        self.until(|peer| peer.has_offer() || peer.is_down()).await;
    }

    pub(super) fn take_offer(&self) -> Option<Connection> {
        lock(&self.status).offered.take()
    }

    /// The connection is gone.
    pub(super) fn part(&self) {
        let mut status = lock(&self.status);
        if status.phase == Phase::Together {
            status.phase = Phase::Apart;
        }
        drop(status);
        self.say_moved();
        self.on_session(Session::detach);
        self.forget_watchers();
    }

    /// Says that the other node monitors one of our actors. It is told once.
    pub(super) fn watched_by(self: &Arc<Self>, id: CorrelationId, shared: &Shared) {
        let peer = Arc::downgrade(self);
        let monitors = shared.monitors.clone();
        let key = monitors.add(Box::new(move |reason| {
            let Some(peer) = peer.upgrade() else { return };
            lock(&peer.watchers).remove(&id);
            peer.say_down(id, reason);
        }));
        if shared.ended().is_none() {
            let former = lock(&self.watchers).insert(id, (monitors, key));
            if let Some((monitors, key)) = former {
                monitors.remove(key);
            }
            // It may have ended in between, and was looked for in the list before it was there.
            if shared.ended().is_some() {
                lock(&self.watchers).remove(&id);
            }
        }
    }

    fn say_down(&self, id: CorrelationId, reason: &ExitReason) {
        let (code, text) = match reason {
            ExitReason::Normal => (DownCode::Normal, ""),
            ExitReason::Shutdown => (DownCode::Shutdown, ""),
            ExitReason::Killed => (DownCode::Killed, ""),
            ExitReason::Failed(text) | ExitReason::GaveUp(text) => (DownCode::Failed, &**text),
            ExitReason::NodeDown => (DownCode::NodeDown, ""),
            ExitReason::NoSuchActor => (DownCode::NoSuchActor, ""),
        };
        self.with_session(|session| session.down(id, code, text));
    }

    pub(super) fn watcher_count(&self) -> usize {
        lock(&self.watchers).len()
    }

    pub(super) fn unwatch(&self, id: CorrelationId) {
        let watcher = lock(&self.watchers).remove(&id);
        if let Some((monitors, key)) = watcher {
            monitors.remove(key);
        }
    }

    /// After a reconnect the other node monitors anew.
    fn forget_watchers(&self) {
        let watchers = std::mem::take(&mut *lock(&self.watchers));
        for (monitors, key) in watchers.into_values() {
            monitors.remove(key);
        }
    }

    /// The node is gone for good: everybody who waits is told, what comes later is refused.
    pub(super) fn down(&self) {
        let mut status = lock(&self.status);
        let before = std::mem::replace(&mut status.phase, Phase::Down);
        let offered = status.offered.take();
        drop(status);
        drop(offered);
        if before == Phase::Down {
            return;
        }
        tracing::info!(node = %self.id(), name = self.name(), "node down");

        let answers = self.on_session(Session::close);
        answers.into_iter().for_each(Answer::give_up);
        self.forget_watchers();
        self.forgive_all();
        self.wake_line();
        self.output.notify_one();
        self.say_moved();
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}
