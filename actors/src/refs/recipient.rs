//! References that know one type of message alone.

use super::ask::Ask;
use super::target::{Pending, Target, Waiter};
use super::tell::Tell;
use crate::actor::message::Message;
use crate::error::TellError;
use posse_core::runtime::Handle;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A reference to any actor, here or at another node, that handles `M`.
pub struct Recipient<M: Message>(Arc<dyn Target<M>>);

impl<M: Message> Recipient<M> {
    pub(crate) fn new(target: Arc<dyn Target<M>>) -> Self {
        Self(target)
    }

    /// Sends a message without a reply; see [`LocalRef::tell`](crate::LocalRef::tell).
    pub fn tell(&self, message: M) -> Tell<M, Self> {
        Tell::new(self.clone(), message)
    }

    /// Sends a message without a reply and without waiting.
    ///
    /// # Errors
    /// [`TellError`] with the message.
    pub fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        self.0.try_tell_with(&mut Waiter::default(), message)
    }

    /// Sends a message and waits for the reply; see [`LocalRef::ask`](crate::LocalRef::ask).
    pub fn ask(&self, message: M) -> Ask<M, Self> {
        Ask::new(self.clone(), message)
    }
}

impl<M: Message> Target<M> for Recipient<M> {
    fn try_tell_with(&self, waiter: &mut Waiter, message: M) -> Result<(), TellError<M>> {
        self.0.try_tell_with(waiter, message)
    }

    fn try_ask_with(
        &self,
        waiter: &mut Waiter,
        message: M,
        within: Duration,
    ) -> Result<Pending<M::Reply>, TellError<M>> {
        self.0.try_ask_with(waiter, message, within)
    }

    fn poll_room(&self, waiter: &mut Waiter, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_room(waiter, cx)
    }

    fn leave_line(&self, waiter: &mut Waiter) {
        self.0.leave_line(waiter);
    }

    fn runtime(&self) -> Option<Handle> {
        self.0.runtime()
    }

    fn is_current(&self) -> bool {
        self.0.is_current()
    }
}

impl<M: Message> Clone for Recipient<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Message> fmt::Debug for Recipient<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient<{}>", std::any::type_name::<M>())
    }
}
