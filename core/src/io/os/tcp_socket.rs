//! A TCP socket of the operating system before it connects or listens.

use super::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;

/// The socket, with the options of socket2.
#[derive(Debug)]
pub(crate) struct OsTcpSocket(Socket);

impl OsTcpSocket {
    pub(crate) fn new(is_v6: bool) -> io::Result<Self> {
        let domain = if is_v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    pub(crate) fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self(stream.into()))
    }

    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.0.bind(&address.into())
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Begins the handshake.
    pub(crate) fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        match self.0.connect(&address.into()) {
            Err(error) if !is_in_progress(&error) => Err(error),
            _ => Ok(TcpStream::from_std(self.0.into())),
        }
    }

    pub(crate) fn listen(self, backlog: i32) -> io::Result<TcpListener> {
        self.0.listen(backlog)?;
        Ok(TcpListener::from_std(self.0.into()))
    }
}

impl Deref for OsTcpSocket {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(libc::EINPROGRESS);
    #[cfg(not(unix))]
    return error.kind() == io::ErrorKind::WouldBlock;
}
