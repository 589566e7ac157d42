//! The readiness of one socket: which directions are ready, and which tasks wait for them.
//!
//! Events are edge-triggered, so a direction stays ready until an operation on it would block. `state` packs the ready
//! bits with a tick that each event raises: who clears a bit names the tick it saw before it tried, and fails if an
//! event has come since. That is why no event is lost between an operation and the clearing.

use super::interest::{Interest, Ready};
use crate::io::os::Event;
use crate::loom::sync::Mutex;
use crate::loom::sync::atomic::{AtomicUsize, Ordering};
use crate::wait_list::{PollWaker, WaitKind, WaitList, WaiterKey, WaiterState};
use std::task::{Context, Poll, Waker};

// The low bits are those of a `Ready`.
const READABLE: usize = Ready::READABLE.0 as usize;
const WRITABLE: usize = Ready::WRITABLE.0 as usize;
/// The peer will send no more, or there is an error: stays until an operation really would block.
const READ_CLOSED: usize = Ready::READ_CLOSED.0 as usize;
const WRITE_CLOSED: usize = Ready::WRITE_CLOSED.0 as usize;
const PRIORITY: usize = Ready::PRIORITY.0 as usize;
const ERROR: usize = Ready::ERROR.0 as usize;
/// The runtime has ended, and no event will come: every operation is tried, none waits.
const ENDED: usize = 1 << 6;
const TICK: usize = 1 << 7;

/// A direction of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::io) enum Direction {
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
    /// Ready bits and tick. The driver sets bits and raises the tick; the task that found an operation blocking clears bits.
    state: AtomicUsize,
    /// Tasks that wait; they join and leave, the driver takes them out after it has set the bits.
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    /// Woken by what can be read, by urgent data and errors.
    read: DirectionWaiters,
    /// Woken by room to write.
    write: DirectionWaiters,
}

/// Who waits for one direction. An event wakes all of them.
#[derive(Debug, Default)]
struct DirectionWaiters {
    /// The task that called a `poll_*` function last: it has nothing to leave by, so there is one place. No
    /// `WakerSlot`: it leaves the lock in one list with the wakers of the futures.
    poller: Option<Waker>,
    /// Futures, any number of them; they leave when they are dropped.
    futures: WaitList<()>,
}

impl Waiters {
    fn of(&mut self, direction: Direction) -> &mut DirectionWaiters {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

impl DirectionWaiters {
    fn join(&mut self, key: Option<&mut WaiterKey>, waker: &mut PollWaker<'_>) -> Option<Waker> {
        let Some(key) = key else { return waker.store(&mut self.poller) };
        // It is new, or was woken by an event that turned out to be another one's, or waits already.
        match self.futures.poll_or_push(key, (), waker) {
            WaiterState::Waiting(prev) => prev,
            WaiterState::Granted | WaiterState::Woken => None,
        }
    }

    fn take(&mut self, woken: &mut Vec<Waker>) {
        woken.extend(self.poller.take());
        woken.extend(std::iter::from_fn(|| self.futures.pop()));
    }
}

/// Proof that a direction was seen ready, for clearing exactly that.
#[derive(Clone, Copy, Debug)]
pub(in crate::io) struct ReadyEvent {
    tick: usize,
    /// What of it that was asked for was ready. Empty if it is let through because no event will come any more.
    pub(in crate::io) ready: Ready,
}

impl ReadyEvent {
    /// What is left to be cleared; `None` if that is nothing.
    #[cfg(unix)]
    pub(in crate::io) fn without(self, ready: Ready) -> Option<Self> {
        let ready = self.ready - ready;
        (!ready.is_empty()).then_some(Self { ready, ..self })
    }
}

#[cfg(feature = "sim")]
impl crate::sim::env::net::EventSink for Readiness {
    fn set_ready(&self, event: crate::sim::env::net::SocketEvent, woken: &mut Vec<Waker>) {
        let crate::sim::env::net::SocketEvent { read, read_closed, write, write_closed } = event;
        self.set_readiness(&Event { read, read_closed, write, write_closed, ..Event::default() }, woken);
    }
}

impl Readiness {
    /// Both directions are taken to be ready: the first operation tells, and mostly is right.
    pub(in crate::io) fn new_ready() -> Self {
        Self { state: AtomicUsize::new(READABLE | WRITABLE), waiters: Mutex::default() }
    }

    /// Nothing is ready until an event says so.
    pub(in crate::io) fn new_not_ready() -> Self {
        Self { state: AtomicUsize::new(0), waiters: Mutex::default() }
    }

    /// Notes an event and takes out those who waited for it; the caller wakes them.
    pub(crate) fn set_readiness(&self, event: &Event, woken: &mut Vec<Waker>) {
        let bit = |set: bool, bit: usize| if set { bit } else { 0 };
        let (read, write) = (event.read || event.read_closed, event.write || event.write_closed);
        let bits = bit(read, READABLE)
            | bit(write, WRITABLE)
            | bit(event.read_closed, READ_CLOSED)
            | bit(event.write_closed, WRITE_CLOSED)
            | bit(event.priority, PRIORITY)
            | bit(event.error, ERROR);
        let raise = |state: usize| Some((state | bits).wrapping_add(TICK));
        // Release: partner is the load in `poll`. The update cannot fail.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, raise);

        // After the bits: who joins under this lock looks at them once more.
        let mut waiters = self.waiters.lock();
        if read || event.priority || event.error {
            waiters.read.take(woken);
        }
        if write {
            waiters.write.take(woken);
        }
    }

    /// Shows each waker of who waits. `f` runs under a lock.
    pub(in crate::io) fn for_each_waker(&self, mut f: impl FnMut(&Waker)) {
        let waiters = self.waiters.lock();
        for direction in [&waiters.read, &waiters.write] {
            direction.poller.iter().chain(direction.futures.wakers()).for_each(&mut f);
        }
    }

    /// No event will come any more: takes out all who wait.
    pub(in crate::io) fn end(&self, woken: &mut Vec<Waker>) {
        let end = |state: usize| Some((state | ENDED).wrapping_add(TICK));
        // As in `set`.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, end);

        let mut waiters = self.waiters.lock();
        waiters.read.take(woken);
        waiters.write.take(woken);
    }

    /// True if an operation that would block would do so for ever.
    pub(in crate::io) fn has_ended(&self) -> bool {
        self.state.load(Ordering::Acquire) & ENDED != 0
    }

    /// Ready if the direction is; else the task that polled is woken by the next event: the future that waits by `key`, or
    /// without one the last that called a `poll_*` function.
    pub(in crate::io) fn poll(
        &self,
        direction: Direction,
        key: Option<&mut WaiterKey>,
        cx: &mut Context<'_>,
    ) -> Poll<ReadyEvent> {
        if let Some(ready_event) = self.ready_event(direction) {
            return Poll::Ready(ready_event);
        }

        let mut waker = PollWaker::of(cx, WaitKind::Listed);
        let mut waiters = self.waiters.lock();
        // An event takes this lock after it has set the bits: it finds the waker, or this look finds the bits.
        if let Some(ready_event) = self.ready_event(direction) {
            return Poll::Ready(ready_event);
        }
        let prev = waiters.of(direction).join(key, &mut waker);
        drop(waiters);
        drop(prev);
        Poll::Pending
    }

    /// A future that waited by `key` is dropped.
    pub(in crate::io) fn leave(&self, direction: Direction, key: &mut WaiterKey) {
        if !key.is_idle() {
            let left = self.waiters.lock().of(direction).futures.remove(key);
            drop(left);
        }
    }

    pub(in crate::io) fn ready_event(&self, direction: Direction) -> Option<ReadyEvent> {
        self.event_of(direction.bits())
    }

    fn event_of(&self, bits: usize) -> Option<ReadyEvent> {
        let state = self.state.load(Ordering::Acquire);
        let ready = state & bits;
        (ready != 0 || state & ENDED != 0).then_some(ReadyEvent { tick: state / TICK, ready: Ready(ready as u8) })
    }

    /// Ready if any of the conditions is.
    pub(in crate::io) fn interest_event(&self, interest: Interest) -> Option<ReadyEvent> {
        self.event_of(usize::from(interest.mask().0))
    }

    /// As [`poll`](Self::poll), for conditions of any kind: who waits for both directions waits in both lines.
    pub(in crate::io) fn poll_interest(
        &self,
        interest: Interest,
        keys: Option<&mut [WaiterKey; 2]>,
        cx: &mut Context<'_>,
    ) -> Poll<ReadyEvent> {
        if let Some(ready_event) = self.interest_event(interest) {
            return Poll::Ready(ready_event);
        }

        // A foreign waker is cloned for each direction that is waited for, and for no other.
        let mut read_waker = interest.waits_as_reader().then(|| PollWaker::of(cx, WaitKind::Listed));
        let mut write_waker = interest.is_writable().then(|| PollWaker::of(cx, WaitKind::Listed));
        let mut waiters = self.waiters.lock();
        // As in `poll`.
        if let Some(ready_event) = self.interest_event(interest) {
            return Poll::Ready(ready_event);
        }
        // A future waits by its two keys, a `poll_*` function in the place of each direction.
        let [read_key, write_key] = keys.map_or([None, None], |keys| keys.each_mut().map(Some));
        let reader = read_waker.as_mut().map(|waker| waiters.read.join(read_key, waker));
        let writer = write_waker.as_mut().map(|waker| waiters.write.join(write_key, waker));
        drop(waiters);
        drop((reader, writer));
        Poll::Pending
    }

    /// An operation would have blocked: none of these conditions holds, unless an event has come since. That a direction
    /// has ended stays.
    #[cfg(unix)]
    pub(in crate::io) fn clear_event(&self, ready_event: ReadyEvent, ready: Ready) {
        self.clear_bits(usize::from((ready_event.ready & (ready - Ready::CLOSED)).0), ready_event);
    }

    /// The operation would have blocked: the direction is not ready, unless an event has come since it was seen.
    pub(in crate::io) fn clear_readiness(&self, direction: Direction, ready_event: ReadyEvent) {
        self.clear_bits(direction.bits(), ready_event);
    }

    /// The operation moved less than it could have: the next would block, unless the peer has closed.
    pub(in crate::io) fn clear_partial(&self, direction: Direction, ready_event: ReadyEvent) {
        self.clear_bits(direction.bit(), ready_event);
    }

    /// As [`clear_event`](Self::clear_event), and a direction that had ended has not.
    pub(in crate::io) fn clear_all(&self, ready_event: ReadyEvent) {
        self.clear_bits(usize::from(ready_event.ready.0), ready_event);
    }

    fn clear_bits(&self, bits: usize, ready_event: ReadyEvent) {
        let clear = |state: usize| (state / TICK == ready_event.tick).then_some(state & !bits);
        // A refusal means that an event has come: then the bits are right as they are.
        let _ = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, clear);
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;
    use crate::testing::{counting_waker, waker_that_drops, waker_that_is_cloned};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    const READ: Event = Event {
        token: 0,
        read: true,
        read_closed: false,
        write: false,
        write_closed: false,
        priority: false,
        error: false,
    };

    fn event(readiness: &Readiness, event: &Event) {
        let mut woken = Vec::new();
        readiness.set_readiness(event, &mut woken);
        woken.into_iter().for_each(Waker::wake);
    }

    #[test]
    fn a_read_that_was_given_up_leaves_nothing() {
        let readiness = Readiness::new_not_ready();
        for _ in 0..1000 {
            let (dropped, waker) = counting_waker();
            let mut key = WaiterKey::default();
            assert!(readiness.poll(Direction::Read, Some(&mut key), &mut Context::from_waker(&waker)).is_pending());
            readiness.leave(Direction::Read, &mut key);
            drop(waker);
            assert_eq!(std::sync::Arc::strong_count(&dropped), 1, "the waker stayed");
        }
        let mut woken = Vec::new();
        readiness.set_readiness(&READ, &mut woken);
        assert!(woken.is_empty());
    }

    #[test]
    fn an_event_wakes_all_futures_of_its_direction_and_the_last_that_polled() {
        let readiness = Readiness::new_not_ready();
        let (wakes, waker) = counting_waker();
        let mut keys = [WaiterKey::default(), WaiterKey::default(), WaiterKey::default()];
        for key in &mut keys {
            assert!(readiness.poll(Direction::Read, Some(key), &mut Context::from_waker(&waker)).is_pending());
        }
        let ((prev, first), (latest, second)) = (counting_waker(), counting_waker());
        for waker in [first, second] {
            assert!(readiness.poll(Direction::Read, None, &mut Context::from_waker(&waker)).is_pending());
        }
        let (writes, writer) = counting_waker();
        assert!(readiness.poll(Direction::Write, None, &mut Context::from_waker(&writer)).is_pending());

        event(&readiness, &READ);
        assert_eq!((wakes.count(), prev.count(), latest.count(), writes.count()), (3, 0, 1, 0));
        // Another task was quicker: the others wait again, and are woken again.
        let Poll::Ready(ready_event) = readiness.poll(Direction::Read, None, &mut Context::from_waker(Waker::noop()))
        else {
            panic!("there was an event");
        };
        readiness.clear_readiness(Direction::Read, ready_event);
        let cx = &mut Context::from_waker(&waker);
        assert!(keys.iter_mut().all(|key| readiness.poll(Direction::Read, Some(key), cx).is_pending()));
        event(&readiness, &READ);
        assert_eq!(wakes.count(), 6);
    }

    #[test]
    fn who_moved_less_than_it_could_waits_unless_the_peer_has_closed() {
        let readiness = Readiness::new_not_ready();
        let ready = || readiness.ready_event(Direction::Read);
        assert!(ready().is_none());
        event(&readiness, &READ);
        readiness.clear_partial(Direction::Read, ready().expect("there was an event"));
        assert!(ready().is_none());

        event(&readiness, &Event { read_closed: true, ..READ });
        readiness.clear_partial(Direction::Read, ready().expect("there was an event"));
        let closed = ready().expect("the peer has closed");
        // What was seen before an event clears nothing that came with it.
        event(&readiness, &READ);
        readiness.clear_readiness(Direction::Read, closed);
        readiness.clear_readiness(Direction::Read, ready().expect("there was an event"));
        assert!(ready().is_none());
    }

    #[test]
    fn wakers_are_cloned_under_no_lock_and_a_clone_that_panics_joins_nothing() {
        let readiness = std::sync::Arc::new(Readiness::new_not_ready());
        let both = Interest::READABLE | Interest::WRITABLE;
        let (mut key, mut keys) = (WaiterKey::default(), [WaiterKey::default(), WaiterKey::default()]);
        let mut poll = |waker: &Waker| {
            let mut cx = Context::from_waker(waker);
            assert!(readiness.poll(Direction::Read, Some(&mut key), &mut cx).is_pending());
            assert!(readiness.poll(Direction::Write, None, &mut cx).is_pending());
            assert!(readiness.poll_interest(both, Some(&mut keys), &mut cx).is_pending());
        };
        for _ in 0..2 {
            let looks = readiness.clone();
            poll(&waker_that_is_cloned(move || assert!(looks.waiters.try_lock().is_some())));
        }
        let panics = waker_that_is_cloned(|| panic!("on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(|| poll(&panics))).is_err());
        let mut woken = Vec::new();
        readiness.set_readiness(&Event { write: true, ..READ }, &mut woken);
        assert_eq!(woken.len(), 4);
    }

    #[test]
    fn previous_wakers_are_dropped_under_no_lock() {
        let readiness = std::sync::Arc::new(Readiness::new_not_ready());
        let mut key = WaiterKey::default();
        for by_key in [true, false] {
            for _ in 0..2 {
                let looks = readiness.clone();
                let waker = waker_that_drops(move || drop(looks.waiters.lock()));
                let key = if by_key { Some(&mut key) } else { None };
                assert!(readiness.poll(Direction::Read, key, &mut Context::from_waker(&waker)).is_pending());
            }
        }
        readiness.leave(Direction::Read, &mut key);
        // Breaks the circle of the socket and the waker in it.
        event(&readiness, &READ);
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::loom::sync::Arc;
    use crate::loom::sync::atomic::AtomicBool;
    use crate::testing::counting_waker;

    const READ: Event = Event {
        token: 0,
        read: true,
        read_closed: false,
        write: false,
        write_closed: false,
        priority: false,
        error: false,
    };

    fn driver(readiness: &Arc<Readiness>, data: &Arc<AtomicBool>) -> loom::thread::JoinHandle<()> {
        let (readiness, data) = (readiness.clone(), data.clone());
        loom::thread::spawn(move || {
            data.store(true, Ordering::Release);
            let mut woken = Vec::new();
            readiness.set_readiness(&READ, &mut woken);
            woken.into_iter().for_each(Waker::wake);
        })
    }

    /// A reader that finds nothing, clears, waits. True if it saw the data.
    fn read(readiness: &Readiness, data: &AtomicBool, key: Option<&mut WaiterKey>, waker: &Waker) -> bool {
        let mut key = key;
        let mut cx = Context::from_waker(waker);
        while let Poll::Ready(ready_event) = readiness.poll(Direction::Read, key.as_deref_mut(), &mut cx) {
            if data.load(Ordering::Acquire) {
                return true;
            }
            readiness.clear_readiness(Direction::Read, ready_event);
        }
        false
    }

    /// Meanwhile data arrives. The reader must see the bit or be woken.
    #[test]
    fn loom_an_event_between_operation_and_clear_is_not_lost() {
        loom::model(|| {
            let (readiness, data) = (Arc::new(Readiness::new_ready()), Arc::new(AtomicBool::new(false)));
            let driver = driver(&readiness, &data);
            let (wakes, waker) = counting_waker();
            let got = read(&readiness, &data, None, &waker);
            driver.join().unwrap();
            assert!(got || wakes.count() == 1);
        });
    }

    /// The same with two readers that wait beside each other, of whom one gives up.
    #[test]
    fn loom_an_event_reaches_who_waits_beside_one_that_gives_up() {
        loom::model(|| {
            let (readiness, data) = (Arc::new(Readiness::new_ready()), Arc::new(AtomicBool::new(false)));
            let driver = driver(&readiness, &data);
            let ((_, gives_up), (wakes, stays)) = (counting_waker(), counting_waker());
            let (mut first, mut second) = (WaiterKey::default(), WaiterKey::default());
            let _ = read(&readiness, &data, Some(&mut first), &gives_up);
            let got = read(&readiness, &data, Some(&mut second), &stays);
            readiness.leave(Direction::Read, &mut first);
            driver.join().unwrap();
            assert!(got || wakes.count() == 1);
        });
    }

    /// The same with one that waits for either direction, and clears what it has seen.
    #[test]
    fn loom_an_event_reaches_who_waits_for_either_direction() {
        loom::model(|| {
            let (readiness, data) = (Arc::new(Readiness::new_not_ready()), Arc::new(AtomicBool::new(false)));
            let driver = driver(&readiness, &data);
            let (wakes, waker) = counting_waker();
            let both = Interest::READABLE | Interest::WRITABLE;
            let mut keys = [WaiterKey::default(), WaiterKey::default()];
            let mut cx = Context::from_waker(&waker);
            let mut got = false;
            while let Poll::Ready(ready_event) = readiness.poll_interest(both, Some(&mut keys), &mut cx) {
                got = data.load(Ordering::Acquire);
                if got {
                    break;
                }
                readiness.clear_event(ready_event, Ready::ALL);
            }
            driver.join().unwrap();
            assert!(got || wakes.count() == 1);
            let [read, write] = &mut keys;
            readiness.leave(Direction::Read, read);
            readiness.leave(Direction::Write, write);
        });
    }
}
