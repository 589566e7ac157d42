//! The future of an ask: the reply, or the reason why there is none, before the deadline.

use crate::error::{AskError, TellError};
use crate::message::Message;
#[cfg(feature = "sim")]
use crate::system::System;
use crate::target::{Pending, Target, Waiter};
use posse_core::time::{Instant, Sleep, sleep};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long an ask waits unless it says otherwise. Specified; Erlang's default too.
pub const ASK_DEADLINE: Duration = Duration::from_secs(5);

/// A question on its way; see [`LocalRef::ask`](crate::LocalRef::ask).
#[must_use = "nothing is sent unless this is awaited"]
pub struct Ask<M: Message, T: Target<M>> {
    target: T,
    stage: Stage<M>,
    waiter: Waiter,
    within: Duration,
    deadline: Option<Sleep>,
    /// The books of the simulation; kept until the ask is dropped, or ends.
    #[cfg(feature = "sim")]
    entry: Option<crate::sim::AskGuard>,
}

enum Stage<M: Message> {
    Unsent(M),
    Sent(Pending<M::Reply>),
    Done,
}

impl<M: Message, T: Target<M>> Ask<M, T> {
    pub(crate) fn new(target: T, message: M) -> Self {
        Self {
            target,
            stage: Stage::Unsent(message),
            waiter: Waiter::default(),
            within: ASK_DEADLINE,
            deadline: None,
            #[cfg(feature = "sim")]
            entry: None,
        }
    }

    /// Sets how long to wait for the reply, from the first poll on. Default: 5 seconds.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// What is left of the time: the wait for room counts as well.
    fn left(&self) -> Duration {
        let since = |deadline: &Sleep| deadline.deadline().saturating_duration_since(Instant::now());
        self.deadline.as_ref().map_or(self.within, since)
    }

    /// Sends what was not sent yet, then looks for the reply.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<M::Reply, AskError>> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Unsent(_) if self.target.is_current() => return Poll::Ready(Err(AskError::Deadlock)),
                Stage::Unsent(message) => {
                    let left = self.left();
                    match self.target.try_ask_with(&mut self.waiter, message, left) {
                        Ok(reply) => self.stage = Stage::Sent(reply),
                        Err(TellError::Full(message)) => {
                            self.stage = Stage::Unsent(message);
                            if self.target.poll_room(&mut self.waiter, cx).is_pending() {
                                return Poll::Pending;
                            }
                        }
                        Err(error) => return Poll::Ready(Err(error.into())),
                    }
                }
                Stage::Sent(mut reply) => {
                    let Poll::Ready(result) = Pin::new(&mut reply).poll(cx) else {
                        self.stage = Stage::Sent(reply);
                        return Poll::Pending;
                    };
                    return Poll::Ready(result);
                }
                Stage::Done => unreachable!("invariant: an ask is not polled after it was ready"),
            }
        }
    }
}

impl<M: Message, T: Target<M> + Unpin> Unpin for Ask<M, T> {}

impl<M: Message, T: Target<M> + Unpin> Future for Ask<M, T> {
    type Output = Result<M::Reply, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        #[cfg(feature = "sim")]
        if this.entry.is_none() {
            let ledger = posse_core::runtime::Handle::try_current().map(|handle| System::of(&handle).ledger.clone());
            this.entry = ledger.ok().map(|ledger| ledger.ask(this.within, std::any::type_name::<M>()));
        }
        if let Poll::Ready(result) = this.poll_reply(cx) {
            #[cfg(feature = "sim")]
            drop(this.entry.take());
            return Poll::Ready(result);
        }

        let within = this.within;
        let deadline = this.deadline.get_or_insert_with(|| sleep(within));
        if Pin::new(deadline).poll(cx).is_ready() {
            // Dropping the reply tells the actor not to begin.
            this.stage = Stage::Done;
            #[cfg(feature = "sim")]
            drop(this.entry.take());
            return Poll::Ready(Err(AskError::Timeout));
        }
        Poll::Pending
    }
}

impl<M: Message, T: Target<M>> Drop for Ask<M, T> {
    fn drop(&mut self) {
        self.target.leave_line(&mut self.waiter);
    }
}

impl<M: Message, T: Target<M>> fmt::Debug for Ask<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask<{}>", std::any::type_name::<M>())
    }
}
