//! The future of an ask: the reply, or the reason why there is none, before the deadline.

use crate::actor::message::Message;
use crate::error::{AskError, FailedAsk, TellError};
use crate::refs::target::{Pending, Target, Waiter};
use crate::system::audit::TrackedAsk;
use posse_core::runtime::Handle;
use posse_core::time::Sleep;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long an ask waits unless it says otherwise. Specified; Erlang's default too.
pub const DEFAULT_ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// A question on its way; see [`LocalRef::ask`](crate::LocalRef::ask).
///
/// It can be awaited on any thread and by any executor: outside of Posse's runtimes the timers of the actor's runtime end it.
///
/// # Examples
/// A plain thread, and an executor of ten lines:
/// ```
/// use posse::prelude::*;
/// use std::pin::pin;
/// use std::sync::Arc;
/// use std::task::{Poll, Wake, Waker};
/// use std::thread::{self, Thread};
///
/// struct Unpark(Thread);
/// impl Wake for Unpark {
///     fn wake(self: Arc<Self>) {
///         self.0.unpark();
///     }
/// }
///
/// fn block_on<F: Future>(future: F) -> F::Output {
///     let (waker, mut future) = (Waker::from(Arc::new(Unpark(thread::current()))), pin!(future));
///     loop {
///         match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
///             Poll::Ready(output) => return output,
///             Poll::Pending => thread::park(),
///         }
///     }
/// }
///
/// struct Counter(u64);
/// impl Actor for Counter {}
///
/// #[derive(Message)]
/// #[message(reply = u64)]
/// struct Add(u64);
/// impl Handler<Add> for Counter {
///     async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// let runtime = posse::runtime::Runtime::new()?;
/// let counter = runtime.block_on(async { posse::spawn(|| Counter(0)) });
/// let total = thread::spawn(move || block_on(counter.ask(Add(5)).within(secs(1)))).join();
/// assert_eq!(total.unwrap(), Ok(5));
/// # posse::Result::Ok(())
/// ```
#[must_use = "nothing is sent unless this is awaited"]
pub struct Ask<M: Message, T: Target<M>> {
    target: T,
    stage: Stage<M>,
    waiter: Waiter,
    within: Duration,
    deadline: Option<Sleep>,
    /// Begun with the first poll; ends with the ask.
    tracked: TrackedAsk,
}

enum Stage<M: Message> {
    Unsent(M),
    Sent(Pending<M::Reply>),
    /// Over, and the message was not taken: it waits for [`Recover`].
    NotTaken(M),
    Done,
}

impl<M: Message, T: Target<M>> Ask<M, T> {
    pub(crate) fn new(target: T, message: M) -> Self {
        Self {
            target,
            stage: Stage::Unsent(message),
            waiter: Waiter::default(),
            within: DEFAULT_ASK_TIMEOUT,
            deadline: None,
            tracked: TrackedAsk::default(),
        }
    }

    /// Sets how long to wait for the reply, from the first poll on. Default: 5 seconds.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Makes the error give the message back if it was not taken: see [`FailedAsk`].
    ///
    /// # Examples
    /// ```
    /// use posse::prelude::*;
    ///
    /// struct Scale;
    /// impl Actor for Scale {}
    ///
    /// #[derive(Message)]
    /// #[message(reply = usize)]
    /// struct Weigh(String);
    /// impl Handler<Weigh> for Scale {
    ///     async fn handle(&mut self, Weigh(text): Weigh, _: &mut Context<Self>) -> usize {
    ///         text.len()
    ///     }
    /// }
    ///
    /// posse::run(async {
    ///     let (old, new) = (posse::spawn(|| Scale), posse::spawn(|| Scale));
    ///     old.stop();
    ///     old.closed().await;
    ///
    ///     let failed = old.ask(Weigh("a stone".into())).recover().await.unwrap_err();
    ///     assert_eq!(*failed.error(), AskError::Stopped);
    ///     // It was not handled, so another actor may do it.
    ///     let again = failed.into_message().ok_or("it was taken")?;
    ///     assert_eq!(new.ask(again).await?, 7);
    ///     Ok(())
    /// })?;
    /// # posse::Result::Ok(())
    /// ```
    pub fn recover(self) -> Recover<M, T> {
        Recover(self)
    }

    /// What is left of the time: the wait for room counts as well.
    fn remaining(&self) -> Duration {
        self.deadline.as_ref().map_or(self.within, Sleep::remaining)
    }

    /// Sends what was not sent yet, then looks for the reply.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<M::Reply, AskError>> {
        loop {
            if let Stage::Sent(reply) = &mut self.stage {
                let result = ready!(Pin::new(reply).poll(cx));
                self.stage = Stage::Done;
                return Poll::Ready(result);
            }
            match std::mem::replace(&mut self.stage, Stage::Done) {
                // An actor that asks itself would wait for its own turn.
                Stage::Unsent(message) if self.target.reserve().is_current() => {
                    self.stage = Stage::NotTaken(message);
                    return Poll::Ready(Err(AskError::Deadlock));
                }
                Stage::Unsent(message) => {
                    let remaining = self.remaining();
                    match self.target.try_ask_with(&mut self.waiter, message, remaining) {
                        Ok(reply) => self.stage = Stage::Sent(reply),
                        // It waits in line with its message, and tries again when it is granted room.
                        Err(error) if error.is_full() => {
                            self.stage = Stage::Unsent(error.into_message());
                            if self.waiter.poll(self.target.reserve(), cx).is_pending() {
                                return Poll::Pending;
                            }
                        }
                        Err(error) => {
                            let TellError { reason, message } = error;
                            self.stage = Stage::NotTaken(message);
                            return Poll::Ready(Err(reason.into()));
                        }
                    }
                }
                Stage::Sent(_) | Stage::NotTaken(_) | Stage::Done => {
                    unreachable!("invariant: an ask is not polled after it was ready")
                }
            }
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline.is_none() {
            self.deadline = self.clock().map(|handle| Sleep::on(handle, self.within));
        }
        match &mut self.deadline {
            Some(deadline) => Pin::new(deadline).poll(cx),
            // Nothing that could be asked: the ask has ended before.
            None => Poll::Pending,
        }
    }

    /// Whose timers end it. The asker's own, if it has some: they run as long as it does, whatever became of the actor's.
    fn clock(&self) -> Option<Handle> {
        Handle::try_current().ok().or_else(|| self.target.reserve().runtime())
    }

    /// There will be no reply: what it held goes at once, however long the future is kept.
    #[cold]
    fn cancel(&mut self) {
        self.waiter.cancel(|| self.target.reserve());
        self.deadline = None;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Unsent(message) | Stage::NotTaken(message) => Stage::NotTaken(message),
            // Dropping the reply tells the actor not to begin.
            Stage::Sent(_) | Stage::Done => Stage::Done,
        };
    }
}

impl<M: Message, T: Target<M> + Unpin> Unpin for Ask<M, T> {}

impl<M: Message, T: Target<M> + Unpin> Future for Ask<M, T> {
    type Output = Result<M::Reply, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.tracked.begin(this.within, std::any::type_name::<M>);
        let mut result = this.poll_reply(cx);
        if result.is_pending() && this.poll_deadline(cx).is_ready() {
            result = Poll::Ready(Err(AskError::Timeout));
        }
        if let Poll::Ready(Err(_)) = &result {
            this.cancel();
        }
        if result.is_ready() {
            this.tracked.end();
        }
        result
    }
}

impl<M: Message, T: Target<M>> Drop for Ask<M, T> {
    fn drop(&mut self) {
        self.waiter.cancel(|| self.target.reserve());
    }
}

impl<M: Message, T: Target<M>> fmt::Debug for Ask<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask<{}>", std::any::type_name::<M>())
    }
}

/// An ask whose error gives the message back; see [`Ask::recover`].
#[must_use = "nothing is sent unless this is awaited"]
pub struct Recover<M: Message, T: Target<M>>(Ask<M, T>);

impl<M: Message, T: Target<M>> Recover<M, T> {
    /// As [`Ask::within`].
    pub fn within(self, time: Duration) -> Self {
        Self(self.0.within(time))
    }
}

impl<M: Message, T: Target<M> + Unpin> Future for Recover<M, T> {
    type Output = Result<M::Reply, FailedAsk<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ask = &mut self.0;
        Pin::new(&mut *ask).poll(cx).map_err(|error| {
            let message = match std::mem::replace(&mut ask.stage, Stage::Done) {
                Stage::NotTaken(message) => Some(message),
                _ => None,
            };
            FailedAsk::new(error, message)
        })
    }
}

impl<M: Message, T: Target<M>> fmt::Debug for Recover<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
