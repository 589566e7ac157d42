//! What is known of one socket: which directions are ready, and who waits for them.
//!
//! Events are edge-triggered, so a direction stays ready until an operation on it would block. `state` packs the ready
//! bits with a tick that each event raises: who clears a bit names the tick it saw before it tried, and fails if an
//! event has come since. That is why no event is lost between an operation and the clearing.

use super::os::Event;
use crate::shim::sync::Mutex;
use crate::shim::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

const READABLE: usize = 1;
const WRITABLE: usize = 1 << 1;
/// The peer will send no more, or there is an error: stays until an operation really would block.
const READ_CLOSED: usize = 1 << 2;
const WRITE_CLOSED: usize = 1 << 3;
const TICK: usize = 1 << 4;

/// A direction of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Direction {
    fn bit(self) -> usize {
        match self {
            Self::Read => READABLE,
            Self::Write => WRITABLE,
        }
    }

    fn bits(self) -> usize {
        match self {
            Self::Read => READABLE | READ_CLOSED,
            Self::Write => WRITABLE | WRITE_CLOSED,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Readiness {
    state: AtomicUsize,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    read: Vec<Waker>,
    write: Vec<Waker>,
}

impl Waiters {
    fn of(&mut self, direction: Direction) -> &mut Vec<Waker> {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

/// Proof that a direction was seen ready, for clearing exactly that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    tick: usize,
}

impl Readiness {
    /// Both directions are taken to be ready: the first operation tells, and mostly is right.
    pub(super) fn new() -> Self {
        Self { state: AtomicUsize::new(READABLE | WRITABLE), waiters: Mutex::default() }
    }

    /// Nothing is ready until an event says so.
    pub(super) fn unready() -> Self {
        Self { state: AtomicUsize::new(0), waiters: Mutex::default() }
    }

    /// Notes an event and takes out those who waited for it; the caller wakes them.
    pub(crate) fn set(&self, event: &Event, woken: &mut Vec<Waker>) {
        let bit = |set: bool, bit: usize| if set { bit } else { 0 };
        let (read, write) = (event.read || event.read_closed, event.write || event.write_closed);
        let bits = bit(read, READABLE)
            | bit(write, WRITABLE)
            | bit(event.read_closed, READ_CLOSED)
            | bit(event.write_closed, WRITE_CLOSED);
        let raise = |state: usize| Some((state | bits).wrapping_add(TICK));
        // Release: partner is the load in `poll`. The update cannot fail.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise);

        let mut waiters = self.waiters.lock().unwrap_or_else(|e| e.into_inner());
        if read {
            woken.append(&mut waiters.read);
        }
        if write {
            woken.append(&mut waiters.write);
        }
    }

    /// Ready if the direction is; else whoever polled is woken by the next event.
    pub(super) fn poll(&self, direction: Direction, cx: &mut Context<'_>) -> Poll<Seen> {
        if let Some(seen) = self.seen(direction) {
            return Poll::Ready(seen);
        }

        let mut waiters = self.waiters.lock().unwrap_or_else(|e| e.into_inner());
        // An event takes this lock after it has set the bits: it finds the waker, or this look finds the bits.
        if let Some(seen) = self.seen(direction) {
            return Poll::Ready(seen);
        }
        let waiting = waiters.of(direction);
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    pub(super) fn seen(&self, direction: Direction) -> Option<Seen> {
        let state = self.state.load(Ordering::Acquire);
        (state & direction.bits() != 0).then_some(Seen { tick: state / TICK })
    }

    /// The operation would have blocked: the direction is not ready, unless an event has come since it was seen.
    pub(super) fn clear(&self, direction: Direction, seen: Seen) {
        self.clear_bits(direction.bits(), seen);
    }

    /// The operation moved less than it could have: the next would block, unless the peer has closed.
    pub(super) fn clear_drained(&self, direction: Direction, seen: Seen) {
        self.clear_bits(direction.bit(), seen);
    }

    fn clear_bits(&self, bits: usize, seen: Seen) {
        let clear = |state: usize| (state / TICK == seen.tick).then_some(state & !bits);
        // A refusal means that an event has come: then the bits are right as they are.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, clear);
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::shim::sync::Arc;
    use crate::shim::sync::atomic::AtomicBool;
    use std::sync::atomic::{AtomicUsize as Plain, Ordering as PlainOrdering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(Plain);

    impl Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, PlainOrdering::SeqCst);
        }
    }

    /// A reader finds nothing, clears, waits; meanwhile data arrives. It must see the bit or be woken.
    #[test]
    fn loom_an_event_between_operation_and_clear_is_not_lost() {
        loom::model(|| {
            let (readiness, data) = (Arc::new(Readiness::new()), Arc::new(AtomicBool::new(false)));
            let driver = {
                let (readiness, data) = (readiness.clone(), data.clone());
                loom::thread::spawn(move || {
                    data.store(true, Ordering::Release);
                    let mut woken = Vec::new();
                    readiness.set(
                        &Event { token: 0, read: true, read_closed: false, write: false, write_closed: false },
                        &mut woken,
                    );
                    woken.into_iter().for_each(Waker::wake);
                })
            };

            let count = std::sync::Arc::new(Count::default());
            let waker = Waker::from(count.clone());
            let mut cx = Context::from_waker(&waker);
            let mut got = false;
            while let Poll::Ready(seen) = readiness.poll(Direction::Read, &mut cx) {
                if data.load(Ordering::Acquire) {
                    got = true;
                    break;
                }
                readiness.clear(Direction::Read, seen);
            }
            driver.join().unwrap();
            assert!(got || count.0.load(PlainOrdering::SeqCst) == 1);
        });
    }
}
