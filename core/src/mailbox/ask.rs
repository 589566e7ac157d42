//! The meeting point of an asker and the cell that answers, inside the message's own envelope.
//!
//! Two parties share an ask envelope: the *server* (first the queue, then the serving loop) and the *asker* (the [`ReplyReceiver`]).
//! `state` says who may touch the waker slot and who frees the envelope; each transition names its partner.
//!
//! ```text
//!   EMPTY <----> WAITING          asker registers or takes back its waker
//!   WAITING ---> TAKING           server moves the waker out
//!   EMPTY | TAKING ---> DONE      server is done and has let go: the asker owns the envelope
//!   EMPTY | TAKING ---> GONE      asker has let go: the server owns the envelope
//!   WAITING ---> GONE_WAKER       the same, and the slot still holds a waker
//! ```

use crate::loom::cell::UnsafeCell;
use crate::loom::sync::atomic::{AtomicU8, Ordering};
use crate::raw_task::panic::{drop_catching, wake_catching};
use crate::raw_task::wait_kind::WaitKind;
use crate::raw_task::waker::note_wait;
use std::alloc::Layout;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

const EMPTY: u8 = 0;
const WAITING: u8 = 1;
const TAKING: u8 = 2;
const DONE: u8 = 3;
const GONE: u8 = 4;
const GONE_WAKER: u8 = 5;

/// Why an ask got no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// The message was dropped before any work on it began.
    Stopped,
    /// The message was being handled when its handler panicked or was dropped.
    Crashed,
}

/// The shared part of an ask envelope.
#[derive(Debug)]
pub(super) struct AskCore {
    /// Who of the two sides does what next: see the table above. Both change it, each step by one exchange.
    state: AtomicU8,
    /// The asker's; touched by the side that `state` names. No `WakerSlot`: there is no lock, and who finds a waker here also learns from the
    /// state word who frees the envelope.
    waker: UnsafeCell<Option<Waker>>,
    /// Written by the server before it is done, read by the asker after.
    outcome: UnsafeCell<Outcome>,
    /// The start and layout of the whole envelope, for the side that frees it.
    pub(super) base: NonNull<u8>,
    /// See `base`.
    pub(super) layout: Layout,
    /// Where message, future and reply live, one after the other.
    pub(super) payload: NonNull<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    None,
    Value,
    Failed(ReplyError),
}

/// Who frees the envelope after the server let go.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Asker,
    /// The reply, if one was stored, must be dropped as well.
    Server,
}

impl AskCore {
    pub(super) fn new(base: NonNull<u8>, layout: Layout, payload: NonNull<u8>) -> Self {
        Self {
            state: AtomicU8::new(EMPTY),
            waker: UnsafeCell::new(None),
            outcome: UnsafeCell::new(Outcome::None),
            base,
            layout,
            payload,
        }
    }

    /// True once the asker has let go: the reply will not be read.
    pub(super) fn is_cancelled(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), GONE | GONE_WAKER)
    }

    /// The server is done: wakes the asker, and says who frees the envelope.
    ///
    /// Takes a pointer and no `&self`, as do the methods below: whom the state names owner frees the envelope before this
    /// returns, and a reference that is an argument promises that the memory outlives the call.
    ///
    /// # Safety
    /// Called once, by the server, which must not touch the envelope afterwards unless it is told that it owns it. With
    /// `Outcome::Value` the payload holds the reply.
    pub(super) unsafe fn finish(core: NonNull<Self>, outcome: Outcome) -> Owner {
        // SAFETY: until the server lets go, by what the exchanges below publish, the envelope is alive. After that the
        // reference is not used any more.
        let envelope = unsafe { core.as_ref() };
        // SAFETY: before it is done only the server touches the outcome.
        envelope.outcome.with_mut(|slot| unsafe { *slot = outcome });

        loop {
            // Release: publishes payload and outcome. Partner: the loads in `poll` and `detach`.
            match envelope.state.compare_exchange(EMPTY, DONE, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Owner::Asker,
                Err(WAITING) => {
                    // SAFETY: the server has not let go.
                    if let Some(owner) = unsafe { Self::wake_asker(core) } {
                        return owner;
                    }
                }
                // SAFETY: the asker has let go, the server has not.
                Err(gone) => return unsafe { Self::take_over(core, gone) },
            }
        }
    }

    /// Moves the waker out, lets go, wakes. `None` if the asker took its waker back meanwhile.
    ///
    /// # Safety
    /// Called by the server, which has not let go. Unless this returns `None` or `Owner::Server`, it has afterwards.
    unsafe fn wake_asker(core: NonNull<Self>) -> Option<Owner> {
        // SAFETY: as in `finish`.
        let envelope = unsafe { core.as_ref() };
        // Partner: the exchanges in `register_waker` and `detach`, which fail from here on.
        envelope.state.compare_exchange(WAITING, TAKING, Ordering::AcqRel, Ordering::Acquire).ok()?;
        // SAFETY: in state TAKING the slot is the server's alone.
        let waker = envelope.waker.with_mut(|slot| unsafe { (*slot).take() });

        let owner = match envelope.state.compare_exchange(TAKING, DONE, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Owner::Asker,
            // SAFETY: the asker has let go, the server has not.
            Err(gone) => unsafe { Self::take_over(core, gone) },
        };
        // The envelope may be gone by now: only the local waker is used.
        if let (Some(waker), Owner::Asker) = (waker, &owner) {
            wake_catching(waker);
        }
        Some(owner)
    }

    /// The asker let go first: its waker, if one is left, is the server's to drop.
    ///
    /// # Safety
    /// Called by the server, which has not let go; `gone` is what the state says.
    unsafe fn take_over(core: NonNull<Self>, gone: u8) -> Owner {
        if gone == GONE_WAKER {
            // SAFETY: the envelope is the server's.
            let envelope = unsafe { core.as_ref() };
            // SAFETY: the asker has let go, so the slot is the server's.
            let waker = envelope.waker.with_mut(|slot| unsafe { (*slot).take() });
            waker.into_iter().for_each(drop_catching);
        }
        Owner::Server
    }

    /// Registers the asker's waker. True if the server is done instead.
    fn register_waker(&self, cx: &mut Context<'_>) -> bool {
        // Takes back the slot from an earlier registration. Partner: `wake_asker`.
        if let Err(DONE) = self.state.compare_exchange(WAITING, EMPTY, Ordering::AcqRel, Ordering::Acquire) {
            return true;
        }
        if self.state.load(Ordering::Acquire) == TAKING {
            // The server is about to be done with the previous waker in hand: look again soon.
            cx.waker().wake_by_ref();
            return false;
        }

        let prev = self.waker.with_mut(|slot| {
            // SAFETY: in state EMPTY the slot is the asker's alone: the server takes wakers only in state WAITING.
            let slot = unsafe { &mut *slot };
            match slot {
                Some(waker) if waker.will_wake(cx.waker()) => None,
                _ => slot.replace(cx.waker().clone()),
            }
        });
        drop(prev);
        note_wait(cx.waker(), WaitKind::Reply);
        // Partner: `finish`. If it was quicker it found no waker, and the reply is here.
        self.state.compare_exchange(EMPTY, WAITING, Ordering::AcqRel, Ordering::Acquire).is_err()
    }

    /// The asker lets go. True if the server is done: the envelope is the asker's.
    ///
    /// # Safety
    /// Called once, by the asker, which must not touch the envelope afterwards unless this returns true.
    unsafe fn detach(core: NonNull<Self>) -> bool {
        // SAFETY: until the asker lets go, by the exchange below, the envelope is alive. Then the reference is not used.
        let envelope = unsafe { core.as_ref() };
        let mut state = envelope.state.load(Ordering::Acquire);
        loop {
            let next = match state {
                DONE => return true,
                WAITING => GONE_WAKER,
                _ => GONE,
            };
            match envelope.state.compare_exchange(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return false,
                Err(now) => state = now,
            }
        }
    }

    fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == DONE
    }
}

/// The reply to an ask, to be awaited. Dropping it tells the cell that the asker waits no more: work that has not begun is skipped.
///
/// # Cancel safety
/// Dropping it cancels the message if no work on it has begun.
///
/// # Panics
/// Polling again after it was ready.
pub struct ReplyReceiver<T> {
    core: Option<NonNull<AskCore>>,
    value: PhantomData<fn() -> T>,
}

// SAFETY: the reply moves to the task that awaits it, which `T: Send` allows; the shared envelope is guarded by its state word.
unsafe impl<T: Send> Send for ReplyReceiver<T> {}
// SAFETY: a shared `ReplyReceiver` offers nothing.
unsafe impl<T: Send> Sync for ReplyReceiver<T> {}

impl<T> Unpin for ReplyReceiver<T> {}

impl<T> ReplyReceiver<T> {
    /// # Safety
    /// `core` is the shared part of a fresh ask envelope whose reply type is `T`, and this is its only asker.
    pub(super) unsafe fn new(core: NonNull<AskCore>) -> Self {
        Self { core: Some(core), value: PhantomData }
    }

    /// Reads the outcome and frees the envelope, which the server has let go.
    fn take(core: NonNull<AskCore>) -> Result<T, ReplyError> {
        // SAFETY: the server is done, so the envelope is the asker's alone.
        let envelope = unsafe { core.as_ref() };
        // SAFETY: as above.
        let outcome = envelope.outcome.with(|slot| unsafe { *slot });
        let result = match outcome {
            Outcome::Value => {
                let value = envelope.payload.cast::<T>();
                // SAFETY: the server stored a reply of this type, and it is read once.
                Ok(unsafe { value.read() })
            }
            Outcome::Failed(lost) => Err(lost),
            Outcome::None => Err(ReplyError::Crashed),
        };
        // SAFETY: as above; the payload has been moved out.
        unsafe { free(core) };
        result
    }
}

impl<T> Future for ReplyReceiver<T> {
    type Output = Result<T, ReplyError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let core = self.core.expect("invariant: a reply is not polled after it was ready");
        let progress = std::task::ready!(crate::raw_task::coop::poll_proceed(cx));
        // SAFETY: the asker has not let go, so the envelope exists.
        let envelope = unsafe { core.as_ref() };
        if !envelope.is_done() && !envelope.register_waker(cx) {
            return Poll::Pending;
        }

        progress.made_progress();
        self.core = None;
        Poll::Ready(Self::take(core))
    }
}

impl<T> Drop for ReplyReceiver<T> {
    fn drop(&mut self) {
        let Some(core) = self.core.take() else { return };
        // SAFETY: the asker has not let go before.
        if unsafe { AskCore::detach(core) } {
            drop_catching(Self::take(core));
        }
    }
}

impl<T> fmt::Debug for ReplyReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyReceiver").field("taken", &self.core.is_none()).finish()
    }
}

/// Frees an ask envelope, whose payload has been moved out or dropped.
///
/// # Safety
/// The caller alone owns the envelope.
pub(super) unsafe fn free(core: NonNull<AskCore>) {
    // SAFETY: by contract.
    let envelope = unsafe { core.as_ref() };
    // SAFETY: by contract, no other thread looks at the slot; a waker may be left in it.
    let waker = envelope.waker.with_mut(|slot| unsafe { (*slot).take() });
    let (base, layout) = (envelope.base, envelope.layout);
    // SAFETY: allocated with this layout; nothing in it needs dropping any more.
    unsafe { super::pool::free(base, layout) };
    waker.into_iter().for_each(drop_catching);
}
