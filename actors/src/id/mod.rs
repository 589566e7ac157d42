//! Identities: which actor, and why it ended. Knows no other module.

mod actor_id;
mod exit_reason;

pub use actor_id::ActorId;
pub use exit_reason::ExitReason;
