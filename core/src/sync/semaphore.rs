//! Permits, handed out in the order they were asked for.

use super::line::Line;
use crate::shim::sync::{Mutex, MutexGuard};
use crate::task::coop;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// A number of permits. Who asks for many waits for all of them, and nobody overtakes.
///
/// # Examples
/// ```
/// use posse_core::sync::Semaphore;
///
/// # posse_core::runtime::Runtime::new().unwrap().block_on(async {
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
}

#[derive(Debug)]
struct State {
    permits: usize,
    closed: bool,
    line: Line<usize>,
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
    semaphore: &'a Semaphore,
    count: usize,
    place: Option<u64>,
}

impl Waiting<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AcquireError>> {
        let progress = ready!(coop::poll_proceed(cx));
        let result = ready!(self.semaphore.poll_acquire(self.count, &mut self.place, cx));
        progress.made_progress();
        self.place = None;
        Poll::Ready(result)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.place.take() {
            self.semaphore.leave(key, self.count);
        }
    }
}

impl Semaphore {
    /// A semaphore with so many permits.
    pub fn new(permits: usize) -> Self {
        Self { state: Mutex::new(State { permits, closed: false, line: Line::default() }) }
    }

    /// Waits for a permit.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the line, and what was granted goes to the next.
    pub async fn acquire(&self) -> Result<Permit<'_>, AcquireError> {
        self.acquire_many(1).await
    }

    /// Waits for several permits.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_many(&self, count: usize) -> Result<Permit<'_>, AcquireError> {
        self.wait(count).await?;
        Ok(Permit { semaphore: self, count })
    }

    /// Waits for a permit that holds on to the semaphore.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedPermit, AcquireError> {
        self.wait(1).await?;
        Ok(OwnedPermit { semaphore: self, count: 1 })
    }

    pub(super) async fn wait(&self, count: usize) -> Result<(), AcquireError> {
        let mut waiting = Waiting { semaphore: self, count, place: None };
        poll_fn(|cx| waiting.poll(cx)).await
    }

    /// Takes a permit without waiting.
    ///
    /// # Errors
    /// [`TryAcquireError`].
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryAcquireError> {
        self.try_take(1)?;
        Ok(Permit { semaphore: self, count: 1 })
    }

    pub(super) fn try_take(&self, count: usize) -> Result<(), TryAcquireError> {
        let mut state = self.lock();
        if state.closed {
            return Err(TryAcquireError::Closed);
        }
        if !state.line.is_empty() || state.permits < count {
            return Err(TryAcquireError::NoPermits);
        }
        state.permits -= count;
        Ok(())
    }

    fn poll_acquire(&self, count: usize, place: &mut Option<u64>, cx: &Context<'_>) -> Poll<Result<(), AcquireError>> {
        let mut state = self.lock();
        if state.closed {
            *place = None;
            return Poll::Ready(Err(AcquireError));
        }
        if place.is_none() && state.line.is_empty() && state.permits >= count {
            state.permits -= count;
            return Poll::Ready(Ok(()));
        }
        if state.line.wait(place, count, cx) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn leave(&self, key: u64, count: usize) {
        let mut state = self.lock();
        if !state.line.leave(key) && !state.closed {
            state.permits += count;
        }
        let woken = state.grant();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Adds permits.
    pub fn add_permits(&self, count: usize) {
        let mut state = self.lock();
        state.permits = state.permits.saturating_add(count);
        let woken = state.grant();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Returns how many permits are free.
    pub fn available_permits(&self) -> usize {
        self.lock().permits
    }

    /// Refuses everybody from now on, those who wait included.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let woken = state.line.serve_all();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Returns true once it was closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl State {
    /// Serves the line while there are permits for its first.
    fn grant(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some(&count) = self.line.first() {
            if self.permits < count {
                break;
            }
            self.permits -= count;
            woken.extend(self.line.serve());
        }
        woken
    }
}

/// Permits that are given back when this is dropped.
#[derive(Debug)]
#[must_use = "a permit is given back when it is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

impl Permit<'_> {
    /// Keeps the permits from ever being given back.
    pub fn forget(mut self) {
        self.count = 0;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.add_permits(self.count);
        }
    }
}

/// Permits that hold on to their semaphore, and are given back when this is dropped.
#[derive(Debug)]
#[must_use = "a permit is given back when it is dropped"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    count: usize,
}

impl OwnedPermit {
    /// Keeps the permits from ever being given back.
    pub fn forget(mut self) {
        self.count = 0;
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if self.count > 0 {
            self.semaphore.add_permits(self.count);
        }
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn loom_a_permit_given_back_reaches_who_waits() {
        loom::model(|| {
            let semaphore = loom::sync::Arc::new(Semaphore::new(0));
            let giver = {
                let semaphore = semaphore.clone();
                loom::thread::spawn(move || semaphore.add_permits(1))
            };
            let count = Arc::new(Count(AtomicUsize::new(0)));
            let waker = Waker::from(count.clone());
            let mut cx = Context::from_waker(&waker);
            let mut place = None;
            let first = semaphore.poll_acquire(1, &mut place, &cx);
            giver.join().unwrap();
            if first.is_pending() {
                assert_eq!(count.0.load(Ordering::SeqCst), 1);
                assert!(semaphore.poll_acquire(1, &mut place, &mut cx).is_ready());
            }
            assert_eq!(semaphore.available_permits(), 0);
        });
    }
}
