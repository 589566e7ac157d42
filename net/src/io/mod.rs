//! The I/O traits of `futures-io`, extension methods for them, buffering, copying, streams in memory and the standard streams.
//!
//! Types that wrap another stream ask that it be `Unpin`; one that is not is pinned first: `Box::pin(stream)` is `Unpin`.

mod bridge;
mod buf_read;
mod buf_stream;
mod buffered;
mod copy;
mod empty;
mod lines;
mod pipe;
mod read;
mod seek;
mod split;
mod stdio;
mod stream;
mod take;
mod write;

pub use bridge::SyncIoBridge;
pub use buf_read::AsyncBufReadExt;
pub use buf_stream::BufStream;
pub use buffered::{BufReader, BufWriter};
pub use copy::{copy, copy_bidirectional, copy_bidirectional_with_sizes, copy_buf};
pub use empty::{Empty, Repeat, Sink, empty, repeat, sink};
pub use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
pub use lines::{Lines, Split};
pub use pipe::{DuplexStream, SimplexReader, SimplexWriter, duplex, simplex};
pub use posse_core::io::Interest;
pub use read::AsyncReadExt;
pub use seek::AsyncSeekExt;
pub use split::{Join, ReadHalf, UnsplitError, WriteHalf, join, split};
pub use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Result, SeekFrom};
pub use stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
pub use stream::{ReaderStream, StreamReader};
pub use take::{Chain, Take};
pub use write::AsyncWriteExt;
