//! Whole clusters in one thread, from seeds: what users get, tried on ourselves. `docs/guide/simulation.md` explains it.
#![allow(clippy::unwrap_used, missing_docs)]

mod bounds;
mod cluster;
mod connection;
mod death;
mod dialling;
mod echo;
mod guide;
mod http;
mod hyper;
mod identity;
mod liar;
mod maelstrom;
mod messages;
mod nesting;
mod pressure;
mod probe;
mod receiving;
mod renewal;
mod reports;
mod rogue;
mod stranger;
mod supervision;
mod watch;
