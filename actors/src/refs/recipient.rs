//! References that know one type of message alone.

use super::ask::Ask;
use super::target::{Pending, Reserve, Target, Waiter};
use super::tell::Tell;
use crate::actor::message::Message;
use crate::error::TellError;
use std::fmt;
use std::sync::Arc;
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

    fn reserve(&self) -> &dyn Reserve {
        self.0.reserve()
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
