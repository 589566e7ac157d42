//! Libraries that run on Posse by themselves, each driven by a counterpart that knows nothing of Posse: a server or a client of
//! another make. What is not installed on the machine is skipped, and said.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod counterparts;
mod grpc;
mod http;
mod metrics;
mod ports;
mod postgres;
mod quic;
mod raft;
mod raft_cluster;
mod redis;
mod symbols;
mod tls;
mod tower;
mod websockets;
