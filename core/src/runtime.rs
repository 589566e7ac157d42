//! The runtime and the handle that reaches it from anywhere.

use crate::task::JoinHandle;
use crate::{context, io, time};
use std::future::Future;
use std::sync::Arc;

/// A cheap, clonable reference to a running runtime.
#[derive(Clone, Debug)]
pub struct Handle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: time::Clock,
    timers: time::Timers,
    io: io::IoHandle,
}

/// The code runs outside of any runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRuntime;

impl std::fmt::Display for NoRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no Posse runtime on this thread: call this inside `Runtime::block_on`, a task, or `Handle::enter`")
    }
}

impl std::error::Error for NoRuntime {}

impl Handle {
    /// Returns the handle of the runtime this code runs in.
    pub fn try_current() -> Result<Self, NoRuntime> {
        context::with_current(|handle| handle.cloned().ok_or(NoRuntime))
    }

    /// Returns the handle of the runtime this code runs in.
    #[track_caller]
    pub fn current() -> Self {
        match Self::try_current() {
            Ok(handle) => handle,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts a task.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let _ = future;
        unimplemented!()
    }

    /// Runs a closure that may block on a thread of the blocking pool.
    pub fn spawn_blocking<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let _ = f;
        unimplemented!()
    }

    pub(crate) fn clock(&self) -> &time::Clock {
        &self.inner.clock
    }

    pub(crate) fn timers(&self) -> &time::Timers {
        &self.inner.timers
    }

    pub(crate) fn io(&self) -> &io::IoHandle {
        &self.inner.io
    }

    pub(crate) fn unpark_shard(&self, shard: usize) {
        let _ = shard;
    }

    /// Draws from the runtime's seeded generator.
    pub fn random_u64(&self) -> u64 {
        0
    }
}
