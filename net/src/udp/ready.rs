//! Datagrams into buffers that grow, without waiting and by polling.

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
}

fn known_sender((len, from): (usize, Option<SocketAddr>)) -> Result<(usize, SocketAddr)> {
    let unknown = || Error::new(ErrorKind::InvalidData, "a datagram without a sender");
    from.map(|from| (len, from)).ok_or_else(unknown)
}

#[cfg(unix)]
crate::readiness::descriptors!(UdpSocket);
