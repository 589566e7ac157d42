//! How many messages an inbox has accepted and not yet given out, and who waits for room.
//!
//! One word holds the count and two flags, so that accepting, closing and announcing a waiter cannot miss each other.
//! Room that becomes free while somebody waits is *granted* to the first waiter: nobody overtakes it.

use crate::shim::sync::atomic::{AtomicUsize, Ordering};
use crate::shim::sync::{Mutex, MutexGuard};
use std::collections::BTreeMap;
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
pub(super) struct Credit {
    word: AtomicUsize,
    capacity: usize,
    waiters: Mutex<Waiters>,
    /// Messages that were accepted beyond the bound, as may be.
    #[cfg(feature = "sim")]
    beyond: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiters {
    /// By order of arrival.
    queue: BTreeMap<u64, Waker>,
    next_key: u64,
    /// Places that hold room they have not used yet.
    granted: usize,
}

/// A sender's place in the line for room. Idle at first; ends by `take_granted` or `forget`.
#[derive(Debug, Default)]
pub(super) struct Place {
    key: Option<u64>,
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Closed,
}

impl Credit {
    pub(super) fn new(capacity: Capacity) -> Self {
        let capacity = match capacity {
            Capacity::Bounded(bound) => bound.get().min(COUNT),
            Capacity::Unbounded => COUNT,
        };
        Self {
            word: AtomicUsize::new(0),
            capacity,
            waiters: Mutex::default(),
            #[cfg(feature = "sim")]
            beyond: AtomicUsize::new(0),
        }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        (self.capacity != COUNT).then_some(self.capacity)
    }

    pub(super) fn count(&self) -> usize {
        self.word.load(Ordering::Relaxed) & COUNT
    }

    /// Whether more messages were accepted than may be.
    #[cfg(feature = "sim")]
    pub(super) fn is_above_bound(&self) -> bool {
        self.count() > self.capacity.saturating_add(self.beyond.load(Ordering::Acquire))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Takes room for one message, unless the inbox is full, closed, or others wait.
    #[inline]
    pub(super) fn acquire(&self) -> Result<(), Refusal> {
        self.acquire_if(|word| word & WAITERS == 0 && word & COUNT < self.capacity)
    }

    /// Takes room beyond any bound.
    pub(super) fn acquire_reserved(&self) -> Result<(), Refusal> {
        #[cfg(feature = "sim")]
        self.beyond.fetch_add(1, Ordering::AcqRel);
        self.acquire_if(|_| true)
    }

    fn acquire_if(&self, has_room: impl Fn(usize) -> bool) -> Result<(), Refusal> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & CLOSED != 0 {
                return Err(Refusal::Closed);
            }
            if !has_room(word) {
                return Err(Refusal::Full);
            }
            // AcqRel: ordered with `close`, whose count then includes this message.
            match self.word.compare_exchange_weak(word, word + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Gives room for `count` messages back, to waiters first.
    #[inline]
    pub(super) fn release(&self, count: usize) {
        let before = self.word.fetch_sub(count, Ordering::AcqRel);
        if before & WAITERS != 0 {
            self.grant();
        }
    }

    /// Hands free room to waiters in the order they came, and wakes them outside the lock.
    fn grant(&self) {
        let mut woken = Vec::new();
        let mut waiters = self.lock();
        while !waiters.queue.is_empty() && self.acquire_if(|word| word & COUNT < self.capacity).is_ok() {
            woken.extend(waiters.queue.pop_first().map(|(_, waker)| waker));
            waiters.granted += 1;
        }
        self.lower_flag(&waiters);
        drop(waiters);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Takes the room that was granted to a place. False if none was, or the inbox has closed meanwhile.
    pub(super) fn take_granted(&self, place: &mut Place) -> bool {
        let Some(key) = place.key else { return false };
        let mut waiters = self.lock();
        if waiters.queue.contains_key(&key) {
            return false;
        }

        place.key = None;
        if self.is_closed() {
            return false;
        }
        waiters.granted -= 1;
        true
    }

    /// Waits for room: ready with true when it was granted, with false when the inbox is closed.
    pub(super) fn poll_room(&self, place: &mut Place, cx: &mut Context<'_>) -> Poll<bool> {
        let mut waiters = self.lock();
        if self.is_closed() {
            place.key = None;
            return Poll::Ready(false);
        }

        let key = match place.key {
            Some(key) => {
                let Some(waker) = waiters.queue.get_mut(&key) else { return Poll::Ready(true) };
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            None => {
                let key = waiters.next_key;
                waiters.next_key += 1;
                waiters.queue.insert(key, cx.waker().clone());
                *place.key.insert(key)
            }
        };

        // Room may have become free before the flag was up; whoever releases after this sees the flag.
        let before = self.word.fetch_or(WAITERS, Ordering::AcqRel);
        drop(waiters);
        if before & COUNT >= self.capacity {
            return Poll::Pending;
        }
        self.grant();
        if self.lock().queue.contains_key(&key) { Poll::Pending } else { Poll::Ready(!self.is_closed()) }
    }

    /// Leaves the line; room that was granted goes to the next.
    pub(super) fn forget(&self, place: &mut Place) {
        let Some(key) = place.key.take() else { return };
        let mut waiters = self.lock();
        if waiters.queue.remove(&key).is_some() {
            self.lower_flag(&waiters);
        } else if !self.is_closed() {
            waiters.granted -= 1;
            drop(waiters);
            self.release(1);
        }
    }

    /// Refuses every message from now on and wakes all waiters. Room that was granted and not used is taken back, so
    /// that the count is exactly the messages that were, or are just being, pushed.
    pub(super) fn close(&self) {
        let mut waiters = self.lock();
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
        let unused = std::mem::take(&mut waiters.granted);
        self.word.fetch_sub(unused, Ordering::AcqRel);
        let woken = std::mem::take(&mut waiters.queue);
        drop(waiters);
        woken.into_values().for_each(Waker::wake);
    }

    fn lower_flag(&self, waiters: &Waiters) {
        if waiters.queue.is_empty() {
            self.word.fetch_and(!WAITERS, Ordering::AcqRel);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(|e| e.into_inner())
    }
}
