//! The consuming end of a cell: serve messages with their handlers, or take them out one by one.
//!
//! Invariants: there is one inbox per cell, so it alone pops. Messages that were accepted are counted until they are
//! given out, so that a closed inbox knows exactly when nothing can arrive any more.

use super::Receiver;
use super::audit::OrderChecker;
use super::cell::CellRef;
use super::envelope::{Envelope, Running};
use super::queue::Pop;
use crate::events;
use crate::loom::hint;
use crate::raw_task::coop;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tracing::Span;

/// Messages handled in one poll before the other tasks get their turn. Not separable from 8 or 256 by measurement.
const MESSAGES_PER_POLL: u32 = 64;

/// Most messages given out before their room is given back; at most an eighth of the capacity. Measured: each time room
/// is given back every sender that waits is woken, so with 32 fan-in from 8 senders takes 89 ns a message, with 128 70 ns.
const RELEASE_BATCH_MAX: usize = 128;

/// The consuming end of a cell. Dropping it closes the cell and drops what is left in it.
pub struct Inbox<R: Receiver> {
    /// The queue it pops from, being the only one that does, and the permits it gives back.
    cell: CellRef<R>,
    /// Messages given out whose permits are not given back yet.
    unreleased: usize,
    /// Permits are given back when `unreleased` comes to this.
    release_at: usize,
    /// Senders still waited when room was given back last.
    crowded: bool,
    /// Messages that came out of the queue.
    taken: u64,
    /// Messages whose handler has come to its end.
    handled: u64,
    /// Asks dropped before their handler began, because no asker waited any more.
    expired: u64,
    /// In a simulation: what came out of the queue, by sender.
    seen: OrderChecker,
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServeEnd {
    /// [`Receiver::interrupted`] said so.
    Interrupted,
    /// The cell is closed and every accepted message was handled.
    Drained,
}

impl<R: Receiver> Inbox<R> {
    pub(super) fn new(cell: CellRef<R>) -> Self {
        let release_at =
            cell.capacity().map_or(RELEASE_BATCH_MAX, |capacity| (capacity / 8).clamp(1, RELEASE_BATCH_MAX));
        Self {
            cell,
            unreleased: 0,
            release_at,
            crowded: false,
            taken: 0,
            handled: 0,
            expired: 0,
            seen: OrderChecker::default(),
        }
    }

    /// Returns the cell that this is the inbox of.
    pub fn cell(&self) -> &CellRef<R> {
        &self.cell
    }

    /// Returns how many messages were taken out: handled, expired, being handled, lost with a handler, or as envelopes.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Returns how many messages a handler has finished.
    pub fn handled(&self) -> u64 {
        self.handled
    }

    /// Returns how many asks were dropped before any work because no asker waited for the reply any more.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// Handles messages, one after the other, until it is interrupted or the closed inbox is empty.
    ///
    /// A message schedules the cell's task and no waker: await this in the cell's own future. A combinator that polls only
    /// those of its futures whose wakers were woken does not come back to it.
    ///
    /// # Cancel safety
    /// Dropping it drops the handler that is running, whose asker is told so; no other message is lost.
    ///
    /// # Panics
    /// A handler's panic passes through, after its message was released.
    pub fn serve<'a>(state: &'a mut R::State, context: &'a mut R::Context) -> Serve<'a, R> {
        Serve { state, context, running: None, span: None, borrows: PhantomData }
    }

    /// Takes the next message: `None` when the inbox is closed and every accepted message was taken.
    ///
    /// A message schedules the cell's task and not the waker that this is polled with, as with [`serve`](Self::serve).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Envelope<R>>> {
        let progress = ready!(coop::poll_proceed(cx));
        match self.pop() {
            Pop::Envelope(link) => {
                progress.made_progress();
                Poll::Ready(Some(self.envelope(link)))
            }
            Pop::Busy { wakes_consumer } => {
                if !wakes_consumer {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
            Pop::Empty => {
                self.release_permits();
                if self.is_drained() { Poll::Ready(None) } else { Poll::Pending }
            }
        }
    }

    /// Takes the next message if there is one.
    pub fn try_recv(&mut self) -> Option<Envelope<R>> {
        match self.pop() {
            Pop::Envelope(link) => Some(self.envelope(link)),
            Pop::Busy { .. } | Pop::Empty => {
                self.release_permits();
                None
            }
        }
    }

    /// Closes the inbox and takes out everything that was accepted, without giving up the thread.
    ///
    /// A message is accepted a few instructions before it is in the queue, so this waits for next to nothing.
    pub fn drain(&mut self, mut each: impl FnMut(Envelope<R>)) {
        self.cell.shared().permits.close();
        self.release_permits();
        // Closed, so the count only falls: each message that was accepted is in the queue or a few instructions away from it.
        while !self.is_drained() {
            match self.try_recv() {
                Some(envelope) => each(envelope),
                None => hint::spin_loop(),
            }
        }
    }

    #[inline]
    fn pop(&mut self) -> Pop {
        // SAFETY: there is one inbox per cell, borrowed mutably.
        unsafe { self.cell.shared().queue.pop() }
    }

    #[inline]
    fn envelope(&mut self, link: std::ptr::NonNull<super::queue::QueueLinks>) -> Envelope<R> {
        self.taken += 1;
        self.unreleased += 1;
        if self.unreleased >= self.release_at {
            self.release_permits();
        }
        // SAFETY: just popped from this cell's own queue.
        let mut message = unsafe { Envelope::from_links(link) };
        self.seen.check(*message.seq_no());
        message
    }

    /// Gives back the room of the messages given out.
    #[inline]
    fn release_permits(&mut self) {
        let permits = &self.cell.shared().permits;
        self.crowded = match std::mem::take(&mut self.unreleased) {
            0 => permits.reclaim(),
            unreleased => permits.release(unreleased),
        };
    }

    /// The same in the middle of the work, while more wait for room than are let in at once.
    fn release_in_turns(&mut self) {
        if self.crowded && self.unreleased > 0 {
            self.crowded = self.cell.shared().permits.release_in_turns(std::mem::take(&mut self.unreleased));
        }
    }

    /// Closed, and nothing accepted is still on its way.
    fn is_drained(&self) -> bool {
        let permits = &self.cell.shared().permits;
        permits.is_closed() && permits.count() == 0
    }
}

impl<R: Receiver> Drop for Inbox<R> {
    fn drop(&mut self) {
        self.drain(drop);
    }
}

impl<R: Receiver> fmt::Debug for Inbox<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("cell", &self.cell).field("handled", &self.handled).finish()
    }
}

/// The future of [`Inbox::serve`].
#[must_use = "nothing is served unless this is awaited"]
pub struct Serve<'a, R: Receiver> {
    state: *mut R::State,
    context: *mut R::Context,
    /// The handler that waits for something. It borrows `state` and `context`, which no other code touches meanwhile.
    running: Option<Running<R>>,
    /// What `running` runs in, if anybody listens.
    span: Option<Box<Span>>,
    borrows: PhantomData<(&'a mut R::State, &'a mut R::Context)>,
}

// SAFETY: stands for the two exclusive borrows and a handler's future, all of which are `Send`.
unsafe impl<R: Receiver> Send for Serve<'_, R> {}

impl<R: Receiver> Unpin for Serve<'_, R> {}

impl<R: Receiver> Serve<'_, R> {
    /// The inbox, between two handlers.
    #[inline]
    fn inbox(&mut self) -> &mut Inbox<R> {
        debug_assert!(self.running.is_none());
        // SAFETY: borrowed exclusively for the life of `self`, and no handler runs.
        let context = unsafe { &mut *self.context };
        R::inbox(context)
    }

    fn is_interrupted(&self) -> bool {
        debug_assert!(self.running.is_none());
        // SAFETY: as in `inbox`.
        let context = unsafe { &*self.context };
        R::interrupted(context)
    }

    /// Begins with a message: one relaxed load more while no subscriber listens.
    #[inline]
    fn begin(&mut self, message: Envelope<R>, cx: &mut Context<'_>) {
        if events::is_traced() {
            return self.begin_traced(message, cx);
        }
        // SAFETY: exclusive borrows that outlive `self`, and the future is kept in `self` or gone.
        self.running = unsafe { message.start(self.state, self.context, cx) };
    }

    #[cold]
    fn begin_traced(&mut self, message: Envelope<R>, cx: &mut Context<'_>) {
        // SAFETY: as in `inbox`.
        let context = unsafe { &*self.context };
        let span = R::span(context, message.type_name());
        // SAFETY: as in `begin`.
        self.running = span.in_scope(|| unsafe { message.start(self.state, self.context, cx) });
        self.span = self.running.is_some().then(|| Box::new(span));
    }

    /// Goes on with the handler that waits, in its span if it has one.
    #[inline]
    fn resume(&mut self, running: Running<R>, cx: &mut Context<'_>) {
        match self.span.take() {
            None => self.running = running.poll(cx),
            Some(span) => self.resume_traced(running, span, cx),
        }
    }

    #[cold]
    fn resume_traced(&mut self, running: Running<R>, span: Box<Span>, cx: &mut Context<'_>) {
        self.running = span.in_scope(|| running.poll(cx));
        self.span = self.running.is_some().then_some(span);
    }

    /// Starts the next message. `Err` says what to return instead.
    #[inline]
    fn start_next(&mut self, cx: &mut Context<'_>) -> Result<(), Poll<ServeEnd>> {
        let inbox = self.inbox();
        // Nothing to do gives all room back: senders that wait for it are not to wait for the next message.
        let message = match inbox.pop() {
            Pop::Envelope(link) => inbox.envelope(link),
            Pop::Busy { wakes_consumer } => {
                inbox.release_permits();
                if !wakes_consumer {
                    cx.waker().wake_by_ref();
                }
                return Err(Poll::Pending);
            }
            Pop::Empty => {
                inbox.release_permits();
                return Err(if inbox.is_drained() { Poll::Ready(ServeEnd::Drained) } else { Poll::Pending });
            }
        };

        // Dropped here, unhandled: its asker has given up, and its handler has done nothing yet.
        if message.is_cancelled() {
            inbox.expired += 1;
            return Ok(());
        }
        self.begin(message, cx);
        if self.running.is_none() {
            self.inbox().handled += 1;
        }
        Ok(())
    }
}

impl<R: Receiver> Future for Serve<'_, R> {
    type Output = ServeEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ServeEnd> {
        let this = &mut *self;
        if let Some(running) = this.running.take() {
            this.resume(running, cx);
            if this.running.is_some() {
                return Poll::Pending;
            }
            let inbox = this.inbox();
            inbox.handled += 1;
            // Messages that take their time: a sender that waits for room does not wait for a batch of them.
            inbox.release_permits();
        }

        // Between any two messages an interruption has its chance, and after a share of them the other tasks have theirs.
        for _ in 0..MESSAGES_PER_POLL {
            if this.is_interrupted() {
                this.inbox().release_permits();
                return Poll::Ready(ServeEnd::Interrupted);
            }
            if let Err(result) = this.start_next(cx) {
                return result;
            }
            if this.running.is_some() {
                return Poll::Pending;
            }
            if crate::buggify(0.02) {
                break;
            }
        }

        // Out of turn: come back after the others. Those of them that wait for room do as much as they can meanwhile.
        this.inbox().release_in_turns();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<R: Receiver> fmt::Debug for Serve<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("handler_waits", &self.running.is_some()).finish()
    }
}
