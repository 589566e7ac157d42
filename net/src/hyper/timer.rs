//! hyper's timer on the runtime's clock.

use hyper::rt::Sleep;
use posse_core::runtime::Handle;
use posse_core::time::{self, Instant};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Gives hyper the time of a runtime: the real one, a manual one, or that of a simulation.
///
/// hyper counts in instants of std. What it is given counts from the origin of the runtime's clock (see
/// [`Instant::into_std`]), so it must not be compared with `std::time::Instant::now()`.
///
/// # Examples
/// ```
/// use hyper::rt::Timer as _;
/// use posse::hyper::Timer;
/// use std::time::Duration;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let timer = Timer::new();
/// let start = timer.now();
/// timer.sleep(Duration::from_millis(2)).await;
/// assert!(timer.now() - start >= Duration::from_millis(2));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Timer(Handle);

impl Timer {
    /// Uses the clock of the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[expect(clippy::new_without_default, reason = "it panics outside of a runtime")]
    #[track_caller]
    pub fn new() -> Self {
        Self::on(Handle::current())
    }

    /// Uses the clock of the runtime that is given.
    pub fn on(handle: Handle) -> Self {
        Self(handle)
    }
}

/// The trait is hyper's and the future the core's: it needs a type of this crate.
struct Nap(time::Sleep);

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl Sleep for Nap {}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Nap(time::Sleep::on(self.0.clone(), duration)))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> std::time::Instant {
        self.0.now().into_std()
    }

    /// Keeps the allocation: hyper sets its time-outs anew with every request.
    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: std::time::Instant) {
        match sleep.as_mut().downcast_mut_pin::<Nap>() {
            Some(mut nap) => nap.0.reset(Instant::from_std(deadline)),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::rt::Timer as _;
    use posse_core::runtime::Builder;
    use posse_core::task;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_sleep_ends_by_the_clock_of_its_runtime_and_can_be_set_anew() {
        let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
        let handle = runtime.handle().clone();
        runtime.block_on(async {
            let timer = Timer::new();
            let start = timer.now();
            let mut sleep = timer.sleep_until(start + HOUR);
            timer.reset(&mut sleep, start + 2 * HOUR);
            let task = task::spawn(sleep);

            task::yield_now().await;
            handle.advance(HOUR);
            task::yield_now().await;
            assert!(!task.is_finished());
            handle.advance(HOUR);
            task.await.expect("it ends");
            assert_eq!(timer.now() - start, 2 * HOUR);
        });
    }
}
