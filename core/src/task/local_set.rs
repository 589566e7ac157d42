//! Tasks that stay on their thread: for futures that are not `Send`.
//!
//! A set is a queue of tasks and the futures that poll it. The tasks are those of the runtime in all but the place where they wait, which is
//! the set's queue, and the list that they are in, which is the set's: it drops them on its own thread.

use crate::context;
use crate::loom::sync::Mutex;
use crate::raw_task::poll_record::PollStart;
use crate::raw_task::wait_kind::WaitKind;
use crate::raw_task::{self, Header, Id, JoinHandle, Joiner, Runnable, Schedule, TypedRef};
use crate::runtime::{Handle, Runtime};
use crate::wait_list::WaiterKey;
use crate::wait_set::WaitSet;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Tasks that are run in one poll of the set before the others of the runtime have their turn. Tokio's figure.
const TASKS_PER_POLL: usize = 61;

thread_local! {
    /// The set whose code runs, which `spawn_local` spawns into.
    static CURRENT: RefCell<Option<Rc<Inner>>> = const { RefCell::new(None) };
}

/// A set of tasks that all run on one thread, so their futures need not be `Send`.
///
/// The tasks run while the set is polled: inside [`run_until`](Self::run_until), which works in the `block_on` of a runtime of any
/// flavor, or when the set itself is awaited, until all of its tasks have ended. They have budgets of their own, are woken from any thread, and a panic ends its task alone.
/// They are not in [`Handle::tasks`] and count in no metric of the runtime.
///
/// Dropping the set drops all of its tasks, there and then; their handles say *cancelled*. No task outlives the set, and none runs
/// anywhere else.
///
/// # Examples
/// ```
/// use posse::runtime::Runtime;
/// use posse::task::{self, LocalSet};
/// use std::rc::Rc;
///
/// let (runtime, set) = (Runtime::new()?, LocalSet::new());
/// let sum = set.block_on(&runtime, async {
///     let numbers = Rc::new(vec![1, 2, 3]);
///     let shared = numbers.clone();
///     let task = task::spawn_local(async move { shared.iter().sum::<i32>() });
///     task.await.unwrap() + numbers[0]
/// });
/// assert_eq!(sum, 7);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct LocalSet {
    inner: Rc<Inner>,
    /// The place in line of who awaits the set itself.
    key: WaiterKey,
}

struct Inner {
    ready: Arc<Ready>,
    /// All that have not completed, in the order of their start, and none after the end.
    tasks: RefCell<BTreeMap<Key, SetTask>>,
    /// While tasks of the set run: what they wake is seen afterwards, so no thread need be woken for it.
    is_running: Cell<bool>,
}

type SetTask = TypedRef<Scheduler, ()>;

/// Tells a task from the others of the set. Its id alone does not: it belongs to a runtime, and the set to none.
type Key = (Id, *const Header);

/// What threads reach that wake a task of the set.
struct Ready {
    queue: Mutex<ReadyQueue>,
    /// Those that poll the set: woken when a task is.
    pollers: WaitSet,
}

#[derive(Default)]
struct ReadyQueue {
    tasks: VecDeque<Runnable>,
    /// The set is gone: what is woken from now on is a pointer that is not followed, of a task that was dropped by way of the list.
    is_closed: bool,
}

/// What runs a task of the set: the thread that polls it.
struct Scheduler {
    ready: Arc<Ready>,
    /// Whose code the task is.
    runtime: Handle,
}

impl Schedule for Scheduler {
    fn schedule(&self, task: Runnable) {
        self.ready.push(task);
    }

    const UNLISTED: WaitKind = WaitKind::Tasks;

    /// Who runs it has it in its list: see [`Inner::forget_completed`].
    fn release(&self, _: &Header) {}

    fn panicked(&self) {
        self.runtime.panicked();
    }
}

impl Ready {
    /// Takes a task in that is to be run, on any thread.
    fn push(self: &Arc<Self>, task: Runnable) {
        let mut queue = self.queue.lock();
        if queue.is_closed {
            return;
        }
        queue.tasks.push_back(task);
        drop(queue);
        if !is_running_here(self) {
            self.pollers.wake_all();
        }
    }
}

/// Whether a task of the set runs this code.
fn is_running_here(ready: &Arc<Ready>) -> bool {
    let is_this = |set: &Rc<Inner>| Arc::ptr_eq(&set.ready, ready) && set.is_running.get();
    CURRENT.try_with(|current| current.borrow().as_ref().is_some_and(is_this)).unwrap_or(false)
}

/// Starts a task on the [`LocalSet`] that this code runs in.
///
/// # Panics
/// Outside of a set, and outside of a runtime.
///
/// # Examples
/// ```
/// use posse::task::{self, LocalSet};
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let count = Rc::new(Cell::new(0));
/// let set = LocalSet::new();
/// set.run_until(async {
///     let counts = count.clone();
///     task::spawn_local(async move { counts.set(counts.get() + 1) }).await.unwrap();
/// })
/// .await;
/// assert_eq!(count.get(), 1);
/// # });
/// ```
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
    match current {
        Some(set) => set.spawn(future),
        None => {
            panic!("`spawn_local` outside of a `LocalSet`: call this inside `LocalSet::run_until` or a task of the set")
        }
    }
}

impl LocalSet {
    /// An empty set, which belongs to this thread.
    pub fn new() -> Self {
        let ready = Arc::new(Ready { queue: Mutex::default(), pollers: WaitSet::new() });
        let inner = Inner { ready, tasks: RefCell::default(), is_running: Cell::new(false) };
        Self { inner: Rc::new(inner), key: WaiterKey::default() }
    }

    /// Starts a task of the set, which runs when the set is polled.
    ///
    /// # Panics
    /// Outside of a runtime: enter one first ([`Runtime::enter`]).
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.inner.spawn(future)
    }

    /// Runs the tasks of the set until a future has ended, which runs as code of the set: it may [`spawn_local`]. Tasks that have not
    /// ended then go on when the set is polled again.
    ///
    /// # Cancel safety
    /// As the future. The tasks stay in the set.
    pub async fn run_until<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut waiter = Waiter { ready: &self.inner.ready, key: WaiterKey::default() };
        poll_fn(|cx| {
            let _entered = enter(self.inner.clone());
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            self.inner.poll_tasks(&mut waiter.key, cx);
            Poll::Pending
        })
        .await
    }

    /// Runs a future and the tasks of the set on this thread; short for [`run_until`](Self::run_until) in [`Runtime::block_on`].
    ///
    /// # Panics
    /// As [`Runtime::block_on`].
    #[track_caller]
    pub fn block_on<F: Future>(&self, runtime: &Runtime, future: F) -> F::Output {
        runtime.block_on(self.run_until(future))
    }

    /// Makes this the set that [`spawn_local`] spawns into, until the guard is dropped. Guards are dropped in reverse order.
    pub fn enter(&self) -> LocalEnterGuard {
        enter(self.inner.clone())
    }

    /// Returns the number of tasks that have not ended.
    pub fn len(&self) -> usize {
        self.inner.tasks.borrow().len()
    }

    /// Returns true if all tasks have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Runs the tasks of the set until all have ended.
impl Future for LocalSet {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let set = self.get_mut();
        let _entered = enter(set.inner.clone());
        set.inner.poll_tasks(&mut set.key, cx);
        if !set.is_empty() {
            return Poll::Pending;
        }
        set.inner.ready.pollers.leave(&mut set.key);
        Poll::Ready(())
    }
}

impl Drop for LocalSet {
    fn drop(&mut self) {
        let _entered = enter(self.inner.clone());
        self.inner.ready.pollers.leave(&mut self.key);
        self.inner.close();
    }
}

impl Default for LocalSet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSet").field("tasks", &self.len()).finish()
    }
}

impl Inner {
    #[track_caller]
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let scheduler = Scheduler { ready: self.ready.clone(), runtime: Handle::current() };
        let id = scheduler.runtime.next_task_id();
        // SAFETY: the set belongs to one thread, being no `Send`, and it alone runs and drops what is in its queue and its list. A
        // `JoinHandle` is `Send` only if the output is.
        let (task, runnable) = unsafe { raw_task::new_unchecked(id, scheduler, (), Joiner::Handle, |_| future) };
        let handle = JoinHandle::new(task.clone().into_untyped());
        if self.ready.queue.lock().is_closed {
            // By the destructor of a task, while the set is dropped.
            runnable.cancel_unrun();
        } else {
            self.tasks.borrow_mut().insert((task.id(), task.as_ptr()), task);
            self.ready.push(runnable);
        }
        handle
    }

    /// Runs tasks for a while, and makes the task that polls the set come back when there is more to do.
    fn poll_tasks(&self, key: &mut WaiterKey, cx: &Context<'_>) {
        let was_running = self.is_running.replace(true);
        let may_be_more = (0..TASKS_PER_POLL).all(|_| self.run_one());
        self.is_running.set(was_running);
        let is_woken = || (!self.ready.queue.lock().tasks.is_empty()).then_some(());
        if may_be_more || self.ready.pollers.poll_until(WaitKind::Tasks, key, cx, is_woken).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Runs the task that was woken first. False if there is none.
    fn run_one(&self) -> bool {
        let next = self.ready.queue.lock().tasks.pop_front();
        let Some(task) = next else { return false };
        let key = (task.header().id(), task.as_ptr());
        match task.run(PollStart::NONE) {
            // In its own poll: it goes behind its neighbours. The set is not dropped meanwhile, who polls it borrows it.
            Some(woken) => self.ready.queue.lock().tasks.push_back(woken),
            None => self.forget_completed(key),
        }
        true
    }

    fn forget_completed(&self, key: Key) {
        let is_complete = self.tasks.borrow().get(&key).is_some_and(|task| task.is_complete());
        let completed = if is_complete { self.tasks.borrow_mut().remove(&key) } else { None };
        drop(completed);
    }

    /// Drops the futures of all tasks. Nothing is run any more, and who wakes a task queues nothing.
    fn close(&self) {
        let mut queue = self.ready.queue.lock();
        queue.is_closed = true;
        let unrun = mem::take(&mut queue.tasks);
        drop(queue);
        // Pointers, whose tasks are in the list.
        drop(unrun);
        let tasks = mem::take(&mut *self.tasks.borrow_mut());
        for task in tasks.values() {
            let _entered = context::enter(task.scheduler().runtime.clone());
            task.shut_down();
        }
    }
}

/// The waiter of a future that polls the set.
struct Waiter<'a> {
    ready: &'a Ready,
    key: WaiterKey,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.ready.pollers.leave(&mut self.key);
    }
}

fn enter(set: Rc<Inner>) -> LocalEnterGuard {
    LocalEnterGuard { prev: CURRENT.try_with(|current| current.replace(Some(set))).ok().flatten() }
}

/// Restores the set that was current before, when it is dropped; see [`LocalSet::enter`].
#[must_use = "the set is the current one until the guard is dropped"]
pub struct LocalEnterGuard {
    prev: Option<Rc<Inner>>,
}

impl Drop for LocalEnterGuard {
    fn drop(&mut self) {
        let prev = self.prev.take();
        let left = CURRENT.try_with(|current| current.replace(prev));
        drop(left);
    }
}

impl fmt::Debug for LocalEnterGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEnterGuard").finish_non_exhaustive()
    }
}
