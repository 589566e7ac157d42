//! Actors with supervision on their own work-stealing runtime.
//!
//! ```
//! use posse::prelude::*;
//!
//! #[derive(Message)]
//! #[message(reply = u64)]
//! struct Add(u64);
//!
//! struct Counter(u64);
//! impl Actor for Counter {}
//! impl Handler<Add> for Counter {
//!     async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
//!         self.0 += n;
//!         self.0
//!     }
//! }
//!
//! #[posse::main]
//! async fn main() -> posse::Result {
//!     let counter = posse::spawn(|| Counter(0));
//!     println!("{}", counter.ask(Add(5)).await?);
//!     Ok(())
//! }
//! ```
#![forbid(unsafe_code)]

mod actor;
mod actor_ref;
mod ask;
mod cell;
mod children;
pub mod cluster;
mod context;
mod dead_letter;
mod error;
mod exit;
mod link;
mod listener;
mod message;
mod protocol;
mod refs;
mod registry;
#[cfg(feature = "sim")]
pub mod sim;
mod supervisor;
mod system;
mod target;
mod tell;

pub use actor::Actor;
pub use actor_ref::{ActorRef, RawRef};
pub use ask::{ASK_DEADLINE, Ask};
pub use cell::{MAILBOX_CAPACITY, SHUTDOWN_TIME};
pub use cluster::{Node, NodeId};
pub use context::Context;
pub use dead_letter::{DeadLetter, DeadLetters, DeadReason};
pub use error::{AskError, ChildError, Error, FindError, NodeError, RegisterError, Result, SpawnError, TellError};
pub use exit::{ActorId, ExitReason};
pub use link::{Down, Monitor, Watchable};
pub use listener::{Each, Listener, Nested};
pub use message::{HandledBy, Handler, Message, Reader};
pub use posse_core::mailbox::Capacity;
#[cfg(feature = "macros")]
pub use posse_macros::{Message, main, protocol, test};
pub use protocol::{Accepts, MessageType, Portable, Protocol, ServedBy, Wire};
pub use refs::{LocalRef, Recipient};
pub use registry::Registry;
pub use supervisor::{Backoff, ChildInfo, ChildState, IntoChild, Restart, Strategy, Supervisor, SupervisorRef};
pub use system::System;
pub use target::Target;
pub use tell::Tell;

pub use posse_core::{runtime, signal, sync, task, time};
pub use posse_net as net;
pub use posse_net::io;

use cell::{Options, Recipe};
use posse_core::runtime::{Handle, Runtime};
use std::future::Future;
use std::time::Duration;

/// Starts an actor from a recipe in the current runtime. Its mailbox holds 1,024 messages.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn spawn<A: Actor>(recipe: impl FnMut() -> A + Send + 'static) -> LocalRef<A> {
    cell::start(&Handle::current(), Options::default(), Recipe::Again(Box::new(recipe)))
}

/// Starts an actor from a value that cannot be made again, such as one that owns a socket.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn spawn_once<A: Actor>(actor: A) -> LocalRef<A> {
    cell::start(&Handle::current(), Options::default(), Recipe::Once(Some(actor)))
}

/// Starts an actor whose mailbox has the given capacity.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn spawn_with<A: Actor>(capacity: Capacity, recipe: impl FnMut() -> A + Send + 'static) -> LocalRef<A> {
    let options = Options { capacity, ..Options::default() };
    cell::start(&Handle::current(), options, Recipe::Again(Box::new(recipe)))
}

/// Runs a program in a new multi-thread runtime; what `#[posse::main]` stands for.
///
/// # Errors
/// If the runtime cannot be built, and what the program returns.
pub fn run<F: Future<Output = Result>>(program: F) -> Result {
    Runtime::new()?.block_on(program)
}

/// A duration of so many seconds.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A duration of so many milliseconds.
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What nearly every program uses.
pub mod prelude {
    pub use crate::io::{self, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
    pub use crate::net::{TcpListener, TcpStream, UdpSocket};
    pub use crate::{
        Actor, ActorRef, AskError, Backoff, Context, Down, ExitReason, Handler, Listener, LocalRef, Message, Node,
        Reader, Recipient, Restart, Supervisor, TellError, ms, secs,
    };
}

/// What the macros write down.
#[doc(hidden)]
pub mod __private {
    pub use crate::protocol::{Entry, assert_distinct};
    pub use serde;
}
