//! What has arrived on one connection and is not understood yet, and the room that all connections share for long frames.
//!
//! A frame up to 128 KiB is received without asking. A longer one first takes room for all of it out of what the node has,
//! in the order of coming, and gives it back when it is whole: so the memory of half-received frames is bounded, and those
//! that were let in can always be completed. Nothing is allocated ahead: the buffer grows as the frame arrives.
//!
//! While others wait, a frame that has room must come with a minimum rate, or its connection is closed. Nobody is held to
//! it while there is room for all.

use super::converse::LastWords;
use bytes::{BufMut, BytesMut};
use posse_core::sync::{Permit, Semaphore};
use posse_net::OwnedReadHalf;
use posse_wire::{Goodbye, Limits, announced_bytes};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Room made for a read: what a batch of small messages takes, and a frame grows beyond it as it arrives.
const READ_BYTES: usize = 64 * 1024;

/// With less room than this a read gets a new buffer. Guessed: a few dozen short frames.
const READ_BYTES_MIN: usize = 4 * 1024;

/// Frames up to this length need no room of the node, and buffers up to it are kept. Twice what is read at once, so that
/// the usual messages, in buffers of 64 KiB, pay nothing.
const SHORT_BYTES: usize = 2 * READ_BYTES;

/// How long a frame may take while others wait: this, and a second for each of so many bytes. Guessed; loopback gives a
/// thousand times as much.
const PATIENCE: Duration = Duration::from_secs(1);
const RATE_MIN: usize = 1024 * 1024;

/// The room of a node for long frames.
pub(super) struct LongFrames {
    room: Semaphore,
    bytes_max: usize,
    waiting: AtomicUsize,
}

impl LongFrames {
    pub(super) fn new(limits: &Limits) -> Self {
        let bytes_max = limits.receiving_bytes_max;
        Self { room: Semaphore::new(bytes_max), bytes_max, waiting: AtomicUsize::new(0) }
    }
}

/// A frame that waits for room. Others see that it does.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Place<'a> = Pin<Box<dyn Future<Output = Option<Permit<'a>>> + Send + 'a>>;

/// The frame that is being received.
enum Frame<'a> {
    Short,
    /// A long one that wants room. It is not read on.
    Wants(Place<'a>, Option<Waits<'a>>),
    /// A long one that has room.
    Long {
        bytes: usize,
        since: Duration,
        _room: Option<Permit<'a>>,
    },
}

/// The receiving end of a connection.
pub(super) struct Intake<'a> {
    frames: &'a LongFrames,
    pub(super) buffer: BytesMut,
    frame: Frame<'a>,
}

impl<'a> Intake<'a> {
    pub(super) fn new(frames: &'a LongFrames, buffer: BytesMut) -> Self {
        Self { frames, buffer, frame: Frame::Short }
    }

    /// All whole frames have been taken off the buffer: looks at the one that has begun.
    pub(super) fn look(&mut self) {
        let long = announced_bytes(&self.buffer).filter(|bytes| *bytes > SHORT_BYTES);
        match (long, &self.frame) {
            (None, Frame::Short) | (Some(_), Frame::Wants(..) | Frame::Long { .. }) => {}
            (Some(bytes), Frame::Short) => {
                let (frames, bytes) = (self.frames, bytes.min(self.frames.bytes_max));
                self.frame = Frame::Wants(Box::pin(async move { frames.room.acquire_many(bytes).await.ok() }), None);
            }
            (None, _) => {
                // It was whole with the last byte that was read, so nothing is lost.
                self.frame = Frame::Short;
                if self.buffer.is_empty() && self.buffer.capacity() > SHORT_BYTES {
                    self.buffer = BytesMut::new();
                }
            }
        }
    }

    /// True if it does not read for want of room.
    pub(super) fn waits(&self) -> bool {
        matches!(self.frame, Frame::Wants(..))
    }

    /// Reads what there is, once there is room for it. A long frame is read to its end and no further.
    pub(super) async fn read(&mut self, read: &OwnedReadHalf, now: impl Fn() -> Duration) -> io::Result<usize> {
        if let Frame::Wants(place, waits) = &mut self.frame {
            let waiting = &self.frames.waiting;
            let has_room = poll_fn(|cx| {
                let polled = place.as_mut().poll(cx);
                if polled.is_pending() && waits.is_none() {
                    *waits = Some(Waits::new(waiting));
                }
                polled
            });
            let room = has_room.await;
            let bytes = announced_bytes(&self.buffer).unwrap_or(0);
            self.frame = Frame::Long { bytes, since: now(), _room: room };
        }
        match &self.frame {
            Frame::Long { bytes, .. } => {
                let missing = bytes.saturating_sub(self.buffer.len());
                self.buffer.reserve(missing.min(READ_BYTES));
                read.read_buf(&mut (&mut self.buffer).limit(missing)).await
            }
            Frame::Short | Frame::Wants(..) => {
                // While a message that is still looked at keeps the memory, what is left of it will do: a new buffer for each
                // short frame would cost more than the frame.
                let is_whole = self.buffer.try_reclaim(READ_BYTES);
                if !is_whole && self.buffer.capacity() - self.buffer.len() < READ_BYTES_MIN {
                    self.buffer.reserve(READ_BYTES);
                }
                read.read_buf(&mut self.buffer).await
            }
        }
    }

    /// Checks that a frame that takes room from others does not take its time.
    pub(super) fn check(&self, now: Duration) -> Result<(), LastWords> {
        let Frame::Long { bytes, since, .. } = &self.frame else { return Ok(()) };
        let allowed = PATIENCE + Duration::from_secs_f64(self.buffer.len() as f64 / RATE_MIN as f64);
        if self.frames.waiting.load(Ordering::Relaxed) == 0 || now.saturating_sub(*since) <= allowed {
            return Ok(());
        }
        let text = format!("a frame of {bytes} bytes comes too slowly while others wait for room");
        Err((Goodbye::Overloaded, text))
    }
}
