//! The reactor and the sockets that stand on it.
//!
//! Everything above talks to the operating system's sockets through the types of this module and no others, so that a
//! simulated network can take their place in one room: [`os`] alone names mio and socket2.

#[cfg(unix)]
mod async_fd;
mod detached;
pub(crate) mod driver;
mod os;
mod resolve;
mod socket;
mod tcp_socket;
#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub use async_fd::{AsyncFd, AsyncFdReadyGuard, TryIoError, pidfd};
pub use detached::spawn_detached;
pub use driver::RecvMeta;
pub use driver::interest::{Interest, Ready};
pub use driver::raw_socket::{RawSocket, RawStream, RawTcpListener, RawTcpStream, RawUdpSocket};
#[cfg(unix)]
#[doc(hidden)]
pub use os::O_NONBLOCK;
pub use resolve::resolve;
pub use socket::{Socket, TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
pub use socket::{UnixListener, UnixStream};
pub use tcp_socket::TcpSocket;
#[cfg(unix)]
pub use unix::{PipeReceiver, PipeSender, UnixDatagram, pipe, unix_address};

#[cfg(unix)]
pub(crate) use socket::SignalPipe;
