//! Nodes: processes whose actors talk to each other over TCP.
//!
//! A [`Node`] listens, connects, publishes actors under names and finds those of others. Behind it: `core` is what a node
//! knows, with `exports` (its own actors), `nodes` (the others) and `events`, `peer` the relation to one other node, `room` who waits to send there, `remote` a reference to an actor there, `connect` how connections come
//! about, `converse` what happens on one, `intake` what it reads. Only those last three touch sockets; the protocol itself is `posse-wire`.
//!
//! # Delivery
//! At most once, in the order of sending from one actor to another. A connection that breaks is made again; what was on
//! its way then is lost and counted. A node that stays away for [`Limits::grace`] is *down*, for good: references to it
//! answer `NodeDown`, monitors fire. The same name started again is another node, and so is a node that was declared down
//! while it lived: it comes back by itself, as a new incarnation. [`Node::events`] tells of all that.

#[cfg(test)]
mod codes_tests;
mod connect;
mod converse;
mod core;
mod events;
mod exports;
mod inbound;
mod intake;
mod node;
mod nodes;
mod owed;
mod peer;
mod remote;
mod room;
mod wire_log;

pub use events::{DownReason, NodeEvent, NodeEvents};
pub use node::{Node, NodeBuilder, PeerInfo, PeerState};
pub use posse_wire::{Counters, Goodbye, Limits, NodeId};
