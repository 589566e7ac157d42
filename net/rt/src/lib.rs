//! The Posse runtime for programs without actors, under the paths that it has in the package `posse`.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(unix)]
pub use posse_core::signal;
pub use posse_core::{join, pin, select, task_local, try_join};
pub use posse_core::{runtime, stream, sync, task, time};
#[cfg(feature = "macros")]
pub use posse_macros::{rt_main as main, rt_test as test};
#[doc(inline)]
pub use posse_net as net;
/// Buffers that are cheap to share.
#[doc(inline)]
pub use posse_net::bytes;
#[cfg(feature = "http")]
pub use posse_net::http;
#[cfg(feature = "hyper")]
pub use posse_net::hyper;
#[cfg(unix)]
pub use posse_net::process;
pub use posse_net::{fs, io, testing};
