//! The waker of a poll on its way under a lock.
//!
//! A waker's `clone` is foreign code: it may panic, and it may take locks, that of the very list it is to stand in included. So it
//! runs in front of the lock. The clone of a task's own waker, and of that of a `block_on`, counts one more reference and does nothing
//! else; that one is made where it is needed, so that a poll which does not wait costs no count.
//!
//! Everything that waits for its turn goes through here, so it is here that a task learns what it waits for.

use super::wait_kind::WaitKind;
use super::waker::{is_of_a_task, note_wait};
use std::sync::OnceLock;
use std::task::{Context, RawWakerVTable, Waker};

/// The functions of the wakers of `block_on`, once there is one. A constant, which only the compiler knows the place of; where it keeps several
/// copies of it a waker with another one passes for a foreign one.
static OF_BLOCK_ON: OnceLock<&'static RawWakerVTable> = OnceLock::new();

/// Says that the clone of such wakers runs no foreign code.
pub(crate) fn knows_block_on(waker: &Waker) {
    OF_BLOCK_ON.get_or_init(|| waker.vtable());
}

fn is_of_block_on(waker: &Waker) -> bool {
    OF_BLOCK_ON.get().is_some_and(|vtable| std::ptr::eq(waker.vtable(), *vtable))
}

/// Made before the lock is taken, and so dropped after it: a clone that was not needed is foreign code as well.
#[derive(Debug)]
pub struct PollWaker<'a> {
    waker: &'a Waker,
    /// `None` for one of ours.
    clone: Option<Waker>,
    /// What the waker is left with.
    kind: WaitKind,
}

impl<'a> PollWaker<'a> {
    /// Clones the waker of a poll, if that is foreign code. The waker is to be left with something of the given kind.
    #[inline]
    pub fn of(cx: &Context<'a>, kind: WaitKind) -> Self {
        Self::new(cx.waker(), kind)
    }

    /// As [`of`](Self::of), for a waker at hand.
    #[inline]
    pub fn new(waker: &'a Waker, kind: WaitKind) -> Self {
        Self { waker, clone: if is_of_a_task(waker) { None } else { clone_foreign(waker) }, kind }
    }

    /// Returns the clone. To be called once.
    #[inline]
    pub fn take(&mut self) -> Waker {
        debug_assert!(self.clone.is_some() || is_of_a_task(self.waker) || is_of_block_on(self.waker), "taken twice");
        self.note();
        self.clone.take().unwrap_or_else(|| self.waker.clone())
    }

    /// Puts the clone into a slot, unless what is there wakes the same. Returns what was there, to be dropped after the lock.
    #[inline]
    #[must_use = "a previous waker is dropped after the lock is released"]
    pub fn store(&mut self, slot: &mut Option<Waker>) -> Option<Waker> {
        if slot.as_ref().is_some_and(|known| known.will_wake(self.waker)) {
            self.note();
            return None;
        }
        slot.replace(self.take())
    }

    /// As [`store`](Self::store), for a slot that is never empty.
    #[inline]
    #[must_use = "a previous waker is dropped after the lock is released"]
    pub fn renew(&mut self, known: &mut Waker) -> Option<Waker> {
        if known.will_wake(self.waker) {
            self.note();
            return None;
        }
        Some(std::mem::replace(known, self.take()))
    }

    #[inline]
    fn note(&self) {
        if self.kind != WaitKind::Listed {
            note_wait(self.waker, self.kind);
        }
    }
}

#[cold]
fn clone_foreign(waker: &Waker) -> Option<Waker> {
    (!is_of_block_on(waker)).then(|| waker.clone())
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;
    use crate::runtime::Builder;
    use crate::testing::waker_that_is_cloned;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    #[test]
    fn wakers_of_block_on_are_cloned_where_they_are_needed_and_foreign_ones_before() {
        for builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = builder.build().expect("a runtime");
            runtime.block_on(poll_fn(|cx| {
                let mut waker = PollWaker::of(cx, WaitKind::Notify);
                assert!(waker.clone.is_none());
                assert!(waker.take().will_wake(cx.waker()));
                Poll::Ready(())
            }));
        }
        let clones = Arc::new(AtomicUsize::new(0));
        let counts = clones.clone();
        let foreign = waker_that_is_cloned(move || {
            counts.fetch_add(1, Ordering::Relaxed);
        });
        let _waker = PollWaker::new(&foreign, WaitKind::Notify);
        assert_eq!(clones.load(Ordering::Relaxed), 1);
    }
}
