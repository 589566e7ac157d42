//! Hooks that a program has run at points of the runtime's life: threads that start, sleep and stop, tasks that start, run and end.
//!
//! Hooks are foreign code: their panics end here, as events. A runtime without hooks pays nothing for them: those of tasks are behind looks that
//! are there anyway, at what is measured and at where a woken task goes.

use super::Shared;
use crate::raw_task::panic::catch_panic;
use crate::raw_task::{Header, Id, Runnable, TaskRef};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// A hook with what it is told.
pub(crate) type Hook<T = ()> = Arc<dyn Fn(&T) + Send + Sync>;

/// What a hook is told of a task; see [`Builder::on_task_spawn`](crate::runtime::Builder::on_task_spawn).
#[derive(Clone, Debug)]
pub struct TaskMeta {
    id: Id,
    name: Option<Arc<str>>,
    spawned_at: &'static Location<'static>,
}

impl TaskMeta {
    /// Returns the id of the task.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Returns its name: what [`task::Builder::name`](crate::task::Builder::name) gave it, or of an actor's task the actor's.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the place in the code that started it.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.spawned_at
    }
}

#[derive(Clone, Default)]
pub(crate) struct ThreadHooks {
    pub(crate) start: Option<Hook>,
    pub(crate) stop: Option<Hook>,
    pub(crate) park: Option<Hook>,
    pub(crate) unpark: Option<Hook>,
}

#[derive(Clone, Default)]
pub(crate) struct TaskHooks {
    pub(crate) spawn: Option<Hook<TaskMeta>>,
    pub(crate) before_poll: Option<Hook<TaskMeta>>,
    pub(crate) after_poll: Option<Hook<TaskMeta>>,
    pub(crate) terminate: Option<Hook<TaskMeta>>,
}

fn call<T>(hook: &Option<Hook<T>>, about: &T) {
    if let Some(hook) = hook {
        catch_panic("a hook of the runtime panicked", || hook(about));
    }
}

impl ThreadHooks {
    /// Runs the life of a thread between its two hooks.
    pub(crate) fn around<R>(&self, life: impl FnOnce() -> R) -> R {
        call(&self.start, &());
        let result = life();
        call(&self.stop, &());
        result
    }

    pub(crate) fn park(&self) {
        call(&self.park, &());
    }

    pub(crate) fn unpark(&self) {
        call(&self.unpark, &());
    }
}

impl TaskHooks {
    pub(crate) fn is_empty(&self) -> bool {
        self.spawn.is_none() && self.before_poll.is_none() && self.after_poll.is_none() && self.terminate.is_none()
    }

    pub(crate) fn spawned(&self, shared: &Shared, task: &Runnable) {
        if let Some(meta) = self.spawn.is_some().then(|| meta_of(shared, task.header())).flatten() {
            call(&self.spawn, &meta);
        }
    }

    /// Runs a poll, or what else may end a task, between the hooks that it calls for.
    pub(crate) fn around_poll<R>(&self, shared: &Shared, task: Runnable, poll: impl FnOnce(Runnable) -> R) -> R {
        let Some(meta) = meta_of(shared, task.header()) else { return poll(task) };
        // Its own reference: who completes the task gives the task's away.
        let kept = task.task_ref();
        let run = task.header().polls().count() + 1;
        call(&self.before_poll, &meta);
        let result = poll(task);
        call(&self.after_poll, &meta);
        // The run that completes a task is its last one: by now another worker may have begun, and ended, the next.
        if kept.is_complete() && kept.header().polls().count() == run {
            call(&self.terminate, &meta);
        }
        result
    }

    /// Ends a task that is not polled any more, if `end` says that it did: another thread may have, or still be in its poll.
    pub(crate) fn around_end(&self, shared: &Shared, task: &TaskRef, end: impl FnOnce(&TaskRef) -> bool) {
        let meta = meta_of(shared, task.header());
        if end(task) {
            meta.iter().for_each(|meta| call(&self.terminate, meta));
        }
    }
}

/// `None` for tasks that are in no list: closures of the blocking pool, tasks of a `LocalSet`, tasks that were refused.
fn meta_of(shared: &Shared, task: &Header) -> Option<TaskMeta> {
    let (spawned_at, name) = shared.owned.origin_of(task)?;
    Some(TaskMeta { id: task.id(), name, spawned_at })
}

impl fmt::Debug for ThreadHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadHooks").finish_non_exhaustive()
    }
}

impl fmt::Debug for TaskHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHooks").finish_non_exhaustive()
    }
}
