//! One message on its way: a single allocation that holds the message, then its handler's future, then the reply.
//!
//! The sender sizes the envelope for all three, so a message costs one allocation whatever its handler does. An envelope is a
//! head, for an ask an [`AskCore`], and a payload; the functions in its vtable know the types. Envelopes are handled by
//! exactly one owner at a time: the sender, the queue, the serving loop, and for asks at the very end the asker.

use super::ask::{self, AskCore, Outcome, Owner, ReplyError};
use super::audit::SeqNo;
use super::queue::QueueLinks;
use super::{Receive, Receiver, pool};
use crate::raw_task::panic::drop_catching;
use std::alloc::Layout;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

#[repr(C)]
pub(super) struct Header<R: Receiver> {
    /// The next one in the queue; of the queue while the message is in it.
    link: QueueLinks,
    /// What is done with the message, by its type; never changes.
    vtable: &'static VTable<R>,
    /// In a simulation: who sent it, and as which of all the messages to the cell.
    seq_no: SeqNo,
}

impl<R: Receiver> Header<R> {
    #[inline]
    fn new(vtable: &'static VTable<R>) -> Self {
        Self { link: QueueLinks::new(), vtable, seq_no: SeqNo::default() }
    }
}

#[repr(C)]
struct AskHeader<R: Receiver> {
    head: Header<R>,
    core: AskCore,
}

type Start<R> = unsafe fn(
    NonNull<Header<R>>,
    *mut <R as Receiver>::State,
    *mut <R as Receiver>::Context,
    &mut Context<'_>,
) -> Option<Running<R>>;

struct VTable<R: Receiver> {
    /// Begins the handler; `None` if it has ended at once.
    start: Start<R>,
    /// Drops the message unhandled, and answers the asker.
    discard: unsafe fn(NonNull<Header<R>>),
    /// Whether no asker waits any more.
    is_cancelled: unsafe fn(NonNull<Header<R>>) -> bool,
    /// For people.
    type_name: fn() -> &'static str,
    /// Whether a reply is wanted.
    is_ask: bool,
}

/// A message whose handler has not begun. Dropping it answers the asker with [`ReplyError::Stopped`](super::ReplyError::Stopped).
pub struct Envelope<R: Receiver>(NonNull<Header<R>>);

/// A handler's future that waits in its envelope. Dropping it answers the asker with [`ReplyError::Crashed`].
pub(super) struct Running<R: Receiver> {
    /// Owned: it is freed, or handed to the asker, when the handler has ended.
    envelope: NonNull<Header<R>>,
    /// Polls the future of the handler that lies in it.
    resume: unsafe fn(NonNull<Header<R>>, &mut Context<'_>) -> Poll<()>,
    /// Drops that future in the middle.
    drop: unsafe fn(NonNull<Header<R>>),
}

// SAFETY: an envelope holds a message (`Send`), its handler's future (`Send` by the bound on `Receive`) or a reply (`Send`).
unsafe impl<R: Receiver> Send for Envelope<R> {}
// SAFETY: as above.
unsafe impl<R: Receiver> Send for Running<R> {}

/// The layouts that an envelope of message `M` for receiver `R` needs.
struct EnvelopeLayout<R, M>(PhantomData<(R, M)>);

impl<R: Receive<M>, M: Send + 'static> EnvelopeLayout<R, M> {
    const FUTURE: Layout = future_layout::<&'static mut R::State, &'static mut R::Context, M, _>(R::receive);
    const PAYLOAD: Layout = max_layout(max_layout(Layout::new::<M>(), Self::FUTURE), Layout::new::<R::Reply>());
    const TELL: (Layout, usize) = extend_layout(Layout::new::<Header<R>>(), Self::PAYLOAD);
    const ASK: (Layout, usize) = extend_layout(Layout::new::<AskHeader<R>>(), Self::PAYLOAD);

    const fn envelope(ask: bool) -> (Layout, usize) {
        if ask { Self::ASK } else { Self::TELL }
    }
}

/// The layout of the unnamed future that a function returns.
const fn future_layout<A, B, C, F>(_: fn(A, B, C) -> F) -> Layout {
    Layout::new::<F>()
}

const fn max_layout(a: Layout, b: Layout) -> Layout {
    let size = if a.size() > b.size() { a.size() } else { b.size() };
    let align = if a.align() > b.align() { a.align() } else { b.align() };
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(_) => panic!("a message is larger than memory"),
    }
}

/// A block with `payload` behind `head`, and the payload's offset in it.
const fn extend_layout(head: Layout, payload: Layout) -> (Layout, usize) {
    // What `Layout::extend` does, which is no constant function in Rust 1.85.
    let mask = payload.align() - 1;
    let offset = (head.size() + mask) & !mask;
    let align = if head.align() > payload.align() { head.align() } else { payload.align() };
    match Layout::from_size_align(offset + payload.size(), align) {
        Ok(layout) => (layout, offset),
        Err(_) => panic!("a message is larger than memory"),
    }
}

/// A tell envelope without its message yet.
pub(super) struct EmptyEnvelope<R: Receive<M>, M: Send + 'static> {
    envelope: NonNull<Header<R>>,
    message: PhantomData<fn(M)>,
}

// SAFETY: an empty block of memory.
unsafe impl<R: Receive<M>, M: Send + 'static> Send for EmptyEnvelope<R, M> {}
// SAFETY: as above, and a shared one offers nothing.
unsafe impl<R: Receive<M>, M: Send + 'static> Sync for EmptyEnvelope<R, M> {}

impl<R: Receive<M>, M: Send + 'static> EmptyEnvelope<R, M> {
    pub(super) fn new() -> Self {
        let envelope = pool::allocate(EnvelopeLayout::<R, M>::TELL.0).cast::<Header<R>>();
        let head = Header::new(vtable::<R, M, false>());
        // SAFETY: freshly allocated for a head and more.
        unsafe { envelope.write(head) };
        Self { envelope, message: PhantomData }
    }

    #[inline]
    pub(super) fn write(self, message: M) -> Envelope<R> {
        let envelope = ManuallyDrop::new(self).envelope;
        // SAFETY: the envelope was laid out for a tell with an `M`.
        let payload = unsafe { payload::<R, M, false>(envelope) };
        // SAFETY: as above, and it is empty.
        unsafe { payload.cast::<M>().write(message) };
        Envelope(envelope)
    }
}

impl<R: Receive<M>, M: Send + 'static> Drop for EmptyEnvelope<R, M> {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and empty.
        unsafe { pool::free(self.envelope.cast(), EnvelopeLayout::<R, M>::TELL.0) };
    }
}

/// Makes an ask envelope, and the shared part that the asker holds on to.
pub(super) fn new_ask<R: Receive<M>, M: Send + 'static>(message: M) -> (Envelope<R>, NonNull<AskCore>) {
    let (layout, _) = EnvelopeLayout::<R, M>::ASK;
    let block = pool::allocate(layout);
    let envelope = block.cast::<AskHeader<R>>();
    // SAFETY: inside of the block just allocated.
    let payload = unsafe { payload::<R, M, true>(envelope.cast()) };
    let head = Header::new(vtable::<R, M, true>());
    // SAFETY: freshly allocated for an ask head and more.
    unsafe { envelope.write(AskHeader { head, core: AskCore::new(block, layout, payload) }) };
    // SAFETY: the envelope was laid out for an `M`.
    unsafe { payload.cast::<M>().write(message) };
    // SAFETY: the pointer stays inside of the block.
    let core = unsafe { core_of(envelope.cast::<Header<R>>()) };
    (Envelope(envelope.cast()), core)
}

impl<R: Receiver> Envelope<R> {
    /// Turns the message into the link that the queue holds.
    #[inline]
    pub(super) fn into_links(self) -> NonNull<QueueLinks> {
        ManuallyDrop::new(self).0.cast()
    }

    /// # Safety
    /// `link` came from `into_links` of a message for the same receiver, and is used once.
    #[inline]
    pub(super) unsafe fn from_links(link: NonNull<QueueLinks>) -> Self {
        Self(link.cast())
    }

    fn vtable(&self) -> &'static VTable<R> {
        // SAFETY: the owner of a message may read its head.
        unsafe { self.0.as_ref() }.vtable
    }

    /// Who sent it, and as which of all the messages to the cell.
    pub(super) fn seq_no(&mut self) -> &mut SeqNo {
        // SAFETY: the owner of a message may write its head.
        let head = unsafe { self.0.as_mut() };
        &mut head.seq_no
    }

    /// Returns the name of the message's type, for people.
    pub fn type_name(&self) -> &'static str {
        (self.vtable().type_name)()
    }

    /// Returns true if the sender waits for a reply, false if the message was told.
    pub fn is_ask(&self) -> bool {
        self.vtable().is_ask
    }

    /// Returns true if this is an ask whose asker no longer waits.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        let is_cancelled = self.vtable().is_cancelled;
        // SAFETY: the owner of a message may look at it.
        unsafe { is_cancelled(self.0) }
    }

    /// Builds the handler's future in the envelope and polls it. `None` when it is done already.
    ///
    /// # Safety
    /// `state` and `context` are valid and used by no other code until the returned future is done or dropped.
    #[inline]
    pub(super) unsafe fn start(
        self,
        state: *mut R::State,
        context: *mut R::Context,
        cx: &mut Context<'_>,
    ) -> Option<Running<R>> {
        let start = self.vtable().start;
        let envelope = ManuallyDrop::new(self).0;
        // SAFETY: by contract.
        unsafe { start(envelope, state, context, cx) }
    }
}

impl<R: Receiver> fmt::Debug for Envelope<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("type", &self.type_name()).field("ask", &self.is_ask()).finish()
    }
}

impl<R: Receiver> Drop for Envelope<R> {
    fn drop(&mut self) {
        let discard = self.vtable().discard;
        // SAFETY: the owner gives the message up.
        unsafe { discard(self.0) };
    }
}

impl<R: Receiver> Running<R> {
    #[inline]
    pub(super) fn poll(self, cx: &mut Context<'_>) -> Option<Self> {
        let running = ManuallyDrop::new(self);
        // SAFETY: the envelope holds the future that `resume` was made for. If it panics it has released the envelope.
        match unsafe { (running.resume)(running.envelope, cx) } {
            Poll::Ready(()) => None,
            Poll::Pending => Some(ManuallyDrop::into_inner(running)),
        }
    }
}

impl<R: Receiver> Drop for Running<R> {
    fn drop(&mut self) {
        // SAFETY: the envelope holds the future that `drop` was made for.
        unsafe { (self.drop)(self.envelope) };
    }
}

fn vtable<R: Receive<M>, M: Send + 'static, const ASK: bool>() -> &'static VTable<R> {
    &VTable {
        start: start::<R, M, ASK>,
        discard: discard::<R, M, ASK>,
        is_cancelled: is_cancelled::<R, ASK>,
        type_name: std::any::type_name::<M>,
        is_ask: ASK,
    }
}

/// # Safety
/// `envelope` is a block laid out by `EnvelopeLayout<R, M>` for `ASK`.
#[inline]
unsafe fn payload<R: Receive<M>, M: Send + 'static, const ASK: bool>(envelope: NonNull<Header<R>>) -> NonNull<u8> {
    let offset = EnvelopeLayout::<R, M>::envelope(ASK).1;
    // SAFETY: inside of the block, by contract.
    unsafe { envelope.cast::<u8>().add(offset) }
}

/// # Safety
/// `envelope` is an ask envelope.
#[inline]
unsafe fn core_of<R: Receiver>(envelope: NonNull<Header<R>>) -> NonNull<AskCore> {
    // SAFETY: inside of the block, by contract.
    unsafe { envelope.cast::<u8>().add(mem::offset_of!(AskHeader<R>, core)) }.cast()
}

/// # Safety
/// `envelope` is of kind `ASK`, and the caller owns it.
unsafe fn is_cancelled<R: Receiver, const ASK: bool>(envelope: NonNull<Header<R>>) -> bool {
    if !ASK {
        return false;
    }
    // SAFETY: an ask envelope, by contract.
    let core = unsafe { core_of(envelope) };
    // SAFETY: the envelope is alive while the server owns it.
    unsafe { core.as_ref() }.is_cancelled()
}

/// # Safety
/// `envelope` holds an `M` for `R`; the pointers are valid and exclusive until the handler's future is gone.
unsafe fn start<R: Receive<M>, M: Send + 'static, const ASK: bool>(
    envelope: NonNull<Header<R>>,
    state: *mut R::State,
    context: *mut R::Context,
    cx: &mut Context<'_>,
) -> Option<Running<R>> {
    // SAFETY: by contract.
    let payload = unsafe { payload::<R, M, ASK>(envelope) };
    // SAFETY: the message is moved out once.
    let message = unsafe { payload.cast::<M>().read() };
    // `receive` may panic before there is a future: then the asker is told, and the memory goes.
    let release = ReleaseOnDrop::<R, M, ASK>(envelope, PhantomData);

    // SAFETY: by contract.
    let state = unsafe { &mut *state };
    // SAFETY: by contract.
    let context = unsafe { &mut *context };
    let future = R::receive(state, context, message);
    mem::forget(release);
    // SAFETY: the payload is empty and laid out for this future.
    unsafe { begin::<R, M, _, ASK>(envelope, payload, future, cx) }
}

/// # Safety
/// `envelope` is laid out for `F`, and its payload at `place` is empty.
unsafe fn begin<R: Receive<M>, M: Send + 'static, F: Future<Output = R::Reply>, const ASK: bool>(
    envelope: NonNull<Header<R>>,
    payload: NonNull<u8>,
    future: F,
    cx: &mut Context<'_>,
) -> Option<Running<R>> {
    debug_assert_eq!(Layout::new::<F>(), EnvelopeLayout::<R, M>::FUTURE);
    // SAFETY: by contract.
    unsafe { payload.cast::<F>().write(future) };
    // SAFETY: the payload holds the future now.
    match unsafe { resume::<R, M, F, ASK>(envelope, cx) } {
        Poll::Ready(()) => None,
        Poll::Pending => Some(Running { envelope, resume: resume::<R, M, F, ASK>, drop: drop_running::<R, M, F, ASK> }),
    }
}

/// Polls the future in the envelope. When it is ready, or panics, the envelope is released.
///
/// # Safety
/// The payload of `envelope` holds an `F`.
unsafe fn resume<R: Receive<M>, M: Send + 'static, F: Future<Output = R::Reply>, const ASK: bool>(
    envelope: NonNull<Header<R>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // SAFETY: by contract.
    let payload = unsafe { payload::<R, M, ASK>(envelope) }.cast::<F>();
    // Armed for a panic of the poll: the future is dropped first, in reverse order of these lines, then the envelope is let go.
    let release = ReleaseOnDrop::<R, M, ASK>(envelope, PhantomData);
    let in_place = DropInPlace(payload);

    // SAFETY: the future is there, and only this call uses it.
    let future = unsafe { &mut *payload.as_ptr() };
    // SAFETY: it is not moved until it is dropped in place.
    let polled = unsafe { Pin::new_unchecked(future) }.poll(cx);
    let Poll::Ready(reply) = polled else {
        mem::forget(in_place);
        mem::forget(release);
        return Poll::Pending;
    };

    // The future leaves before the reply takes its place; a panic of its destructor is one of the handler's.
    drop(in_place);
    mem::forget(release);
    // SAFETY: the future is gone, the payload is empty.
    unsafe { complete::<R, M, ASK>(envelope, reply) };
    Poll::Ready(())
}

/// Stores the reply for the asker, or drops it, and lets the envelope go.
///
/// # Safety
/// The payload of `envelope` is empty.
unsafe fn complete<R: Receive<M>, M: Send + 'static, const ASK: bool>(envelope: NonNull<Header<R>>, reply: R::Reply) {
    // No asker waits: the envelope goes first, so that a reply whose drop panics finds the message done.
    if !ASK {
        // SAFETY: by contract.
        unsafe { release::<R, M, ASK>(envelope, Outcome::None) };
        drop(reply);
        return;
    }

    // SAFETY: by contract, and laid out for a reply.
    let payload = unsafe { payload::<R, M, ASK>(envelope) }.cast::<R::Reply>();
    // SAFETY: as above.
    unsafe { payload.write(reply) };
    // SAFETY: the payload holds the reply.
    unsafe { release::<R, M, ASK>(envelope, Outcome::Value) };
}

/// # Safety
/// The payload of `envelope` holds an `F`.
unsafe fn drop_running<R: Receive<M>, M: Send + 'static, F, const ASK: bool>(envelope: NonNull<Header<R>>) {
    // SAFETY: by contract.
    let payload = unsafe { payload::<R, M, ASK>(envelope) }.cast::<F>();
    let _release = ReleaseOnDrop::<R, M, ASK>(envelope, PhantomData);
    drop(DropInPlace(payload));
}

/// # Safety
/// The payload of `envelope` holds an `M`.
unsafe fn discard<R: Receive<M>, M: Send + 'static, const ASK: bool>(envelope: NonNull<Header<R>>) {
    // SAFETY: by contract.
    let payload = unsafe { payload::<R, M, ASK>(envelope) };
    // SAFETY: moved out once.
    let message = unsafe { payload.cast::<M>().read() };
    // SAFETY: the payload is empty now.
    unsafe { release::<R, M, ASK>(envelope, Outcome::Failed(ReplyError::Stopped)) };
    drop_catching(message);
}

/// Lets an envelope go: tells the asker, or frees the memory.
///
/// # Safety
/// The server owns `envelope`; its payload is empty, or holds the reply if the outcome is a value.
unsafe fn release<R: Receive<M>, M: Send + 'static, const ASK: bool>(envelope: NonNull<Header<R>>, outcome: Outcome) {
    if !ASK {
        // SAFETY: allocated with this layout.
        unsafe { pool::free(envelope.cast(), EnvelopeLayout::<R, M>::TELL.0) };
        return;
    }

    // SAFETY: an ask envelope.
    let core = unsafe { core_of(envelope) };
    // SAFETY: the server owns the envelope, and lets it go once.
    if unsafe { AskCore::finish(core, outcome) } == Owner::Asker {
        return;
    }

    // SAFETY: the asker is gone, the server alone owns the envelope.
    let payload = unsafe { payload::<R, M, ASK>(envelope) }.cast::<R::Reply>();
    let unread = (outcome == Outcome::Value).then(|| {
        // SAFETY: by contract the reply is there, and it is moved out once.
        unsafe { payload.read() }
    });
    // SAFETY: as above, and the payload is empty now.
    unsafe { ask::free(core) };
    drop_catching(unread);
}

/// Releases an envelope whose handler did not come to its end: the asker learns that it crashed.
struct ReleaseOnDrop<R: Receive<M>, M: Send + 'static, const ASK: bool>(NonNull<Header<R>>, PhantomData<fn(M)>);

impl<R: Receive<M>, M: Send + 'static, const ASK: bool> Drop for ReleaseOnDrop<R, M, ASK> {
    fn drop(&mut self) {
        // SAFETY: made by the owner of the envelope, after it emptied the payload (or is dropped after what empties it).
        unsafe { release::<R, M, ASK>(self.0, Outcome::Failed(ReplyError::Crashed)) };
    }
}

/// Drops the value at a place.
struct DropInPlace<F>(NonNull<F>);

impl<F> Drop for DropInPlace<F> {
    fn drop(&mut self) {
        // SAFETY: made where an `F` is there, and not used any more.
        unsafe { self.0.drop_in_place() };
    }
}
