//! The permits of an inbox: how many messages it has accepted and not yet given out, and which senders wait for room.
//!
//! One word holds the count and two flags, so that accepting, closing and announcing a waiter cannot miss each other.
//! Room that becomes free while a sender waits is *granted* to the first waiter: no other overtakes it.

use super::audit::OverCapacity;
use super::turn::TURN_MESSAGES;
use crate::loom::sync::Mutex;
use crate::loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::wait_list::{PollWaker, WaitKind, WaitList, WaiterKey, WakeList};
use std::num::NonZeroUsize;
use std::task::{Context, Poll, Waker};

const CLOSED: usize = 1 << (usize::BITS - 1);
const WAITERS: usize = 1 << (usize::BITS - 2);
const COUNT: usize = WAITERS - 1;

/// How many messages an inbox takes before senders must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// At most this many.
    Bounded(NonZeroUsize),
    /// As many as memory holds. A flood then ends the process; prefer a bound.
    Unbounded,
}

#[derive(Debug)]
pub(super) struct Permits {
    /// Messages accepted and not given out, and the flags `CLOSED` and `WAITERS`. Senders add, the inbox subtracts, closing and
    /// waiting set the flags under the lock of `waiters`.
    word: AtomicUsize,
    /// The bound on the count; never changes.
    capacity: usize,
    /// Senders that wait for room, in the order they came.
    waiters: Mutex<WaitList<()>>,
    /// Waiters with a smaller ticket were granted room, and see so without the lock. Written under the lock.
    granted_below: AtomicU64,
    /// Room that was granted and not used yet; counted in the word. It grows under the lock only.
    granted: AtomicUsize,
    /// Room beyond that for the turns of those who were granted some; counted in the word. Zero while none waits.
    set_aside: AtomicUsize,
    /// Messages that were accepted beyond the bound, as may be.
    over_capacity: OverCapacity,
}

/// A sender's place in the line for room in a full inbox. `Default` is one that does not wait.
///
/// One that waits must be used up by a `try_*_with` or given to [`CellRef::cancel_reserve`](super::CellRef::cancel_reserve),
/// which its owner does when it is dropped.
#[derive(Debug, Default)]
pub struct Reservation {
    key: WaiterKey,
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TryAcquireError {
    Full,
    Closed,
}

impl Permits {
    pub(super) fn new(capacity: Capacity) -> Self {
        let capacity = match capacity {
            Capacity::Bounded(bound) => bound.get().min(COUNT),
            Capacity::Unbounded => COUNT,
        };
        Self {
            word: AtomicUsize::new(0),
            capacity,
            waiters: Mutex::default(),
            granted_below: AtomicU64::new(0),
            granted: AtomicUsize::new(0),
            set_aside: AtomicUsize::new(0),
            over_capacity: OverCapacity::default(),
        }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        (self.capacity != COUNT).then_some(self.capacity)
    }

    pub(super) fn count(&self) -> usize {
        self.word.load(Ordering::Relaxed) & COUNT
    }

    /// In a simulation: that no more messages were accepted than may be.
    #[inline]
    pub(super) fn check_bound(&self) {
        self.over_capacity.check(self.capacity, || self.count());
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Whether a message would not be refused for want of room, as it looks now: a sender that waits needs room that was granted to
    /// it, another one room that is free while no sender waits, or that was set aside for its turn.
    pub(super) fn has_room(&self, reservation: &Reservation, is_turn: impl FnOnce() -> bool) -> bool {
        if !reservation.key.is_idle() {
            return self.was_granted(reservation) || self.is_closed();
        }
        let word = self.word.load(Ordering::Acquire);
        let is_free = word & WAITERS == 0 && word & COUNT < self.capacity;
        is_free || word & CLOSED != 0 || (self.set_aside.load(Ordering::Relaxed) != 0 && is_turn())
    }

    /// Takes room for one message, unless the inbox is full, closed, or others wait.
    #[inline]
    pub(super) fn acquire(&self) -> Result<(), TryAcquireError> {
        self.acquire_if(|word| word & WAITERS == 0 && word & COUNT < self.capacity)
    }

    /// Takes room beyond any bound.
    pub(super) fn acquire_unbounded(&self) -> Result<(), TryAcquireError> {
        self.over_capacity.add();
        self.acquire_if(|_| true)
    }

    fn acquire_if(&self, has_room: impl Fn(usize) -> bool) -> Result<(), TryAcquireError> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            // Closed and full are looked at in the word that is exchanged: neither can come about in between.
            if word & CLOSED != 0 {
                return Err(TryAcquireError::Closed);
            }
            if !has_room(word) {
                return Err(TryAcquireError::Full);
            }
            // AcqRel: ordered with `close`, whose count then includes this message.
            match self.word.compare_exchange_weak(word, word + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Gives room for `count` messages back, to waiters first. True if others still wait.
    #[inline]
    pub(super) fn release(&self, count: usize) -> bool {
        let before = self.word.fetch_sub(count, Ordering::AcqRel);
        before & WAITERS != 0 && self.grant(1)
    }

    /// As [`release`](Self::release), but while many wait some are let in for a whole turn and not all for one message.
    /// The caller comes back soon: with more room, or to [`reclaim`](Self::reclaim) what was not used.
    pub(super) fn release_in_turns(&self, count: usize) -> bool {
        let before = self.word.fetch_sub(count, Ordering::AcqRel);
        before & WAITERS != 0 && self.grant(TURN_MESSAGES)
    }

    /// Grants room that was set aside, and not used, to those who wait.
    #[inline]
    pub(super) fn reclaim(&self) -> bool {
        // Set by the caller itself, or by another one that grants.
        self.set_aside.load(Ordering::Relaxed) != 0 && self.grant(1)
    }

    /// Takes room for as many as it can, at most `most`.
    fn acquire_many(&self, most: usize) -> usize {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let room = if word & CLOSED == 0 { self.capacity.saturating_sub(word & COUNT).min(most) } else { 0 };
            if room == 0 {
                return 0;
            }
            match self.word.compare_exchange_weak(word, word + room, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return room,
                Err(now) => word = now,
            }
        }
    }

    /// Hands free room to waiters in the order they came, many at once, and wakes them outside the lock. Each gets room for
    /// one message, and as far as there is room and others still wait, what it takes for a turn of `turn` messages is set aside. True if others still wait.
    fn grant(&self, turn: usize) -> bool {
        let mut waiters = self.waiters.lock();
        self.return_set_aside();
        loop {
            let mut woken = WakeList::default();
            let most = waiters.len().min(woken.room());
            let room = self.acquire_many(most * turn);
            let granted = room.div_ceil(turn);
            for _ in 0..granted {
                waiters.pop().into_iter().for_each(|waker| woken.push(waker));
            }
            if granted > 0 {
                self.granted.fetch_add(granted, Ordering::Relaxed);
                self.set_aside.fetch_add(room - granted, Ordering::Release);
                // Release: who sees its ticket below sees the room too. Partner: the load in `was_granted`.
                self.granted_below.store(waiters.front_ticket(), Ordering::Release);
            }
            let others_wait = !waiters.is_empty();
            self.clear_waiters_flag(&waiters);
            drop(waiters);

            woken.wake();
            // With less than was asked for there is no room, and the consumer sees the flag when it gives some back.
            if !others_wait || granted < most {
                return others_wait;
            }
            waiters = self.waiters.lock();
        }
    }

    /// Makes room that was set aside free again. Called under the lock.
    fn return_set_aside(&self) {
        if self.set_aside.load(Ordering::Relaxed) != 0 {
            // Partner: the update in `take_set_aside`. Either the room is used there or returned here.
            let unused = self.set_aside.swap(0, Ordering::AcqRel);
            self.word.fetch_sub(unused, Ordering::AcqRel);
        }
    }

    /// Takes room for one more message of a turn.
    pub(super) fn take_set_aside(&self) -> bool {
        take_one(&self.set_aside)
    }

    fn was_granted(&self, reservation: &Reservation) -> bool {
        !reservation.key.is_idle() && reservation.key.is_before(self.granted_below.load(Ordering::Acquire))
    }

    /// Takes the room that was granted to a place, without the lock. False if none was, or the inbox has closed meanwhile.
    #[inline]
    pub(super) fn take_granted(&self, reservation: &mut Reservation) -> bool {
        self.was_granted(reservation) && self.use_grant(reservation)
    }

    /// Makes granted room that of one message. False if closing has taken it back.
    fn use_grant(&self, reservation: &mut Reservation) -> bool {
        reservation.key = WaiterKey::default();
        // Partner: the swap in `close`. Either the room is used here or taken back there.
        take_one(&self.granted)
    }

    /// Waits for room: ready with true when it was granted, with false when the inbox is closed.
    pub(super) fn poll_reserve(&self, reservation: &mut Reservation, cx: &mut Context<'_>) -> Poll<bool> {
        if self.was_granted(reservation) {
            return Poll::Ready(!self.is_closed());
        }

        let mut waker = PollWaker::of(cx, WaitKind::Mailbox);
        let mut waiters = self.waiters.lock();
        if self.is_closed() || self.was_granted(reservation) {
            return Poll::Ready(!self.is_closed());
        }
        if !reservation.key.is_idle() {
            let state = waiters.poll(&mut reservation.key, &mut waker);
            drop(waiters);
            drop(state);
            return Poll::Pending;
        }
        if waiters.is_empty() && self.acquire_many(1) == 1 {
            self.grant_at_once(&mut waiters, reservation);
            return Poll::Ready(true);
        }
        waiters.push(&mut reservation.key, (), waker.take());

        // The flag is lowered under this lock alone. If it is up, the consumer that released room since then has yet to grant it.
        if self.word.load(Ordering::Relaxed) & WAITERS != 0 {
            return Poll::Pending;
        }
        // Room may have become free before the flag was up; a release after this sees the flag.
        let before = self.word.fetch_or(WAITERS, Ordering::AcqRel);
        drop(waiters);
        if before & COUNT >= self.capacity {
            return Poll::Pending;
        }
        self.grant(1);
        if self.is_closed() {
            return Poll::Ready(false);
        }
        if self.was_granted(reservation) { Poll::Ready(true) } else { Poll::Pending }
    }

    /// No sender waits, and there is room: the place is one that was granted, and none needs to be woken. Called under the lock.
    fn grant_at_once(&self, waiters: &mut WaitList<()>, reservation: &mut Reservation) {
        waiters.push(&mut reservation.key, (), Waker::noop().clone());
        waiters.pop();
        self.granted.fetch_add(1, Ordering::Relaxed);
        self.granted_below.store(waiters.front_ticket(), Ordering::Release);
    }

    /// Leaves the line; room that was granted goes to the next.
    pub(super) fn cancel_reserve(&self, reservation: &mut Reservation) {
        if reservation.key.is_idle() {
            return;
        }
        let mut waiters = self.waiters.lock();
        if self.was_granted(reservation) {
            drop(waiters);
            if self.use_grant(reservation) {
                self.release(1);
            }
            return;
        }
        let left = waiters.remove(&mut reservation.key);
        self.clear_waiters_flag(&waiters);
        drop(waiters);
        drop(left);
    }

    /// Refuses every message from now on and wakes all waiters. Room that was granted and not used is taken back, so
    /// that the count is exactly the messages that were, or are just being, pushed.
    pub(super) fn close(&self) {
        let mut waiters = self.waiters.lock();
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
        self.return_set_aside();
        // Partner: the update in `use_grant`.
        let unused = self.granted.swap(0, Ordering::AcqRel);
        self.word.fetch_sub(unused, Ordering::AcqRel);
        while !waiters.is_empty() {
            let mut woken = WakeList::default();
            waiters.pop_before(u64::MAX, &mut woken);
            drop(waiters);
            woken.wake();
            waiters = self.waiters.lock();
        }
    }

    fn clear_waiters_flag(&self, waiters: &WaitList<()>) {
        if waiters.is_empty() {
            self.return_set_aside();
            self.word.fetch_and(!WAITERS, Ordering::AcqRel);
        }
    }
}

fn take_one(room: &AtomicUsize) -> bool {
    room.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |room| room.checked_sub(1)).is_ok()
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;
    use crate::testing::{CountWakes, counting_waker, waker_that_drops, waker_that_is_cloned};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    fn full(capacity: usize) -> Permits {
        let permits = Permits::new(Capacity::Bounded(NonZeroUsize::new(capacity).expect("not zero")));
        (0..capacity).for_each(|_| permits.acquire().expect("there is room"));
        assert_eq!(permits.acquire(), Err(TryAcquireError::Full));
        permits
    }

    fn poll(permits: &Permits, reservation: &mut Reservation, waker: &Waker) -> Poll<bool> {
        permits.poll_reserve(reservation, &mut Context::from_waker(waker))
    }

    fn wait(permits: &Permits) -> (Reservation, Arc<CountWakes>) {
        let (wakes, waker) = counting_waker();
        let mut reservation = Reservation::default();
        assert!(poll(permits, &mut reservation, &waker).is_pending());
        (reservation, wakes)
    }

    #[test]
    fn there_is_room_for_who_was_granted_some_for_who_overtakes_nobody_and_for_a_turn() {
        let (idle, never) = (Reservation::default(), || panic!("nothing is set aside"));
        let permits = full(8);
        assert!(!permits.has_room(&idle, never));
        let ((first, _), (second, _)) = (wait(&permits), wait(&permits));
        permits.release_in_turns(1);
        assert!(permits.has_room(&first, never) && !permits.has_room(&second, never));
        permits.release_in_turns(4);
        assert!(permits.has_room(&second, || true));
        assert!(permits.acquire().is_ok() && permits.has_room(&idle, || false), "no sender waits any more");

        let permits = full(8);
        let waiting: Vec<_> = (0..3).map(|_| wait(&permits)).collect();
        permits.release_in_turns(4);
        assert!(permits.has_room(&waiting[0].0, || false) && !permits.has_room(&waiting[1].0, || true));
        assert!(permits.has_room(&idle, || true) && !permits.has_room(&idle, || false));
        permits.close();
        assert!(
            waiting.iter().all(|(waiting, _)| permits.has_room(waiting, || false)) && permits.has_room(&idle, never)
        );
    }

    #[test]
    fn wakers_are_cloned_under_no_lock_and_a_clone_that_panics_joins_nothing() {
        let permits = Arc::new(full(1));
        let mut reservation = Reservation::default();
        let panics = waker_that_is_cloned(|| panic!("on purpose"));
        let join =
            |reservation: &mut Reservation| catch_unwind(AssertUnwindSafe(|| poll(&permits, reservation, &panics)));
        assert!(join(&mut reservation).is_err());
        assert!(permits.waiters.lock().is_empty());
        for _ in 0..2 {
            let looks = permits.clone();
            let waker = waker_that_is_cloned(move || assert!(looks.waiters.try_lock().is_some()));
            assert!(poll(&permits, &mut reservation, &waker).is_pending());
        }
        assert!(join(&mut reservation).is_err());
        permits.release(1);
        assert_eq!(poll(&permits, &mut reservation, Waker::noop()), Poll::Ready(true));
    }

    #[test]
    fn no_more_are_let_in_than_there_is_room_and_in_the_order_they_came() {
        let permits = full(100);
        let mut waiting: Vec<_> = (0..99).map(|_| wait(&permits)).collect();
        for room in [1, 2, 47, 49] {
            let before = waiting.iter().filter(|(_, wakes)| wakes.count() > 0).count();
            permits.release(room);
            let woken = waiting.iter().take_while(|(_, wakes)| wakes.count() == 1).count();
            let all = waiting.iter().filter(|(_, wakes)| wakes.count() > 0).count();
            assert_eq!((woken, all), (before + room, before + room));
            assert_eq!((permits.count(), permits.acquire()), (100, Err(TryAcquireError::Full)));
        }
        for (reservation, _) in &mut waiting {
            assert_eq!(poll(&permits, reservation, Waker::noop()), Poll::Ready(true));
            assert!(permits.take_granted(reservation));
            assert!(!permits.take_granted(reservation), "it was granted room once");
        }
        permits.release(1);
        assert_eq!(permits.acquire(), Ok(()));
    }

    #[test]
    fn free_room_is_granted_at_once_and_nobody_is_woken() {
        let permits = full(2);
        permits.release(2);
        let (wakes, waker) = counting_waker();
        let mut reservations = [Reservation::default(), Reservation::default()];
        for reservation in &mut reservations {
            assert_eq!(poll(&permits, reservation, &waker), Poll::Ready(true));
        }
        assert_eq!((permits.count(), permits.acquire()), (2, Err(TryAcquireError::Full)));
        let [mut used, mut given_up] = reservations;
        assert!(permits.take_granted(&mut used) && !permits.take_granted(&mut used));
        permits.cancel_reserve(&mut given_up);
        assert_eq!((permits.count(), wakes.count()), (1, 0));
    }

    #[test]
    fn who_comes_while_others_wait_waits_behind_them() {
        let permits = full(1);
        let (mut first, _) = wait(&permits);
        permits.release(1);
        assert_eq!(permits.acquire(), Err(TryAcquireError::Full), "granted room was overtaken");
        assert!(permits.take_granted(&mut first));
        assert_eq!(permits.count(), 1);
    }

    #[test]
    fn while_many_wait_some_are_let_in_for_a_turn_and_what_they_do_not_use_goes_to_the_next() {
        let permits = full(64);
        let mut waiting: Vec<_> = (0..38).map(|_| wait(&permits)).collect();
        let woken =
            |waiting: &[(Reservation, Arc<CountWakes>)]| waiting.iter().take_while(|(_, w)| w.count() == 1).count();
        permits.release_in_turns(32);
        assert_eq!((woken(&waiting), permits.count()), (8, 64));
        assert!(permits.take_granted(&mut waiting[0].0));
        // The room of the turns is no other sender's, and there is no more of it than was set aside.
        assert_eq!(permits.acquire(), Err(TryAcquireError::Full));
        assert!(permits.take_set_aside() && permits.take_set_aside());
        permits.reclaim();
        assert_eq!((woken(&waiting), permits.count(), permits.take_set_aside()), (8 + 22, 64, false));

        // Enough for all who wait: there is no sender to set it aside for.
        permits.release_in_turns(32);
        assert_eq!((woken(&waiting), permits.count()), (38, 64 - 24));
        assert_eq!((permits.take_set_aside(), permits.acquire()), (false, Ok(())));
    }

    #[test]
    fn closing_takes_back_what_was_set_aside() {
        let permits = full(64);
        let _waiting: Vec<_> = (0..40).map(|_| wait(&permits)).collect();
        permits.release_in_turns(32);
        assert!(permits.take_set_aside());
        permits.close();
        assert_eq!((permits.count(), permits.take_set_aside()), (33, false));
    }

    #[test]
    fn who_leaves_the_line_lets_the_others_in() {
        // Before it was granted anything: the line is empty, and the flag down.
        let permits = full(1);
        let (mut leaves, _) = wait(&permits);
        permits.cancel_reserve(&mut leaves);
        permits.release(1);
        assert_eq!(permits.acquire(), Ok(()));

        // After: what it was granted goes to the next.
        let (mut leaves, _) = wait(&permits);
        let (mut stays, wakes) = wait(&permits);
        permits.release(1);
        assert_eq!(wakes.count(), 0);
        permits.cancel_reserve(&mut leaves);
        assert_eq!(wakes.count(), 1);
        assert!(permits.take_granted(&mut stays) && !permits.take_granted(&mut leaves));
        assert_eq!(permits.count(), 1);
    }

    #[test]
    fn the_latest_waker_is_woken_and_the_previous_is_dropped_under_no_lock() {
        let permits = Arc::new(full(1));
        let looks = permits.clone();
        let prev = waker_that_drops(move || drop(looks.waiters.lock()));
        let mut reservation = Reservation::default();
        assert!(poll(&permits, &mut reservation, &prev).is_pending());
        drop(prev);
        let (wakes, waker) = counting_waker();
        assert!(poll(&permits, &mut reservation, &waker).is_pending());
        permits.release(1);
        assert_eq!(wakes.count(), 1);

        let looks = permits.clone();
        let waker = waker_that_drops(move || drop(looks.waiters.lock()));
        let mut leaves = Reservation::default();
        assert!(poll(&permits, &mut leaves, &waker).is_pending());
        drop(waker);
        permits.cancel_reserve(&mut leaves);
    }

    #[test]
    fn closing_takes_back_what_was_granted_and_refuses_all_who_wait() {
        let permits = full(1);
        let (mut granted, _) = wait(&permits);
        let mut waiting: Vec<_> = (0..100).map(|_| wait(&permits)).collect();
        permits.release(1);
        assert_eq!(permits.count(), 1);
        permits.close();
        assert_eq!(permits.count(), 0);
        for (reservation, wakes) in &mut waiting {
            assert_eq!((wakes.count(), poll(&permits, reservation, Waker::noop())), (1, Poll::Ready(false)));
            assert!(!permits.take_granted(reservation));
            permits.cancel_reserve(reservation);
        }
        assert_eq!(poll(&permits, &mut granted, Waker::noop()), Poll::Ready(false));
        permits.cancel_reserve(&mut granted);
        assert_eq!((permits.count(), permits.acquire()), (0, Err(TryAcquireError::Closed)));
    }
}
