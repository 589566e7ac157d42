//! Sockets and pipes of Unix in the reactor. They are not simulated: in a simulation all of these are `Unsupported`.

use super::driver::raw_socket::RawSocket;
use super::os;
use super::socket::{Socket, UnixListener, UnixStream};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net as std_unix;
use std::path::Path;

/// A Unix-domain socket for datagrams.
pub type UnixDatagram = Socket<os::UnixDatagram>;
/// The writing end of a pipe.
pub type PipeSender = Socket<os::pipe::Sender>;
/// The reading end of a pipe.
pub type PipeReceiver = Socket<os::pipe::Receiver>;

macro_rules! raw_sockets {
    ($($ty:ty),*) => {$(
        impl RawSocket for $ty {
            fn os(&mut self) -> Option<&mut dyn os::Source> {
                Some(self)
            }
        }
    )*};
}

raw_sockets!(os::UnixStream, os::UnixListener, os::UnixDatagram, os::pipe::Sender, os::pipe::Receiver);

impl UnixStream {
    /// Connects to an address: a path or, on Linux, an abstract name.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    pub async fn connect_unix(address: &std_unix::SocketAddr) -> io::Result<Self> {
        let stream = Self::new(os::UnixStream::connect_addr(address)?)?;
        // Linux connects at once or not at all; elsewhere the error of a later refusal is taken here.
        stream.write_io(|stream| stream.take_error()?.map_or(Ok(()), Err)).await?;
        Ok(stream)
    }

    /// Makes two that are connected to each other.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = os::UnixStream::pair()?;
        Ok((Self::new(one)?, Self::new(other)?))
    }

    /// Takes over a connection from std.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn from_std_unix(stream: std_unix::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::new(os::UnixStream::from_std(stream))
    }

    /// Gives the connection to std; it stays non-blocking.
    pub fn into_std_unix(self) -> std_unix::UnixStream {
        self.into_raw().into()
    }

    /// Who the process at the other end is: process, user, group.
    ///
    /// # Errors
    /// What the operating system says.
    #[cfg(target_os = "linux")]
    pub fn peer_cred(&self) -> io::Result<(Option<i32>, u32, u32)> {
        os::peer_cred(&**self)
    }
}

impl UnixListener {
    /// Binds to an address and listens.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn listen_unix(address: &std_unix::SocketAddr) -> io::Result<Self> {
        Self::new(os::UnixListener::bind_addr(address)?)
    }

    /// Takes over a listener from std.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn from_std_unix(listener: std_unix::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::new(os::UnixListener::from_std(listener))
    }

    /// Gives the listener to std; it stays non-blocking.
    pub fn into_std_unix(self) -> std_unix::UnixListener {
        self.into_raw().into()
    }

    /// Accepts a connection.
    ///
    /// # Cancel safety
    /// No connection is lost by dropping the future.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn accept_unix(&self) -> io::Result<(UnixStream, std_unix::SocketAddr)> {
        let (stream, peer) = self.read_io(|listener| listener.accept()).await?;
        UnixStream::new(stream).map(|stream| (stream, peer))
    }

    /// Polls for a connection.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn poll_accept_unix(
        &self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<(UnixStream, std_unix::SocketAddr)>> {
        let (stream, peer) = std::task::ready!(self.poll_read_io(cx, |listener| listener.accept()))?;
        std::task::Poll::Ready(UnixStream::new(stream).map(|stream| (stream, peer)))
    }
}

impl UnixDatagram {
    /// Binds to an address.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn bind_unix(address: &std_unix::SocketAddr) -> io::Result<Self> {
        Self::new(os::UnixDatagram::bind_addr(address)?)
    }

    /// Makes one without an address.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn unbound() -> io::Result<Self> {
        Self::new(os::UnixDatagram::unbound()?)
    }

    /// Makes two that are connected to each other.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = os::UnixDatagram::pair()?;
        Ok((Self::new(one)?, Self::new(other)?))
    }

    /// Takes over a socket from std.
    ///
    /// # Errors
    /// What the operating system says; an error outside of a runtime.
    pub fn from_std_unix(socket: std_unix::UnixDatagram) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::new(os::UnixDatagram::from_std(socket))
    }

    /// Gives the socket to std; it stays non-blocking.
    pub fn into_std_unix(self) -> std_unix::UnixDatagram {
        self.into_raw().into()
    }
}

/// Makes a pipe.
///
/// # Errors
/// What the operating system says; an error outside of a runtime.
pub fn pipe() -> io::Result<(PipeSender, PipeReceiver)> {
    let (sender, receiver) = os::pipe::new()?;
    Ok((Socket::new(sender)?, Socket::new(receiver)?))
}

macro_rules! pipe_ends {
    ($($ty:ident $os:ident;)*) => {$(
        impl $ty {
            /// Takes over a descriptor of a pipe.
            ///
            /// # Errors
            /// What the operating system says; an error outside of a runtime.
            pub fn from_fd(descriptor: OwnedFd) -> io::Result<Self> {
                let pipe = os::pipe::$os::from(descriptor);
                pipe.set_nonblocking(true)?;
                Self::new(pipe)
            }

            /// Gives the descriptor back, non-blocking or not.
            ///
            /// # Errors
            /// What the operating system says.
            pub fn into_fd(self, nonblocking: bool) -> io::Result<OwnedFd> {
                let pipe = self.into_raw();
                pipe.set_nonblocking(nonblocking)?;
                Ok(pipe.into())
            }
        }
    )*};
}

pipe_ends! {
    PipeSender Sender;
    PipeReceiver Receiver;
}

/// The address of a path; on Linux a path that starts with a zero byte is an abstract name.
///
/// # Errors
/// For a path that is too long (on Linux more than 107 bytes).
pub fn unix_address(path: &Path) -> io::Result<std_unix::SocketAddr> {
    #[cfg(target_os = "linux")]
    if let [0, name @ ..] = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()) {
        return <std_unix::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name);
    }
    std_unix::SocketAddr::from_pathname(path)
}
