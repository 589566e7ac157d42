//! Posse beside its rivals: one trait for what is measured, one file for each subject and for each scenario.
//!
//! Every subject runs on two worker threads and is written as its own documentation would.
#![allow(clippy::expect_used, clippy::unwrap_used)]

pub mod process;
pub mod raw;
pub mod scenario;
pub mod subject;

/// Real time.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub fn now() -> std::time::Instant {
    std::time::Instant::now()
}
