//! A TCP socket before it connects or listens, when its options can still be set.

use super::os::OsTcpSocket;
use super::socket::{Socket, TcpListener, TcpStream};
use crate::sim::env::{HostNet, SimTcpSocket};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A TCP socket that neither connects nor listens yet. A simulated one keeps no options, which are all taken.
#[derive(Debug)]
pub struct TcpSocket(Repr);

#[derive(Debug)]
enum Repr {
    Os(OsTcpSocket),
    Sim(SimTcpSocket),
}

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident, $set:ident($value:ty), $os_get:ident, $os_set:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// What the operating system says.
        pub fn $set(&self, value: $value) -> io::Result<()> {
            self.with(|socket| socket.$os_set(value))
        }

        #[doc = concat!("Returns what [`", stringify!($set), "`](Self::", stringify!($set), ") sets.")]
        ///
        /// # Errors
        /// What the operating system says.
        pub fn $name(&self) -> io::Result<$value> {
            self.with(|socket| socket.$os_get())
        }
    )*};
}

impl TcpSocket {
    /// Makes a socket for IPv4.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new_v4() -> io::Result<Self> {
        Self::new(false)
    }

    /// Makes a socket for IPv6.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new_v6() -> io::Result<Self> {
        Self::new(true)
    }

    fn new(is_v6: bool) -> io::Result<Self> {
        if let Some(host) = HostNet::current() {
            return Ok(Self(Repr::Sim(host.tcp_socket())));
        }
        OsTcpSocket::new(is_v6).map(|socket| Self(Repr::Os(socket)))
    }

    /// Takes over a socket from std, which must neither be connected nor listen.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn from_std_stream(stream: std::net::TcpStream) -> io::Result<Self> {
        OsTcpSocket::from_std(stream).map(|socket| Self(Repr::Os(socket)))
    }

    /// Binds to an address. Port 0 lets the system choose.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        match &self.0 {
            Repr::Os(socket) => socket.bind(address),
            Repr::Sim(socket) => {
                socket.bind(address);
                Ok(())
            }
        }
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        match self.0 {
            Repr::Os(socket) => TcpStream::finish_connect(socket.connect(address)?.into()).await,
            Repr::Sim(socket) => TcpStream::finish_connect(socket.connect(address)?.into()).await,
        }
    }

    /// Listens; at most `backlog` connections wait to be accepted.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        match self.0 {
            Repr::Os(socket) => Socket::new(socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?.into()),
            Repr::Sim(socket) => Socket::new(socket.listen()?.into()),
        }
    }

    /// Returns the address it is bound to.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Repr::Os(socket) => socket.local_addr(),
            Repr::Sim(socket) => socket.local_addr(),
        }
    }

    fn with<T: Default>(&self, option: impl FnOnce(&OsTcpSocket) -> io::Result<T>) -> io::Result<T> {
        match &self.0 {
            Repr::Os(socket) => option(socket),
            Repr::Sim(_) => Ok(T::default()),
        }
    }

    options! {
        /// Sets whether an address may be used again at once after a restart.
        reuseaddr, set_reuseaddr(bool), reuse_address, set_reuse_address;
        /// Sets whether small writes are sent at once. Default: the system's, which delays them (Nagle's algorithm).
        nodelay, set_nodelay(bool), tcp_nodelay, set_tcp_nodelay;
        /// Sets whether probes are sent on a connection that is idle.
        keepalive, set_keepalive(bool), keepalive, set_keepalive;
        /// Sets how long closing waits for unsent data; `Some(ZERO)` resets the connection.
        linger, set_linger(Option<Duration>), linger, set_linger;
        /// Sets the type of service of IPv4 packets.
        tos_v4, set_tos_v4(u32), tos_v4, set_tos_v4;
        /// Sets how many bytes the system keeps of what was not sent; it may take another number.
        send_buffer_size, set_send_buffer_size(usize), send_buffer_size, set_send_buffer_size;
        /// Sets how many bytes the system keeps of what was not read; it may take another number.
        recv_buffer_size, set_recv_buffer_size(usize), recv_buffer_size, set_recv_buffer_size;
    }

    /// Sets when probes are sent on a connection: once it was idle for `time`, each `interval`, and how many.
    ///
    /// # Errors
    /// What the operating system says.
    #[cfg(unix)]
    pub fn set_tcp_keepalive(&self, time: Duration, interval: Duration, retries: u32) -> io::Result<()> {
        self.with(|socket| super::os::set_keepalive_probes(socket, time, interval, retries))
    }
}

#[cfg(target_os = "linux")]
impl TcpSocket {
    options! {
        /// Sets whether several sockets may listen on one address, each with a share of the connections.
        reuseport, set_reuseport(bool), reuse_port, set_reuse_port;
        /// Sets the traffic class of IPv6 packets.
        tclass_v6, set_tclass_v6(u32), tclass_v6, set_tclass_v6;
    }

    /// Uses one network device alone, or any again.
    ///
    /// # Errors
    /// What the operating system says; this may need a privilege.
    pub fn bind_device(&self, device: Option<&[u8]>) -> io::Result<()> {
        self.with(|socket| socket.bind_device(device))
    }

    /// Returns the device it uses alone, if it does.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn device(&self) -> io::Result<Option<Vec<u8>>> {
        self.with(|socket| socket.device())
    }
}
