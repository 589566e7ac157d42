//! The hand-over of the blocking pool: what waits for a thread, who takes it, and how many threads that needs.
//!
//! It knows neither closures nor workers nor threads but as values, and starts none: the pool around it does ([`blocking`](super::blocking)).
//! So the models at the end run this very code. They could not run the pool's: a thread that runs a worker is one by its thread-locals, which the
//! threads of a model share.

use crate::loom::sync::{Condvar, Mutex, MutexGuard};
use crate::scheduler::life::Life;
use std::collections::VecDeque;
use std::time::Duration;

/// Closures `C` and workers `W` on their way to threads `T`.
#[derive(Debug)]
pub(super) struct PoolQueue<T, C, W> {
    /// What waits for a thread and what runs; nothing runs under its lock.
    state: Mutex<State<T, C, W>>,
    /// Told of each closure and worker, of the end of the runtime and of the end of each thread.
    work: Condvar,
    /// How much of it may be at once.
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Threads for closures; those for workers come on top.
    pub(super) threads: usize,
    /// Threads that block in place before the next one's worker waits for a thread that is free.
    pub(super) in_place: usize,
    /// How long a thread waits for work before it leaves.
    pub(super) keep_alive: Duration,
}

#[derive(Debug)]
struct State<T, C, W> {
    /// Closures that no thread has begun.
    queue: VecDeque<C>,
    /// Workers whose threads block, and that no thread has taken over.
    workers: VecDeque<W>,
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
    in_place: Vec<T>,
    /// Threads that were workers' once.
    adopted: Vec<T>,
}

/// What a thread of the pool is to do.
#[derive(Debug)]
pub(super) enum Job<C, W> {
    Closure(C),
    /// To be until it has lost the worker, or the runtime has ended.
    Worker(W),
}

/// How a thread comes to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It was started for it.
    Started,
    /// It has lost its worker, and was [adopted](PoolQueue::adopt).
    Adopted,
}

/// What no thread will take any more: closures to be dropped, and workers to be ended.
#[derive(Debug)]
pub(super) struct Unserved<C, W> {
    pub(super) closures: VecDeque<C>,
    pub(super) workers: VecDeque<W>,
}

/// Whether the caller is to start a thread, which is counted already.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewThread {
    Wanted,
    NotWanted,
}

impl<T: PartialEq, C, W> State<T, C, W> {
    /// Threads that serve closures, or will.
    fn serving(&self) -> usize {
        self.threads - self.driving
    }

    /// Whether those that wait, or will, are too few for all that is queued. If so, and there is room, the caller starts a thread.
    fn wants_thread(&mut self, room: bool) -> bool {
        let wanted = self.waiting + self.starting < self.queue.len() + self.workers.len() && room;
        self.threads += usize::from(wanted);
        self.starting += usize::from(wanted);
        wanted
    }

    /// Takes the workers that no thread will look for, after the end of the runtime: the last ones, since threads take the first.
    fn take_stranded(&mut self) -> VecDeque<W> {
        self.workers.split_off(self.workers.len().min(self.waiting + self.starting))
    }

    /// The thread is in no poll any more in which it had lent its worker.
    fn leave_place(&mut self, thread: &T) {
        self.in_place.retain(|other| other != thread);
    }
}

impl<T: PartialEq, C, W> PoolQueue<T, C, W> {
    pub(super) fn new(limits: Limits) -> Self {
        let state = State {
            queue: VecDeque::new(),
            workers: VecDeque::new(),
            threads: 0,
            starting: 0,
            waiting: 0,
            running: 0,
            driving: 0,
            in_place: Vec::new(),
            adopted: Vec::new(),
        };
        Self { state: Mutex::new(state), work: Condvar::new(), limits }
    }

    /// Queues a closure. After the shutdown it comes back.
    pub(super) fn submit(&self, life: &Life, closure: C) -> Result<NewThread, C> {
        let mut state = self.state.lock();
        // Under the lock: either this sees the end, or `shut_down`, which comes after its beginning, sees the closure.
        if !life.is_open() {
            return Err(closure);
        }
        state.queue.push_back(closure);
        let has_room = state.serving() < self.limits.threads;
        Ok(self.rouse(state, has_room))
    }

    /// Finds a thread for what was queued.
    fn rouse(&self, mut state: MutexGuard<'_, State<T, C, W>>, has_room: bool) -> NewThread {
        if state.wants_thread(has_room) {
            return NewThread::Wanted;
        }
        self.work.notify_one();
        NewThread::NotWanted
    }

    /// Queues the worker of a thread that is about to block, until [`take_back`](Self::take_back). It comes back if the runtime ends.
    pub(super) fn lend(&self, life: &Life, thread: T, worker: W) -> Result<NewThread, W> {
        let mut state = self.state.lock();
        // Under the lock: as in `submit`.
        if !life.is_open() {
            return Err(worker);
        }
        state.in_place.push(thread);
        state.workers.push_back(worker);
        let has_room = state.in_place.len() <= self.limits.in_place;
        Ok(self.rouse(state, has_room))
    }

    /// Returns the worker that the thread has lent, unless another thread has taken it over.
    pub(super) fn take_back(&self, thread: &T, is_it: impl Fn(&W) -> bool) -> Option<W> {
        let mut state = self.state.lock();
        let position = state.workers.iter().position(is_it)?;
        state.leave_place(thread);
        state.workers.remove(position)
    }

    /// A thread has ended the poll in which it lost its worker. True if there is room for it to [serve](Self::serve).
    pub(super) fn adopt(&self, life: &Life, thread: T) -> bool {
        let mut state = self.state.lock();
        state.leave_place(&thread);
        if life.is_open() && state.serving() < self.limits.threads {
            state.threads += 1;
            state.adopted.push(thread);
            return true;
        }
        self.work.notify_all();
        false
    }

    /// The life of a thread of the pool: runs what is queued, until there was nothing for a while or the runtime ends. `closure_ended` is called
    /// under the lock, after each closure.
    pub(super) fn serve(
        &self,
        life: &Life,
        thread: &T,
        entry: Entry,
        mut run: impl FnMut(Job<C, W>),
        closure_ended: impl Fn(),
    ) {
        let mut state = self.state.lock();
        state.starting -= usize::from(entry == Entry::Started);
        loop {
            // A worker is a thread less for all tasks, a closure waits for itself.
            if let Some(worker) = state.workers.pop_front() {
                state.driving += 1;
                drop(state);
                run(Job::Worker(worker));
                state = self.state.lock();
                state.driving -= 1;
                state.leave_place(thread);
                // Others serve closures meanwhile, as many as may; a worker that waits may have no other thread.
                if state.serving() > self.limits.threads && state.workers.is_empty() {
                    break;
                }
                continue;
            }
            if let Some(closure) = state.queue.pop_front() {
                state.running += 1;
                drop(state);
                run(Job::Closure(closure));
                state = self.state.lock();
                state.running -= 1;
                closure_ended();
                continue;
            }
            if !life.is_open() {
                break;
            }

            // Told under the lock of what comes, so it is seen here or ends the wait.
            state.waiting += 1;
            let (woken, wait) = self.work.wait_timeout(state, self.limits.keep_alive);
            state = woken;
            state.waiting -= 1;
            if wait.timed_out() && state.queue.is_empty() && state.workers.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        state.adopted.retain(|other| other != thread);
        self.work.notify_all();
    }

    /// A thread that was wanted did not start. Without any thread what is queued would never run: it is for the caller to drop. A worker waits for
    /// the next thread there is, or for the one that has lent it; but a runtime that ends would wait for it.
    pub(super) fn thread_failed(&self, life: &Life) -> Unserved<C, W> {
        let mut state = self.state.lock();
        state.threads -= 1;
        state.starting -= 1;
        let closures = if state.serving() == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
        let workers = if life.is_open() { VecDeque::new() } else { state.take_stranded() };
        Unserved { closures, workers }
    }

    /// Called once the end has begun. Returns what is queued, but for the workers that threads will take; what runs goes on until it ends by itself.
    pub(super) fn shut_down(&self) -> Unserved<C, W> {
        let mut state = self.state.lock();
        let closures = std::mem::take(&mut state.queue);
        let workers = state.take_stranded();
        self.work.notify_all();
        Unserved { closures, workers }
    }

    /// Whether the thread serves closures, or is in one: a worker's, once.
    pub(super) fn has(&self, thread: &T) -> bool {
        let state = self.state.lock();
        state.in_place.contains(thread) || state.adopted.contains(thread)
    }

    /// Waits until the last thread has left, at most for the given time. Returns the number still running, with those that block in place.
    #[cfg(not(posse_loom))]
    pub(super) fn wait(&self, timeout: Duration) -> usize {
        let running = |state: &State<T, C, W>| state.serving() + state.in_place.len();
        let state = self.state.lock();
        let (state, _) = self.work.wait_timeout_while(state, timeout, |state| running(state) > 0);
        running(&state)
    }

    /// The models know no time.
    #[cfg(posse_loom)]
    pub(super) fn wait(&self, _: Duration) -> usize {
        let state = self.state.lock();
        state.serving() + state.in_place.len()
    }

    /// Closures that run or wait for a thread, and threads that block in place.
    pub(super) fn busy(&self) -> usize {
        let state = self.state.lock();
        state.queue.len() + state.running + state.in_place.len()
    }

    /// Threads there are, those of them without work, and closures that wait for one.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        (state.serving(), state.waiting, state.queue.len())
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_too_many_takes_a_worker_that_waits_before_it_leaves() {
        let limits = Limits { threads: 1, in_place: 1, keep_alive: Duration::MAX };
        let (life, queue) = (Life::new(1), PoolQueue::<usize, (), usize>::new(limits));
        // One serves closures, all that may.
        assert!(queue.adopt(&life, 1));
        assert_eq!(queue.lend(&life, 2, 0), Ok(NewThread::Wanted));
        let mut ran = Vec::new();
        let run = |job: Job<(), usize>| {
            let Job::Worker(worker) = job else { unreachable!("no closure is queued") };
            // Too many block by now for one more thread.
            if ran.is_empty() {
                assert_eq!(queue.lend(&life, 3, 1), Ok(NewThread::NotWanted));
            }
            ran.push(worker);
        };
        queue.serve(&life, &4, Entry::Started, run, || {});
        assert_eq!((ran, queue.counts()), (vec![0, 1], (1, 0, 0)));
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::loom::cell::UnsafeCell;
    use crate::loom::sync::Arc;

    /// What stands for a worker or a closure: loom sees every access, and each is a write, so that two who have it would be a race.
    struct Token(UnsafeCell<usize>);

    // SAFETY: the one that has it looks inside, alone. Loom would say if not.
    unsafe impl Send for Token {}

    impl Token {
        fn new() -> Self {
            Self(UnsafeCell::new(0))
        }

        /// Uses it as its only owner.
        fn run(self) -> usize {
            // SAFETY: as above.
            self.0.with_mut(|runs| unsafe { *runs += 1 });
            1
        }
    }

    type Queue = PoolQueue<usize, Token, Token>;

    // The thread that blocks, and one of the pool.
    const BLOCKS: usize = 0;
    const POOL: usize = 1;

    fn open(in_place: usize) -> Arc<(Life, Queue)> {
        let limits = Limits { threads: 1, in_place, keep_alive: Duration::MAX };
        Arc::new((Life::new(1), Queue::new(limits)))
    }

    fn run_all(unserved: Unserved<Token, Token>) -> usize {
        unserved.closures.into_iter().chain(unserved.workers).map(Token::run).sum()
    }

    fn end(shared: &(Life, Queue)) -> usize {
        shared.0.begin_end();
        run_all(shared.1.shut_down())
    }

    fn serve(shared: &(Life, Queue), thread: usize, entry: Entry) -> usize {
        let mut ran = 0;
        let run = |(Job::Closure(token) | Job::Worker(token)): Job<Token, Token>| ran += token.run();
        shared.1.serve(&shared.0, &thread, entry, run, || {});
        ran
    }

    /// A thread lends its worker and wants it back, while one of the pool takes what it finds, and the runtime ends. The worker is one's, whichever;
    /// and the thread of the pool leaves, or loom reports a deadlock.
    #[test]
    fn loom_a_worker_that_is_lent_is_taken_over_or_taken_back_or_ended() {
        loom::model(|| {
            let shared = open(1);
            let lent = shared.1.lend(&shared.0, BLOCKS, Token::new());
            assert_eq!(lent.ok(), Some(NewThread::Wanted));
            let [pool, ending] = [|shared: &(Life, Queue)| serve(shared, POOL, Entry::Started), end].map(|life| {
                let shared = shared.clone();
                loom::thread::spawn(move || life(&shared))
            });
            let mut ran = shared.1.take_back(&BLOCKS, |_| true).map_or(0, Token::run);
            // Without its worker it is one of the pool after the poll, if there is room.
            if ran == 0 && shared.1.adopt(&shared.0, BLOCKS) {
                ran += serve(&shared, BLOCKS, Entry::Adopted);
            }
            assert_eq!(ran + pool.join().unwrap() + ending.join().unwrap(), 1);
            assert_eq!((shared.1.busy(), shared.1.counts().0), (0, 0));
        });
    }

    /// As above, but the thread blocks for ever, and lends its worker while the runtime ends: it keeps it, or another one ends it, whether a thread
    /// starts for it, or does not, or is not even wanted because too many block in place.
    #[test]
    fn loom_a_worker_that_is_lent_at_the_end_is_not_forgotten() {
        for (in_place, starts) in [(1, true), (1, false), (0, false)] {
            loom::model(move || {
                let shared = open(in_place);
                let ending = {
                    let shared = shared.clone();
                    loom::thread::spawn(move || end(&shared))
                };
                let kept = match shared.1.lend(&shared.0, BLOCKS, Token::new()) {
                    Ok(NewThread::Wanted) if starts => serve(&shared, POOL, Entry::Started),
                    // No thread could be started.
                    Ok(NewThread::Wanted) => run_all(shared.1.thread_failed(&shared.0)),
                    Ok(NewThread::NotWanted) => 0,
                    Err(worker) => worker.run(),
                };
                assert_eq!(kept + ending.join().unwrap(), 1);
            });
        }
    }

    /// Closures are queued while the runtime ends: each is run, dropped by the end or refused, once, whether a thread starts for them or does not.
    #[test]
    fn loom_a_closure_is_run_or_dropped_or_refused() {
        for starts in [true, false] {
            loom::model(move || {
                let shared = open(0);
                let ending = {
                    let shared = shared.clone();
                    loom::thread::spawn(move || end(&shared))
                };
                let mut pool = None;
                let mut counted = 0;
                for _ in 0..2 {
                    counted += match shared.1.submit(&shared.0, Token::new()) {
                        Ok(NewThread::Wanted) if starts => {
                            let shared = shared.clone();
                            let thread = loom::thread::spawn(move || serve(&shared, POOL, Entry::Started));
                            assert!(pool.replace(thread).is_none(), "there is room for one");
                            0
                        }
                        Ok(NewThread::Wanted) => run_all(shared.1.thread_failed(&shared.0)),
                        Ok(NewThread::NotWanted) => 0,
                        Err(closure) => closure.run(),
                    };
                }
                counted += pool.map_or(0, |pool| pool.join().unwrap());
                assert_eq!(counted + ending.join().unwrap(), 2);
                assert_eq!((shared.1.busy(), shared.1.counts().0), (0, 0));
            });
        }
    }
}
