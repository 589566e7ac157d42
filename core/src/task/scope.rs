//! Structured concurrency: tasks that do not outlive the scope they were started in.

use super::{JoinError, JoinSet};
use crate::sync::CancellationToken;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// Owns tasks: their outputs, their end, and the token that asks them to end. Nothing that was started in it outlives it unseen:
/// [`shutdown`](Self::shutdown) asks first and uses force after a grace; dropping the scope asks and uses force at once.
///
/// It is a [`JoinSet`] with a [`CancellationToken`]. A child scope made with the same token, by [`with_token`](Self::with_token), is
/// asked together with this one.
///
/// # Why its tasks cannot borrow
/// They are `'static`, as all tasks are: a scope lends them nothing of the code around it. A scope of threads may, because
/// [`std::thread::scope`] does not return before they have ended. A future has no such moment: its owner may leave it with
/// [`std::mem::forget`], which is safe, and then neither its destructor nor its next line is ever run, while its tasks go on, on other
/// threads, with what they had borrowed. (std's own first scope of threads was unsound for that reason.) What tasks share is in an `Arc`, or
/// is moved into them and comes back as their output. Futures that may borrow are polled by one task: [`join!`](crate::join).
///
/// # Examples
/// ```
/// use posse::task::TaskScope;
/// use std::time::Duration;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut scope = TaskScope::new();
/// for n in 0..3 {
///     scope.spawn(move |stop| async move {
///         stop.cancelled().await;
///         n
///     });
/// }
/// let ended = scope.shutdown(Duration::from_secs(5)).await;
/// assert_eq!((ended.outputs.len(), ended.aborted), (3, 0));
/// # });
/// ```
pub struct TaskScope<T> {
    stop: CancellationToken,
    tasks: JoinSet<T>,
}

/// How the tasks of a scope ended; see [`TaskScope::shutdown`].
#[derive(Debug)]
pub struct ScopeEnd<T> {
    /// What tasks returned that were not joined before, in the order they ended.
    pub outputs: Vec<T>,
    /// Tasks that panicked, or that were aborted by another handle.
    pub errors: Vec<JoinError>,
    /// How many tasks did not end within the grace and were aborted.
    pub aborted: usize,
}

impl<T> ScopeEnd<T> {
    fn new() -> Self {
        Self { outputs: Vec::new(), errors: Vec::new(), aborted: 0 }
    }
}

impl<T> fmt::Debug for TaskScope<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskScope").field("stop", &self.stop).field("tasks", &self.tasks).finish()
    }
}

impl<T> Drop for TaskScope<T> {
    fn drop(&mut self) {
        // The set aborts the tasks.
        self.stop.cancel();
    }
}

impl<T: Send + 'static> TaskScope<T> {
    /// A scope without tasks, with a token of its own.
    pub fn new() -> Self {
        Self::with_token(&CancellationToken::new())
    }

    /// A scope whose tasks are asked to end when this token is cancelled, too.
    pub fn with_token(parent: &CancellationToken) -> Self {
        Self { stop: parent.child_token(), tasks: JoinSet::new() }
    }

    /// Starts a task on the current runtime. `task` gets the token that is cancelled when the task is to end.
    ///
    /// # Panics
    /// Outside of a runtime, and if `task` does.
    #[track_caller]
    pub fn spawn<F>(&mut self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let future = task(self.stop.child_token());
        self.tasks.spawn(future);
    }

    /// Waits for the next task to end; `None` if there is none.
    ///
    /// # Errors
    /// [`JoinError`] if the task panicked or was aborted.
    ///
    /// # Cancel safety
    /// No output is lost by dropping the future.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.tasks.join_next().await
    }

    /// Returns the token that asks the tasks to end.
    pub fn token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Returns how many tasks were not joined yet.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Returns true if all tasks were joined.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits for all tasks. At the first that fails the others are ended, as by [`shutdown`](Self::shutdown) with this grace.
    ///
    /// # Errors
    /// The [`JoinError`] of the task that failed first.
    ///
    /// # Cancel safety
    /// Dropping the future drops the scope, which aborts the tasks.
    pub async fn join_all(mut self, grace: Duration) -> Result<Vec<T>, JoinError> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(joined) = self.join_next().await {
            match joined {
                Ok(output) => outputs.push(output),
                Err(error) => {
                    self.shutdown(grace).await;
                    return Err(error);
                }
            }
        }
        Ok(outputs)
    }

    /// Ends all tasks: cancels the token, waits for so long, aborts those that are left, and waits for them. When this returns, no task
    /// of the scope runs. A task that blocks its thread cannot be aborted; it is waited for.
    ///
    /// # Panics
    /// Outside of a runtime, which has the clock.
    ///
    /// # Cancel safety
    /// Dropping the future drops the scope, which aborts the tasks.
    pub async fn shutdown(mut self, grace: Duration) -> ScopeEnd<T> {
        self.stop.cancel();
        let mut end = ScopeEnd::new();
        let gracefully = crate::time::timeout(grace, self.collect(&mut end)).await;
        if gracefully.is_err() {
            self.tasks.abort_all();
            let mut forced = ScopeEnd::new();
            self.collect(&mut forced).await;
            // One that ended by itself just now was not aborted.
            let (aborted, failed): (Vec<_>, Vec<_>) = forced.errors.into_iter().partition(JoinError::is_cancelled);
            end.aborted = aborted.len();
            end.errors.extend(failed);
            end.outputs.extend(forced.outputs);
        }
        end
    }

    async fn collect(&mut self, end: &mut ScopeEnd<T>) {
        while let Some(joined) = self.tasks.join_next().await {
            match joined {
                Ok(output) => end.outputs.push(output),
                Err(error) => end.errors.push(error),
            }
        }
    }
}

impl<T: Send + 'static> Default for TaskScope<T> {
    fn default() -> Self {
        Self::new()
    }
}
