//! The idle protocol: which workers sleep or search, and which one to wake. It loses no wake-up and wakes one searcher at a time.
//!
//! `README.md` in this folder gives the argument. `state` packs two counts so that one load answers "must a worker be woken?".

use super::park::Parker;
use crate::loom::sync::Mutex;
use crate::loom::sync::atomic::{AtomicUsize, Ordering, fence};

/// Low half: workers that look for work and have found none yet.
const SEARCHING: usize = 1;
/// High half: workers that are not asleep.
const AWAKE: usize = 1 << 16;
/// The watchdog rests. Set only while no worker is awake; the first that wakes up clears it.
const UNWATCHED: usize = AWAKE >> 1;
const SEARCHING_MASK: usize = UNWATCHED - 1;

#[derive(Debug)]
pub(crate) struct Idle {
    /// The two counts and the watchdog's bit. Sleeping and waking change it under the lock of `sleepers`, searching without;
    /// a thread that has pushed a task reads it after its fence.
    state: AtomicUsize,
    /// Workers that sleep and that no thread has woken yet. A worker puts itself in before it parks; its waker takes it out,
    /// or the worker itself if it woke up by a time-out or an event.
    sleepers: Mutex<Vec<usize>>,
    /// The number of workers; never changes.
    workers: usize,
    /// Where the watchdog sleeps between two looks, and without a limit while all workers do.
    watchdog: Parker,
}

/// What the counts say of one worker. Every change of a worker goes through here, so that the two never differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Awake, with work in hand or none of the searchers.
    Running,
    /// Awake and counted as a searcher.
    Searching,
    /// In the list of sleepers, unless another thread has woken it meanwhile.
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

    /// Counts the worker as asleep. True if no worker searches now: it must look at all queues once more.
    #[must_use]
    pub(crate) fn transition_to_parked(&mut self, idle: &Idle, worker: usize) -> bool {
        let was_searching = *self == Self::Searching;
        *self = Self::Asleep;
        idle.transition_to_parked(worker, was_searching)
    }

    /// Counts the worker as awake. It searches if it was woken for that.
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

    /// After work was pushed: the worker to wake, if none searches and one sleeps. It is counted as searching.
    ///
    /// The fence orders the push before the load; partner is the decrement in `transition_to_parked`, after which a sleeper that
    /// leaves no searcher behind looks at the queues once more.
    #[inline]
    pub(crate) fn worker_to_wake(&self) -> Option<usize> {
        fence(Ordering::SeqCst);
        if !self.should_wake() {
            return None;
        }

        // Another pusher may have woken a worker since: look again under the lock, then count for the worker that is woken.
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

    /// Counts the worker as asleep. True if no worker searches now: it must look at all queues once more.
    #[must_use]
    fn transition_to_parked(&self, worker: usize, was_searching: bool) -> bool {
        let mut sleepers = self.sleepers.lock();
        // Both counts in one step: a pusher that reads between two would see a searcher that is none.
        let change = if was_searching { AWAKE + SEARCHING } else { AWAKE };
        let after = self.state.fetch_sub(change, Ordering::SeqCst) - change;
        sleepers.push(worker);
        after & SEARCHING_MASK == 0
    }

    /// Counts the worker as awake after it slept. True if it was woken to search, and counted already by its waker.
    fn transition_from_parked(&self, worker: usize) -> bool {
        let mut sleepers = self.sleepers.lock();
        // Still in the list: no pusher has woken it, so it counts itself. Else its waker has.
        let counted = match sleepers.iter().position(|&sleeper| sleeper == worker) {
            Some(position) => {
                sleepers.swap_remove(position);
                self.state.fetch_add(AWAKE, Ordering::SeqCst);
                false
            }
            None => true,
        };
        drop(sleepers);

        // The watchdog rests: bring it back before this worker runs anything.
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

    /// Lets the watchdog sleep until a worker wakes up, unless one is awake. One word says both how many are awake and that
    /// none is watched, so a worker that is counted as awake after this sees that it must rouse the watchdog, before it
    /// runs anything.
    pub(crate) fn park_watchdog(&self) {
        let unwatched = |state: usize| (state / AWAKE == 0).then_some(state | UNWATCHED);
        if self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, unwatched).is_ok() {
            self.watchdog.park(None);
        }
    }

    /// Asks to search. At most half of the workers search at once, the rest would only fight over the same queues.
    fn start_searching(&self) -> bool {
        // A look and then a count: two that look at once may be one too many, which costs a useless look at the queues.
        let state = self.state.load(Ordering::SeqCst);
        if 2 * (state & SEARCHING_MASK) >= self.workers.max(2) {
            return false;
        }
        self.state.fetch_add(SEARCHING, Ordering::SeqCst);
        true
    }

    /// The worker found something. True if no worker searches now: another one must be woken, there may be more.
    fn stop_searching(&self) -> bool {
        self.state.fetch_sub(SEARCHING, Ordering::SeqCst) & SEARCHING_MASK == SEARCHING
    }

    /// Workers that are counted as searching.
    #[cfg(all(test, not(posse_loom)))]
    pub(crate) fn searching(&self) -> usize {
        self.state.load(Ordering::SeqCst) & SEARCHING_MASK
    }

    /// Workers that sleep and were not woken.
    #[cfg(all(test, not(posse_loom)))]
    pub(crate) fn asleep(&self) -> usize {
        self.workers - self.state.load(Ordering::SeqCst) / AWAKE
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    const WORKERS: usize = 4;

    #[test]
    fn a_worker_is_woken_if_one_sleeps_and_none_searches() {
        let idle = Idle::new(WORKERS);
        let mut workers = [Activity::Running; WORKERS];
        assert_eq!(idle.worker_to_wake(), None, "all are awake");
        for n in [1, 2] {
            assert!(workers[n].transition_to_parked(&idle, n), "no other worker searches");
        }
        let woken = idle.worker_to_wake().expect("two sleep");
        assert_eq!((idle.searching(), idle.asleep()), (1, 1));
        assert_eq!(idle.worker_to_wake(), None, "one searches already");
        workers[woken].transition_from_parked(&idle, woken);
        assert_eq!((workers[woken], idle.searching()), (Activity::Searching, 1));
        assert!(workers[woken].stop_searching(&idle));
        let last = idle.worker_to_wake().expect("one sleeps");
        assert_ne!(last, woken);
        workers[last].transition_from_parked(&idle, last);
        assert!(workers[last].stop_searching(&idle));
        assert_eq!((idle.searching(), idle.asleep(), idle.worker_to_wake()), (0, 0, None));
    }

    #[test]
    fn at_most_half_of_the_workers_search_and_the_last_to_find_something_says_so() {
        let idle = Idle::new(WORKERS);
        let mut workers = [Activity::Running; WORKERS];
        assert_eq!(workers.each_mut().map(|worker| worker.start_searching(&idle)), [true, true, false, false]);
        assert_eq!(idle.searching(), 2);
        assert_eq!(workers.map(|mut worker| worker.stop_searching(&idle)), [false, true, false, false]);
        let mut one = Activity::Running;
        let alone = Idle::new(1);
        assert!(one.start_searching(&alone), "a single worker may search");
        assert!(one.stop_searching(&alone));
    }
}
