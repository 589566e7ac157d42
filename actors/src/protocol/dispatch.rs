//! Dispatch: an actor of this process takes the messages of its protocol as values from here, as bytes from other nodes.

use super::{MessageType, ServedBy, Wire, codec, protocol_id};
use crate::actor::Actor;
use crate::actor::message::{Handler, Message};
use crate::error::{AskError, TellError};
use crate::refs::LocalRef;
use crate::refs::target::Reserve;
use crate::watch::shared::ActorShared;
use posse_core::mailbox::{ReplyReceiver, Reservation, TrySendError};
use posse_core::task::catch;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

/// Why bytes from another node did not become a message in a mailbox.
#[derive(Debug)]
pub(crate) enum DeliveryError {
    /// The bytes are to be kept and delivered again when there is room.
    Full,
    Stopped,
    Decode(String),
}

impl<M> From<TrySendError<M>> for DeliveryError {
    fn from(refused: TrySendError<M>) -> Self {
        let why = match &refused {
            TrySendError::Full(_) => Self::Full,
            TrySendError::Closed(_) => Self::Stopped,
        };
        // It has been made from bytes and is made again, or not needed. A panic of its drop is no reason to end a
        // connection.
        drop(catch(|| drop(refused)));
        why
    }
}

/// The encoded reply to a message from another node.
pub(crate) type EncodedReply = Pin<Box<dyn Future<Output = Result<Vec<u8>, AskError>> + Send>>;

/// Decodes a message and puts it into the actor's mailbox.
type Deliver<A, R> = fn(&LocalRef<A>, &mut Reservation, &[u8]) -> Result<R, DeliveryError>;

/// How an actor takes one type of message.
#[doc(hidden)]
pub struct HandlerEntry<A: Actor> {
    local: fn(&LocalRef<A>, &mut dyn Any),
    tell: Deliver<A, ()>,
    ask: Deliver<A, EncodedReply>,
}

impl<A: Actor> HandlerEntry<A> {
    /// By its handler.
    pub const fn of<M: Wire>() -> Self
    where
        A: Handler<M>,
    {
        Self { local: send_local::<A, M>, tell: deliver_tell::<A, M>, ask: deliver_ask::<A, M> }
    }
}

impl<A: Actor> fmt::Debug for HandlerEntry<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerEntry")
    }
}

/// A message for an actor of this process whose type the sender does not know. It stays on the sender's stack.
pub(crate) struct LocalCall<M: Message> {
    pub(crate) message: Option<M>,
    pub(crate) wants_reply: bool,
    pub(crate) waiter: Reservation,
    pub(crate) refused: Option<TellError<M>>,
    pub(crate) reply: Option<ReplyReceiver<M::Reply>>,
}

fn send_local<A: Handler<M>, M: Message>(actor: &LocalRef<A>, op: &mut dyn Any) {
    let Some(op) = op.downcast_mut::<LocalCall<M>>() else { return };
    let Some(message) = op.message.take() else { return };
    let result = if op.wants_reply {
        actor.try_send_ask(&mut op.waiter, message).map(|reply| op.reply = Some(reply))
    } else {
        actor.try_send(&mut op.waiter, message)
    };
    op.refused = result.err().map(TellError::from);
}

fn deliver_tell<A: Handler<M>, M: Wire>(
    actor: &LocalRef<A>,
    waiter: &mut Reservation,
    body: &[u8],
) -> Result<(), DeliveryError> {
    let message: M = codec::decode(body).map_err(|error| DeliveryError::Decode(error.to_string()))?;
    Ok(actor.try_send(waiter, message)?)
}

fn deliver_ask<A: Handler<M>, M: Wire>(
    actor: &LocalRef<A>,
    waiter: &mut Reservation,
    body: &[u8],
) -> Result<EncodedReply, DeliveryError> {
    let message: M = codec::decode(body).map_err(|error| DeliveryError::Decode(error.to_string()))?;
    let reply = actor.try_send_ask(waiter, message)?;
    Ok(Box::pin(async move {
        let reply = reply.await?;
        let mut body = Vec::new();
        codec::encode(&reply, &mut body).map_err(|error| AskError::Encode(error.to_string().into()))?;
        Ok(body)
    }))
}

/// A living actor of this process as its protocol shows it.
pub(crate) trait Endpoint: Send + Sync {
    fn shared(&self) -> &ActorShared;
    fn protocol(&self) -> u64;
    fn messages(&self) -> &'static [MessageType];
    fn reserve(&self) -> &dyn Reserve;
    /// Whether a message of `waiter` would find room in the mailbox, or it is its turn: asked before it is decoded.
    fn has_room(&self, waiter: &Reservation) -> bool;
    fn local(&self, index: usize, op: &mut dyn Any);
    fn tell(&self, index: usize, waiter: &mut Reservation, body: &[u8]) -> Result<(), DeliveryError>;
    fn ask(&self, index: usize, waiter: &mut Reservation, body: &[u8]) -> Result<EncodedReply, DeliveryError>;
}

pub(crate) struct LocalEndpoint<A: Actor, P> {
    pub(crate) actor: LocalRef<A>,
    pub(crate) protocol: PhantomData<fn(P)>,
}

impl<A: Actor, P: ServedBy<A>> Endpoint for LocalEndpoint<A, P> {
    fn shared(&self) -> &ActorShared {
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

    fn has_room(&self, waiter: &Reservation) -> bool {
        self.actor.0.has_room(waiter)
    }

    fn local(&self, index: usize, op: &mut dyn Any) {
        (P::HANDLERS[index].local)(&self.actor, op);
    }

    fn tell(&self, index: usize, waiter: &mut Reservation, body: &[u8]) -> Result<(), DeliveryError> {
        (P::HANDLERS[index].tell)(&self.actor, waiter, body)
    }

    fn ask(&self, index: usize, waiter: &mut Reservation, body: &[u8]) -> Result<EncodedReply, DeliveryError> {
        (P::HANDLERS[index].ask)(&self.actor, waiter, body)
    }
}
