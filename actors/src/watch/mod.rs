//! Death watch: what all references to an actor share, and who wants to know of its end.

pub(crate) mod monitor;
pub(crate) mod shared;
pub(crate) mod tracker;
