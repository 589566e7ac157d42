//! The cell of an actor: its life from recipe to dead letters, and what all references to it share.
//!
//! The life is one future in one task. Invariants: whatever panics inside of it, the actor ends exactly once: its names
//! go, its monitors fire, those who wait for its end are woken.

use crate::actor::Actor;
use crate::context::Context;
use crate::dead_letter::{DeadLetter, DeadReason, Unheard};
use crate::exit::{ActorId, ExitReason};
use crate::link::Monitors;
use crate::message::{Handler, Message};
use crate::refs::LocalRef;
use crate::system::System;
use posse_core::mailbox::{self, Capacity, CellRef, Inbox, Receive, Receiver};
use posse_core::runtime::Handle;
use posse_core::sync::Notify;
use posse_core::task::panic_text;
use posse_core::time::sleep;
use std::any::{Any, type_name};
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

/// Messages a mailbox holds unless it is said otherwise. Specified.
pub const MAILBOX_CAPACITY: usize = 1024;

/// How long an actor that is asked to stop may take before it is killed. Specified; OTP's default too.
pub const SHUTDOWN_TIME: Duration = Duration::from_secs(5);

/// Names actor `A` to the mailbox. Never a value.
pub(crate) struct Local<A>(PhantomData<fn(A)>);

impl<A: Actor> Receiver for Local<A> {
    type State = A;
    type Context = Context<A>;
    type Shared = Shared;

    fn interrupted(ctx: &Context<A>) -> bool {
        ctx.must_leave()
    }

    fn inbox(ctx: &mut Context<A>) -> &mut Inbox<Self> {
        &mut ctx.inbox
    }

    fn span(ctx: &Context<A>, message: &'static str) -> tracing::Span {
        tracing::trace_span!(
            target: "posse::actor",
            "handle",
            actor.id = %ctx.id(),
            actor.type = %name_of::<A>(),
            actor.name = %ctx.inbox.cell().name(),
            message.type = %message,
        )
    }
}

impl<A: Handler<M>, M: Message> Receive<M> for Local<A> {
    type Reply = M::Reply;

    fn receive<'a>(
        actor: &'a mut A,
        ctx: &'a mut Context<A>,
        message: M,
    ) -> impl Future<Output = M::Reply> + Send + 'a {
        actor.handle(message, ctx)
    }
}

/// What is asked of an actor besides its messages. Never refused, seen before the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Signal {
    Stop = 1,
    /// As `Stop`, by a parent: there will be no restart.
    Shutdown = 2,
    Kill = 4,
    /// Start over, by a supervisor.
    Restart = 8,
}

/// What all references to an actor share.
#[derive(Debug)]
pub(crate) struct Shared {
    id: ActorId,
    system: Arc<System>,
    signals: AtomicU8,
    /// The actor looks at `Stop` itself: it serves its mailbox, or asked for `stopping`.
    cooperative: AtomicBool,
    pub(crate) monitors: Arc<Monitors>,
    closers: Notify,
    /// `None` once the actor has ended.
    names: Mutex<Option<Vec<Arc<str>>>>,
}

impl Shared {
    pub(crate) fn id(&self) -> ActorId {
        self.id
    }

    pub(crate) fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// Release: partner is `has`. The caller wakes the cell.
    pub(crate) fn signal(&self, signal: Signal) {
        self.signals.fetch_or(signal as u8, Ordering::Release);
    }

    pub(crate) fn has(&self, signal: Signal) -> bool {
        self.signals.load(Ordering::Acquire) & signal as u8 != 0
    }

    /// Any signal that ends the serving of messages.
    #[inline]
    pub(crate) fn has_any(&self) -> bool {
        self.signals.load(Ordering::Acquire) != 0
    }

    fn clear(&self, signal: Signal) -> bool {
        self.signals.fetch_and(!(signal as u8), Ordering::AcqRel) & signal as u8 != 0
    }

    pub(crate) fn cooperate(&self) {
        self.cooperative.store(true, Ordering::Release);
    }

    pub(crate) fn ended(&self) -> Option<ExitReason> {
        self.monitors.ended()
    }

    /// Waits for the end. Who gives up waiting leaves nothing behind.
    pub(crate) async fn until_ended(&self) -> ExitReason {
        loop {
            let finished = self.closers.notified();
            if let Some(reason) = self.ended() {
                return reason;
            }
            finished.await;
        }
    }

    /// Notes a name, to be given up at the end. False if that has come already.
    pub(crate) fn remember_name(&self, name: Arc<str>) -> bool {
        match &mut *lock(&self.names) {
            Some(names) => {
                names.push(name);
                true
            }
            None => false,
        }
    }

    /// The actor has given a name up.
    pub(crate) fn forget_name(&self, name: &str) {
        if let Some(names) = &mut *lock(&self.names) {
            names.retain(|kept| **kept != *name);
        }
    }

    /// The first of its names, for people.
    pub(crate) fn name(&self) -> Arc<str> {
        let first = lock(&self.names).as_ref().and_then(|names| names.first().cloned());
        first.unwrap_or_else(|| Arc::from("-"))
    }

    /// How many names it has.
    #[cfg(test)]
    pub(crate) fn names(&self) -> usize {
        lock(&self.names).as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn finish(&self, reason: &ExitReason) {
        let names = lock(&self.names).take();
        for name in names.iter().flatten() {
            self.system.registry.remove(name, self.id);
        }
        self.system.end_actor();
        self.monitors.fire(reason);
        self.closers.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// How an actor comes to be.
pub(crate) enum Recipe<A> {
    /// From a value that cannot be made again.
    Once(Option<A>),
    Again(Box<dyn FnMut() -> A + Send>),
}

impl<A> Recipe<A> {
    fn make(&mut self) -> Result<A, ExitReason> {
        let made = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Once(actor) => actor.take(),
            Self::Again(recipe) => Some(recipe()),
        }));
        match made {
            Ok(Some(actor)) => Ok(actor),
            Ok(None) => Err(ExitReason::failed("an actor started by `spawn_once` cannot be made again")),
            Err(panic) => Err(ExitReason::Failed(text_of(panic))),
        }
    }
}

/// What follows the end of a supervised actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Restart { after: Duration },
    Leave,
}

/// Who decides about restarts.
pub(crate) trait Guardian: Send + Sync {
    fn ended(&self, reason: ExitReason) -> Pin<Box<dyn Future<Output = Verdict> + Send>>;
}

pub(crate) struct Options {
    pub(crate) capacity: Capacity,
    pub(crate) guardian: Option<Arc<dyn Guardian>>,
}

impl Default for Options {
    fn default() -> Self {
        let capacity = Capacity::Bounded(NonZeroUsize::new(MAILBOX_CAPACITY).unwrap_or(NonZeroUsize::MIN));
        Self { capacity, guardian: None }
    }
}

pub(crate) fn start<A: Actor>(handle: &Handle, options: Options, recipe: Recipe<A>) -> LocalRef<A> {
    let system = System::of(handle);
    let shared = Shared {
        id: system.begin_actor(),
        system,
        signals: AtomicU8::new(0),
        cooperative: AtomicBool::new(false),
        monitors: Arc::default(),
        closers: Notify::new(),
        names: Mutex::new(Some(Vec::new())),
    };
    let runtime = handle.clone();
    LocalRef(mailbox::spawn::<Local<A>, _>(handle, options.capacity, shared, move |cell, inbox| {
        drop(cell);
        life(Context::new(inbox, runtime), recipe, options.guardian)
    }))
}

/// The life of an actor. If it is dropped half-way because the runtime shuts down, the context ends the actor.
async fn life<A: Actor>(mut ctx: Context<A>, mut recipe: Recipe<A>, guardian: Option<Arc<dyn Guardian>>) {
    let ended = caught(pin!(Some(live(&mut ctx, &mut recipe, guardian.as_deref()))), || None).await;
    let (Ok(reason) | Err(reason)) = ended;
    ctx.end_children(false).await;
    ctx.end(&reason);
}

/// One incarnation after the other, until there is no restart.
async fn live<A: Actor>(ctx: &mut Context<A>, recipe: &mut Recipe<A>, guardian: Option<&dyn Guardian>) -> ExitReason {
    loop {
        let reason = incarnation(ctx, recipe).await;
        let ordered = ctx.children_ordered;
        ctx.end_children(ordered).await;

        let shared = ctx.inbox.cell().clone();
        if shared.has(Signal::Shutdown) {
            return if reason == ExitReason::Normal { ExitReason::Shutdown } else { reason };
        }
        let told_to_restart = shared.clear(Signal::Restart);
        let verdict = match guardian {
            Some(_) if told_to_restart => Verdict::Restart { after: Duration::ZERO },
            // A closed mailbox stays closed: an actor that was drained has done its work.
            Some(guardian) if !shared.is_closed() => {
                unless_shut_down(&shared, guardian.ended(reason.clone())).await.unwrap_or(Verdict::Leave)
            }
            _ => Verdict::Leave,
        };
        let Verdict::Restart { after } = verdict else { return reason };

        shared.clear(Signal::Kill);
        shared.clear(Signal::Stop);
        if unless_shut_down(&shared, sleep(after)).await.is_none() {
            return ExitReason::Shutdown;
        }
        // Whoever asked for a restart in the meantime gets this one.
        shared.clear(Signal::Restart);
        shared.system().count_restart();
    }
}

async fn incarnation<A: Actor>(ctx: &mut Context<A>, recipe: &mut Recipe<A>) -> ExitReason {
    let cell = ctx.inbox.cell().clone();
    let mut actor = match recipe.make() {
        Ok(actor) => actor,
        Err(reason) => return reason,
    };

    let mut reason = guarded(&cell, false, pin!(Some(actor.started(ctx)))).await;
    if reason == ExitReason::Normal && ctx.failure.is_none() {
        reason = guarded(&cell, true, pin!(Some(actor.run(ctx)))).await;
    }
    if let Some(text) = ctx.failure.take() {
        reason = ExitReason::Failed(text);
    }
    if reason != ExitReason::Killed {
        let why = reason.clone();
        let stopped = async {
            actor.stopped(&why, ctx).await;
            Ok(())
        };
        let last = guarded(&cell, false, pin!(Some(stopped))).await;
        if last.is_abnormal() {
            reason = last;
        }
    }
    ctx.end_timers();

    match catch_unwind(AssertUnwindSafe(|| drop(actor))) {
        Ok(()) => reason,
        Err(panic) => ExitReason::Failed(text_of(panic)),
    }
}

/// The text of a panic. Its payload may panic when it is dropped, and the payload of that again: it is leaked instead.
fn text_of(panic: Box<dyn Any + Send>) -> Arc<str> {
    let text = panic_text(&*panic).into();
    std::mem::forget(panic);
    text
}

/// Runs a callback: a panic or an error is a failure, `Kill` ends it at its next await. With `stoppable`, so does `Stop`,
/// unless the actor looks after that itself.
async fn guarded<A: Actor>(
    cell: &CellRef<Local<A>>,
    stoppable: bool,
    callback: Pin<&mut Option<impl Future<Output = crate::Result>>>,
) -> ExitReason {
    let interrupted = || {
        if cell.has(Signal::Kill) {
            return Some(ExitReason::Killed);
        }
        let stop = stoppable && cell.has_any() && !cell.cooperative.load(Ordering::Acquire);
        stop.then_some(ExitReason::Normal)
    };
    match caught(callback, interrupted).await {
        Ok(Ok(())) => ExitReason::Normal,
        Ok(Err(error)) => ExitReason::failed(error.full_text()),
        Err(reason) => reason,
    }
}

/// Polls a future until it is ready, panics, or is interrupted, and drops it there; a panic becomes a reason. It stays where
/// the caller has it: as the argument of an async function it would take its memory twice, and once more for each layer.
async fn caught<F: Future>(
    mut future: Pin<&mut Option<F>>,
    interrupted: impl Fn() -> Option<ExitReason>,
) -> Result<F::Output, ExitReason> {
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let polled = match (interrupted(), future.as_mut().as_pin_mut()) {
                (Some(reason), _) => Poll::Ready(Err(reason)),
                (None, Some(future)) => future.poll(cx).map(Ok),
                (None, None) => unreachable!("invariant: it is not polled after it was ready"),
            };
            if polled.is_ready() {
                future.set(None);
            }
            polled
        }));
        polled.unwrap_or_else(|panic| {
            let text = text_of(panic);
            // What the panic has left of it.
            let dropped = catch_unwind(AssertUnwindSafe(|| future.set(None)));
            dropped.err().into_iter().for_each(std::mem::forget);
            Poll::Ready(Err(ExitReason::Failed(text)))
        })
    })
    .await
}

/// Waits for `future`; `None` if a parent shuts the actor down first.
async fn unless_shut_down<F: Future>(shared: &Shared, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if shared.has(Signal::Shutdown) {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Closes the mailbox, turns what is left into dead letters, and adds up what happened to all messages.
pub(crate) fn bury<A: Actor>(inbox: &mut Inbox<Local<A>>) {
    let cell = inbox.cell().clone();
    let (system, taken) = (cell.system(), inbox.taken());
    system.add_handled(inbox.handled());
    system.dead_letters.add(DeadReason::Expired, inbox.expired());
    system.dead_letters.add(DeadReason::Crashed, taken - inbox.handled() - inbox.expired());
    let mut unheard = Unheard::default();
    inbox.empty(|envelope| {
        let message = envelope.type_name();
        system.dead_letters.record(DeadLetter { to: cell.id(), message, reason: DeadReason::Stopped });
        // Who asked is told; who told is not.
        if !envelope.is_ask() {
            unheard.add(message);
        }
    });
    if unheard.count > 0 {
        system.dead_letters.say(&unheard, cell.id(), name_of::<A>());
    }
}

/// An actor as its parent sees it, whatever its type.
pub(crate) struct Child(Box<dyn Owned>);

trait Owned: Send + Sync {
    fn id(&self) -> ActorId;
    fn signal(&self, signal: Signal);
    fn shared(&self) -> &Shared;
}

impl<A: Actor> Owned for LocalRef<A> {
    fn id(&self) -> ActorId {
        self.0.id()
    }

    fn signal(&self, signal: Signal) {
        self.0.signal(signal);
        self.0.wake();
    }

    fn shared(&self) -> &Shared {
        &self.0
    }
}

impl Child {
    pub(crate) fn new<A: Actor>(actor: LocalRef<A>) -> Self {
        Self(Box::new(actor))
    }

    pub(crate) fn id(&self) -> ActorId {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.0.signal(signal);
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.shared().ended().is_none()
    }

    pub(crate) fn when_ended(&self, notify: impl FnOnce(&ExitReason) + Send + 'static) {
        self.0.shared().monitors.add(Box::new(notify));
    }

    /// Waits for the end; past the time the child is killed.
    pub(crate) async fn end(&self, within: Duration) {
        let shared = self.0.shared();
        if posse_core::time::timeout(within, shared.until_ended()).await.is_err() {
            self.signal(Signal::Kill);
            shared.until_ended().await;
        }
    }
}

impl std::fmt::Debug for Child {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Child({})", self.id())
    }
}

/// The name of an actor's type, for people.
pub(crate) fn name_of<A>() -> &'static str {
    type_name::<A>()
}
