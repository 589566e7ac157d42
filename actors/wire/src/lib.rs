//! The Posse node protocol as a sans-IO state machine: bytes, commands and `now` in; bytes, events and deadlines out.
//!
//! It opens no socket, reads no clock, starts no thread and awaits nothing, so that the same code runs over TCP, under a
//! simulated network and in a fuzzer. `docs/protocol.md` of the repository is its specification, byte by byte.
//!
//! - A *connection* is one stream of bytes. It begins with a handshake: [`Greeting`], [`Judging`], [`Agreeing`],
//!   [`Deciding`], and at last [`Connected`]. Each is a type of its own that only the former one yields, so a stranger's
//!   connection has no way to a message.
//! - A [`Session`] is the relation between two incarnations of nodes. It outlives connections: [`Session::attach`] takes
//!   a [`Connected`], [`Session::detach`] says that it broke.
//!
//! `now` is a [`Duration`](std::time::Duration) since any moment that stays the same.
//!
//! # Examples
//! ```
//! use posse_wire::{ActorKey, Event, Session, testing};
//! use std::time::Duration;
//!
//! // Two nodes, joined in memory.
//! let now = Duration::ZERO;
//! let (mut alice, mut bob) = testing::joined("alice", "bob", now);
//! let to = ActorKey { slot: 7, generation: 1 };
//! alice.tell(to, 1, 2, b"hello").unwrap();
//! testing::carry(&mut alice, &mut bob, now);
//! let Some(Event::Tell(message)) = bob.poll_event() else { panic!("expected a tell") };
//! assert_eq!((message.to, &message.body[..]), (to, &b"hello"[..]));
//! ```
#![forbid(unsafe_code)]

mod admission;
mod body;
mod code;
mod frame;
mod handshake;
mod hello;
mod ids;
mod limits;
mod outbox;
mod redial;
mod session;
mod slab;
pub mod testing;
mod types;

pub use admission::{Admission, Known};
pub use body::{DownBody, Introduction, Resolution};
pub use code::{DownCode, Goodbye, Refused, ReplyCode};
pub use frame::{Flags, FrameError, Header, Kind};
pub use handshake::{Agreeing, Agreement, Connected, Deciding, Greeting, HandshakeError, Judging, Progress, Role};
pub use hello::{Hello, Identity};
pub use ids::{ActorKey, CorrelationId, NodeId, WireRef, fnv1a64};
pub use limits::{LimitError, Limits};
pub use outbox::Counters;
pub use redial::Redial;
pub use session::{Event, Inbound, Refusal, Session, State, Violation};
pub use slab::Slab;
pub use types::{TypeInfo, TypeKey};
