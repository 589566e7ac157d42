//! Handles to a task: await its output, abort it, learn why it gave none.

use super::Id;
use super::coop;
use super::panic::{panic_text, report_unseen};
use super::raw::TaskRef;
use crate::lock::Mutex;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The owned right to a task's output. Dropping it detaches the task, which runs on.
///
/// # Cancel safety
/// Awaiting `&mut handle` can be dropped and repeated; the output is not lost.
///
/// # Panics
/// Polling again after it was ready.
///
/// # Examples
/// ```
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let task = posse::task::spawn(async { panic!("on purpose") });
/// let error = task.await.unwrap_err();
/// assert!(error.is_panic());
/// # });
/// ```
pub struct JoinHandle<T> {
    task: TaskRef,
    /// As if the output lay here: it may be one that stays on its thread.
    output: PhantomData<T>,
}

// SAFETY: a shared reference gives no access to the output.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    pub(crate) fn new(task: TaskRef) -> Self {
        Self { task, output: PhantomData }
    }

    /// Cancels the task: its future is dropped by a worker instead of being polled again, at its present await point.
    ///
    /// A task that is being polled finishes that poll first; one that has completed is not affected.
    pub fn abort(&self) {
        self.task.cancel();
    }

    /// Returns a handle that can only abort the task.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle { task: self.task.clone() }
    }

    /// Returns true once the task has completed, panicked or been cancelled.
    pub fn is_finished(&self) -> bool {
        self.task.is_complete()
    }

    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        self.task.id()
    }
}

impl<T> Unpin for JoinHandle<T> {}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let progress = ready!(coop::poll_proceed(cx));
        // SAFETY: a `JoinHandle<T>` is made only for a joined task with output `T`, and it is the only one.
        let output = ready!(unsafe { self.task.poll_join::<T>(cx) });
        progress.made_progress();
        Poll::Ready(output)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.task.detach();
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("id", &self.id()).field("finished", &self.is_finished()).finish()
    }
}

/// The right to abort a task, without a right to its output.
#[derive(Clone, Debug)]
pub struct AbortHandle {
    task: TaskRef,
}

impl AbortHandle {
    /// Cancels the task; see [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.task.cancel();
    }

    /// Returns true once the task has completed, panicked or been cancelled.
    pub fn is_finished(&self) -> bool {
        self.task.is_complete()
    }

    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        self.task.id()
    }
}

/// Why a task gave no output.
pub struct JoinError {
    id: Id,
    cause: Cause,
}

enum Cause {
    Cancelled,
    /// In a lock only to make the error `Sync`.
    Panicked(Mutex<Box<dyn Any + Send>>),
}

impl JoinError {
    pub(crate) fn cancelled(id: Id) -> Self {
        Self { id, cause: Cause::Cancelled }
    }

    pub(crate) fn panicked(id: Id, payload: Box<dyn Any + Send>) -> Self {
        Self { id, cause: Cause::Panicked(Mutex::new(payload)) }
    }

    /// Returns true if the task was aborted, or its runtime shut down.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.cause, Cause::Cancelled)
    }

    /// Returns true if the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self.cause, Cause::Panicked(_))
    }

    /// Returns the payload of the panic, for `std::panic::resume_unwind` for instance.
    ///
    /// # Panics
    /// If the task did not panic; see [`try_into_panic`](Self::try_into_panic).
    ///
    /// # Examples
    /// ```
    /// # posse::runtime::Runtime::new().unwrap().block_on(async {
    /// let error = posse::task::spawn(async { panic!("boom") }).await.unwrap_err();
    /// assert_eq!(posse::task::panic_message(error.into_panic()), "boom");
    /// # });
    /// ```
    #[track_caller]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        match self.try_into_panic() {
            Ok(payload) => payload,
            Err(error) => panic!("{error}, it did not panic"),
        }
    }

    /// Returns the payload of the panic, or the error itself if there was none.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, Self> {
        match self.cause {
            Cause::Panicked(payload) => Ok(payload.into_inner()),
            Cause::Cancelled => Err(self),
        }
    }

    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The output is dropped unread: if it is a panic it must not go unseen.
    pub(super) fn report_unseen(&self) {
        if let Some(text) = self.panic_text() {
            report_unseen(self.id, &text);
        }
    }

    fn panic_text(&self) -> Option<String> {
        let Cause::Panicked(payload) = &self.cause else { return None };
        let payload = payload.lock();
        Some(panic_text(&**payload).to_owned())
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.panic_text() {
            Some(text) => write!(f, "task {} panicked: {text}", self.id),
            None => write!(f, "task {} was cancelled", self.id),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl std::error::Error for JoinError {}

/// For a function that returns `io::Result` and awaits a task: of kind `Other`, with the [`JoinError`] inside.
impl From<JoinError> for std::io::Error {
    fn from(error: JoinError) -> Self {
        Self::other(error)
    }
}
