//! The ambient runtime of the code that is running now. Which worker it runs on is `scheduler::current`, which task `raw_task::current`.
//!
//! It is switched per step, not per thread, so that many runtimes can share one thread. Every scope restores the previous value when
//! it ends.

use crate::runtime::Handle;
pub(crate) use crate::scheduler::current::shard;
use crate::util::scoped::Scoped;
use std::cell::{Cell, RefCell};

thread_local! {
    static HANDLE: RefCell<Option<Handle>> = const { RefCell::new(None) };
    /// Inside a worker or a `block_on`, where blocking the thread would stall the runtime.
    static BLOCKING_DISALLOWED: Cell<bool> = const { Cell::new(false) };
}

/// Calls `f` with the current runtime's handle, if the code runs inside one. `f` enters and leaves no runtime.
pub(crate) fn with_current<R>(mut f: impl FnMut(Option<&Handle>) -> R) -> R {
    // During the destruction of the thread's locals there is no current runtime any more.
    match HANDLE.try_with(|handle| f(handle.borrow().as_ref())) {
        Ok(result) => result,
        Err(_) => f(None),
    }
}

/// Makes `handle` the current runtime until the guard is dropped.
///
/// Without effect during the destruction of the thread's locals, where a runtime may be dropped that is one of them.
pub(crate) fn enter(handle: Handle) -> Entered {
    Entered { prev: HANDLE.try_with(|current| current.replace(Some(handle))).ok().flatten() }
}

/// Restores the previous current runtime.
#[derive(Debug)]
pub(crate) struct Entered {
    prev: Option<Handle>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let prev = self.prev.take();
        // The replaced handle is dropped outside of the borrow: it may be the last one of its runtime.
        let left = HANDLE.try_with(|current| current.replace(prev));
        drop(left);
    }
}

/// Until the guard is dropped the thread drives a runtime, and must not block.
pub(crate) fn disallow_blocking() -> Scoped<bool> {
    Scoped::set(&BLOCKING_DISALLOWED, true)
}

/// Until the guard is dropped the thread drives nothing: it may block.
pub(crate) fn allow_blocking() -> Scoped<bool> {
    Scoped::set(&BLOCKING_DISALLOWED, false)
}

/// True inside a worker or a `block_on`.
pub(crate) fn is_blocking_disallowed() -> bool {
    BLOCKING_DISALLOWED.get()
}

#[cfg(feature = "sim")]
impl crate::sim::env::SimContext {
    /// Returns the simulation that this code runs in, if it does.
    pub fn current() -> Option<std::sync::Arc<Self>> {
        with_current(|handle| handle?.simulation().cloned())
    }
}

#[cfg(feature = "sim")]
impl crate::sim::env::HostNet {
    /// The simulated machine that this code runs on, if it does, and its way to the network.
    pub(crate) fn current() -> Option<Self> {
        with_current(|handle| handle?.io().host())
    }
}
