//! A task with a name.

use super::JoinHandle;
use crate::runtime::Handle;
use crate::scheduler::owned::Origin;
use std::future::Future;
use std::sync::Arc;

/// Starts tasks with a name, by which [`Handle::tasks`] and the watchdog know them.
///
/// # Examples
/// ```
/// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
/// let task = posse_core::task::Builder::new().name("sum").spawn(async { 1 + 2 });
/// assert_eq!(task.await.unwrap(), 3);
/// # });
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts no task before `spawn`"]
pub struct Builder {
    name: Option<Arc<str>>,
}

impl Builder {
    /// A task without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name. It need not be the only task of this name. Default: none.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Starts the task on the current runtime; see [`task::spawn`](super::spawn).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(future, &Handle::current())
    }

    /// Starts the task on the given runtime.
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        handle.clone().spawn_from(future, Origin { name: self.name.as_ref(), ..Origin::here() })
    }
}
