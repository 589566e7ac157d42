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
mod spec;
mod supervisor;
mod system;
mod target;
mod tell;
mod tracker;

pub use actor::Actor;
pub use actor_ref::{ActorRef, RawRef};
pub use ask::{ASK_DEADLINE, Ask, Recover};
pub use cell::{MAILBOX_CAPACITY, SHUTDOWN_TIME};
pub use cluster::{Node, NodeId};
pub use context::Context;
pub use dead_letter::{DeadLetter, DeadLetters, DeadReason};
pub use error::{
    AskError, ChildError, Error, FailedAsk, FindError, NodeError, RegisterError, Result, SpawnError, TellError,
};
pub use exit::{ActorId, ExitReason};
pub use link::{Down, Monitor, Watchable};
pub use listener::Listener;
pub use message::{HandledBy, Handler, Message, Reader};
#[cfg(feature = "macros")]
pub use posse_macros::{Message, main, protocol, test};
pub use protocol::{Accepts, MessageType, Portable, Protocol, ServedBy, Wire};
pub use refs::{LocalRef, Recipient};
pub use spec::{IntoSpec, Spec};
pub use supervisor::{Backoff, ChildInfo, ChildState, Restart, Supervisor, SupervisorRef};
pub use system::System;
pub use target::Target;
pub use tell::Tell;

/// Buffers that are cheap to share and cross the network in one go; serde hands a `Vec<u8>` inside of other types over byte
/// by byte.
pub use bytes;
pub use posse_core::{runtime, signal, sync, task, time};
pub use posse_net as net;
#[cfg(feature = "hyper")]
pub use posse_net::hyper;
pub use posse_net::io;

use posse_core::runtime::{Handle, Runtime};
use std::future::Future;
use std::time::Duration;

/// Starts an actor in the current runtime: from a closure that makes it, or a [`Spec`] with settings.
///
/// Nobody restarts it; that is the work of a [`Supervisor`]. If its name is taken it ends as failed, at once.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn spawn<S: IntoSpec>(actor: S) -> LocalRef<S::Actor> {
    cell::start(&Handle::current(), actor.into_spec(), None)
}

/// Starts an actor as [`spawn`] does, and says so if it cannot.
///
/// # Errors
/// Outside of a runtime, and if the actor's name is taken.
pub fn try_spawn<S: IntoSpec>(actor: S) -> std::result::Result<LocalRef<S::Actor>, SpawnError> {
    let handle = Handle::try_current().map_err(|_| SpawnError::NoRuntime)?;
    let (actor, is_named) = cell::try_start(&handle, actor.into_spec(), None);
    if is_named { Ok(actor) } else { Err(SpawnError::NameTaken) }
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
        Actor, ActorId, ActorRef, AskError, Backoff, Context, Down, ExitReason, Handler, Listener, LocalRef, Message,
        Node, Reader, Recipient, Restart, Spec, Supervisor, SupervisorRef, System, TellError, ms, secs,
    };
}

/// What the macros write down.
#[doc(hidden)]
pub mod __private {
    pub use crate::cluster::byte_list;
    pub use crate::protocol::{Entry, assert_distinct};
    pub use serde;
}
