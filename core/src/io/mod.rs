//! The reactor.

/// Placeholder.
#[derive(Debug)]
pub(crate) struct IoHandle;
