//! The trait [`Schedule`]: what a task needs of its scheduler. The ground knows no more of one than this.

use super::raw::{Header, Runnable};
use super::wait_kind::WaitKind;

/// Where the tasks of one kind wait to be run. A value of it is part of each task, next to the header, and its type is in the functions of the
/// task's vtable: to wake a task decides nothing.
///
/// A runtime is one: its workers run the task. A `LocalSet` is another: the thread that polls it does.
pub(crate) trait Schedule: Send + Sync + 'static {
    /// What it is to join one of its tasks that is in no list of tasks.
    const UNLISTED: WaitKind = WaitKind::Listed;

    /// Takes in a task that was woken, aborted or just made, on any thread. It is kept alive by the caller during the call and by its life
    /// reference afterwards.
    ///
    /// It must neither run the task nor drop it here, nor run foreign code that would mind: a waker may be called with locks held.
    fn schedule(&self, task: Runnable);

    /// A task is about to complete, its future is gone: it leaves the list of the scheduler's tasks, if it is in one. Called once, by the run that
    /// completes it, before anybody can see that it has.
    fn release(&self, task: &Header);

    /// The future of a task has panicked, in a poll that is still this thread's.
    fn panicked(&self);
}
