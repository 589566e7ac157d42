//! Replies that actors of this node owe another one. The writer of the connection collects those that are ready, so an ask
//! from another node takes no task of its own, and replies that are ready together leave together.
//!
//! The waker of a reply is its *bell*: it notes the reply as due and wakes the writer. Invariant: a bell that rings while
//! its reply is not in the list, because it is being polled, rings once more when the reply is back. So none is forgotten.

use super::core::Core;
use super::peer::Peer;
use super::remote::introduce;
use crate::error::AskError;
use crate::protocol::dispatch::EncodedReply;
use crate::protocol::scope;
use posse_core::lock::Mutex;
use posse_core::task::panic_message;
use posse_wire::{CorrelationId, Introduction, ReplyCode, SendError, Session};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// What is owed to one other node. It outlives connections.
#[derive(Default)]
pub(super) struct Owed {
    replies: Mutex<BTreeMap<CorrelationId, Debt>>,
    due: Mutex<Vec<CorrelationId>>,
}

struct Debt {
    reply: EncodedReply,
    /// When nobody waits for it any more.
    expires: Option<Duration>,
    bell: Arc<Bell>,
}

struct Bell {
    id: CorrelationId,
    peer: Weak<Peer>,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the reply is noted as due. Partner: the load in `keep`.
        self.rung.store(true, Ordering::Release);
        if let Some(peer) = self.peer.upgrade() {
            peer.is_due(self.id);
        }
    }
}

/// A reply as it goes to the other node.
struct Ready {
    id: CorrelationId,
    expires: Option<Duration>,
    result: Result<Vec<u8>, AskError>,
    mentioned: Vec<Introduction>,
}

impl Ready {
    fn send<T>(self, core: &Core, session: &mut Session<T>) {
        introduce(core, session, &self.mentioned);
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
    pub(super) fn owe(
        self: &Arc<Self>,
        core: &Arc<Core>,
        id: CorrelationId,
        expires: Option<Duration>,
        reply: EncodedReply,
    ) {
        let bell = Arc::new(Bell { id, peer: Arc::downgrade(self), rung: AtomicBool::new(false) });
        if let Some(ready) = self.collect(core, Debt { reply, expires, bell }) {
            self.with_session(|session| ready.send(core, session));
        }
    }

    /// How many asks of the other node our actors work on, or have in their mailboxes.
    pub(super) fn owed_count(&self) -> usize {
        self.owed.replies.lock().len()
    }

    /// Puts the replies that are ready into the session. For the writer, which looks there next.
    pub(super) fn pay(&self, core: &Arc<Core>) {
        let due = std::mem::take(&mut *self.owed.due.lock());
        let ready: Vec<Ready> = due
            .into_iter()
            .filter_map(|id| {
                let debt = self.owed.replies.lock().remove(&id);
                debt.and_then(|debt| self.collect(core, debt))
            })
            .collect();
        if !ready.is_empty() {
            self.on_session(|session| ready.into_iter().for_each(|ready| ready.send(core, session)));
            self.say_begin();
        }
    }

    /// More asks may be begun, if any wait.
    pub(super) fn say_begin(&self) {
        if self.asks_wait.load(Ordering::Acquire) {
            self.begin.notify_one();
        }
    }

    /// Nobody waits for a reply any more. The message is dropped if work on it has not begun. False if it was not owed.
    pub(super) fn forgive(&self, id: CorrelationId) -> bool {
        let debt = self.owed.replies.lock().remove(&id);
        debt.is_some()
    }

    /// As [`forgive`](Self::forgive), for all of them.
    pub(super) fn forgive_all(&self) {
        let replies = std::mem::take(&mut *self.owed.replies.lock());
        drop(replies);
        let due = std::mem::take(&mut *self.owed.due.lock());
        drop(due);
    }

    /// Looks for a reply, and keeps it if it is not ready.
    fn collect(&self, core: &Arc<Core>, mut debt: Debt) -> Option<Ready> {
        debt.bell.rung.store(false, Ordering::Relaxed);
        let waker = Waker::from(debt.bell.clone());
        let mut cx = Context::from_waker(&waker);
        let poll = || catch_unwind(AssertUnwindSafe(|| debt.reply.as_mut().poll(&mut cx)));
        let (polled, mentioned) = scope::within(core.clone(), poll);
        let result = match polled {
            Ok(Poll::Ready(result)) => result,
            Ok(Poll::Pending) => {
                self.keep(debt);
                return None;
            }
            Err(panic) => {
                // Only its payload is left, and that must go without harm.
                panic_message(panic);
                Err(AskError::Failed)
            }
        };
        Some(Ready { id: debt.bell.id, expires: debt.expires, result, mentioned })
    }

    fn keep(&self, debt: Debt) {
        let bell = debt.bell.clone();
        // An id that is used twice is the other side's mistake: the former ask is given up.
        let former = self.owed.replies.lock().insert(bell.id, debt);
        drop(former);
        // It rang while the reply was not in the list, where the writer may have looked for it.
        if bell.rung.load(Ordering::Acquire) {
            self.is_due(bell.id);
        }
        if self.is_down() {
            self.forgive_all();
        }
    }

    /// Notes that a reply is ready, and wakes the writer if that is the first.
    fn is_due(&self, id: CorrelationId) {
        let mut due = self.owed.due.lock();
        due.push(id);
        let first = due.len() == 1;
        drop(due);
        if first {
            self.output.notify_one();
        }
    }
}

pub(super) fn reply_code(error: &AskError) -> (ReplyCode, &str) {
    match error {
        AskError::Full => (ReplyCode::Full, ""),
        AskError::Stopped => (ReplyCode::Stopped, ""),
        AskError::NoSuchActor => (ReplyCode::NoSuchActor, ""),
        AskError::Failed => (ReplyCode::Crashed, ""),
        AskError::Timeout => (ReplyCode::Expired, ""),
        AskError::Deadlock => (ReplyCode::Deadlock, ""),
        AskError::Incompatible => (ReplyCode::Incompatible, ""),
        AskError::Encode(text) => (ReplyCode::Encode, text),
        AskError::Decode(text) => (ReplyCode::Decode, text),
        AskError::TooLarge => (ReplyCode::Encode, "it is too large"),
        AskError::NoReply | AskError::NodeDown => (ReplyCode::NoReply, ""),
    }
}

#[cfg(test)]
#[path = "owed_tests.rs"]
mod tests;
