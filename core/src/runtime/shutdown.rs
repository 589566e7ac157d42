//! An orderly end: tasks get some time to finish, and what has not is named.

use super::Runtime;
use super::sleep::sleep;
use super::task_info::TaskInfo;
use crate::context;
use std::fmt;
use std::time::Duration;

/// How often it is looked whether all tasks have ended. Chosen: too short to be noticed, and it costs nothing while the runtime lives.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

impl Runtime {
    /// Gives the tasks and the blocking closures up to `grace` to end by themselves, then shuts down, and returns what has not ended.
    ///
    /// Until then everything goes on as before: tasks run (on a current-thread runtime on this thread), and may start others. It tells no task to end:
    /// that is a [`CancellationToken`](crate::sync::CancellationToken)'s work. What is left then is dropped, tasks each inside of the runtime;
    /// closures that run go on and are not waited for. `grace` is measured on the runtime's clock; one that does not go on by itself
    /// gives none, nor does one that is paused while a closure runs, nor a thread that drives a runtime, which may not block.
    ///
    /// # Examples
    /// ```
    /// use posse::runtime::Runtime;
    /// use posse::task;
    /// use std::time::Duration;
    ///
    /// let runtime = Runtime::new()?;
    /// runtime.spawn(async { /* ends in time */ });
    /// task::Builder::new().name("stuck").spawn_on(std::future::pending::<()>(), runtime.handle());
    ///
    /// let report = runtime.shutdown_grace(Duration::from_millis(20));
    /// assert_eq!(report.tasks().last().and_then(|task| task.name()), Some("stuck"));
    /// assert_eq!(report.blocking_closures(), 0);
    /// println!("{report}"); // also where it was spawned, and what it waits for
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn shutdown_grace(mut self, grace: Duration) -> ShutdownReport {
        let handle = self.handle.clone();
        let may_wait = !context::is_blocking_disallowed();
        if may_wait && (!handle.clock().is_manual() || handle.clock().jumps()) {
            let until = handle.now() + grace;
            // A clock that jumps stands while a closure runs, and that may be for ever.
            let stands = || handle.clock().jumps() && handle.blocking().busy() > 0;
            // It fails only if the runtime has ended, and then there is nothing to wait for.
            let _ = handle.try_block_on(async {
                while handle.alive_tasks() + handle.blocking().busy() > 0 && handle.now() < until && !stands() {
                    sleep(LOOK_INTERVAL.min(until - handle.now())).await;
                }
            });
        }
        let report = ShutdownReport { tasks: handle.tasks(), blocking_closures: handle.blocking().busy() };
        self.shut_down(may_wait);
        report
    }
}

/// What had not ended by itself when a runtime was shut down; see [`Runtime::shutdown_grace`]. `Display` prints a line for each.
#[derive(Clone, Debug)]
#[must_use = "it names the tasks that were dropped before they had ended"]
pub struct ShutdownReport {
    tasks: Vec<TaskInfo>,
    blocking_closures: usize,
}

impl ShutdownReport {
    /// Returns the tasks that were dropped.
    pub fn tasks(&self) -> &[TaskInfo] {
        &self.tasks
    }

    /// Returns how many closures of the blocking pool, and of `block_in_place`, were running or queued.
    pub fn blocking_closures(&self) -> usize {
        self.blocking_closures
    }

    /// Returns true if everything has ended by itself.
    pub fn is_clean(&self) -> bool {
        self.tasks.is_empty() && self.blocking_closures == 0
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tasks and {} blocking closures had not ended", self.tasks.len(), self.blocking_closures)?;
        self.tasks.iter().try_for_each(|task| write!(f, "\n{task}"))
    }
}
