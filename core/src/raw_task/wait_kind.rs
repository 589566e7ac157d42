//! The kinds of things that a task waits for, as those that take its waker name them.

/// What is left with a task's waker. Of what the runtime keeps itself, timers, sockets and joined tasks, more is known than a kind: it is found
/// there, and says [`Listed`](Self::Listed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WaitKind {
    /// A value in a channel, or room in one, or its end.
    Channel,
    /// Permits of a semaphore.
    Semaphore,
    /// A mutex.
    Mutex,
    /// A reader-writer lock.
    RwLock,
    /// Others at a barrier.
    Barrier,
    /// A notification.
    Notify,
    /// A value that is made or set once.
    Value,
    /// A cancellation.
    Cancellation,
    /// The end of any task of a set.
    Tasks,
    /// The reply of an actor.
    Reply,
    /// Room in a mailbox.
    Mailbox,
    /// A closure of the blocking pool.
    Blocking,
    /// A stream in memory.
    Stream,
    /// Told by where the waker is.
    Listed,
}

use WaitKind::{
    Barrier, Blocking, Cancellation, Channel, Listed, Mailbox, Mutex, Notify, Reply, RwLock, Semaphore, Stream, Tasks,
    Value,
};

/// All that have a bit, in the order of their bits.
const KINDS: [WaitKind; 13] =
    [Channel, Semaphore, Mutex, RwLock, Barrier, Notify, Value, Cancellation, Tasks, Reply, Mailbox, Blocking, Stream];

impl WaitKind {
    /// The kind as one of a set.
    #[inline]
    pub(super) const fn bit(self) -> u64 {
        if matches!(self, Listed) { 0 } else { 1 << self as u8 }
    }

    pub(super) fn of_bits(bits: u64) -> impl Iterator<Item = Self> {
        KINDS.into_iter().filter(move |kind| bits & kind.bit() != 0)
    }
}
