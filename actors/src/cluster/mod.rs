//! Nodes: processes whose actors talk to each other over TCP.
//!
//! A [`Node`] listens, connects, registers actors under names and finds those of others. Behind it:
//! `state` is what a node knows, with `exports` (its own actors), `nodes` (the others) and `events`; `session` the relation to
//! one other node, `connect` how connections to it come about, `remote` a reference to an actor there. Those two rooms alone
//! touch sockets; the protocol itself is `posse-wire`.
//!
//! # Delivery
//! At most once, in the order of sending from one actor to another. A connection that breaks is made again; what was on
//! its way then is lost and counted. A node that stays away for [`NodeConfig::down_after`] is *down*, for good: references to it
//! answer `NodeDown`, monitors fire. The same name started again is another node, and so is a node that was declared down
//! while it lived: it comes back by itself, as a new incarnation. [`Node::events`] tells of all that.

mod connect;
mod error;
mod events;
mod exports;
mod node;
mod nodes;
mod refusals;
mod remote;
mod session;
mod state;
mod wire_log;

pub use error::{ConnectError, ListenError, WhereisError};
pub use events::{DisconnectReason, DownReason, NodeEvent, NodeEvents};
pub use node::{Node, NodeBuilder, PeerInfo, PeerState};
pub use posse_wire::{CloseReason, ConfigError, Counters, NodeConfig, NodeId};
