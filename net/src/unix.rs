//! Unix-domain stream sockets, for peers on the same machine.

use crate::accept_backoff::AcceptBackoff;
use crate::tcp::{delegate_read, delegate_write};
use posse_core::io;
use std::path::Path;

/// A Unix-domain connection.
#[derive(Debug)]
pub struct UnixStream {
    socket: io::UnixStream,
}

impl UnixStream {
    /// Connects to a path.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(path: impl AsRef<Path>) -> std::io::Result<Self> {
        let socket = io::UnixStream::connect_unix(path.as_ref())?;
        Ok(Self { socket })
    }

    /// Takes over a connection from std.
    ///
    /// # Errors
    /// What the system says; an error outside of a runtime.
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> std::io::Result<Self> {
        Ok(Self { socket: io::UnixStream::from_std_unix(stream)? })
    }
}

delegate_read!(UnixStream, socket);
delegate_write!(UnixStream, socket);

/// A Unix-domain socket that accepts connections. The path stays after it is dropped.
#[derive(Debug)]
pub struct UnixListener {
    socket: io::UnixListener,
    backoff: AcceptBackoff,
}

impl UnixListener {
    /// Binds to a path that does not exist yet, and listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(path: impl AsRef<Path>) -> std::io::Result<Self> {
        let socket = io::UnixListener::listen_unix(path.as_ref())?;
        Ok(Self { socket, backoff: AcceptBackoff::default() })
    }

    /// Accepts the next connection. Running out of descriptors or memory is waited for, as by
    /// [`TcpListener`](crate::TcpListener).
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// No connection is lost by dropping the future. Any number of tasks may accept at once.
    pub async fn accept(&self) -> std::io::Result<UnixStream> {
        let socket = self.backoff.accept(|| self.socket.accept_unix()).await?;
        Ok(UnixStream { socket })
    }
}
