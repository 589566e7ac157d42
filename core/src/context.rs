//! The ambient runtime of the code that is running now: which handle, which worker, how much budget.

use crate::runtime::Handle;
use std::cell::{Cell, RefCell};

thread_local! {
    static HANDLE: RefCell<Option<Handle>> = const { RefCell::new(None) };
    static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Calls `f` with the current runtime's handle, if the code runs inside one.
pub(crate) fn with_current<R>(f: impl FnOnce(Option<&Handle>) -> R) -> R {
    HANDLE.with(|handle| f(handle.borrow().as_ref()))
}

/// The index of the worker this code runs on, if it is one of the current runtime's.
pub(crate) fn shard() -> Option<usize> {
    SHARD.get()
}
