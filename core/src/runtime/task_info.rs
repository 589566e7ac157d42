//! The living tasks of a runtime, as data and as lines to print.

use super::Handle;
use crate::raw_task::wait_kind::WaitKind;
use crate::raw_task::{Id, TaskState};
use crate::scheduler::owned::Listed;
use crate::time::driver::Instant;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

impl Handle {
    /// Returns what is known of each task that has not completed, those of actors included, in order of their ids. Closures of
    /// the blocking pool are not listed.
    ///
    /// The tasks go on meanwhile: each is seen at a moment of its own. Listing takes time and memory for each task, timer and
    /// socket of the runtime, and holds the lock of a few hundred of them at a time; it is for people and for
    /// alarms, not for every second.
    ///
    /// # Examples
    /// ```
    /// use posse::task;
    ///
    /// # posse::runtime::Runtime::new().unwrap().block_on(async {
    /// let waiting = task::Builder::new().name("waits").spawn(std::future::pending::<()>());
    /// let tasks = posse::runtime::Handle::current().tasks();
    /// let info = tasks.iter().find(|task| task.id() == waiting.id()).unwrap();
    /// assert_eq!(info.name(), Some("waits"));
    /// println!("{info}"); // Running, queued or waiting: the worker that polls it is on its way.
    /// # });
    /// ```
    pub fn tasks(&self) -> Vec<TaskInfo> {
        let mut tasks = Vec::new();
        let mut waits = Vec::new();
        self.shared().owned.for_each(|listed| {
            waits.extend(listed.task.joiner().map(|joiner| (joiner, WaitsFor::Task(listed.task.id()))));
            tasks.extend(TaskInfo::new(&listed, self.now()));
        });
        self.timers().for_each_task(|task, deadline| waits.push((task, WaitsFor::Timer(deadline))));
        self.io().for_each_task(|task| waits.push((task, WaitsFor::Socket)));

        tasks.sort_unstable_by_key(TaskInfo::id);
        for (waiter, what) in waits {
            let Ok(index) = tasks.binary_search_by_key(&waiter, TaskInfo::id) else { continue };
            let task = &mut tasks[index];
            if task.state == TaskState::Waiting && !task.waits_for.contains(&what) {
                task.waits_for.push(what);
            }
        }
        tasks
    }
}

/// What a task waits for. `Display` says it in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// A timer with this deadline.
    Timer(Instant),
    /// Data from a socket, or room in one.
    Socket,
    /// The end of another task.
    Task(Id),
    /// A value in a channel, room in one, or the end of its other side: `mpsc`, `oneshot`, `watch`, `broadcast`.
    Channel,
    /// Permits of a [`Semaphore`](crate::sync::Semaphore).
    Semaphore,
    /// A [`Mutex`](crate::sync::Mutex).
    Mutex,
    /// An [`RwLock`](crate::sync::RwLock).
    RwLock,
    /// Others at a [`Barrier`](crate::sync::Barrier).
    Barrier,
    /// A [`Notify`](crate::sync::Notify).
    Notify,
    /// The value of a [`OnceCell`](crate::sync::OnceCell) or a [`SetOnce`](crate::sync::SetOnce).
    Value,
    /// A [`CancellationToken`](crate::sync::CancellationToken).
    Cancellation,
    /// The end of some task of a set, a scope or a tracker, or of a task of a [`LocalSet`](crate::task::LocalSet).
    Tasks,
    /// The reply of an actor.
    Reply,
    /// Room in the mailbox of an actor.
    Mailbox,
    /// A closure of the blocking pool: files, names that are looked up, and what the program gave it.
    Blocking,
    /// A stream in memory: bytes in it, or room in it.
    Stream,
}

impl WaitsFor {
    /// `None` for what is found in another way.
    fn of(kind: WaitKind) -> Option<Self> {
        Some(match kind {
            WaitKind::Channel => Self::Channel,
            WaitKind::Semaphore => Self::Semaphore,
            WaitKind::Mutex => Self::Mutex,
            WaitKind::RwLock => Self::RwLock,
            WaitKind::Barrier => Self::Barrier,
            WaitKind::Notify => Self::Notify,
            WaitKind::Value => Self::Value,
            WaitKind::Cancellation => Self::Cancellation,
            WaitKind::Tasks => Self::Tasks,
            WaitKind::Reply => Self::Reply,
            WaitKind::Mailbox => Self::Mailbox,
            WaitKind::Blocking => Self::Blocking,
            WaitKind::Stream => Self::Stream,
            WaitKind::Listed => return None,
        })
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Task(id) => return write!(f, "task {id}"),
            Self::Timer(_) => "a timer",
            Self::Socket => "a socket",
            Self::Channel => "a channel",
            Self::Semaphore => "a semaphore",
            Self::Mutex => "a mutex",
            Self::RwLock => "a reader-writer lock",
            Self::Barrier => "a barrier",
            Self::Notify => "a notification",
            Self::Value => "a value to be set",
            Self::Cancellation => "a cancellation",
            Self::Tasks => "the end of tasks",
            Self::Reply => "a reply",
            Self::Mailbox => "room in a mailbox",
            Self::Blocking => "a blocking closure",
            Self::Stream => "a stream in memory",
        })
    }
}

/// What is known of a task, from [`Handle::tasks`]. `Display` prints it in a line.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    id: Id,
    name: Option<Arc<str>>,
    type_name: &'static str,
    spawned_at: &'static Location<'static>,
    state: TaskState,
    polls: u64,
    since_last_poll: Option<Duration>,
    is_slow: bool,
    waits_for: Vec<WaitsFor>,
}

impl TaskInfo {
    /// `None` if the task has completed meanwhile.
    pub(crate) fn new(listed: &Listed<'_>, now: Instant) -> Option<Self> {
        let polls = listed.task.polls();
        let state = listed.task.task_state()?;
        let kinds = (state == TaskState::Waiting).then(|| polls.wait_kinds().filter_map(WaitsFor::of));
        Some(Self {
            state,
            id: listed.task.id(),
            name: listed.name.cloned(),
            type_name: listed.task.type_name(),
            spawned_at: listed.spawned_at,
            polls: polls.count(),
            since_last_poll: polls.last().map(|last| now.saturating_duration_since(Instant(last))),
            is_slow: listed.is_slow,
            waits_for: kinds.into_iter().flatten().collect(),
        })
    }

    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Returns the name of the task: what [`Builder::name`](crate::task::Builder::name) gave it, or of an actor's task the actor's.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the type of the task's future: for an async block the path of the function it is written in.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Returns the place in the code that started the task.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }

    /// Returns what it does.
    pub fn state(&self) -> TaskState {
        self.state
    }

    /// Returns how often it was polled.
    pub fn poll_count(&self) -> u64 {
        self.polls
    }

    /// Returns the time since its last poll began, on the runtime's clock; `None` if it was never polled, and of a queued
    /// task also if [`Builder::schedule_latency_histogram`](crate::runtime::Builder::schedule_latency_histogram) measures how long it waits. It may show too much by as long as a worker
    /// does not look at the clock: some 10 ms, and on a current-thread runtime 61 polls.
    pub fn since_last_poll(&self) -> Option<Duration> {
        self.since_last_poll
    }

    /// Returns true if the watchdog has seen it in one poll for longer than
    /// [`Builder::slow_poll_threshold`](crate::runtime::Builder::slow_poll_threshold).
    pub fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Returns what it waits for: everything of this runtime's that its last poll has left its waker with, even if the poll has dropped it
    /// again, as `select!` does with what has lost; timers, sockets of the operating system and joined tasks also of earlier polls.
    ///
    /// What it waits for through a waker of its own, as the sets of futures of other libraries do, and what is not the runtime's, is not told, so
    /// the list may be empty though the state is [`TaskState::Waiting`]: then the task of an actor waits for messages. The reply of an actor of
    /// another node is a [`Channel`](WaitsFor::Channel).
    pub fn waits_for(&self) -> &[WaitsFor] {
        &self.waits_for
    }
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        match self.state {
            TaskState::Running => f.write_str(": running")?,
            TaskState::Queued => f.write_str(": queued")?,
            TaskState::Waiting => f.write_str(": waiting")?,
        }
        for (index, what) in self.waits_for.iter().enumerate() {
            f.write_str(if index == 0 { " for " } else { " or " })?;
            what.fmt(f)?;
        }
        match self.since_last_poll {
            Some(age) => write!(f, ", polled {} times, {age:.1?} ago", self.polls)?,
            None => f.write_str(", never polled")?,
        }
        if self.is_slow {
            f.write_str(", slow")?;
        }
        write!(f, ", spawned at {} ({})", self.spawned_at, self.type_name)
    }
}
