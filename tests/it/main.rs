//! Integration tests: one binary, modules by area.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod accounting;
mod cluster;
mod common;
mod hostile;
mod lifecycle;
mod mailbox;
mod monitors;
mod nodes;
mod order;
mod panics;
mod reconnect;
mod runtimes;
mod services;
mod supervision;
