//! Permits, handed out in the order they were asked for.

use super::permit::{OwnedSemaphorePermit, SemaphorePermit};
use super::wait_list::{WaitList, WaiterKey, WaiterState, WakeList, wake_in_rounds};
use crate::loom::const_unless_loom;
use crate::loom::sync::atomic::{AtomicU64, Ordering};
use crate::loom::sync::{Mutex, MutexGuard};
use crate::raw_task::coop;
use crate::raw_task::poll_waker::PollWaker;
use crate::raw_task::wait_kind::WaitKind;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A number of permits. A task that asks for many waits for all of them, and none overtakes it.
///
/// # Examples
/// ```
/// use posse::sync::Semaphore;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let semaphore = Semaphore::new(2);
/// let one = semaphore.acquire().await.unwrap();
/// let _two = semaphore.acquire().await.unwrap();
/// assert!(semaphore.try_acquire().is_err());
/// drop(one);
/// assert!(semaphore.try_acquire().is_ok());
/// # });
/// ```
#[derive(Debug)]
pub struct Semaphore {
    state: Mutex<State>,
    /// Waiters with a smaller ticket have their permits, and see so without the lock. Written under the lock.
    granted_below: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Those that are free. While tasks wait they are fewer than the first one wants.
    permits: usize,
    /// No more permits are given.
    closed: bool,
    /// In the order they came, each with the number it wants.
    waiters: WaitList<usize>,
}

/// The semaphore was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireError;

/// Why no permit could be had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// There are not enough, or others wait.
    NoPermits,
    /// The semaphore was closed.
    Closed,
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl std::error::Error for AcquireError {}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPermits => "no permits are left",
            Self::Closed => "the semaphore is closed",
        })
    }
}

impl std::error::Error for TryAcquireError {}

/// A wait for permits that leaves the line, or gives back what it was granted, when it is dropped.
struct Waiting<'a> {
    /// Where it waits.
    semaphore: &'a Semaphore,
    /// The permits that it waits for, all at once.
    count: usize,
    /// What the semaphore is to who waits.
    kind: WaitKind,
    /// Its place in the line; idle before the first poll and once it has the permits.
    key: WaiterKey,
}

impl Waiting<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        let progress = ready!(coop::poll_proceed(cx));
        let result = ready!(self.semaphore.poll_acquire(self.count, self.kind, &mut self.key, cx));
        progress.made_progress();
        Poll::Ready(result)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.key.is_idle() {
            self.semaphore.leave(&mut self.key, self.count);
        }
    }
}

impl Semaphore {
    const_unless_loom! {
        /// A semaphore with `permits` permits.
        #[doc(alias = "const_new")]
        pub fn new(permits: usize) -> Self {
            let state = State { permits, closed: false, waiters: WaitList::new() };
            Self { state: Mutex::new(state), granted_below: AtomicU64::new(0) }
        }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line, and what was granted goes to the next.
    pub async fn acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(1).await
    }

    /// Waits for several permits, all at once. For more than there ever are it waits until the semaphore is closed.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_many(&self, count: usize) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.wait(count, WaitKind::Semaphore).await?;
        Ok(self.permit(count))
    }

    /// Waits for a permit that holds on to the semaphore.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(1).await
    }

    /// Waits for several permits that hold on to the semaphore; see [`acquire_many`](Self::acquire_many).
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_many_owned(self: Arc<Self>, count: usize) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.wait(count, WaitKind::Semaphore).await?;
        Ok(OwnedSemaphorePermit::new(self, count))
    }

    /// Waits for a permit on a thread that may block.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    /// On a thread that drives a runtime: in a task, use [`acquire`](Self::acquire).
    ///
    /// # Examples
    /// ```
    /// use posse::sync::Semaphore;
    /// use posse::task::spawn_blocking;
    /// use std::sync::Arc;
    ///
    /// # posse::runtime::Runtime::new().unwrap().block_on(async {
    /// let semaphore = Arc::new(Semaphore::new(2));
    /// let shared = semaphore.clone();
    /// let blocking = spawn_blocking(move || {
    ///     let _permit = shared.blocking_acquire().unwrap();
    ///     shared.available_permits()
    /// });
    /// assert_eq!(blocking.await.unwrap(), 1);
    /// # });
    /// ```
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        super::blocking::block_on(self.acquire())
    }

    /// Waits for several permits on a thread that may block; see [`acquire_many`](Self::acquire_many).
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    /// As [`blocking_acquire`](Self::blocking_acquire).
    #[track_caller]
    pub fn blocking_acquire_many(&self, count: usize) -> Result<SemaphorePermit<'_>, AcquireError> {
        super::blocking::block_on(self.acquire_many(count))
    }

    /// Waits for a permit that holds on to the semaphore, on a thread that may block.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    /// As [`blocking_acquire`](Self::blocking_acquire).
    #[track_caller]
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        super::blocking::block_on(self.acquire_owned())
    }

    /// Waits for several permits that hold on to the semaphore, on a thread that may block; see [`acquire_many`](Self::acquire_many).
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    /// As [`blocking_acquire`](Self::blocking_acquire).
    #[track_caller]
    pub fn blocking_acquire_many_owned(self: Arc<Self>, count: usize) -> Result<OwnedSemaphorePermit, AcquireError> {
        super::blocking::block_on(self.acquire_many_owned(count))
    }

    pub(super) async fn wait(&self, count: usize, kind: WaitKind) -> Result<(), AcquireError> {
        let mut waiting = Waiting { semaphore: self, count, kind, key: WaiterKey::default() };
        poll_fn(|cx| waiting.poll(cx)).await
    }

    /// Takes a permit without waiting.
    ///
    /// # Errors
    /// [`TryAcquireError`].
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes several permits without waiting, all or none.
    ///
    /// # Errors
    /// [`TryAcquireError`].
    pub fn try_acquire_many(&self, count: usize) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_take(count)?;
        Ok(self.permit(count))
    }

    /// Takes a permit that holds on to the semaphore, without waiting.
    ///
    /// # Errors
    /// [`TryAcquireError`].
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// Takes several permits that hold on to the semaphore, all or none, without waiting.
    ///
    /// # Errors
    /// [`TryAcquireError`].
    pub fn try_acquire_many_owned(self: Arc<Self>, count: usize) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_take(count)?;
        Ok(OwnedSemaphorePermit::new(self, count))
    }

    /// Permits that were taken, as a value that gives them back.
    pub(super) fn permit(&self, count: usize) -> SemaphorePermit<'_> {
        SemaphorePermit::new(self, count)
    }

    pub(super) fn try_take(&self, count: usize) -> Result<(), TryAcquireError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(TryAcquireError::Closed);
        }
        if !state.waiters.is_empty() || state.permits < count {
            return Err(TryAcquireError::NoPermits);
        }
        state.permits -= count;
        Ok(())
    }

    fn poll_acquire(
        &self,
        count: usize,
        kind: WaitKind,
        key: &mut WaiterKey,
        cx: &Context<'_>,
    ) -> Poll<Result<(), AcquireError>> {
        if self.was_granted(key) {
            *key = WaiterKey::default();
            return Poll::Ready(Ok(()));
        }

        let mut waker = PollWaker::of(cx, kind);
        let mut state = self.state.lock();
        if key.is_idle() {
            if state.closed {
                return Poll::Ready(Err(AcquireError));
            }
            if state.waiters.is_empty() && state.permits >= count {
                state.permits -= count;
                return Poll::Ready(Ok(()));
            }
            state.waiters.push(key, count, waker.take());
            return Poll::Pending;
        }

        // Served since the first look.
        let granted = self.was_granted(key);
        match state.waiters.poll(key, &mut waker) {
            WaiterState::Waiting(prev) => {
                drop(state);
                drop(prev);
                Poll::Pending
            }
            WaiterState::Granted | WaiterState::Woken => Poll::Ready(if granted { Ok(()) } else { Err(AcquireError) }),
        }
    }

    fn leave(&self, key: &mut WaiterKey, count: usize) {
        let mut state = self.state.lock();
        if self.was_granted(key) {
            state.permits = state.permits.saturating_add(count);
        }
        let prev = state.waiters.remove(key);
        // Those behind may ask for less than who leaves.
        self.grant(state);
        drop(prev);
    }

    /// Adds permits. Beyond `usize::MAX` they are not counted.
    pub fn add_permits(&self, count: usize) {
        let mut state = self.state.lock();
        state.permits = state.permits.saturating_add(count);
        self.grant(state);
    }

    /// Takes away up to `count` free permits for good, and returns how many those were.
    pub fn forget_permits(&self, count: usize) -> usize {
        let mut state = self.state.lock();
        let forgotten = count.min(state.permits);
        state.permits -= forgotten;
        forgotten
    }

    /// Serves the line while there are permits for its first.
    fn grant<'a>(&'a self, mut state: MutexGuard<'a, State>) {
        while state.can_grant() {
            let mut woken = WakeList::default();
            while state.can_grant() && !woken.is_full() {
                state.permits -= state.waiters.front().unwrap_or(0);
                state.waiters.pop().into_iter().for_each(|waker| woken.push(waker));
            }
            // Release: the woken see that they were served, and what was done before the permits were given. Partner:
            // the load in `was_granted`.
            self.granted_below.store(state.waiters.front_ticket(), Ordering::Release);
            drop(state);
            woken.wake();
            state = self.state.lock();
        }
    }

    fn was_granted(&self, key: &WaiterKey) -> bool {
        !key.is_idle() && key.is_before(self.granted_below.load(Ordering::Acquire))
    }

    /// Returns how many permits are free.
    pub fn available_permits(&self) -> usize {
        self.state.lock().permits
    }

    /// Refuses all from now on, those who wait included.
    pub fn close(&self) {
        wake_in_rounds(|woken| {
            let mut state = self.state.lock();
            state.closed = true;
            state.waiters.pop_before(u64::MAX, woken)
        });
    }

    /// Returns true once it was closed.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

impl State {
    /// Whether there are permits for the first in line. None is granted while the line is sent away: that would
    /// move `granted_below` past those who were refused.
    fn can_grant(&self) -> bool {
        !self.closed && self.waiters.front().is_some_and(|count| count <= self.permits)
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::testing::counting_waker;
    use loom::sync::Arc;

    #[test]
    fn loom_a_permit_given_back_reaches_who_waits() {
        loom::model(|| {
            let semaphore = Arc::new(Semaphore::new(0));
            let giver = {
                let semaphore = semaphore.clone();
                loom::thread::spawn(move || semaphore.add_permits(1))
            };
            let (wakes, waker) = counting_waker();
            let cx = Context::from_waker(&waker);
            let mut key = WaiterKey::default();
            let first = semaphore.poll_acquire(1, WaitKind::Semaphore, &mut key, &cx);
            giver.join().unwrap();
            if first.is_pending() {
                assert_eq!(wakes.count(), 1);
                assert!(semaphore.poll_acquire(1, WaitKind::Semaphore, &mut key, &cx).is_ready());
            }
            assert_eq!(semaphore.available_permits(), 0);
        });
    }

    /// One waits for a permit and leaves, another one waits behind it, while the permit is given.
    #[test]
    fn loom_a_permit_of_who_leaves_reaches_the_next() {
        loom::model(|| {
            let semaphore = Arc::new(Semaphore::new(0));
            let ((_, first), (wakes, second)) = (counting_waker(), counting_waker());
            let (mut leaves, mut stays) = (WaiterKey::default(), WaiterKey::default());
            assert!(
                semaphore.poll_acquire(1, WaitKind::Semaphore, &mut leaves, &Context::from_waker(&first)).is_pending()
            );
            assert!(
                semaphore.poll_acquire(1, WaitKind::Semaphore, &mut stays, &Context::from_waker(&second)).is_pending()
            );
            let giver = {
                let semaphore = semaphore.clone();
                loom::thread::spawn(move || semaphore.add_permits(1))
            };
            semaphore.leave(&mut leaves, 1);
            giver.join().unwrap();
            assert_eq!(wakes.count(), 1);
            assert_eq!(
                semaphore.poll_acquire(1, WaitKind::Semaphore, &mut stays, &Context::from_waker(&second)),
                Poll::Ready(Ok(()))
            );
            assert_eq!(semaphore.available_permits(), 0);
        });
    }

    /// Who was granted its permit before the close has it; who was not is refused; both are woken.
    #[test]
    fn loom_closing_against_a_permit() {
        loom::model(|| {
            let semaphore = Arc::new(Semaphore::new(0));
            let (wakes, waker) = counting_waker();
            let mut key = WaiterKey::default();
            assert!(
                semaphore.poll_acquire(1, WaitKind::Semaphore, &mut key, &Context::from_waker(&waker)).is_pending()
            );
            let giver = {
                let semaphore = semaphore.clone();
                loom::thread::spawn(move || semaphore.add_permits(1))
            };
            semaphore.close();
            giver.join().unwrap();
            assert_eq!(wakes.count(), 1);
            let Poll::Ready(result) =
                semaphore.poll_acquire(1, WaitKind::Semaphore, &mut key, &Context::from_waker(&waker))
            else {
                panic!("it waits for a closed semaphore");
            };
            assert_eq!(semaphore.available_permits(), usize::from(result.is_err()));
        });
    }
}
