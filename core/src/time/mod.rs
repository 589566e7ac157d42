//! Time.

/// Placeholder.
#[derive(Clone, Debug)]
pub struct Clock;
/// Placeholder.
#[derive(Debug)]
pub(crate) struct Timers;
