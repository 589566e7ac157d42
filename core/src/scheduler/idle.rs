//! Who sleeps, who searches, and whom to wake: the protocol that loses no wake-up and wakes no more than one searcher.
//!
//! `README.md` in this folder gives the argument. `state` packs two counts so that one load answers "is anybody needed?".

use super::park::Parker;
use crate::loom::sync::Mutex;
use crate::loom::sync::atomic::{AtomicUsize, Ordering, fence};

/// Low half: workers that look for work and have found none yet.
const SEARCHING: usize = 1;
/// High half: workers that are not asleep.
const AWAKE: usize = 1 << 16;
/// The watchdog rests. Set only while nobody is awake; the first who is takes it away.
const UNWATCHED: usize = AWAKE >> 1;
const SEARCHING_MASK: usize = UNWATCHED - 1;

#[derive(Debug)]
pub(crate) struct Idle {
    state: AtomicUsize,
    sleepers: Mutex<Vec<usize>>,
    workers: usize,
    watchdog: Parker,
}

/// What the counts say of one worker. Every change of a worker goes through here, so that the two never differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Awake, with work in hand or none of the searchers.
    Running,
    /// Awake and counted as a searcher.
    Searching,
    /// In the list of sleepers, unless somebody has woken it meanwhile.
    Asleep,
}

impl Activity {
    /// Asks to search. False if enough others do.
    pub(crate) fn start_searching(&mut self, idle: &Idle) -> bool {
        if *self == Self::Running && idle.start_searching() {
            *self = Self::Searching;
        }
        *self == Self::Searching
    }

    /// The worker found something, or gives up. True if it was the last one to search: another one must be woken.
    #[inline]
    #[must_use]
    pub(crate) fn stop_searching(&mut self, idle: &Idle) -> bool {
        if *self != Self::Searching {
            return false;
        }
        *self = Self::Running;
        idle.stop_searching()
    }

    /// Counts the worker as asleep. True if nobody searches now: it must look at all queues once more.
    #[must_use]
    pub(crate) fn transition_to_parked(&mut self, idle: &Idle, worker: usize) -> bool {
        let was_searching = *self == Self::Searching;
        *self = Self::Asleep;
        idle.transition_to_parked(worker, was_searching)
    }

    /// Counts the worker as awake. It searches if that is what somebody woke it for.
    pub(crate) fn transition_from_parked(&mut self, idle: &Idle, worker: usize) {
        if *self == Self::Asleep {
            *self = if idle.transition_from_parked(worker) { Self::Searching } else { Self::Running };
        }
    }

    /// The worker leaves its thread, whatever it is doing: from now on it is awake and no searcher. True if it was the
    /// last one to search: another one must be woken.
    #[must_use]
    pub(crate) fn reset(&mut self, idle: &Idle, worker: usize) -> bool {
        self.transition_from_parked(idle, worker);
        self.stop_searching(idle)
    }
}

impl Idle {
    /// All workers start awake and not searching.
    pub(crate) fn new(workers: usize) -> Self {
        let sleepers = Mutex::new(Vec::with_capacity(workers));
        Self { state: AtomicUsize::new(workers * AWAKE), sleepers, workers, watchdog: Parker::new() }
    }

    /// After work was pushed: the worker to wake, if nobody is searching and somebody sleeps. It is counted as searching.
    ///
    /// The fence orders the push before the load; partner is the decrement in `transition_to_parked`, after which a sleeper that
    /// leaves no searcher behind looks at the queues once more.
    #[inline]
    pub(crate) fn worker_to_wake(&self) -> Option<usize> {
        fence(Ordering::SeqCst);
        if !self.should_wake() {
            return None;
        }

        let mut sleepers = self.sleepers.lock();
        if !self.should_wake() {
            return None;
        }
        let worker = sleepers.pop()?;
        self.state.fetch_add(AWAKE + SEARCHING, Ordering::SeqCst);
        Some(worker)
    }

    #[inline]
    fn should_wake(&self) -> bool {
        let state = self.state.load(Ordering::SeqCst);
        state & SEARCHING_MASK == 0 && state / AWAKE < self.workers
    }

    /// Counts the worker as asleep. True if nobody searches now: it must look at all queues once more.
    #[must_use]
    fn transition_to_parked(&self, worker: usize, was_searching: bool) -> bool {
        let mut sleepers = self.sleepers.lock();
        let change = if was_searching { AWAKE + SEARCHING } else { AWAKE };
        let after = self.state.fetch_sub(change, Ordering::SeqCst) - change;
        sleepers.push(worker);
        after & SEARCHING_MASK == 0
    }

    /// Counts the worker as awake after it slept. True if somebody woke it to search (and counted it already).
    fn transition_from_parked(&self, worker: usize) -> bool {
        let mut sleepers = self.sleepers.lock();
        let counted = match sleepers.iter().position(|&sleeper| sleeper == worker) {
            Some(position) => {
                sleepers.swap_remove(position);
                self.state.fetch_add(AWAKE, Ordering::SeqCst);
                false
            }
            None => true,
        };
        drop(sleepers);

        let unwatched = |state: usize| state & UNWATCHED != 0;
        if unwatched(self.state.load(Ordering::SeqCst)) && unwatched(self.state.fetch_and(!UNWATCHED, Ordering::SeqCst))
        {
            self.watchdog.unpark(|| {});
        }
        counted
    }

    /// Where the watchdog sleeps.
    pub(crate) fn watchdog(&self) -> &Parker {
        &self.watchdog
    }

    /// Lets the watchdog sleep until somebody wakes up, unless somebody is awake. One word says both who is awake and that
    /// nobody watches, so a worker that is counted as awake after this sees that it must rouse the watchdog, before it
    /// runs anything.
    pub(crate) fn park_watchdog(&self) {
        let unwatched = |state: usize| (state / AWAKE == 0).then_some(state | UNWATCHED);
        if self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, unwatched).is_ok() {
            self.watchdog.park(None);
        }
    }

    /// Asks to search. At most half of the workers search at once, the rest would only fight over the same queues.
    fn start_searching(&self) -> bool {
        let state = self.state.load(Ordering::SeqCst);
        if 2 * (state & SEARCHING_MASK) >= self.workers.max(2) {
            return false;
        }
        self.state.fetch_add(SEARCHING, Ordering::SeqCst);
        true
    }

    /// The worker found something. True if nobody searches now: another one must be woken, there may be more.
    fn stop_searching(&self) -> bool {
        self.state.fetch_sub(SEARCHING, Ordering::SeqCst) & SEARCHING_MASK == SEARCHING
    }

    /// Workers that are counted as searching.
    #[cfg(all(test, not(posse_loom)))]
    pub(crate) fn searching(&self) -> usize {
        self.state.load(Ordering::SeqCst) & SEARCHING_MASK
    }

    /// Workers that sleep and that nobody has woken.
    #[cfg(all(test, not(posse_loom)))]
    pub(crate) fn asleep(&self) -> usize {
        self.workers - self.state.load(Ordering::SeqCst) / AWAKE
    }
}
