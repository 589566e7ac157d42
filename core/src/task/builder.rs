//! A task with a name.

use super::JoinHandle;
use crate::runtime::{Handle, NoSuchWorker};
use crate::scheduler::owned::Origin;
use std::future::Future;
use std::sync::Arc;

/// Starts tasks with a name, by which [`Handle::tasks`] and the watchdog know them.
///
/// There is no priority to set: workers would look at a second queue in every step, and one that is always served first can keep the
/// others out for ever. What must not wait can have a worker to itself ([`spawn_pinned`](Self::spawn_pinned)), or a runtime with threads of its own.
///
/// # Examples
/// ```
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let task = posse::task::Builder::new().name("sum").spawn(async { 1 + 2 });
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

    /// Starts the task on one worker of the current runtime, counted from 0, and keeps it there: no other worker ever polls it, so what it uses stays in the cache of
    /// one processor, and two tasks of one worker never run at the same time.
    ///
    /// The price: whatever else that worker does, the task waits for it. If another task blocks the worker, the watchdog moves what else waits there to other
    /// workers, and this task waits. A task that calls [`block_in_place`](super::block_in_place) gives its worker, with all that is pinned to
    /// it, to another thread. A current-thread runtime has the one worker 0, and a simulated runtime has workers as well.
    ///
    /// # Errors
    /// [`NoSuchWorker`] if the runtime has no worker of this index; [`Handle::workers`] says how many there are. The future is dropped.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// use posse::runtime::{Builder, Handle};
    /// use posse::task;
    ///
    /// let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
    /// runtime.block_on(async {
    ///     let shards: Vec<_> = (0..Handle::current().workers())
    ///         .map(|worker| task::Builder::new().name("shard").spawn_pinned(worker, async move { worker }).unwrap())
    ///         .collect();
    ///     for (worker, shard) in shards.into_iter().enumerate() {
    ///         assert_eq!(shard.await.unwrap(), worker);
    ///     }
    ///     assert!(task::Builder::new().spawn_pinned(2, async {}).is_err());
    /// });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn spawn_pinned<F>(self, worker: usize, future: F) -> Result<JoinHandle<F::Output>, NoSuchWorker>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let origin = Origin { name: self.name.as_ref(), ..Origin::here() };
        Handle::current().spawn_pinned_from(worker, future, origin)
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
