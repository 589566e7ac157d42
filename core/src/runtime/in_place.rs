//! `block_in_place`: a task blocks its thread, and the worker goes on with another one.
//!
//! The worker's queue and what it shows to others are taken out of its thread and lie in the blocking pool, under its lock, until a
//! thread of the pool takes them; or until the closure has returned, if that is quicker. A thread that comes back too late has no
//! worker: it ends the poll, hands its task on and joins the pool. Until then what it wakes or sets goes where that of any
//! thread goes which is no worker.

use super::{Flavor, Handle, WorkerParts};
use crate::context;
use crate::raw_task::{coop, current};
use crate::scheduler::{Front, current as worker};
use std::mem;
use std::ptr;
use std::sync::Arc;

/// See [`task::block_in_place`](crate::task::block_in_place).
#[track_caller]
pub(crate) fn run<R>(f: impl FnOnce() -> R) -> R {
    if !context::is_blocking_disallowed() {
        return f();
    }
    match flavor_here() {
        Some(Flavor::CurrentThread) => panic!(
            "`block_in_place` on a current-thread runtime, which has no other thread to go on with: use `task::spawn_blocking`"
        ),
        // Nothing else runs meanwhile, whatever the closure does: it may not wait for the simulated world.
        Some(Flavor::Simulated) => return coop::unlimited(f),
        Some(Flavor::MultiThread) | None => {}
    }

    let _taken = Taken::take();
    // A thread that is a worker's still may block, but must not drive another runtime: what it spawns or wakes waits for itself.
    let is_worker = worker::with_local_queue(|local| local.is_some());
    let _may_block = (!is_worker).then(context::allow_blocking);
    coop::unlimited(f)
}

/// The flavor of the runtime that would stand still. It is the worker's: a task may have entered another one.
fn flavor_here() -> Option<Flavor> {
    worker::with_local_queue(|local| local.map(|(_, local)| local.flavor))
        .or_else(|| context::with_current(|handle| handle.map(Handle::flavor)))
}

/// A worker that was taken out of this thread; comes back when dropped, unless another thread has it.
struct Taken {
    /// The runtime that the worker belongs to.
    runtime: Handle,
    /// The worker's, by which the pool gives it back.
    index: usize,
    /// What it showed to the others, which is shown again if it comes back.
    front: Arc<Front>,
    /// Makes the thread a worker again; forgotten if another thread has the worker by then.
    left: Option<worker::LeftWorker>,
}

impl Taken {
    /// `None` where there is no worker to take: in a `block_on`, on a thread that has lost its own already, at the end of a runtime. Nor for
    /// a task of a `LocalSet` that a task of the worker polls: what is to be handed on after the poll is the other one.
    fn take() -> Option<Self> {
        let task = current::current_task_ref().filter(|task| task.header().is_owned())?;
        let runtime = task.scheduler::<Handle>()?.clone();
        let (index, queue, front) = worker::with_local_queue(|local| {
            let (_, local) = local.filter(|(shared, _)| ptr::eq(*shared, runtime.shared()))?;
            let (queue, front) = local.exchange(task, runtime.shared().intervals.maintenance);
            Some((local.index, queue, front))
        })?;

        // Before the hand-over: from then on another thread may be that worker.
        let left = worker::leave();
        match runtime
            .blocking()
            .lend_worker(&runtime, WorkerParts::taken(runtime.clone(), index, queue, runtime.random_u64()))
        {
            Ok(()) => Some(Self { runtime, index, front, left: Some(left) }),
            Err(parts) => {
                drop(left);
                restore(parts, front);
                None
            }
        }
    }
}

/// Makes the thread the worker again that it was.
fn restore(parts: WorkerParts, front: Arc<Front>) {
    worker::with_local_queue(|local| {
        let (_, local) = local.expect("invariant: what was left is the thread's worker again");
        local.restore(parts.into_queue(), front);
    });
}

impl Drop for Taken {
    fn drop(&mut self) {
        match self.runtime.blocking().take_back(self.index) {
            Some(parts) => {
                drop(self.left.take());
                restore(parts, self.front.clone());
            }
            // The rest of the poll is on no worker; the end of `Worker::enter` puts the thread in order.
            None => mem::forget(self.left.take()),
        }
    }
}
