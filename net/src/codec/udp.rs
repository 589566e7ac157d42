//! Messages over a UDP socket.

use super::{Decoder, Encoder};
use crate::UdpSocket;
use bytes::BytesMut;
use futures_core::Stream;
use futures_sink::Sink;
use posse_core::task::coop::poll_proceed;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes of the largest datagram there is.
const DATAGRAM_MAX: usize = 64 * 1024;

/// A message and where it came from, or why there is none.
type Received<C> = Result<(<C as Decoder>::Item, SocketAddr), <C as Decoder>::Error>;

/// Receives and sends messages of codec `C` as datagrams. A datagram holds whole frames, one or more; a part of one at its
/// end is an error, after which the next datagram is received.
///
/// # Examples
/// ```
/// use posse::net::UdpSocket;
/// use posse::net::codec::{LinesCodec, UdpFramed};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut here = UdpFramed::new(UdpSocket::bind("127.0.0.1:0").await?, LinesCodec::new(80));
/// let mut there = UdpFramed::new(UdpSocket::bind("127.0.0.1:0").await?, LinesCodec::new(80));
/// let (here_address, there_address) = (here.get_ref().local_addr()?, there.get_ref().local_addr()?);
/// here.send(("hello", there_address)).await?;
/// assert_eq!(there.next().await.transpose()?, Some(("hello".to_owned(), here_address)));
/// # Ok::<(), posse::net::codec::CodecError>(()) }).unwrap();
/// ```
pub struct UdpFramed<C> {
    socket: UdpSocket,
    codec: C,
    /// Where datagrams are received; allocated at the first.
    space: Box<[u8]>,
    /// What is left of the last datagram.
    received: BytesMut,
    from: Option<SocketAddr>,
    to_send: BytesMut,
    to: Option<SocketAddr>,
}

impl<C> UdpFramed<C> {
    /// Joins a socket and a codec.
    pub fn new(socket: UdpSocket, codec: C) -> Self {
        let (received, to_send) = (BytesMut::new(), BytesMut::new());
        Self { socket, codec, space: Box::default(), received, from: None, to_send, to: None }
    }

    /// Returns the socket.
    pub fn get_ref(&self) -> &UdpSocket {
        &self.socket
    }

    /// Returns the codec.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// Returns the codec.
    pub fn codec_mut(&mut self) -> &mut C {
        &mut self.codec
    }

    /// Returns the socket; what is buffered is lost.
    pub fn into_inner(self) -> UdpSocket {
        self.socket
    }

    /// Sends the datagram that waits, if one does.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(to) = self.to else { return Poll::Ready(Ok(())) };
        // Sent or failed, it is not tried again: a datagram may be lost, and the next one must not wait for it.
        let sent = ready!(self.socket.poll_send_to(cx, &self.to_send, to));
        let len = self.to_send.len();
        self.to_send.clear();
        self.to = None;
        if sent? == len { Poll::Ready(Ok(())) } else { Poll::Ready(Err(io::ErrorKind::WriteZero.into())) }
    }
}

impl<C: Decoder> UdpFramed<C> {
    /// Receives the next message, and from where. It never ends.
    ///
    /// # Errors
    /// What the codec says, also of the socket's errors.
    ///
    /// # Cancel safety
    /// No message is lost.
    pub async fn next(&mut self) -> Option<Received<C>> {
        Some(poll_fn(|cx| self.poll_message(cx)).await)
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Received<C>> {
        loop {
            let progress = ready!(poll_proceed(cx));
            // What is left of the last datagram comes first; a frame that it does not hold whole is an error of that datagram alone.
            if let Some(from) = self.from {
                match self.codec.decode_eof(&mut self.received) {
                    Ok(Some(item)) => {
                        progress.made_progress();
                        return Poll::Ready(Ok((item, from)));
                    }
                    Ok(None) => self.from = None,
                    Err(error) => {
                        self.from = None;
                        return Poll::Ready(Err(error));
                    }
                }
            }

            if self.space.is_empty() {
                self.space = vec![0; DATAGRAM_MAX].into();
            }
            let (len, from) = ready!(self.socket.poll_recv_from(cx, &mut self.space))?;
            self.received.clear();
            self.received.extend_from_slice(&self.space[..len]);
            self.from = Some(from);
            progress.made_progress();
        }
    }
}

impl<C> UdpFramed<C> {
    /// Sends a message to an address.
    ///
    /// # Errors
    /// What the codec says, also of the socket's errors.
    ///
    /// # Cancel safety
    /// A message whose datagram was begun stays queued if the future is dropped; the next send or flush sends it.
    pub async fn send<I>(&mut self, (item, to): (I, SocketAddr)) -> Result<(), C::Error>
    where
        C: Encoder<I>,
    {
        poll_fn(|cx| self.poll_send(cx)).await?;
        self.encode(item, to)?;
        poll_fn(|cx| self.poll_send(cx)).await.map_err(C::Error::from)
    }

    fn encode<I>(&mut self, item: I, to: SocketAddr) -> Result<(), C::Error>
    where
        C: Encoder<I>,
    {
        self.to_send.clear();
        self.codec.encode(item, &mut self.to_send)?;
        self.to = Some(to);
        Ok(())
    }
}

impl<C: Decoder + Unpin> Stream for UdpFramed<C> {
    type Item = Received<C>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_message(cx).map(Some)
    }
}

impl<I, C: Encoder<I> + Unpin> Sink<(I, SocketAddr)> for UdpFramed<C> {
    type Error = C::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.get_mut().poll_send(cx).map_err(C::Error::from)
    }

    fn start_send(self: Pin<&mut Self>, (item, to): (I, SocketAddr)) -> Result<(), C::Error> {
        self.get_mut().encode(item, to)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.get_mut().poll_send(cx).map_err(C::Error::from)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.get_mut().poll_send(cx).map_err(C::Error::from)
    }
}

impl<C: fmt::Debug> fmt::Debug for UdpFramed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpFramed").field("socket", &self.socket).field("codec", &self.codec).finish_non_exhaustive()
    }
}
