//! The I/O traits of `futures-io`, extension methods for them, buffering and copying.

mod buffered;
mod copy;
mod read;
mod write;

pub use buffered::{BufReader, BufWriter};
pub use copy::{copy, copy_bidirectional};
pub use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
pub use posse_core::io::Interest;
pub use read::{AsyncBufReadExt, AsyncReadExt};
pub use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Result};
pub use write::AsyncWriteExt;
