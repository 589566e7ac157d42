//! Counts tasks, so that a program can wait until all of them have ended. It keeps none of their outputs.

use super::JoinHandle;
use crate::loom::sync::Mutex;
use crate::raw_task::wait_kind::WaitKind;
use crate::runtime::Handle;
use crate::wait_set::WaitSet;
use std::future::Future;
use std::sync::Arc;

/// Counts the tasks it has started; [`wait`](Self::wait) ends when it was closed and they have ended. Clones count together.
///
/// With a [`CancellationToken`](crate::sync::CancellationToken) it ends a program well: cancel, close, wait.
///
/// # Examples
/// ```
/// use posse::sync::CancellationToken;
/// use posse::task::TaskTracker;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
/// for _ in 0..10 {
///     let stop = stop.clone();
///     tracker.spawn(async move { stop.cancelled().await });
/// }
/// stop.cancel();
/// tracker.close();
/// tracker.wait().await;
/// assert!(tracker.is_empty());
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct TaskTracker {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    ended: WaitSet,
}

#[derive(Debug, Default)]
struct State {
    tasks: usize,
    closed: bool,
}

impl Shared {
    fn is_ended(&self) -> bool {
        let state = self.state.lock();
        state.closed && state.tasks == 0
    }
}

impl TaskTracker {
    /// A tracker without tasks, open.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task on the current runtime, and counts it until it has ended.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(future, &Handle::current())
    }

    /// Starts a task on a given runtime, and counts it until it has ended.
    #[track_caller]
    pub fn spawn_on<F>(&self, future: F, handle: &Handle) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        handle.spawn(self.track_future(future))
    }

    /// Runs a closure that may block, and counts it until it has ended.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn_blocking<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let token = self.token();
        super::spawn_blocking(move || {
            let _token = token;
            f()
        })
    }

    /// Counts a future until it is ready or dropped.
    ///
    /// # Cancel safety
    /// As the future.
    pub fn track_future<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let token = self.token();
        async move {
            let _token = token;
            future.await
        }
    }

    /// Counts as one task until the token is dropped.
    pub fn token(&self) -> TaskTrackerToken {
        self.shared.state.lock().tasks += 1;
        TaskTrackerToken { shared: self.shared.clone() }
    }

    /// Waits until it is closed and no task is left.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn wait(&self) {
        self.shared.ended.until(WaitKind::Tasks, || self.shared.is_ended().then_some(())).await;
    }

    /// Lets [`wait`](Self::wait) end once no task is left. Tasks may still be started. True if it was open.
    pub fn close(&self) -> bool {
        let was_closed = std::mem::replace(&mut self.shared.state.lock().closed, true);
        if !was_closed {
            self.shared.ended.wake_all();
        }
        !was_closed
    }

    /// Undoes [`close`](Self::close). True if it was closed.
    pub fn reopen(&self) -> bool {
        std::mem::replace(&mut self.shared.state.lock().closed, false)
    }

    /// Returns true if it is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().closed
    }

    /// Returns how many tasks have not ended.
    pub fn len(&self) -> usize {
        self.shared.state.lock().tasks
    }

    /// Returns true if all tasks have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Counts as a task of a [`TaskTracker`] until it is dropped.
#[derive(Debug)]
#[must_use = "it counts until it is dropped"]
pub struct TaskTrackerToken {
    shared: Arc<Shared>,
}

impl Clone for TaskTrackerToken {
    fn clone(&self) -> Self {
        self.shared.state.lock().tasks += 1;
        Self { shared: self.shared.clone() }
    }
}

impl Drop for TaskTrackerToken {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.tasks -= 1;
        let is_last = state.tasks == 0;
        drop(state);
        if is_last {
            self.shared.ended.wake_all();
        }
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};
    use std::pin::pin;

    /// The last task ends while the tracker is closed and a waiter comes: it sees the end or is woken.
    #[test]
    fn loom_who_waits_hears_of_the_last_task_and_of_the_close() {
        loom::model(|| {
            let tracker = TaskTracker::new();
            let token = tracker.token();
            let ending = loom::thread::spawn(move || drop(token));
            let closing = {
                let tracker = tracker.clone();
                loom::thread::spawn(move || tracker.close())
            };
            let (wakes, waker) = counting_waker();
            let mut waiting = pin!(tracker.wait());
            let mut woken = 0;
            let mut ready = poll_with(waiting.as_mut(), &waker).is_ready();
            ending.join().unwrap();
            assert!(closing.join().unwrap());
            // Woken by the one, it may have to wait for the other: both are over now.
            while !ready {
                assert!(wakes.count() > woken, "it waits for ever");
                woken = wakes.count();
                ready = poll_with(waiting.as_mut(), &waker).is_ready();
            }
            assert!(tracker.is_empty() && tracker.is_closed());
        });
    }
}
