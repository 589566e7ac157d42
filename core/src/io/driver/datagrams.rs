//! Many datagrams at once: in one call of the system where it has that, one by one elsewhere and in a simulation.

use super::raw_socket::RawUdpSocket;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// What one buffer was filled with: a datagram, or several of one sender that the kernel has joined.
///
/// # Examples
/// ```
/// use posse::net::RecvMeta;
///
/// let joined = RecvMeta { len: 7, stride: 3, ..RecvMeta::default() };
/// let datagrams: Vec<_> = joined.datagrams(b"onetwo3---").collect();
/// assert_eq!(datagrams, [&b"one"[..], b"two", b"3"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvMeta {
    /// Who sent it.
    pub addr: SocketAddr,
    /// The bytes in the buffer.
    pub len: usize,
    /// The bytes of each datagram; the last one may have fewer. The same as `len` if there is one.
    pub stride: usize,
    /// The buffer was too small, and the rest is lost: of the only datagram, or of joined ones the last in the buffer and those behind it. Known on Linux
    /// alone; elsewhere and in a simulation it is false, and a datagram that fills its buffer may have been longer.
    pub is_truncated: bool,
}

impl Default for RecvMeta {
    /// Nothing, from the unspecified address: what is to be written over.
    fn default() -> Self {
        Self { addr: (Ipv4Addr::UNSPECIFIED, 0).into(), len: 0, stride: 0, is_truncated: false }
    }
}

impl RecvMeta {
    /// The datagrams in the buffer that this was received with: one or more.
    pub fn datagrams<'a>(&self, buffer: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = &buffer[..self.len.min(buffer.len())];
        // An empty datagram is one, too.
        let (first, others) = bytes.split_at(self.stride.min(bytes.len()));
        std::iter::once(first).chain(others.chunks(self.stride.max(1)))
    }
}

impl RawUdpSocket {
    /// Sends datagrams, each to its address or else to the connected one, without waiting. Returns how many were sent, one at least.
    ///
    /// # Errors
    /// What the system says of the first.
    pub fn send_many<'a>(
        &self,
        mut datagrams: impl Iterator<Item = (&'a [u8], Option<SocketAddr>)>,
    ) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if let Some(socket) = self.os_socket() {
            return crate::io::os::send_many(socket, datagrams);
        }
        let send = |(bytes, address)| match address {
            Some(address) => self.send_to(bytes, address),
            None => self.send(bytes),
        };
        let Some(first) = datagrams.next() else { return Ok(0) };
        send(first)?;
        Ok(1 + datagrams.take_while(|datagram| send(*datagram).is_ok()).count())
    }

    /// Receives into several buffers without waiting. Returns how many were filled, one at least.
    ///
    /// # Errors
    /// What the system says of the first.
    pub fn recv_many(&self, buffers: &mut [&mut [u8]], received: &mut [RecvMeta]) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if let Some(socket) = self.os_socket() {
            return crate::io::os::recv_many(socket, buffers, received);
        }
        let mut count = 0;
        for (buffer, place) in buffers.iter_mut().zip(received) {
            match self.recv_from(buffer) {
                Ok((len, addr)) => *place = RecvMeta { addr, len, stride: len, is_truncated: false },
                Err(error) if count == 0 => return Err(error),
                // It would wait, or fail again at the next call.
                Err(_) => break,
            }
            count += 1;
        }
        Ok(count)
    }

    /// Sends datagrams of one size that lie one after the other, without waiting. Returns how many bytes were sent.
    ///
    /// # Errors
    /// `InvalidInput` for segments of no bytes; what the system says of the first datagram.
    pub fn send_segments(&self, bytes: &[u8], segment_size: usize, address: Option<SocketAddr>) -> io::Result<usize> {
        if segment_size == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a segment has one byte at least"));
        }
        #[cfg(target_os = "linux")]
        if let Some(socket) = self.os_socket() {
            return crate::io::os::send_segments(socket, bytes, segment_size, address);
        }
        let sent = self.send_many(bytes.chunks(segment_size).map(|segment| (segment, address)))?;
        Ok(bytes.len().min(sent * segment_size))
    }

    /// Has the kernel join datagrams of one sender and size, or not any more.
    ///
    /// # Errors
    /// `Unsupported` elsewhere than on Linux; what an older kernel says.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(socket) = self.os_socket() {
            return crate::io::os::set_gro(socket, on);
        }
        let _ = on;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether the kernel joins datagrams.
    ///
    /// # Errors
    /// As [`set_gro`](Self::set_gro).
    pub fn gro(&self) -> io::Result<bool> {
        #[cfg(target_os = "linux")]
        if let Some(socket) = self.os_socket() {
            return crate::io::os::gro(socket);
        }
        Err(io::ErrorKind::Unsupported.into())
    }
}
