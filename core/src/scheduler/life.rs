//! The life of a runtime, in one word: open, closing or closed, and how many workers are present.
//!
//! ```text
//!   OPEN ----------------> CLOSING --------------------> CLOSED
//!         begin_end: no           end: by the worker that
//!         new tasks               left last, which has
//!                                 dropped all futures
//! ```
//!
//! Invariants: a runtime closes only after all workers have left, and each worker leaves once, with an empty queue. So from
//! the last `worker_exited` on no worker takes a task out of any queue but the one that left last.

use crate::loom::sync::atomic::{AtomicUsize, Ordering};

const CLOSING: usize = 1;
const CLOSED: usize = 1 << 1;
/// Above the phase: workers that have not left for good.
const ACTIVE_WORKER: usize = 1 << 2;

#[derive(Debug)]
pub(crate) struct Life(AtomicUsize);

/// What a worker that leaves has to do.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WorkerExit {
    /// Others are present: nothing.
    OthersActive,
    /// It was the last one: drop every task that is left, then call [`Life::end`].
    Last,
}

impl Life {
    pub(crate) fn new(workers: usize) -> Self {
        Self(AtomicUsize::new(workers * ACTIVE_WORKER))
    }

    /// False from the first moment of the end on: nothing new may begin.
    ///
    /// Acquire on the word alone decides nothing: who must not miss the end looks while holding a lock that the thread that ends
    /// the runtime takes after `begin_end` (a shard of the list of tasks, the queue of the blocking pool, the slot of the
    /// lent worker), or is woken after it.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSING == 0
    }

    /// True once all futures are dropped. Partner: `end`.
    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Begins the end. True for the call that did.
    pub(crate) fn begin_end(&self) -> bool {
        self.0.fetch_or(CLOSING, Ordering::AcqRel) & CLOSING == 0
    }

    /// A worker leaves for good. AcqRel: what each worker did is seen by the last one, which drops what they left.
    pub(crate) fn worker_exited(&self) -> WorkerExit {
        let before = self.0.fetch_sub(ACTIVE_WORKER, Ordering::AcqRel);
        debug_assert!(
            before & CLOSING != 0 && before >= ACTIVE_WORKER,
            "a worker left a runtime that has not begun to end"
        );
        if before / ACTIVE_WORKER == 1 { WorkerExit::Last } else { WorkerExit::OthersActive }
    }

    /// The last worker has dropped everything. Partner: `has_ended`.
    pub(crate) fn end(&self) {
        let before = self.0.fetch_or(CLOSED, Ordering::AcqRel);
        debug_assert_eq!(before, CLOSING, "the runtime ended while workers were present, or twice");
    }
}
