//! The waker of a task. There is one for all of them, whatever their types: who looks at a waker knows whether it is one of ours.

use super::Id;
use super::raw::{self, Header, TaskRef};
use super::wait_kind::WaitKind;
use std::mem;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

/// The task that a waker wakes, if it is one of ours.
pub(crate) fn task_of(waker: &Waker) -> Option<Id> {
    header_of_waker(waker).map(Header::id)
}

/// Notes what a task has left its waker with, if the waker is a task's.
#[inline]
pub(crate) fn note_wait(waker: &Waker, kind: WaitKind) {
    if let Some(header) = header_of_waker(waker) {
        header.polls().waits_for(kind);
    }
}

#[inline]
fn header_of_waker(waker: &Waker) -> Option<&Header> {
    // SAFETY: a waker with our functions points to a header and holds a reference to it, as long as the waker is borrowed.
    is_of_a_task(waker).then(|| unsafe { &*waker.data().cast::<Header>() })
}

/// Whether a waker is one of our tasks'.
#[inline]
pub(super) fn is_of_a_task(waker: &Waker) -> bool {
    std::ptr::eq(waker.vtable(), &VTABLE)
}

/// A waker that owns a reference to the task, which the caller gives to it.
///
/// # Safety
/// `task` lives.
#[inline]
pub(super) unsafe fn waker_of(task: NonNull<Header>) -> Waker {
    let raw = RawWaker::new(task.as_ptr().cast_const().cast(), &VTABLE);
    // SAFETY: the functions below keep the contract of `RawWaker` for a pointer to a living task.
    unsafe { Waker::from_raw(raw) }
}

/// # Safety
/// `task` is the data of a waker of ours, kept alive by it.
unsafe fn clone(task: *const ()) -> RawWaker {
    // SAFETY: by contract.
    mem::forget(unsafe { TaskRef::retain(task.cast()) });
    RawWaker::new(task, &VTABLE)
}

/// # Safety
/// As [`clone`]; the waker's reference is given up.
unsafe fn wake(task: *const ()) {
    // SAFETY: by contract.
    unsafe { wake_by_ref(task) };
    // SAFETY: by contract.
    unsafe { drop(task) };
}

/// # Safety
/// As [`clone`].
unsafe fn wake_by_ref(task: *const ()) {
    // SAFETY: by contract; the pointer is the one that the task was made with.
    let task = unsafe { header_of(task) };
    // SAFETY: kept alive by contract.
    unsafe { raw::wake(task) }
}

/// # Safety
/// As [`clone`]; the waker's reference is given up.
unsafe fn drop(task: *const ()) {
    // SAFETY: by contract.
    let task = unsafe { header_of(task) };
    // SAFETY: by contract.
    unsafe { raw::release(task) }
}

/// # Safety
/// `task` is the data of a waker of ours.
#[inline]
unsafe fn header_of(task: *const ()) -> NonNull<Header> {
    // SAFETY: by contract, and so not null.
    unsafe { NonNull::new_unchecked(task.cast_mut().cast()) }
}
