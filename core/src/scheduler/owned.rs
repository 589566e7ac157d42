//! The list of a runtime's living tasks, so that shutting down can drop each of them.
//!
//! Sharded by the worker that spawned the task; each shard is a slab behind a lock that is nearly always uncontended.

use super::life::Life;
use crate::loom::sync::Mutex;
use crate::loom::sync::atomic::Ordering;
use crate::task::raw::{Header, Runnable, TaskRef};

#[derive(Debug)]
pub(crate) struct OwnedTasks {
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    slots: Vec<Slot>,
    free: Option<u32>,
    len: usize,
    /// How many were ever added.
    spawned: u64,
}

#[derive(Debug)]
enum Slot {
    Task(TaskPtr),
    Free(Option<u32>),
}

/// A task in the list: alive, because it leaves the list before it gives its life reference back.
#[derive(Debug)]
struct TaskPtr(*const Header);

// SAFETY: only a name for the task; it is turned into a reference under the shard's lock.
unsafe impl Send for TaskPtr {}

impl OwnedTasks {
    pub(crate) fn new(shards: usize) -> Self {
        Self { shards: (0..shards.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// Adds a new task. False if the runtime ends: the caller must drop its future.
    #[must_use]
    pub(crate) fn insert(&self, life: &Life, shard_index: usize, task: &Runnable) -> bool {
        let shard_index = shard_index % self.shards.len();
        let mut shard = self.shards[shard_index].lock();
        // Under the lock: either this sees the end, or `shut_down`, which comes after its beginning, sees the task.
        if !life.is_open() {
            return false;
        }

        let pointer = Slot::Task(TaskPtr(task.as_ptr()));
        let index = match shard.free {
            Some(index) => {
                let prev = std::mem::replace(&mut shard.slots[index as usize], pointer);
                shard.free = match prev {
                    Slot::Free(next) => next,
                    Slot::Task(_) => None,
                };
                index
            }
            None => {
                shard.slots.push(pointer);
                (shard.slots.len() - 1) as u32
            }
        };
        shard.len += 1;
        shard.spawned += 1;

        // Relaxed: written before the task is submitted, read by the run that completes it.
        let slot = ((shard_index as u64) << 32) | u64::from(index);
        task.header().owned.store(slot + 1, Ordering::Relaxed);
        true
    }

    /// Removes a task that completes, if it was ever added.
    pub(crate) fn remove(&self, task: &Header) {
        let Some(slot) = task.owned.load(Ordering::Relaxed).checked_sub(1) else { return };
        let mut shard = self.shards[(slot >> 32) as usize].lock();
        let index = slot as u32;

        let next = shard.free;
        shard.slots[index as usize] = Slot::Free(next);
        shard.free = Some(index);
        shard.len -= 1;
    }

    /// Drops the futures of all tasks. No thread runs or adds any: the runtime ends, and the last worker has left.
    pub(crate) fn shut_down(&self) {
        for shard_index in 0..self.shards.len() {
            let mut index = 0;
            while let Some(task) = self.next_task(shard_index, &mut index) {
                task.shut_down();
            }
        }
    }

    fn next_task(&self, shard_index: usize, index: &mut usize) -> Option<TaskRef> {
        let shard = self.shards[shard_index].lock();
        while let Some(slot) = shard.slots.get(*index) {
            *index += 1;
            if let Slot::Task(pointer) = slot {
                // SAFETY: it is in the list, so it has its life reference; the lock keeps it in the list meanwhile.
                return Some(unsafe { TaskRef::retain(pointer.0) });
            }
        }
        None
    }

    /// The tasks that wait to be run, and how often each was run before.
    #[cfg(feature = "sim")]
    pub(crate) fn runnable_tasks(&self) -> Vec<(crate::task::Id, u64)> {
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
        (0..self.shards.len()).map(|index| self.shards[index].lock().len).sum()
    }

    /// Number of tasks that were ever added.
    pub(crate) fn spawned(&self) -> u64 {
        (0..self.shards.len()).map(|index| self.shards[index].lock().spawned).sum()
    }
}
