//! Actors of other nodes: what is sent to them is encoded here and queued in the session.

use super::session::peer::{Peer, Requester};
use super::state::NodeState;
use super::wire_log::WireLog;
use crate::error::SendReason;
use crate::id::{ActorId, ExitReason};
use crate::protocol::MessageType;
use crate::protocol::codec::CodecError;
use crate::protocol::decode_limits::made_aside;
use crate::protocol::dispatch::Endpoint;
use crate::protocol::scope::{self, RefScope};
use crate::refs::actor_ref::Repr;
use crate::refs::remote::{Outgoing, Remote, ReplySink, Request, Requests};
use crate::refs::target::{Reserve, Waiter};
use crate::watch::monitor::{Demonitor, DownCallback, Monitor};
use posse_core::runtime::Handle;
use posse_wire::{ActorKey, CorrelationId, NodeInfo, SendError, Session, TypeInfo, WireRef};
use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Buffers up to this size are kept for the next message. Guessed.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An actor of another node.
pub(super) struct RemoteActor {
    peer: Arc<Peer>,
    key: ActorKey,
    protocol: u64,
}

/// Encodes a message into a buffer that is used again, and hands it to `send` with the nodes to introduce.
fn with_encoded<R>(
    node: Arc<NodeState>,
    message: &dyn Outgoing,
    send: impl FnOnce(&[u8], Vec<NodeInfo>) -> R,
) -> Result<R, CodecError> {
    let mut body = SCRATCH.take();
    body.clear();
    let (result, referenced_nodes) = scope::within(node, || message.encode(&mut body));
    let result = result.map(|()| send(&body, referenced_nodes));
    if body.capacity() <= SCRATCH_BYTES_MAX {
        SCRATCH.set(body);
    }
    result
}

/// Says who the third nodes of a message are, before it.
pub(super) fn send_node_infos<T>(node: &NodeState, session: &mut Session<T>, referenced_nodes: &[NodeInfo]) {
    if !referenced_nodes.is_empty() {
        let now = node.now();
        referenced_nodes.iter().for_each(|node| session.send_node_info(node, now));
    }
}

impl RemoteActor {
    /// What one takes, with the counts of its `Arc`.
    pub(super) const BYTES: usize = size_of::<Self>() + 2 * size_of::<usize>();

    pub(super) fn new(peer: Arc<Peer>, key: ActorKey, protocol: u64) -> Self {
        Self { peer, key, protocol }
    }

    /// Encodes a message and hands it to the session, unless others wait before this sender.
    fn send<R>(
        &self,
        waiter: &mut Waiter,
        message: &dyn Outgoing,
        send: impl FnOnce(&mut Session<Requester>, TypeInfo, &[u8]) -> Result<R, SendError>,
    ) -> Result<R, SendReason> {
        let node = self.peer.node().ok_or(SendReason::NodeDown)?;
        let MessageType { id, schema, .. } = message.message_type();
        // A sender that waits for room for this actor comes first; before anything is encoded.
        if !self.peer.may_send(&waiter.remote, self.key) {
            return Err(SendReason::Full);
        }
        let log = WireLog::of(&node.handle);
        let sent = with_encoded(node, message, |body, referenced_nodes| {
            // Third nodes that the message mentions go before it, in the same queue.
            let introduces = (!referenced_nodes.is_empty()).then(|| self.peer.node()).flatten();
            let result = self.peer.update_session(|session| {
                introduces.iter().for_each(|node| send_node_infos(node, session, &referenced_nodes));
                send(session, TypeInfo { id, schema }, body)
            });
            if result.is_ok() {
                log.sent((self.peer.own(), self.peer.id()), self.key, id, body);
            }
            result
        });
        match sent {
            Ok(Ok(sent)) => {
                // It leaves the line, and the next one looks for room.
                self.cancel_reserve(waiter);
                Ok(sent)
            }
            Ok(Err(error)) => Err(send_reason(error)),
            Err(error) => Err(SendReason::Encode(error.to_string().into())),
        }
    }
}

impl Remote for RemoteActor {
    fn id(&self) -> ActorId {
        ActorId::remote(self.peer.id(), self.key)
    }

    fn export(&self) -> (WireRef, NodeInfo) {
        let wire = WireRef { node: self.peer.id(), key: self.key, protocol: self.protocol };
        (wire, self.peer.node_info())
    }

    fn tell(&self, waiter: &mut Waiter, message: &dyn Outgoing) -> Result<(), SendReason> {
        self.send(waiter, message, |session, info, body| session.tell(self.key, info, body))
    }

    fn ask(
        &self,
        waiter: &mut Waiter,
        message: &dyn Outgoing,
        within: Duration,
        reply: ReplySink,
    ) -> Result<Request, SendReason> {
        let id = self.send(waiter, message, |session, info, body| {
            let asked = session.ask(self.key, info, body, within, Requester::Ask(reply));
            asked.map_err(|(error, _)| error)
        })?;
        Ok(Request { of: self.peer.clone(), id })
    }

    fn reserve(&self) -> &dyn Reserve {
        self
    }

    fn monitor(&self, watcher: Option<ActorId>, notify: DownCallback) -> Monitor {
        let watcher = watcher.map(|watcher| watcher.number());
        match self.peer.update_session(|session| session.watch(self.key, Requester::Monitor(notify, watcher))) {
            Ok(id) => Monitor::remote(self.id(), self.peer.clone(), id),
            Err((error, answer)) => {
                if let Requester::Monitor(notify, _) = answer {
                    notify(&if error == SendError::Full { ExitReason::TooManyMonitors } else { ExitReason::NodeDown });
                }
                Monitor::ended(self.id())
            }
        }
    }

    fn is_over(&self) -> Box<dyn Fn() -> bool + Send> {
        let peer = self.peer.clone();
        Box::new(move || peer.is_down())
    }
}

impl Reserve for RemoteActor {
    fn poll_reserve(&self, waiter: &mut Waiter, cx: &mut Context<'_>) -> Poll<()> {
        self.peer.poll_reserve(&mut waiter.remote, self.key, cx)
    }

    fn cancel_reserve(&self, waiter: &mut Waiter) {
        self.peer.cancel_reserve(&mut waiter.remote, self.key);
    }

    /// The runtime of this process's node; `None` once that node is gone.
    fn runtime(&self) -> Option<Handle> {
        self.peer.node().map(|node| node.handle.clone())
    }

    fn is_current(&self) -> bool {
        false
    }
}

fn send_reason(error: SendError) -> SendReason {
    match error {
        SendError::Full => SendReason::Full,
        SendError::TooLarge => SendReason::TooLarge,
        SendError::Incompatible => SendReason::Incompatible,
        SendError::Closed => SendReason::NodeDown,
    }
}

impl Requests for Peer {
    fn cancel(&self, id: CorrelationId) -> bool {
        let answer = self.update_session(|session| session.cancel(id));
        // One request less: that may have been what others waited for.
        self.wake_senders();
        answer.is_some()
    }

    fn scope(&self) -> Option<Arc<dyn RefScope>> {
        let node = self.node()?;
        Some(node)
    }
}

impl Demonitor for Peer {
    fn demonitor(&self, id: CorrelationId) -> bool {
        self.cancel(id)
    }
}

impl RefScope for NodeState {
    fn export(&self, endpoint: &Arc<dyn Endpoint>) -> WireRef {
        self.export(endpoint)
    }

    fn decoded_bytes_max(&self) -> usize {
        self.config.decoded_bytes_max
    }

    fn import(&self, wire: WireRef) -> Repr {
        if wire.node != self.id() {
            let Some(peer) = self.peer(wire.node) else { return Repr::Gone(wire) };
            made_aside(RemoteActor::BYTES);
            return Repr::Remote(Arc::new(RemoteActor::new(peer, wire.key, wire.protocol)));
        }
        match self.exported(wire.key) {
            Some(endpoint) if endpoint.protocol() == wire.protocol => Repr::Local(endpoint),
            _ => Repr::Stale(wire),
        }
    }
}
