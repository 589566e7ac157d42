//! What a message can be sent to, near or far: the seam between the futures of tell and ask and the references.

use crate::actor::message::Message;
use crate::cluster::{Place, RemoteReply};
use crate::error::{AskError, TellError};
use posse_core::mailbox::{ReplyError, ReplyReceiver, Reservation, TrySendError};
use posse_core::runtime::Handle;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// What a message of type `M` can be sent to.
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
    /// Waits in line for room.
    #[doc(hidden)]
    fn poll_room(&self, waiter: &mut Waiter, cx: &mut Context<'_>) -> Poll<()>;
    /// Gives up the place in the line.
    #[doc(hidden)]
    fn leave_line(&self, waiter: &mut Waiter);
    /// The runtime whose clock ends an ask that is polled outside of any runtime; `None` if nothing can be asked.
    #[doc(hidden)]
    fn runtime(&self) -> Option<Handle>;
    /// True inside the very actor this refers to.
    #[doc(hidden)]
    fn is_current(&self) -> bool;
}

/// A sender's place in the line for room, here or at the way to another node.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Waiter {
    pub(crate) local: Reservation,
    pub(crate) remote: Place,
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
            ReplyError::Crashed => Self::Crashed,
        }
    }
}

impl<M> From<TrySendError<M>> for TellError<M> {
    fn from(refused: TrySendError<M>) -> Self {
        match refused {
            TrySendError::Full(message) => Self::Full(message),
            TrySendError::Closed(message) => Self::Stopped(message),
        }
    }
}
