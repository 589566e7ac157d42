//! The sockets themselves: the operating system's, or those of a simulated network. Which one it is was decided by the
//! runtime they were made in; everything above does not know.

use crate::io::os;
use crate::sim::env::{SimListener, SimStream, SimUdp, SocketId};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::time::Duration;

/// What can be put into a reactor.
pub trait RawSocket: fmt::Debug {
    /// The operating system's socket, if it is one.
    #[doc(hidden)]
    fn os(&mut self) -> Option<&mut dyn os::Source>;

    /// The simulated socket, if it is one.
    #[doc(hidden)]
    fn simulated(&self) -> Option<SocketId> {
        None
    }
}

/// A TCP connection without its place in the reactor.
#[derive(Debug)]
pub struct RawTcpStream(Tcp);

#[derive(Debug)]
enum Tcp {
    Os(os::TcpStream),
    Sim(SimStream),
}

/// A TCP listener without its place in the reactor.
#[derive(Debug)]
pub struct RawTcpListener(Listener);

#[derive(Debug)]
enum Listener {
    Os(os::TcpListener),
    Sim(SimListener),
}

/// A UDP socket without its place in the reactor.
#[derive(Debug)]
pub struct RawUdpSocket(Udp);

#[derive(Debug)]
enum Udp {
    Os(os::UdpSocket),
    Sim(SimUdp),
}

macro_rules! either {
    ($source:expr, $kind:ident, $socket:ident => $os:expr) => {
        either!($source, $kind, $socket => $os, $os)
    };
    ($source:expr, $kind:ident, $socket:ident => $os:expr, $sim:expr) => {
        match $source {
            $kind::Os($socket) => $os,
            $kind::Sim($socket) => $sim,
        }
    };
}

macro_rules! source {
    ($source:ident, $kind:ident, $os:ty, $sim:ty) => {
        impl RawSocket for $source {
            fn os(&mut self) -> Option<&mut dyn os::Source> {
                either!(&mut self.0, $kind, socket => Some(socket), { let _ = socket; None })
            }

            fn simulated(&self) -> Option<SocketId> {
                either!(&self.0, $kind, socket => { let _ = socket; None }, Some(socket.id()))
            }
        }

        impl From<$os> for $source {
            fn from(socket: $os) -> Self {
                Self($kind::Os(socket))
            }
        }

        impl From<$sim> for $source {
            fn from(socket: $sim) -> Self {
                Self($kind::Sim(socket))
            }
        }
    };
}

source!(RawTcpStream, Tcp, os::TcpStream, SimStream);
source!(RawTcpListener, Listener, os::TcpListener, SimListener);
source!(RawUdpSocket, Udp, os::UdpSocket, SimUdp);

/// A socket whose bytes can be read and written through a shared reference.
pub trait RawStream {
    /// Reads without waiting.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Reads without waiting into memory that need not be initialised. Afterwards as many bytes of it are as were read.
    fn try_read_uninit(&self, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize>;
    /// Reads into several buffers without waiting.
    fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize>;
    /// Writes without waiting.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Writes from several buffers without waiting.
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl RawStream for RawTcpStream {
    #[inline]
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(&self.0, Tcp, socket => (&*socket).read(buffer), socket.read(buffer))
    }

    #[inline]
    fn try_read_uninit(&self, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        either!(&self.0, Tcp, socket => socket.try_io(|| os::recv_uninit(socket, buffer)), {
            let mut bytes = vec![0; buffer.len()];
            let read = socket.read(&mut bytes)?;
            for (to, from) in buffer.iter_mut().zip(&bytes[..read]) {
                to.write(*from);
            }
            Ok(read)
        })
    }

    fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        either!(&self.0, Tcp, socket => (&*socket).read_vectored(buffers), socket.read_vectored(buffers))
    }

    #[inline]
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(&self.0, Tcp, socket => (&*socket).write(bytes), socket.write(bytes))
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(&self.0, Tcp, socket => (&*socket).write_vectored(buffers), socket.write_vectored(buffers))
    }
}

#[cfg(unix)]
impl RawStream for os::UnixStream {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn try_read_uninit(&self, buffer: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
        self.try_io(|| os::recv_uninit(self, buffer))
    }

    fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }
}

/// A simulated network lacks what only the operating system has.
pub(in crate::io) fn not_simulated<T>(what: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("a simulation has no {what}")))
}

impl RawTcpStream {
    /// The options of the operating system's socket.
    #[doc(hidden)]
    pub fn options(&self) -> io::Result<os::SockRef<'_>> {
        either!(&self.0, Tcp, socket => Ok(os::SockRef::from(socket)), { let _ = socket; not_simulated("options of the system") })
    }

    /// Looks at what can be read without taking it.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(&self.0, Tcp, socket => socket.peek(buffer))
    }

    /// Ends one or both directions.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        either!(&self.0, Tcp, socket => socket.shutdown(how))
    }

    /// Returns the address of this end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(&self.0, Tcp, socket => socket.local_addr())
    }

    /// Returns the address of the other end.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        either!(&self.0, Tcp, socket => socket.peer_addr())
    }

    /// Takes the error that happened since the last look.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        either!(&self.0, Tcp, socket => socket.take_error())
    }

    /// Sets whether small writes are sent at once. A simulated network always does.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        either!(&self.0, Tcp, socket => socket.set_nodelay(nodelay), { let _ = socket; Ok(()) })
    }

    /// Returns whether small writes are sent at once.
    pub fn nodelay(&self) -> io::Result<bool> {
        either!(&self.0, Tcp, socket => socket.nodelay(), { let _ = socket; Ok(true) })
    }

    /// Sets how long closing waits for unsent data; `Some(ZERO)` resets the connection. A simulated one never waits.
    pub fn set_linger(&self, time: Option<Duration>) -> io::Result<()> {
        either!(&self.0, Tcp, socket => os::set_linger(socket, time), socket.set_linger(time))
    }

    /// Asks for keep-alive probes after the connection was idle for `time`. A simulated one sends none.
    pub fn set_keepalive(&self, time: Duration) -> io::Result<()> {
        either!(&self.0, Tcp, socket => os::set_keepalive(socket, time), { let _ = socket; Ok(()) })
    }

    /// Sets the most hops a packet takes.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        either!(&self.0, Tcp, socket => socket.set_ttl(hops), { let _ = socket; Ok(()) })
    }

    /// Gives the socket to std.
    pub(in crate::io) fn into_std(self) -> io::Result<std::net::TcpStream> {
        either!(self.0, Tcp, socket => Ok(socket.into()), { let _closed = socket; not_simulated("sockets of the system") })
    }
}

impl RawTcpListener {
    /// The options of the operating system's socket.
    #[doc(hidden)]
    pub fn options(&self) -> io::Result<os::SockRef<'_>> {
        either!(&self.0, Listener, socket => Ok(os::SockRef::from(socket)), { let _ = socket; not_simulated("options of the system") })
    }

    pub(in crate::io) fn into_std(self) -> io::Result<std::net::TcpListener> {
        either!(self.0, Listener, socket => Ok(os::listener_into_std(socket)),
            { let _closed = socket; not_simulated("sockets of the system") })
    }

    pub(in crate::io) fn accept(&self) -> io::Result<(RawTcpStream, SocketAddr)> {
        either!(&self.0, Listener, socket => socket.accept().map(|(stream, peer)| (stream.into(), peer)))
    }

    /// Returns the address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(&self.0, Listener, socket => socket.local_addr())
    }
}

impl RawUdpSocket {
    /// The operating system's socket, if it is one.
    #[cfg(target_os = "linux")]
    pub(in crate::io) fn os_socket(&self) -> Option<&os::UdpSocket> {
        either!(&self.0, Udp, socket => Some(socket), { let _ = socket; None })
    }

    /// The options of the operating system's socket.
    #[doc(hidden)]
    pub fn options(&self) -> io::Result<os::SockRef<'_>> {
        either!(&self.0, Udp, socket => Ok(os::SockRef::from(socket)), { let _ = socket; not_simulated("options of the system") })
    }

    pub(in crate::io) fn into_std(self) -> io::Result<std::net::UdpSocket> {
        either!(self.0, Udp, socket => Ok(socket.into()), { let _closed = socket; not_simulated("sockets of the system") })
    }

    /// Receives without waiting into memory that need not be initialised.
    pub(in crate::io) fn recv_uninit(&self, buffer: &mut [MaybeUninit<u8>]) -> io::Result<(usize, Option<SocketAddr>)> {
        either!(&self.0, Udp, socket => os::receive_from(socket, buffer), {
            let mut bytes = vec![0; buffer.len()];
            let (read, from) = socket.recv_from(&mut bytes)?;
            for (to, from) in buffer.iter_mut().zip(&bytes[..read]) {
                to.write(*from);
            }
            Ok((read, Some(from)))
        })
    }

    /// Sets where [`send`](Self::send) goes to; others are not heard any more.
    pub fn connect(&self, address: SocketAddr) -> io::Result<()> {
        either!(&self.0, Udp, socket => socket.connect(address))
    }

    /// Sends to the connected address.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(&self.0, Udp, socket => socket.send(bytes))
    }

    /// Receives from the connected address.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(&self.0, Udp, socket => socket.recv(buffer))
    }

    /// Sends to an address.
    pub fn send_to(&self, bytes: &[u8], address: SocketAddr) -> io::Result<usize> {
        either!(&self.0, Udp, socket => socket.send_to(bytes, address))
    }

    /// Receives from anybody.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(&self.0, Udp, socket => socket.recv_from(buffer))
    }

    /// Looks at the next datagram without taking it.
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        either!(&self.0, Udp, socket => socket.peek_from(buffer))
    }

    /// Sets whether it may send to broadcast addresses.
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        either!(&self.0, Udp, socket => socket.set_broadcast(on), { let _ = socket; not_simulated("broadcast") })
    }

    /// Sets the most hops a datagram takes.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        either!(&self.0, Udp, socket => socket.set_ttl(hops), { let _ = socket; Ok(()) })
    }

    /// Joins a multicast group.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        either!(&self.0, Udp, socket => socket.join_multicast_v4(group, interface),
            { let _ = socket; not_simulated("multicast") })
    }

    /// Leaves a multicast group.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        either!(&self.0, Udp, socket => socket.leave_multicast_v4(group, interface),
            { let _ = socket; not_simulated("multicast") })
    }

    /// Returns the address it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        either!(&self.0, Udp, socket => socket.local_addr())
    }

    /// Returns the connected address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        either!(&self.0, Udp, socket => socket.peer_addr())
    }
}

/// The descriptors of sockets that may be simulated.
#[cfg(unix)]
macro_rules! descriptors {
    ($($source:ident $kind:ident;)*) => {$(
        impl std::os::fd::AsFd for $source {
            /// # Panics
            /// In a simulation, which has no descriptors of the system.
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                either!(&self.0, $kind, socket => socket.as_fd(),
                    { let _ = socket; panic!("a simulated socket has no descriptor of the system") })
            }
        }
    )*};
}

#[cfg(unix)]
descriptors! {
    RawTcpStream Tcp;
    RawTcpListener Listener;
    RawUdpSocket Udp;
}
