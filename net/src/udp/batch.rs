//! Many datagrams at once.

use super::UdpSocket;
use posse_core::io::{Interest, RecvMeta};
use std::io::Result;
use std::net::SocketAddr;

impl UdpSocket {
    /// Waits for a datagram, and receives it and those that are there as well into as many of the buffers, 32 at most. Writes what they were filled with to
    /// `received`, and returns how many: one or more, or none if there is no buffer. What does not fit a buffer is lost, and on Linux
    /// [`RecvMeta::is_truncated`] says so.
    ///
    /// On Linux this is one call of the system (`recvmmsg`), with two allocations; elsewhere and in a simulation each datagram is a call.
    ///
    /// # Errors
    /// What the system says of the first; an error after it ends the batch and shows at the next call, if it lasts.
    ///
    /// # Cancel safety
    /// Nothing has been received if the future is dropped.
    ///
    /// # Examples
    /// ```
    /// use posse::net::{RecvMeta, UdpSocket};
    ///
    /// # posse::runtime::Runtime::new().unwrap().block_on(async {
    /// let (a, b) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// a.connect(b.local_addr()?).await?;
    /// assert_eq!(a.send_many(&[&b"one"[..], b"two"]).await?, 2);
    ///
    /// let (mut first, mut second, mut third) = ([0; 8], [0; 8], [0; 8]);
    /// let mut received = [RecvMeta::default(); 3];
    /// let count = b.recv_many(&mut [&mut first[..], &mut second, &mut third], &mut received).await?;
    /// assert!((1..=2).contains(&count));
    /// assert_eq!((received[0].len, received[0].addr), (3, a.local_addr()?));
    /// assert_eq!(&first[..3], b"one");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn recv_many(&self, buffers: &mut [&mut [u8]], received: &mut [RecvMeta]) -> Result<usize> {
        if buffers.is_empty() || received.is_empty() {
            return Ok(0);
        }
        self.socket.read_io(|socket| socket.recv_many(buffers, received)).await
    }

    /// Receives the datagrams that are there, without waiting. Else as [`recv_many`](Self::recv_many).
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_recv_many(&self, buffers: &mut [&mut [u8]], received: &mut [RecvMeta]) -> Result<usize> {
        if buffers.is_empty() || received.is_empty() {
            return Ok(0);
        }
        self.socket.try_io(Interest::READABLE, |socket| socket.recv_many(buffers, received))
    }

    /// Sends datagrams to the connected address, as many as there is room for, 32 at most, and waits for the first. Returns how many were
    /// sent: one or more, or none if there is none.
    ///
    /// On Linux this is one call of the system (`sendmmsg`); elsewhere and in a simulation each datagram is a call. Nothing is allocated.
    ///
    /// # Errors
    /// What the system says of the first; an error after it ends the batch and shows at the next call, if it lasts.
    ///
    /// # Cancel safety
    /// Nothing has been sent if the future is dropped.
    pub async fn send_many(&self, datagrams: &[&[u8]]) -> Result<usize> {
        if datagrams.is_empty() {
            return Ok(0);
        }
        self.socket.write_io(|socket| socket.send_many(datagrams.iter().map(|bytes| (*bytes, None)))).await
    }

    /// Sends datagrams, each to an address of its own. Else as [`send_many`](Self::send_many).
    ///
    /// # Errors
    /// As [`send_many`](Self::send_many).
    ///
    /// # Cancel safety
    /// Nothing has been sent if the future is dropped.
    pub async fn send_many_to(&self, datagrams: &[(&[u8], SocketAddr)]) -> Result<usize> {
        if datagrams.is_empty() {
            return Ok(0);
        }
        let addressed = || datagrams.iter().map(|(bytes, address)| (*bytes, Some(*address)));
        self.socket.write_io(|socket| socket.send_many(addressed())).await
    }

    /// Sends datagrams to the connected address, as many as there is room for, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room. Else as [`send_many`](Self::send_many).
    pub fn try_send_many(&self, datagrams: &[&[u8]]) -> Result<usize> {
        if datagrams.is_empty() {
            return Ok(0);
        }
        self.socket.try_io(Interest::WRITABLE, |socket| socket.send_many(datagrams.iter().map(|bytes| (*bytes, None))))
    }

    /// Sends `bytes` as datagrams of `segment_size` bytes each, the last one perhaps shorter, to an address or else to the connected one. Returns how
    /// many bytes were sent, whole segments; the rest is for another call. At most 64 segments and 65,507 bytes are sent at once.
    ///
    /// On Linux from 4.18 on the kernel or the network device cuts them (GSO): one call for all. Where it cannot, such as for a device without checksums or
    /// segments larger than the device sends at once, they are sent as [`send_many`](Self::send_many) sends them; each call tries anew.
    ///
    /// # Errors
    /// `InvalidInput` if `segment_size` is zero; what the system says of the first datagram.
    ///
    /// # Cancel safety
    /// Nothing has been sent if the future is dropped.
    ///
    /// # Examples
    /// ```
    /// use posse::net::UdpSocket;
    ///
    /// # posse::runtime::Runtime::new().unwrap().block_on(async {
    /// let (a, b) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// let (bytes, mut sent) = ([7; 2_500], 0);
    /// while sent < bytes.len() {
    ///     sent += a.send_segments(&bytes[sent..], 1_000, Some(b.local_addr()?)).await?;
    /// }
    /// let mut buffer = [0; 2_000];
    /// assert_eq!(b.recv(&mut buffer).await?, 1_000);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn send_segments(&self, bytes: &[u8], segment_size: usize, address: Option<SocketAddr>) -> Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.socket.write_io(|socket| socket.send_segments(bytes, segment_size, address)).await
    }

    /// Has the kernel join datagrams of one sender and size that arrive together (GRO), so that one buffer takes up to 64 KiB of them. Default: false.
    /// Receive them with [`recv_many`](Self::recv_many), which tells where one ends; the other functions do not.
    ///
    /// # Errors
    /// `Unsupported` in a simulation and elsewhere than on Linux; what a kernel before 5.0 says.
    pub fn set_gro(&self, on: bool) -> Result<()> {
        self.socket.set_gro(on)
    }

    /// Returns what [`set_gro`](Self::set_gro) sets.
    ///
    /// # Errors
    /// As [`set_gro`](Self::set_gro).
    pub fn gro(&self) -> Result<bool> {
        self.socket.gro()
    }
}
