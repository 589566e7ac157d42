//! A lock that may be held across an await. Prefer `std::sync::Mutex` for what is not.

use super::semaphore::Semaphore;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard as StdGuard};

/// A value that one task at a time may use; tasks get it in the order they asked.
///
/// # Examples
/// ```
/// use posse_core::sync::Mutex;
///
/// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
/// let total = Mutex::new(1);
/// *total.lock().await += 2;
/// assert_eq!(*total.lock().await, 3);
/// # });
/// ```
#[derive(Debug)]
pub struct Mutex<T> {
    turn: Semaphore,
    /// Moved out while somebody holds the lock. Never contended: the turn comes first.
    value: StdMutex<Option<Box<T>>>,
}

/// Somebody else holds the lock, or waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryLockError;

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is held")
    }
}

impl std::error::Error for TryLockError {}

impl<T> Mutex<T> {
    /// A lock around a value.
    pub fn new(value: T) -> Self {
        Self { turn: Semaphore::new(1), value: StdMutex::new(Some(Box::new(value))) }
    }

    /// Waits for the lock.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        // The semaphore is never closed.
        let _ = self.turn.wait(1).await;
        MutexGuard { mutex: self, value: self.take() }
    }

    /// Waits for the lock; the guard holds on to it.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        let _ = self.turn.wait(1).await;
        let value = self.take();
        OwnedMutexGuard { mutex: self, value }
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`TryLockError`].
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        self.turn.try_take(1).map_err(|_| TryLockError)?;
        Ok(MutexGuard { mutex: self, value: self.take() })
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        let value = self.value.into_inner().unwrap_or_else(|e| e.into_inner());
        *value.expect("invariant: present while nobody holds the lock")
    }

    fn take(&self) -> Option<Box<T>> {
        self.slot().take()
    }

    fn give_back(&self, value: Option<Box<T>>) {
        *self.slot() = value;
        self.turn.add_permits(1);
    }

    fn slot(&self) -> StdGuard<'_, Option<Box<T>>> {
        self.value.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The right to the value of a [`Mutex`]; given back when dropped.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    value: Option<Box<T>>,
}

/// As [`MutexGuard`], holding on to the lock.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct OwnedMutexGuard<T> {
    mutex: Arc<Mutex<T>>,
    value: Option<Box<T>>,
}

macro_rules! guard {
    ($guard:ty, $($generics:tt)*) => {
        impl<$($generics)*> Deref for $guard {
            type Target = T;

            fn deref(&self) -> &T {
                self.value.as_ref().expect("invariant: present until dropped")
            }
        }

        impl<$($generics)*> DerefMut for $guard {
            fn deref_mut(&mut self) -> &mut T {
                self.value.as_mut().expect("invariant: present until dropped")
            }
        }

        impl<$($generics)*> Drop for $guard {
            fn drop(&mut self) {
                let value = self.value.take();
                self.mutex.give_back(value);
            }
        }

        impl<$($generics)*> fmt::Debug for $guard
        where
            T: fmt::Debug,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

guard!(MutexGuard<'_, T>, T);
guard!(OwnedMutexGuard<T>, T);
