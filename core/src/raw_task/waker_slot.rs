//! The place of the one party that waits for something, under the lock of what it waits for.
//!
//! A waker is foreign code: its clone, its wake and its drop may panic, and may take that very lock. So it is cloned in front of the lock
//! ([`PollWaker`]) and leaves the lock before it is woken or dropped ([`TakenWaker`]). What the slot's owner has to do is to look at what is waited
//! for and to register under one hold of the lock, and to take under the hold in which that comes about, or after it.
//!
//! Where there is no lock there is no slot: an ask's is part of its state word (`mailbox/ask.rs`).

use super::Id;
use super::panic::{drop_catching, wake_catching};
use super::poll_waker::PollWaker;
use super::waker::task_of;
use std::task::Waker;

/// Room for one waker.
#[derive(Debug, Default)]
pub struct WakerSlot(Option<Waker>);

impl WakerSlot {
    /// No task waits.
    #[inline]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Makes this the waker that is woken, in place of one that was there; to be dropped after the lock is released.
    #[inline]
    #[must_use = "a previous waker is dropped after the lock is released"]
    pub fn register(&mut self, waker: &mut PollWaker<'_>) -> Option<Waker> {
        waker.store(&mut self.0)
    }

    /// Takes out who waits, to be woken after the lock is released.
    #[inline]
    pub fn take(&mut self) -> TakenWaker {
        TakenWaker(self.0.take())
    }

    /// The task that waits, if a task of ours does.
    pub(super) fn task(&self) -> Option<Id> {
        self.0.as_ref().and_then(task_of)
    }
}

/// A waker on its way out of the lock, if there was one.
#[derive(Debug, Default)]
#[must_use = "who waits is to be woken, after the lock is released"]
pub struct TakenWaker(Option<Waker>);

impl TakenWaker {
    /// Wakes who waited. A panic of its waker ends here.
    #[inline]
    pub fn wake(self) {
        self.0.into_iter().for_each(wake_catching);
    }

    /// Lets go of who waited and waits no more. A panic of its waker ends here.
    pub fn forget(self) {
        self.0.into_iter().for_each(drop_catching);
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;
    use crate::lock::Mutex;
    use crate::raw_task::wait_kind::WaitKind;
    use crate::testing::{counting_waker, waker_that_drops, waker_that_is_cloned, waker_that_wakes};
    use std::sync::Arc;

    fn register(slot: &Mutex<WakerSlot>, waker: &Waker) {
        let mut waker = PollWaker::new(waker, WaitKind::Listed);
        let prev = slot.lock().register(&mut waker);
        drop(prev);
    }

    #[test]
    fn the_waker_registered_last_is_woken_once() {
        let slot = Mutex::new(WakerSlot::new());
        let [(first, first_waker), (second, second_waker)] = [counting_waker(), counting_waker()];
        register(&slot, &first_waker);
        register(&slot, &second_waker);
        for _ in 0..2 {
            let taken = slot.lock().take();
            taken.wake();
        }
        assert_eq!((first.count(), second.count()), (0, 1));
    }

    #[test]
    fn a_waker_that_uses_what_it_waits_for_or_panics_does_no_harm() {
        let slot = Arc::new(Mutex::new(WakerSlot::new()));
        let uses = || {
            let slot = slot.clone();
            move || {
                // It would wait for ever if the lock were held.
                let taken = slot.lock().take();
                taken.forget();
                panic!("a waker that panics");
            }
        };
        register(&slot, &waker_that_wakes(uses()));
        let taken = slot.lock().take();
        taken.wake();

        register(&slot, &waker_that_drops(uses()));
        let taken = slot.lock().take();
        taken.forget();

        let quiet = slot.clone();
        register(&slot, &waker_that_is_cloned(move || drop(quiet.lock())));
        let taken = slot.lock().take();
        taken.forget();
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::loom::sync::{Arc, Mutex};
    use crate::raw_task::wait_kind::WaitKind;
    use crate::testing::counting_waker;

    /// What is waited for, and who waits.
    #[derive(Default)]
    struct Shared {
        has_come: bool,
        waiter: WakerSlot,
    }

    /// True if it has come. Else who polls is woken.
    fn poll(shared: &Mutex<Shared>, waker: &Waker) -> bool {
        let mut waker = PollWaker::new(waker, WaitKind::Listed);
        let mut shared = shared.lock();
        if shared.has_come {
            return true;
        }
        let prev = shared.waiter.register(&mut waker);
        drop(shared);
        drop(prev);
        false
    }

    /// A party polls with one waker and then with another one, while what it waits for comes about. The waker of its last poll is woken, unless
    /// that poll has seen it.
    #[test]
    fn loom_who_waits_in_a_slot_sees_what_has_come_or_is_woken() {
        loom::model(|| {
            let shared = Arc::new(Mutex::new(Shared::default()));
            let other = {
                let shared = shared.clone();
                loom::thread::spawn(move || {
                    let mut shared = shared.lock();
                    shared.has_come = true;
                    let waiter = shared.waiter.take();
                    drop(shared);
                    waiter.wake();
                })
            };
            let [(_, first), (wakes, second)] = [counting_waker(), counting_waker()];
            let is_seen = poll(&shared, &first) || poll(&shared, &second);
            other.join().unwrap();
            assert!(is_seen || wakes.count() == 1);
        });
    }
}
