//! The blocking pool: threads for closures that would otherwise stall a worker.
//!
//! Threads start on demand up to a limit and leave after a while without work. A queued closure is a task like any
//! other, so joining, aborting before the start and panics work as everywhere.
//!
//! Workers whose threads block in place (`runtime::in_place`) are lent to the pool too. They come before closures and count against no limit:
//! one that waits is a worker less, and there are no more than the runtime has.

use crate::context;
use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::raw_task::Runnable;
use crate::raw_task::panic::catch_panic;
use crate::raw_task::poll_record::Stamp;
use crate::runtime::thread_names::ThreadNames;
use crate::runtime::{Handle, ThreadEnd, WorkerParts, shutdown_worker, worker_thread};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
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
        Poll::Ready(crate::raw_task::coop::unlimited(f))
    }
}

/// Threads that block in place at once before the next one's worker waits for a thread that is free, beside those of the pool's own limit.
/// Chosen: as many as that limit is by itself.
pub(super) const IN_PLACE_MAX: usize = 512;

#[derive(Debug)]
pub(crate) struct Pool {
    /// What waits for a thread and what runs; no closure runs under its lock.
    state: Mutex<State>,
    /// Told of each closure, of the end of the runtime and of the end of each thread.
    work: Condvar,
    /// Threads for closures; those for workers come on top.
    threads_max: usize,
    /// How long a thread waits for work before it leaves.
    keep_alive: Duration,
    stack_size: Option<usize>,
    names: ThreadNames,
    #[cfg(all(test, not(posse_loom)))]
    failing_starts: Mutex<Option<FailingStarts>>,
}

/// In a test: no thread starts. Each time this is told, and the start takes until the other end is gone.
#[cfg(all(test, not(posse_loom)))]
pub(super) type FailingStarts = (std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>);

#[derive(Debug, Default)]
struct State {
    /// Closures that no thread has begun.
    queue: VecDeque<Runnable>,
    /// Workers whose threads block, and that no thread has taken over.
    workers: VecDeque<WorkerParts>,
    /// Threads started and not ended; counted by the thread that starts one and by the one that ends.
    threads: usize,
    /// Threads that were started and have not looked for work yet.
    starting: usize,
    /// Threads that wait for work.
    waiting: usize,
    /// Threads that run a closure.
    running: usize,
    /// Threads that run a worker, or ran one that a task has taken away and are in that task's poll.
    driving: usize,
    /// Threads that have lent their worker, or lost it and are in the poll in which they did.
    in_place: Vec<ThreadId>,
    /// Threads that were workers' once.
    adopted: Vec<ThreadId>,
}

impl State {
    /// Threads that serve closures, or will.
    fn serving(&self) -> usize {
        self.threads - self.driving
    }

    /// Whether those that wait, or will, are too few for all that is queued. If so, and there is room, the caller starts a thread, which is
    /// counted.
    fn wants_thread(&mut self, room: bool) -> bool {
        let wanted = self.waiting + self.starting < self.queue.len() + self.workers.len() && room;
        self.threads += usize::from(wanted);
        self.starting += usize::from(wanted);
        wanted
    }

    /// Takes the workers that no thread will look for, after the end of the runtime: the last ones, since threads take the first.
    fn take_stranded(&mut self) -> VecDeque<WorkerParts> {
        self.workers.split_off(self.workers.len().min(self.waiting + self.starting))
    }
}

/// Drops closures and ends workers that no thread will take.
fn end_unserved(runtime: &Handle, unrun: VecDeque<Runnable>, stranded: VecDeque<WorkerParts>) {
    unrun.into_iter().for_each(|task| runtime.refuse(task));
    stranded.into_iter().map(WorkerParts::into_worker).for_each(shutdown_worker);
}

fn remove_this_thread(threads: &mut Vec<ThreadId>) {
    let this = thread::current().id();
    threads.retain(|thread| *thread != this);
}

impl Pool {
    pub(crate) fn new(names: ThreadNames, threads_max: usize, keep_alive: Duration, stack_size: Option<usize>) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            threads_max,
            keep_alive,
            stack_size,
            names,
            #[cfg(all(test, not(posse_loom)))]
            failing_starts: Mutex::new(None),
        }
    }

    #[cfg(all(test, not(posse_loom)))]
    pub(super) fn fail_starts(&self, starts: FailingStarts) {
        *self.failing_starts.lock() = Some(starts);
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
        let has_room = state.serving() < self.threads_max;
        self.rouse(runtime, state, has_room);
    }

    /// Finds a thread for what was queued.
    fn rouse(&self, runtime: &Handle, mut state: MutexGuard<'_, State>, has_room: bool) {
        if state.wants_thread(has_room) {
            drop(state);
            self.start_thread(runtime);
        } else {
            self.work.notify_one();
        }
    }

    /// Takes over the worker of this thread, which is about to block, until [`take_back`](Self::take_back). Gives it back if the runtime ends.
    pub(crate) fn lend_worker(&self, runtime: &Handle, worker: WorkerParts) -> Result<(), WorkerParts> {
        let mut state = self.state.lock();
        // Under the lock: as in `submit`.
        if !runtime.shared().is_open() {
            return Err(worker);
        }
        state.in_place.push(thread::current().id());
        state.workers.push_back(worker);
        let has_room = state.in_place.len() <= IN_PLACE_MAX;
        self.rouse(runtime, state, has_room);
        Ok(())
    }

    /// Returns the worker that this thread has lent, unless another thread has taken it over.
    pub(crate) fn take_back(&self, index: usize) -> Option<WorkerParts> {
        let mut state = self.state.lock();
        let position = state.workers.iter().position(|worker| worker.index() == index)?;
        remove_this_thread(&mut state.in_place);
        state.workers.remove(position)
    }

    /// Makes a thread that has lost its worker one of the pool, until it has been without work for a while, if there is room for it.
    pub(crate) fn adopt_this_thread(&self, runtime: &Handle) {
        let mut state = self.state.lock();
        remove_this_thread(&mut state.in_place);
        if runtime.shared().is_open() && state.serving() < self.threads_max {
            state.threads += 1;
            state.adopted.push(thread::current().id());
            return self.serve(runtime, state);
        }
        self.work.notify_all();
    }

    /// Whether the thread serves closures, or is in one: a worker's, once.
    pub(crate) fn has(&self, thread: ThreadId) -> bool {
        let state = self.state.lock();
        state.in_place.contains(&thread) || state.adopted.contains(&thread)
    }

    fn start_thread(&self, runtime: &Handle) {
        if let Err(error) = self.try_start_thread(runtime) {
            crate::event!(ERROR, "posse::runtime", "could not start a thread of the blocking pool", reason = %error);
            self.thread_failed(runtime);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the runtime's own threads")]
    fn try_start_thread(&self, runtime: &Handle) -> std::io::Result<()> {
        #[cfg(all(test, not(posse_loom)))]
        if let Some((told, lasts)) = &*self.failing_starts.lock() {
            let _ = told.send(());
            let _ = lasts.recv();
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let mut builder = std::thread::Builder::new().name(self.names.of("blocking"));
        if let Some(size) = self.stack_size {
            builder = builder.stack_size(size);
        }
        let handle = runtime.clone();
        builder.spawn(move || handle.around_thread(|| handle.blocking().run(&handle))).map(drop)
    }

    /// Without any thread what is queued would never run: it is cancelled, which its joiners see. A worker waits for the next thread there
    /// is, or for the one that has lent it; but a runtime that ends would wait for it.
    fn thread_failed(&self, runtime: &Handle) {
        let mut state = self.state.lock();
        state.threads -= 1;
        state.starting -= 1;
        let unrun = if state.serving() == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
        let stranded = if runtime.shared().is_open() { VecDeque::new() } else { state.take_stranded() };
        drop(state);
        end_unserved(runtime, unrun, stranded);
    }

    /// The life of a thread that was started.
    fn run(&self, handle: &Handle) {
        let mut state = self.state.lock();
        state.starting -= 1;
        self.serve(handle, state);
    }

    /// Serves what is queued, until there was nothing for a while or the runtime ends.
    fn serve<'a>(&'a self, handle: &Handle, mut state: MutexGuard<'a, State>) {
        let _entered = context::enter(handle.clone());
        loop {
            if let Some(worker) = state.workers.pop_front() {
                state.driving += 1;
                drop(state);
                let (ThreadEnd::RuntimeEnded | ThreadEnd::WorkerLost) = worker_thread(worker);
                state = self.state.lock();
                state.driving -= 1;
                remove_this_thread(&mut state.in_place);
                // Others serve closures meanwhile, as many as may.
                if state.serving() > self.threads_max {
                    break;
                }
                continue;
            }
            if let Some(task) = state.queue.pop_front() {
                state.running += 1;
                drop(state);
                // The thread is counted: it must come back, whatever the closure leaves behind.
                let again = catch_panic("a task of the blocking pool panicked", || task.run(Stamp::NONE));
                debug_assert!(again.flatten().is_none(), "a blocking task completes in one run");
                state = self.state.lock();
                state.running -= 1;
                // Time may jump again; see `Worker::sleep`.
                if handle.clock().jumps() {
                    handle.shared().unpark(0);
                }
                continue;
            }
            if !handle.shared().is_open() {
                break;
            }

            state.waiting += 1;
            let (woken, wait) = self.work.wait_timeout(state, self.keep_alive);
            state = woken;
            state.waiting -= 1;
            if wait.timed_out() && state.queue.is_empty() && state.workers.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        remove_this_thread(&mut state.adopted);
        self.work.notify_all();
    }

    /// Drops what is queued, and ends the workers that no thread will take over; what runs goes on until it ends by itself.
    pub(crate) fn shut_down(&self, runtime: &Handle) {
        let mut state = self.state.lock();
        let unrun = std::mem::take(&mut state.queue);
        let stranded = state.take_stranded();
        self.work.notify_all();
        drop(state);
        end_unserved(runtime, unrun, stranded);
    }

    /// Waits until the last thread has left, at most for the given time. Returns the number still running, with those that block in place.
    pub(crate) fn wait(&self, timeout: Duration) -> usize {
        let running = |state: &State| state.serving() + state.in_place.len();
        let state = self.state.lock();
        let (state, _) = self.work.wait_timeout_while(state, timeout, |state| running(state) > 0);
        running(&state)
    }

    /// Closures that run or wait for a thread.
    pub(crate) fn busy(&self) -> usize {
        let state = self.state.lock();
        state.queue.len() + state.running + state.in_place.len()
    }

    /// Threads there are, those of them without work, and closures that wait for one.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        (state.serving(), state.waiting, state.queue.len())
    }
}
