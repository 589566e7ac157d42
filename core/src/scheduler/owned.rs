//! The list of a runtime's living tasks, so that shutting down can drop each of them and who asks can see them.
//!
//! Sharded by the worker that spawned the task; each shard is a slab behind a lock that is nearly always uncontended. What is of
//! no use to running a task is kept here and not in the task: where it was spawned, its name, whether it was reported.

use super::life::Life;
use crate::loom::sync::Mutex;
use crate::loom::sync::atomic::Ordering;
use crate::raw_task::{Header, Runnable, TaskRef};
use crate::util::slab::Slab;
use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;

/// Places of a shard that a listing looks at under one lock.
const LISTED_AT_ONCE: usize = 256;

#[derive(Debug)]
pub(crate) struct OwnedTasks {
    /// By the worker that spawned the task, whichever runs it.
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    /// Those that have not completed.
    tasks: Slab<Entry>,
    /// The names of those that have one. Not in the slots: most tasks have none, and a slot is paid for by each. So a task with a name, as an
    /// actor with one is, costs a node of the map besides.
    names: BTreeMap<usize, Arc<str>>,
    /// How many were ever added.
    spawned: u64,
}

/// A task in the list: alive, because it leaves the list before it gives its life reference back.
#[derive(Debug)]
struct Entry {
    /// The name of the task; followed under the shard's lock alone.
    task: *const Header,
    /// Where in the code it was spawned.
    spawned_at: &'static Location<'static>,
    /// It has a name among those of the shard.
    is_named: bool,
    /// The watchdog has seen it in one poll for long.
    is_slow: bool,
}

// SAFETY: the pointer is only a name for the task; it is turned into a reference under the shard's lock.
unsafe impl Send for Entry {}

/// Where a task comes from, and its name if it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) name: Option<&'a Arc<str>>,
}

impl Origin<'_> {
    /// The place of the caller, without a name.
    #[inline]
    #[track_caller]
    pub(crate) fn here() -> Self {
        Self { spawned_at: Location::caller(), name: None }
    }
}

/// A living task, seen under the lock of its shard.
pub(crate) struct Listed<'a> {
    pub(crate) task: &'a Header,
    pub(crate) spawned_at: &'static Location<'static>,
    pub(crate) name: Option<&'a Arc<str>>,
    pub(crate) is_slow: bool,
}

impl OwnedTasks {
    pub(crate) fn new(shards: usize) -> Self {
        Self { shards: (0..shards.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// Adds a new task. False if the runtime ends: the caller must drop its future.
    #[must_use]
    #[inline]
    pub(crate) fn insert(&self, life: &Life, shard_index: usize, task: &Runnable, origin: Origin<'_>) -> bool {
        // The index may be that of another runtime's worker.
        let shard_index = if shard_index < self.shards.len() { shard_index } else { 0 };
        let mut shard = self.shards[shard_index].lock();
        // Under the lock: either this sees the end, or `shut_down`, which comes after its beginning, sees the task.
        if !life.is_open() {
            return false;
        }

        // The name lies beside the slots; the slot says only that there is one, so that a task without one leaves the map alone.
        let is_named = origin.name.is_some();
        let entry = Entry { task: task.as_ptr(), spawned_at: origin.spawned_at, is_named, is_slow: false };
        let index = shard.tasks.insert(entry);
        if let Some(name) = origin.name {
            shard.names.insert(index, name.clone());
        }
        shard.spawned += 1;

        // Relaxed: written before the task is submitted, read by the run that completes it.
        let slot = ((shard_index as u64) << 32) | index as u64;
        task.header().owned.store(slot + 1, Ordering::Relaxed);
        true
    }

    /// Removes a task that completes, if it was ever added.
    #[inline]
    pub(crate) fn remove(&self, task: &Header) {
        let Some((shard, index)) = slot_of(task.owned.load(Ordering::Relaxed)) else { return };
        let mut shard = self.shards[shard].lock();
        // By the place alone: it is this task's until the task has completed, and only the run that completes it comes here.
        let removed = shard.tasks.remove(index);
        if removed.is_some_and(|entry| entry.is_named) {
            shard.names.remove(&index);
        }
    }

    /// Shows each task once, under no lock. No thread adds any: the runtime ends, and the last worker has left.
    pub(crate) fn for_each_left(&self, f: impl Fn(&TaskRef)) {
        for shard_index in 0..self.shards.len() {
            let mut index = 0;
            while let Some(task) = self.next_task(shard_index, &mut index) {
                f(&task);
            }
        }
    }

    /// Where a task comes from that is in the list, and its name.
    pub(crate) fn origin_of(&self, task: &Header) -> Option<(&'static Location<'static>, Option<Arc<str>>)> {
        let (shard, index) = slot_of(task.owned.load(Ordering::Relaxed))?;
        let shard = self.shards[shard].lock();
        let entry = shard.tasks.get(index).filter(|entry| std::ptr::eq(entry.task, task))?;
        Some((entry.spawned_at, shard.names.get(&index).cloned()))
    }

    fn next_task(&self, shard_index: usize, index: &mut usize) -> Option<TaskRef> {
        let shard = self.shards[shard_index].lock();
        while *index < shard.tasks.slots() {
            *index += 1;
            if let Some(entry) = shard.tasks.get(*index - 1) {
                // SAFETY: it is in the list, so it has its life reference; the lock keeps it in the list meanwhile.
                return Some(unsafe { TaskRef::retain(entry.task) });
            }
        }
        None
    }

    /// Shows each task to `f`, which runs under a lock: it must neither wake, run nor drop anything of a user.
    pub(crate) fn for_each(&self, mut f: impl FnMut(Listed<'_>)) {
        for shard in &self.shards {
            // In parts: spawns and completions of this shard get between them. One that lives all the while keeps its place, and is shown once.
            let mut from = 0;
            loop {
                let shard = shard.lock();
                if from >= shard.tasks.slots() {
                    break;
                }
                for index in from..from + LISTED_AT_ONCE {
                    if let Some(entry) = shard.tasks.get(index) {
                        f(shard.show(index, entry));
                    }
                }
                from += LISTED_AT_ONCE;
            }
        }
    }

    /// Whether the worker is in a poll of the task with this place.
    pub(crate) fn is_running(&self, slot: u64, worker: usize) -> bool {
        self.with_running(slot, worker, |_, _| ()).is_some()
    }

    /// Notes that a task is slow, if the worker is in a poll of it. Shows it to `f` if it is the first time.
    pub(crate) fn mark_slow<R>(&self, slot: u64, worker: usize, f: impl FnOnce(Listed<'_>) -> R) -> Option<R> {
        self.with_running(slot, worker, |shard, index| {
            if std::mem::replace(&mut shard.tasks.get_mut(index)?.is_slow, true) {
                return None;
            }
            Some(f(shard.show(index, shard.tasks.get(index)?)))
        })?
    }

    /// The place may be that of a task which has left the list, and be another one's now. So the task itself must say that it runs, and where.
    fn with_running<R>(&self, slot: u64, worker: usize, f: impl FnOnce(&mut Shard, usize) -> R) -> Option<R> {
        let (shard, index) = slot_of(slot)?;
        let mut shard = self.shards.get(shard)?.lock();
        let entry = shard.tasks.get(index)?;
        // SAFETY: it is in the list, so it has its life reference; the lock keeps it in the list meanwhile.
        let task = unsafe { &*entry.task };
        task.runs_on(worker).then(|| f(&mut shard, index))
    }

    /// The tasks that wait to be run, and how often each was run before.
    #[cfg(feature = "sim")]
    pub(crate) fn runnable_tasks(&self) -> Vec<(crate::raw_task::Id, u64)> {
        let mut waiting = Vec::new();
        for shard in 0..self.shards.len() {
            let mut index = 0;
            while let Some(task) = self.next_task(shard, &mut index) {
                waiting.extend(task.pending_run().map(|runs| (task.id(), runs)));
            }
        }
        waiting
    }

    /// Number of tasks that have not completed.
    pub(crate) fn len(&self) -> usize {
        (0..self.shards.len()).map(|index| self.shards[index].lock().tasks.len()).sum()
    }

    /// Number of tasks that were ever added.
    pub(crate) fn spawned(&self) -> u64 {
        (0..self.shards.len()).map(|index| self.shards[index].lock().spawned).sum()
    }
}

impl Shard {
    fn show<'a>(&'a self, index: usize, entry: &Entry) -> Listed<'a> {
        // SAFETY: it is in the list, so it has its life reference; the lock, which is borrowed, keeps it in the list meanwhile.
        let task: &'a Header = unsafe { &*entry.task };
        let name = if entry.is_named { self.names.get(&index) } else { None };
        Listed { task, spawned_at: entry.spawned_at, name, is_slow: entry.is_slow }
    }
}

/// In what a task keeps of its place: it runs on the worker whose shard it is in, and on no other.
const PINNED: u64 = 1 << 63;

/// Has a task that is in the list, and was not submitted yet, run on the worker of its shard alone.
pub(crate) fn pin(task: &Header) {
    let slot = task.owned.load(Ordering::Relaxed);
    task.owned.store(slot | PINNED, Ordering::Relaxed);
}

/// The worker that a task is pinned to, if it is.
pub(crate) fn pinned_to(task: &Header) -> Option<usize> {
    let slot = task.owned.load(Ordering::Relaxed);
    if slot & PINNED == 0 {
        return None;
    }
    slot_of(slot).map(|(shard, _)| shard)
}

/// Takes apart what a task keeps of its place: shard and index. `None` if it has none.
fn slot_of(slot: u64) -> Option<(usize, usize)> {
    let slot = (slot & !PINNED).checked_sub(1)?;
    Some(((slot >> 32) as usize, slot as u32 as usize))
}
