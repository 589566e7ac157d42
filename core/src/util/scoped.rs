//! A thread-local value for the length of a scope: set at its beginning, restored at its end, also by a panic.
//!
//! The guards of each poll (the running task, the budget) are written out where they are: they are the hot path, and keep
//! no reference to their key.

use std::cell::Cell;
use std::thread::LocalKey;

/// Restores the value that the thread-local had before, when it is dropped. Guards are dropped in reverse order.
#[derive(Debug)]
#[must_use]
pub(crate) struct Scoped<T: Copy + 'static> {
    key: &'static LocalKey<Cell<T>>,
    prev: T,
}

impl<T: Copy + 'static> Scoped<T> {
    /// Gives the thread-local a value until the guard is dropped.
    pub(crate) fn set(key: &'static LocalKey<Cell<T>>, value: T) -> Self {
        Self { key, prev: key.replace(value) }
    }
}

impl<T: Copy + 'static> Drop for Scoped<T> {
    fn drop(&mut self) {
        self.key.set(self.prev);
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests;
