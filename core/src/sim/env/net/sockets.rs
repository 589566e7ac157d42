//! The TCP sockets of the simulated network, as the runtime holds them.

use super::{HostNet, Net, SocketId};
use crate::lock::Mutex;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

/// A simulated TCP listener.
#[derive(Debug)]
pub(crate) struct SimListener {
    net: Net,
    id: SocketId,
}

impl SimListener {
    pub(super) fn new(net: Net, id: SocketId) -> Self {
        Self { net, id }
    }

    pub(crate) fn id(&self) -> SocketId {
        self.id
    }

    pub(crate) fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let (id, peer) = self.net.0.lock().accept(self.id)?;
        Ok((SimStream { net: self.net.clone(), id }, peer))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.net.0.lock().listening_address(self.id)
    }
}

/// A simulated TCP connection.
#[derive(Debug)]
pub(crate) struct SimStream {
    net: Net,
    id: SocketId,
}

impl SimStream {
    pub(super) fn new(net: Net, id: SocketId) -> Self {
        Self { net, id }
    }

    pub(crate) fn id(&self) -> SocketId {
        self.id
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.net.0.lock().read(self.id, buffer, true)
    }

    pub(crate) fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.net.0.lock().read(self.id, buffer, false)
    }

    pub(crate) fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match buffers.iter_mut().find(|buffer| !buffer.is_empty()) {
            Some(buffer) => self.read(buffer),
            None => Ok(0),
        }
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.net.0.lock().write(self.id, bytes)
    }

    pub(crate) fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(&buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect::<Vec<u8>>())
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.net.0.lock().shutdown(self.id, how)
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.net.0.lock().living_stream(self.id)?.take_error().map(io::Error::from))
    }

    pub(crate) fn set_linger(&self, time: Option<Duration>) -> io::Result<()> {
        self.net.0.lock().living_stream(self.id)?.set_linger_zero(time == Some(Duration::ZERO));
        Ok(())
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.net.0.lock().living_stream(self.id)?.local())
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        let mut state = self.net.0.lock();
        state.living_stream(self.id)?.peer().ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

/// A TCP socket that neither connects nor listens yet. It keeps no options.
#[derive(Debug)]
pub(crate) struct SimTcpSocket {
    host: HostNet,
    /// Where it is bound to, if it is.
    bound: Mutex<Option<SocketAddr>>,
}

impl SimTcpSocket {
    pub(super) fn new(host: HostNet) -> Self {
        Self { host, bound: Mutex::default() }
    }

    pub(crate) fn bind(&self, address: SocketAddr) {
        *self.bound.lock() = Some(address);
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        let bound = *self.bound.lock();
        bound.ok_or_else(|| ErrorKind::AddrNotAvailable.into())
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<SimStream> {
        self.host.connect(address)
    }

    pub(crate) fn listen(&self) -> io::Result<SimListener> {
        self.host.listen(self.local_addr()?)
    }
}
