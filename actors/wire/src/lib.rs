//! The Posse node protocol as a sans-IO state machine: bytes, commands and `now` in; bytes, events and deadlines out.
//!
//! It opens no socket, reads no clock, starts no thread and awaits nothing, so that the same code runs over TCP, under a
//! simulated network and in a fuzzer. `docs/protocol.md` of the repository is its specification, byte by byte.
//!
//! - A *connection* is one stream of bytes. It begins with a handshake: [`AwaitHello`], [`HelloReceived`], [`AwaitReady`], and
//!   at last [`Established`]. Each is a type of its own that only the previous one yields, so a stranger's connection has no
//!   way to a message.
//! - A [`Session`] is the relation between two incarnations of nodes. It outlives connections: [`Session::attach`] takes
//!   a [`Established`], [`Session::detach`] says that it broke.
//!
//! `now` is a [`Duration`](std::time::Duration) since any moment that stays the same.
//!
//! # Examples
//! ```
//! use posse_wire::{ActorKey, Event, AwaitHello, Hello, NodeConfig, Role, Session, TypeInfo};
//! use std::time::Duration;
//!
//! let (now, config) = (Duration::ZERO, NodeConfig::default());
//! let add = TypeInfo { id: 1, schema: 1 };
//! let mut alice: Session<&str> = Session::new(config.clone(), &[]);
//! let mut bob: Session<&str> = Session::new(config.clone(), &[add]);
//!
//! // Two nodes, joined in memory.
//! let (greeting_a, mut to_bob) = AwaitHello::new(Role::Initiator, Hello::new("c", "alice", 1, "", &config)?);
//! let (greeting_b, _) = AwaitHello::new(Role::Acceptor, Hello::new("c", "bob", 1, "", &config)?);
//! let (mut at_bob, mut to_alice) = greeting_b.read(&mut to_bob)?.expect("all of it").accept(&[add]);
//! let (mut at_alice, mut to_bob) = greeting_a.read(&mut to_alice)?.expect("all of it").accept(&[]);
//! alice.attach(at_alice.read(&mut to_alice)?.expect("all of it"), now);
//! bob.attach(at_bob.read(&mut to_bob)?.expect("all of it"), now);
//!
//! let to = ActorKey { slot: 7, generation: 1 };
//! alice.tell(to, add, b"hello").expect("there is room");
//! let mut bytes = alice.poll_transmit(now).expect("a message");
//! let Ok(Some(Event::Tell(message))) = bob.read_event(&mut bytes, now) else { panic!("expected a tell") };
//! assert_eq!((message.to, &message.body[..]), (to, &b"hello"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod body;
mod code;
mod concurrency_limit;
mod config;
mod connection;
mod error;
mod event;
mod flow_control;
mod frame;
mod handshake;
mod hello;
mod ids;
mod send_queue;
mod session;
mod slab;
mod types;

pub use body::{DownBody, NodeInfo, Resolution};
pub use code::{CloseReason, DownCode, RejectReason, ReplyCode};
pub use config::{ConfigError, INCARNATION_MAX, MESSAGE_BYTES_CEILING, NAME_BYTES_MAX, NodeConfig};
pub use error::HandshakeError;
pub use event::{Delivery, Event, ProtocolError, SendError};
pub use frame::{FrameError, FrameKind, announced_bytes};
pub use handshake::{AwaitHello, AwaitReady, Established, HelloReceived, Role};
pub use hello::Hello;
pub use ids::{ActorKey, CorrelationId, NodeId, WireRef, fnv1a64};
pub use send_queue::Counters;
pub use session::Session;
pub use slab::Slab;
pub use types::{TypeInfo, TypeKey};
