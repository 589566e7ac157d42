//! The intrusive queue of an inbox: many producers, one consumer, empty in two words.
//!
//! Never allocates and never blocks. `tail` is null exactly when the queue is empty; the producer that finds it null
//! has made it non-empty and alone must schedule the consumer. Source: the swap-based queue of D. Vyukov, without its
//! stub node, so that emptiness itself is the scheduling signal.
//!
//! Invariants: only the producer that made the queue non-empty writes `head` until it is done, only the consumer
//! otherwise. An envelope belongs to the queue from `push` until `pop` returns it.

use crate::loom::hint;
use crate::loom::sync::atomic::{AtomicPtr, Ordering};
use std::ptr::{self, NonNull};

/// Looks at a link that another thread is about to write before giving up the turn. Guessed: the window is two
/// instructions long, so only a preempted producer makes anybody wait longer. The models also see what comes after.
const LINK_SPINS: usize = if cfg!(posse_loom) { 1 } else { 64 };

/// The first field of every envelope.
#[derive(Debug)]
#[repr(C)]
pub(super) struct QueueLinks {
    next: AtomicPtr<QueueLinks>,
}

impl QueueLinks {
    pub(super) fn new() -> Self {
        Self { next: AtomicPtr::new(ptr::null_mut()) }
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    /// The last envelope; null when idle.
    tail: AtomicPtr<QueueLinks>,
    /// The first envelope; null when idle, and for an instant while the queue leaves idle.
    head: AtomicPtr<QueueLinks>,
}

/// What the consumer found.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pop {
    Envelope(NonNull<QueueLinks>),
    /// Empty: the next push schedules the consumer.
    Empty,
    /// A push is under way. If it `wakes_consumer` its producer schedules the consumer, else the consumer must look again.
    Busy {
        wakes_consumer: bool,
    },
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { tail: AtomicPtr::new(ptr::null_mut()), head: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Appends an envelope. True if the queue was empty: the caller must schedule the consumer.
    ///
    /// # Safety
    /// `envelope` is valid until it is popped, and in no queue.
    #[inline]
    #[must_use]
    pub(super) unsafe fn push(&self, envelope: NonNull<QueueLinks>) -> bool {
        // AcqRel: takes over `head` from the consumer that went idle, and hands the envelope's content to the consumer.
        let last = self.tail.swap(envelope.as_ptr(), Ordering::AcqRel);
        let Some(last) = NonNull::new(last) else {
            // Partner: the load in `pop`.
            self.head.store(envelope.as_ptr(), Ordering::Release);
            return true;
        };

        // SAFETY: the consumer does not give out the last envelope before it has read this link.
        let last = unsafe { last.as_ref() };
        // Partner: the load of `next` in `pop`.
        last.next.store(envelope.as_ptr(), Ordering::Release);
        false
    }

    /// Takes the first envelope.
    ///
    /// # Safety
    /// Only the one consumer may call this.
    #[inline]
    pub(super) unsafe fn pop(&self) -> Pop {
        let Some(first) = NonNull::new(self.head.load(Ordering::Acquire)) else {
            let leaving_idle = !self.tail.load(Ordering::Acquire).is_null();
            return if leaving_idle { Pop::Busy { wakes_consumer: true } } else { Pop::Empty };
        };

        // SAFETY: an envelope in the queue is valid.
        let link = unsafe { first.as_ref() };
        // With one behind it the first can go: no producer writes its link any more.
        let next = link.next.load(Ordering::Acquire);
        if !next.is_null() {
            self.head.store(next, Ordering::Relaxed);
            return Pop::Envelope(first);
        }
        self.pop_last(first, link)
    }

    /// Takes what seems to be the only envelope, which makes the queue idle.
    fn pop_last(&self, first: NonNull<QueueLinks>, link: &QueueLinks) -> Pop {
        // Before the exchange: the producer that finds the queue idle writes `head` after it.
        self.head.store(ptr::null_mut(), Ordering::Relaxed);
        let idle =
            self.tail.compare_exchange(first.as_ptr(), ptr::null_mut(), Ordering::AcqRel, Ordering::Acquire).is_ok();
        if idle {
            return Pop::Envelope(first);
        }

        // A producer has swapped the tail and not written its link yet: two instructions, unless it was preempted there.
        for _ in 0..LINK_SPINS {
            let next = link.next.load(Ordering::Acquire);
            if !next.is_null() {
                self.head.store(next, Ordering::Relaxed);
                return Pop::Envelope(first);
            }
            hint::spin_loop();
        }
        // Put back for the next look; the queue is not idle, so no producer writes `head`.
        self.head.store(first.as_ptr(), Ordering::Relaxed);
        Pop::Busy { wakes_consumer: false }
    }
}

#[cfg(all(test, not(posse_loom)))]
impl Queue {
    /// As if the producer of what comes after the first envelope had not written its link yet. Returns the link.
    pub(super) fn hide_second(&self) -> *mut QueueLinks {
        // SAFETY: the test holds back the consumer, so the first envelope is valid.
        unsafe { &*self.head.load(Ordering::Acquire) }.next.swap(ptr::null_mut(), Ordering::AcqRel)
    }

    /// The producer goes on and writes the link.
    pub(super) fn show_second(&self, second: *mut QueueLinks) {
        // SAFETY: as in `hide_second`.
        unsafe { &*self.head.load(Ordering::Acquire) }.next.store(second, Ordering::Release);
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    fn pop(queue: &Queue) -> Pop {
        // SAFETY: each test is the one consumer.
        unsafe { queue.pop() }
    }

    fn push(queue: &Queue, envelope: &QueueLinks) -> bool {
        // SAFETY: it outlives the queue, and is pushed once.
        unsafe { queue.push(NonNull::from(envelope)) }
    }

    #[test]
    fn only_a_push_into_an_empty_queue_says_so() {
        let links = [QueueLinks::new(), QueueLinks::new(), QueueLinks::new()];
        let queue = Queue::new();
        assert_eq!(links.each_ref().map(|link| push(&queue, link)), [true, false, false]);
        for link in &links {
            assert_eq!(pop(&queue), Pop::Envelope(NonNull::from(link)));
        }
        assert_eq!(pop(&queue), Pop::Empty);
        let again = QueueLinks::new();
        assert!(push(&queue, &again));
        assert_eq!(pop(&queue), Pop::Envelope(NonNull::from(&again)));
    }

    #[test]
    fn a_producer_that_is_not_done_with_a_full_queue_is_looked_for_again_and_again() {
        let links = [QueueLinks::new(), QueueLinks::new()];
        let queue = Queue::new();
        assert!(push(&queue, &links[0]) && !push(&queue, &links[1]));
        let second = queue.hide_second();
        for _ in 0..3 {
            assert_eq!(pop(&queue), Pop::Busy { wakes_consumer: false });
        }
        queue.show_second(second);
        for link in &links {
            assert_eq!(pop(&queue), Pop::Envelope(NonNull::from(link)));
        }
        assert_eq!(pop(&queue), Pop::Empty);
    }

    #[test]
    fn a_producer_that_is_not_done_with_an_empty_queue_wakes_the_consumer_itself() {
        let link = QueueLinks::new();
        let queue = Queue::new();
        assert!(push(&queue, &link));
        let first = queue.head.swap(ptr::null_mut(), Ordering::AcqRel);
        assert_eq!(pop(&queue), Pop::Busy { wakes_consumer: true });
        queue.head.store(first, Ordering::Release);
        assert_eq!(pop(&queue), Pop::Envelope(NonNull::from(&link)));
        assert_eq!(pop(&queue), Pop::Empty);
    }
}
