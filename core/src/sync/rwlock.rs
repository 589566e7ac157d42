//! A lock for many readers or one writer that may be held across an await.
//!
//! A semaphore says who may touch the value: a reader holds one permit, a writer all of them. Permits are handed out in the
//! order they were asked for, so neither readers nor writers starve: who asks to read waits for a writer that asked before.

use super::lock_guard::{ExclusiveGuard, OwnedLease, Part, SharedGuard};
use super::mutex::TryLockError;
use super::permit::SemaphorePermit;
use super::semaphore::Semaphore;
use crate::loom::cell::UnsafeCell;
use crate::loom::const_unless_loom;
use crate::raw_task::wait_kind::WaitKind;
use std::fmt;
use std::sync::Arc;

/// Readers at a time, unless [`RwLock::with_max_readers`] says otherwise; far more than there is memory for.
const READERS_MAX: usize = u32::MAX as usize >> 3;

/// A value that many tasks may read at a time, or one may change; tasks get it in the order they asked.
///
/// A task that holds it for reading and asks to read again may wait for a writer in between, and so for ever.
///
/// # Examples
/// ```
/// use posse::sync::RwLock;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let total = RwLock::new(1);
/// {
///     let (one, another) = (total.read().await, total.read().await);
///     assert_eq!(*one + *another, 2);
/// }
/// *total.write().await += 1;
/// assert_eq!(*total.read().await, 2);
/// # });
/// ```
pub struct RwLock<T: ?Sized> {
    semaphore: Semaphore,
    readers_max: usize,
    /// Read by who holds a permit, changed by who holds all, and by who owns the lock.
    value: UnsafeCell<T>,
}

// SAFETY: the lock owns its value, and nothing in it is tied to a thread.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: those who share the lock read the value together (`Sync`), or one of them has it for itself (`Send`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

/// Marks the lease of a writer, who holds all permits.
#[derive(Debug)]
pub struct Write<L>(L);

/// The right to read the value of an [`RwLock`]; given back when dropped.
pub type RwLockReadGuard<'a, T> = SharedGuard<SemaphorePermit<'a>, T>;

/// As [`RwLockReadGuard`], holding on to the lock. `U` is the value, or the part that the guard was narrowed down to.
pub type OwnedRwLockReadGuard<T, U = T> = SharedGuard<OwnedLease<RwLock<T>>, U>;

/// The right to change the value of an [`RwLock`]; given back when dropped.
pub type RwLockWriteGuard<'a, T> = ExclusiveGuard<Write<SemaphorePermit<'a>>, T>;

/// An [`RwLockWriteGuard`] of a part of the value; see [`ExclusiveGuard::map`].
pub type RwLockMappedWriteGuard<'a, T> = ExclusiveGuard<Write<SemaphorePermit<'a>>, T, Part>;

/// As [`RwLockWriteGuard`], holding on to the lock.
pub type OwnedRwLockWriteGuard<T> = ExclusiveGuard<Write<OwnedLease<RwLock<T>>>, T>;

/// An [`OwnedRwLockWriteGuard`] of a part of the value; see [`ExclusiveGuard::map`].
pub type OwnedRwLockMappedWriteGuard<T, U> = ExclusiveGuard<Write<OwnedLease<RwLock<T>>>, U, Part>;

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Turns into a guard for reading; no other writer gets in between.
    ///
    /// A guard that was narrowed down to a part has no such method: others would read around the part, and change it if the
    /// value allows that, as a cell does.
    ///
    /// # Examples
    /// ```
    /// use posse::sync::RwLock;
    ///
    /// # posse::runtime::Runtime::new().unwrap().block_on(async {
    /// let total = RwLock::new(1);
    /// let mut writing = total.write().await;
    /// *writing += 1;
    /// let reading = writing.downgrade();
    /// assert_eq!((*reading, *total.read().await), (2, 2));
    /// # });
    /// ```
    ///
    /// ```compile_fail
    /// # use posse::sync::{RwLock, RwLockWriteGuard};
    /// # posse::runtime::Runtime::new().unwrap().block_on(async {
    /// let pair = RwLock::new((1, 2));
    /// let first = RwLockWriteGuard::map(pair.write().await, |pair| &mut pair.0);
    /// let reading = RwLockWriteGuard::downgrade(first);
    /// # });
    /// ```
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        self.into_shared(|Write(mut permit)| {
            permit.shrink_to(1);
            permit
        })
    }
}

impl<T> OwnedRwLockWriteGuard<T> {
    /// Turns into a guard for reading; no other writer gets in between.
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        self.into_shared(|Write(mut lease)| {
            lease.shrink_to(1);
            lease
        })
    }
}

impl<T> RwLock<T> {
    const_unless_loom! {
        /// A lock around a value.
        #[doc(alias = "const_new")]
        pub fn new(value: T) -> Self {
            Self::with_max_readers(value, READERS_MAX)
        }
    }

    const_unless_loom! {
        /// A lock that up to `readers` may read at a time, at least one.
        pub fn with_max_readers(value: T, readers: usize) -> Self {
            let readers_max = if readers == 0 { 1 } else { readers };
            Self { semaphore: Semaphore::new(readers_max), readers_max, value: UnsafeCell::new(value) }
        }
    }

    /// Waits until it may read; the guard holds on to the lock.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn read_owned(self: Arc<Self>) -> OwnedRwLockReadGuard<T> {
        let _ = self.semaphore.wait(1, WaitKind::RwLock).await;
        self.owned_reader()
    }

    /// Waits until it may write; the guard holds on to the lock.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn write_owned(self: Arc<Self>) -> OwnedRwLockWriteGuard<T> {
        let _ = self.semaphore.wait(self.readers_max, WaitKind::RwLock).await;
        self.owned_writer()
    }

    /// Reads if no task writes or waits to; the guard holds on to the lock.
    ///
    /// # Errors
    /// [`TryLockError`].
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        self.semaphore.try_take(1).map_err(|_| TryLockError)?;
        Ok(self.owned_reader())
    }

    /// Writes if no task reads, writes or waits to; the guard holds on to the lock.
    ///
    /// # Errors
    /// [`TryLockError`].
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        self.semaphore.try_take(self.readers_max).map_err(|_| TryLockError)?;
        Ok(self.owned_writer())
    }

    /// One permit was taken.
    fn owned_reader(self: Arc<Self>) -> OwnedRwLockReadGuard<T> {
        let value = self.value.with(|value| value);
        let lease = OwnedLease::new(self, |lock| &lock.semaphore, 1);
        // SAFETY: the lease holds a permit, so no task writes, and the lock, in which the value lies.
        unsafe { SharedGuard::new(lease, value) }
    }

    /// All permits were taken.
    fn owned_writer(self: Arc<Self>) -> OwnedRwLockWriteGuard<T> {
        let value = self.value.with_mut(|value| value);
        let permits = self.readers_max;
        let lease = Write(OwnedLease::new(self, |lock| &lock.semaphore, permits));
        // SAFETY: the lease holds all permits, and the lock, in which the value lies.
        unsafe { ExclusiveGuard::new(lease, value) }
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until it may read: until no task writes that asked before.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn read(&self) -> RwLockReadGuard<'_, T> {
        // The semaphore is never closed.
        let _ = self.semaphore.wait(1, WaitKind::RwLock).await;
        self.reader()
    }

    /// Waits until it may write: until no task reads or writes that asked before.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line.
    pub async fn write(&self) -> RwLockWriteGuard<'_, T> {
        let _ = self.semaphore.wait(self.readers_max, WaitKind::RwLock).await;
        self.writer()
    }

    /// Reads if no task writes or waits to.
    ///
    /// # Errors
    /// [`TryLockError`].
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        self.semaphore.try_take(1).map_err(|_| TryLockError)?;
        Ok(self.reader())
    }

    /// Writes if no task reads, writes or waits to.
    ///
    /// # Errors
    /// [`TryLockError`].
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        self.semaphore.try_take(self.readers_max).map_err(|_| TryLockError)?;
        Ok(self.writer())
    }

    /// Waits until it may read, on a thread that may block.
    ///
    /// # Panics
    /// On a thread that drives a runtime: in a task, use [`read`](Self::read).
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        super::blocking::block_on(self.read())
    }

    /// Waits until it may write, on a thread that may block.
    ///
    /// # Panics
    /// On a thread that drives a runtime: in a task, use [`write`](Self::write).
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        super::blocking::block_on(self.write())
    }

    /// Returns the value of a lock that is borrowed exclusively: no guard of it exists.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: a guard borrows the lock or holds on to it, so there is none.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// One permit was taken.
    fn reader(&self) -> RwLockReadGuard<'_, T> {
        let value = self.value.with(|value| value);
        // SAFETY: the lease holds a permit, so no task writes, and borrows the lock, in which the value lies.
        unsafe { SharedGuard::new(self.semaphore.permit(1), value) }
    }

    /// All permits were taken.
    fn writer(&self) -> RwLockWriteGuard<'_, T> {
        let value = self.value.with_mut(|value| value);
        let lease = Write(self.semaphore.permit(self.readers_max));
        // SAFETY: the lease holds all permits, and borrows the lock, in which the value lies.
        unsafe { ExclusiveGuard::new(lease, value) }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("RwLock");
        match self.try_read() {
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

    /// A reader and a writer want the lock; loom watches that they do not reach the value at once.
    #[test]
    fn loom_a_writer_and_a_reader_are_kept_apart() {
        loom::model(|| {
            let lock = Arc::new(RwLock::with_max_readers(0, 2));
            let other = {
                let lock = lock.clone();
                loom::thread::spawn(move || {
                    let Ok(mut value) = lock.try_write() else { return 0 };
                    *value += 1;
                    1
                })
            };
            let (wakes, waker) = counting_waker();
            let mut reading = pin!(lock.read());
            let first = poll_with(reading.as_mut(), &waker);
            let pending = first.is_pending();
            let seen = if let Poll::Ready(value) = first { Some(*value) } else { None };
            let added = other.join().unwrap();
            if pending {
                assert_eq!(wakes.count(), 1);
                let Poll::Ready(value) = poll_with(reading, &waker) else { panic!("it waits for ever") };
                assert_eq!(*value, 1);
            } else {
                assert!(seen.is_some_and(|seen| seen <= added));
            }
            assert_eq!(*lock.try_write().unwrap(), added);
        });
    }

    /// A writer becomes a reader while another one waits to read: that one reads what was written.
    #[test]
    fn loom_a_downgrade_lets_readers_in_and_shows_what_was_written() {
        loom::model(|| {
            let lock = std::sync::Arc::new(RwLock::with_max_readers(0, 2));
            let mut writer = lock.clone().try_write_owned().unwrap();
            let other = loom::thread::spawn(move || {
                *writer = 1;
                let reader = writer.downgrade();
                assert_eq!(*reader, 1);
            });
            let (wakes, waker) = counting_waker();
            let mut reading = pin!(lock.read());
            let first = poll_with(reading.as_mut(), &waker);
            let pending = first.is_pending();
            if let Poll::Ready(value) = first {
                assert_eq!(*value, 1);
            }
            other.join().unwrap();
            if pending {
                assert_eq!(wakes.count(), 1);
                let Poll::Ready(value) = poll_with(reading, &waker) else { panic!("it waits for ever") };
                assert_eq!(*value, 1);
            }
        });
    }
}
