//! Drops of outputs that are handles of tasks whose outputs are such handles, and so on: a line of any length.
//!
//! Each drop that causes another runs inside of it, up to a depth; from there on the drops wait for the one that causes them, which
//! then runs them in a loop. All have run when the outermost returns.

use super::panic::drop_catching;
use crate::util::scoped::Scoped;
use std::any::Any;
use std::cell::{Cell, RefCell};

/// Drops inside of each other; each takes some hundred bytes of the stack, and what its value needs. Guessed: beyond what programs
/// nest by hand.
const DEPTH_MAX: u32 = 32;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static WAITING: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Drops what may hold the last handle to other values like it.
pub(super) fn drop_nested<T: 'static>(value: T) {
    let depth = DEPTH.get();
    if depth < DEPTH_MAX {
        let _deeper = Scoped::set(&DEPTH, depth + 1);
        drop_catching(value);
        if depth + 1 == DEPTH_MAX {
            while let Some(value) = next_waiting() {
                drop_catching(value);
            }
        }
        return;
    }
    let mut value = Some(value);
    let _ = WAITING.try_with(|waiting| waiting.borrow_mut().extend(value.take().map(|value| Box::new(value) as _)));
    // The thread ends, and with it its locals: nested after all.
    value.into_iter().for_each(drop_catching);
}

fn next_waiting() -> Option<Box<dyn Any>> {
    WAITING.try_with(|waiting| waiting.borrow_mut().pop()).ok().flatten()
}
