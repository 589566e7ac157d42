//! Messages, and who handles them.
//!
//! The reply belongs to the message, so a message means the same to every actor that handles it. Nothing here knows how messages
//! travel.

use crate::actor::Actor;
use crate::actor::context::Context;
use crate::watch::monitor::Down;
use std::future::Future;

/// Something that can be sent to an actor. The reply belongs to the message.
///
/// # Examples
/// ```
/// use posse::Message;
///
/// #[derive(Message)]
/// #[message(reply = u64)]
/// struct Add(u64);
///
/// // The same by hand:
/// struct Subtract(u64);
/// impl Message for Subtract {
///     type Reply = u64;
/// }
/// ```
///
/// A message that may leave the process is [`Wire`](crate::protocol::Wire) as well: a stable name makes it so.
/// ```
/// use posse::Message;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[message(reply = u64, name = "bank/deposit", version = 2)]
/// struct Deposit {
///     cents: u64,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "this cannot be sent to an actor",
    note = "write `#[derive(Message)]` on it, with `#[message(reply = ..)]` if it is answered"
)]
pub trait Message: Send + 'static {
    /// What an ask with this message returns; `()` for messages that are only told.
    type Reply: Send + 'static;
}

impl Message for Down {
    type Reply = ();
}

/// Handles one type of message, one at a time: until the future is done no other message is begun.
///
/// # Ordering
/// Messages of one sender are handled in the order they were accepted.
///
/// # Cancel safety
/// The future is dropped half-way if the actor is killed. It is not dropped because the asker went away.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{M}`",
    label = "this actor has no handler for the message",
    note = "write `impl Handler<{M}> for {Self} {{ async fn handle(&mut self, message: {M}, ctx: &mut Context<Self>) -> .. }}`"
)]
pub trait Handler<M: Message>: Actor {
    /// Handles a message. A panic fails the actor, and the asker gets [`AskError::Failed`](crate::AskError::Failed);
    /// a reply that is an error does neither.
    fn handle(&mut self, message: M, ctx: &mut Context<Self>) -> impl Future<Output = M::Reply> + Send;
}

/// Handles one type of message without changing the actor.
///
/// A reader is a handler. Today it runs as one, alone; readers may come to run beside each other.
///
/// # Examples
/// ```
/// use posse::prelude::*;
///
/// struct Counter(u64);
/// impl Actor for Counter {}
///
/// #[derive(Message)]
/// #[message(reply = u64)]
/// struct Get;
/// impl Reader<Get> for Counter {
///     async fn read(&self, _: Get, _: &Context<Self>) -> u64 {
///         self.0
///     }
/// }
///
/// posse::run(async {
///     let counter = posse::spawn(|| Counter(7));
///     assert_eq!(counter.ask(Get).await?, 7);
///     Ok(())
/// })?;
/// # posse::Result::Ok(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not read `{M}`",
    note = "write `impl Reader<{M}> for {Self} {{ async fn read(&self, message: {M}, ctx: &Context<Self>) -> .. }}`"
)]
pub trait Reader<M: Message>: Actor + Sync {
    /// Handles a message.
    fn read(&self, message: M, ctx: &Context<Self>) -> impl Future<Output = M::Reply> + Send;
}

#[diagnostic::do_not_recommend]
impl<M: Message, A: Reader<M>> Handler<M> for A {
    async fn handle(&mut self, message: M, ctx: &mut Context<Self>) -> M::Reply {
        self.read(message, ctx).await
    }
}

/// Says the same as [`Handler`], from the message's side, so that an error names the handler to write.
///
/// It cannot be implemented: write the handler.
#[diagnostic::on_unimplemented(
    message = "`{A}` does not handle `{Self}`",
    label = "this actor has no handler for the message",
    note = "write `impl Handler<{Self}> for {A} {{ async fn handle(&mut self, message: {Self}, ctx: &mut Context<Self>) -> .. }}`"
)]
pub trait HandledBy<A: Actor>: Message {}

#[diagnostic::do_not_recommend]
impl<M: Message, A: Handler<M>> HandledBy<A> for M {}
