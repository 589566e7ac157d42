//! For tests that poll by hand: futures and streams whose wake-ups are seen, and I/O that follows a script.
//!
//! Names are those of the crate `tokio-test`, which needs Tokio's runtime. Time that stands still and jumps is
//! `#[posse::test(start_paused = true)]`; a whole world that follows from a seed is the feature `sim`.
//!
//! ```
//! use posse::sync::oneshot;
//! use posse::testing::{assert_pending, assert_ready_eq, spawn};
//!
//! let (send, receive) = oneshot::channel();
//! let mut receive = spawn(receive);
//! assert_pending!(receive.poll());
//! send.send(7).unwrap();
//! assert!(receive.is_woken());
//! assert_ready_eq!(receive.poll(), Ok(7));
//! ```

pub mod io;
mod poll;
#[cfg(test)]
mod tests;

#[doc(inline)]
pub use crate::{
    __assert_pending as assert_pending, __assert_ready as assert_ready, __assert_ready_eq as assert_ready_eq,
    __assert_ready_err as assert_ready_err, __assert_ready_ok as assert_ready_ok,
};
pub use poll::{Spawn, spawn};
