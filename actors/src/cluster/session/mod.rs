//! The relation to one other node, whether there is a connection or not.
//!
//! [`peer`] is the relation itself: its session (the protocol, `posse_wire::Session`) and its status, of which [`collision`]
//! decides where two connections meet. A message on its way out waits in one of two places: its *sender* in [`send_waiters`],
//! while the session has no room for it, and its *bytes* in the session's queue (`SendQueue` of `posse-wire`), until they are
//! written. [`connection`] reads and writes while there is a connection; [`frame_reader`] is what has arrived in part, [`receiver`]
//! delivers what has arrived, [`pending_replies`] collects what our actors answer. [`reasons`] are errors as numbers of the
//! wire and back.
//!
//! It stands below `connect`, which makes connections and gives them to a peer.

pub(super) mod collision;
pub(super) mod connection;
pub(super) mod frame_reader;
pub(super) mod peer;
pub(super) mod pending_replies;
mod reasons;
mod receiver;
mod send_waiters;
