//! The LIFO slot: the task that was woken last, kept by the worker that woke it, taken by others only from a stuck one.
//!
//! One place for one pointer. Its owner alone puts something in; the watchdog takes at most. So an owner that finds it
//! empty fills it with a plain store; everything else is one exchange, by which exactly one side gets the pointer. A push
//! wakes no worker: none looks here before the owner has been in one poll for long.

use crate::loom::sync::atomic::{AtomicPtr, Ordering};
use crate::raw_task::{Header, Runnable};
use std::fmt;
use std::ptr::{self, NonNull};

pub(crate) struct Lifo(Slot<Header>);

impl fmt::Debug for Lifo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifo").field("is_empty", &self.is_empty()).finish()
    }
}

impl Lifo {
    pub(crate) fn new() -> Self {
        Self(Slot::new())
    }

    /// Puts a task in and returns the one that it displaces. For the owner alone.
    #[inline]
    pub(crate) fn replace(&self, task: Runnable) -> Option<Runnable> {
        self.0.replace(task.into_raw()).map(own)
    }

    /// Takes the task out. For the owner alone.
    #[inline]
    pub(crate) fn take(&self) -> Option<Runnable> {
        self.0.take().map(own)
    }

    /// Takes the task out, if the owner does nothing with the slot meanwhile.
    pub(crate) fn steal(&self) -> Option<Runnable> {
        self.0.steal().map(own)
    }

    /// Of use to the owner, who alone fills it; to others only a hint.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[inline]
fn own(task: NonNull<Header>) -> Runnable {
    // SAFETY: a `Runnable` went into the slot for this pointer, and a slot gives each pointer out once.
    unsafe { Runnable::from_raw(task) }
}

struct Slot<T>(AtomicPtr<T>);

impl<T> Slot<T> {
    fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline]
    fn replace(&self, pointer: NonNull<T>) -> Option<NonNull<T>> {
        // Relaxed: only this side fills the slot, so one that looks empty stays so.
        if self.0.load(Ordering::Relaxed).is_null() {
            // Release: who steals it sees the task as it was pushed. Partner: the exchange in `steal`.
            self.0.store(pointer.as_ptr(), Ordering::Release);
            return None;
        }
        NonNull::new(self.0.swap(pointer.as_ptr(), Ordering::Release))
    }

    #[inline]
    fn take(&self) -> Option<NonNull<T>> {
        if self.is_empty() {
            return None;
        }
        // The value is this side's own; the exchange only settles who gets it.
        NonNull::new(self.0.swap(ptr::null_mut(), Ordering::Relaxed))
    }

    fn steal(&self) -> Option<NonNull<T>> {
        // The very pointer that was seen: had the owner emptied and filled the slot meanwhile, it would not be stuck.
        let seen = self.0.load(Ordering::Relaxed);
        if seen.is_null() {
            return None;
        }
        // Acquire: partner of the store and the swap in `replace`.
        let stolen = self.0.compare_exchange(seen, ptr::null_mut(), Ordering::Acquire, Ordering::Relaxed);
        stolen.ok().and_then(NonNull::new)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed).is_null()
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::loom::cell::UnsafeCell;
    use crate::loom::sync::Arc;

    /// What stands for a task: loom sees every access, and each is a write, so that two takers would be a race.
    struct Job(UnsafeCell<usize>);

    fn put(slot: &Slot<Job>, job: &'static Job) -> Option<NonNull<Job>> {
        // SAFETY: not in the slot yet, so no other thread looks at it.
        job.0.with_mut(|runs| unsafe { *runs = 0 });
        slot.replace(NonNull::from(job))
    }

    /// Runs it as its only owner.
    fn run(job: NonNull<Job>) -> usize {
        // SAFETY: leaked, so it lives; out of the slot, so no other thread has it. Loom would say if not.
        unsafe { job.as_ref() }.0.with_mut(|runs| unsafe { *runs += 1 });
        1
    }

    #[test]
    fn loom_what_is_in_the_lifo_slot_is_run_once_by_owner_or_watchdog() {
        loom::model(|| {
            let slot = Arc::new(Slot::new());
            let jobs: [&'static Job; 3] = std::array::from_fn(|_| &*Box::leak(Box::new(Job(UnsafeCell::new(0)))));
            let watchdog = {
                let slot = slot.clone();
                loom::thread::spawn(move || (0..2).filter_map(|_| slot.steal()).map(run).sum::<usize>())
            };

            let mut ran = 0;
            ran += put(&slot, jobs[0]).map_or(0, run);
            ran += put(&slot, jobs[1]).map_or(0, run);
            ran += slot.take().map_or(0, run);
            ran += put(&slot, jobs[2]).map_or(0, run);
            ran += watchdog.join().unwrap();
            ran += slot.take().map_or(0, run);
            assert_eq!(ran, 3);
            for job in jobs {
                // SAFETY: leaked above, and out of the slot.
                drop(unsafe { Box::from_raw(std::ptr::from_ref(job).cast_mut()) });
            }
        });
    }
}
