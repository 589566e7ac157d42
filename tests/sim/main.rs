//! Whole clusters in one thread, from seeds: what users get, tried on ourselves. `docs/guide/simulation.md` explains it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod echo;
mod guide;
mod maelstrom;
mod reports;
