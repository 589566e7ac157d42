//! References: what messages are sent to, and the futures of sending.

pub(crate) mod actor_ref;
pub(crate) mod ask;
pub(crate) mod local;
mod names;
pub(crate) mod recipient;
pub(crate) mod remote;
pub(crate) mod target;
pub(crate) mod tell;

pub use local::LocalRef;
pub use recipient::Recipient;
