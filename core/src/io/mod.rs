//! The reactor and the sockets that stand on it.
//!
//! Everything above talks to the operating system's sockets through the types of this module and no others, so that a
//! simulated network can take their place in one room: [`os`] alone names mio and socket2.

#[cfg(unix)]
mod async_fd;
mod datagrams;
mod detached;
mod driver;
mod interest;
mod os;
mod raw_socket;
mod readiness;
mod registrations;
mod resolve;
mod socket;
mod tcp_socket;
#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub use async_fd::{AsyncFd, AsyncFdReadyGuard, TryIoError, pidfd};
pub use datagrams::RecvMeta;
pub use detached::spawn_detached;
pub use interest::{Interest, Ready};
#[cfg(unix)]
#[doc(hidden)]
pub use os::O_NONBLOCK;
pub use raw_socket::{RawSocket, RawStream, RawTcpListener, RawTcpStream, RawUdpSocket};
pub use resolve::resolve;
pub use socket::{Socket, TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
pub use socket::{UnixListener, UnixStream};
pub use tcp_socket::TcpSocket;
#[cfg(unix)]
pub use unix::{PipeReceiver, PipeSender, UnixDatagram, pipe, unix_address};

pub(crate) use crate::util::socket_counts::SocketCounts;
pub(crate) use driver::{Driver, IoHandle};
#[cfg(unix)]
pub(crate) use socket::SignalPipe;
