//! The task whose code runs on this thread, and the budget it has left.
//!
//! Invariant: the raw pointer kept here points to a task in the scope that set it, and every scope restores the previous value when it ends.

use super::Id;
use super::coop::{self, Budget};
use super::raw::{Header, TaskRef};
use std::cell::Cell;
use std::ptr;

thread_local! {
    static RUNNING: Running = const { Running { task: Cell::new(ptr::null()), budget: Cell::new(None) } };
}

/// What changes with each poll: in one place, because from other code each thread-local costs a call.
struct Running {
    task: Cell<*const Header>,
    budget: Cell<Budget>,
}

/// Marks `task` as the one whose code runs, with a budget of its own, until the guard is dropped.
#[inline(never)]
pub(super) fn enter_task(task: *const Header) -> CurrentTask {
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

/// Restores what was current before the poll.
pub(super) struct CurrentTask {
    prev: *const Header,
    budget: Budget,
}

impl Drop for CurrentTask {
    #[inline]
    fn drop(&mut self) {
        leave_task(self.prev, self.budget);
    }
}

/// Calls `f` with the budget of the code that runs.
#[inline]
pub(super) fn with_budget<R>(f: impl FnOnce(&Cell<Budget>) -> R) -> R {
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

/// The task whose code runs, by a reference of its own.
pub(crate) fn current_task_ref() -> Option<TaskRef> {
    let task = current_task();
    // SAFETY: if not null, set by `enter_task` from within the task's run, which keeps it alive until the guard is dropped.
    (!task.is_null()).then(|| unsafe { TaskRef::retain(task) })
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
