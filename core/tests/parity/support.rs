//! Futures that are polled by hand, and runtimes whose clock only a hand turns.

use posse_core::runtime::{Builder, Runtime};
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future, or anything else that is polled, with a waker of its own that counts.
pub struct Probe<T> {
    pub inner: Pin<Box<T>>,
    wakes: Arc<Wakes>,
}

impl<T> Probe<T> {
    pub fn new(inner: T) -> Self {
        Self { inner: Box::pin(inner), wakes: Arc::default() }
    }

    /// How often it was woken since this was asked last.
    pub fn woken(&self) -> usize {
        self.wakes.0.swap(0, Ordering::SeqCst)
    }

    /// How many wakers of it are kept somewhere.
    pub fn wakers(&self) -> usize {
        Arc::strong_count(&self.wakes) - 1
    }

    pub fn waker(&self) -> Waker {
        Waker::from(self.wakes.clone())
    }
}

impl<T: Future> Probe<T> {
    pub fn poll(&mut self) -> Poll<T::Output> {
        let waker = self.waker();
        self.inner.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// What a future has to say at its first poll.
pub fn now<F: Future>(future: F) -> Poll<F::Output> {
    Probe::new(future).poll()
}

/// What a future that must be ready has to say.
#[track_caller]
pub fn ready<F: Future>(future: F) -> F::Output {
    match now(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

struct Hook<W: Fn() + Send + Sync + 'static, D: Fn() + Send + Sync + 'static>(W, D);

impl<W: Fn() + Send + Sync + 'static, D: Fn() + Send + Sync + 'static> Wake for Hook<W, D> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

impl<W: Fn() + Send + Sync + 'static, D: Fn() + Send + Sync + 'static> Drop for Hook<W, D> {
    fn drop(&mut self) {
        (self.1)();
    }
}

/// A waker that does something when it is woken, and something when its last clone is dropped.
pub fn waker_that(wakes: impl Fn() + Send + Sync + 'static, drops: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Hook(wakes, drops)))
}

pub fn single() -> Runtime {
    Builder::new_current_thread().seed(7).build().unwrap()
}

pub fn manual() -> Runtime {
    Builder::new_current_thread().manual_clock().seed(7).build().unwrap()
}

pub fn several() -> Runtime {
    Builder::new_multi_thread().worker_threads(3).seed(7).build().unwrap()
}

/// Lets everything that is ready run.
pub async fn settle() {
    for _ in 0..50 {
        posse_core::task::yield_now().await;
    }
}

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Only one test at a time looks at where panics come from.
static LOOKS: Mutex<()> = Mutex::new(());

/// The file that a panic of `f` is blamed on.
#[track_caller]
pub fn blamed(f: impl FnOnce()) -> String {
    let caller = Location::caller();
    let _looks = LOOKS.lock();
    let place = Arc::new(Mutex::new(String::new()));
    let (prev, seen, thread) = (std::panic::take_hook(), place.clone(), std::thread::current().id());
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == thread {
            *seen.lock().unwrap() = info.location().map(|location| location.file().to_owned()).unwrap_or_default();
        }
    }));
    let panicked = catch_unwind(AssertUnwindSafe(f)).is_err();
    std::panic::set_hook(prev);
    assert!(panicked, "no panic, at {caller}");

    place.lock().unwrap().clone()
}

/// What `f` panics with.
#[track_caller]
pub fn panics(f: impl FnOnce()) -> Box<dyn Any + Send> {
    catch_unwind(AssertUnwindSafe(f)).expect_err("it does not panic")
}

/// Calls something when it is dropped.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
