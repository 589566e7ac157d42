//! The seam between the futures of tell and ask and the references: what a message can be sent to, near or far.

use super::remote::RemoteReply;
use crate::actor::message::Message;
use crate::error::{AskError, SendReason, TellError};
use posse_core::mailbox::{ReplyError, ReplyReceiver, Reservation, TrySendError};
use posse_core::runtime::Handle;
use posse_core::sync::wait_list::WaiterKey;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// What a message of type `M` can be sent to: a [`LocalRef`](crate::LocalRef), an [`ActorRef`](crate::ActorRef) or a
/// [`Recipient`](crate::Recipient).
pub trait Target<M: Message>: Send + Sync + 'static {
    /// Sends without waiting, using room that was granted to `waiter`.
    #[doc(hidden)]
    fn try_tell_with(&self, waiter: &mut Waiter, message: M) -> Result<(), TellError<M>>;
    /// Asks without waiting for room, using room that was granted to `waiter`.
    #[doc(hidden)]
    fn try_ask_with(
        &self,
        waiter: &mut Waiter,
        message: M,
        within: Duration,
    ) -> Result<Pending<M::Reply>, TellError<M>>;
    /// How a sender waits until there is room, whatever it sends.
    #[doc(hidden)]
    fn reserve(&self) -> &dyn Reserve;
}

/// How a sender waits for room: in a mailbox of this process, or on the way to another node.
#[doc(hidden)]
pub trait Reserve: Send + Sync {
    /// Waits in line for room.
    fn poll_reserve(&self, waiter: &mut Waiter, cx: &mut Context<'_>) -> Poll<()>;
    /// Gives up the place in the line, and what was granted.
    fn cancel_reserve(&self, waiter: &mut Waiter);
    /// The runtime whose clock ends an ask that is polled outside of any runtime; `None` if nothing can be asked.
    fn runtime(&self) -> Option<Handle>;
    /// True inside the very actor this refers to.
    fn is_current(&self) -> bool;
}

/// A sender's place in the line for room, here or on the way to another node.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Waiter {
    pub(crate) local: Reservation,
    pub(crate) remote: RemoteReservation,
    /// It may be in a line. Set before it joins one, so a sender that never waited has nothing to leave.
    waits: bool,
}

/// A place in the line of a far side.
#[derive(Debug, Default)]
pub(crate) struct RemoteReservation(pub(crate) WaiterKey);

impl Waiter {
    pub(super) fn poll(&mut self, target: &dyn Reserve, cx: &mut Context<'_>) -> Poll<()> {
        self.waits = true;
        target.poll_reserve(self, cx)
    }

    /// Leaves the line, if it may be in one. `target` is the one it was polled with.
    #[inline]
    pub(super) fn cancel<'t>(&mut self, target: impl FnOnce() -> &'t dyn Reserve) {
        if std::mem::take(&mut self.waits) {
            target().cancel_reserve(self);
        }
    }
}

/// A target that is gone: there is nothing to wait for.
pub(super) struct Nowhere;

impl Reserve for Nowhere {
    fn poll_reserve(&self, _: &mut Waiter, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn cancel_reserve(&self, _: &mut Waiter) {}

    fn runtime(&self) -> Option<Handle> {
        None
    }

    fn is_current(&self) -> bool {
        false
    }
}

/// A reply on its way. Dropping it cancels what has not begun.
#[doc(hidden)]
pub enum Pending<R> {
    Local(ReplyReceiver<R>),
    Remote(RemoteReply<R>),
}

impl<R> Future for Pending<R> {
    type Output = Result<R, AskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Local(reply) => Pin::new(reply).poll(cx).map_err(AskError::from),
            Self::Remote(reply) => Pin::new(reply).poll(cx),
        }
    }
}

impl<R> fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local(_) => "Pending::Local",
            Self::Remote(_) => "Pending::Remote",
        })
    }
}

impl From<ReplyError> for AskError {
    fn from(lost: ReplyError) -> Self {
        match lost {
            ReplyError::Stopped => Self::Stopped,
            ReplyError::Crashed => Self::Failed,
        }
    }
}

impl<M> From<TrySendError<M>> for TellError<M> {
    fn from(refused: TrySendError<M>) -> Self {
        match refused {
            TrySendError::Full(message) => Self::new(SendReason::Full, message),
            TrySendError::Closed(message) => Self::new(SendReason::Stopped, message),
        }
    }
}
