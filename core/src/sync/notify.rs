//! Waking tasks without handing anything over.

use super::wait_list::{WaitList, WaiterKey, WaiterState, WakeList};
use crate::loom::const_unless_loom;
use crate::loom::sync::{Mutex, MutexGuard};
use crate::raw_task::coop;
use crate::raw_task::panic::wake_catching;
use crate::raw_task::poll_waker::PollWaker;
use crate::raw_task::wait_kind::WaitKind;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// Wakes tasks that wait. A notification that finds no waiter is kept for the next one to wait, at most one.
///
/// # Examples
/// ```
/// use posse::sync::Notify;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
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
    /// A notification that found no waiter. Set by `notify_one`, taken by the next to wait.
    permit: bool,
    /// Whom `notify_one` serves is granted its notification, to pass on if it leaves; `notify_waiters` only wakes.
    waiters: WaitList<()>,
    /// Calls of `notify_waiters`; one that began to wait before the present number was notified.
    notify_waiters_calls: u64,
}

impl Notify {
    const_unless_loom! {
        /// None is notified yet.
        #[doc(alias = "const_new")]
        pub fn new() -> Self {
            let state = State { permit: false, waiters: WaitList::new(), notify_waiters_calls: 0 };
            Self { state: Mutex::new(state) }
        }
    }

    /// Wakes the first who waits, or keeps the notification.
    pub fn notify_one(&self) {
        self.notify(WaitList::grant);
    }

    /// Wakes who began to wait last, or keeps the notification. If that one leaves, the notification goes to the first.
    pub fn notify_last(&self) {
        self.notify(WaitList::grant_last);
    }

    fn notify(&self, grant: impl FnOnce(&mut WaitList<()>) -> Option<Waker>) {
        let mut state = self.state.lock();
        let woken = grant(&mut state.waiters);
        state.permit |= woken.is_none();
        drop(state);
        woken.into_iter().for_each(wake_catching);
    }

    /// Wakes each waiter whose [`notified`](Self::notified) was called before; keeps nothing.
    pub fn notify_waiters(&self) {
        // Those who come while this lasts have a later ticket; those without a place yet see by the number that they were notified.
        let mut state = self.state.lock();
        state.notify_waiters_calls += 1;
        let newcomer = state.waiters.next_ticket();
        while !state.waiters.is_empty() {
            let mut woken = WakeList::default();
            let more = state.waiters.pop_before(newcomer, &mut woken);
            drop(state);
            woken.wake();
            if !more {
                return;
            }
            state = self.state.lock();
        }
    }

    /// Waits for a notification. One to all waiters counts from this call on, one to a single waiter from the first poll.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line; a notification it got goes to the next.
    pub fn notified(&self) -> Notified<'_> {
        Notified(Wait::new(self))
    }

    /// As [`notified`](Self::notified), holding on to this.
    ///
    /// # Cancel safety
    /// As [`notified`](Self::notified).
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        OwnedNotified(Wait::new(self))
    }
}

/// The future of [`Notify::notified`].
#[derive(Debug)]
#[must_use = "waits for nothing unless it is awaited"]
pub struct Notified<'a>(Wait<&'a Notify>);

/// The future of [`Notify::notified_owned`].
#[derive(Debug)]
#[must_use = "waits for nothing unless it is awaited"]
pub struct OwnedNotified(Wait<Arc<Notify>>);

macro_rules! notified {
    ($notified:ty) => {
        impl $notified {
            /// Takes the place in the line now, before the first poll, so that a notification to a single waiter counts from here
            /// on. Returns true if it was notified already.
            ///
            /// # Examples
            /// ```
            /// use posse::sync::Notify;
            /// use std::pin::pin;
            ///
            /// # posse::runtime::Runtime::new().unwrap().block_on(async {
            /// let notify = Notify::new();
            /// let mut first = pin!(notify.notified());
            /// assert!(!first.as_mut().enable());
            /// notify.notify_one(); // is for `first`, and not kept for who comes next
            /// first.await;
            /// # });
            /// ```
            pub fn enable(self: Pin<&mut Self>) -> bool {
                self.get_mut().0.enable()
            }
        }

        impl Future for $notified {
            type Output = ();

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                let progress = ready!(coop::poll_proceed(cx));
                ready!(self.0.poll(cx));
                progress.made_progress();
                Poll::Ready(())
            }
        }
    };
}

notified!(Notified<'_>);
notified!(OwnedNotified);

/// A wait for a notification, however it reaches the [`Notify`].
#[derive(Debug)]
struct Wait<N: Deref<Target = Notify>> {
    /// What it waits for: borrowed, or kept by the future.
    notify: N,
    /// How often all had been notified when it was made: if that is more by now, this one was notified too.
    notify_waiters_calls: u64,
    /// Its place in the line; idle before the first poll and once it has taken notice.
    key: WaiterKey,
    /// It was notified: later polls are ready.
    done: bool,
}

impl<N: Deref<Target = Notify>> Wait<N> {
    fn new(notify: N) -> Self {
        let notify_waiters_calls = notify.state.lock().notify_waiters_calls;
        Self { notify, notify_waiters_calls, key: WaiterKey::default(), done: false }
    }

    /// Takes the place in the line, unless it has one: then the waker that it waits with stays.
    fn enable(&mut self) -> bool {
        if !self.key.is_idle() && self.notify.state.lock().waiters.is_waiting(&self.key) {
            return false;
        }
        self.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut waker = PollWaker::of(cx, WaitKind::Notify);
        let mut state = self.notify.state.lock();
        if !self.done {
            if state.notify_waiters_calls != self.notify_waiters_calls {
                // All were notified: one that was meant for a single waiter is not needed here.
                leave(&self.notify, state, &mut self.key);
            // Its first poll: takes a notification that was kept, or a place.
            } else if self.key.is_idle() {
                if !std::mem::take(&mut state.permit) {
                    state.waiters.push(&mut self.key, (), waker.take());
                    return Poll::Pending;
                }
            } else if let WaiterState::Waiting(prev) = state.waiters.poll(&mut self.key, &mut waker) {
                drop(state);
                drop(prev);
                return Poll::Pending;
            }
        }
        self.done = true;
        Poll::Ready(())
    }
}

impl<N: Deref<Target = Notify>> Drop for Wait<N> {
    fn drop(&mut self) {
        if !self.key.is_idle() {
            leave(&self.notify, self.notify.state.lock(), &mut self.key);
        }
    }
}

/// Leaves the line, and passes on a notification that was meant for a single waiter.
fn leave(notify: &Notify, mut state: MutexGuard<'_, State>, key: &mut WaiterKey) {
    let left = state.waiters.remove(key);
    drop(state);
    if let WaiterState::Granted = left {
        notify.notify_one();
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::{counting_waker, poll_with};
    use loom::sync::Arc;
    use std::pin::pin;

    #[test]
    fn loom_a_notification_reaches_who_waits_or_comes_next() {
        loom::model(|| {
            let notify = Arc::new(Notify::new());
            let notifier = {
                let notify = notify.clone();
                loom::thread::spawn(move || notify.notify_one())
            };
            let (wakes, waker) = counting_waker();
            let mut notified = pin!(notify.notified());
            let first = poll_with(notified.as_mut(), &waker);
            notifier.join().unwrap();
            if first.is_pending() {
                assert_eq!(wakes.count(), 1);
                assert!(poll_with(notified, &waker).is_ready());
            }
        });
    }

    /// One notification, two who wait, one of them leaves, whether all are notified beside it or not.
    #[test]
    fn loom_a_notification_of_who_leaves_reaches_the_next() {
        for all in [false, true] {
            loom::model(move || {
                let notify = Arc::new(Notify::new());
                let ((_, first), (wakes, second)) = (counting_waker(), counting_waker());
                let mut leaves = Box::pin(notify.notified());
                assert!(poll_with(leaves.as_mut(), &first).is_pending());
                let notifier = {
                    let notify = notify.clone();
                    loom::thread::spawn(move || {
                        notify.notify_one();
                        if all {
                            notify.notify_waiters();
                        }
                    })
                };
                let mut stays = pin!(notify.notified());
                let polled = poll_with(stays.as_mut(), &second);
                drop(leaves);
                notifier.join().unwrap();
                assert!(polled.is_ready() || (wakes.count() == 1 && poll_with(stays, &second).is_ready()));
                if !all {
                    assert!(poll_with(pin!(notify.notified()), &second).is_pending(), "one became two");
                }
            });
        }
    }
}
