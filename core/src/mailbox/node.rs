//! One message on its way: a single allocation that holds the message, then its handler's future, then the reply.
//!
//! The sender sizes the node for all three, so a message costs one allocation whatever its handler does. A node is a
//! head, for an ask an [`AskCore`], and a payload; the functions in its vtable know the types. Nodes are handled by
//! exactly one owner at a time: the sender, the queue, the serving loop, and for asks at the very end the asker.

use super::ask::{self, AskCore, Lost, Outcome, Owner};
use super::queue::Link;
use super::{Receive, Receiver};
use crate::task::panic::drop_catching;
use std::alloc::Layout;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

#[repr(C)]
pub(super) struct Head<R: Receiver> {
    link: Link,
    vtable: &'static VTable<R>,
    #[cfg(feature = "sim")]
    stamp: super::stamp::Stamp,
}

impl<R: Receiver> Head<R> {
    #[inline]
    fn new(vtable: &'static VTable<R>) -> Self {
        Self {
            link: Link::new(),
            vtable,
            #[cfg(feature = "sim")]
            stamp: super::stamp::Stamp::default(),
        }
    }
}

#[repr(C)]
struct AskHead<R: Receiver> {
    head: Head<R>,
    core: AskCore,
}

type Start<R> = unsafe fn(
    NonNull<Head<R>>,
    *mut <R as Receiver>::State,
    *mut <R as Receiver>::Context,
    &mut Context<'_>,
) -> Option<Running<R>>;

struct VTable<R: Receiver> {
    start: Start<R>,
    discard: unsafe fn(NonNull<Head<R>>),
    asker_is_gone: unsafe fn(NonNull<Head<R>>) -> bool,
    type_name: fn() -> &'static str,
    is_ask: bool,
}

/// A message that nobody has begun to handle. Dropping it answers the asker with [`Lost::Stopped`].
pub(super) struct Message<R: Receiver>(NonNull<Head<R>>);

/// A handler's future that waits in its node. Dropping it answers the asker with [`Lost::Crashed`].
pub(super) struct Running<R: Receiver> {
    node: NonNull<Head<R>>,
    resume: unsafe fn(NonNull<Head<R>>, &mut Context<'_>) -> Poll<()>,
    drop: unsafe fn(NonNull<Head<R>>),
}

// SAFETY: a node holds a message (`Send`), its handler's future (`Send` by the bound on `Receive`) or a reply (`Send`).
unsafe impl<R: Receiver> Send for Message<R> {}
// SAFETY: as above.
unsafe impl<R: Receiver> Send for Running<R> {}

/// The layouts that a node of message `M` for receiver `R` needs.
struct Plan<R, M>(PhantomData<(R, M)>);

impl<R: Receive<M>, M: Send + 'static> Plan<R, M> {
    const FUTURE: Layout = future_layout::<&'static mut R::State, &'static mut R::Context, M, _>(R::receive);
    const PAYLOAD: Layout = larger(larger(Layout::new::<M>(), Self::FUTURE), Layout::new::<R::Reply>());
    const TELL: (Layout, usize) = behind(Layout::new::<Head<R>>(), Self::PAYLOAD);
    const ASK: (Layout, usize) = behind(Layout::new::<AskHead<R>>(), Self::PAYLOAD);

    const fn node(ask: bool) -> (Layout, usize) {
        if ask { Self::ASK } else { Self::TELL }
    }
}

/// The layout of the unnamed future that a function returns.
const fn future_layout<A, B, C, F>(_: fn(A, B, C) -> F) -> Layout {
    Layout::new::<F>()
}

const fn larger(a: Layout, b: Layout) -> Layout {
    let size = if a.size() > b.size() { a.size() } else { b.size() };
    let align = if a.align() > b.align() { a.align() } else { b.align() };
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(_) => panic!("a message is larger than memory"),
    }
}

/// A block with `payload` behind `head`, and the payload's offset in it.
const fn behind(head: Layout, payload: Layout) -> (Layout, usize) {
    let mask = payload.align() - 1;
    let offset = (head.size() + mask) & !mask;
    let align = if head.align() > payload.align() { head.align() } else { payload.align() };
    match Layout::from_size_align(offset + payload.size(), align) {
        Ok(layout) => (layout, offset),
        Err(_) => panic!("a message is larger than memory"),
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: a node is never of size zero: it has a head.
    let block = unsafe { std::alloc::alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| std::alloc::handle_alloc_error(layout))
}

/// A tell node without its message yet.
pub(super) struct Blank<R: Receive<M>, M: Send + 'static> {
    node: NonNull<Head<R>>,
    message: PhantomData<fn(M)>,
}

// SAFETY: an empty block of memory.
unsafe impl<R: Receive<M>, M: Send + 'static> Send for Blank<R, M> {}
// SAFETY: as above, and a shared one offers nothing.
unsafe impl<R: Receive<M>, M: Send + 'static> Sync for Blank<R, M> {}

impl<R: Receive<M>, M: Send + 'static> Blank<R, M> {
    pub(super) fn new() -> Self {
        let node = allocate(Plan::<R, M>::TELL.0).cast::<Head<R>>();
        let head = Head::new(vtable::<R, M, false>());
        // SAFETY: freshly allocated for a head and more.
        unsafe { node.write(head) };
        Self { node, message: PhantomData }
    }

    #[inline]
    pub(super) fn fill(self, message: M) -> Message<R> {
        let node = ManuallyDrop::new(self).node;
        // SAFETY: the node was laid out for a tell with an `M`.
        let place = unsafe { payload::<R, M, false>(node) };
        // SAFETY: as above, and it is empty.
        unsafe { place.cast::<M>().write(message) };
        Message(node)
    }
}

impl<R: Receive<M>, M: Send + 'static> Drop for Blank<R, M> {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and empty.
        unsafe { std::alloc::dealloc(self.node.as_ptr().cast(), Plan::<R, M>::TELL.0) };
    }
}

/// Makes an ask node, and the shared part that the asker holds on to.
pub(super) fn new_ask<R: Receive<M>, M: Send + 'static>(message: M) -> (Message<R>, NonNull<AskCore>) {
    let (layout, _) = Plan::<R, M>::ASK;
    let block = allocate(layout);
    let node = block.cast::<AskHead<R>>();
    // SAFETY: inside of the block just allocated.
    let place = unsafe { payload::<R, M, true>(node.cast()) };
    let head = Head::new(vtable::<R, M, true>());
    // SAFETY: freshly allocated for an ask head and more.
    unsafe { node.write(AskHead { head, core: AskCore::new(block, layout, place) }) };
    // SAFETY: the node was laid out for an `M`.
    unsafe { place.cast::<M>().write(message) };
    // SAFETY: the pointer stays inside of the block.
    let core = unsafe { core_of(node.cast::<Head<R>>()) };
    (Message(node.cast()), core)
}

impl<R: Receiver> Message<R> {
    /// Turns the message into the link that the queue holds.
    #[inline]
    pub(super) fn into_link(self) -> NonNull<Link> {
        ManuallyDrop::new(self).0.cast()
    }

    /// # Safety
    /// `link` came from `into_link` of a message for the same receiver, and is used once.
    #[inline]
    pub(super) unsafe fn from_link(link: NonNull<Link>) -> Self {
        Self(link.cast())
    }

    fn vtable(&self) -> &'static VTable<R> {
        // SAFETY: the owner of a message may read its head.
        unsafe { self.0.as_ref() }.vtable
    }

    /// Who sent it, and as which of all the messages to the cell.
    #[cfg(feature = "sim")]
    pub(super) fn stamp(&mut self) -> &mut super::stamp::Stamp {
        // SAFETY: the owner of a message may write its head.
        let head = unsafe { self.0.as_mut() };
        &mut head.stamp
    }

    pub(super) fn type_name(&self) -> &'static str {
        (self.vtable().type_name)()
    }

    pub(super) fn is_ask(&self) -> bool {
        self.vtable().is_ask
    }

    /// True if this is an ask whose asker no longer waits.
    #[inline]
    pub(super) fn asker_is_gone(&self) -> bool {
        let asker_is_gone = self.vtable().asker_is_gone;
        // SAFETY: the owner of a message may look at it.
        unsafe { asker_is_gone(self.0) }
    }

    /// Builds the handler's future in the node and polls it. `None` when it is done already.
    ///
    /// # Safety
    /// `state` and `context` are valid and used by nobody else until the returned future is done or dropped.
    #[inline]
    pub(super) unsafe fn start(
        self,
        state: *mut R::State,
        context: *mut R::Context,
        cx: &mut Context<'_>,
    ) -> Option<Running<R>> {
        let start = self.vtable().start;
        let node = ManuallyDrop::new(self).0;
        // SAFETY: by contract.
        unsafe { start(node, state, context, cx) }
    }
}

impl<R: Receiver> Drop for Message<R> {
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
        // SAFETY: the node holds the future that `resume` was made for. If it panics it has released the node.
        match unsafe { (running.resume)(running.node, cx) } {
            Poll::Ready(()) => None,
            Poll::Pending => Some(ManuallyDrop::into_inner(running)),
        }
    }
}

impl<R: Receiver> Drop for Running<R> {
    fn drop(&mut self) {
        // SAFETY: the node holds the future that `drop` was made for.
        unsafe { (self.drop)(self.node) };
    }
}

fn vtable<R: Receive<M>, M: Send + 'static, const ASK: bool>() -> &'static VTable<R> {
    &VTable {
        start: start::<R, M, ASK>,
        discard: discard::<R, M, ASK>,
        asker_is_gone: asker_is_gone::<R, ASK>,
        type_name: std::any::type_name::<M>,
        is_ask: ASK,
    }
}

/// # Safety
/// `node` is a block laid out by `Plan<R, M>` for `ASK`.
#[inline]
unsafe fn payload<R: Receive<M>, M: Send + 'static, const ASK: bool>(node: NonNull<Head<R>>) -> NonNull<u8> {
    let offset = Plan::<R, M>::node(ASK).1;
    // SAFETY: inside of the block, by contract.
    unsafe { node.cast::<u8>().add(offset) }
}

/// # Safety
/// `node` is an ask node.
#[inline]
unsafe fn core_of<R: Receiver>(node: NonNull<Head<R>>) -> NonNull<AskCore> {
    // SAFETY: inside of the block, by contract.
    unsafe { node.cast::<u8>().add(mem::offset_of!(AskHead<R>, core)) }.cast()
}

/// # Safety
/// `node` is of kind `ASK`, and the caller owns it.
unsafe fn asker_is_gone<R: Receiver, const ASK: bool>(node: NonNull<Head<R>>) -> bool {
    if !ASK {
        return false;
    }
    // SAFETY: an ask node, by contract.
    let core = unsafe { core_of(node) };
    // SAFETY: the node is alive while the server owns it.
    unsafe { core.as_ref() }.asker_is_gone()
}

/// # Safety
/// `node` holds an `M` for `R`; the pointers are valid and exclusive until the handler's future is gone.
unsafe fn start<R: Receive<M>, M: Send + 'static, const ASK: bool>(
    node: NonNull<Head<R>>,
    state: *mut R::State,
    context: *mut R::Context,
    cx: &mut Context<'_>,
) -> Option<Running<R>> {
    // SAFETY: by contract.
    let place = unsafe { payload::<R, M, ASK>(node) };
    // SAFETY: the message is moved out once.
    let message = unsafe { place.cast::<M>().read() };
    let release = Release::<R, M, ASK>(node, PhantomData);

    // SAFETY: by contract.
    let state = unsafe { &mut *state };
    // SAFETY: by contract.
    let context = unsafe { &mut *context };
    let future = R::receive(state, context, message);
    mem::forget(release);
    // SAFETY: the payload is empty and laid out for this future.
    unsafe { begin::<R, M, _, ASK>(node, place, future, cx) }
}

/// # Safety
/// `node` is laid out for `F`, and its payload at `place` is empty.
unsafe fn begin<R: Receive<M>, M: Send + 'static, F: Future<Output = R::Reply>, const ASK: bool>(
    node: NonNull<Head<R>>,
    place: NonNull<u8>,
    future: F,
    cx: &mut Context<'_>,
) -> Option<Running<R>> {
    debug_assert_eq!(Layout::new::<F>(), Plan::<R, M>::FUTURE);
    // SAFETY: by contract.
    unsafe { place.cast::<F>().write(future) };
    // SAFETY: the payload holds the future now.
    match unsafe { resume::<R, M, F, ASK>(node, cx) } {
        Poll::Ready(()) => None,
        Poll::Pending => Some(Running { node, resume: resume::<R, M, F, ASK>, drop: drop_running::<R, M, F, ASK> }),
    }
}

/// Polls the future in the node. When it is ready, or panics, the node is released.
///
/// # Safety
/// The payload of `node` holds an `F`.
unsafe fn resume<R: Receive<M>, M: Send + 'static, F: Future<Output = R::Reply>, const ASK: bool>(
    node: NonNull<Head<R>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // SAFETY: by contract.
    let place = unsafe { payload::<R, M, ASK>(node) }.cast::<F>();
    let release = Release::<R, M, ASK>(node, PhantomData);
    let in_place = InPlace(place);

    // SAFETY: the future is there, and only this call uses it.
    let future = unsafe { &mut *place.as_ptr() };
    // SAFETY: it is not moved until it is dropped in place.
    let polled = unsafe { Pin::new_unchecked(future) }.poll(cx);
    let Poll::Ready(reply) = polled else {
        mem::forget(in_place);
        mem::forget(release);
        return Poll::Pending;
    };

    drop(in_place);
    mem::forget(release);
    // SAFETY: the future is gone, the payload is empty.
    unsafe { complete::<R, M, ASK>(node, reply) };
    Poll::Ready(())
}

/// Stores the reply for the asker, or drops it, and lets the node go.
///
/// # Safety
/// The payload of `node` is empty.
unsafe fn complete<R: Receive<M>, M: Send + 'static, const ASK: bool>(node: NonNull<Head<R>>, reply: R::Reply) {
    if !ASK {
        // SAFETY: by contract.
        unsafe { release::<R, M, ASK>(node, Outcome::None) };
        drop(reply);
        return;
    }

    // SAFETY: by contract, and laid out for a reply.
    let place = unsafe { payload::<R, M, ASK>(node) }.cast::<R::Reply>();
    // SAFETY: as above.
    unsafe { place.write(reply) };
    // SAFETY: the payload holds the reply.
    unsafe { release::<R, M, ASK>(node, Outcome::Value) };
}

/// # Safety
/// The payload of `node` holds an `F`.
unsafe fn drop_running<R: Receive<M>, M: Send + 'static, F, const ASK: bool>(node: NonNull<Head<R>>) {
    // SAFETY: by contract.
    let place = unsafe { payload::<R, M, ASK>(node) }.cast::<F>();
    let _release = Release::<R, M, ASK>(node, PhantomData);
    drop(InPlace(place));
}

/// # Safety
/// The payload of `node` holds an `M`.
unsafe fn discard<R: Receive<M>, M: Send + 'static, const ASK: bool>(node: NonNull<Head<R>>) {
    // SAFETY: by contract.
    let place = unsafe { payload::<R, M, ASK>(node) };
    // SAFETY: moved out once.
    let message = unsafe { place.cast::<M>().read() };
    // SAFETY: the payload is empty now.
    unsafe { release::<R, M, ASK>(node, Outcome::Lost(Lost::Stopped)) };
    drop_catching(message);
}

/// Lets a node go: tells the asker, or frees the memory.
///
/// # Safety
/// The server owns `node`; its payload is empty, or holds the reply if the outcome is a value.
unsafe fn release<R: Receive<M>, M: Send + 'static, const ASK: bool>(node: NonNull<Head<R>>, outcome: Outcome) {
    if !ASK {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(node.as_ptr().cast(), Plan::<R, M>::TELL.0) };
        return;
    }

    // SAFETY: an ask node.
    let core = unsafe { core_of(node) };
    // SAFETY: the server owns the node, and lets it go once.
    if unsafe { AskCore::finish(core, outcome) } == Owner::Asker {
        return;
    }

    // SAFETY: the asker is gone, the server alone owns the node.
    let place = unsafe { payload::<R, M, ASK>(node) }.cast::<R::Reply>();
    let unread = (outcome == Outcome::Value).then(|| {
        // SAFETY: by contract the reply is there, and it is moved out once.
        unsafe { place.read() }
    });
    // SAFETY: as above, and the payload is empty now.
    unsafe { ask::free(core) };
    drop_catching(unread);
}

/// Releases a node whose handler did not come to its end: the asker learns that it crashed.
struct Release<R: Receive<M>, M: Send + 'static, const ASK: bool>(NonNull<Head<R>>, PhantomData<fn(M)>);

impl<R: Receive<M>, M: Send + 'static, const ASK: bool> Drop for Release<R, M, ASK> {
    fn drop(&mut self) {
        // SAFETY: made by the owner of the node, after it emptied the payload (or is dropped after what empties it).
        unsafe { release::<R, M, ASK>(self.0, Outcome::Lost(Lost::Crashed)) };
    }
}

/// Drops the value at a place.
struct InPlace<F>(NonNull<F>);

impl<F> Drop for InPlace<F> {
    fn drop(&mut self) {
        // SAFETY: made by who knows that an `F` is there, and that nobody uses it any more.
        unsafe { self.0.drop_in_place() };
    }
}
