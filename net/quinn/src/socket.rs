//! A UDP socket in the reactor, with many datagrams to a system call where the system has that.

use posse_core::io::{Interest, UdpSocket};
use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::fmt;
use std::future::Future;
use std::io::{IoSliceMut, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Two descriptors of one socket: the reactor watches the one, datagrams go through the other, which quinn asks for its options.
#[derive(Debug)]
pub(crate) struct Socket {
    watched: UdpSocket,
    used: std::net::UdpSocket,
    state: UdpSocketState,
}

impl Socket {
    pub(crate) fn new(socket: std::net::UdpSocket) -> Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self { watched: UdpSocket::from_std(socket.try_clone()?)?, used: socket, state })
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { socket: self, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> Result<()> {
        self.watched.try_io(Interest::WRITABLE, |_| self.state.send((&self.used).into(), transmit))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<Result<usize>> {
        self.watched.poll_read_io(cx, |_| self.state.recv((&self.used).into(), buffers, meta))
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        self.used.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

/// One of those that wait until there is room; each has a place of its own, so each is woken.
struct Writable {
    socket: Arc<Socket>,
    waiting: Option<Pin<Box<dyn Future<Output = Result<()>> + Send + Sync>>>,
}

impl UdpPoller for Writable {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let socket = self.socket.clone();
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(async move { socket.watched.ready(Interest::WRITABLE).await.map(drop) }));
        let polled = waiting.as_mut().poll(cx);
        if polled.is_ready() {
            self.waiting = None;
        }
        polled
    }
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writable").field("socket", &self.socket).finish_non_exhaustive()
    }
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "quinn wants a socket of std")]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// The kernel hands over joined what it was given joined: so one call has sent all segments, and one has received them.
    #[test]
    fn segments_are_cut_and_joined_by_the_kernel() {
        posse_core::runtime::Runtime::new().unwrap().block_on(async {
            let socket = || Socket::new(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
            let (a, b) = (socket(), socket());
            if a.max_transmit_segments() == 1 || b.max_receive_segments() == 1 {
                // A kernel without them: quinn sends and receives one by one.
                return;
            }
            let (contents, destination) = ([7; 10 * 1_200], b.local_addr().unwrap());
            a.try_send(&Transmit {
                destination,
                ecn: None,
                contents: &contents,
                segment_size: Some(1_200),
                src_ip: None,
            })
            .unwrap();
            let mut space = vec![0; b.max_receive_segments() * 1_500];
            let mut meta = [RecvMeta::default()];
            let count = poll_fn(|cx| b.poll_recv(cx, &mut [IoSliceMut::new(&mut space)], &mut meta)).await.unwrap();
            assert_eq!((count, meta[0].len, meta[0].stride), (1, contents.len(), 1_200));
            assert_eq!(meta[0].addr, a.local_addr().unwrap());
        });
    }
}
