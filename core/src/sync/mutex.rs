//! A lock that may be held across an await. Prefer `std::sync::Mutex` for what is not.
//!
//! A semaphore with one permit says who may touch the value: a guard exists for each permit that was taken, and nothing
//! else adds permits. The value stays where it is, so it is there also when a guard was forgotten.

use super::lock_guard::{ExclusiveGuard, OwnedLease, Part};
use super::permit::SemaphorePermit;
use super::semaphore::Semaphore;
use crate::loom::cell::UnsafeCell;
use crate::loom::const_unless_loom;
use crate::raw_task::wait_kind::WaitKind;
use std::fmt;
use std::sync::Arc;

/// A value that one task at a time may use; tasks get it in the order they asked.
///
/// # Examples
/// ```
/// use posse::sync::Mutex;
///
/// static NAMES: Mutex<Vec<&str>> = Mutex::new(Vec::new());
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// NAMES.lock().await.push("ada");
/// assert_eq!(*NAMES.lock().await, ["ada"]);
/// # });
/// ```
pub struct Mutex<T: ?Sized> {
    semaphore: Semaphore,
    /// Touched by the one guard alone, and by who owns the lock.
    value: UnsafeCell<T>,
}

// SAFETY: the lock owns its value, and nothing in it is tied to a thread.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: of all who share the lock one at a time reaches the value, so it only moves between threads.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// The right to the value of a [`Mutex`]; given back when dropped.
pub type MutexGuard<'a, T> = ExclusiveGuard<SemaphorePermit<'a>, T>;

/// A [`MutexGuard`] of a part of the value; see [`ExclusiveGuard::map`].
pub type MappedMutexGuard<'a, T> = ExclusiveGuard<SemaphorePermit<'a>, T, Part>;

/// As [`MutexGuard`], holding on to the lock.
pub type OwnedMutexGuard<T> = ExclusiveGuard<OwnedLease<Mutex<T>>, T>;

/// An [`OwnedMutexGuard`] of a part of the value; see [`ExclusiveGuard::map`].
pub type OwnedMappedMutexGuard<T, U> = ExclusiveGuard<OwnedLease<Mutex<T>>, U, Part>;

/// Another task holds the lock, or waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryLockError;

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is held")
    }
}

impl std::error::Error for TryLockError {}

impl<T> Mutex<T> {
    const_unless_loom! {
        /// A lock around a value.
        #[doc(alias = "const_new")]
        pub fn new(value: T) -> Self {
            Self { semaphore: Semaphore::new(1), value: UnsafeCell::new(value) }
        }
    }

    /// Waits for the lock; the guard holds on to it.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        let _ = self.semaphore.wait(1, WaitKind::Mutex).await;
        self.owned_guard()
    }

    /// Takes the lock if it is free; the guard holds on to it.
    ///
    /// # Errors
    /// [`TryLockError`].
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        self.semaphore.try_take(1).map_err(|_| TryLockError)?;
        Ok(self.owned_guard())
    }

    /// Waits for the lock on a thread that may block; the guard holds on to it.
    ///
    /// # Panics
    /// On a thread that drives a runtime: in a task, use [`lock_owned`](Self::lock_owned).
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        super::blocking::block_on(self.lock_owned())
    }

    /// The permit was taken.
    fn owned_guard(self: Arc<Self>) -> OwnedMutexGuard<T> {
        let value = self.value.with_mut(|value| value);
        let lease = OwnedLease::new(self, |mutex| &mutex.semaphore, 1);
        // SAFETY: the lease holds the one permit, and the lock, in which the value lies.
        unsafe { ExclusiveGuard::new(lease, value) }
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        // The semaphore is never closed.
        let _ = self.semaphore.wait(1, WaitKind::Mutex).await;
        self.guard()
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`TryLockError`].
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        self.semaphore.try_take(1).map_err(|_| TryLockError)?;
        Ok(self.guard())
    }

    /// Waits for the lock on a thread that may block.
    ///
    /// # Panics
    /// On a thread that drives a runtime: in a task, use [`lock`](Self::lock).
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        super::blocking::block_on(self.lock())
    }

    /// Returns the value of a lock that is borrowed exclusively: no guard of it exists.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: a guard borrows the lock or holds on to it, so there is none.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// The permit was taken.
    fn guard(&self) -> MutexGuard<'_, T> {
        let value = self.value.with_mut(|value| value);
        // SAFETY: the lease holds the one permit, and borrows the lock, in which the value lies.
        unsafe { ExclusiveGuard::new(self.semaphore.permit(1), value) }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Mutex");
        match self.try_lock() {
            Ok(value) => f.field("value", &&*value).finish(),
            Err(TryLockError) => f.field("value", &format_args!("<locked>")).finish(),
        }
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};
    use loom::sync::Arc;
    use std::pin::pin;
    use std::task::Poll;

    /// Two want the lock, one of them by `try_lock`; loom watches that they do not reach the value at once.
    #[test]
    fn loom_one_at_a_time_reaches_the_value() {
        loom::model(|| {
            let mutex = Arc::new(Mutex::new(0));
            let other = {
                let mutex = mutex.clone();
                loom::thread::spawn(move || {
                    let Ok(mut value) = mutex.try_lock() else { return 0 };
                    *value += 1;
                    1
                })
            };
            let (wakes, waker) = counting_waker();
            let mut locking = pin!(mutex.lock());
            let first = poll_with(locking.as_mut(), &waker);
            let pending = first.is_pending();
            if let Poll::Ready(mut value) = first {
                *value += 1;
            }
            let added = other.join().unwrap();
            if pending {
                assert_eq!(wakes.count(), 1);
                let Poll::Ready(mut value) = poll_with(locking, &waker) else { panic!("it waits for ever") };
                *value += 1;
            }
            assert_eq!(*mutex.try_lock().unwrap(), 1 + added);
        });
    }

    /// A task that waits may be polled at any time, not only after a wake: it then has the lock, and sees what its previous
    /// holder wrote, or it waits on.
    #[test]
    fn loom_poll_without_a_wake_has_the_lock_or_waits_on() {
        loom::model(|| {
            let mutex = std::sync::Arc::new(Mutex::new(0));
            let (wakes, waker) = counting_waker();
            let Poll::Ready(mut holder) = poll_with(pin!(mutex.clone().lock_owned()), &waker) else {
                panic!("it is free")
            };
            let mut locking = pin!(mutex.lock());
            assert!(poll_with(locking.as_mut(), &waker).is_pending());
            let other = loom::thread::spawn(move || {
                *holder += 1;
                drop(holder);
            });

            let early = poll_with(locking.as_mut(), &waker);
            let is_early = early.is_ready();
            if let Poll::Ready(value) = early {
                assert_eq!(*value, 1);
            }
            other.join().unwrap();
            if !is_early {
                assert_eq!(wakes.count(), 1);
                let Poll::Ready(value) = poll_with(locking, &waker) else { panic!("it waits for ever") };
                assert_eq!(*value, 1);
            }
        });
    }
}
