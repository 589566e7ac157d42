//! The living tasks of a runtime, as data and as lines to print.

use super::Handle;
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

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// A timer with this deadline.
    Timer(Instant),
    /// Data from a socket, or room in one.
    Socket,
    /// The end of another task.
    Task(Id),
}

/// What is known of a task, from [`Handle::tasks`]. `Display` prints it in a line.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    id: Id,
    name: Option<Arc<str>>,
    type_name: &'static str,
    place: &'static Location<'static>,
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
        Some(Self {
            state: listed.task.task_state()?,
            id: listed.task.id(),
            name: listed.name.cloned(),
            type_name: listed.task.type_name(),
            place: listed.place,
            polls: polls.count(),
            since_last_poll: polls.last().map(|last| now.saturating_duration_since(Instant(last))),
            is_slow: listed.is_slow,
            waits_for: Vec::new(),
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
        self.place
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

    /// Returns what it waits for, as far as that can be told without a cost to tasks that nobody lists: timers, sockets of the operating
    /// system, and the end of other tasks, if the task itself waits for them and not through a waker of its own. Channels, locks and messages
    /// are not told, so the list may be empty though the state is [`TaskState::Waiting`].
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
            match what {
                WaitsFor::Timer(_) => f.write_str("a timer")?,
                WaitsFor::Socket => f.write_str("a socket")?,
                WaitsFor::Task(id) => write!(f, "task {id}")?,
            }
        }
        match self.since_last_poll {
            Some(age) => write!(f, ", polled {} times, {age:.1?} ago", self.polls)?,
            None => f.write_str(", never polled")?,
        }
        if self.is_slow {
            f.write_str(", slow")?;
        }
        write!(f, ", spawned at {} ({})", self.place, self.type_name)
    }
}
