//! Waiting for a point in time.

use super::Handle;
use crate::raw_task::coop;
use crate::scheduler::current;
use crate::time::driver::{Entry, Instant};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Waits for a while. The timer is set at the first poll; dropping the future cancels it.
///
/// Never early; late by what else the workers have to do: by at most some 10 ms while one of them is free. A zero duration
/// is ready at once. A runtime that has shut down has no time any more: there it is ready at once, so that a `block_on` that
/// outlived the runtime does not hang. Such code can tell by [`is_elapsed`](Sleep::is_elapsed).
///
/// # Cancel safety
/// Dropping it cancels the timer.
///
/// # Panics
/// Outside of a runtime.
///
/// # Examples
/// ```
/// use posse::time::{Instant, sleep};
/// use std::time::Duration;
///
/// posse::runtime::Runtime::new()?.block_on(async {
///     let start = Instant::now();
///     sleep(Duration::from_millis(2)).await;
///     assert!(start.elapsed() >= Duration::from_millis(2));
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::on(Handle::current(), duration)
}

/// Waits until a point in time; see [`sleep`].
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { handle: Handle::current(), deadline, entry: None, is_fresh: false }
}

/// The future of [`sleep`] and [`sleep_until`].
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    handle: Handle,
    deadline: Instant,
    entry: Option<Entry>,
    /// The deadline was computed just now, so the first poll need not read the clock, which costs more than the rest.
    is_fresh: bool,
}

impl Sleep {
    /// As [`sleep`], with the clock and the timers of the runtime that is given: it can be polled on any thread, by any
    /// executor. Once that runtime has shut down it is ready at once, as all sleeps of it are.
    pub fn on(handle: Handle, duration: Duration) -> Self {
        let deadline = handle.clock().now().saturating_add(duration);
        Self { handle, deadline, entry: None, is_fresh: !duration.is_zero() }
    }

    /// Returns how much time is left, by the clock it waits for.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(self.handle.clock().now())
    }

    /// Returns when it ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns true once the time has come.
    pub fn is_elapsed(&self) -> bool {
        self.handle.clock().now() >= self.deadline
    }

    /// Sets another end. It must be polled again to be woken then.
    pub fn reset(&mut self, deadline: Instant) {
        self.cancel();
        self.deadline = deadline;
        self.is_fresh = false;
    }

    /// Sets its end to so long from now, by the clock it waits for.
    pub(crate) fn reset_after(&mut self, duration: Duration) {
        self.reset(self.handle.clock().now().saturating_add(duration));
    }

    fn cancel(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.handle.timers().cancel(&entry);
        }
    }

    /// True if a timer waits, for this task from now on.
    fn is_registered(&self, cx: &mut Context<'_>) -> bool {
        self.entry.as_ref().is_some_and(|entry| self.handle.timers().update(entry, cx.waker()))
    }

    fn register(&mut self, cx: &mut Context<'_>) {
        // A thread that is no worker of this runtime borrows the first worker's shard, and tells who sleeps for all.
        let own = current::with_local_queue(|local| match local {
            Some((shared, local)) if std::ptr::eq(shared, self.handle.shared()) => Some(local.index),
            _ => None,
        });
        let shard = own.unwrap_or(0);
        let (entry, earliest) = self.handle.timers().insert(shard, self.deadline, cx.waker().clone());
        self.entry = Some(entry);
        if earliest && own.is_none() {
            self.handle.shared().timer_was_set(self.deadline);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let progress = ready!(coop::poll_proceed(cx));
        let is_fresh = std::mem::take(&mut self.is_fresh);
        if !is_fresh && self.is_elapsed() {
            self.cancel();
            progress.made_progress();
            return Poll::Ready(());
        }

        if !self.is_registered(cx) {
            self.register(cx);
        }
        // Between the look and the registration a manual clock may have been turned, and its timers fired; and the runtime may
        // have ended, after which no worker fires timers.
        if (self.handle.clock().is_manual() && self.is_elapsed()) || self.handle.shared().life.has_ended() {
            self.cancel();
            progress.made_progress();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).field("set", &self.entry.is_some()).finish()
    }
}
