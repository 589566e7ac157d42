//! The ambient runtime of the code that is running now: which handle, which worker, which task.
//!
//! It is switched per step, not per thread, so that many runtimes can share one thread. Invariant: the raw pointers kept
//! here point to values borrowed by the scope that set them, and every scope restores the previous value when it ends.

use crate::runtime::Handle;
use crate::scheduler::Shared;
use crate::scheduler::local::LocalQueue;
use crate::task::Id;
use crate::task::coop::{self, Budget};
use crate::task::raw::{Header, TaskRef};
use crate::util::scoped::Scoped;
use std::cell::{Cell, RefCell};
use std::ptr;

thread_local! {
    static HANDLE: RefCell<Option<Handle>> = const { RefCell::new(None) };
    static WORKER: Cell<Option<(*const Shared, *const LocalQueue)>> = const { Cell::new(None) };
    static RUNNING: Running = const { Running { task: Cell::new(ptr::null()), budget: Cell::new(None) } };
    /// Inside a worker or a `block_on`, where blocking the thread would stall the runtime.
    static DRIVING: Cell<bool> = const { Cell::new(false) };
}

/// What changes with each poll: in one place, because from other code each thread-local costs a call.
struct Running {
    task: Cell<*const Header>,
    budget: Cell<Budget>,
}

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
#[inline]
pub(crate) fn with_local_queue<R>(f: impl FnOnce(Option<(*const Shared, &LocalQueue)>) -> R) -> R {
    match WORKER.get() {
        Some((shared, local)) => {
            // SAFETY: set by `enter_worker`, whose caller borrows the queue until the pointer is taken back.
            let local = unsafe { &*local };
            f(Some((shared, local)))
        }
        None => f(None),
    }
}

/// Runs `f` as code of the given worker.
pub(crate) fn enter_worker<R>(runtime: &Handle, local: &LocalQueue, f: impl FnOnce() -> R) -> R {
    let _driving = drive();
    let _handle = enter(runtime.clone());
    let shared: *const Shared = runtime.shared();
    let _worker = Scoped::set(&WORKER, Some((shared, ptr::from_ref(local))));
    f()
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
pub(crate) type LeftWorker = Scoped<Option<(*const Shared, *const LocalQueue)>>;

/// Until the guard is dropped the code runs on no worker.
pub(crate) fn leave_worker() -> LeftWorker {
    Scoped::set(&WORKER, None)
}

/// The task whose code runs on a worker of `runtime`, by a reference of its own.
pub(crate) fn current_task_ref() -> Option<TaskRef> {
    let task = current_task();
    // SAFETY: if not null, set by `enter_task` from within the task's run, which keeps it alive until the guard is dropped.
    (!task.is_null()).then(|| unsafe { TaskRef::retain(task) })
}

/// True inside a worker or a `block_on`.
pub(crate) fn is_driving() -> bool {
    DRIVING.get()
}

/// Whether what is run here may wait for the end of a runtime: not inside a worker or a `block_on`, nor where a worker's thread blocks and
/// has kept its worker.
pub(crate) fn may_wait() -> bool {
    !is_driving() && WORKER.get().is_none()
}

/// Marks `task` as the one whose code runs, with a budget of its own, until the guard is dropped.
#[inline(never)]
pub(crate) fn enter_task(task: *const Header) -> CurrentTask {
    let budget = coop::fresh();
    RUNNING.with(|running| CurrentTask { prev: running.task.replace(task), budget: running.budget.replace(budget) })
}

#[inline(never)]
fn leave_task(prev: *const Header, budget: Budget) {
    RUNNING.with(|running| {
        running.task.set(prev);
        running.budget.set(budget);
    });
}

/// Calls `f` with the budget of the code that runs.
#[inline]
pub(crate) fn with_budget<R>(f: impl FnOnce(&Cell<Budget>) -> R) -> R {
    RUNNING.with(|running| f(&running.budget))
}

/// From here on this thread, which runs in turns with the simulation, runs code of another task.
#[cfg(feature = "sim")]
pub(crate) fn switch_task(task: *const Header) {
    RUNNING.with(|running| running.task.set(task));
}

/// The task whose code runs, or null. Only for comparing: the pointer may not be followed.
#[inline]
pub(crate) fn current_task() -> *const Header {
    RUNNING.with(|running| running.task.get())
}

/// The id of the task whose code runs.
pub(crate) fn current_task_id() -> Option<Id> {
    let task = current_task();
    if task.is_null() {
        return None;
    }
    // SAFETY: set by `enter_task` from within the task's run, which keeps it alive until the guard is dropped.
    let header = unsafe { &*task };
    Some(header.id())
}

pub(crate) struct CurrentTask {
    prev: *const Header,
    budget: Budget,
}

impl Drop for CurrentTask {
    #[inline]
    fn drop(&mut self) {
        leave_task(self.prev, self.budget);
    }
}
