//! The two directions of a TCP connection, apart.

use super::{TcpStream, delegate_read, delegate_write};
use bytes::BufMut;
use std::fmt;
use std::future::poll_fn;
use std::net::Shutdown;
use std::sync::Arc;

/// The reading half that borrows its stream; see [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The writing half that borrows its stream; see [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

/// The reading half that owns its direction; see [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<TcpStream>);

/// The writing half that owns its direction; dropping it ends that direction. See [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TcpStream>,
    end_on_drop: bool,
}

/// The halves are not of the same stream; they are given back.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of the same stream")
    }
}

impl std::error::Error for ReuniteError {}

pub(super) fn borrowed(stream: &mut TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf(stream), WriteHalf(stream))
}

pub(super) fn owned(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Arc::new(stream);
    (OwnedReadHalf(stream.clone()), OwnedWriteHalf { stream, end_on_drop: true })
}

impl ReadHalf<'_> {
    /// Reads into the free part of a buffer; see [`TcpStream::read_buf`].
    ///
    /// # Errors
    /// What the system says.
    pub async fn read_buf<B: BufMut + ?Sized>(&self, buffer: &mut B) -> std::io::Result<usize> {
        self.0.read_buf(buffer).await
    }
}

impl OwnedReadHalf {
    /// Reads into the free part of a buffer; see [`TcpStream::read_buf`].
    ///
    /// # Errors
    /// What the system says.
    pub async fn read_buf<B: BufMut + ?Sized>(&self, buffer: &mut B) -> std::io::Result<usize> {
        poll_fn(|cx| self.0.socket.poll_read_buf(cx, buffer)).await
    }

    /// Puts the halves together again.
    ///
    /// # Errors
    /// [`ReuniteError`] with both halves if they are not of the same stream.
    pub fn reunite(self, mut write: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.0, &write.stream) {
            return Err(ReuniteError(self, write));
        }

        write.end_on_drop = false;
        drop(write);
        Arc::try_unwrap(self.0).map_err(|stream| {
            // Cannot happen: there are two halves, and one is gone.
            ReuniteError(Self(stream.clone()), OwnedWriteHalf { stream, end_on_drop: true })
        })
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.end_on_drop {
            // An error means that the connection has ended already.
            let _ = self.stream.shutdown_sync(Shutdown::Write);
        }
    }
}

delegate_read!(ReadHalf<'_>, 0.socket);
delegate_write!(WriteHalf<'_>, 0.socket);
delegate_read!(OwnedReadHalf, 0.socket);
delegate_write!(OwnedWriteHalf, stream.socket);
