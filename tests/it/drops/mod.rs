//! A future is dropped at every moment of its life: before it is polled, after each of its polls, while it waits, after what it waits for has
//! come. Nothing is lost and nothing kept, whatever the moment, or what its `# Cancel safety` says is.
//!
//! `README.md` beside this file says which test drops which function; `table.rs` compares it with the functions there are. Tests in
//! modules named `real_*` wait for real sockets, files and processes.

mod io;
mod mailbox;
mod real_datagrams;
mod real_files;
mod real_http;
mod real_nodes;
mod real_processes;
mod real_sockets;
mod sim;
mod supervisor;
mod sync;
mod table;
mod task;

use crate::common::{manual, settle};
use posse::runtime::{Builder, Handle, Runtime};
use posse::sync::Notify;
use posse::time::timeout;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Events happen before one of so many polls, or after the drop. A future that waits is the same after its second poll as after its first.
const EVENTS: usize = 4;

/// More polls than any of the futures takes.
const POLLS_MAX: usize = 10;

/// As [`POLLS_MAX`], of those that wait for the system, which may wake them for nothing.
const REAL_POLLS_MAX: usize = 100;

/// How long the system may take for what it does at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// When a future is dropped, and when what it waits for happens.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    polls: usize,
    event: usize,
}

/// Wakes the test.
#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Woken {
    /// Waits until the future is to be polled again. With a manual clock what is to wake it does so at once.
    async fn wait(&self, moment: Moment) {
        settle().await;
        if !Handle::current().advance(Duration::ZERO) {
            assert!(timeout(PATIENCE, self.0.notified()).await.is_ok(), "{moment:?}: it is not woken");
        }
    }
}

impl Moment {
    /// Whether the future is polled at all.
    pub fn begins(self) -> bool {
        self.polls > 0
    }

    /// The moments after each number of polls below this one, of a future that waits for no event.
    pub fn by_polls(polls: usize) -> impl Iterator<Item = Self> {
        (0..polls).map(|polls| Self { polls, event: 0 })
    }

    /// Polls `future` until it is ready or its time has come, and drops it then. Before the event it is polled though nothing has woken it,
    /// and after that when it is woken. Returns the output if it came to that.
    pub async fn cut<F: Future>(self, future: F, event: impl FnOnce()) -> Option<F::Output> {
        let mut event = Some(event);
        let mut happen = || event.take().map_or((), |event| event());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut future = Box::pin(future);
        let mut output = None;
        for round in 0..=self.polls {
            if round == self.event {
                happen();
            }
            if round > 0 && round >= self.event {
                woken.wait(self).await;
            } else {
                settle().await;
            }
            if round < self.polls {
                output = poll_once(future.as_mut(), &waker).await;
            }
            if output.is_some() {
                break;
            }
        }
        drop(future);
        happen();
        settle().await;
        output
    }
}

/// Calls `test` for every moment, each time in a runtime of its own, until the future comes to its end, which is what the test returns. For
/// some an event comes too early: it is over when they begin to wait.
fn at_moments(runtime: fn() -> Runtime, polls_max: usize, test: impl AsyncFn(Moment) -> bool) {
    let mut has_ended = false;
    for event in 0..=EVENTS {
        let ends = |&polls: &usize| runtime().block_on(test(Moment { polls, event }));
        let polls = (0..polls_max).find(ends);
        assert!(polls != Some(0), "it ends before it is polled");
        has_ended |= polls.is_some();
    }
    assert!(has_ended, "it never ends");
}

/// With a clock that only a hand turns.
pub fn at_every_moment(test: impl AsyncFn(Moment) -> bool) {
    at_moments(manual, POLLS_MAX, test);
}

/// With the clock and the sockets of the system.
pub fn at_every_real_moment(test: impl AsyncFn(Moment) -> bool) {
    at_moments(|| Builder::new_current_thread().build().unwrap(), REAL_POLLS_MAX, test);
}

/// Lets others run until something is so, which it is at once or soon.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waits = async {
        while !is_so() {
            posse::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, waits).await.is_ok(), "it never happens: {what}");
}

/// What a future has to say at once, if anything.
pub async fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(output(future.as_mut().poll(cx)))).await
}

/// As [`now`], with a waker of its own.
async fn poll_once<F: Future>(mut future: Pin<&mut F>, waker: &Waker) -> Option<F::Output> {
    poll_fn(|_| Poll::Ready(output(future.as_mut().poll(&mut Context::from_waker(waker))))).await
}

fn output<T>(polled: Poll<T>) -> Option<T> {
    match polled {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
