//! Errors: one small type per operation. A message that was not taken comes back.

use std::error::Error as StdError;
use std::fmt;

/// The result of programs and actors; the error is any error.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Any error, with its chain of causes.
pub struct Error(Box<dyn StdError + Send + Sync + 'static>);

impl Error {
    /// An error that is a text.
    pub fn msg(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// Returns the error inside.
    pub fn inner(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }

    /// Returns the error inside if it is of type `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The text with all causes.
    pub(crate) fn full_text(&self) -> String {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full_text())
    }
}

/// Why a message was not taken; it is given back.
#[non_exhaustive]
pub enum TellError<M> {
    /// The mailbox is full: nothing waits for room in `try_tell`, nor does an actor that tells itself.
    Full(M),
    /// The actor has ended, or accepts nothing more.
    Stopped(M),
}

impl<M> TellError<M> {
    /// Returns the message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::Stopped(message) => message,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::Full(_) => "the mailbox is full",
            Self::Stopped(_) => "the actor has stopped",
        }
    }
}

impl<M> fmt::Display for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TellError({})", self.text())
    }
}

/// Lets `?` turn it into [`Error`] whatever the message is; the message is dropped then.
impl<M> From<TellError<M>> for Error {
    fn from(error: TellError<M>) -> Self {
        Self::msg(error.text())
    }
}

/// Why an ask got no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskError {
    /// The actor ended before it began with the message, or accepts nothing more.
    Stopped,
    /// The actor failed, or was killed, while it handled the message.
    Crashed,
    /// The deadline passed. The message is not handled any more if work on it has not begun.
    Timeout,
    /// An actor asked itself from its own handler, which could never be answered.
    Deadlock,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "the actor has stopped",
            Self::Crashed => "the actor crashed while it handled the message",
            Self::Timeout => "no reply before the deadline",
            Self::Deadlock => "an actor that asks itself waits for itself for ever",
        })
    }
}

impl StdError for AskError {}

/// Why an actor was not given a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// A living actor has the name.
    Taken(crate::ActorId),
    /// The actor has ended.
    Stopped,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(by) => write!(f, "the name is taken by actor {by}"),
            Self::Stopped => f.write_str("the actor has stopped"),
        }
    }
}

impl StdError for RegisterError {}
