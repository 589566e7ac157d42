//! Synchronisation between tasks: channels, permits, locks, signals. All of it takes part in the cooperative budget.
//!
//! Each primitive is a small state behind a lock that is held for a few instructions, never across a wake, an await or
//! a drop of user data. Waiters are served in the order they came.

mod barrier;
mod blocking;
mod cancel;
mod mutex;
mod notify;
mod once_cell;
mod semaphore;
mod set_once;
#[cfg(all(test, not(posse_loom)))]
mod tests;
#[cfg(all(test, not(posse_loom)))]
mod value_tests;
mod wait_set;
#[cfg(all(test, not(posse_loom)))]
mod waiting_tests;

pub mod broadcast;
pub mod mpsc;
pub mod oneshot;
#[doc(hidden)]
pub mod wait_list;
pub mod watch;

pub use barrier::{Barrier, BarrierWaitResult};
pub use cancel::{CancellationToken, Cancelled, DropGuard};
pub use mutex::{Mutex, MutexGuard, OwnedMutexGuard, TryLockError};
pub use notify::{Notified, Notify};
pub use once_cell::{OnceCell, SetError};
pub use semaphore::{AcquireError, OwnedPermit, Permit, Semaphore, TryAcquireError};
pub use set_once::{SetOnce, SetOnceError};
