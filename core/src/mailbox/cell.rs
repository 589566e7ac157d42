//! The cell: a task with an inbox, in one allocation, and the reference that sends to it.

use super::ask::Reply;
use super::credit::{Capacity, Credit, Place, Refusal};
use super::inbox::Inbox;
use super::node::{self, Blank, Message};
use super::queue::Queue;
use super::{Receive, Receiver, turn};
use crate::context;
use crate::runtime::Handle;
use crate::task::Id;
use crate::task::raw::{self, TaskRef};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::task::{Context, Poll};

/// What all references to a cell share.
pub(super) struct CellShared<R: Receiver> {
    pub(super) queue: Queue,
    pub(super) credit: Credit,
    #[cfg(feature = "sim")]
    stamps: super::stamp::Stamps,
    user: R::Shared,
}

/// A counted reference to a cell. It keeps the memory of the shared part, never the cell's future.
pub struct CellRef<R: Receiver> {
    task: TaskRef,
    receiver: PhantomData<fn(R)>,
}

/// A message that was not accepted, given back.
pub enum Refused<M> {
    /// The inbox holds as many messages as it may, or others wait for room already.
    Full(M),
    /// The cell accepts no more messages.
    Closed(M),
}

impl<M> Refused<M> {
    /// Returns the message.
    pub fn into_inner(self) -> M {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }

    fn new(refusal: Refusal, message: M) -> Self {
        match refusal {
            Refusal::Full => Self::Full(message),
            Refusal::Closed => Self::Closed(message),
        }
    }
}

impl<M> fmt::Debug for Refused<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

/// A sender's place in the line for room in a full inbox. `Default` is a place that does not wait.
///
/// A place that waits must be used up or given to [`CellRef::leave_line`], which the owner does when it is dropped.
#[derive(Debug, Default)]
pub struct RoomWaiter(Place);

/// Starts a cell: `make` builds its whole life from a reference to it and its inbox.
///
/// If the runtime has shut down the future is dropped at once and the cell refuses every message.
pub fn spawn<R, F>(
    handle: &Handle,
    capacity: Capacity,
    shared: R::Shared,
    make: impl FnOnce(CellRef<R>, Inbox<R>) -> F,
) -> CellRef<R>
where
    R: Receiver,
    F: Future<Output = ()> + Send + 'static,
{
    let shared = CellShared::<R> {
        queue: Queue::new(),
        credit: Credit::new(capacity),
        #[cfg(feature = "sim")]
        stamps: super::stamp::Stamps::default(),
        user: shared,
    };
    let (task, runnable) = raw::new(handle.clone(), shared, false, |task| {
        let cell = CellRef::<R> { task, receiver: PhantomData };
        make(cell.clone(), Inbox::new(cell))
    });
    handle.launch(runnable);
    CellRef { task, receiver: PhantomData }
}

impl<R: Receiver> CellRef<R> {
    #[inline]
    pub(super) fn shared(&self) -> &CellShared<R> {
        // SAFETY: a `CellRef<R>` is made by `spawn` only, for a task with this shared part.
        unsafe { self.task.shared::<CellShared<R>>() }
    }

    /// Puts a message into the inbox, if there is room.
    ///
    /// # Errors
    /// [`Refused`] with the message.
    #[inline]
    pub fn try_tell<M: Send + 'static>(&self, message: M) -> Result<(), Refused<M>>
    where
        R: Receive<M>,
    {
        self.try_tell_with(&mut RoomWaiter::default(), message)
    }

    /// As [`try_tell`](Self::try_tell), using the room that was granted to `waiter`, if any.
    ///
    /// # Errors
    /// [`Refused`] with the message.
    #[inline]
    pub fn try_tell_with<M: Send + 'static>(&self, waiter: &mut RoomWaiter, message: M) -> Result<(), Refused<M>>
    where
        R: Receive<M>,
    {
        match self.acquire(waiter) {
            Ok(()) => {
                self.push(Blank::new().fill(message));
                Ok(())
            }
            Err(refusal) => Err(Refused::new(refusal, message)),
        }
    }

    /// Puts a message that wants a reply into the inbox, if there is room.
    ///
    /// # Errors
    /// [`Refused`] with the message.
    #[inline]
    pub fn try_ask<M: Send + 'static>(&self, message: M) -> Result<Reply<R::Reply>, Refused<M>>
    where
        R: Receive<M>,
    {
        self.try_ask_with(&mut RoomWaiter::default(), message)
    }

    /// As [`try_ask`](Self::try_ask), using the room that was granted to `waiter`, if any.
    ///
    /// # Errors
    /// [`Refused`] with the message.
    #[inline]
    pub fn try_ask_with<M: Send + 'static>(
        &self,
        waiter: &mut RoomWaiter,
        message: M,
    ) -> Result<Reply<R::Reply>, Refused<M>>
    where
        R: Receive<M>,
    {
        match self.acquire(waiter) {
            Ok(()) => {
                let (message, core) = node::new_ask::<R, M>(message);
                // SAFETY: the core of a fresh ask node with this reply type, used once.
                let reply = unsafe { Reply::new(core) };
                self.push(message);
                Ok(reply)
            }
            Err(refusal) => Err(Refused::new(refusal, message)),
        }
    }

    #[inline]
    fn acquire(&self, waiter: &mut RoomWaiter) -> Result<(), Refusal> {
        let credit = &self.shared().credit;
        if credit.take_granted(&mut waiter.0) {
            turn::begin(self.task.id());
            return Ok(());
        }
        match credit.acquire() {
            Err(Refusal::Full) if turn::goes_on(self.task.id()) && credit.take_set_aside() => Ok(()),
            result => result,
        }
    }

    #[inline]
    fn push(&self, message: Message<R>) {
        #[cfg(feature = "sim")]
        let message = {
            let mut message = message;
            *message.stamp() = self.shared().stamps.next();
            super::stamp::check_bound(self.shared().credit.is_above_bound());
            message
        };
        // SAFETY: a message just made is valid, in no queue, and comes out of this one as what it is.
        let crossed_idle_edge = unsafe { self.shared().queue.push(message.into_link()) };
        if crossed_idle_edge {
            self.task.wake();
        }
    }

    /// Waits in line for room: ready with true when it was granted to `waiter`, with false when the cell is closed.
    pub fn poll_room(&self, waiter: &mut RoomWaiter, cx: &mut Context<'_>) -> Poll<bool> {
        self.shared().credit.poll_room(&mut waiter.0, cx)
    }

    /// Gives up a place in the line; room that was granted goes to the next.
    pub fn leave_line(&self, waiter: &mut RoomWaiter) {
        self.shared().credit.forget(&mut waiter.0);
    }

    /// Allocates a node ahead, for a message that must never be refused for want of room.
    pub fn reserve<M: Send + 'static>(&self) -> Reserved<R, M>
    where
        R: Receive<M>,
    {
        Reserved { cell: self.clone(), blank: Blank::new() }
    }

    /// Schedules the cell, so that it looks at what was changed in its shared data.
    pub fn wake(&self) {
        self.task.wake();
    }

    /// Refuses all later messages; those in the inbox stay. Wakes the cell and everybody who waits for room.
    pub fn close(&self) {
        self.shared().credit.close();
        self.task.wake();
    }

    /// Returns true once the cell refuses all messages.
    pub fn is_closed(&self) -> bool {
        self.shared().credit.is_closed()
    }

    /// Returns the number of messages in the inbox. The serving loop settles it in batches, so it may be a few too high.
    pub fn queued(&self) -> usize {
        self.shared().credit.count()
    }

    /// Returns the bound of the inbox; `None` if it has none.
    pub fn capacity(&self) -> Option<usize> {
        self.shared().credit.capacity()
    }

    /// Returns true once the cell's future has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_complete()
    }

    /// Returns true if both refer to the same cell.
    pub fn same_cell(&self, other: &Self) -> bool {
        self.addr() == other.addr()
    }

    /// Returns an address that no other living cell has.
    pub fn addr(&self) -> usize {
        self.task.as_ptr() as usize
    }

    /// Returns true if the calling code runs inside this very cell.
    #[inline]
    pub fn is_current(&self) -> bool {
        context::current_task() == self.task.as_ptr()
    }

    /// Returns the runtime that the cell lives in.
    pub fn runtime(&self) -> &Handle {
        self.task.runtime()
    }

    /// Returns the id of the cell's task.
    pub fn task_id(&self) -> Id {
        self.task.id()
    }
}

impl<R: Receiver> Deref for CellRef<R> {
    type Target = R::Shared;

    #[inline]
    fn deref(&self) -> &R::Shared {
        &self.shared().user
    }
}

impl<R: Receiver> Clone for CellRef<R> {
    #[inline]
    fn clone(&self) -> Self {
        Self { task: self.task.clone(), receiver: PhantomData }
    }
}

impl<R: Receiver> fmt::Debug for CellRef<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CellRef").field("task", &self.task.id()).field("queued", &self.queued()).finish()
    }
}

/// A node allocated ahead. Its message is accepted whatever the inbox holds.
pub struct Reserved<R: Receive<M>, M: Send + 'static> {
    cell: CellRef<R>,
    blank: Blank<R, M>,
}

impl<R: Receive<M>, M: Send + 'static> Reserved<R, M> {
    /// Puts the message into the inbox, in the order of all messages.
    ///
    /// # Errors
    /// The message, if the cell is closed.
    pub fn tell(self, message: M) -> Result<(), M> {
        if self.cell.shared().credit.acquire_reserved().is_err() {
            return Err(message);
        }
        self.cell.push(self.blank.fill(message));
        Ok(())
    }

    /// Returns the cell that the message will go to.
    pub fn cell(&self) -> &CellRef<R> {
        &self.cell
    }
}

impl<R: Receive<M>, M: Send + 'static> fmt::Debug for Reserved<R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserved").field("cell", &self.cell).finish()
    }
}
