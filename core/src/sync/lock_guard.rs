//! The guards of [`Mutex`](super::Mutex) and [`RwLock`](super::RwLock): a pointer to a value and the lease that says how long
//! it may be used.
//!
//! A lease holds permits of the lock's semaphore and gives them back when it is dropped; nothing else gives them out.
//! While it lives the value stays where it is: a borrowed lease borrows the lock, an owned one holds on to it. So all
//! unsafe code of guards is here, once, whatever the lock and however far a guard was narrowed down.

use super::semaphore::Semaphore;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Permits of a lock that the guard holds on to. Part of the names of owned guards.
pub struct OwnedLease<O> {
    /// Kept while the permits are.
    lock: Arc<O>,
    /// Finds the semaphore in it that the permits go back to.
    semaphore: fn(&O) -> &Semaphore,
    /// How many it gives back when it is dropped.
    permits: usize,
}

impl<O> OwnedLease<O> {
    /// The permits were taken.
    pub(super) fn new(lock: Arc<O>, semaphore: fn(&O) -> &Semaphore, permits: usize) -> Self {
        Self { lock, semaphore, permits }
    }

    /// Gives back permits until this number is left.
    pub(super) fn shrink_to(&mut self, permits: usize) {
        let rest = self.permits.saturating_sub(permits);
        self.permits -= rest;
        (self.semaphore)(&self.lock).add_permits(rest);
    }
}

impl<O> Drop for OwnedLease<O> {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// Marks a guard of all that the lock holds.
#[derive(Debug)]
pub enum Whole {}

/// Marks a guard that was narrowed down to a part: see [`ExclusiveGuard::map`].
#[derive(Debug)]
pub enum Part {}

/// The right to change a value: what [`MutexGuard`](super::MutexGuard), [`RwLockWriteGuard`](super::RwLockWriteGuard) and their
/// owned and mapped forms are. The lock is given back when it is dropped.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct ExclusiveGuard<L, T: ?Sized, P = Whole> {
    value: *mut T,
    pub(super) lease: L,
    part: PhantomData<P>,
}

// SAFETY: the guard is the one way to the value, so sending it sends the value; the lease goes along.
unsafe impl<L: Send, T: ?Sized + Send, P> Send for ExclusiveGuard<L, T, P> {}
// SAFETY: who shares the guard shares the value.
unsafe impl<L: Sync, T: ?Sized + Sync, P> Sync for ExclusiveGuard<L, T, P> {}

impl<L, T: ?Sized> ExclusiveGuard<L, T> {
    /// # Safety
    /// While the lease lives, the value stays where it is and is reached by this guard alone.
    pub(super) unsafe fn new(lease: L, value: *mut T) -> Self {
        Self { value, lease, part: PhantomData }
    }

    /// Turns into a guard for reading; `lease` makes the lease one that allows it.
    pub(super) fn into_shared<S>(self, lease: impl FnOnce(L) -> S) -> SharedGuard<S, T> {
        SharedGuard { value: self.value.cast_const(), lease: lease(self.lease) }
    }
}

impl<L, T: ?Sized, P> ExclusiveGuard<L, T, P> {
    /// Narrows the guard down to a part of the value. The lock stays held.
    ///
    /// # Panics
    /// If `project` does; the lock is given back.
    ///
    /// # Examples
    /// ```
    /// use posse::sync::{Mutex, MutexGuard};
    ///
    /// # posse::runtime::Runtime::new().unwrap().block_on(async {
    /// let pair = Mutex::new((1, "one"));
    /// let mut number = MutexGuard::map(pair.lock().await, |pair| &mut pair.0);
    /// *number += 1;
    /// drop(number);
    /// assert_eq!(*pair.lock().await, (2, "one"));
    /// # });
    /// ```
    pub fn map<U: ?Sized>(mut this: Self, project: impl FnOnce(&mut T) -> &mut U) -> ExclusiveGuard<L, U, Part> {
        let value: *mut U = project(&mut this);
        ExclusiveGuard { value, lease: this.lease, part: PhantomData }
    }

    /// As [`map`](Self::map), if there is such a part.
    ///
    /// # Errors
    /// The guard, if `project` returns `None`.
    ///
    /// # Panics
    /// If `project` does; the lock is given back.
    pub fn try_map<U: ?Sized>(
        mut this: Self,
        project: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<ExclusiveGuard<L, U, Part>, Self> {
        let value: Option<*mut U> = project(&mut this).map(std::ptr::from_mut);
        match value {
            Some(value) => Ok(ExclusiveGuard { value, lease: this.lease, part: PhantomData }),
            None => Err(this),
        }
    }
}

impl<L, T: ?Sized, P> Deref for ExclusiveGuard<L, T, P> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: by the contract of `new` the value is there and only this guard, borrowed here, reaches it.
        unsafe { &*self.value }
    }
}

impl<L, T: ?Sized, P> DerefMut for ExclusiveGuard<L, T, P> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed exclusively.
        unsafe { &mut *self.value }
    }
}

/// The right to read a value together with others: what [`RwLockReadGuard`](super::RwLockReadGuard) and
/// [`OwnedRwLockReadGuard`](super::OwnedRwLockReadGuard) are. Given back when it is dropped.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct SharedGuard<L, T: ?Sized> {
    value: *const T,
    lease: L,
}

// SAFETY: sending the guard lets another thread read the value beside this one's other guards; the lease goes along.
unsafe impl<L: Send, T: ?Sized + Sync> Send for SharedGuard<L, T> {}
// SAFETY: who shares the guard shares the value.
unsafe impl<L: Sync, T: ?Sized + Sync> Sync for SharedGuard<L, T> {}

impl<L, T: ?Sized> SharedGuard<L, T> {
    /// # Safety
    /// While the lease lives, the value stays where it is and is not changed.
    pub(super) unsafe fn new(lease: L, value: *const T) -> Self {
        Self { value, lease }
    }

    /// Narrows the guard down to a part of the value. The lock stays held.
    ///
    /// # Panics
    /// If `project` does; the lock is given back.
    pub fn map<U: ?Sized>(this: Self, project: impl FnOnce(&T) -> &U) -> SharedGuard<L, U> {
        let value: *const U = project(&this);
        SharedGuard { value, lease: this.lease }
    }

    /// As [`map`](Self::map), if there is such a part.
    ///
    /// # Errors
    /// The guard, if `project` returns `None`.
    ///
    /// # Panics
    /// If `project` does; the lock is given back.
    pub fn try_map<U: ?Sized>(this: Self, project: impl FnOnce(&T) -> Option<&U>) -> Result<SharedGuard<L, U>, Self> {
        let value: Option<*const U> = project(&this).map(std::ptr::from_ref);
        match value {
            Some(value) => Ok(SharedGuard { value, lease: this.lease }),
            None => Err(this),
        }
    }
}

impl<L, T: ?Sized> Deref for SharedGuard<L, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: by the contract of `new` the value is there and is not changed while the lease lives.
        unsafe { &*self.value }
    }
}

impl<L, T: ?Sized + fmt::Debug, P> fmt::Debug for ExclusiveGuard<L, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<L, T: ?Sized + fmt::Display, P> fmt::Display for ExclusiveGuard<L, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<L, T: ?Sized + fmt::Debug> fmt::Debug for SharedGuard<L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<L, T: ?Sized + fmt::Display> fmt::Display for SharedGuard<L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<O> fmt::Debug for OwnedLease<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedLease").field("permits", &self.permits).finish_non_exhaustive()
    }
}
