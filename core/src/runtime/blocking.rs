//! The blocking pool: threads for closures that would otherwise stall a worker.
//!
//! Threads start on demand up to a limit and leave after a while without work. A queued closure is a task like any
//! other, so joining, aborting before the start and panics work as everywhere.
//!
//! Workers whose threads block in place (`runtime::in_place`) are lent to the pool too. They come before closures and count against no limit:
//! one that waits is a worker less, and there are no more than the runtime has.

use super::pool_queue::{Entry, Job, Limits, NewThread, PoolQueue, Unserved};
use super::thread_names::ThreadNames;
use super::{Handle, ThreadEnd, WorkerParts, shutdown_worker, worker_thread};
use crate::context;
#[cfg(all(test, not(posse_loom)))]
use crate::lock::Mutex;
use crate::raw_task::Runnable;
use crate::raw_task::panic::catch_panic;
use crate::raw_task::poll_record::PollStart;
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
    /// What waits for a thread, and which threads there are.
    queue: PoolQueue<ThreadId, Runnable, WorkerParts>,
    stack_size: Option<usize>,
    names: ThreadNames,
    #[cfg(all(test, not(posse_loom)))]
    failing_starts: Mutex<Option<FailingStarts>>,
}

/// In a test: no thread starts. Each time this is told, and the start takes until the other end is gone.
#[cfg(all(test, not(posse_loom)))]
pub(super) type FailingStarts = (std::sync::mpsc::Sender<()>, std::sync::mpsc::Receiver<()>);

/// Drops closures and ends workers that no thread will take.
fn end_unserved(runtime: &Handle, unserved: Unserved<Runnable, WorkerParts>) {
    unserved.closures.into_iter().for_each(|task| runtime.refuse(task));
    unserved.workers.into_iter().map(WorkerParts::into_worker).for_each(shutdown_worker);
}

fn this_thread() -> ThreadId {
    thread::current().id()
}

impl Pool {
    pub(crate) fn new(names: ThreadNames, threads_max: usize, keep_alive: Duration, stack_size: Option<usize>) -> Self {
        let limits = Limits { threads: threads_max, in_place: IN_PLACE_MAX, keep_alive };
        Self {
            queue: PoolQueue::new(limits),
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
        match self.queue.submit(&runtime.shared().life, task) {
            Ok(thread) => self.start_if(thread, runtime),
            Err(task) => runtime.refuse(task),
        }
    }

    /// Takes over the worker of this thread, which is about to block, until [`take_back`](Self::take_back). Gives it back if the runtime ends.
    pub(crate) fn lend_worker(&self, runtime: &Handle, worker: WorkerParts) -> Result<(), WorkerParts> {
        let thread = self.queue.lend(&runtime.shared().life, this_thread(), worker)?;
        self.start_if(thread, runtime);
        Ok(())
    }

    /// Returns the worker that this thread has lent, unless another thread has taken it over.
    pub(crate) fn take_back(&self, index: usize) -> Option<WorkerParts> {
        self.queue.take_back(&this_thread(), |worker| worker.index() == index)
    }

    /// Makes a thread that has lost its worker one of the pool, until it has been without work for a while, if there is room for it.
    pub(crate) fn adopt_this_thread(&self, runtime: &Handle) {
        if self.queue.adopt(&runtime.shared().life, this_thread()) {
            self.serve(runtime, Entry::Adopted);
        }
    }

    /// Whether the thread serves closures, or is in one: a worker's, once.
    pub(crate) fn has(&self, thread: ThreadId) -> bool {
        self.queue.has(&thread)
    }

    fn start_if(&self, thread: NewThread, runtime: &Handle) {
        if thread == NewThread::NotWanted {
            return;
        }
        if let Err(error) = self.try_start_thread(runtime) {
            crate::event!(ERROR, "posse::runtime", "could not start a thread of the blocking pool", reason = %error);
            end_unserved(runtime, self.queue.thread_failed(&runtime.shared().life));
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
        builder.spawn(move || handle.around_thread(|| handle.blocking().serve(&handle, Entry::Started))).map(drop)
    }

    /// The life of a thread, as long as it is one of the pool.
    fn serve(&self, runtime: &Handle, entry: Entry) {
        let _entered = context::enter(runtime.clone());
        let run = |job: Job<Runnable, WorkerParts>| match job {
            Job::Worker(worker) => {
                let (ThreadEnd::RuntimeEnded | ThreadEnd::WorkerLost) = worker_thread(worker);
            }
            // The thread is counted: it must come back, whatever the closure leaves behind.
            Job::Closure(task) => {
                let again = catch_panic("a task of the blocking pool panicked", || task.run(PollStart::NONE));
                debug_assert!(again.flatten().is_none(), "a blocking task completes in one run");
            }
        };
        // Time may jump again; see `Worker::sleep`.
        let closure_ended = || {
            if runtime.clock().jumps() {
                runtime.shared().unpark(0);
            }
        };
        self.queue.serve(&runtime.shared().life, &this_thread(), entry, run, closure_ended);
    }

    /// Drops what is queued, and ends the workers that no thread will take over; what runs goes on until it ends by itself.
    pub(crate) fn shut_down(&self, runtime: &Handle) {
        end_unserved(runtime, self.queue.shut_down());
    }

    /// Waits until the last thread has left, at most for the given time. Returns the number still running, with those that block in place.
    pub(crate) fn wait(&self, timeout: Duration) -> usize {
        self.queue.wait(timeout)
    }

    /// Closures that run or wait for a thread, and threads that block in place.
    pub(crate) fn busy(&self) -> usize {
        self.queue.busy()
    }

    /// Threads there are, those of them without work, and closures that wait for one.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        self.queue.counts()
    }
}
