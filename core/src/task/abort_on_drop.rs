//! A join handle that aborts its task when it is dropped.

use super::{AbortHandle, Id, JoinError, JoinHandle};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A [`JoinHandle`] that aborts its task when it is dropped, instead of detaching it.
///
/// # Cancel safety
/// Awaiting `&mut handle` can be dropped and repeated; the output is not lost.
///
/// # Examples
/// ```
/// use posse::task::{self, AbortOnDropHandle};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let task = AbortOnDropHandle::new(task::spawn(async { 5 }));
/// assert_eq!(task.await.unwrap(), 5);
/// # });
/// ```
#[derive(Debug)]
#[must_use = "dropping it aborts the task"]
pub struct AbortOnDropHandle<T> {
    /// Present until it is detached.
    handle: Option<JoinHandle<T>>,
    abort: AbortHandle,
}

impl<T> AbortOnDropHandle<T> {
    /// Takes over a handle.
    pub fn new(handle: JoinHandle<T>) -> Self {
        let abort = handle.abort_handle();
        Self { handle: Some(handle), abort }
    }

    /// Aborts the task; see [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.abort.abort();
    }

    /// Returns a handle that can only abort the task.
    pub fn abort_handle(&self) -> AbortHandle {
        self.abort.clone()
    }

    /// Returns true once the task has completed, panicked or been cancelled.
    pub fn is_finished(&self) -> bool {
        self.abort.is_finished()
    }

    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        self.abort.id()
    }

    /// Returns the handle, which no longer aborts the task when it is dropped.
    pub fn detach(mut self) -> JoinHandle<T> {
        self.handle.take().expect("invariant: present until it is detached")
    }
}

impl<T> Future for AbortOnDropHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let handle = self.handle.as_mut().expect("invariant: present until it is detached");
        Pin::new(handle).poll(cx)
    }
}

impl<T> Drop for AbortOnDropHandle<T> {
    fn drop(&mut self) {
        if self.handle.is_some() {
            self.abort.abort();
        }
    }
}
