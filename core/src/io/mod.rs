//! The reactor and the sockets that stand on it.
//!
//! Everything above talks to the operating system's sockets through the types of this module and no others, so that a
//! simulated network can take their place in one room: [`os`] alone names mio and socket2.

mod counts;
mod detached;
mod driver;
mod os;
mod raw_socket;
mod readiness;
mod registrations;
mod resolve;
mod socket;

pub use detached::spawn_detached;
pub use os::Interest;
pub use raw_socket::{RawSocket, RawStream, RawTcpListener, RawTcpStream, RawUdpSocket};
pub use resolve::resolve;
pub use socket::{Socket, TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};

pub(crate) use counts::SocketCounts;
pub(crate) use driver::{Driver, IoHandle};
pub(crate) use socket::SignalPipe;
#[cfg(feature = "sim")]
pub(crate) use {os::Event, readiness::Readiness};
