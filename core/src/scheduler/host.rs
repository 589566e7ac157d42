//! The trait [`Host`]: what workers need of the runtime that they belong to. The scheduler knows no more of it than this.

use super::Shared;
use crate::raw_task::Id;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// A counted reference to a runtime, which keeps its memory while a worker has one. The type is part of the worker's: to ask decides
/// nothing.
pub(crate) trait Host: Clone + fmt::Debug + Send + 'static {
    /// What the workers of the runtime share.
    fn shared(&self) -> &Shared;

    /// Runs `f` as code of the runtime, on a thread that drives it: it is the current one, and to block would stall it.
    fn drive<R>(&self, f: impl FnOnce() -> R) -> R;

    /// Whether code that no worker runs may be about to wake a task: closures that block. Each says when it has ended, by a token for the first
    /// worker.
    fn has_outside_work(&self) -> bool;

    /// Tells a person of a task that is in one poll for long. It returns soon: what listens is foreign code, and runs on another thread.
    fn report_slow_poll(&self, poll: SlowPoll);
}

/// A poll that takes long, as the watchdog sees it.
#[derive(Debug)]
pub(crate) struct SlowPoll {
    pub(crate) task: Id,
    pub(crate) name: Option<Arc<str>>,
    /// The type of the task's future.
    pub(crate) type_name: &'static str,
    /// Where the task was spawned.
    pub(crate) spawned_at: &'static Location<'static>,
    /// Which worker is in it.
    pub(crate) worker: usize,
    /// How long it has lasted.
    pub(crate) lasts: Duration,
}
