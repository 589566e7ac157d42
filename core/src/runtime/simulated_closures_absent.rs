//! Stand-ins for closures in a simulation, without the feature `sim`: there are none.

use super::Handle;
use crate::sim::env::SimHandle;
use std::future::Future;
use std::pin::Pin;

pub(crate) fn run<T, F: FnOnce() -> T>(_: Handle, simulation: SimHandle, _: F) -> std::future::Ready<T> {
    match simulation {}
}

/// No thread runs a closure of a simulation.
pub(crate) fn block_on<F: Future>(_: Pin<&mut F>) -> Option<F::Output> {
    None
}

/// No thread runs one that would have to end.
#[inline(always)]
pub(crate) fn refuse_wait() {}
