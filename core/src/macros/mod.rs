//! `select!`, `join!`, `try_join!` and `pin!`, and what the code that they write calls.

mod join;
mod pin;
mod select;
#[cfg(all(test, not(posse_loom)))]
mod tests;

use crate::context;
use crate::raw_task::coop;
use std::task::{Context, Poll};

/// The output of a branch of `select!`, or that all are disabled.
#[doc(hidden)]
#[derive(Debug)]
pub enum Selected<
    B0,
    B1,
    B2,
    B3,
    B4,
    B5,
    B6,
    B7,
    B8,
    B9,
    B10,
    B11,
    B12,
    B13,
    B14,
    B15,
    B16,
    B17,
    B18,
    B19,
    B20,
    B21,
    B22,
    B23,
    B24,
    B25,
    B26,
    B27,
    B28,
    B29,
    B30,
    B31,
> {
    B0(B0),
    B1(B1),
    B2(B2),
    B3(B3),
    B4(B4),
    B5(B5),
    B6(B6),
    B7(B7),
    B8(B8),
    B9(B9),
    B10(B10),
    B11(B11),
    B12(B12),
    B13(B13),
    B14(B14),
    B15(B15),
    B16(B16),
    B17(B17),
    B18(B18),
    B19(B19),
    B20(B20),
    B21(B21),
    B22(B22),
    B23(B23),
    B24(B24),
    B25(B25),
    B26(B26),
    B27(B27),
    B28(B28),
    B29(B29),
    B30(B30),
    B31(B31),
    Disabled,
}

/// Waits while no unit of the task's budget is left: a branch that takes part in it would say that it is not ready, whatever it has.
#[doc(hidden)]
#[inline]
pub fn poll_budget_left(cx: &mut Context<'_>) -> Poll<()> {
    coop::poll_left(cx)
}

/// Counts round the branches of a macro. A function: of one branch the remainder is a constant, which lints of the caller find.
#[doc(hidden)]
#[inline]
pub const fn rotated(position: usize, branches: usize) -> usize {
    position % branches
}

/// Draws a number below `bound` from the runtime's seeded generator; 0 outside of a runtime.
#[doc(hidden)]
pub fn random_below(bound: usize) -> usize {
    let random = context::with_current(|handle| handle.map(|handle| handle.random_u64()));
    let random = random.unwrap_or(0);
    // The upper half of a product, as fair as the generator is for small bounds.
    ((u128::from(random) * bound as u128) >> 64) as usize
}
