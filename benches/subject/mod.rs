//! What is measured, whoever is measured.

mod kameo;
mod posse;
mod ractor;
mod tokio;

pub use self::kameo::Kameo;
pub use self::posse::Posse;
pub use self::ractor::Ractor;
pub use self::tokio::Tokio;

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// Worker threads of every subject.
pub const WORKERS: usize = 2;

/// Opened when the last message was handled; one task waits for it.
#[derive(Debug, Default)]
pub struct Gate {
    opened: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

/// A shared gate.
pub type Done = Arc<Gate>;

impl Gate {
    /// Opens it.
    pub fn open(&self) {
        self.opened.store(true, Ordering::Release);
        let waiting = self.waiting.lock().expect("no panic").take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Waits until it is open.
    pub async fn wait(&self) {
        poll_fn(|cx| {
            *self.waiting.lock().expect("no panic") = Some(cx.waker().clone());
            if self.opened.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Waits for all of them; the first poll of each starts it.
pub async fn all<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// An actor system, or what stands for one.
pub trait Subject {
    /// The name in the table.
    const NAME: &'static str;
    /// A reference to an actor that counts.
    type Counter: Clone + Send + Sync + 'static;

    /// Runs a future to its end in a runtime with two workers, inside a task.
    fn run<F: Future<Output = ()> + Send + 'static>(future: F);

    /// Starts a task in the current runtime and gives a future of its end.
    fn task<F: Future<Output = ()> + Send + 'static>(future: F) -> impl Future<Output = ()> + Send;

    /// Starts a counter that opens `done` after `goal` additions. Room for 1,024 messages, or no bound where there is none.
    fn counter(goal: u64, done: Done) -> impl Future<Output = Self::Counter> + Send;

    /// Tells the counter to add.
    fn add(counter: &Self::Counter, n: u64) -> impl Future<Output = ()> + Send;

    /// Asks the counter for its sum.
    fn sum(counter: &Self::Counter) -> impl Future<Output = u64> + Send;

    /// Starts an actor that asks a counter so many times and then opens `done`.
    fn survey(counter: Self::Counter, count: u64, done: Done) -> impl Future<Output = ()> + Send;

    /// Two actors that tell each other a ball so many times.
    fn rally(hops: u64, done: Done) -> impl Future<Output = ()> + Send;

    /// Starts an actor and waits for its end.
    fn spawn_and_stop() -> impl Future<Output = ()> + Send;
}
