//! Reads frames from one connection, and the room that all connections share for long frames.
//!
//! A frame up to 128 KiB is received without asking. A longer one first takes room for all of it out of what the node has,
//! in the order of coming, and gives it back when it is whole: so the memory of half-received frames is bounded, and those
//! that were let in can always be completed. Nothing is allocated ahead: the buffer grows as the frame arrives.
//!
//! While others wait, a frame that has room must come with a minimum rate and without long pauses, or its connection is
//! closed. The more wait, the less time there is, so a line of many is gone through in little more time than one of a few.
//! No peer is held to it while there is room for all, and none while there is something to read. Whose frame was cut goes
//! behind others with the next one, until a frame of it was received in time.

use super::reasons::CloseFrame;
use bytes::{BufMut, BytesMut};
use posse_core::sync::{Notify, Semaphore, SemaphorePermit};
use posse_core::time::timeout;
use posse_net::tcp::OwnedReadHalf;
use posse_wire::{CloseReason, NodeConfig, announced_bytes};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Room made for a read: what a batch of small messages takes, and a frame grows beyond it as it arrives.
const READ_BYTES: usize = 64 * 1024;

/// With less room than this a read gets a new buffer. Guessed: a few dozen short frames.
const READ_BYTES_MIN: usize = 4 * 1024;

/// Frames up to this length need no room of the node, and buffers up to it are kept. Twice what is read at once, so that
/// the usual messages, in buffers of 64 KiB, pay nothing.
const SHORT_BYTES: usize = 2 * READ_BYTES;

/// While others wait, a frame may be behind by this much, and has a second for each of this many bytes; both are divided by
/// those who wait and this one, up to `SHARES_MAX`. Guessed; loopback gives a thousand times as much.
const GRACE_PERIOD: Duration = Duration::from_secs(1);
const RATE_MIN: usize = 1024 * 1024;
const SHARES_MAX: usize = 16;

/// How often a frame that has room is looked at, in case others have come.
const CHECK_INTERVAL: Duration = Duration::from_millis(GRACE_PERIOD.as_millis() as u64 / SHARES_MAX as u64);

/// For so long a frame goes behind others whose connection was cut before. Guessed.
const PENALTY_TIME: Duration = Duration::from_secs(5);

/// The room of a node for long frames. One for each node; every connection's [`FrameReader`] takes from it.
pub(crate) struct LongFrames {
    /// Bytes that are free. Taken for a long frame before it is read, given back when it is whole or its connection ends.
    room: Semaphore,
    /// All of them. Does not change.
    bytes_max: usize,
    /// Frames that wait for room. Written by [`WaitingGuard`], read by frames that have room, which are to hurry then.
    waiting: AtomicUsize,
    /// `waiting` is 0 again. Notified by the last guard, awaited by frames of connections that were too slow before.
    free: Notify,
}

impl LongFrames {
    pub(crate) fn new(config: &NodeConfig) -> Self {
        let bytes_max = config.receiving_bytes_max;
        Self { room: Semaphore::new(bytes_max), bytes_max, waiting: AtomicUsize::new(0), free: Notify::new() }
    }

    /// Among how many the time is to be shared: those who wait, and one that has room.
    fn shares(&self) -> usize {
        (1 + self.waiting.load(Ordering::Relaxed)).min(SHARES_MAX)
    }

    /// True unless all of the room is free.
    #[cfg(feature = "sim")]
    pub(crate) fn is_taken(&self) -> bool {
        self.room.available_permits() < self.bytes_max
    }

    async fn wait_idle(&self) {
        loop {
            let free = self.free.notified();
            if self.waiting.load(Ordering::Acquire) == 0 {
                return;
            }
            free.await;
        }
    }

    async fn acquire(&self, bytes: usize, behind: bool) -> Option<SemaphorePermit<'_>> {
        if behind {
            // Not for ever: others may come all the time.
            let _ = timeout(PENALTY_TIME, self.wait_idle()).await;
        }
        // A frame that finds room at once keeps no other waiting, and is not seen to wait.
        if let Ok(room) = self.room.try_acquire_many(bytes) {
            return Some(room);
        }
        let _waits = WaitingGuard::new(self);
        self.room.acquire_many(bytes).await.ok()
    }
}

/// A frame that waits for room. Others see that it does.
struct WaitingGuard<'a>(&'a LongFrames);

impl<'a> WaitingGuard<'a> {
    fn new(frames: &'a LongFrames) -> Self {
        frames.waiting.fetch_add(1, Ordering::AcqRel);
        Self(frames)
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.free.notify_waiters();
        }
    }
}

type Acquire<'a> = Pin<Box<dyn Future<Output = Option<SemaphorePermit<'a>>> + Send + 'a>>;

/// How well a frame keeps to the minimum rate. Advanced with each read.
struct MinDataRate {
    /// By how much it may be behind, as of the last read.
    credit: Duration,
    /// The time of the last read.
    read: Duration,
}

impl MinDataRate {
    fn new(now: Duration) -> Self {
        Self { credit: GRACE_PERIOD, read: now }
    }

    /// Bytes have arrived. What came late came all the same: there was something to read, so it is not too late.
    fn advance(&mut self, bytes: usize, shares: usize, now: Duration) {
        let earned = Duration::from_secs_f64(bytes as f64 / (RATE_MIN * shares) as f64);
        let left = self.credit.saturating_sub(now.saturating_sub(self.read));
        *self = Self { credit: (left + earned).min(GRACE_PERIOD), read: now };
    }

    /// When it is too late, if there is nothing to read until then.
    fn late_at(&self, shares: usize) -> Duration {
        self.read + self.credit.min(GRACE_PERIOD / shares as u32)
    }
}

/// The frame that is being received. Changed by [`FrameReader::begin_frame`], and by `read` when room was granted.
enum Frame<'a> {
    Short,
    /// A long one that wants room. It is not read on.
    Waiting(Acquire<'a>),
    /// A long one that has room.
    Long {
        bytes: usize,
        rate: MinDataRate,
        _room: Option<SemaphorePermit<'a>>,
    },
}

/// The receiving end of a connection. Its read loop alone owns it and calls it.
pub(crate) struct FrameReader<'a> {
    frames: &'a LongFrames,
    /// Bytes that were read and are not parsed yet. Filled by `read`, emptied by the session as whole frames are there.
    pub(crate) buffer: BytesMut,
    frame: Frame<'a>,
    /// The other node's last long frame was cut. It is the peer's, and outlives the connection.
    was_slow: &'a AtomicBool,
}

impl<'a> FrameReader<'a> {
    pub(crate) fn new(frames: &'a LongFrames, buffer: BytesMut, was_slow: &'a AtomicBool) -> Self {
        Self { frames, buffer, frame: Frame::Short, was_slow }
    }

    /// All whole frames have been taken off the buffer: looks at the one that has begun.
    pub(crate) fn begin_frame(&mut self) {
        let long = announced_bytes(&self.buffer).filter(|bytes| *bytes > SHORT_BYTES);
        match (long, &self.frame) {
            (None, Frame::Short) | (Some(_), Frame::Waiting(_) | Frame::Long { .. }) => {}
            (Some(bytes), Frame::Short) => {
                let bytes = bytes.min(self.frames.bytes_max);
                let behind = self.was_slow.load(Ordering::Relaxed);
                self.frame = Frame::Waiting(Box::pin(self.frames.acquire(bytes, behind)));
            }
            (None, _) => {
                // It was whole with the last byte that was read, so nothing is lost.
                self.frame = Frame::Short;
                self.was_slow.store(false, Ordering::Relaxed);
                if self.buffer.is_empty() && self.buffer.capacity() > SHORT_BYTES {
                    self.buffer = BytesMut::new();
                }
            }
        }
    }

    /// True if it does not read for want of room.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.frame, Frame::Waiting(_))
    }

    /// How soon it is to be looked at. While no other waits a frame may be late for ever.
    pub(crate) fn due(&self, now: Duration) -> Option<Duration> {
        let Frame::Long { rate, .. } = &self.frame else { return None };
        let shares = self.frames.shares();
        Some(if shares == 1 { CHECK_INTERVAL } else { rate.late_at(shares).saturating_sub(now).min(CHECK_INTERVAL) })
    }

    /// Reads what there is. A long frame is read to its end and no further, once there is room for it: that there is, is told by
    /// `None`, so that who waits looks at it in time from its beginning.
    pub(crate) async fn read(&mut self, read: &OwnedReadHalf, now: impl Fn() -> Duration) -> io::Result<Option<usize>> {
        let count = match &mut self.frame {
            Frame::Waiting(acquire) => {
                let room = acquire.await;
                let bytes = announced_bytes(&self.buffer).unwrap_or(0);
                self.frame = Frame::Long { bytes, rate: MinDataRate::new(now()), _room: room };
                return Ok(None);
            }
            Frame::Long { bytes, rate, .. } => {
                let missing = bytes.saturating_sub(self.buffer.len());
                self.buffer.reserve(missing.min(READ_BYTES));
                let read = read.read_buf(&mut (&mut self.buffer).limit(missing)).await?;
                rate.advance(read, self.frames.shares(), now());
                read
            }
            Frame::Short => {
                // While a message that is still looked at keeps the memory, what is left of it will do: a new buffer for each
                // short frame would cost more than the frame.
                let is_whole = self.buffer.try_reclaim(READ_BYTES);
                if !is_whole && self.buffer.capacity() - self.buffer.len() < READ_BYTES_MIN {
                    self.buffer.reserve(READ_BYTES);
                }
                read.read_buf(&mut self.buffer).await?
            }
        };
        Ok(Some(count))
    }

    /// There is nothing to read: checks that a frame that takes room from others does not take its time.
    pub(crate) fn check(&self, now: Duration) -> Result<(), CloseFrame> {
        let Frame::Long { bytes, rate, .. } = &self.frame else { return Ok(()) };
        let shares = self.frames.shares();
        if shares == 1 || now < rate.late_at(shares) {
            return Ok(());
        }
        self.was_slow.store(true, Ordering::Relaxed);
        let text = format!("a frame of {bytes} bytes comes too slowly while others wait for room");
        Err((CloseReason::Overloaded, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posse_core::runtime::Builder;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_frame_that_keeps_nobody_waiting_is_looked_at_now_and_then_however_late_it_is() {
        let (frames, was_slow) = (LongFrames::new(&NodeConfig::default()), AtomicBool::new(false));
        let mut reader = FrameReader::new(&frames, BytesMut::new(), &was_slow);
        reader.frame = Frame::Long { bytes: 1 << 20, rate: MinDataRate::new(Duration::ZERO), _room: None };
        let late = Duration::from_secs(60);
        assert_eq!(reader.due(late), Some(CHECK_INTERVAL));
        assert!(reader.check(late).is_ok());

        let waits = WaitingGuard::new(&frames);
        assert_eq!((reader.due(Duration::ZERO), reader.due(late)), (Some(CHECK_INTERVAL), Some(Duration::ZERO)));
        assert!(reader.check(late).is_err());
        drop(waits);
    }

    #[test]
    fn who_finds_room_at_once_does_not_count_as_waiting() {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let frames = LongFrames::new(&NodeConfig::default());
            // The last that stops waiting says so.
            let mut nobody_waits = pin!(frames.free.notified());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(nobody_waits.as_mut().poll(&mut cx).is_pending());
            let room = frames.acquire(frames.bytes_max, false).await;
            assert!(room.is_some() && nobody_waits.as_mut().poll(&mut cx).is_pending());

            let mut waits = pin!(frames.acquire(1, false));
            assert!(waits.as_mut().poll(&mut cx).is_pending());
            assert_eq!(frames.shares(), 2);
            drop(room);
            assert!(matches!(waits.as_mut().poll(&mut cx), Poll::Ready(Some(_))));
            assert!(nobody_waits.as_mut().poll(&mut cx).is_ready());
        });
    }
}
