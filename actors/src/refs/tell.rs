//! The future of a tell: in the mailbox, or back with the sender.

use crate::actor::message::Message;
use crate::error::TellError;
use crate::refs::target::{Target, Waiter};
use posse_core::task::poll_budget;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A message on its way; see [`LocalRef::tell`](crate::LocalRef::tell).
#[must_use = "nothing is sent unless this is awaited"]
pub struct Tell<M: Message, T: Target<M>> {
    target: T,
    message: Option<M>,
    waiter: Waiter,
}

impl<M: Message, T: Target<M>> Tell<M, T> {
    pub(crate) fn new(target: T, message: M) -> Self {
        Self { target, message: Some(message), waiter: Waiter::default() }
    }
}

impl<M: Message, T: Target<M> + Unpin> Unpin for Tell<M, T> {}

impl<M: Message, T: Target<M> + Unpin> Future for Tell<M, T> {
    type Output = Result<(), TellError<M>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A mailbox that always has room must not let a sender starve its neighbours.
        ready!(poll_budget(cx));
        let this = &mut *self;
        let mut message = this.message.take().expect("invariant: a tell is not polled after it was ready");
        loop {
            let error = match this.target.try_tell_with(&mut this.waiter, message) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(error) => error,
            };
            // An actor that waited for room in its own mailbox would wait for itself.
            if !error.is_full() || this.target.reserve().is_current() {
                this.waiter.cancel(|| this.target.reserve());
                return Poll::Ready(Err(error));
            }
            message = error.into_message();
            if this.waiter.poll(this.target.reserve(), cx).is_pending() {
                this.message = Some(message);
                return Poll::Pending;
            }
        }
    }
}

impl<M: Message, T: Target<M>> Drop for Tell<M, T> {
    fn drop(&mut self) {
        self.waiter.cancel(|| self.target.reserve());
    }
}

impl<M: Message, T: Target<M>> fmt::Debug for Tell<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tell<{}>", std::any::type_name::<M>())
    }
}
