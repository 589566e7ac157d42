//! Sockets for peers on the same machine: streams, datagrams, and pipes. A path that starts with a zero byte is an abstract
//! name on Linux, which no file stands for.
//!
//! They are not simulated: in a simulation all of them are `Unsupported`.

mod datagram;
pub mod pipe;
mod split;
mod stream;

pub use datagram::UnixDatagram;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use std::os::unix::net::SocketAddr;
pub use stream::{UCred, UnixListener, UnixStream};
