//! Tasks that belong together: awaited in the order they end, aborted together.
//!
//! Each task has a waker of its own that puts its number into a list, so that a set of many looks only at those that were woken.

use super::{AbortHandle, Id, JoinError, JoinHandle};
use crate::loom::sync::Mutex;
use crate::raw_task::coop;
use crate::raw_task::poll_waker::PollWaker;
use crate::raw_task::wait_kind::WaitKind;
use crate::raw_task::waker::note_wait;
use crate::raw_task::waker_slot::WakerSlot;
use crate::runtime::Handle;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

/// Tasks with outputs of one type. Dropping the set aborts them all.
///
/// # Examples
/// ```
/// use posse::task::JoinSet;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut tasks = JoinSet::new();
/// for n in 1..=3u64 {
///     tasks.spawn(async move { n * n });
/// }
/// let mut sum = 0;
/// while let Some(square) = tasks.join_next().await {
///     sum += square.unwrap();
/// }
/// assert_eq!(sum, 14);
/// # });
/// ```
pub struct JoinSet<T> {
    members: BTreeMap<u64, Member<T>>,
    next: u64,
    woken: Arc<Woken>,
}

struct Member<T> {
    handle: JoinHandle<T>,
    waker: Waker,
}

/// A task that was joined.
pub(super) struct Joined<T> {
    /// Its number in the set.
    pub(super) member: u64,
    id: Id,
    pub(super) output: Result<T, JoinError>,
}

impl<T> Joined<T> {
    fn with_id(self) -> Result<(Id, T), JoinError> {
        let Self { id, output, .. } = self;
        output.map(|output| (id, output))
    }
}

/// The members to look at, and who waits for them.
#[derive(Default)]
struct Woken(Mutex<WokenState>);

#[derive(Default)]
struct WokenState {
    /// In the order they were woken; each is pushed by its waker, or as a new one, and popped by who waits.
    members: VecDeque<u64>,
    /// Who polled the set last.
    waiter: WakerSlot,
}

impl Woken {
    /// The member's task has ended, or it is new.
    fn push(&self, member: u64) {
        let mut state = self.0.lock();
        state.members.push_back(member);
        let waiter = state.waiter.take();
        drop(state);
        waiter.wake();
    }
}

struct MemberWaker {
    member: u64,
    woken: Arc<Woken>,
}

impl Wake for MemberWaker {
    fn wake(self: Arc<Self>) {
        self.woken.push(self.member);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.push(self.member);
    }
}

impl<T> JoinSet<T> {
    /// A set without tasks.
    pub fn new() -> Self {
        Self { members: BTreeMap::new(), next: 0, woken: Arc::default() }
    }

    /// Returns how many tasks were not joined yet, whether they have ended or not.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns true if all tasks were joined.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Aborts all tasks; they still are to be joined.
    pub fn abort_all(&self) {
        self.members.values().for_each(|member| member.handle.abort());
    }

    /// Lets all tasks run on by themselves, and forgets them.
    pub fn detach_all(&mut self) {
        self.members.clear();
    }

    /// Adds a task. Its number in the set is its own, unlike its id, which one of another runtime may have too.
    pub(super) fn insert(&mut self, handle: JoinHandle<T>) -> (u64, AbortHandle) {
        let abort = handle.abort_handle();
        let member = self.next;
        self.next += 1;
        let waker = Waker::from(Arc::new(MemberWaker { member, woken: self.woken.clone() }));
        self.members.insert(member, Member { handle, waker });
        // It is looked at once, to leave its waker.
        self.woken.push(member);
        (member, abort)
    }

    /// Waits for the next task to end, and returns its output; `None` if there is no task.
    ///
    /// # Errors
    /// [`JoinError`] if the task panicked or was aborted.
    ///
    /// # Cancel safety
    /// No output is lost by dropping the future.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// As [`join_next`](Self::join_next), with the id of the task. That of one that failed is in its [`JoinError`].
    ///
    /// # Errors
    /// [`JoinError`] if the task panicked or was aborted.
    ///
    /// # Cancel safety
    /// No output is lost by dropping the future.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// Polls for the next task to end; see [`join_next`](Self::join_next).
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        self.poll_join_next_with_id(cx).map(|joined| joined.map(|joined| joined.map(|(_, output)| output)))
    }

    /// Polls for the next task to end; see [`join_next_with_id`](Self::join_next_with_id).
    pub fn poll_join_next_with_id(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(Id, T), JoinError>>> {
        self.poll_join_member(cx).map(|joined| joined.map(Joined::with_id))
    }

    /// Polls for the next task to end.
    pub(super) fn poll_join_member(&mut self, cx: &mut Context<'_>) -> Poll<Option<Joined<T>>> {
        let progress = ready!(coop::poll_proceed(cx));
        if self.members.is_empty() {
            progress.made_progress();
            return Poll::Ready(None);
        }
        let mut waker = PollWaker::of(cx, WaitKind::Listed);
        let prev = self.woken.0.lock().waiter.register(&mut waker);
        drop(prev);
        let joined = self.take_ended();
        if joined.is_none() {
            note_wait(cx.waker(), WaitKind::Tasks);
            return Poll::Pending;
        }
        progress.made_progress();
        Poll::Ready(joined)
    }

    /// Joins a task that has ended, without waiting.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.try_join_next_with_id().map(|joined| joined.map(|(_, output)| output))
    }

    /// Joins a task that has ended, without waiting; with its id.
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        self.take_ended().map(Joined::with_id)
    }

    /// Looks at those that were woken until one has ended.
    pub(super) fn take_ended(&mut self) -> Option<Joined<T>> {
        loop {
            let number = self.woken.0.lock().members.pop_front()?;
            // Else it was joined, and woken twice.
            let Some(member) = self.members.get_mut(&number) else { continue };
            let mut cx = Context::from_waker(&member.waker);
            // The unit of the budget was taken for the whole.
            let Poll::Ready(output) = coop::unlimited(|| Pin::new(&mut member.handle).poll(&mut cx)) else { continue };
            let id = member.handle.id();
            self.members.remove(&number);
            return Some(Joined { member: number, id, output });
        }
    }

    /// Waits for all tasks and returns their outputs, in the order they ended.
    ///
    /// # Panics
    /// With the panic of the first task that panicked, or if one was aborted; the others are aborted.
    ///
    /// # Cancel safety
    /// Dropping the future aborts the tasks and drops the outputs.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(joined) = self.join_next().await {
            match joined.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                Err(Err(error)) => panic!("{error}"),
            }
        }
        outputs
    }

    /// Aborts all tasks and waits until they have ended. Outputs and panics are dropped.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the tasks aborted; call it again to wait.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }
}

impl<T: Send + 'static> JoinSet<T> {
    /// Starts a task on the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn(&mut self, future: impl Future<Output = T> + Send + 'static) -> AbortHandle {
        self.spawn_on(future, &Handle::current())
    }

    /// Starts a task on a given runtime.
    #[track_caller]
    pub fn spawn_on(&mut self, future: impl Future<Output = T> + Send + 'static, handle: &Handle) -> AbortHandle {
        self.insert(handle.spawn(future)).1
    }

    /// Runs a closure that may block; see [`spawn_blocking`](super::spawn_blocking).
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn_blocking(&mut self, f: impl FnOnce() -> T + Send + 'static) -> AbortHandle {
        self.spawn_blocking_on(f, &Handle::current())
    }

    /// Runs a closure that may block on a given runtime.
    #[track_caller]
    pub fn spawn_blocking_on(&mut self, f: impl FnOnce() -> T + Send + 'static, handle: &Handle) -> AbortHandle {
        self.insert(handle.spawn_blocking(f)).1
    }
}

impl<T: 'static> JoinSet<T> {
    /// Starts a task on the [`LocalSet`](super::LocalSet) that this code runs in; see [`spawn_local`](super::spawn_local). Neither the future nor
    /// its output need be `Send`.
    ///
    /// # Panics
    /// Outside of a set, and outside of a runtime.
    #[track_caller]
    pub fn spawn_local(&mut self, future: impl Future<Output = T> + 'static) -> AbortHandle {
        self.insert(super::spawn_local(future)).1
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Spawns the futures on the current runtime.
impl<T: Send + 'static, F: Future<Output = T> + Send + 'static> FromIterator<F> for JoinSet<T> {
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = Self::new();
        set.extend(futures);
        set
    }
}

/// Spawns the futures on the current runtime.
impl<T: Send + 'static, F: Future<Output = T> + Send + 'static> Extend<F> for JoinSet<T> {
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        futures.into_iter().for_each(|future| drop(self.spawn(future)));
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

#[cfg(all(test, posse_loom))]
mod loom_models {
    use super::*;
    use crate::runtime::loom_models::{end, runtime, step};
    use crate::testing::counting_waker;
    use std::future::ready;

    /// A task ends while another thread polls its set: that sees it, or is woken.
    #[test]
    fn loom_who_waits_for_a_set_learns_of_a_task_that_ended() {
        loom::model(|| {
            let handle = runtime();
            let mut set = JoinSet::new();
            set.spawn_on(ready(7), &handle);
            let (wakes, waker) = counting_waker();
            let joiner = {
                let waker = waker.clone();
                loom::thread::spawn(move || {
                    let polled = set.poll_join_next(&mut Context::from_waker(&waker));
                    (set, polled)
                })
            };
            step(&handle);
            let (mut set, mut polled) = joiner.join().unwrap();
            if polled.is_pending() {
                assert!(wakes.count() > 0);
                polled = set.poll_join_next(&mut Context::from_waker(&waker));
            }
            assert!(matches!(polled, Poll::Ready(Some(Ok(7)))));
            assert!(set.is_empty());
            end(&handle);
        });
    }
}
