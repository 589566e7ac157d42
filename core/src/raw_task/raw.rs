//! The memory of a task: header, scheduler, shared data and future in one allocation, reached through untyped pointers.
//!
//! Layout of every task, whatever its future: `Cell { prefix: Prefix { head: Head { header, scheduler }, shared }, stage }`, all
//! `repr(C)`, so that a pointer to the header is a pointer to each of the others. Each adds what one type more makes known: the
//! [`Header`] none, the head the scheduler's, the prefix that of the shared data, the cell the future's.
//!
//! Invariants: the *life reference* belongs to the task itself and is given back when it completes, so a task that is in
//! a queue needs no reference of its own. `stage` is touched only by the worker between `State::start` and
//! `State::pause`/`complete`, and after completion only by whom `State` names owner of the output.

use super::nested::drop_nested;
use super::panic::drop_catching;
use super::poll_record::{PollRecord, PollStart};
use super::poll_waker::PollWaker;
use super::schedule::Schedule;
use super::state::{AfterPoll, JoinEnd, OutputOwner, Start, State, TaskState, Wake};
use super::wait_kind::WaitKind;
use super::waker::waker_of;
use super::waker_slot::WakerSlot;
use super::{Id, JoinError, current};
use crate::loom::cell::UnsafeCell;
use crate::loom::sync::Mutex;
use crate::loom::sync::atomic::{AtomicU64, Ordering};
use std::any::TypeId;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

/// The part of a task that is the same whatever its types are. All references point here.
pub(crate) struct Header {
    /// Life cycle and reference count: says who may touch the rest of the cell. Every thread changes it.
    state: State,
    /// What is done with the typed rest; never changes.
    vtable: &'static VTable,
    /// Given by who spawned it; never changes.
    id: Id,
    /// Where the scheduler's list of its tasks keeps it; see `scheduler::owned`. Written by who lists the task, before it is queued; the run
    /// that completes it reads it to take it off the list, and so does its worker for the watchdog. 0: in no list.
    pub(crate) owned: AtomicU64,
    /// Who waits for the output: left by the join handle, taken by the side that ends first. A lock: it is taken once per join, off the hot
    /// path.
    join_waker: Mutex<WakerSlot>,
    /// Written by who runs the task, read by anybody.
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

    /// Whether it is in the list of its scheduler's tasks, as those are that workers run.
    pub(crate) fn is_owned(&self) -> bool {
        self.owned.load(Ordering::Relaxed) != 0
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
        self.join_waker.lock().task()
    }
}

/// The header with what queues the task when it is woken; all that a waker needs.
#[repr(C)]
struct Head<S> {
    header: Header,
    scheduler: S,
}

/// The head of a task together with the data that its references share.
#[repr(C)]
struct Prefix<S, X> {
    head: Head<S>,
    shared: X,
}

#[repr(C)]
struct Cell<F: Future, S, X> {
    prefix: Prefix<S, X>,
    /// Of whom the state word says so: of the run, then of who owns the output.
    stage: UnsafeCell<Stage<F>>,
}

enum Stage<F: Future> {
    Future(F),
    /// Complete, and not taken yet.
    Output(Result<F::Output, JoinError>),
    /// Before the future was made, and after its output was taken.
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
    /// The type of the scheduler.
    scheduler: fn() -> TypeId,
    /// Queues a task that was marked as scheduled.
    schedule: unsafe fn(NonNull<Header>),
    /// See [`Schedule::UNLISTED`].
    unlisted: WaitKind,
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

/// As [`TaskRef`], to a task of whose types all but the future's are known.
pub(crate) struct TypedRef<S, X> {
    task: TaskRef,
    types: PhantomData<fn() -> (S, X)>,
}

/// Who takes the output of a new task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joiner {
    /// The owner of a `JoinHandle`.
    Handle,
    /// None: the output is dropped.
    None,
}

/// Allocates a task that is already marked as scheduled: the caller must list it, if it has a list, and schedule the `Runnable`.
///
/// `make` builds the future from a reference to its own task. Wake-ups before it is scheduled do nothing more.
pub(crate) fn new<F, S, X>(
    id: Id,
    scheduler: S,
    shared: X,
    joiner: Joiner,
    make: impl FnOnce(&TypedRef<S, X>) -> F,
) -> (TypedRef<S, X>, Runnable)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule,
    X: Send + Sync + 'static,
{
    // SAFETY: future and output may be on any thread.
    unsafe { new_unchecked(id, scheduler, shared, joiner, make) }
}

/// As [`new`], for any future.
///
/// # Safety
/// If the future is not `Send`, the task is run, cancelled unrun or shut down on this thread alone; if its output is not, its joiner
/// stays here as well.
pub(crate) unsafe fn new_unchecked<F, S, X>(
    id: Id,
    scheduler: S,
    shared: X,
    joiner: Joiner,
    make: impl FnOnce(&TypedRef<S, X>) -> F,
) -> (TypedRef<S, X>, Runnable)
where
    F: Future + 'static,
    S: Schedule,
    X: Send + Sync + 'static,
{
    let state = match joiner {
        Joiner::Handle => State::scheduled_with_handle(),
        Joiner::None => State::scheduled(),
    };
    let header = Header {
        state,
        vtable: vtable::<F, S, X>(),
        id,
        owned: AtomicU64::new(0),
        join_waker: Mutex::new(WakerSlot::new()),
        polls: PollRecord::new(),
    };
    let prefix = Prefix { head: Head { header, scheduler }, shared };
    let cell = Cell::<F, S, X> { prefix, stage: UnsafeCell::new(Stage::Taken) };
    let cell = NonNull::from(Box::leak(Box::new(cell)));
    let task = TypedRef { task: TaskRef(cell.cast()), types: PhantomData };
    let cancel_on_drop = CancelOnDrop(Some(Runnable(cell.cast())));

    // The future may keep references to its own task, so the memory is there before it is.
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

fn vtable<F, S, X>() -> &'static VTable
where
    F: Future + 'static,
    S: Schedule,
    X: Send + Sync + 'static,
{
    &VTable {
        run: run::<F, S, X>,
        take_output: take_output::<F, S, X>,
        drop_output: drop_output::<F, S, X>,
        free: free::<F, S, X>,
        type_name: std::any::type_name::<F>,
        scheduler: TypeId::of::<S>,
        schedule: schedule::<S>,
        unlisted: S::UNLISTED,
    }
}

impl TaskRef {
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: a `TaskRef` holds a reference, so the task has not been freed.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn id(&self) -> Id {
        self.header().id
    }

    /// Returns its scheduler, if that is of the given type.
    pub(crate) fn scheduler<S: Schedule>(&self) -> Option<&S> {
        let is_of_this_type = (self.header().vtable.scheduler)() == TypeId::of::<S>();
        // SAFETY: the task was made with an `S`, by its vtable; this reference keeps it.
        is_of_this_type.then(|| unsafe { scheduler_of(self.0) })
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

    /// Drops the future here and now. Called when the runtime ends: no worker runs a task any more, whatever queue it is in. False if the
    /// task has completed, or another thread is in its poll.
    pub(crate) fn shut_down(&self) -> bool {
        let is_taken = self.header().state.shut_down();
        if is_taken {
            self.header().polls.begin(PollStart::NONE);
            let run = self.header().vtable.run;
            // SAFETY: the state word gave this call the exclusive access, which no other call can get any more. The life
            // reference keeps the task, and so does this one.
            let again = unsafe { run(self.0, Start::DropFuture) };
            debug_assert!(!again, "dropping a future completes its task");
        }
        is_taken
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

    /// Polls for the output of a task whose handle this is.
    ///
    /// # Safety
    /// The task was made with [`Joiner::Handle`] and output type `T`, and this is its only joiner.
    pub(crate) unsafe fn poll_join<T>(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        if !self.is_complete() && !self.set_join_waker(cx) {
            return Poll::Pending;
        }

        // Through a pointer: the function in the vtable knows the type, and this handle claims to.
        let mut output: Option<Result<T, JoinError>> = None;
        let take = self.header().vtable.take_output;
        // SAFETY: complete, and the handle owns the output; the caller vouches for `T`.
        unsafe { take(self.0, (&raw mut output).cast()) };
        Poll::Ready(output.expect("invariant: a join handle is not polled after it was ready"))
    }

    /// Makes the end of the task wake the task that polls. True if it has completed instead.
    fn set_join_waker(&self, cx: &Context<'_>) -> bool {
        let kind = if self.header().is_owned() { WaitKind::Listed } else { self.header().vtable.unlisted };
        let mut waker = PollWaker::of(cx, kind);
        // A previous one is dropped outside of the lock: it may be the last of what it wakes.
        let prev = self.header().join_waker.lock().register(&mut waker);
        drop(prev);
        // The waker lies there before the word says so: who completes the task between the two leaves it to us.
        let completed = self.header().state.set_join_waker();
        if completed {
            self.drop_join_waker();
        }
        completed
    }

    fn drop_join_waker(&self) {
        let left = self.header().join_waker.lock().take();
        left.forget();
    }

    /// Gives up the output; drops it here if the task has completed already. The waker goes with the handle: it may keep
    /// whole tasks, those the handle belonged to, and these would keep others, one by one in a line as long as there is.
    pub(crate) fn detach(&self) {
        // One exchange says what became of both, the output and the waker: the side that comes second has it.
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

impl<S: Schedule, X> TypedRef<S, X> {
    #[inline]
    pub(crate) fn scheduler(&self) -> &S {
        // SAFETY: the task was made with these types; this reference keeps it.
        unsafe { scheduler_of(self.task.0) }
    }

    /// Returns the data shared by all references.
    #[inline]
    pub(crate) fn shared(&self) -> &X {
        let prefix = self.task.0.cast::<Prefix<S, X>>();
        // SAFETY: as above.
        let prefix = unsafe { prefix.as_ref() };
        &prefix.shared
    }

    /// Schedules the task unless it is scheduled already.
    #[inline]
    pub(crate) fn wake(&self) {
        if self.task.header().state.wake() == Wake::Schedule {
            // SAFETY: marked as scheduled just now, made with an `S`, and kept by this reference.
            unsafe { schedule::<S>(self.task.0) }
        }
    }

    pub(crate) fn into_untyped(self) -> TaskRef {
        self.task
    }
}

impl<S, X> Deref for TypedRef<S, X> {
    type Target = TaskRef;

    #[inline]
    fn deref(&self) -> &TaskRef {
        &self.task
    }
}

impl<S, X> Clone for TypedRef<S, X> {
    #[inline]
    fn clone(&self) -> Self {
        Self { task: self.task.clone(), types: PhantomData }
    }
}

impl Runnable {
    /// Runs the task: polls it once, or drops its future if it was cancelled. Returns it if it was woken meanwhile.
    #[inline]
    #[must_use]
    pub(crate) fn run(self, poll_start: PollStart) -> Option<Self> {
        // SAFETY: the task is alive: its life reference is given back only by the run that completes it.
        let header = unsafe { self.0.as_ref() };
        header.polls.begin(poll_start);
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
        header.polls.begin(PollStart::NONE);
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
/// `ptr` is a task that was made with this very `S`, and lives for `'a`.
#[inline]
unsafe fn scheduler_of<'a, S>(ptr: NonNull<Header>) -> &'a S {
    // SAFETY: by contract a `Head<S>` is at this address.
    let head = unsafe { ptr.cast::<Head<S>>().as_ref() };
    &head.scheduler
}

/// Queues a task. Not inlined, so that a wake of a task that is queued already saves no registers.
///
/// # Safety
/// `ptr` is a task that was made with this very `S`, marked as scheduled by the caller, and kept alive during the call.
#[inline(never)]
unsafe fn schedule<S: Schedule>(ptr: NonNull<Header>) {
    // SAFETY: by contract. The thread that runs the task meanwhile does not free it: the caller keeps it.
    let scheduler: &S = unsafe { scheduler_of(ptr) };
    scheduler.schedule(Runnable(ptr));
}

/// Schedules a task that its waker wakes, unless it is scheduled already.
///
/// # Safety
/// `ptr` is a task kept alive by the caller, and not made from a reference to its header alone: it reaches the whole task.
#[inline]
pub(super) unsafe fn wake(ptr: NonNull<Header>) {
    // SAFETY: by contract.
    let header = unsafe { ptr.as_ref() };
    if header.state.wake() == Wake::Schedule {
        let schedule = header.vtable.schedule;
        // SAFETY: marked as scheduled just now; kept by contract.
        unsafe { schedule(ptr) }
    }
}

/// # Safety
/// `ptr` is a `Cell<F, S, X>` to whose future the state word gave the caller exclusive access, to do what `start` says.
unsafe fn run<F, S, X>(ptr: NonNull<Header>, start: Start) -> bool
where
    F: Future + 'static,
    S: Schedule,
    X: Send + Sync + 'static,
{
    // SAFETY: made by `new::<F, S, X>`, alive by its life reference.
    let cell = unsafe { ptr.cast::<Cell<F, S, X>>().as_ref() };
    let header = &cell.prefix.head.header;

    // Foreign code runs from here on: the future's, or its destructors.
    let current = current::enter_task(ptr.as_ptr());
    let output = match start {
        Start::Poll => match poll(cell, ptr) {
            Some(output) => output,
            None => {
                drop(current);
                return header.state.pause() == AfterPoll::Schedule;
            }
        },
        Start::DropFuture => Err(JoinError::cancelled(header.id)),
    };

    // Still as the task: the destructors of its future are code of its own.
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: between `start` and `complete` this worker has exclusive access to the stage.
        cell.stage.with_mut(|stage| unsafe { *stage = Stage::Taken });
    }));
    drop(current);
    // A future that panics while it is dropped has ended by a panic, whatever it gave before.
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
    unsafe { finish::<S>(ptr) };
    false
}

/// Polls the future; `None` when it is pending.
#[inline]
fn poll<F: Future, S: Schedule, X>(cell: &Cell<F, S, X>, ptr: NonNull<Header>) -> Option<Result<F::Output, JoinError>> {
    // It borrows the life reference, so it is not dropped; a clone counts one of its own.
    // SAFETY: the task is alive while it runs.
    let waker = ManuallyDrop::new(unsafe { waker_of(ptr) });
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
            let Head { header, scheduler } = &cell.prefix.head;
            scheduler.panicked();
            Some(Err(JoinError::panicked(header.id, panic)))
        }
    }
}

/// Publishes the output that was stored, wakes the joiner and gives the life reference back.
///
/// Takes a pointer and no reference: the memory may be freed before this returns, and a reference that is an argument
/// promises that it is not.
///
/// # Safety
/// `ptr` is a living task of an `S` whose output is stored. Called once, by the run that completes it.
unsafe fn finish<S: Schedule>(ptr: NonNull<Header>) {
    // SAFETY: by contract alive, until the life reference is given back below, which is after the last use.
    let Head { header, scheduler } = unsafe { ptr.cast::<Head<S>>().as_ref() };
    // First: a task that was joined is in no list any more.
    scheduler.release(header);
    let JoinEnd { owner, takes_waker } = header.state.complete();
    if owner == OutputOwner::Caller {
        let drop_output = header.vtable.drop_output;
        // SAFETY: the state word made this side the owner of the output.
        unsafe { drop_output(ptr) };
    } else if takes_waker {
        let join_waker = header.join_waker.lock().take();
        join_waker.wake();
    }

    // SAFETY: the life reference, given back once, by the run that completed the task.
    unsafe { release(ptr) };
}

/// # Safety
/// `ptr` is a completed `Cell<F, S, X>`, the caller owns its output, `out` is a valid `Option<Result<F::Output, _>>`.
unsafe fn take_output<F: Future, S, X>(ptr: NonNull<Header>, out: *mut ()) {
    // SAFETY: by contract.
    let cell = unsafe { ptr.cast::<Cell<F, S, X>>().as_ref() };
    let stage = cell.stage.with_mut(|stage| {
        // SAFETY: the caller owns the output, no other thread looks at the stage.
        let stage = unsafe { &mut *stage };
        std::mem::replace(stage, Stage::Taken)
    });

    // Else it was taken already; the caller sees that nothing came.
    if let Stage::Output(output) = stage {
        // SAFETY: by contract.
        unsafe { *out.cast::<Option<Result<F::Output, JoinError>>>() = Some(output) };
    }
}

/// # Safety
/// `ptr` is a completed `Cell<F, S, X>` and the caller owns its output.
unsafe fn drop_output<F, S, X>(ptr: NonNull<Header>)
where
    F: Future + 'static,
{
    let mut output: Option<Result<F::Output, JoinError>> = None;
    // SAFETY: by contract.
    unsafe { take_output::<F, S, X>(ptr, (&raw mut output).cast()) };
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
/// `ptr` is a `Cell<F, S, X>` without any reference left.
unsafe fn free<F: Future, S, X>(ptr: NonNull<Header>) {
    // SAFETY: it came from a `Box` in `new`.
    let cell = unsafe { Box::from_raw(ptr.cast::<Cell<F, S, X>>().as_ptr()) };
    drop_catching(cell);
}

/// # Safety
/// The caller owns a reference and gives it up.
pub(super) unsafe fn release(ptr: NonNull<Header>) {
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
