//! Tasks under keys: awaited in the order they end, aborted one by one or together.

use super::join_set::Joined;
use super::{AbortHandle, JoinError, JoinSet};
use crate::runtime::Handle;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;

/// Tasks with outputs of one type, each under a key. Dropping the map aborts them all.
///
/// # Examples
/// ```
/// use posse::task::JoinMap;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut tasks = JoinMap::new();
/// tasks.spawn("answer", async { 42 });
/// tasks.spawn("never", std::future::pending());
/// assert!(tasks.abort(&"never"));
/// let mut ended = vec![tasks.join_next().await.unwrap(), tasks.join_next().await.unwrap()];
/// ended.sort_by_key(|(key, _)| *key);
/// assert!(matches!(ended[0], ("answer", Ok(42))));
/// assert!(ended[1].1.as_ref().is_err_and(|error| error.is_cancelled()));
/// # });
/// ```
pub struct JoinMap<K, V> {
    tasks: JoinSet<V>,
    handles: BTreeMap<Arc<K>, (u64, AbortHandle)>,
    /// By their numbers in the set: ids repeat among the tasks of several runtimes.
    keys: BTreeMap<u64, Arc<K>>,
}

impl<K: Ord, V: Send + 'static> JoinMap<K, V> {
    /// A map without tasks.
    pub fn new() -> Self {
        Self { tasks: JoinSet::new(), handles: BTreeMap::new(), keys: BTreeMap::new() }
    }

    /// Starts a task under a key, on the current runtime. One that is under that key already is aborted, and is not joined.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn(&mut self, key: K, future: impl Future<Output = V> + Send + 'static) {
        self.spawn_on(key, future, &Handle::current());
    }

    /// Starts a task under a key, on a given runtime; see [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_on(&mut self, key: K, future: impl Future<Output = V> + Send + 'static, handle: &Handle) {
        let member = self.tasks.insert(handle.spawn(future));
        self.insert(key, member);
    }

    /// Runs a closure that may block under a key; see [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn_blocking(&mut self, key: K, f: impl FnOnce() -> V + Send + 'static) {
        let member = self.tasks.insert(Handle::current().spawn_blocking(f));
        self.insert(key, member);
    }

    fn insert(&mut self, key: K, (member, task): (u64, AbortHandle)) {
        if let Some((_, (prev, task))) = self.handles.remove_entry(&key) {
            task.abort();
            self.keys.remove(&prev);
        }
        let key = Arc::new(key);
        self.keys.insert(member, key.clone());
        self.handles.insert(key, (member, task));
    }

    /// Waits for the next task to end, and returns its key and output; `None` if there is no task.
    ///
    /// # Cancel safety
    /// No output is lost by dropping the future.
    pub async fn join_next(&mut self) -> Option<(K, Result<V, JoinError>)> {
        loop {
            let Joined { member, output, .. } = poll_fn(|cx| self.tasks.poll_join_member(cx)).await?;
            if let Some(key) = self.remove_key(member) {
                return Some((key, output));
            }
        }
    }

    /// Joins a task that has ended, without waiting, and returns its key and output.
    pub fn try_join_next(&mut self) -> Option<(K, Result<V, JoinError>)> {
        loop {
            let Joined { member, output, .. } = self.tasks.take_ended()?;
            if let Some(key) = self.remove_key(member) {
                return Some((key, output));
            }
        }
    }

    /// The key of a task that was joined. `None` if another one took it.
    fn remove_key(&mut self, member: u64) -> Option<K> {
        let key = self.keys.remove(&member)?;
        self.handles.remove(&key);
        Arc::into_inner(key)
    }

    /// Aborts the task under a key. True if there is one.
    pub fn abort(&mut self, key: &K) -> bool {
        self.handles.get(key).map(|(_, task)| task.abort()).is_some()
    }

    /// Aborts the tasks whose keys satisfy `matches`.
    pub fn abort_matching(&mut self, mut matches: impl FnMut(&K) -> bool) {
        self.handles.iter().filter(|(key, _)| matches(key)).for_each(|(_, (_, task))| task.abort());
    }

    /// Aborts all tasks; they still are to be joined.
    pub fn abort_all(&mut self) {
        self.tasks.abort_all();
    }

    /// Lets all tasks run on by themselves, and forgets them.
    pub fn detach_all(&mut self) {
        self.tasks.detach_all();
        self.handles.clear();
        self.keys.clear();
    }

    /// Aborts all tasks and waits until they have ended.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the tasks aborted; call it again to wait.
    pub async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
        self.handles.clear();
        self.keys.clear();
    }

    /// Returns how many tasks were not joined yet.
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Returns true if all tasks were joined.
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// Returns true if a task under this key was not joined yet.
    pub fn contains_key(&self, key: &K) -> bool {
        self.handles.contains_key(key)
    }

    /// Returns the keys of the tasks that were not joined yet, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.handles.keys().map(|key| &**key)
    }
}

impl<K: Ord, V: Send + 'static> Default for JoinMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V> fmt::Debug for JoinMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handles.keys()).finish()
    }
}
