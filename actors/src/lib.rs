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
//!
//! # References
//! [`spawn`] starts an actor and returns a [`LocalRef`]. It accepts every message that the actor handles, and stays in its
//! process. [`LocalRef::share`] makes an [`ActorRef`] of a [protocol](mod@protocol) of it: that one accepts the protocol's
//! messages alone, can be part of a message, and works from every node. A [`Recipient`] accepts one type of message.
//!
//! `spawn` starts actors. A future is a task: [`task::spawn`] starts it.
//!
//! # What is where
//! - **Write actors:** [`Actor`], [`Handler`], [`Message`], [`Context`]; [`Spec`] says how one is started.
//! - **Send:** [`tell`](LocalRef::tell) and [`ask`](LocalRef::ask) of a [`LocalRef`], an [`ActorRef`] or a [`Recipient`];
//!   [`TellError`], [`AskError`].
//! - **Supervise:** [`Supervisor`], [`Restart`], [`Backoff`], [`Listener`]; [`Context::monitor`] and [`Down`]; names, counts and
//!   dead letters of all actors in [`System`].
//! - **Network:** [`Node`] and [`cluster`] for actors; [`net`] and [`io`] for sockets; `#[posse::protocol]` and [`mod@protocol`].
//! - **Runtime:** [`run`], [`runtime`], [`task`], [`time`], [`sync`], [`stream`], [`signal`]; [`testing`] for what is polled by hand.
#![forbid(unsafe_code)]

mod actor;
pub mod cluster;
mod error;
mod id;
pub mod protocol;
mod refs;
#[cfg(feature = "sim")]
pub mod sim;
mod supervisor;
mod system;
mod watch;

pub use actor::Actor;
pub use actor::context::Context;
pub use actor::lifecycle::{DEFAULT_CAPACITY, DEFAULT_SHUTDOWN};
pub use actor::message::{Handler, Message, Reader};
pub use actor::spec::{IntoSpec, Spec};
pub use cluster::{Node, NodeId, WhereisError};
pub use error::{AskError, ChildError, Error, FailedAsk, RegisterError, Result, SendReason, SpawnError, TellError};
pub use id::{ActorId, ExitReason};
#[cfg(feature = "macros")]
pub use posse_macros::{Message, main, protocol, test};
pub use refs::actor_ref::ActorRef;
pub use refs::ask::{Ask, DEFAULT_ASK_TIMEOUT, Recover};
pub use refs::tell::Tell;
pub use refs::{LocalRef, Recipient};
pub use supervisor::listener::Listener;
pub use supervisor::{Backoff, ChildInfo, ChildState, Restart, Supervisor, SupervisorRef};
pub use system::System;
pub use system::dead_letter::{DeadLetter, DeadLetterReason, DeadLetters};
pub use watch::monitor::{Down, Monitor};

/// Buffers that are cheap to share and cross the network in one go; serde hands a `Vec<u8>` inside of other types over byte
/// by byte.
#[doc(inline)]
pub use bytes;
#[cfg(unix)]
pub use posse_core::signal;
pub use posse_core::{join, pin, select, task_local, try_join};
pub use posse_core::{runtime, stream, sync, task, time};
#[doc(inline)]
pub use posse_net as net;
#[cfg(feature = "http")]
pub use posse_net::http;
#[cfg(feature = "hyper")]
pub use posse_net::hyper;
#[cfg(unix)]
pub use posse_net::process;
pub use posse_net::{fs, io, testing};

use actor::lifecycle;
use posse_core::runtime::{Handle, Runtime};
use std::future::Future;
use std::time::Duration;

/// Starts an actor in the current runtime: from a closure that makes it, or a [`Spec`] with settings.
///
/// It is not restarted; that is the work of a [`Supervisor`]. If its name is taken it ends as failed, at once.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn spawn<S: IntoSpec>(actor: S) -> LocalRef<S::Actor> {
    lifecycle::start(&Handle::current(), actor.into_spec())
}

/// Starts an actor as [`spawn`] does, and says so if it cannot.
///
/// # Errors
/// Outside of a runtime, and if the actor's name is taken, empty or longer than 255 bytes.
#[track_caller]
pub fn try_spawn<S: IntoSpec>(actor: S) -> std::result::Result<LocalRef<S::Actor>, SpawnError> {
    let handle = Handle::try_current().map_err(|_| SpawnError::NoRuntime)?;
    match lifecycle::try_start(&handle, actor.into_spec()) {
        (actor, Ok(())) => Ok(actor),
        (_, Err(RegisterError::InvalidName)) => Err(SpawnError::InvalidName),
        (_, Err(_)) => Err(SpawnError::NameTaken),
    }
}

/// Runs a program in a new multi-thread runtime; what `#[posse::main]` stands for.
///
/// # Errors
/// If the runtime cannot be built, and what the program returns.
pub fn run<F: Future<Output = Result>>(program: F) -> Result {
    Runtime::new()?.block_on(program)
}

/// A duration of `seconds` seconds.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A duration of `milliseconds` milliseconds.
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What nearly every program uses.
pub mod prelude {
    pub use crate::io::{self, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
    pub use crate::net::{TcpListener, TcpStream, UdpSocket};
    pub use crate::{
        Actor, ActorId, ActorRef, AskError, Backoff, Context, Down, ExitReason, Handler, Listener, LocalRef, Message,
        Monitor, Node, Reader, Recipient, Restart, SendReason, Spec, Supervisor, SupervisorRef, System, TellError, ms,
        secs,
    };
}

/// What the macros write down.
#[doc(hidden)]
pub mod __private {
    pub use crate::protocol::assert_distinct;
    pub use crate::protocol::codec::byte_list;
    pub use crate::protocol::dispatch::HandlerEntry;
    pub use serde;
}
