//! Closures that may block, in a simulation: each has a thread of its own, which runs only while the simulation waits for it.
//!
//! So one thread runs at any time, and what happens follows from the seed as ever. A closure that waits for a future (`blocking_recv`,
//! `Handle::block_on`) gives the turn back. The future is polled with the waker of the closure's task, whose next run gives the closure the
//! turn again. When its machine ends, a closure that waits is unwound, so that its values are dropped as those of tasks are. One that cannot be,
//! because it waits in a destructor meanwhile or catches what unwinds it, is left where it is, as is its thread ([`LEFT_MAX`]).

use super::Handle;
use super::sleep::sleep;
use crate::context;
use crate::lock::{Condvar, Mutex, MutexGuard};
use crate::raw_task::Header;
use crate::raw_task::panic::drop_catching;
use crate::raw_task::{coop, current};
use crate::sim::env::{ChoiceKind, SimHandle, event_log};
use std::cell::RefCell;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a closure that is to end may catch that and wait again. Guessed: more than programs nest what catches panics.
const REFUSALS_MAX: u32 = 16;

/// Closures that were left in the middle, in this process: each keeps a thread and what it holds. A run that leaves one more fails, so
/// that a night of seeds does not use up the threads of the system. Guessed.
const LEFT_MAX: usize = 1_024;

static LEFT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The turns of the closure that this thread runs.
    static TURNS: RefCell<Option<Arc<Turns>>> = const { RefCell::new(None) };
}

/// Whose turn it is: the simulation's or the closure's.
struct Turns {
    state: Mutex<State>,
    changed: Condvar,
    /// The task whose code the closure is, written before each of its turns. It is told by its pointer, which outlives the turn.
    task: AtomicPtr<Header>,
}

struct State {
    closure_runs: bool,
    has_ended: bool,
    /// The closure is to unwind instead of waiting on.
    is_abandoned: bool,
    /// How often it was told so.
    refusals: u32,
    /// It did not: nothing of it runs any more, and its thread does not end.
    is_left: bool,
    /// Of the closure's task, as of its last turn. No `WakerSlot`: it is never woken here, but polled with, by the closure.
    waker: Waker,
}

/// Closures of a runtime that were left in the middle, with what they hold.
#[derive(Default)]
pub(crate) struct LeftClosures(pub(crate) AtomicUsize);

/// What unwinds a closure that is abandoned.
struct Abandoned;

impl Turns {
    fn new() -> Arc<Self> {
        let state = State {
            closure_runs: false,
            has_ended: false,
            is_abandoned: false,
            refusals: 0,
            is_left: false,
            waker: Waker::noop().clone(),
        };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new(), task: AtomicPtr::default() })
    }

    /// Lets the closure run until it waits or ends. True if it has ended.
    fn run(&self, waker: &Waker, abandon: bool) -> bool {
        self.task.store(current::current_task().cast_mut(), Ordering::Release);
        let waker = waker.clone();
        let mut state = self.state.lock();
        let prev = std::mem::replace(&mut state.waker, waker);
        state.is_abandoned |= abandon;
        state.closure_runs = true;
        self.changed.notify_all();
        while state.closure_runs {
            state = self.changed.wait(state);
        }
        let has_ended = state.has_ended;
        drop(state);
        drop(prev);
        has_ended
    }

    /// Gives the turn to the simulation, and waits for the next one.
    fn pause(&self) {
        let mut state = self.state.lock();
        state.closure_runs = false;
        self.changed.notify_all();
        self.wait(state);
    }

    fn wait(&self, mut state: MutexGuard<'_, State>) {
        while !state.closure_runs {
            state = self.changed.wait(state);
        }
        let is_abandoned = state.is_abandoned;
        drop(state);
        current::switch_task(self.task.load(Ordering::Acquire));
        if is_abandoned {
            self.refuse();
            resume_unwind(Box::new(Abandoned));
        }
    }

    /// The closure wants to wait, and is to end instead. Returns if it can.
    fn refuse(&self) {
        let mut state = self.state.lock();
        state.refusals += 1;
        // A panic that leaves a destructor while the thread unwinds would end the process.
        if thread::panicking() || state.refusals > REFUSALS_MAX {
            self.leave(state);
        }
    }

    /// Gives the last turn back in the middle of the closure.
    fn leave(&self, mut state: MutexGuard<'_, State>) -> ! {
        (state.closure_runs, state.has_ended, state.is_left) = (false, true, true);
        self.changed.notify_all();
        drop(state);
        loop {
            thread::park();
        }
    }
}

/// Gives the last turn back, however the closure ends.
struct End(Arc<Turns>);

impl Drop for End {
    fn drop(&mut self) {
        current::switch_task(std::ptr::null());
        let mut state = self.0.state.lock();
        (state.closure_runs, state.has_ended) = (false, true);
        self.0.changed.notify_all();
    }
}

/// Runs a closure as a task of the simulation: it begins after the time a thread might take, and runs in turns with the simulation.
pub(crate) async fn run<T, F>(handle: Handle, simulation: SimHandle, f: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let takes = simulation.rng().between(ChoiceKind::Latency, 1_000, 2_000_000);
    sleep(Duration::from_nanos(takes)).await;
    match Blocking::start(handle, f) {
        Ok(blocking) => blocking.await,
        // Without a thread it can do everything but wait for a future.
        Err(f) => coop::unlimited(f),
    }
}

/// A closure on its thread, as a future of the task that it is.
struct Blocking<T: Send + 'static> {
    /// Present until it has ended.
    thread: Option<(Arc<Turns>, JoinHandle<T>)>,
    handle: Handle,
}

impl<T: Send + 'static> Blocking<T> {
    /// Starts the thread, which waits for its first turn. Without one it gives the closure back.
    fn start<F: FnOnce() -> T + Send + 'static>(handle: Handle, f: F) -> Result<Self, F> {
        let turns = Turns::new();
        let closure = Arc::new(Mutex::new(Some(f)));
        let body = {
            let (turns, closure, handle) = (turns.clone(), closure.clone(), handle.clone());
            let events = event_log::LogContext::current();
            move || {
                let _end = End(turns.clone());
                let _entered = context::enter(handle);
                TURNS.set(Some(turns.clone()));
                events.enter(|| {
                    turns.wait(turns.state.lock());
                    let f = closure.lock().take().expect("invariant: a thread that started has the closure");
                    coop::unlimited(f)
                })
            }
        };
        match spawn_thread(body) {
            Ok(thread) => Ok(Self { thread: Some((turns, thread)), handle }),
            Err(_) => Err(closure.lock().take().expect("invariant: no thread has taken it")),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it runs in turns with the simulation")]
fn spawn_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> std::io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name("simulated-blocking".to_owned()).spawn(body)
}

impl<T: Send + 'static> Future for Blocking<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let ended = self.thread.take_if(|(turns, _)| turns.run(cx.waker(), false));
        let Some((_, thread)) = ended else { return Poll::Pending };
        match thread.join() {
            Ok(output) => Poll::Ready(output),
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// One whose task is aborted runs on, as on a thread of the pool; one whose runtime ends does not.
impl<T: Send + 'static> Drop for Blocking<T> {
    fn drop(&mut self) {
        let Some((turns, thread)) = self.thread.take() else { return };
        if self.handle.shared().is_open() {
            let rest = Self { thread: Some((turns, thread)), handle: self.handle.clone() };
            drop(self.handle.spawn(async { drop(rest.await) }));
            return;
        }
        while !turns.run(Waker::noop(), true) {}
        if turns.state.lock().is_left {
            return count_left(&self.handle);
        }
        drop_catching(thread.join());
    }
}

fn count_left(handle: &Handle) {
    handle.extension(LeftClosures::default).0.fetch_add(1, Ordering::Relaxed);
    crate::event!(WARN, "posse::runtime", "a blocking closure could not be unwound with its machine");
    if LEFT.fetch_add(1, Ordering::Relaxed) >= LEFT_MAX {
        let simulation = handle.simulation().into_iter();
        simulation.for_each(|simulation| simulation.report(format!("{LEFT_MAX} blocking closures were not unwound")));
    }
}

fn turns() -> Option<Arc<Turns>> {
    TURNS.try_with(|turns| turns.borrow().clone()).ok().flatten()
}

/// The runtime has ended, and code is told so that would wait for a future. If it is one of its closures and takes no notice, it does not come back.
pub(crate) fn refuse_wait() {
    let abandoned = turns().filter(|turns| turns.state.lock().is_abandoned);
    abandoned.into_iter().for_each(|turns| turns.refuse());
}

/// Waits for a future in turns with the simulation, if this thread runs one of its closures.
pub(crate) fn block_on<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let turns = turns()?;
    loop {
        let waker = turns.state.lock().waker.clone();
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        turns.pause();
    }
}
