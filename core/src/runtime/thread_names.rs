//! The names of a runtime's threads.

use crate::raw_task::panic::catch_panic;
use std::fmt;
use std::sync::Arc;

/// How the threads of a runtime are called.
#[derive(Clone)]
pub(crate) enum ThreadNames {
    /// This, and what the thread is for.
    Base(String),
    /// Asked for each thread.
    Made(Arc<dyn Fn() -> String + Send + Sync>),
}

impl ThreadNames {
    pub(crate) fn of(&self, what: impl fmt::Display) -> String {
        let mut name = match self {
            Self::Base(base) => format!("{base}-{what}"),
            Self::Made(make) => catch_panic("a hook of the runtime panicked", || make()).unwrap_or_default(),
        };
        // A thread's name holds no zero byte, which a program is not to be trusted with; std panics over it.
        name.retain(|letter| letter != '\0');
        name
    }
}

impl fmt::Debug for ThreadNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base(base) => f.debug_tuple("Base").field(base).finish(),
            Self::Made(_) => f.debug_tuple("Made").finish_non_exhaustive(),
        }
    }
}
