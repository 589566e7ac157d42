//! Why a value was not sent or received. Errors of sending give the value back.

use std::fmt;

/// The receiver is gone or closed; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why a value was not sent at once; it comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no room.
    Full(T),
    /// The receiver is gone or closed.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// Returns the value.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }
}

/// Why a value was not sent in time; it comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendTimeoutError<T> {
    /// There was no room in all that time.
    Timeout(T),
    /// The receiver is gone or closed.
    Closed(T),
}

impl<T> SendTimeoutError<T> {
    /// Returns the value.
    pub fn into_inner(self) -> T {
        match self {
            Self::Timeout(value) | Self::Closed(value) => value,
        }
    }
}

/// Why there was no value at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none now.
    Empty,
    /// There is none and none will come: every sender is gone, or the channel was closed.
    Disconnected,
}

/// Writes `Debug` without the value, and `Display`.
macro_rules! error {
    ($error:ident, $($variant:pat => $name:literal $text:literal),+) => {
        impl<T> fmt::Debug for $error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($variant => $name),+
                })
            }
        }

        impl<T> fmt::Display for $error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($variant => $text),+
                })
            }
        }

        impl<T> std::error::Error for $error<T> {}
    };
}

error!(SendError, Self(_) => "SendError(..)" "the channel is closed");
error!(TrySendError, Self::Full(_) => "Full(..)" "the channel is full", Self::Closed(_) => "Closed(..)" "the channel is closed");
error!(
    SendTimeoutError,
    Self::Timeout(_) => "Timeout(..)" "the channel was full for too long",
    Self::Closed(_) => "Closed(..)" "the channel is closed"
);

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the channel is empty",
            Self::Disconnected => "the channel is empty and closed",
        })
    }
}

impl std::error::Error for TryRecvError {}
