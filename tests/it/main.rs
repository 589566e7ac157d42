//! Integration tests: one binary, modules by area. Those that must wait for real sockets and real time are named `real_*`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod accounting;
mod asks;
mod auto_traits;
mod common;
mod context;
mod dependencies;
mod drops;
mod event_table;
mod events;
mod heard;
mod lifecycle;
mod mailbox;
mod monitors;
mod order;
mod panics;
mod paths;
mod real_cluster;
mod real_hostile;
mod real_http;
mod real_http_hostile;
mod real_nodes;
mod real_reconnect;
mod real_stuck;
mod runtimes;
mod services;
mod specs;
mod supervision;
