//! The inbox of one worker: the tasks that are pinned to it. No other worker takes from here, and the watchdog does not either.

use crate::loom::sync::Mutex;
use crate::loom::sync::atomic::{AtomicUsize, Ordering};
use std::collections::VecDeque;

/// A queue that every thread may push to and one worker empties; the last worker of a runtime empties what is left. Each
/// task is in it at most once, so it holds no more than there are pinned tasks.
///
/// A push is followed by an `unpark` of the worker, which looks here before it parks. One that has looked too early finds the token.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    /// How many there are; written under the lock. A worker that reads too few misses none: see above.
    len: AtomicUsize,
    tasks: Mutex<VecDeque<T>>,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        Self { len: AtomicUsize::new(0), tasks: Mutex::new(VecDeque::new()) }
    }

    pub(crate) fn push(&self, task: T) {
        let mut tasks = self.tasks.lock();
        tasks.push_back(task);
        self.len.store(tasks.len(), Ordering::Relaxed);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut tasks = self.tasks.lock();
        let task = tasks.pop_front();
        self.len.store(tasks.len(), Ordering::Relaxed);
        task
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }
}
