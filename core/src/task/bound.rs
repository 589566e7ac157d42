//! Tasks that wait to be run in one place: the queue of a thread, say, instead of any worker's.
//!
//! A task knows its place by its type: it is in the functions of its waker, so waking a task that may run anywhere decides nothing.

use super::JoinHandle;
use super::raw::{self, Header, Place, Runnable, TaskRef};
use crate::runtime::Handle;
use std::future::Future;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable};

/// A queue for tasks that are bound to it, part of each of them.
pub(crate) trait Queue: Send + Sync + 'static {
    /// Takes a task in that was woken or aborted, on any thread. It must not drop it, nor run foreign code that it would hurt.
    fn push(&self, task: Runnable);
}

/// With the queue `Q`.
struct Bound<Q>(PhantomData<Q>);

impl<Q: Queue> Place<Q> for Bound<Q> {
    const WAKER: &'static RawWakerVTable =
        &RawWakerVTable::new(clone::<Q>, wake::<Q>, wake_by_ref::<Q>, raw::drop_waker);

    unsafe fn schedule(ptr: NonNull<Header>) {
        // SAFETY: by contract; what is run meanwhile is not freed before the call ends.
        let queue: &Q = unsafe { raw::shared_of(ptr) };
        // SAFETY: the caller marked it as scheduled.
        queue.push(unsafe { Runnable::from_raw(ptr) });
    }
}

/// # Safety
/// `ptr` is a task bound to a `Q`, kept alive by the waker that calls this.
unsafe fn clone<Q: Queue>(ptr: *const ()) -> RawWaker {
    // SAFETY: by contract.
    std::mem::forget(unsafe { TaskRef::retain(ptr.cast()) });
    RawWaker::new(ptr, <Bound<Q> as Place<Q>>::WAKER)
}

/// # Safety
/// As `clone`; the waker's reference is given up.
unsafe fn wake<Q: Queue>(ptr: *const ()) {
    // SAFETY: by contract.
    unsafe { wake_by_ref::<Q>(ptr) };
    // SAFETY: by contract.
    unsafe { raw::drop_waker(ptr) };
}

/// # Safety
/// As `clone`.
unsafe fn wake_by_ref<Q: Queue>(ptr: *const ()) {
    let Some(task) = NonNull::new(ptr.cast_mut().cast::<Header>()) else { return };
    // SAFETY: by contract.
    if let Some(woken) = unsafe { Runnable::woken(task) } {
        // SAFETY: marked as scheduled just now, and bound to a `Q` by contract.
        unsafe { <Bound<Q> as Place<Q>>::schedule(woken.into_raw()) }
    }
}

/// A task whose future may not leave this thread, and the right to join it, which may not either if the output may not.
///
/// # Safety
/// The task is run, cancelled unrun or shut down on this thread alone.
pub(super) unsafe fn local<F, Q>(runtime: Handle, queue: Q, future: F) -> (TaskRef, Runnable, JoinHandle<F::Output>)
where
    F: Future + 'static,
    Q: Queue,
{
    // SAFETY: the future by contract; a `JoinHandle` is `Send` only if the output is.
    let (task, runnable) = unsafe { raw::allocate::<F, Q, Bound<Q>>(runtime, queue, true, |_| future) };
    (task.clone(), runnable, JoinHandle::new(task))
}
