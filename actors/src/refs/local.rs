//! References to actors of this process.

use super::recipient::Recipient;
use crate::actor::Actor;
use crate::actor::children::ChildRef;
use crate::actor::lifecycle::Local;
use crate::actor::message::{HandledBy, Handler, Message};
use crate::error::TellError;
use crate::id::{ActorId, ExitReason};
use crate::refs::ask::Ask;
use crate::refs::target::{Pending, Reserve, Target, Waiter};
use crate::refs::tell::Tell;
use crate::watch::monitor::{DownCallback, Monitor, Monitorable};
use crate::watch::shared::Command;
use posse_core::mailbox::{CellRef, ReplyReceiver, Reservation, TrySendError};
use posse_core::runtime::Handle;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A reference to an actor of this process, which accepts every message the actor handles.
///
/// It is one pointer. It outlives restarts, and never keeps an actor alive.
pub struct LocalRef<A: Actor>(pub(crate) CellRef<Local<A>>);

impl<A: Actor> LocalRef<A> {
    /// Sends a message without a reply; waits while the mailbox is full. Nothing happens until it is awaited.
    ///
    /// `Ok` means that the message is in the mailbox. An actor that tells itself never waits, it gets `Full`.
    ///
    /// # Ordering
    /// Messages from one sender are handled in the order they were accepted.
    ///
    /// # Errors
    /// [`TellError`] with the message.
    ///
    /// # Cancel safety
    /// A tell that is dropped was not sent, unless it was ready.
    pub fn tell<M: HandledBy<A>>(&self, message: M) -> Tell<M, Self>
    where
        A: Handler<M>,
    {
        Tell::new(self.clone(), message)
    }

    /// Sends a message without a reply and without waiting.
    ///
    /// # Errors
    /// [`TellError`] with the message.
    pub fn try_tell<M: HandledBy<A>>(&self, message: M) -> Result<(), TellError<M>>
    where
        A: Handler<M>,
    {
        self.try_send(&mut Reservation::default(), message).map_err(TellError::from)
    }

    /// Sends a message and waits for the reply, at most 5 seconds unless [`Ask::within`] says otherwise.
    ///
    /// # Errors
    /// [`AskError`](crate::AskError).
    ///
    /// # Cancel safety
    /// An ask that is dropped is not handled any more, if work on it has not begun.
    pub fn ask<M: HandledBy<A>>(&self, message: M) -> Ask<M, Self>
    where
        A: Handler<M>,
    {
        Ask::new(self.clone(), message)
    }

    /// Returns a reference that only knows one type of message.
    pub fn recipient<M: HandledBy<A>>(&self) -> Recipient<M>
    where
        A: Handler<M>,
    {
        Recipient::new(Arc::new(self.clone()))
    }

    /// Returns the id of the actor.
    pub fn id(&self) -> ActorId {
        self.0.id()
    }

    /// Asks the actor to end after the message it handles now. What is queued becomes dead letters.
    pub fn stop(&self) {
        self.0.command(Command::Stop);
        self.0.wake();
    }

    /// Asks the actor to handle what is queued and then end. Later messages are refused.
    pub fn drain(&self) {
        self.0.close();
    }

    /// Ends the actor at its next await. Its handler's future is dropped, and `stopped` does not run.
    pub fn kill(&self) {
        self.0.command(Command::Kill);
        self.0.wake();
    }

    /// Returns true until the actor has ended for good.
    pub fn is_alive(&self) -> bool {
        self.0.ended().is_none()
    }

    /// Waits until the actor has ended for good, and returns why.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn closed(&self) -> ExitReason {
        self.0.wait_exit().await
    }

    /// Returns how many messages wait in the mailbox, give or take a batch.
    pub fn queued(&self) -> usize {
        self.0.queued()
    }

    /// Puts a message into the mailbox, if there is room. All that is told goes through here.
    #[inline]
    pub(crate) fn try_send<M: Message>(&self, waiter: &mut Reservation, message: M) -> Result<(), TrySendError<M>>
    where
        A: Handler<M>,
    {
        let result = self.0.try_tell_with(waiter, message);
        self.0.system().audit.record_send(result.is_ok());
        result
    }

    /// Puts a message that wants a reply into the mailbox, if there is room. All that is asked goes through here.
    #[inline]
    pub(crate) fn try_send_ask<M: Message>(
        &self,
        waiter: &mut Reservation,
        message: M,
    ) -> Result<ReplyReceiver<M::Reply>, TrySendError<M>>
    where
        A: Handler<M>,
    {
        let result = self.0.try_ask_with(waiter, message);
        self.0.system().audit.record_send(result.is_ok());
        result
    }

    pub(crate) fn child(&self, stop_within: Duration) -> ChildRef {
        ChildRef::new(self.clone(), stop_within)
    }
}

impl<A: Handler<M>, M: Message> Target<M> for LocalRef<A> {
    #[inline]
    fn try_tell_with(&self, waiter: &mut Waiter, message: M) -> Result<(), TellError<M>> {
        Ok(self.try_send(&mut waiter.local, message)?)
    }

    fn try_ask_with(&self, waiter: &mut Waiter, message: M, _: Duration) -> Result<Pending<M::Reply>, TellError<M>> {
        Ok(Pending::Local(self.try_send_ask(&mut waiter.local, message)?))
    }

    fn reserve(&self) -> &dyn Reserve {
        self
    }
}

impl<A: Actor> Reserve for LocalRef<A> {
    fn poll_reserve(&self, waiter: &mut Waiter, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_reserve(&mut waiter.local, cx).map(drop)
    }

    fn cancel_reserve(&self, waiter: &mut Waiter) {
        self.0.cancel_reserve(&mut waiter.local);
    }

    fn runtime(&self) -> Option<Handle> {
        Some(self.0.runtime().clone())
    }

    fn is_current(&self) -> bool {
        self.0.is_current()
    }
}

impl<A: Actor> Monitorable for LocalRef<A> {
    fn watch(&self, _: Option<ActorId>, notify: DownCallback) -> Monitor {
        Monitor::local(&self.0, notify)
    }

    fn monitored(&self) -> ActorId {
        self.id()
    }

    fn is_over(&self) -> Box<dyn Fn() -> bool + Send> {
        let actor = self.clone();
        Box::new(move || !actor.is_alive())
    }
}

impl<A: Actor> Clone for LocalRef<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Actor> PartialEq for LocalRef<A> {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_cell(&other.0)
    }
}

impl<A: Actor> Eq for LocalRef<A> {}

impl<A: Actor> Hash for LocalRef<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<A: Actor> fmt::Debug for LocalRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalRef<{}>({})", std::any::type_name::<A>(), self.id())
    }
}
