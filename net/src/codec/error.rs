//! Why a stream could not be cut into frames.

use std::fmt;
use std::io;

/// Why a stream could not be cut into frames: the error of the codecs of this module.
#[derive(Debug)]
#[non_exhaustive]
pub enum CodecError {
    /// A frame is longer than the maximum.
    TooLong {
        /// The maximum, in bytes.
        max: usize,
    },
    /// The stream ended within a frame.
    Truncated,
    /// A line is not UTF-8.
    NotText,
    /// A length makes no sense: with its adjustment it is below zero, or its field is too narrow for it.
    BadLength,
    /// The frames have bytes in front of their length, which the codec can read and not write.
    HasHead,
    /// The stream failed.
    Io(io::Error),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max } => write!(f, "a frame is longer than {max} bytes"),
            Self::Truncated => f.write_str("the stream ended within a frame"),
            Self::NotText => f.write_str("a line is not UTF-8"),
            Self::BadLength => f.write_str("the length of a frame is out of range"),
            Self::HasHead => f.write_str("frames with bytes in front of their length can only be read"),
            Self::Io(_) => f.write_str("the stream failed"),
        }
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// An error of ours that went through [`io::Error`] comes out as itself.
impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Io)
    }
}

impl From<CodecError> for io::Error {
    fn from(error: CodecError) -> Self {
        let kind = match error {
            CodecError::Io(error) => return error,
            CodecError::Truncated => io::ErrorKind::UnexpectedEof,
            CodecError::HasHead => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
