//! Protocols: which messages cross the network, under which stable names, and how an actor serves them.
//!
//! A protocol is a type that lists messages. What an actor does with them is a table that the compiler builds where the
//! actor is shared; there is no registry, and nothing runs before `main`. `#[posse::protocol]` writes all of it.

pub(crate) mod codec;
mod decode_limits;

use crate::actor::Actor;
use crate::actor::message::{Handler, Message};
use crate::error::{AskError, TellError};
use crate::refs::LocalRef;
use crate::refs::actor_ref::RawRef;
use crate::watch::shared::Shared;
use posse_core::mailbox::{ReplyReceiver, Reservation, TrySendError};
use posse_core::runtime::Handle;
use posse_core::task::panic_message;
use posse_wire::fnv1a64;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What can be written as bytes and read again in another process. Everything that serde can do is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot leave this process",
    label = "this would have to cross the network",
    note = "derive `Serialize` and `Deserialize` on it, or send it to a `LocalRef`",
    note = "a `LocalRef` stays in its process: send what `.share::<Protocol>()` returns, an `ActorRef<Protocol>`"
)]
pub trait Portable: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Portable for T {}

/// A message that may leave the process: it has a name that stays the same in every program that knows it.
///
/// `#[derive(Message)]` with `#[message(name = "..")]` implements it, and so does `#[posse::protocol]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no name that other processes know it by",
    label = "this message cannot be part of a protocol",
    note = "write `#[message(name = \"area/what\")]` beside its `#[derive(Message, Serialize, Deserialize)]`"
)]
pub trait Wire: Message<Reply: Portable> + Portable {
    /// How both sides recognise it.
    const TYPE: MessageType;
}

/// How both sides of a connection recognise a type of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageType {
    /// The name it was declared with.
    pub name: &'static str,
    /// Hash of the name.
    pub id: u64,
    /// Hash of names and types of the fields, of the reply, and of the version.
    pub schema: u64,
}

impl MessageType {
    /// A type with a name, a text that changes with its layout, and a version.
    pub const fn new(name: &'static str, layout: &str, version: u64) -> Self {
        let schema = fnv1a64(layout.as_bytes()) ^ version.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { name, id: fnv1a64(name.as_bytes()), schema }
    }
}

/// A list of messages: the typed network interface of actors. Written by `#[posse::protocol]`.
pub trait Protocol: Sized + Send + Sync + 'static {
    /// Its name, the same in every program.
    const NAME: &'static str;
    /// Its messages.
    const MESSAGES: &'static [MessageType];

    #[doc(hidden)]
    fn from_raw(raw: RawRef) -> Self;
    #[doc(hidden)]
    fn raw(&self) -> &RawRef;
}

/// The hash of a protocol's name.
pub(crate) const fn protocol_id<P: Protocol>() -> u64 {
    fnv1a64(P::NAME.as_bytes())
}

/// Says that a message belongs to a protocol.
#[diagnostic::on_unimplemented(
    message = "`{M}` is not a message of the protocol `{Self}`",
    label = "the protocol does not list this message"
)]
pub trait Accepts<M: Wire>: Protocol {
    /// Its place in [`Protocol::MESSAGES`].
    #[doc(hidden)]
    const INDEX: usize;
}

/// Says that an actor handles every message of a protocol.
#[diagnostic::on_unimplemented(
    message = "`{A}` does not handle every message of the protocol `{Self}`",
    label = "this actor cannot be shared under the protocol"
)]
pub trait ServedBy<A: Actor>: Protocol {
    /// How, in the order of [`Protocol::MESSAGES`].
    #[doc(hidden)]
    const TABLE: &'static [Entry<A>];
}

/// Fails to compile if two messages of a protocol have the same id.
#[doc(hidden)]
pub const fn assert_distinct(messages: &[MessageType]) {
    let mut i = 0;
    while i < messages.len() {
        let mut j = i + 1;
        while j < messages.len() {
            assert!(messages[i].id != messages[j].id, "two messages of a protocol have the same name, or the same id");
            j += 1;
        }
        i += 1;
    }
}

/// Why bytes from another node did not become a message in a mailbox.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// The bytes are to be kept and delivered again when there is room.
    Full,
    Stopped,
    Decode(String),
}

impl<M> From<TrySendError<M>> for Undelivered {
    fn from(refused: TrySendError<M>) -> Self {
        let why = match &refused {
            TrySendError::Full(_) => Self::Full,
            TrySendError::Closed(_) => Self::Stopped,
        };
        // It has been made from bytes and is made again, or not needed. A panic of its drop is no reason to end a
        // connection.
        drop(catch_unwind(AssertUnwindSafe(|| drop(refused))).map_err(panic_message));
        why
    }
}

/// The encoded reply to a message from another node.
pub(crate) type EncodedReply = Pin<Box<dyn Future<Output = Result<Vec<u8>, AskError>> + Send>>;

/// Decodes a message and puts it into the actor's mailbox.
type FromBytes<A, R> = fn(&LocalRef<A>, &mut Reservation, &[u8]) -> Result<R, Undelivered>;

/// How an actor takes one type of message.
#[doc(hidden)]
pub struct Entry<A: Actor> {
    local: fn(&LocalRef<A>, &mut dyn Any),
    tell: FromBytes<A, ()>,
    ask: FromBytes<A, EncodedReply>,
}

impl<A: Actor> Entry<A> {
    /// By its handler.
    pub const fn of<M: Wire>() -> Self
    where
        A: Handler<M>,
    {
        Self { local: take_local::<A, M>, tell: take_tell::<A, M>, ask: take_ask::<A, M> }
    }
}

impl<A: Actor> fmt::Debug for Entry<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry")
    }
}

/// A message for an actor of this process whose type the sender does not know. It stays on the sender's stack.
pub(crate) struct LocalOp<M: Message> {
    pub(crate) message: Option<M>,
    pub(crate) wants_reply: bool,
    pub(crate) waiter: Reservation,
    pub(crate) refused: Option<TellError<M>>,
    pub(crate) reply: Option<ReplyReceiver<M::Reply>>,
}

fn take_local<A: Handler<M>, M: Message>(actor: &LocalRef<A>, op: &mut dyn Any) {
    let Some(op) = op.downcast_mut::<LocalOp<M>>() else { return };
    let Some(message) = op.message.take() else { return };
    let result = if op.wants_reply {
        actor.put_ask(&mut op.waiter, message).map(|reply| op.reply = Some(reply))
    } else {
        actor.put(&mut op.waiter, message)
    };
    op.refused = result.err().map(TellError::from);
}

fn take_tell<A: Handler<M>, M: Wire>(
    actor: &LocalRef<A>,
    waiter: &mut Reservation,
    body: &[u8],
) -> Result<(), Undelivered> {
    let message: M = codec::decode(body).map_err(|error| Undelivered::Decode(error.to_string()))?;
    Ok(actor.put(waiter, message)?)
}

fn take_ask<A: Handler<M>, M: Wire>(
    actor: &LocalRef<A>,
    waiter: &mut Reservation,
    body: &[u8],
) -> Result<EncodedReply, Undelivered> {
    let message: M = codec::decode(body).map_err(|error| Undelivered::Decode(error.to_string()))?;
    let reply = actor.put_ask(waiter, message)?;
    Ok(Box::pin(async move {
        let reply = reply.await?;
        let mut body = Vec::new();
        codec::encode(&reply, &mut body).map_err(|error| AskError::Encode(error.to_string().into()))?;
        Ok(body)
    }))
}

/// A living actor of this process as its protocol shows it.
pub(crate) trait Served: Send + Sync {
    fn shared(&self) -> &Shared;
    fn protocol(&self) -> u64;
    fn messages(&self) -> &'static [MessageType];
    fn runtime(&self) -> Handle;
    fn is_current(&self) -> bool;
    fn local(&self, index: usize, op: &mut dyn Any);
    fn tell(&self, index: usize, waiter: &mut Reservation, body: &[u8]) -> Result<(), Undelivered>;
    fn ask(&self, index: usize, waiter: &mut Reservation, body: &[u8]) -> Result<EncodedReply, Undelivered>;
    fn poll_room(&self, waiter: &mut Reservation, cx: &mut Context<'_>) -> Poll<bool>;
    fn leave_line(&self, waiter: &mut Reservation);
}

pub(crate) struct ServedActor<A: Actor, P> {
    pub(crate) actor: LocalRef<A>,
    pub(crate) protocol: PhantomData<fn(P)>,
}

impl<A: Actor, P: ServedBy<A>> Served for ServedActor<A, P> {
    fn shared(&self) -> &Shared {
        &self.actor.0
    }

    fn protocol(&self) -> u64 {
        protocol_id::<P>()
    }

    fn messages(&self) -> &'static [MessageType] {
        P::MESSAGES
    }

    fn runtime(&self) -> Handle {
        self.actor.0.runtime().clone()
    }

    fn is_current(&self) -> bool {
        self.actor.0.is_current()
    }

    fn local(&self, index: usize, op: &mut dyn Any) {
        (P::TABLE[index].local)(&self.actor, op);
    }

    fn tell(&self, index: usize, waiter: &mut Reservation, body: &[u8]) -> Result<(), Undelivered> {
        (P::TABLE[index].tell)(&self.actor, waiter, body)
    }

    fn ask(&self, index: usize, waiter: &mut Reservation, body: &[u8]) -> Result<EncodedReply, Undelivered> {
        (P::TABLE[index].ask)(&self.actor, waiter, body)
    }

    fn poll_room(&self, waiter: &mut Reservation, cx: &mut Context<'_>) -> Poll<bool> {
        self.actor.0.poll_reserve(waiter, cx)
    }

    fn leave_line(&self, waiter: &mut Reservation) {
        self.actor.0.cancel_reserve(waiter);
    }
}
