//! Replies that actors of this node are to give to another one. The writer of the connection collects those that are ready,
//! so an ask from another node takes no task of its own, and replies that are ready together leave together.
//!
//! Invariant: if a reply's waker fires while that reply is being polled, and so is not in the table, the wake is recorded
//! and the reply is polled again once it is back. No wake-up is lost.

use super::peer::Peer;
use super::reasons::reply_code;
use crate::cluster::remote::send_node_infos;
use crate::cluster::state::NodeState;
use crate::error::AskError;
use crate::protocol::dispatch::EncodedReply;
use crate::protocol::scope;
use posse_core::lock::Mutex;
use posse_core::task::{catch, unconstrained};
use posse_wire::{CorrelationId, NodeInfo, ReplyCode, SendError, Session};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Replies to one other node that are not ready. They outlive connections.
#[derive(Default)]
pub(crate) struct PendingReplies {
    /// By the ask; a reply that is being polled is not in it. Filled by the receiver, emptied by the writer when a reply is ready,
    /// by CANCEL and when the node is down.
    replies: Mutex<BTreeMap<CorrelationId, PendingReply>>,
    /// Those whose waker has fired since the writer looked last. The first one wakes it.
    ready: Mutex<Vec<CorrelationId>>,
}

struct PendingReply {
    /// Polled by the receiver once, then by the writer each time its waker has fired.
    reply: EncodedReply,
    /// When its asker gives it up.
    expires: Option<Duration>,
    waker: Arc<ReplyWaker>,
}

struct ReplyWaker {
    id: CorrelationId,
    peer: Weak<Peer>,
    /// Since the reply was polled last. Written by its waker and before each poll, read when it is put back.
    woken: AtomicBool,
}

impl Wake for ReplyWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the reply is noted as ready, and once for each poll. Partner: the load in `park_reply`.
        let was_woken = self.woken.swap(true, Ordering::AcqRel);
        if let Some(peer) = self.peer.upgrade().filter(|_| !was_woken) {
            peer.mark_ready(self.id);
        }
    }
}

/// A reply as it goes to the other node.
struct ReadyReply {
    id: CorrelationId,
    expires: Option<Duration>,
    result: Result<Vec<u8>, AskError>,
    referenced_nodes: Vec<NodeInfo>,
}

impl ReadyReply {
    fn send<T>(self, node: &NodeState, session: &mut Session<T>) {
        // Whom it mentions comes before it.
        send_node_infos(node, session, &self.referenced_nodes);
        match self.result {
            Ok(body) => {
                let error = match session.reply(self.id, &body, self.expires) {
                    Ok(()) => return,
                    Err(SendError::Full) => "there is no room for the reply: too many wait to be read",
                    Err(_) => "the reply is too large",
                };
                session.reply_err(self.id, ReplyCode::Encode, error);
            }
            Err(error) => {
                let (code, text) = reply_code(&error);
                session.reply_err(self.id, code, text);
            }
        }
    }
}

impl Peer {
    /// Takes over a reply that one of our actors is to give.
    pub(crate) fn add_pending_reply(
        self: &Arc<Self>,
        node: &Arc<NodeState>,
        id: CorrelationId,
        expires: Option<Duration>,
        reply: EncodedReply,
    ) {
        let waker = Arc::new(ReplyWaker { id, peer: Arc::downgrade(self), woken: AtomicBool::new(false) });
        if let Some(ready) = self.poll_reply(node, PendingReply { reply, expires, waker }) {
            self.update_session(|session| ready.send(node, session));
        }
    }

    /// How many asks of the other node our actors work on, or have in their mailboxes.
    pub(crate) fn pending_reply_count(&self) -> usize {
        self.pending_replies.replies.lock().len()
    }

    /// Puts the replies that are ready into the session. For the writer, which looks there next.
    pub(crate) fn flush_replies(&self, node: &Arc<NodeState>) {
        let woken = std::mem::take(&mut *self.pending_replies.ready.lock());
        let ready: Vec<ReadyReply> = woken
            .into_iter()
            .filter_map(|id| {
                let pending = self.pending_replies.replies.lock().remove(&id);
                pending.and_then(|pending| self.poll_reply(node, pending))
            })
            .collect();
        if !ready.is_empty() {
            self.with_session(|session| ready.into_iter().for_each(|ready| ready.send(node, session)));
            self.let_asks_begin();
        }
    }

    /// More asks may be begun, if any wait.
    pub(crate) fn let_asks_begin(&self) {
        if self.asks_wait.load(Ordering::Acquire) {
            self.asks_may_begin.notify_one();
        }
    }

    /// An asker gave its reply up. The message is dropped if work on it has not begun. False if it was not owed.
    pub(crate) fn cancel_reply(&self, id: CorrelationId) -> bool {
        let pending = self.pending_replies.replies.lock().remove(&id);
        pending.is_some()
    }

    /// As [`cancel_reply`](Self::cancel_reply), for all of them.
    pub(crate) fn cancel_replies(&self) {
        let replies = std::mem::take(&mut *self.pending_replies.replies.lock());
        drop(replies);
        let woken = std::mem::take(&mut *self.pending_replies.ready.lock());
        drop(woken);
    }

    /// Looks for a reply, and keeps it if it is not ready.
    fn poll_reply(&self, node: &Arc<NodeState>, mut pending: PendingReply) -> Option<ReadyReply> {
        pending.waker.woken.store(false, Ordering::Relaxed);
        let task_waker = Waker::from(pending.waker.clone());
        let mut cx = Context::from_waker(&task_waker);
        // It is the actor's work, and none of the writer's: with no budget left each reply would be looked at again and again.
        let (polled, referenced_nodes) = scope::within(node.clone(), || {
            let mut reply = pin!(unconstrained(pending.reply.as_mut()));
            catch(|| reply.as_mut().poll(&mut cx))
        });
        let result = match polled {
            Ok(Poll::Ready(result)) => result,
            Ok(Poll::Pending) => {
                self.park_reply(pending);
                return None;
            }
            Err(_) => Err(AskError::Failed),
        };
        Some(ReadyReply { id: pending.waker.id, expires: pending.expires, result, referenced_nodes })
    }

    fn park_reply(&self, pending: PendingReply) {
        let waker = pending.waker.clone();
        // An id that is used twice is the other side's mistake: the previous ask is given up.
        let previous = self.pending_replies.replies.lock().insert(waker.id, pending);
        drop(previous);
        // It rang while the reply was not in the list, where the writer may have looked for it.
        if waker.woken.load(Ordering::Acquire) {
            self.mark_ready(waker.id);
        }
        if self.is_down() {
            self.cancel_replies();
        }
    }

    /// Notes that a reply is ready, and wakes the writer if that is the first.
    fn mark_ready(&self, id: CorrelationId) {
        let mut ready = self.pending_replies.ready.lock();
        ready.push(id);
        let first = ready.len() == 1;
        drop(ready);
        if first {
            self.write_ready.notify_one();
        }
    }
}

#[cfg(test)]
#[path = "pending_replies_tests.rs"]
mod tests;
