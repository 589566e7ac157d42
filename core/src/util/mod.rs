//! Small tools of the ground floor: they know no task, no runtime and no clock.

pub(crate) mod scoped;
