//! The two directions of a framed stream: what is received and not decoded, what is encoded and not sent.

use super::Decoder;
use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};
use posse_core::task::coop::poll_proceed;
use std::io::{ErrorKind, Result as IoResult};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes asked for at once.
const READ_BYTES: usize = 8 * 1024;

/// Bytes that wait to be sent before a sink asks its caller to wait.
const BACKPRESSURE_BYTES: usize = 8 * 1024;

/// The reading direction.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) received: BytesMut,
    phase: Phase,
}

/// How far the reading direction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Bytes may come.
    Open,
    /// The last byte has come; frames may be left.
    Ended,
    /// There was an error, after which the codec is asked no more.
    Failed,
}

impl Reading {
    pub(super) fn new(received: BytesMut) -> Self {
        Self { received, phase: Phase::Open }
    }

    /// Polls for the next frame; `None` at the end, and for ever after an error.
    pub(super) fn poll_frame<T: AsyncRead + Unpin, C: Decoder>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut T,
        codec: &mut C,
    ) -> Poll<Option<Result<C::Item, C::Error>>> {
        loop {
            let progress = ready!(poll_proceed(cx));
            // What is there comes before what is to come: after the end the codec is asked until it has nothing left.
            let decoded = match self.phase {
                Phase::Open => codec.decode(&mut self.received),
                Phase::Ended => codec.decode_eof(&mut self.received),
                Phase::Failed => return Poll::Ready(None),
            };
            match decoded {
                Ok(None) if self.phase == Phase::Open => {}
                Ok(item) => {
                    progress.made_progress();
                    return Poll::Ready(item.map(Ok));
                }
                Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
            }

            // The stream fills a part behind what is there. A poll that reads nothing must leave nothing of it: the codec would take it for data.
            let filled = self.received.len();
            self.received.resize(filled + READ_BYTES, 0);
            let read = Pin::new(&mut *stream).poll_read(cx, &mut self.received[filled..]);
            self.received.truncate(filled + if let Poll::Ready(Ok(read)) = read { read } else { 0 });
            match ready!(read) {
                Ok(0) => self.phase = Phase::Ended,
                Ok(_) => progress.made_progress(),
                Err(error) => return Poll::Ready(Some(Err(self.fail(error.into())))),
            }
        }
    }

    fn fail<E>(&mut self, error: E) -> E {
        // Where the next frame would begin is not known any more.
        self.phase = Phase::Failed;
        self.received.clear();
        error
    }
}

/// The writing direction.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) to_send: BytesMut,
    sent: usize,
    /// Bytes that may wait before the sink asks its caller to wait.
    pub(super) boundary: usize,
}

impl Writing {
    pub(super) fn new(to_send: BytesMut) -> Self {
        Self { to_send, sent: 0, boundary: BACKPRESSURE_BYTES }
    }

    /// Takes out what was not sent.
    pub(super) fn into_unsent(mut self) -> BytesMut {
        self.to_send.split_off(self.sent)
    }

    /// Ready once there is room for a frame.
    pub(super) fn poll_room<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut T,
    ) -> Poll<IoResult<()>> {
        if self.to_send.len() - self.sent < self.boundary {
            return Poll::Ready(Ok(()));
        }
        self.poll_send(cx, stream)
    }

    /// Sends everything and flushes the stream.
    pub(super) fn poll_flush<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut T,
    ) -> Poll<IoResult<()>> {
        ready!(self.poll_send(cx, stream))?;
        Pin::new(stream).poll_flush(cx)
    }

    /// Sends everything and ends the writing direction of the stream.
    pub(super) fn poll_close<T: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut T,
    ) -> Poll<IoResult<()>> {
        ready!(self.poll_send(cx, stream))?;
        Pin::new(stream).poll_close(cx)
    }

    fn poll_send<T: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, stream: &mut T) -> Poll<IoResult<()>> {
        while self.sent < self.to_send.len() {
            let progress = ready!(poll_proceed(cx));
            match ready!(Pin::new(&mut *stream).poll_write(cx, &self.to_send[self.sent..]))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
            progress.made_progress();
        }
        // The memory stays, for the next frames.
        self.to_send.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}
