//! The waker of a poll on its way under a lock.
//!
//! A waker's `clone` is foreign code: it may panic, and it may take locks, that of the very list it is to stand in included. So it
//! runs in front of the lock. The clone of a task's own waker counts one more reference and does nothing else; that one is
//! made where it is needed, so that a poll which does not wait costs no count.

use super::waker::is_of_a_task;
use std::task::{Context, Waker};

/// Made before the lock is taken, and so dropped after it: a clone that was not needed is foreign code as well.
#[derive(Debug)]
pub struct PollWaker<'a> {
    waker: &'a Waker,
    /// `None` for a task's own.
    clone: Option<Waker>,
}

impl<'a> PollWaker<'a> {
    /// Clones the waker of a poll, if that is foreign code.
    #[inline]
    pub fn of(cx: &Context<'a>) -> Self {
        Self::new(cx.waker())
    }

    /// As [`of`](Self::of), for a waker at hand.
    #[inline]
    pub fn new(waker: &'a Waker) -> Self {
        Self { waker, clone: if is_of_a_task(waker) { None } else { clone_foreign(waker) } }
    }

    /// Returns the clone. To be called once.
    #[inline]
    pub fn take(&mut self) -> Waker {
        debug_assert!(self.clone.is_some() || is_of_a_task(self.waker), "taken twice");
        self.clone.take().unwrap_or_else(|| self.waker.clone())
    }

    /// Puts the clone into a slot, unless what is there wakes the same. Returns what was there, to be dropped after the lock.
    #[inline]
    #[must_use = "a previous waker is dropped after the lock is released"]
    pub fn store(&mut self, slot: &mut Option<Waker>) -> Option<Waker> {
        if slot.as_ref().is_some_and(|known| known.will_wake(self.waker)) {
            return None;
        }
        slot.replace(self.take())
    }

    /// As [`store`](Self::store), for a slot that is never empty.
    #[inline]
    #[must_use = "a previous waker is dropped after the lock is released"]
    pub fn renew(&mut self, known: &mut Waker) -> Option<Waker> {
        (!known.will_wake(self.waker)).then(|| std::mem::replace(known, self.take()))
    }
}

#[cold]
fn clone_foreign(waker: &Waker) -> Option<Waker> {
    Some(waker.clone())
}
