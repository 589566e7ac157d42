//! The worker that the code of this thread runs on.
//!
//! Invariant: the pointers kept here point to values borrowed by the scope that set them, and every scope restores the previous value
//! when it ends.

use super::Shared;
use super::local::LocalQueue;
use crate::raw_task::coop;
use crate::util::scoped::Scoped;
use std::cell::Cell;
use std::ptr::NonNull;

thread_local! {
    static WORKER: Cell<Option<CurrentWorker>> = const { Cell::new(None) };
}

/// The worker on this thread, and the scheduler it belongs to: only told by its address.
type CurrentWorker = (NonNull<Shared>, NonNull<LocalQueue>);

/// The index of the worker this code runs on, whichever runtime it is of.
pub(crate) fn shard() -> Option<usize> {
    with_local_queue(|local| local.map(|(_, local)| local.index))
}

/// Calls `f` with the worker this code runs on and the scheduler it belongs to.
#[inline(always)]
pub(crate) fn with_local_queue<R>(f: impl FnOnce(Option<(*const Shared, &LocalQueue)>) -> R) -> R {
    match WORKER.get() {
        Some((shared, local)) => {
            // SAFETY: set by `enter`, whose caller borrows the queue until the pointer is taken back.
            let local = unsafe { local.as_ref() };
            f(Some((shared.as_ptr().cast_const(), local)))
        }
        None => f(None),
    }
}

/// Runs `f` as code of the given worker.
pub(super) fn enter<R>(shared: &Shared, local: &LocalQueue, f: impl FnOnce() -> R) -> R {
    let _counting = coop::on_forced_yield(count_forced_yield);
    let _worker = Scoped::set(&WORKER, Some((NonNull::from(shared), NonNull::from(local))));
    f()
}

/// A task of the worker on this thread, if there still is one, has no budget left.
fn count_forced_yield() {
    with_local_queue(|local| local.into_iter().for_each(|(_, local)| local.count_forced_yield()));
}

/// Restores the thread's worker when dropped.
pub(crate) type LeftWorker = Scoped<Option<CurrentWorker>>;

/// Until the guard is dropped the code runs on no worker.
pub(crate) fn leave() -> LeftWorker {
    Scoped::set(&WORKER, None)
}
