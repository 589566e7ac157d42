//! Tasks: futures that the runtime drives, and the handles to them.
//!
//! What a task is made of lies below, in `raw_task`. Here is who starts tasks on a runtime, alone, in sets and in scopes, and who tells of them.

mod abort_on_drop;
mod builder;
#[cfg(all(test, not(posse_loom)))]
mod group_tests;
mod join_map;
mod join_set;
mod local_key;
mod local_set;
#[cfg(all(test, not(posse_loom)))]
mod local_set_tests;
mod scope;
mod tracker;

/// The futures that have a name.
pub mod futures {
    pub use super::local_key::TaskLocalFuture;
}

pub use crate::raw_task::coop::{self, unconstrained};
pub use crate::raw_task::panic::{catch, panic_message};
#[doc(hidden)]
pub use crate::raw_task::yielding::poll_budget;
pub use crate::raw_task::yielding::{consume_budget, yield_now};
pub use crate::raw_task::{AbortHandle, Id, JoinError, JoinHandle, TaskState};
pub use crate::runtime::task_info::{TaskInfo, WaitsFor};
pub use abort_on_drop::AbortOnDropHandle;
pub use builder::Builder;
pub use join_map::JoinMap;
pub use join_set::JoinSet;
pub use local_key::{AccessError, LocalKey};
pub use local_set::{LocalEnterGuard, LocalSet, spawn_local};
pub use scope::{ScopeEnd, TaskScope};
pub use tracker::{TaskTracker, TaskTrackerToken};

use crate::context;
use crate::raw_task::current;
use crate::runtime::Handle;
use crate::scheduler::owned::Origin;
use std::future::Future;

/// Starts a task on the current runtime. It runs even if the handle is dropped.
///
/// # Panics
/// Outside of a runtime; see [`Handle::try_current`] for the version that does not.
///
/// # Examples
/// ```
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let answer = posse::task::spawn(async { 6 * 7 });
/// assert_eq!(answer.await.unwrap(), 42);
/// # });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match context::with_current(|handle| handle.cloned()) {
        Some(handle) => handle.spawn_from(future, Origin::here()),
        None => panic!("{}", crate::runtime::NoRuntime),
    }
}

/// Runs a closure that may block on a thread of the blocking pool.
///
/// Everything that takes longer than a few milliseconds without an `await` belongs here: long computations, files, locks
/// held for long, calls of libraries that wait. Inside a task it occupies a worker. If another worker is free, what
/// would have to wait for it does not: its tasks, timers and sockets are taken over within some 10 ms. But when *all*
/// workers are in such code nothing else of the runtime runs, timers and deadlines included, and on a current-thread
/// runtime, or with one worker, a single task is enough for that.
///
/// Aborting the handle keeps a closure that has not started from running; one that runs is not interrupted.
///
/// In a simulation the closure may wait by `blocking_*` and [`Handle::block_on`], in the simulation's time. If its machine ends
/// meanwhile it is unwound; one that waits again in a destructor, or catches that and goes on, is left where it is, as is its thread, of which
/// a process may have 1,024. Waiting by other means, such as a channel of std, stops the simulation for ever.
///
/// # Panics
/// Outside of a runtime.
///
/// # Examples
/// ```
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let sum = posse::task::spawn_blocking(|| (1..=1000u64).sum::<u64>());
/// assert_eq!(sum.await.unwrap(), 500_500);
/// # });
/// ```
#[track_caller]
pub fn spawn_blocking<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Handle::current().spawn_blocking(f)
}

/// Runs a closure that may block, here and now, while another thread goes on with the worker's other tasks.
///
/// For code inside of a task that blocks now and then and cannot be moved to [`spawn_blocking`], because it borrows, or awaits nothing. Unlike
/// there the task itself stands still meanwhile, and so does what it awaits beside: the other branches of a `join!` or a `select!`. The
/// closure may use [`Handle::block_on`]. It cannot be aborted; the end of the runtime does not wait for it.
///
/// - On a worker, what the worker has in hand goes to a thread of the blocking pool, which starts one if none waits, beside those that
///   its limit counts; only where 512 block in place at once does it wait for one. If the closure is quicker, it goes on as before; if not, the rest of the task's poll is on a thread that is no worker.
/// - In a `block_on` of a runtime with workers, in `spawn_blocking`, and outside of any runtime it only calls the closure. In the simulation too:
///   nothing else happens meanwhile.
/// - The budget is not spent by what the closure does, and is afterwards what it was; the current runtime, the task's id and task-locals are
///   the task's.
///
/// # Panics
/// On a thread that drives a current-thread runtime, as Tokio's: no other thread could go on with it.
///
/// # Examples
/// ```
/// use posse::runtime::Runtime;
/// use posse::task;
///
/// let runtime = Runtime::new()?;
/// let task = runtime.spawn(async {
///     let numbers = vec![1, 2, 3];
///     // Borrows, and blocks.
///     task::block_in_place(|| numbers.iter().sum::<i32>())
/// });
/// assert_eq!(runtime.block_on(task).unwrap(), 6);
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn block_in_place<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    crate::runtime::in_place::run(f)
}

/// Returns the id of the task that runs this code, if a task does.
pub fn try_id() -> Option<Id> {
    current::current_task_id()
}

/// Returns the id of the task that runs this code.
///
/// # Panics
/// Outside of a task; see [`try_id`].
#[track_caller]
pub fn id() -> Id {
    try_id().expect("no task runs this code")
}
