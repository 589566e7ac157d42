//! The memory of a task: header, shared data and future in one allocation, reached through untyped pointers.
//!
//! Layout of every task, whatever its future: `Cell { prefix: Prefix { header, shared }, stage }`, all `repr(C)`, so that
//! a pointer to the header is a pointer to the prefix and to the cell.
//!
//! Invariants: the *life reference* belongs to the task itself and is given back when it completes, so a task that is in
//! a queue needs no reference of its own. `stage` is touched only by the worker between `State::start` and
//! `State::pause`/`complete`, and after completion only by whom `State` names owner of the output.

use super::nested::drop_nested;
use super::panic::{drop_catching, wake_catching};
use super::poll_record::{PollRecord, Stamp};
use super::poll_waker::PollWaker;
use super::state::{AfterPoll, JoinEnd, OutputOwner, Start, State, Wake};
use super::{Id, JoinError, TaskState};
use crate::context;
use crate::loom::cell::UnsafeCell;
use crate::loom::sync::Mutex;
use crate::loom::sync::atomic::AtomicU64;
use crate::runtime::Handle;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// The untyped head of a task.
pub(crate) struct Header {
    state: State,
    vtable: &'static VTable,
    runtime: Handle,
    id: Id,
    /// Where the runtime's list of living tasks keeps it; see `scheduler::owned`.
    pub(crate) owned: AtomicU64,
    /// Who waits for the output. A lock: it is taken once per join, off the hot path.
    join_waker: Mutex<Option<Waker>>,
    polls: PollRecord,
}

impl Header {
    pub(crate) fn id(&self) -> Id {
        self.id
    }

    pub(crate) fn polls(&self) -> &PollRecord {
        &self.polls
    }

    /// What the task does; `None` if it has completed.
    pub(crate) fn task_state(&self) -> Option<TaskState> {
        self.state.task_state()
    }

    /// Whether the worker is in a poll of the task. It has begun it, then, before it was asked.
    pub(crate) fn runs_on(&self, worker: usize) -> bool {
        self.state.is_running() && self.polls.last_worker() == Some(worker)
    }

    /// The type of the future.
    pub(crate) fn type_name(&self) -> &'static str {
        (self.vtable.type_name)()
    }

    /// The task that waits for the end of this one, if a task does.
    pub(crate) fn joiner(&self) -> Option<Id> {
        self.join_waker.lock().as_ref().and_then(task_of)
    }
}

/// The head of a task together with the data that its references share.
#[repr(C)]
pub(crate) struct Prefix<X> {
    header: Header,
    shared: X,
}

#[repr(C)]
struct Cell<F: Future, X> {
    prefix: Prefix<X>,
    stage: UnsafeCell<Stage<F>>,
}

enum Stage<F: Future> {
    Future(F),
    Output(Result<F::Output, JoinError>),
    Taken,
}

struct VTable {
    /// Polls the future or drops it, as `Start` says. True when the task was woken while it ran: the caller must submit
    /// it again.
    run: unsafe fn(NonNull<Header>, Start) -> bool,
    /// Moves the output into the `Option<Result<T, JoinError>>` behind the pointer.
    take_output: unsafe fn(NonNull<Header>, *mut ()),
    drop_output: unsafe fn(NonNull<Header>),
    free: unsafe fn(NonNull<Header>),
    type_name: fn() -> &'static str,
    /// Queues a task that was marked as scheduled.
    schedule: unsafe fn(NonNull<Header>),
}

/// Where a task waits to be run: known when the task is made, so that waking it decides nothing.
pub(super) trait Place<X> {
    const WAKER: &'static RawWakerVTable;

    /// # Safety
    /// `ptr` is a task with this place and data `X`, marked as scheduled by the caller, and kept alive during the call.
    unsafe fn schedule(ptr: NonNull<Header>);
}

/// With its runtime, on whichever worker.
pub(super) struct Anywhere;

impl<X> Place<X> for Anywhere {
    const WAKER: &'static RawWakerVTable = &WAKER;

    unsafe fn schedule(ptr: NonNull<Header>) {
        // SAFETY: by contract.
        unsafe { ptr.as_ref() }.runtime.shared().submit(Runnable(ptr));
    }
}

/// A counted reference to a task, whatever its type.
pub(crate) struct TaskRef(NonNull<Header>);

// SAFETY: the header is shared through atomics and locks only; the future inside is `Send` by the bounds of `new`, or stays on its
// thread by the contract of `allocate`.
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

/// The right and the duty to run a task once. Holds no reference: the task's life reference keeps it.
#[derive(Debug)]
pub(crate) struct Runnable(NonNull<Header>);

// SAFETY: as for `TaskRef`; running on another thread is what `F: Send` allows.
unsafe impl Send for Runnable {}

/// Allocates a task that is already marked as scheduled: the caller must launch the `Runnable`.
///
/// `make` builds the future from a reference to its own task. Wake-ups before the launch do nothing more.
pub(crate) fn new<F, X>(
    runtime: Handle,
    shared: X,
    joined: bool,
    make: impl FnOnce(&TaskRef) -> F,
) -> (TaskRef, Runnable)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    X: Send + Sync + 'static,
{
    // SAFETY: future and output may be on any thread.
    unsafe { allocate::<F, X, Anywhere>(runtime, shared, joined, make) }
}

/// As [`new`], for any place.
///
/// # Safety
/// If the future is not `Send`, the task is run, cancelled unrun or shut down on this thread alone; if its output is not, its joiner
/// stays here as well.
pub(super) unsafe fn allocate<F, X, P>(
    runtime: Handle,
    shared: X,
    joined: bool,
    make: impl FnOnce(&TaskRef) -> F,
) -> (TaskRef, Runnable)
where
    F: Future + 'static,
    X: Send + Sync + 'static,
    P: Place<X>,
{
    let id = runtime.next_task_id();
    let state = if joined { State::scheduled_with_handle() } else { State::scheduled() };
    let header = Header {
        state,
        vtable: vtable::<F, X, P>(),
        runtime,
        id,
        owned: AtomicU64::new(0),
        join_waker: Mutex::new(None),
        polls: PollRecord::new(),
    };
    let cell = Cell::<F, X> { prefix: Prefix { header, shared }, stage: UnsafeCell::new(Stage::Taken) };
    let cell = NonNull::from(Box::leak(Box::new(cell)));
    let task = TaskRef(cell.cast());
    let cancel_on_drop = CancelOnDrop(Some(Runnable(cell.cast())));

    let future = make(&task);
    // SAFETY: the task has not been launched, so no other thread looks at the stage.
    let stage = unsafe { &cell.as_ref().stage };
    // SAFETY: as above.
    stage.with_mut(|stage| unsafe { *stage = Stage::Future(future) });
    (task, cancel_on_drop.into_runnable())
}

/// A task without its future. If that is never made, the task completes as cancelled and is freed.
struct CancelOnDrop(Option<Runnable>);

impl CancelOnDrop {
    fn into_runnable(mut self) -> Runnable {
        self.0.take().expect("invariant: present until taken or dropped")
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Runnable::cancel_unrun);
    }
}

fn vtable<F, X, P>() -> &'static VTable
where
    F: Future + 'static,
    X: Send + Sync + 'static,
    P: Place<X>,
{
    &VTable {
        run: run::<F, X, P>,
        take_output: take_output::<F, X>,
        drop_output: drop_output::<F, X>,
        free: free::<F, X>,
        type_name: std::any::type_name::<F>,
        schedule: P::schedule,
    }
}

impl TaskRef {
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: a `TaskRef` holds a reference, so the task has not been freed.
        unsafe { self.0.as_ref() }
    }

    /// Schedules the task unless it is scheduled already.
    #[inline]
    pub(crate) fn wake(&self) {
        // SAFETY: a `TaskRef` holds a reference.
        unsafe { wake_by_ref(self.0.as_ptr().cast_const().cast()) }
    }

    pub(crate) fn id(&self) -> Id {
        self.header().id
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.header().runtime
    }

    pub(crate) fn as_ptr(&self) -> *const Header {
        self.0.as_ptr()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.header().state.is_complete()
    }

    /// How often the task was run, if it waits to be run again.
    #[cfg(feature = "sim")]
    pub(crate) fn pending_run(&self) -> Option<u64> {
        let header = self.header();
        header.state.is_scheduled().then(|| header.polls.count())
    }

    /// Makes the next run drop the future.
    pub(crate) fn cancel(&self) {
        if self.header().state.cancel() == Wake::Schedule {
            let schedule = self.header().vtable.schedule;
            // SAFETY: marked as scheduled just now; this reference keeps it.
            unsafe { schedule(self.0) }
        }
    }

    /// Drops the future here and now. Called when the runtime ends: no worker runs a task any more, whatever queue it is in.
    pub(crate) fn shut_down(&self) {
        if self.header().state.shut_down() {
            let run = self.header().vtable.run;
            // SAFETY: the state word gave this call the exclusive access, which no other call can get any more. The life
            // reference keeps the task, and so does this one.
            let again = unsafe { run(self.0, Start::DropFuture) };
            debug_assert!(!again, "dropping a future completes its task");
        }
    }

    /// Makes a counted reference.
    ///
    /// # Safety
    /// `task` points to a living task, made by `new`, that cannot be freed during the call.
    pub(crate) unsafe fn retain(task: *const Header) -> Self {
        // SAFETY: by contract.
        let header = unsafe { &*task };
        header.state.retain();
        // SAFETY: by contract not null.
        Self(unsafe { NonNull::new_unchecked(task.cast_mut()) })
    }

    /// Returns the data shared by all references.
    ///
    /// # Safety
    /// The task was made by `new` with this very `X`.
    #[inline]
    pub(crate) unsafe fn shared<X>(&self) -> &X {
        // SAFETY: the caller vouches for `X`; the reference keeps the task.
        unsafe { shared_of(self.0) }
    }

    /// Polls for the output of a task whose handle this is.
    ///
    /// # Safety
    /// The task was made with `joined` and output type `T`, and this is its only joiner.
    pub(crate) unsafe fn poll_join<T>(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        if !self.is_complete() && !self.set_join_waker(cx) {
            return Poll::Pending;
        }

        let mut output: Option<Result<T, JoinError>> = None;
        let take = self.header().vtable.take_output;
        // SAFETY: complete, and the handle owns the output; the caller vouches for `T`.
        unsafe { take(self.0, (&raw mut output).cast()) };
        Poll::Ready(output.expect("invariant: a join handle is not polled after it was ready"))
    }

    /// Makes the end of the task wake the task that polls. True if it has completed instead.
    fn set_join_waker(&self, cx: &Context<'_>) -> bool {
        let mut waker = PollWaker::of(cx);
        // A previous one is dropped outside of the lock: it may be the last of what it wakes.
        let prev = waker.store(&mut self.header().join_waker.lock());
        drop(prev);
        let completed = self.header().state.set_join_waker();
        if completed {
            self.drop_join_waker();
        }
        completed
    }

    fn drop_join_waker(&self) {
        let left = self.header().join_waker.lock().take();
        left.into_iter().for_each(drop_catching);
    }

    /// Gives up the output; drops it here if the task has completed already. The waker goes with the handle: it may keep
    /// whole tasks, those the handle belonged to, and these would keep others, one by one in a line as long as there is.
    pub(crate) fn detach(&self) {
        let JoinEnd { owner, takes_waker } = self.header().state.release_output();
        if takes_waker {
            self.drop_join_waker();
        }
        if owner == OutputOwner::Caller {
            let drop_output = self.header().vtable.drop_output;
            // SAFETY: the state word made this side the owner of the output.
            unsafe { drop_output(self.0) }
        }
    }
}

impl std::fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TaskRef").field(&self.id()).finish()
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> Self {
        self.header().state.retain();
        Self(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: gives back the reference that this value holds.
        unsafe { release(self.0) }
    }
}

impl Runnable {
    /// Runs the task: polls it once, or drops its future if it was cancelled. Returns it if it was woken meanwhile.
    #[inline]
    #[must_use]
    pub(crate) fn run(self, stamp: Stamp) -> Option<Self> {
        // SAFETY: the task is alive: its life reference is given back only by the run that completes it.
        let header = unsafe { self.0.as_ref() };
        header.polls.begin(stamp);
        let run = header.vtable.run;
        let start = header.state.start();
        // SAFETY: owning the `Runnable` is the right to run, and it was started.
        let again = unsafe { run(self.0, start) };
        again.then_some(self)
    }

    /// A reference that keeps the task beyond its completion.
    pub(crate) fn task_ref(&self) -> TaskRef {
        // SAFETY: see `run`.
        unsafe { TaskRef::retain(self.0.as_ptr()) }
    }

    /// Drops the future instead of running it: the task completes as cancelled.
    pub(crate) fn cancel_unrun(self) {
        // SAFETY: see `run`.
        let header = unsafe { self.0.as_ref() };
        // It is scheduled already, so nothing needs to be submitted, and the start can only say to drop.
        let (_, _) = (header.state.cancel(), header.state.start());
        let run = header.vtable.run;
        // SAFETY: as in `run`.
        let again = unsafe { run(self.0, Start::DropFuture) };
        debug_assert!(!again, "dropping a future completes its task");
    }

    pub(crate) fn as_ptr(&self) -> *const Header {
        self.0.as_ptr()
    }

    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        self.0
    }

    /// Marks a task as scheduled, for a waker of a place of its own. `None` if that needs no one to queue it.
    ///
    /// # Safety
    /// `task` is kept alive by the waker that calls this.
    pub(super) unsafe fn woken(task: NonNull<Header>) -> Option<Self> {
        // SAFETY: by contract.
        let wake = unsafe { task.as_ref() }.state.wake();
        (wake == Wake::Schedule).then_some(Self(task))
    }

    /// # Safety
    /// `task` came from [`into_raw`](Self::into_raw), and this is the only call for it.
    #[inline]
    pub(crate) unsafe fn from_raw(task: NonNull<Header>) -> Self {
        Self(task)
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: see `run`.
        unsafe { self.0.as_ref() }
    }
}

/// # Safety
/// `ptr` is a task that was made with this very `X`, and lives for `'a`.
#[inline]
pub(super) unsafe fn shared_of<'a, X>(ptr: NonNull<Header>) -> &'a X {
    let prefix = ptr.cast::<Prefix<X>>();
    // SAFETY: by contract a `Prefix<X>` is at this address.
    let prefix = unsafe { prefix.as_ref() };
    &prefix.shared
}

/// # Safety
/// `ptr` is a `Cell<F, X>` to whose future the state word gave the caller exclusive access, to do what `start` says.
unsafe fn run<F, X, P>(ptr: NonNull<Header>, start: Start) -> bool
where
    F: Future + 'static,
    X: Send + Sync + 'static,
    P: Place<X>,
{
    // SAFETY: made by `new::<F, X>`, alive by its life reference.
    let cell = unsafe { ptr.cast::<Cell<F, X>>().as_ref() };
    let header = &cell.prefix.header;

    let current = context::enter_task(ptr.as_ptr());
    let output = match start {
        Start::Poll => match poll(cell, ptr, P::WAKER) {
            Some(output) => output,
            None => {
                drop(current);
                return header.state.pause() == AfterPoll::Schedule;
            }
        },
        Start::DropFuture => Err(JoinError::cancelled(header.id)),
    };

    let dropped = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: between `start` and `complete` this worker has exclusive access to the stage.
        cell.stage.with_mut(|stage| unsafe { *stage = Stage::Taken });
    }));
    drop(current);
    let output = match dropped {
        Ok(()) => output,
        Err(panic) => {
            drop_catching(output);
            Err(JoinError::panicked(header.id, panic))
        }
    };
    // SAFETY: as above.
    cell.stage.with_mut(|stage| unsafe { stage.write(Stage::Output(output)) });

    // SAFETY: the output is stored; this run completes the task.
    unsafe { finish(ptr) };
    false
}

/// Polls the future; `None` when it is pending.
#[inline]
fn poll<F: Future, X>(
    cell: &Cell<F, X>,
    ptr: NonNull<Header>,
    vtable: &'static RawWakerVTable,
) -> Option<Result<F::Output, JoinError>> {
    let waker = ManuallyDrop::new(raw_waker(ptr, vtable));
    let mut cx = Context::from_waker(&waker);

    let polled = catch_unwind(AssertUnwindSafe(|| {
        cell.stage.with_mut(|stage| {
            // SAFETY: called between `start` and `pause`/`complete`: exclusive access.
            let stage = unsafe { &mut *stage };
            let Stage::Future(future) = stage else { unreachable!("invariant: a running task holds its future") };
            // SAFETY: the cell is on the heap and the future stays where it is until it is dropped in place.
            let future = unsafe { Pin::new_unchecked(future) };
            future.poll(&mut cx)
        })
    }));

    match polled {
        Ok(Poll::Pending) => None,
        Ok(Poll::Ready(output)) => Some(Ok(output)),
        Err(panic) => {
            cell.prefix.header.runtime.task_panicked();
            Some(Err(JoinError::panicked(cell.prefix.header.id, panic)))
        }
    }
}

/// Publishes the output that was stored, wakes the joiner and gives the life reference back.
///
/// Takes a pointer and no reference: the memory may be freed before this returns, and a reference that is an argument
/// promises that it is not.
///
/// # Safety
/// `ptr` is a living task whose output is stored. Called once, by the run that completes it.
unsafe fn finish(ptr: NonNull<Header>) {
    // SAFETY: by contract alive, until the life reference is given back below, which is after the last use.
    let header = unsafe { ptr.as_ref() };
    let JoinEnd { owner, takes_waker } = header.state.complete();
    if owner == OutputOwner::Caller {
        let drop_output = header.vtable.drop_output;
        // SAFETY: the state word made this side the owner of the output.
        unsafe { drop_output(ptr) };
    } else if takes_waker {
        let join_waker = header.join_waker.lock().take();
        join_waker.into_iter().for_each(wake_catching);
    }

    header.runtime.shared().owned.remove(header);
    // SAFETY: the life reference, given back once, by the run that completed the task.
    unsafe { release(ptr) };
}

/// # Safety
/// `ptr` is a completed `Cell<F, X>`, the caller owns its output, `out` is a valid `Option<Result<F::Output, _>>`.
unsafe fn take_output<F: Future, X>(ptr: NonNull<Header>, out: *mut ()) {
    // SAFETY: by contract.
    let cell = unsafe { ptr.cast::<Cell<F, X>>().as_ref() };
    let stage = cell.stage.with_mut(|stage| {
        // SAFETY: the caller owns the output, no other thread looks at the stage.
        let stage = unsafe { &mut *stage };
        std::mem::replace(stage, Stage::Taken)
    });

    if let Stage::Output(output) = stage {
        // SAFETY: by contract.
        unsafe { *out.cast::<Option<Result<F::Output, JoinError>>>() = Some(output) };
    }
}

/// # Safety
/// `ptr` is a completed `Cell<F, X>` and the caller owns its output.
unsafe fn drop_output<F, X>(ptr: NonNull<Header>)
where
    F: Future + 'static,
{
    let mut output: Option<Result<F::Output, JoinError>> = None;
    // SAFETY: by contract.
    unsafe { take_output::<F, X>(ptr, (&raw mut output).cast()) };
    match &output {
        // It was joined.
        None => return,
        Some(Ok(_)) if !std::mem::needs_drop::<F::Output>() => return,
        Some(Ok(_)) => {}
        Some(Err(error)) => error.report_unseen(),
    }
    drop_nested(output);
}

/// # Safety
/// `ptr` is a `Cell<F, X>` without any reference left.
unsafe fn free<F: Future, X>(ptr: NonNull<Header>) {
    // SAFETY: it came from a `Box` in `new`.
    let cell = unsafe { Box::from_raw(ptr.cast::<Cell<F, X>>().as_ptr()) };
    drop_catching(cell);
}

/// # Safety
/// The caller owns a reference and gives it up.
unsafe fn release(ptr: NonNull<Header>) {
    // SAFETY: the reference keeps the task alive.
    let header = unsafe { ptr.as_ref() };
    let free = header.vtable.free;
    // Another thread may free the task while `State::release` returns: its `&self` is one atomic and nothing else, which
    // is the one kind of reference that may outlive its memory.
    if header.state.release() {
        // SAFETY: that was the last reference.
        unsafe { free(ptr) };
    }
}

static WAKER: RawWakerVTable = RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

/// The task that a waker wakes, if it is one of ours.
pub(crate) fn task_of(waker: &Waker) -> Option<Id> {
    if !is_of_a_task(waker) {
        return None;
    }
    // SAFETY: a waker with our functions points to a header and holds a reference to it.
    let header = unsafe { &*waker.data().cast::<Header>() };
    Some(header.id)
}

/// Whether a waker is one of our tasks'.
#[inline]
pub(super) fn is_of_a_task(waker: &Waker) -> bool {
    std::ptr::eq(waker.vtable(), &WAKER)
}

fn raw_waker(ptr: NonNull<Header>, vtable: &'static RawWakerVTable) -> Waker {
    let raw = RawWaker::new(ptr.as_ptr().cast_const().cast(), vtable);
    // SAFETY: the functions of a place's waker keep the contract of `RawWaker` for a pointer to a live header.
    unsafe { Waker::from_raw(raw) }
}

/// # Safety
/// `ptr` is a header kept alive by the waker that calls this.
unsafe fn clone_waker(ptr: *const ()) -> RawWaker {
    // SAFETY: by contract.
    let header = unsafe { &*ptr.cast::<Header>() };
    header.state.retain();
    RawWaker::new(ptr, &WAKER)
}

/// # Safety
/// As `clone_waker`; the waker's reference is given up.
unsafe fn wake(ptr: *const ()) {
    // SAFETY: by contract.
    unsafe { wake_by_ref(ptr) };
    // SAFETY: by contract.
    unsafe { drop_waker(ptr) };
}

/// # Safety
/// `ptr` is a header kept alive by the caller.
#[inline]
unsafe fn wake_by_ref(ptr: *const ()) {
    // SAFETY: by contract.
    let header = unsafe { &*ptr.cast::<Header>() };
    if header.state.wake() == Wake::Schedule {
        // The pointer itself, not one made from `header`: it reaches the whole task.
        let Some(task) = NonNull::new(ptr.cast_mut().cast::<Header>()) else { return };
        header.runtime.shared().submit_woken(Runnable(task));
    }
}

/// # Safety
/// As `clone_waker`; the waker's reference is given up.
pub(super) unsafe fn drop_waker(ptr: *const ()) {
    let Some(ptr) = NonNull::new(ptr.cast_mut().cast::<Header>()) else { return };
    // SAFETY: by contract.
    unsafe { release(ptr) };
}
