//! Messages, and who handles them.

use crate::actor::Actor;
use crate::context::Context;
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
pub trait Message: Send + 'static {
    /// What an ask with this message returns; `()` for messages that are only told.
    type Reply: Send + 'static;
}

/// Handles one type of message, one at a time: until the future is done no other message is begun.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{M}`",
    label = "this actor has no handler for the message",
    note = "write `impl Handler<{M}> for {Self} {{ async fn handle(&mut self, message: {M}, ctx: &mut Context<Self>) -> .. }}`"
)]
pub trait Handler<M: Message>: Actor {
    /// Handles a message. A panic fails the actor, and the asker gets [`AskError::Crashed`](crate::AskError::Crashed);
    /// a reply that is an error does neither.
    fn handle(&mut self, message: M, ctx: &mut Context<Self>) -> impl Future<Output = M::Reply> + Send;
}

/// Handles one type of message without changing the actor.
///
/// A reader is a handler. Today it runs as one, alone; readers may come to run beside each other.
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
#[diagnostic::on_unimplemented(
    message = "`{A}` does not handle `{Self}`",
    label = "this actor has no handler for the message",
    note = "write `impl Handler<{Self}> for {A} {{ async fn handle(&mut self, message: {Self}, ctx: &mut Context<Self>) -> .. }}`"
)]
pub trait HandledBy<A: Actor>: Message {}

#[diagnostic::do_not_recommend]
impl<M: Message, A: Handler<M>> HandledBy<A> for M {}
