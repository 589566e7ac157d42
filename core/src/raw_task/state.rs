//! The state word of a task: life cycle bits and the reference count in one atomic.
//!
//! Never touches the task's future or output: it only says who may. Every transition is one read-modify-write, so that
//! of two racing parties exactly one is told to act. Its partner is always another method of this file on the same word.

use crate::loom::sync::atomic::{AtomicUsize, Ordering};

/// A thread is responsible for running the task: it is in a queue, about to be, or will be put there when the present run ends.
const SCHEDULED: usize = 1;
/// A worker has exclusive access to the future.
const RUNNING: usize = 1 << 1;
/// The future is gone and the output (if it is wanted) is stored.
const COMPLETE: usize = 1 << 2;
/// The next run must drop the future instead of polling it.
const CANCELLED: usize = 1 << 3;
/// A `JoinHandle` exists and wants the output.
const JOIN: usize = 1 << 4;
/// The `JoinHandle` has left a waker.
const JOIN_WAKER: usize = 1 << 5;

const REF_ONE: usize = 1 << 6;
/// Beyond this the count could overflow into nonsense; like `Arc`, the process ends first.
const REF_MAX: usize = usize::MAX / 2;

#[derive(Debug)]
pub(crate) struct State(AtomicUsize);

/// What a task does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// A worker polls it.
    Running,
    /// It waits for a worker.
    Queued,
    /// It waits to be woken.
    Waiting,
}

/// What a waker must do.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The caller alone must put the task into a queue.
    Schedule,
    /// Another thread will run it, or no run is needed.
    Nothing,
}

/// What a worker that took the task from a queue must do.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Poll,
    DropFuture,
}

/// What follows a poll that returned `Pending`.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterPoll {
    /// The task sleeps; the caller must not touch it any more.
    Idle,
    /// It was woken while it ran: the caller must put it into a queue.
    Schedule,
}

/// Who owns the output of a task that just completed, or of a handle that is dropped.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OutputOwner {
    /// The caller must drop it.
    Caller,
    /// The other side has it.
    Other,
}

/// The end of one side of a join: of the task, or of its handle.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JoinEnd {
    pub(crate) owner: OutputOwner,
    /// There is a waker, and it is the caller's to take out: of both sides the one that ends first takes it.
    pub(crate) takes_waker: bool,
}

impl State {
    /// A new task: scheduled, with one reference for its life and one for its handle.
    pub(crate) fn scheduled_with_handle() -> Self {
        Self(AtomicUsize::new(SCHEDULED | JOIN | (2 * REF_ONE)))
    }

    /// A new task whose outside reference does not want the output.
    pub(crate) fn scheduled() -> Self {
        Self(AtomicUsize::new(SCHEDULED | (2 * REF_ONE)))
    }

    /// Asks for a run. Release: what the caller wrote is seen by the run; partner is `start` and `pause`.
    #[inline]
    pub(crate) fn wake(&self) -> Wake {
        Self::schedule_if_idle(self.0.fetch_or(SCHEDULED, Ordering::AcqRel))
    }

    /// Asks that the future be dropped instead of polled.
    pub(crate) fn cancel(&self) -> Wake {
        Self::schedule_if_idle(self.0.fetch_or(CANCELLED | SCHEDULED, Ordering::AcqRel))
    }

    fn schedule_if_idle(before: usize) -> Wake {
        if before & (SCHEDULED | RUNNING | COMPLETE) == 0 { Wake::Schedule } else { Wake::Nothing }
    }

    /// Takes exclusive access to the future. The caller must have taken the task from a queue.
    #[inline]
    pub(crate) fn start(&self) -> Start {
        let before = self.0.fetch_xor(SCHEDULED | RUNNING, Ordering::AcqRel);
        debug_assert_eq!(before & (SCHEDULED | RUNNING | COMPLETE), SCHEDULED, "a task was taken from a queue twice");

        if before & CANCELLED == 0 { Start::Poll } else { Start::DropFuture }
    }

    /// Takes exclusive access to the future of a task that no worker will run any more, whether it is scheduled or asleep.
    /// False if it has completed, or a thread that has lost its worker is in a poll of it: that one is told to drop it, by the
    /// [`pause`](Self::pause) after its poll.
    ///
    /// The caller knows that no worker takes a task from any queue. So the duty to run, wherever it is, is void.
    pub(crate) fn shut_down(&self) -> bool {
        // Complete: nothing to take. In a poll: told to drop the future itself. Else taken here, and no duty to run is left.
        let take = |state| match state {
            _ if state & COMPLETE != 0 => None,
            _ if state & RUNNING != 0 => Some(state | CANCELLED | SCHEDULED),
            _ => Some((state | RUNNING | CANCELLED) & !SCHEDULED),
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok_and(|before| before & RUNNING == 0)
    }

    /// Gives exclusive access back after `Pending`.
    #[inline]
    pub(crate) fn pause(&self) -> AfterPoll {
        // A wake during the poll has set SCHEDULED and queued nothing, as the task was running: that is this caller's to do.
        let before = self.0.fetch_and(!RUNNING, Ordering::AcqRel);
        if before & SCHEDULED == 0 { AfterPoll::Idle } else { AfterPoll::Schedule }
    }

    /// Publishes the stored output. Partner is `release_output` and `is_complete`.
    pub(crate) fn complete(&self) -> JoinEnd {
        // Both bits change at once: no moment at which the task neither runs nor is complete, and could be scheduled.
        let before = self.0.fetch_xor(RUNNING | COMPLETE, Ordering::AcqRel);
        let owner = if before & JOIN == 0 { OutputOwner::Caller } else { OutputOwner::Other };
        JoinEnd { owner, takes_waker: before & (JOIN | JOIN_WAKER) == JOIN | JOIN_WAKER }
    }

    /// The handle has stored a waker. True if the task has completed, perhaps without having seen it: the waker is the caller's to take
    /// out again. Partner is `complete`.
    pub(crate) fn set_join_waker(&self) -> bool {
        self.0.fetch_or(JOIN_WAKER, Ordering::AcqRel) & COMPLETE != 0
    }

    /// The handle no longer wants the output. Partner is `complete`.
    pub(crate) fn release_output(&self) -> JoinEnd {
        let before = self.0.fetch_and(!JOIN, Ordering::AcqRel);
        let owner = if before & COMPLETE == 0 { OutputOwner::Other } else { OutputOwner::Caller };
        JoinEnd { owner, takes_waker: before & (COMPLETE | JOIN_WAKER) == JOIN_WAKER }
    }

    /// Whether a worker is in a poll. Acquire: what the worker wrote before `start` is seen.
    pub(crate) fn is_running(&self) -> bool {
        self.0.load(Ordering::Acquire) & (RUNNING | COMPLETE) == RUNNING
    }

    /// What a person sees of it; `None` if it is complete.
    pub(crate) fn task_state(&self) -> Option<TaskState> {
        match self.0.load(Ordering::Acquire) {
            state if state & COMPLETE != 0 => None,
            state if state & RUNNING != 0 => Some(TaskState::Running),
            state if state & SCHEDULED != 0 => Some(TaskState::Queued),
            _ => Some(TaskState::Waiting),
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire) & COMPLETE != 0
    }

    /// Whether the task waits for a run.
    #[cfg(feature = "sim")]
    pub(crate) fn is_scheduled(&self) -> bool {
        self.0.load(Ordering::Acquire) & (SCHEDULED | COMPLETE) == SCHEDULED
    }

    /// Adds a reference. Relaxed: the caller already holds one.
    #[inline]
    pub(crate) fn retain(&self) {
        if self.0.fetch_add(REF_ONE, Ordering::Relaxed) > REF_MAX {
            std::process::abort();
        }
    }

    /// Gives a reference back; true for the last one, whose owner must free the task.
    #[inline]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        let before = self.0.fetch_sub(REF_ONE, Ordering::AcqRel);
        before / REF_ONE == 1
    }
}
