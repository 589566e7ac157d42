//! Datagrams into buffers that grow, without waiting, by polling, and many at once.

use super::UdpSocket;
use crate::readiness::readiness;
use bytes::BufMut;
use posse_core::io::Interest;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::task::{Context, Poll};

readiness!(UdpSocket: any read write);

impl UdpSocket {
    /// Receives from the connected address into the free part of a buffer, at most 64 KiB. What does not fit is lost.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Nothing has been received if the future is dropped.
    pub async fn recv_buf<B: BufMut + ?Sized>(&self, buffer: &mut B) -> Result<usize> {
        self.socket.recv_buf(buffer).await.map(|(len, _)| len)
    }

    /// Receives from anybody into the free part of a buffer, at most 64 KiB. What does not fit is lost.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Nothing has been received if the future is dropped.
    pub async fn recv_buf_from<B: BufMut + ?Sized>(&self, buffer: &mut B) -> Result<(usize, SocketAddr)> {
        self.socket.recv_buf(buffer).await.and_then(known_sender)
    }

    /// Sends to the connected address without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room.
    pub fn try_send(&self, bytes: &[u8]) -> Result<usize> {
        self.socket.try_io(Interest::WRITABLE, |socket| socket.send(bytes))
    }

    /// Receives from the connected address without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_recv(&self, buffer: &mut [u8]) -> Result<usize> {
        self.socket.try_io(Interest::READABLE, |socket| socket.recv(buffer))
    }

    /// Receives from the connected address into the free part of a buffer without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_recv_buf<B: BufMut + ?Sized>(&self, buffer: &mut B) -> Result<usize> {
        self.socket.try_recv_buf(buffer).map(|(len, _)| len)
    }

    /// Receives from anybody into the free part of a buffer without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_recv_buf_from<B: BufMut + ?Sized>(&self, buffer: &mut B) -> Result<(usize, SocketAddr)> {
        self.socket.try_recv_buf(buffer).and_then(known_sender)
    }

    /// Receives without taking the datagram out, and without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_peek_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        self.socket.try_io(Interest::READABLE, |socket| socket.peek_from(buffer))
    }

    /// Waits for a datagram and returns who sent it, without taking it out.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Nothing is taken.
    pub async fn peek_sender(&self) -> Result<SocketAddr> {
        // One byte: some systems take an empty buffer for nothing to do.
        self.peek_from(&mut [0]).await.map(|(_, from)| from)
    }

    /// Receives from the connected address without taking the datagram out.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Cancel safety
    /// Nothing is taken.
    pub async fn peek(&self, buffer: &mut [u8]) -> Result<usize> {
        self.peek_from(buffer).await.map(|(len, _)| len)
    }

    /// Polls for room to send to the connected address. Of several tasks that poll, the last one is woken.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.socket.poll_write_io(cx, |socket| socket.send(bytes))
    }

    /// Polls for a datagram from the connected address. Of several tasks that poll, the last one is woken.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        self.socket.poll_read_io(cx, |socket| socket.recv(buffer))
    }

    /// Waits for a datagram, and receives it and those that are there as well, as many as there are buffers. Writes their
    /// lengths and senders to `received`, and returns how many there are: one or more, or none if there is no buffer. What does
    /// not fit a buffer is lost. Nothing is allocated; each datagram is a call of the system.
    ///
    /// # Errors
    /// What the system says of the first; an error after it ends the batch and shows at the next call, if it lasts.
    ///
    /// # Cancel safety
    /// Nothing has been received if the future is dropped.
    ///
    /// # Examples
    /// ```
    /// use posse_net::UdpSocket;
    ///
    /// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
    /// let (a, b) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// a.connect(b.local_addr()?).await?;
    /// assert_eq!(a.send_many(&[&b"one"[..], b"two"]).await?, 2);
    ///
    /// let (mut first, mut second, mut third) = ([0; 8], [0; 8], [0; 8]);
    /// let mut received = [(0, a.local_addr()?); 3];
    /// let count = b.recv_many(&mut [&mut first[..], &mut second, &mut third], &mut received).await?;
    /// assert!((1..=2).contains(&count));
    /// assert_eq!(received[0], (3, a.local_addr()?));
    /// assert_eq!(&first[..3], b"one");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub async fn recv_many(&self, buffers: &mut [&mut [u8]], received: &mut [(usize, SocketAddr)]) -> Result<usize> {
        let mut places = buffers.iter_mut().zip(received);
        let Some((buffer, place)) = places.next() else { return Ok(0) };
        *place = self.recv_from(buffer).await?;
        let mut count = 1;
        for (buffer, place) in places {
            match self.try_recv_from(buffer) {
                Ok(datagram) => *place = datagram,
                // It would wait, or fail again at the next call.
                Err(_) => break,
            }
            count += 1;
        }
        Ok(count)
    }

    /// Sends datagrams to the connected address, as many as there is room for, and waits for the first. Returns how many were
    /// sent: one or more, or none if there is none. Nothing is allocated; each datagram is a call of the system.
    ///
    /// # Errors
    /// What the system says of the first; an error after it ends the batch and shows at the next call, if it lasts.
    ///
    /// # Cancel safety
    /// Nothing has been sent if the future is dropped.
    pub async fn send_many(&self, datagrams: &[&[u8]]) -> Result<usize> {
        let Some((first, others)) = datagrams.split_first() else { return Ok(0) };
        self.send(first).await?;
        let sent = others.iter().take_while(|datagram| self.try_send(datagram).is_ok()).count();
        Ok(1 + sent)
    }
}

fn known_sender((len, from): (usize, Option<SocketAddr>)) -> Result<(usize, SocketAddr)> {
    let unknown = || Error::new(ErrorKind::InvalidData, "a datagram without a sender");
    from.map(|from| (len, from)).ok_or_else(unknown)
}

#[cfg(unix)]
crate::readiness::descriptors!(UdpSocket);
