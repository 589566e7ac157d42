//! The reactor and the sockets that stand on it.
//!
//! Everything above talks to the operating system's sockets through the types of this module and no others, so that a
//! simulated network can take their place in one room: [`os`] alone names mio and socket2.

mod driver;
mod os;
mod registration;
mod resolve;
mod socket;
mod table;

pub use os::{Interest, TcpOptions};
pub use resolve::resolve;
pub use socket::{Readable, Socket, TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};

pub(crate) use driver::{Driver, IoHandle};
pub(crate) use socket::SignalPipe;
