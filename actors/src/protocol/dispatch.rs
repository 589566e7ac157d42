//! How an actor of this process takes the messages of its protocol: as values from here, as bytes from other nodes.

use super::{MessageType, ServedBy, Wire, codec, protocol_id};
use crate::actor::Actor;
use crate::actor::message::{Handler, Message};
use crate::error::{AskError, TellError};
use crate::refs::LocalRef;
use crate::refs::target::Reserve;
use crate::watch::shared::Shared;
use posse_core::mailbox::{ReplyReceiver, Reservation, TrySendError};
use posse_core::task::panic_message;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

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
    fn reserve(&self) -> &dyn Reserve;
    fn local(&self, index: usize, op: &mut dyn Any);
    fn tell(&self, index: usize, waiter: &mut Reservation, body: &[u8]) -> Result<(), Undelivered>;
    fn ask(&self, index: usize, waiter: &mut Reservation, body: &[u8]) -> Result<EncodedReply, Undelivered>;
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

    fn reserve(&self) -> &dyn Reserve {
        &self.actor
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
}
