//! Adapters of streams that need the runtime's clock.
//!
//! All that need none are in `futures-util` and `tokio-stream`, which work on every stream: receivers, intervals, framed sockets. The
//! trait here has other methods than `StreamExt` of `futures-util`, so both can be used in one module: `use posse::stream::StreamExt as _`.

use crate::raw_task::coop;
use crate::time::error::Elapsed;
use crate::time::{Interval, Sleep, sleep};
use futures_core::Stream;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Methods of all streams that need the runtime's clock. Their names are those of `tokio-stream`.
pub trait StreamExt: Stream {
    /// Requires each item to come within `duration` of the one before, or of this call. If one does not, the error takes its place, once,
    /// and the stream goes on.
    ///
    /// An item that is there always wins, as with [`time::timeout`](crate::time::timeout).
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// use posse::stream::StreamExt;
    /// use posse::sync::mpsc;
    /// use posse::time::Duration;
    ///
    /// # posse::runtime::Runtime::new().unwrap().block_on(async {
    /// let (send, receive) = mpsc::channel(8);
    /// send.send("in time").await.unwrap();
    /// let mut limited = receive.timeout(Duration::from_millis(2));
    /// # async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    /// #     std::future::poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_next(cx)).await
    /// # }
    /// // `next` is that of `futures_util::StreamExt`; here a function takes its place.
    /// assert_eq!(next(&mut limited).await, Some(Ok("in time")));
    /// assert!(next(&mut limited).await.unwrap().is_err());
    /// drop(send);
    /// assert_eq!(next(&mut limited).await, None);
    /// # });
    /// ```
    #[track_caller]
    fn timeout(self, duration: Duration) -> Timeout<Self>
    where
        Self: Sized,
    {
        Timeout { stream: Fused::new(self), sleep: sleep(duration), duration, is_armed: true }
    }

    /// As [`timeout`](Self::timeout), but the error comes again with each tick of `interval` for as long as no item does. Each item starts the
    /// interval over. An [`interval`](crate::time::interval) ticks at once the first time: begin with
    /// [`interval_at`](crate::time::interval_at), or with a stream that has an item.
    fn timeout_repeating(self, interval: Interval) -> TimeoutRepeating<Self>
    where
        Self: Sized,
    {
        TimeoutRepeating { stream: Fused::new(self), interval }
    }

    /// Holds items back so that at least `duration` passes from one to the next. The first one comes at once.
    ///
    /// The stream behind it is not asked meanwhile: what it bounds, such as a channel, fills up.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    fn throttle(self, duration: Duration) -> Throttle<Self>
    where
        Self: Sized,
    {
        Throttle { stream: Box::pin(self), sleep: sleep(duration), duration, holds_back: false }
    }
}

impl<S: Stream + ?Sized> StreamExt for S {}

/// A stream that is not asked again after its end.
struct Fused<S>(Option<Pin<Box<S>>>);

impl<S: Stream> Fused<S> {
    fn new(stream: S) -> Self {
        Self(Some(Box::pin(stream)))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let Some(stream) = &mut self.0 else { return Poll::Ready(None) };
        let item = ready!(stream.as_mut().poll_next(cx));
        if item.is_none() {
            self.0 = None;
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.as_ref().map_or((0, Some(0)), |stream| stream.size_hint())
    }
}

/// The stream of [`StreamExt::timeout`].
#[must_use = "streams do nothing unless they are polled"]
pub struct Timeout<S> {
    stream: Fused<S>,
    sleep: Sleep,
    duration: Duration,
    /// No error was given since the last item.
    is_armed: bool,
}

impl<S: Stream> Stream for Timeout<S> {
    type Item = Result<S::Item, Elapsed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        // Without a unit the stream cannot say what it has: the next poll asks it.
        ready!(coop::poll_left(cx));
        if let Poll::Ready(item) = this.stream.poll_next(cx) {
            if item.is_some() {
                this.sleep.reset_after(this.duration);
                this.is_armed = true;
            }
            return Poll::Ready(item.map(Ok));
        }
        if !this.is_armed {
            return Poll::Pending;
        }
        // A stream that spends the whole budget must not keep the deadline from being seen.
        ready!(coop::unlimited(|| Pin::new(&mut this.sleep).poll(cx)));
        this.is_armed = false;
        Poll::Ready(Some(Err(Elapsed)))
    }

    /// At most one error comes before each item, and one after the last.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.stream.size_hint();
        (lower, upper.and_then(|upper| upper.checked_mul(2)?.checked_add(1)))
    }
}

/// The stream of [`StreamExt::timeout_repeating`].
#[must_use = "streams do nothing unless they are polled"]
pub struct TimeoutRepeating<S> {
    stream: Fused<S>,
    interval: Interval,
}

impl<S: Stream> Stream for TimeoutRepeating<S> {
    type Item = Result<S::Item, Elapsed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        ready!(coop::poll_left(cx));
        if let Poll::Ready(item) = this.stream.poll_next(cx) {
            if item.is_some() {
                this.interval.reset();
            }
            return Poll::Ready(item.map(Ok));
        }
        coop::unlimited(|| this.interval.poll_tick(cx)).map(|_| Some(Err(Elapsed)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.stream.size_hint().0, None)
    }
}

/// The stream of [`StreamExt::throttle`].
#[must_use = "streams do nothing unless they are polled"]
pub struct Throttle<S> {
    stream: Pin<Box<S>>,
    sleep: Sleep,
    duration: Duration,
    /// An item was given, and the time after it is not over.
    holds_back: bool,
}

impl<S> Throttle<S> {
    /// Returns the stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the stream for changing it.
    pub fn get_mut(&mut self) -> &mut S
    where
        S: Unpin,
    {
        &mut self.stream
    }

    /// Returns the stream, at its own speed.
    pub fn into_inner(self) -> S
    where
        S: Unpin,
    {
        *Pin::into_inner(self.stream)
    }
}

impl<S: Stream> Stream for Throttle<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.holds_back {
            ready!(Pin::new(&mut this.sleep).poll(cx));
            this.holds_back = false;
        }
        let item = ready!(this.stream.as_mut().poll_next(cx));
        if item.is_some() && !this.duration.is_zero() {
            this.sleep.reset_after(this.duration);
            this.holds_back = true;
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<S> fmt::Debug for Timeout<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("sleep", &self.sleep).field("duration", &self.duration).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for TimeoutRepeating<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutRepeating").field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Throttle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("sleep", &self.sleep).field("duration", &self.duration).finish_non_exhaustive()
    }
}
