//! A TCP socket before it connects or listens.

use crate::{TcpListener, TcpStream};
use posse_core::io;
use std::net::SocketAddr;
use std::ops::Deref;

/// A TCP socket that neither connects nor listens yet, for options that must be set before. The options are methods of the
/// type that it leads to.
///
/// # Examples
/// ```
/// use posse::net::{TcpSocket, TcpStream};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let socket = TcpSocket::new_v4()?;
/// socket.set_reuseaddr(true)?;
/// socket.set_recv_buffer_size(64 * 1024)?;
/// socket.bind("127.0.0.1:0".parse().expect("an address"))?;
/// let listener = socket.listen(128)?;
///
/// let socket = TcpSocket::new_v4()?;
/// socket.set_nodelay(true)?;
/// let client = socket.connect(listener.local_addr()?).await?;
/// assert!(client.nodelay()?);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpSocket(io::TcpSocket);

impl TcpSocket {
    /// Makes a socket for IPv4.
    ///
    /// # Errors
    /// What the system says.
    pub fn new_v4() -> std::io::Result<Self> {
        io::TcpSocket::new_v4().map(Self)
    }

    /// Makes a socket for IPv6.
    ///
    /// # Errors
    /// What the system says.
    pub fn new_v6() -> std::io::Result<Self> {
        io::TcpSocket::new_v6().map(Self)
    }

    /// Takes over a socket of std that neither is connected nor listens, such as another crate has made.
    ///
    /// # Errors
    /// What the system says.
    pub fn from_std_stream(stream: std::net::TcpStream) -> std::io::Result<Self> {
        io::TcpSocket::from_std_stream(stream).map(Self)
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    pub async fn connect(self, address: SocketAddr) -> std::io::Result<TcpStream> {
        self.0.connect(address).await.map(TcpStream::from_socket)
    }

    /// Listens; at most `backlog` connections wait to be accepted.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn listen(self, backlog: u32) -> std::io::Result<TcpListener> {
        self.0.listen(backlog).map(TcpListener::from_socket)
    }
}

impl Deref for TcpSocket {
    type Target = io::TcpSocket;

    fn deref(&self) -> &io::TcpSocket {
        &self.0
    }
}
