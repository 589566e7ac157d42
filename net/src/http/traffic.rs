//! The traffic of a connection of HTTP/2, where hyper sees the streams and not their standstill: a client may answer every ping,
//! and neither ask for anything nor take what it was sent.

use bytes::{Buf, Bytes};
use posse_core::runtime::Handle;
use posse_core::time::{Instant, Sleep};
use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Counts the requests and the unsent data of one connection, whose streams are on many threads. A time is written before the count that makes
/// it matter (Release), and read after it (Acquire): else a connection could be cut for the time before.
pub(super) struct Traffic {
    clock: Handle,
    start: Instant,
    /// Requests that are being answered.
    open: AtomicUsize,
    /// Pieces of bodies that hyper has, and the client not.
    unsent: AtomicUsize,
    /// When the last request was finished, in nanoseconds since the start.
    finished: AtomicU64,
    /// When a byte of a body was last sent, or the first of them given to hyper.
    moved: AtomicU64,
}

impl Traffic {
    pub(super) fn new(clock: Handle) -> Arc<Self> {
        let start = clock.now();
        let (open, unsent, finished, moved) = Default::default();
        Arc::new(Self { clock, start, open, unsent, finished, moved })
    }

    fn note(&self, time: &AtomicU64) {
        let since = self.clock.now().saturating_duration_since(self.start);
        time.store(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn at(&self, time: &AtomicU64) -> Instant {
        self.start.saturating_add(Duration::from_nanos(time.load(Ordering::Relaxed)))
    }
}

/// A request that is being answered.
pub(super) struct Open(Arc<Traffic>);

impl Open {
    pub(super) fn new(traffic: &Arc<Traffic>) -> Self {
        traffic.open.fetch_add(1, Ordering::Relaxed);
        Self(traffic.clone())
    }

    /// Takes note of a piece of the answer's body until it is sent.
    pub(super) fn unsent(&self) -> Unsent {
        if self.0.unsent.load(Ordering::Relaxed) == 0 {
            self.0.note(&self.0.moved);
        }
        // If the last of others was sent in between, that has written a time as well.
        self.0.unsent.fetch_add(1, Ordering::AcqRel);
        Unsent(self.0.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.note(&self.0.finished);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A piece that hyper has, and the client not.
pub(super) struct Unsent(Arc<Traffic>);

impl Unsent {
    fn moves(&self) {
        self.0.note(&self.0.moved);
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.moves();
        self.0.unsent.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A piece of a body. Without a note in HTTP/1, where the stream itself shows that nothing moves.
pub(super) struct Piece<D> {
    data: D,
    unsent: Option<Unsent>,
}

impl<D> Piece<D> {
    pub(super) fn new(data: D, unsent: Option<Unsent>) -> Self {
        Self { data, unsent }
    }
}

impl<D: Buf> Buf for Piece<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.unsent.iter().for_each(Unsent::moves);
        self.data.advance(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.unsent.iter().for_each(Unsent::moves);
        self.data.copy_to_bytes(len)
    }
}

/// What is wrong with a connection.
pub(super) enum Fault {
    /// It has asked for nothing.
    Idle,
    /// It takes nothing of what it was sent.
    Stalled,
}

/// Looks after a connection of HTTP/2 with one timer.
pub(super) struct Watch {
    traffic: Arc<Traffic>,
    idle_max: Duration,
    stall_max: Duration,
    sleep: Sleep,
    is_ending: bool,
}

impl Watch {
    pub(super) fn new(traffic: Arc<Traffic>, idle_max: Duration, stall_max: Duration) -> Self {
        // With none at all it would be due whenever it is looked at.
        let [idle_max, stall_max] = [idle_max, stall_max].map(|max| max.max(Duration::from_millis(1)));
        let sleep = Sleep::on(traffic.clock.clone(), idle_max.min(stall_max));
        Self { traffic, idle_max, stall_max, sleep, is_ending: false }
    }

    /// Being idle is no fault any more.
    pub(super) fn end(&mut self) {
        self.is_ending = true;
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        loop {
            ready!(Pin::new(&mut self.sleep).poll(cx));
            let traffic = &*self.traffic;
            let now = traffic.clock.now();
            let stalls = traffic.unsent.load(Ordering::Acquire) > 0;
            let idles = !stalls && !self.is_ending && traffic.open.load(Ordering::Acquire) == 0;
            let deadline = if stalls {
                traffic.at(&traffic.moved).saturating_add(self.stall_max)
            } else if idles {
                traffic.at(&traffic.finished).max(traffic.at(&traffic.moved)).saturating_add(self.idle_max)
            } else {
                now.saturating_add(self.idle_max.min(self.stall_max))
            };
            if deadline <= now {
                return Poll::Ready(if stalls { Fault::Stalled } else { Fault::Idle });
            }
            // What begins meanwhile is looked at no later than its own time is over.
            self.sleep.reset(deadline.min(now.saturating_add(self.idle_max.min(self.stall_max))));
        }
    }
}
