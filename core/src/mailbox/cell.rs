//! The cell: a task with an inbox, in one allocation, and the reference that sends to it.

use super::ask::ReplyReceiver;
use super::audit::Sequencer;
use super::envelope::{self, EmptyEnvelope, Envelope};
use super::inbox::Inbox;
use super::permits::{Capacity, Permits, Reservation, TryAcquireError};
use super::queue::Queue;
use super::{Receive, Receiver, turn};
use crate::raw_task::{self, Id, Joiner, TypedRef, current};
use crate::runtime::Handle;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What all references to a cell share.
pub(super) struct CellShared<R: Receiver> {
    /// Accepted messages: any thread pushes, the inbox alone pops.
    pub(super) queue: Queue,
    /// Decides whether a message is accepted; senders take, the inbox gives back.
    pub(super) permits: Permits,
    /// In a simulation: numbers the messages.
    sequencer: Sequencer,
    /// What the cell's owner shares with all references.
    user: R::Shared,
}

/// A counted reference to a cell. It keeps the memory of the shared part, never the cell's future.
pub struct CellRef<R: Receiver> {
    task: TypedRef<Handle, CellShared<R>>,
    receiver: PhantomData<fn(R)>,
}

/// A message that was not accepted, given back.
pub enum TrySendError<M> {
    /// The inbox holds as many messages as it may, or others wait for room already.
    Full(M),
    /// The cell accepts no more messages.
    Closed(M),
}

impl<M> TrySendError<M> {
    /// Returns the message.
    pub fn into_inner(self) -> M {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }

    fn new(refusal: TryAcquireError, message: M) -> Self {
        match refusal {
            TryAcquireError::Full => Self::Full(message),
            TryAcquireError::Closed => Self::Closed(message),
        }
    }
}

impl<M> fmt::Debug for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

/// Starts a cell: `make` builds its whole life from a reference to it and its inbox.
///
/// If the runtime has shut down the future is dropped at once and the cell refuses every message.
#[track_caller]
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
    spawn_on(handle, None, Location::caller(), None, capacity, shared, make)
}

/// As [`spawn`], on one worker alone if there is one of this index, and with the place in the code and the name by which [`Handle::tasks`] and the watchdog
/// know it.
pub fn spawn_on<R, F>(
    handle: &Handle,
    worker: Option<usize>,
    place: &'static Location<'static>,
    name: Option<&Arc<str>>,
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
        permits: Permits::new(capacity),
        sequencer: Sequencer::default(),
        user: shared,
    };
    let (task, runnable) = raw_task::new(handle.next_task_id(), handle.clone(), shared, Joiner::None, |task| {
        let cell = CellRef::<R> { task: task.clone(), receiver: PhantomData };
        make(cell.clone(), Inbox::new(cell))
    });
    handle.launch(worker, place, name, runnable);
    CellRef { task, receiver: PhantomData }
}

impl<R: Receiver> CellRef<R> {
    #[inline]
    pub(super) fn shared(&self) -> &CellShared<R> {
        self.task.shared()
    }

    /// Puts a message into the inbox, if there is room.
    ///
    /// # Errors
    /// [`TrySendError`] with the message.
    #[inline]
    pub fn try_tell<M: Send + 'static>(&self, message: M) -> Result<(), TrySendError<M>>
    where
        R: Receive<M>,
    {
        self.try_tell_with(&mut Reservation::default(), message)
    }

    /// As [`try_tell`](Self::try_tell), using the room that was granted to `reservation`, if any.
    ///
    /// # Errors
    /// [`TrySendError`] with the message.
    #[inline]
    pub fn try_tell_with<M: Send + 'static>(
        &self,
        reservation: &mut Reservation,
        message: M,
    ) -> Result<(), TrySendError<M>>
    where
        R: Receive<M>,
    {
        match self.acquire(reservation) {
            Ok(()) => {
                self.push(EmptyEnvelope::new().write(message));
                Ok(())
            }
            Err(refusal) => Err(TrySendError::new(refusal, message)),
        }
    }

    /// Puts a message that wants a reply into the inbox, if there is room.
    ///
    /// # Errors
    /// [`TrySendError`] with the message.
    #[inline]
    pub fn try_ask<M: Send + 'static>(&self, message: M) -> Result<ReplyReceiver<R::Reply>, TrySendError<M>>
    where
        R: Receive<M>,
    {
        self.try_ask_with(&mut Reservation::default(), message)
    }

    /// As [`try_ask`](Self::try_ask), using the room that was granted to `reservation`, if any.
    ///
    /// # Errors
    /// [`TrySendError`] with the message.
    #[inline]
    pub fn try_ask_with<M: Send + 'static>(
        &self,
        reservation: &mut Reservation,
        message: M,
    ) -> Result<ReplyReceiver<R::Reply>, TrySendError<M>>
    where
        R: Receive<M>,
    {
        match self.acquire(reservation) {
            Ok(()) => {
                let (message, core) = envelope::new_ask::<R, M>(message);
                // SAFETY: the core of a fresh ask envelope with this reply type, used once.
                let reply = unsafe { ReplyReceiver::new(core) };
                self.push(message);
                Ok(reply)
            }
            Err(refusal) => Err(TrySendError::new(refusal, message)),
        }
    }

    #[inline]
    fn acquire(&self, reservation: &mut Reservation) -> Result<(), TryAcquireError> {
        let permits = &self.shared().permits;
        if permits.take_granted(reservation) {
            turn::begin(self.task.id());
            return Ok(());
        }
        match permits.acquire() {
            Err(TryAcquireError::Full) if turn::goes_on(self.task.id()) && permits.take_set_aside() => Ok(()),
            result => result,
        }
    }

    #[inline]
    fn push(&self, mut message: Envelope<R>) {
        self.shared().sequencer.stamp(message.seq_no());
        self.shared().permits.check_bound();
        // SAFETY: a message just made is valid, in no queue, and comes out of this one as what it is.
        let became_non_empty = unsafe { self.shared().queue.push(message.into_links()) };
        if became_non_empty {
            self.task.wake();
        }
    }

    /// Whether a `try_*_with` of the running task would not be refused for want of room now: room was granted to `reservation`, or
    /// this sender does not wait and there is some for it. Another sender may be quicker. True if the cell is closed.
    pub fn has_room(&self, reservation: &Reservation) -> bool {
        self.shared().permits.has_room(reservation, || turn::is_on(self.task.id()))
    }

    /// Waits in line for room: ready with true when it was granted to `reservation`, with false when the cell is closed.
    pub fn poll_reserve(&self, reservation: &mut Reservation, cx: &mut Context<'_>) -> Poll<bool> {
        self.shared().permits.poll_reserve(reservation, cx)
    }

    /// Gives up a place in the line; room that was granted goes to the next.
    pub fn cancel_reserve(&self, reservation: &mut Reservation) {
        self.shared().permits.cancel_reserve(reservation);
    }

    /// Allocates an envelope ahead, for a message that must never be refused for want of room.
    pub fn reserve_unbounded<M: Send + 'static>(&self) -> UnboundedPermit<R, M>
    where
        R: Receive<M>,
    {
        UnboundedPermit { cell: self.clone(), envelope: EmptyEnvelope::new() }
    }

    /// Schedules the cell, so that it looks at what was changed in its shared data.
    pub fn wake(&self) {
        self.task.wake();
    }

    /// Refuses all later messages; those in the inbox stay. Wakes the cell and all senders that wait for room.
    pub fn close(&self) {
        self.shared().permits.close();
        self.task.wake();
    }

    /// Returns true once the cell refuses all messages.
    pub fn is_closed(&self) -> bool {
        self.shared().permits.is_closed()
    }

    /// Returns the number of messages in the inbox. The serving loop settles it in batches, so it may be a few too high.
    pub fn queued(&self) -> usize {
        self.shared().permits.count()
    }

    /// Returns the bound of the inbox; `None` if it has none.
    pub fn capacity(&self) -> Option<usize> {
        self.shared().permits.capacity()
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
        current::current_task() == self.task.as_ptr()
    }

    /// Returns the runtime that the cell lives in.
    pub fn runtime(&self) -> &Handle {
        self.task.scheduler()
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

/// An envelope allocated ahead. Its message is accepted whatever the inbox holds.
pub struct UnboundedPermit<R: Receive<M>, M: Send + 'static> {
    cell: CellRef<R>,
    envelope: EmptyEnvelope<R, M>,
}

impl<R: Receive<M>, M: Send + 'static> UnboundedPermit<R, M> {
    /// Puts the message into the inbox, in the order of all messages.
    ///
    /// # Errors
    /// The message, if the cell is closed.
    pub fn tell(self, message: M) -> Result<(), M> {
        if self.cell.shared().permits.acquire_unbounded().is_err() {
            return Err(message);
        }
        self.cell.push(self.envelope.write(message));
        Ok(())
    }

    /// Returns the cell that the message will go to.
    pub fn cell(&self) -> &CellRef<R> {
        &self.cell
    }
}

impl<R: Receive<M>, M: Send + 'static> fmt::Debug for UnboundedPermit<R, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnboundedPermit").field("cell", &self.cell).finish()
    }
}
