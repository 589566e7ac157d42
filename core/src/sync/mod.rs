//! Synchronisation between tasks: channels, permits, locks, signals. All of it takes part in the cooperative budget.
//!
//! Each primitive is a small state behind a lock that is held for a few instructions, never across a wake, an await or
//! a drop of user data. Waiters are served in the order they came.

mod barrier;
mod blocking;
mod cancel;
#[cfg(all(test, not(posse_loom)))]
mod cancel_tests;
#[cfg(all(test, not(posse_loom)))]
mod channel_tests;
#[cfg(all(test, not(posse_loom)))]
mod clone_tests;
mod lock_guard;
#[cfg(all(test, not(posse_loom)))]
mod lock_tests;
mod mutex;
mod notify;
mod once_cell;
mod permit;
mod rwlock;
mod semaphore;
mod set_once;
#[cfg(all(test, not(posse_loom)))]
mod tests;
#[cfg(all(test, not(posse_loom)))]
mod value_tests;
#[cfg(all(test, not(posse_loom)))]
mod waiting_tests;

pub mod broadcast;
pub mod mpsc;
pub mod oneshot;
/// The futures that have a name.
pub mod futures {
    pub use super::notify::{Notified, OwnedNotified};
}
pub mod watch;

#[doc(hidden)]
pub use crate::wait_list;

pub use barrier::{Barrier, BarrierWaitResult};
pub use cancel::{CancellationToken, Cancelled, DropGuard};
pub use lock_guard::{ExclusiveGuard, OwnedLease, Part, SharedGuard, Whole};
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard, TryLockError};
pub use notify::Notify;
pub use once_cell::{OnceCell, SetError};
pub use permit::{OwnedSemaphorePermit, SemaphorePermit};
pub use rwlock::{
    OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockMappedWriteGuard,
    RwLockReadGuard, RwLockWriteGuard, Write,
};
pub use semaphore::{AcquireError, Semaphore, TryAcquireError};
pub use set_once::{SetOnce, SetOnceError};
