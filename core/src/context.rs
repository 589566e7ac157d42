//! The ambient runtime of the code that is running now: which handle, which worker. Which task is `raw_task::current`.
//!
//! It is switched per step, not per thread, so that many runtimes can share one thread. Invariant: the raw pointers kept
//! here point to values borrowed by the scope that set them, and every scope restores the previous value when it ends.

use crate::raw_task::coop;
use crate::runtime::Handle;
use crate::scheduler::Shared;
use crate::scheduler::local::LocalQueue;
use crate::time::driver::{Clock, Instant};
use crate::util::scoped::Scoped;
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

thread_local! {
    static HANDLE: RefCell<Option<Handle>> = const { RefCell::new(None) };
    static WORKER: Cell<Option<CurrentWorker>> = const { Cell::new(None) };
    /// Inside a worker or a `block_on`, where blocking the thread would stall the runtime.
    static DRIVING: Cell<bool> = const { Cell::new(false) };
}

/// The worker on this thread, and the scheduler it belongs to: only told by its address.
type CurrentWorker = (NonNull<Shared>, NonNull<LocalQueue>);

/// Calls `f` with the current runtime's handle, if the code runs inside one. `f` enters and leaves no runtime.
pub(crate) fn with_current<R>(mut f: impl FnMut(Option<&Handle>) -> R) -> R {
    // During the destruction of the thread's locals there is no current runtime any more.
    match HANDLE.try_with(|handle| f(handle.borrow().as_ref())) {
        Ok(result) => result,
        Err(_) => f(None),
    }
}

/// The index of the worker this code runs on, if it is one of the current runtime's.
pub(crate) fn shard() -> Option<usize> {
    with_local_queue(|local| local.map(|(_, local)| local.index))
}

/// Calls `f` with the worker this code runs on and the scheduler it belongs to.
#[inline(always)]
pub(crate) fn with_local_queue<R>(f: impl FnOnce(Option<(*const Shared, &LocalQueue)>) -> R) -> R {
    match WORKER.get() {
        Some((shared, local)) => {
            // SAFETY: set by `enter_worker`, whose caller borrows the queue until the pointer is taken back.
            let local = unsafe { local.as_ref() };
            f(Some((shared.as_ptr().cast_const(), local)))
        }
        None => f(None),
    }
}

/// Runs `f` as code of the given worker.
pub(crate) fn enter_worker<R>(runtime: &Handle, local: &LocalQueue, f: impl FnOnce() -> R) -> R {
    let _driving = drive();
    let _counting = coop::on_forced_yield(count_forced_yield);
    let _handle = enter(runtime.clone());
    let _worker = Scoped::set(&WORKER, Some((NonNull::from(runtime.shared()), NonNull::from(local))));
    f()
}

/// A task of the worker on this thread, if there still is one, has no budget left.
fn count_forced_yield() {
    with_local_queue(|local| local.into_iter().for_each(|(_, local)| local.count_forced_yield()));
}

/// Makes `handle` the current runtime until the guard is dropped.
///
/// Without effect during the destruction of the thread's locals, where a runtime may be dropped that is one of them.
pub(crate) fn enter(handle: Handle) -> Entered {
    Entered { prev: HANDLE.try_with(|current| current.replace(Some(handle))).ok().flatten() }
}

/// Restores the previous current runtime.
#[derive(Debug)]
pub(crate) struct Entered {
    prev: Option<Handle>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let prev = self.prev.take();
        // The replaced handle is dropped outside of the borrow: it may be the last one of its runtime.
        let left = HANDLE.try_with(|current| current.replace(prev));
        drop(left);
    }
}

/// Marks the thread as driving a runtime until the guard is dropped.
pub(crate) fn drive() -> Scoped<bool> {
    Scoped::set(&DRIVING, true)
}

/// Until the guard is dropped the thread drives nothing: it may block.
pub(crate) fn drive_nothing() -> Scoped<bool> {
    Scoped::set(&DRIVING, false)
}

/// Restores the thread's worker when dropped.
pub(crate) type LeftWorker = Scoped<Option<CurrentWorker>>;

/// Until the guard is dropped the code runs on no worker.
pub(crate) fn leave_worker() -> LeftWorker {
    Scoped::set(&WORKER, None)
}

/// True inside a worker or a `block_on`.
pub(crate) fn is_driving() -> bool {
    DRIVING.get()
}

impl Instant {
    /// Returns the time on the current runtime's clock, or on the real clock outside of any runtime.
    pub fn now() -> Self {
        with_current(|handle| match handle {
            Some(handle) => handle.clock().now(),
            None => Clock::real().now(),
        })
    }
}

#[cfg(feature = "sim")]
impl crate::sim::env::SimContext {
    /// Returns the simulation that this code runs in, if it does.
    pub fn current() -> Option<std::sync::Arc<Self>> {
        with_current(|handle| handle?.simulation().cloned())
    }
}

#[cfg(feature = "sim")]
impl crate::sim::env::HostNet {
    /// The simulated machine that this code runs on, if it does, and its way to the network.
    pub(crate) fn current() -> Option<Self> {
        with_current(|handle| handle?.io().host())
    }
}
