//! Posse beside its rivals: one trait for what is measured, one file for each subject.
//!
//! Every subject runs on two worker threads and is written as its own documentation would.
#![allow(clippy::expect_used, clippy::unwrap_used)]

pub mod subject;
