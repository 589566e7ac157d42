//! The blocking pool: threads for closures that would otherwise stall a worker.
//!
//! Threads start on demand up to a limit and leave after a while without work. A queued closure is a task like any
//! other, so joining, aborting before the start and panics work as everywhere.

use crate::context;
use crate::lock::{Condvar, Mutex};
use crate::runtime::Handle;
use crate::task::panic::catch_panic;
use crate::task::poll_record::Stamp;
use crate::task::raw::Runnable;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A closure in the shape of a future that is ready at its first poll.
pub(crate) struct BlockingTask<F>(Option<F>);

impl<F> BlockingTask<F> {
    pub(crate) fn new(f: F) -> Self {
        Self(Some(f))
    }
}

impl<F> Unpin for BlockingTask<F> {}

impl<T, F: FnOnce() -> T> Future for BlockingTask<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        let f = self.0.take().expect("invariant: a blocking task is polled once");
        Poll::Ready(crate::task::coop::unlimited(f))
    }
}

/// In a simulation the closure begins after the time a thread might take, and runs in turns with the simulation.
#[cfg(feature = "sim")]
pub(crate) async fn simulated<T, F>(handle: Handle, rng: crate::sim::SimRng, f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let takes = rng.between(crate::sim::ChoiceKind::Latency, 1_000, 2_000_000);
    crate::time::sleep(Duration::from_nanos(takes)).await;
    match crate::sim::blocking::Blocking::start(handle, f) {
        Ok(blocking) => blocking.await,
        // Without a thread it can do everything but wait for a future.
        Err(f) => crate::task::coop::unlimited(f),
    }
}

/// Waits for a future in the time of the simulation whose closure this thread runs; `None` on any other thread.
pub(crate) fn block_on_simulated<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    #[cfg(feature = "sim")]
    return crate::sim::blocking::block_on(future);
    #[cfg(not(feature = "sim"))]
    {
        let _ = future;
        None
    }
}

#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    /// Told of each closure, of the end of the runtime and of the end of each thread.
    work: Condvar,
    threads_max: usize,
    keep_alive: Duration,
    stack_size: Option<usize>,
    name: String,
}

#[derive(Debug, Default)]
struct State {
    /// Closures that no thread has begun.
    queue: VecDeque<Runnable>,
    /// Threads started and not ended; counted by the thread that starts one and by the one that ends.
    threads: usize,
    /// Threads that wait for work.
    waiting: usize,
}

impl Pool {
    pub(crate) fn new(name: String, threads_max: usize, keep_alive: Duration, stack_size: Option<usize>) -> Self {
        Self { state: Mutex::default(), work: Condvar::new(), threads_max, keep_alive, stack_size, name }
    }

    /// Queues a task, starting a thread for it if none is free. After the shutdown its closure is dropped instead.
    pub(crate) fn submit(&self, runtime: &Handle, task: Runnable) {
        let mut state = self.state.lock();
        // Under the lock: either this sees the end, or `shut_down`, which comes after its beginning, sees the task.
        if !runtime.shared().is_open() {
            drop(state);
            return runtime.refuse(task);
        }

        state.queue.push_back(task);
        if state.waiting >= state.queue.len() {
            self.work.notify_one();
        } else if state.threads < self.threads_max {
            state.threads += 1;
            drop(state);
            self.start_thread(runtime);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the runtime's own threads")]
    fn start_thread(&self, runtime: &Handle) {
        let mut builder = std::thread::Builder::new().name(self.name.clone());
        if let Some(size) = self.stack_size {
            builder = builder.stack_size(size);
        }
        let handle = runtime.clone();
        if let Err(error) = builder.spawn(move || handle.blocking().run(&handle)) {
            crate::event!(ERROR, "posse::runtime", "could not start a thread of the blocking pool", reason = %error);
            self.thread_failed(runtime);
        }
    }

    /// Without any thread what is queued would never run: it is cancelled, which its joiners see.
    fn thread_failed(&self, runtime: &Handle) {
        let mut state = self.state.lock();
        state.threads -= 1;
        let unrun = if state.threads == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
        drop(state);
        unrun.into_iter().for_each(|task| runtime.refuse(task));
    }

    fn run(&self, handle: &Handle) {
        let _entered = context::enter(handle.clone());
        let mut state = self.state.lock();
        loop {
            while let Some(task) = state.queue.pop_front() {
                drop(state);
                // The thread is counted: it must come back, whatever the closure leaves behind.
                let again = catch_panic("a task of the blocking pool panicked", || task.run(Stamp::NONE));
                debug_assert!(again.flatten().is_none(), "a blocking task completes in one run");
                state = self.state.lock();
            }
            if !handle.shared().is_open() {
                break;
            }

            state.waiting += 1;
            let (woken, wait) = self.work.wait_timeout(state, self.keep_alive);
            state = woken;
            state.waiting -= 1;
            if wait.timed_out() && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        self.work.notify_all();
    }

    /// Drops what is queued; what runs goes on until it ends by itself.
    pub(crate) fn shut_down(&self, runtime: &Handle) {
        let mut state = self.state.lock();
        let unrun = std::mem::take(&mut state.queue);
        self.work.notify_all();
        drop(state);
        unrun.into_iter().for_each(|task| runtime.refuse(task));
    }

    /// Waits until the last thread has left, at most for the given time. Returns the number still running.
    pub(crate) fn wait(&self, timeout: Duration) -> usize {
        let state = self.state.lock();
        let (state, _) = self.work.wait_timeout_while(state, timeout, |state| state.threads > 0);
        state.threads
    }

    /// Threads there are, those of them without work, and closures that wait for one.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        (state.threads, state.waiting, state.queue.len())
    }
}
