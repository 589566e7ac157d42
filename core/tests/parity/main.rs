//! The behaviours that Tokio's public tests pin down, asked of this crate by its public names alone. `tests/README.md` of the repository
//! says which file of Tokio's is covered where.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod macros_select;
mod runtime;
mod streams;
mod support;
mod sync_broadcast;
mod sync_cancel;
mod sync_cells;
mod sync_locks;
mod sync_mpsc;
mod sync_mpsc_counts;
mod sync_notify;
mod sync_oneshot;
mod sync_semaphore;
mod sync_watch;
mod task_groups;
mod task_life;
mod task_local;
mod time_delay_queue;
mod time_interval;
mod time_sleep;
