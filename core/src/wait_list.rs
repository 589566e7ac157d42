//! A list of waiters, served in the order they came: the one mechanism behind everything that waits for its turn.
//!
//! Pure data, protected by its owner's lock. The nodes of the doubly linked list lie in a slab and name each other by
//! index; a future holds a [`WaiterKey`] and no node, so it stays `Unpin`, moves freely, and no code here is unsafe.
//! Joining, leaving and serving take constant time. Slots are used again, so a wait allocates nothing once the list has
//! had as many waiters before; memory goes back when the list has emptied and the last rounds needed far less. The slots are
//! its own and not `util::slab`'s: one `next` links those who wait and those that are vacant, and a waiter that was served
//! keeps its slot, so joining and leaving write single fields and move no value.
//!
//! Rules for owners: wakers that come out are woken, and previous ones dropped, after the lock is released; a future that
//! is dropped calls [`WaitList::remove`] with its key.
//!
//! Tickets count up and waiters are served from the front. So an owner that serves in no other way can publish
//! [`WaitList::front_ticket`] in an atomic, and a waiter whose ticket is smaller knows, without the lock, that it was
//! served: see `mailbox/permits.rs`. Where there are two ways of being served, [`WaitList::grant`] keeps the slot as the
//! mark of it until the waiter has taken notice: see `sync/notify.rs`.

use crate::raw_task::panic::wake_catching;
pub use crate::raw_task::poll_waker::PollWaker;
pub use crate::raw_task::wait_kind::WaitKind;
pub use crate::raw_task::waker_slot::{TakenWaker, WakerSlot};
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::task::Waker;

/// The list; `T` is what a waiter asks for.
#[derive(Debug)]
pub struct WaitList<T>(
    /// Made at the first wait: most lists never have a waiter, and are one pointer.
    Option<Box<Slab<T>>>,
);

/// A waiter's hold on its node. `Default` is one that does not wait.
#[derive(Debug, Default)]
pub struct WaiterKey {
    /// Its number, in the order of arrival; `None` while it does not wait.
    ticket: Option<NonZeroU64>,
    /// Its slot; another's by now if that has another ticket.
    index: u32,
}

/// Where a waiter stands.
#[derive(Debug)]
#[must_use = "a prev waker is dropped after the lock is released"]
pub enum WaiterState {
    /// In the list. Its previous waker, if any, is to be dropped after the lock is released.
    Waiting(Option<Waker>),
    /// Served by [`WaitList::grant`]: what was granted is the waiter's to use or to pass on.
    Granted,
    /// Served in another way, or it never waited.
    Woken,
}

#[derive(Debug)]
struct Slab<T> {
    /// Those who wait in a doubly linked list, those who were granted something outside of it, vacant ones in a list of their own.
    slots: Vec<Slot<T>>,
    /// The waiter to serve next, and the one that came last.
    front: u32,
    back: u32,
    /// The vacant slot to use next; more follow by `next`.
    vacant: u32,
    /// Those who wait.
    len: u32,
    /// Slots that are not vacant: of those who wait, and of those who were granted something and have not noticed.
    used: u32,
    /// Grows with each that joins; never used twice.
    next_ticket: NonZeroU64,
}

#[derive(Debug)]
struct Slot<T> {
    /// `None` if it is vacant.
    ticket: Option<NonZeroU64>,
    /// `None` if it was granted, or is vacant.
    waker: Option<Waker>,
    /// What it waits for, in the words of the list's user.
    wants: T,
    /// Who came before; `NONE` for the first.
    prev: u32,
    /// Who came after, and in a vacant slot the next vacant one; `NONE` for the last.
    next: u32,
}

/// No slot.
const NONE: u32 = u32::MAX;

/// Slots that are kept however few are needed. Guessed.
const SLOTS_KEPT: usize = 8;

impl WaiterKey {
    /// Returns true if it neither waits nor was served.
    pub fn is_idle(&self) -> bool {
        self.ticket.is_none()
    }

    /// Returns true if its ticket is smaller than this one.
    pub fn is_before(&self, ticket: u64) -> bool {
        self.ticket.is_some_and(|own| own.get() < ticket)
    }
}

impl<T> Default for WaitList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> WaitList<T> {
    /// Returns the wakers of those who wait, in no order.
    pub(crate) fn wakers(&self) -> impl Iterator<Item = &Waker> {
        self.0.iter().flat_map(|slab| &slab.slots).filter_map(|slot| slot.waker.as_ref())
    }

    /// A list without waiters.
    pub const fn new() -> Self {
        Self(None)
    }
}

impl<T: Copy> WaitList<T> {
    /// Adds a waiter at the back. Its key was idle.
    pub fn push(&mut self, key: &mut WaiterKey, wants: T, waker: Waker) {
        debug_assert!(key.is_idle());
        *key = self.0.get_or_insert_with(Box::default).push(wants, waker);
    }

    /// Looks at a waiter and renews its waker if it still waits; else its key is idle again.
    pub fn poll(&mut self, key: &mut WaiterKey, waker: &mut PollWaker<'_>) -> WaiterState {
        match self.slot_mut(key).and_then(|slot| slot.waker.as_mut()) {
            Some(current) => WaiterState::Waiting(waker.renew(current)),
            None => self.remove(key),
        }
    }

    /// Has a waiter wait with this waker: where it stands if it was not served, else at the back.
    pub fn poll_or_push(&mut self, key: &mut WaiterKey, wants: T, waker: &mut PollWaker<'_>) -> WaiterState {
        let state = if key.is_idle() { WaiterState::Woken } else { self.poll(key, waker) };
        if key.is_idle() {
            self.push(key, wants, waker.take());
        }
        state
    }

    /// Takes a waiter out, wherever it stands, and says where that was. Its key is idle afterwards.
    pub fn remove(&mut self, key: &mut WaiterKey) -> WaiterState {
        // A slot of its own tells by its waker whether it still stands in the order; one that is another's by now says nothing.
        let waits = self.slot_mut(key).map(|slot| slot.waker.take());
        let index = std::mem::take(key).index;
        let (Some(waker), Some(slab)) = (waits, &mut self.0) else { return WaiterState::Woken };
        if waker.is_some() {
            slab.unlink(index);
        }
        slab.vacate(index);
        waker.map_or(WaiterState::Granted, |waker| WaiterState::Waiting(Some(waker)))
    }

    /// Returns what the first waiter asks for.
    pub fn front(&self) -> Option<T> {
        let slab = self.0.as_ref()?;
        slab.slots.get(slab.front as usize).map(|slot| slot.wants)
    }

    /// Returns the ticket of the first waiter, or else of the next one to come: who has a smaller one waits no more.
    pub fn front_ticket(&self) -> u64 {
        let Some(slab) = &self.0 else { return FIRST_TICKET.get() };
        let front = slab.slots.get(slab.front as usize).and_then(|slot| slot.ticket);
        front.unwrap_or(slab.next_ticket).get()
    }

    /// Returns the ticket of the next waiter to come.
    pub fn next_ticket(&self) -> u64 {
        self.0.as_ref().map_or(FIRST_TICKET, |slab| slab.next_ticket).get()
    }

    /// Serves the first waiter.
    pub fn pop(&mut self) -> Option<Waker> {
        let slab = self.0.as_mut()?;
        let index = slab.front;
        let waker = slab.slots.get_mut(index as usize)?.waker.take();
        slab.unlink(index);
        slab.vacate(index);
        waker
    }

    /// Serves the first waiter, which finds [`WaiterState::Granted`] when it looks or leaves.
    pub fn grant(&mut self) -> Option<Waker> {
        let slab = self.0.as_mut()?;
        slab.grant(slab.front)
    }

    /// Serves the waiter that came last, as [`grant`](Self::grant) does the first.
    pub fn grant_last(&mut self) -> Option<Waker> {
        let slab = self.0.as_mut()?;
        slab.grant(slab.back)
    }

    /// Serves waiters that came before the one with this ticket, as many as `woken` takes. True if there are more.
    pub fn pop_before(&mut self, ticket: u64, woken: &mut WakeList) -> bool {
        while !self.is_empty() && self.front_ticket() < ticket {
            if woken.is_full() {
                return true;
            }
            self.pop().into_iter().for_each(|waker| woken.push(waker));
        }
        false
    }

    /// Takes the waker of the first waiter, which keeps its place: it looks whether what it waits for is there, and leaves by
    /// [`remove`](Self::remove) once it has taken it, or stays by [`poll`](Self::poll), which brings the waker of that poll.
    pub fn take_front_waker(&mut self) -> Option<Waker> {
        let slab = self.0.as_mut()?;
        let waker = slab.slots.get_mut(slab.front as usize)?.waker.as_mut()?;
        // In its place one that does nothing: a slot without a waker would be one that was granted.
        Some(std::mem::replace(waker, Waker::noop().clone()))
    }

    /// Returns true if the waiter was not served yet.
    pub fn is_waiting(&self, key: &WaiterKey) -> bool {
        let slot = self.0.as_ref().and_then(|slab| slab.slots.get(key.index as usize));
        slot.is_some_and(|slot| slot.ticket.is_some() && slot.ticket == key.ticket && slot.waker.is_some())
    }

    /// Returns true if no other waits before this waiter.
    pub fn is_front(&self, key: &WaiterKey) -> bool {
        key.ticket.is_some_and(|own| own.get() == self.front_ticket())
    }

    /// Returns how many wait.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |slab| slab.len as usize)
    }

    /// Returns true if none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot_mut(&mut self, key: &WaiterKey) -> Option<&mut Slot<T>> {
        let ticket = Some(key.ticket?);
        let slot = self.0.as_mut()?.slots.get_mut(key.index as usize)?;
        (slot.ticket == ticket).then_some(slot)
    }
}

const FIRST_TICKET: NonZeroU64 = NonZeroU64::MIN;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), front: NONE, back: NONE, vacant: NONE, len: 0, used: 0, next_ticket: FIRST_TICKET }
    }
}

impl<T: Copy> Slab<T> {
    fn push(&mut self, wants: T, waker: Waker) -> WaiterKey {
        let ticket = self.next_ticket;
        self.next_ticket = ticket.saturating_add(1);
        let slot = Slot { ticket: Some(ticket), waker: Some(waker), wants, prev: self.back, next: NONE };

        // A vacant slot if there is one, else one more.
        let index = if let Some(place) = self.slots.get_mut(self.vacant as usize) {
            let index = self.vacant;
            self.vacant = place.next;
            *place = slot;
            index
        } else {
            let index = u32::try_from(self.slots.len()).expect("invariant: 2^32 waiters do not fit memory");
            self.slots.push(slot);
            index
        };
        self.used += 1;
        self.len += 1;
        // Behind the last, or as the first.
        self.set_next(self.back, index);
        self.back = index;
        WaiterKey { ticket: Some(ticket), index }
    }

    fn grant(&mut self, index: u32) -> Option<Waker> {
        let waker = self.slots.get_mut(index as usize)?.waker.take();
        self.unlink(index);
        waker
    }

    /// Takes a waiter out of the order; its slot stays.
    fn unlink(&mut self, index: u32) {
        let Some(slot) = self.slots.get(index as usize) else { return };
        let (prev, next) = (slot.prev, slot.next);
        self.len -= 1;
        // The neighbours name each other; at an end the list's own mark moves.
        self.set_next(prev, next);
        match self.slots.get_mut(next as usize) {
            Some(slot) => slot.prev = prev,
            None => self.back = prev,
        }
    }

    fn set_next(&mut self, prev: u32, next: u32) {
        match self.slots.get_mut(prev as usize) {
            Some(slot) => slot.next = next,
            None => self.front = next,
        }
    }

    /// Gives back a slot that is in no order.
    fn vacate(&mut self, index: u32) {
        self.used -= 1;
        if self.used == 0 {
            self.reset();
        } else if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.ticket = None;
            slot.next = self.vacant;
            self.vacant = index;
        }
    }

    /// No waiter is left. The slots there are were all needed since the last time, so they say how many to keep.
    fn reset(&mut self) {
        let needed = self.slots.len().max(SLOTS_KEPT);
        self.slots.clear();
        self.vacant = NONE;
        if self.slots.capacity() / 4 > needed {
            self.slots.shrink_to(needed * 2);
        }
    }
}

/// Wakers on their way out of a lock, a few at a time. Wakes what it holds when it is dropped.
#[derive(Debug)]
pub struct WakeList {
    /// Those below `len`. What is woken is taken out, so nothing is left to be dropped, and 32 places need not be looked at
    /// for the one that was used.
    wakers: ManuallyDrop<[Option<Waker>; WAKE_LIST_MAX]>,
    len: usize,
}

/// Wakers taken out of a list in one hold of its lock. As in other runtimes; one in the models, so that two waiters are
/// enough for what happens between two holds.
const WAKE_LIST_MAX: usize = if cfg!(posse_loom) { 1 } else { 32 };

impl Default for WakeList {
    fn default() -> Self {
        Self { wakers: ManuallyDrop::new([const { None }; WAKE_LIST_MAX]), len: 0 }
    }
}

impl WakeList {
    /// How many more it takes.
    pub fn room(&self) -> usize {
        WAKE_LIST_MAX - self.len
    }

    /// Returns true if it takes no more.
    pub fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Adds a waker; there is room for it.
    pub fn push(&mut self, waker: Waker) {
        self.wakers[self.len] = Some(waker);
        self.len += 1;
    }

    /// Wakes all. A waker that panics keeps no other from being woken.
    pub fn wake(&mut self) {
        for waker in self.wakers[..std::mem::take(&mut self.len)].iter_mut().filter_map(Option::take) {
            wake_catching(waker);
        }
    }
}

impl Drop for WakeList {
    fn drop(&mut self) {
        self.wake();
    }
}

/// Wakes many in rounds: `take` moves some wakers out of a list, under the lock of its owner, and says whether there may be
/// more; they are woken after the lock.
pub fn wake_in_rounds(mut take: impl FnMut(&mut WakeList) -> bool) {
    let mut more = true;
    while more {
        let mut woken = WakeList::default();
        more = take(&mut woken);
        woken.wake();
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;
    use crate::testing::{counting_waker, waker_that_wakes};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn join(list: &mut WaitList<u32>, wants: u32) -> WaiterKey {
        let mut key = WaiterKey::default();
        list.push(&mut key, wants, Waker::noop().clone());
        key
    }

    fn slots<T>(list: &WaitList<T>) -> (usize, usize) {
        list.0.as_ref().map_or((0, 0), |slab| (slab.slots.len(), slab.slots.capacity()))
    }

    #[test]
    fn slots_are_used_again_and_memory_goes_back() {
        let mut list = WaitList::default();
        let _stays = join(&mut list, 0);
        for _ in 0..1000 {
            let mut leaves = join(&mut list, 1);
            assert!(matches!(list.remove(&mut leaves), WaiterState::Waiting(Some(_))));
            let _served = join(&mut list, 2);
            let mut granted = join(&mut list, 3);
            assert_eq!(list.len(), 3);
            // In turn: who stays is served, and joins again.
            assert!(list.pop().is_some() && list.pop().is_some() && list.grant().is_some());
            assert!(matches!(list.remove(&mut granted), WaiterState::Granted));
            let _stays = join(&mut list, 0);
        }
        assert!(slots(&list).0 <= 4, "{:?}", slots(&list));

        let _many: Vec<_> = (0..1000).map(|n| join(&mut list, n)).collect();
        while list.pop().is_some() {}
        assert!(slots(&list).1 >= 1000, "a list that was long stays ready to be so again");
        let _one = join(&mut list, 0);
        assert!(list.pop().is_some());
        assert!(slots(&list).1 <= 2 * SLOTS_KEPT, "{:?}", slots(&list));
    }

    #[test]
    fn a_key_of_a_slot_that_is_used_again_finds_nothing() {
        let mut list = WaitList::default();
        let mut prev = join(&mut list, 1);
        assert!(list.pop().is_some());
        let mut present = join(&mut list, 2);
        assert_eq!(prev.index, present.index);
        assert!(matches!(list.remove(&mut prev), WaiterState::Woken));
        assert!(matches!(list.remove(&mut present), WaiterState::Waiting(Some(_))));
    }

    #[test]
    fn a_waker_that_panics_keeps_no_other_from_being_woken() {
        let (wakes, waker) = counting_waker();
        let mut woken = WakeList::default();
        woken.push(waker.clone());
        woken.push(waker_that_wakes(|| panic!("on purpose")));
        woken.push(waker);
        drop(woken);
        assert_eq!(wakes.count(), 2);
    }

    #[test]
    fn those_who_come_later_are_not_served_with_the_others() {
        let mut list = WaitList::default();
        let (wakes, waker) = counting_waker();
        let mut keys: Vec<_> = (0..WAKE_LIST_MAX + 1).map(|_| WaiterKey::default()).collect();
        keys.iter_mut().for_each(|key| list.push(key, (), waker.clone()));
        let newcomer = list.next_ticket();
        assert!(list.pop_before(newcomer, &mut WakeList::default()));
        list.push(&mut WaiterKey::default(), (), waker.clone());
        assert!(!list.pop_before(newcomer, &mut WakeList::default()));
        assert_eq!((wakes.count(), list.len()), (WAKE_LIST_MAX + 1, 1));
    }

    proptest! {
        /// The list does what a queue in which each is looked for would do.
        #[test]
        fn it_is_a_queue(ops in proptest::collection::vec((0..6u8, any::<prop::sample::Index>()), 0..200)) {
            let mut list = WaitList::default();
            let mut queue = VecDeque::new();
            // All keys, with the number of the waiter and whether it was granted.
            let mut keys: Vec<(WaiterKey, u32, bool)> = Vec::new();
            let mut next = 0;
            for (op, which) in ops {
                match op {
                    0 | 1 => {
                        keys.push((join(&mut list, next), next, false));
                        queue.push_back(next);
                        next += 1;
                    }
                    2 => prop_assert_eq!(list.pop().is_some(), queue.pop_front().is_some()),
                    3 => {
                        let granted = queue.pop_front();
                        prop_assert_eq!(list.grant().is_some(), granted.is_some());
                        keys.iter_mut().filter(|key| Some(key.1) == granted).for_each(|key| key.2 = true);
                    }
                    4 => prop_assert_eq!(list.take_front_waker().is_some(), !queue.is_empty()),
                    _ if keys.is_empty() => {}
                    _ => {
                        let (mut key, number, granted) = keys.swap_remove(which.index(keys.len()));
                        let waited = queue.iter().position(|&waits| waits == number);
                        let fits = match list.remove(&mut key) {
                            WaiterState::Waiting(waker) => waited.is_some() && waker.is_some(),
                            WaiterState::Granted => granted,
                            WaiterState::Woken => waited.is_none() && !granted,
                        };
                        prop_assert!(fits && key.is_idle());
                        waited.and_then(|at| queue.remove(at));
                    }
                }
                prop_assert_eq!((list.front(), list.len()), (queue.front().copied(), queue.len()));
                for (key, number, _) in &keys {
                    let served = key.is_before(list.front_ticket());
                    prop_assert!(served != queue.contains(number));
                    prop_assert_eq!(list.is_front(key), queue.front() == Some(number));
                }
            }
        }
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::counting_waker;
    use loom::sync::{Arc, Mutex};

    /// A thing that is taken by the first waiter itself, which is woken for it and keeps its place.
    #[derive(Default)]
    struct Shelf {
        things: usize,
        waiters: WaitList<()>,
        taken_by: Vec<u64>,
    }

    type Shared = Mutex<Shelf>;

    fn wake_first(shelf: &Shared) {
        let mut woken = WakeList::default();
        let mut shelf = shelf.lock().unwrap();
        if shelf.things > 0 {
            shelf.waiters.take_front_waker().into_iter().for_each(|waker| woken.push(waker));
        }
        drop(shelf);
        woken.wake();
    }

    /// True if it has taken something, and left.
    fn look(shelf: &Shared, key: &mut WaiterKey, ticket: u64) -> bool {
        let mut state = shelf.lock().unwrap();
        if state.things == 0 || !state.waiters.is_front(key) {
            return false;
        }
        state.things -= 1;
        state.taken_by.push(ticket);
        let prev = state.waiters.remove(key);
        drop(state);
        drop(prev);
        wake_first(shelf);
        true
    }

    /// Two wait; two things come, one by one, while the first looks or leaves without having looked. None is overtaken,
    /// and none that is first beside a thing was left asleep.
    #[test]
    fn loom_first_waiter_is_woken_keeps_its_place_and_leaves_it_to_the_next() {
        for leaves in [false, true] {
            loom::model(move || {
                let shelf = Arc::new(Mutex::new(Shelf::default()));
                let ((first_wakes, first), (second_wakes, second)) = (counting_waker(), counting_waker());
                let (mut a, mut b) = (WaiterKey::default(), WaiterKey::default());
                shelf.lock().unwrap().waiters.push(&mut a, (), first);
                shelf.lock().unwrap().waiters.push(&mut b, (), second);
                let giver = {
                    let shelf = shelf.clone();
                    loom::thread::spawn(move || {
                        for _ in 0..2 {
                            shelf.lock().unwrap().things += 1;
                            wake_first(&shelf);
                        }
                    })
                };

                let mut a_has = false;
                if leaves {
                    let prev = shelf.lock().unwrap().waiters.remove(&mut a);
                    drop(prev);
                    wake_first(&shelf);
                } else {
                    a_has = look(&shelf, &mut a, 1);
                }
                let mut b_has = look(&shelf, &mut b, 2);
                giver.join().unwrap();
                if !leaves && !a_has {
                    assert!(first_wakes.count() > 0 && !b_has);
                    a_has = look(&shelf, &mut a, 1);
                }
                if !b_has {
                    assert!(second_wakes.count() > 0);
                    b_has = look(&shelf, &mut b, 2);
                }
                assert!(b_has && a_has != leaves);
                assert!(shelf.lock().unwrap().taken_by.is_sorted() && shelf.lock().unwrap().waiters.is_empty());
            });
        }
    }
}
