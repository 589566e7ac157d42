//! Events between nodes, for programs that want to know: a ring of the last events that any number of readers
//! follow. A reader that is too slow hears how many it missed; nothing waits for it.

use super::state::NodeState;
use posse_core::lock::Mutex;
use posse_core::sync::Notify;
use posse_wire::{CloseReason, NodeId};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Events that are kept for readers that lag behind. Guessed.
const EVENTS_MAX: usize = 1024;

/// Something that happened between this node and another one; see [`Node::events`](crate::Node::events).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// A connection has come about: the node was met for the first time, or is back.
    Connected {
        /// The other node.
        node: NodeId,
        /// Its name.
        name: Arc<str>,
    },
    /// The connection is gone. It is made again; what was not written yet waits for that.
    Disconnected {
        /// The other node.
        node: NodeId,
        /// Its name.
        name: Arc<str>,
        /// Messages to it that were on their way and may not have been handled.
        lost: u64,
        /// Why.
        reason: DisconnectReason,
    },
    /// The other node is down, for good: monitors of its actors have fired, references to them answer `NodeDown`.
    Down {
        /// The other node.
        node: NodeId,
        /// Its name.
        name: Arc<str>,
        /// Why.
        reason: DownReason,
    },
    /// The node at an address that was joined refuses this one, or is refused by it. It is tried again and again, and
    /// said once.
    Refused {
        /// The address.
        at: Vec<SocketAddr>,
        /// Why.
        code: CloseReason,
    },
    /// Another node had declared this one down, after they were apart for too long. This one is back as a new incarnation:
    /// all references and monitors it held, and those that others held on its actors, have ended.
    Renewed {
        /// The incarnation that was declared down.
        previous: NodeId,
        /// The one that this node is now.
        now: NodeId,
        /// Who had declared it down.
        by: Arc<str>,
    },
    /// Another process has taken the name of this node: others let in that one, and not this one, which has to be started
    /// anew to be let in again.
    Superseded {
        /// The later incarnation.
        by: u64,
    },
    /// This many events before the next one were not read in time.
    Missed(u64),
}

/// Why a connection to another node is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The other side's system closed it and the node did not say why: its process has died, most likely.
    Closed,
    /// It failed: what this side's system says.
    Failed(Arc<str>),
    /// The other node ended it.
    ClosedByPeer {
        /// Why.
        code: CloseReason,
        /// What it says about it; may be empty.
        detail: Arc<str>,
    },
    /// This node ended it: the other one was silent for too long, broke the protocol or a bound, or this node shuts down.
    LocallyClosed {
        /// Why.
        code: CloseReason,
        /// What there is to say about it; may be empty.
        detail: Arc<str>,
    },
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (who, code, detail) = match self {
            Self::Closed => return f.write_str("the other side closed it without a word"),
            Self::Failed(error) => return write!(f, "it failed: {error}"),
            Self::ClosedByPeer { code, detail } => ("the other node", code, detail),
            Self::LocallyClosed { code, detail } => ("this node", code, detail),
        };
        write!(f, "{who} ended it: {code}")?;
        if detail.is_empty() { Ok(()) } else { write!(f, ": {detail}") }
    }
}

/// Why a node is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// It said that it leaves.
    Left,
    /// No node listens at its address any more, or another one.
    Gone,
    /// It does not listen, its connection ended, and it did not come back within
    /// [`NodeConfig::return_timeout`](super::NodeConfig::return_timeout).
    Died,
    /// It stayed away for [`NodeConfig::down_after`](super::NodeConfig::down_after).
    Unreachable,
    /// A later incarnation of it was met.
    Replaced,
    /// It refuses this node.
    Refused(CloseReason),
    /// This node came back as a new incarnation, which has met no other yet.
    Renewed,
    /// This node, or its runtime, has ended.
    Closed,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "it has left",
            Self::Gone => "no node listens at its address",
            Self::Died => "its connection ended and it did not come back",
            Self::Unreachable => "it stayed away for too long",
            Self::Replaced => "a later incarnation was met",
            Self::Refused(code) => return write!(f, "it refuses this node: {code}"),
            Self::Renewed => "this node is a new incarnation",
            Self::Closed => "this node has been shut down",
        })
    }
}

/// The last events.
#[derive(Default)]
pub(super) struct Ring {
    state: Mutex<State>,
    added: Notify,
}

#[derive(Default)]
struct State {
    /// The last ones, oldest first.
    events: VecDeque<NodeEvent>,
    /// The number of the next event.
    next: u64,
}

impl Ring {
    pub(super) fn push(&self, event: NodeEvent) {
        let mut state = self.state.lock();
        let oldest = if state.events.len() == EVENTS_MAX { state.events.pop_front() } else { None };
        state.events.push_back(event);
        state.next += 1;
        drop(state);
        drop(oldest);
        self.wake();
    }

    /// Lets readers look again.
    pub(super) fn wake(&self) {
        self.added.notify_waiters();
    }

    fn next(&self) -> u64 {
        self.state.lock().next
    }

    /// The event of this number, or the number of those that are gone; then the number of the next one to ask for.
    fn get(&self, number: u64) -> Option<(NodeEvent, u64)> {
        let state = self.state.lock();
        let oldest = state.next - state.events.len() as u64;
        if number < oldest {
            return Some((NodeEvent::Missed(oldest - number), oldest));
        }
        let event = state.events.get((number - oldest) as usize)?;
        Some((event.clone(), number + 1))
    }
}

/// Events of a node from some moment on; see [`Node::events`](crate::Node::events). Clones read each for themselves.
#[derive(Clone)]
pub struct NodeEvents {
    node: Arc<NodeState>,
    next: u64,
}

impl NodeEvents {
    pub(super) fn new(node: Arc<NodeState>) -> Self {
        let next = node.events.next();
        Self { node, next }
    }

    /// Returns the next event, in the order in which they happened. `None` when the node was shut down and all were read.
    ///
    /// The last 1,024 are kept; a reader that is slower gets [`NodeEvent::Missed`] in their place.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        loop {
            let (added, closed) = (self.node.events.added.notified(), self.node.is_over());
            if let Some((event, next)) = self.node.events.get(self.next) {
                self.next = next;
                return Some(event);
            }
            if closed {
                return None;
            }
            added.await;
        }
    }
}

impl fmt::Debug for NodeEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeEvents").field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_of_a_disconnection_says_who_and_why() {
        let (code, detail) = (CloseReason::Overloaded, Arc::from("too much"));
        let reasons = [
            (DisconnectReason::Closed, "the other side closed it without a word"),
            (DisconnectReason::Failed("reset".into()), "it failed: reset"),
            (DisconnectReason::LocallyClosed { code, detail }, "this node ended it: overloaded: too much"),
            (
                DisconnectReason::ClosedByPeer { code: CloseReason::Shutdown, detail: "".into() },
                "the other node ended it: the node shuts down",
            ),
        ];
        for (reason, text) in reasons {
            assert_eq!(reason.to_string(), text);
        }
    }

    #[test]
    fn slow_reader_hears_how_much_it_missed() {
        let ring = Ring::default();
        let event = |by| NodeEvent::Superseded { by };
        let last = EVENTS_MAX as u64 + 10;
        (0..last).for_each(|n| ring.push(event(n)));
        assert_eq!(ring.get(0), Some((NodeEvent::Missed(10), 10)));
        assert_eq!(ring.get(10), Some((event(10), 11)));
        assert_eq!(ring.get(last - 1), Some((event(last - 1), last)));
        assert_eq!(ring.get(last), None);
    }
}
