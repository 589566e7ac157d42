//! Child processes, with their streams and their end as futures.
//!
//! The end of a child is an event of the reactor: a descriptor of the process (pidfd) where the kernel has one, else the
//! signal SIGCHLD, which the first child then listens to. A child that is dropped goes on, unless it was started with
//! [`kill_on_drop`](Command::kill_on_drop); its runtime waits for it in the background, so it leaves no zombie.
//! If the runtime ends before the child does, a thread for each such child waits on.
//!
//! # Examples
//! ```
//! use posse::process::Command;
//!
//! # posse::runtime::Runtime::new().unwrap().block_on(async {
//! let output = Command::new("echo").arg("hello").output().await?;
//! assert!(output.status.success());
//! assert_eq!(output.stdout, b"hello\n");
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

mod child;
mod command;
mod exit;
mod stdio;

pub use child::Child;
pub use command::Command;
pub use std::process::{ExitStatus, Output, Stdio};
pub use stdio::{ChildStderr, ChildStdin, ChildStdout};
