//! Small tools of the ground floor: they know no task, no runtime and no clock.

pub(crate) mod backoff;
pub(crate) mod count;
pub(crate) mod on_drop;
pub(crate) mod scoped;
pub(crate) mod slab;
pub(crate) mod socket_counts;
