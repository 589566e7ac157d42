//! Waking tasks without handing anything over.

use super::line::Line;
use crate::shim::sync::{Mutex, MutexGuard};
use crate::task::coop;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

/// Wakes tasks that wait. A notification that finds nobody is kept for the next one to wait, at most one.
///
/// # Examples
/// ```
/// use posse_core::sync::Notify;
///
/// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
/// let notify = Notify::new();
/// notify.notify_one();
/// notify.notified().await; // the one that was kept
/// # });
/// ```
#[derive(Debug, Default)]
pub struct Notify {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: bool,
    line: Line<()>,
    /// How often everybody was notified.
    rounds: u64,
}

impl Notify {
    /// Nobody is notified yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the first who waits, or keeps the notification.
    pub fn notify_one(&self) {
        let mut state = self.lock();
        let woken = state.line.serve();
        state.kept |= woken.is_none();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Wakes everybody whose [`notified`](Self::notified) was called before; keeps nothing.
    pub fn notify_waiters(&self) {
        let mut state = self.lock();
        state.rounds += 1;
        let woken = state.line.serve_all();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Waits for a notification. One to all waiters counts from this call on, one to a single waiter from the first poll.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line; a notification it got goes to the next.
    pub fn notified(&self) -> Notified<'_> {
        let rounds = self.lock().rounds;
        Notified { notify: self, rounds, place: None, done: false }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The future of [`Notify::notified`].
#[derive(Debug)]
#[must_use = "waits for nothing unless it is awaited"]
pub struct Notified<'a> {
    notify: &'a Notify,
    rounds: u64,
    place: Option<u64>,
    done: bool,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let progress = ready!(coop::poll_proceed(cx));
        let this = &mut *self;
        let mut state = this.notify.lock();
        let everybody = state.rounds != this.rounds;
        if !everybody && !this.done {
            let kept = this.place.is_none() && std::mem::take(&mut state.kept);
            if !kept && state.line.wait(&mut this.place, (), cx) {
                return Poll::Pending;
            }
        }
        if let Some(key) = this.place.take() {
            state.line.leave(key);
        }
        this.done = true;
        progress.made_progress();
        Poll::Ready(())
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(key) = self.place.take() else { return };
        let mut state = self.notify.lock();
        let served = !state.line.leave(key);
        let by_one = served && state.rounds == self.rounds;
        drop(state);
        if by_one {
            self.notify.notify_one();
        }
    }
}
