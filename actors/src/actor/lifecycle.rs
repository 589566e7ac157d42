//! The cell of an actor: its life from recipe to dead letters, and what all references to it share.
//!
//! The life is one future in one task. Invariants: whatever panics inside of it, the actor ends exactly once: its names
//! go, its monitors fire, those who wait for its end are woken.
#![expect(
    clippy::manual_async_fn,
    reason = "the arguments of an async function are in the memory of every actor twice"
)]

use crate::actor::Actor;
use crate::actor::context::Context;
use crate::actor::message::{Handler, Message};
use crate::actor::spec::Spec;
use crate::error::RegisterError;
use crate::id::ExitReason;
use crate::refs::LocalRef;
use crate::system::dead_letter::{DeadLetter, DeadLetterReason, Unreported};
use crate::system::{System, registry};
use crate::watch::monitor::Down;
use crate::watch::shared::{ActorShared, Command};
use posse_core::mailbox::{self, CellRef, Inbox, Receive, Receiver};
use posse_core::runtime::{Handle, NoSuchWorker};
use posse_core::task::catch;
use std::any::type_name;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Messages a mailbox holds unless it is said otherwise. Specified.
pub const DEFAULT_CAPACITY: usize = 1024;

/// How long an actor that is asked to stop may take before it is killed. Specified; OTP's default too.
pub const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(5);

/// Names actor `A` to the mailbox. Never a value.
pub(crate) struct Local<A>(PhantomData<fn(A)>);

impl<A: Actor> Receiver for Local<A> {
    type State = A;
    type Context = Context<A>;
    type Shared = ActorShared;

    fn interrupted(ctx: &Context<A>) -> bool {
        ctx.is_interrupted()
    }

    fn inbox(ctx: &mut Context<A>) -> &mut Inbox<Self> {
        &mut ctx.inbox
    }

    fn span(ctx: &Context<A>, message: &'static str) -> tracing::Span {
        tracing::trace_span!(
            target: "posse::actor",
            "handle",
            actor.id = %ctx.id(),
            actor.type = %type_name::<A>(),
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

/// How an actor comes to be.
pub(crate) enum Recipe<A> {
    /// From a value that cannot be made again.
    Once(Option<A>),
    Again(Box<dyn FnMut() -> A + Send>),
    /// Not at all: there is no place for it.
    Refused(NoSuchWorker),
}

impl<A> Recipe<A> {
    fn make(&mut self) -> Result<A, ExitReason> {
        let made = catch_unwind(|| match self {
            Self::Once(actor) => Ok(actor.take()),
            Self::Again(recipe) => Ok(Some(recipe())),
            Self::Refused(error) => Err(ExitReason::failed(error.to_string())),
        })?;
        made?.ok_or_else(|| ExitReason::failed("a value of `Spec::once` cannot be made again"))
    }
}

/// What becomes known of the life of a supervised actor.
#[derive(Debug)]
pub(crate) enum LifeEvent {
    /// An incarnation's `started` has returned.
    Started,
    /// An incarnation has ended, and its children have. The actor waits for `Start`, `Release` or `Shutdown`. One that has
    /// drained its mailbox has done its work and is not to start again.
    Ended { reason: ExitReason, drained: bool },
    /// The actor has ended for good.
    Exited,
}

/// Who hears of an actor's life and says how it goes on.
pub(crate) trait Supervise: Send + Sync {
    fn report(&self, event: LifeEvent);
}

/// Starts an actor. If its name is taken it ends as failed.
#[track_caller]
pub(crate) fn start<A: Actor>(handle: &Handle, spec: Spec<A>) -> LocalRef<A> {
    try_start(handle, spec).0
}

/// As [`start`], and says why the actor has not got its name.
#[track_caller]
pub(crate) fn try_start<A: Actor>(handle: &Handle, spec: Spec<A>) -> (LocalRef<A>, Result<(), RegisterError>) {
    start_from(Location::caller(), handle, spec, None)
}

/// As [`try_start`], and says from which place in the code. The actor's task has the place, and the name if it is valid, in any case.
pub(crate) fn start_from<A: Actor>(
    place: &'static Location<'static>,
    handle: &Handle,
    spec: Spec<A>,
    supervisor: Option<Arc<dyn Supervise>>,
) -> (LocalRef<A>, Result<(), RegisterError>) {
    let shared = ActorShared::new(System::of(handle));
    let (runtime, mut named) = (handle.clone(), Ok(()));
    let recipe = match spec.worker.map(|worker| NoSuchWorker::check(worker, handle)) {
        Some(Err(error)) => Recipe::Refused(error),
        _ => spec.recipe,
    };
    // What lists tasks shows names in full.
    let name = spec.name.as_ref().filter(|name| registry::is_valid(name));
    let (worker, room) = (spec.worker, spec.capacity);
    let cell = mailbox::spawn_on::<Local<A>, _>(handle, worker, place, name, room, shared, |cell, inbox| {
        // Before it runs, so that it finds itself by its name.
        let pending_name = spec.name.clone().filter(|name| {
            named = register(&LocalRef(cell), name);
            named.is_err()
        });
        run_actor(Context::new(inbox, runtime), recipe, pending_name, supervisor)
    });
    (LocalRef(cell), named)
}

fn register<A: Actor>(actor: &LocalRef<A>, name: &str) -> Result<(), RegisterError> {
    actor.0.system().register(name, actor)
}

/// The beginning of a name, which may be far too long to be printed.
pub(crate) fn shortened(name: &str) -> &str {
    name.char_indices().nth(64).map_or(name, |(end, _)| &name[..end])
}

/// The life of an actor. If it is dropped half-way because the runtime shuts down, the context ends the actor.
///
/// This and what it calls are functions that return an async block: the arguments of an async function are in its memory
/// twice, as what was passed and as what is used.
fn run_actor<A: Actor>(
    mut ctx: Context<A>,
    mut recipe: Recipe<A>,
    mut pending_name: Option<Arc<str>>,
    supervisor: Option<Arc<dyn Supervise>>,
) -> impl Future<Output = ()> + Send {
    async move {
        let reason = run_incarnations(&mut ctx, &mut recipe, &mut pending_name, supervisor.as_deref()).await;
        ctx.children.end().await;
        ctx.end(&reason);
        // What the recipe holds goes back before the supervisor hears of the end.
        drop(catch_unwind(|| drop(recipe)));
        if let Some(supervisor) = &supervisor {
            supervisor.report(LifeEvent::Exited);
        }
    }
}

/// One incarnation after the other, as the supervisor says; without one there is no second.
///
/// An actor that has not got its name cannot start. It asks for it again at each start.
fn run_incarnations<'a, A: Actor>(
    ctx: &'a mut Context<A>,
    recipe: &'a mut Recipe<A>,
    pending_name: &'a mut Option<Arc<str>>,
    supervisor: Option<&'a dyn Supervise>,
) -> impl Future<Output = ExitReason> + Send + 'a {
    async move {
        loop {
            let reason = match take_pending_name(ctx, pending_name) {
                Ok(()) => {
                    // Each for itself, so that the supervisor hears of the end whatever code has panicked.
                    let incarnation = pin!(Some(run_incarnation(ctx, recipe, supervisor)));
                    let (Ok(reason) | Err(reason)) = catch_unwind_in(incarnation, || None).await;
                    reason
                }
                Err(taken) => taken,
            };
            ctx.children.end().await;

            let shared = ctx.inbox.cell().clone();
            if shared.has(Command::Shutdown) {
                return reason;
            }
            let Some(supervisor) = supervisor else { return reason };
            supervisor.report(LifeEvent::Ended { reason: reason.clone(), drained: shared.is_closed() });
            match next_order(&shared).await {
                Command::Start => shared.system().count_restart(),
                _ => {
                    ctx.failure_was_said = shared.has(Command::Said);
                    return reason;
                }
            }
        }
    }
}

fn take_pending_name<A: Actor>(ctx: &Context<A>, pending_name: &mut Option<Arc<str>>) -> Result<(), ExitReason> {
    let Some(name) = pending_name else { return Ok(()) };
    register(&ctx.myself(), name).map_err(|error| ExitReason::failed(format!("{:?}: {error}", shortened(name))))?;
    *pending_name = None;
    Ok(())
}

/// What the supervisor wants next. A `Stop` or `Kill` is for the incarnation after a `Start`, or too late.
async fn next_order(shared: &ActorShared) -> Command {
    let orders = [Command::Shutdown, Command::Release, Command::Start];
    let order = poll_fn(|_| {
        let order = orders.into_iter().find(|&order| shared.has(order));
        order.map_or(Poll::Pending, Poll::Ready)
    })
    .await;
    if order == Command::Start {
        shared.clear(Command::Start);
    }
    order
}

fn run_incarnation<'a, A: Actor>(
    ctx: &'a mut Context<A>,
    recipe: &'a mut Recipe<A>,
    supervisor: Option<&'a dyn Supervise>,
) -> impl Future<Output = ExitReason> + Send + 'a {
    async move {
        let cell = ctx.inbox.cell().clone();
        let mut actor = match recipe.make() {
            Ok(actor) => actor,
            Err(reason) => return reason,
        };

        let mut reason = run_callback(&cell, false, pin!(Some(actor.started(ctx)))).await;
        if reason == ExitReason::Normal && ctx.leaving.is_none() {
            if let Some(supervisor) = supervisor {
                supervisor.report(LifeEvent::Started);
            }
            reason = run_callback(&cell, true, pin!(Some(actor.run(ctx)))).await;
        }
        if let Some(failure) = ctx.leaving.take() {
            reason = failure;
        }
        // What `stopped` is told monitors hear as well, so what comes from here on changes nothing.
        if reason == ExitReason::Normal && cell.has(Command::Shutdown) {
            reason = ExitReason::Shutdown;
        }
        if reason != ExitReason::Killed {
            let why = reason.clone();
            let stopped = async {
                actor.stopped(&why, ctx).await;
                Ok(())
            };
            let last = run_callback(&cell, false, pin!(Some(stopped))).await;
            if last.is_abnormal() {
                reason = last;
            }
        }
        ctx.end_incarnation();

        match catch_unwind(|| drop(actor)) {
            Ok(()) => reason,
            Err(panicked) => panicked,
        }
    }
}

/// Calls a user's code; a panic becomes a reason.
fn catch_unwind<T>(f: impl FnOnce() -> T) -> Result<T, ExitReason> {
    catch(f).map_err(|panic| ExitReason::Failed(panic.into()))
}

/// What an error says, whose text and drop are a user's code as well.
fn failed_with(error: crate::Error) -> ExitReason {
    let text = catch_unwind(|| error.chain());
    let dropped = catch_unwind(|| drop(error));
    match text.and_then(|text| dropped.map(|()| text)) {
        Ok(text) => ExitReason::failed(text),
        Err(panicked) => panicked,
    }
}

/// Runs a callback: a panic or an error is a failure, `Kill` ends it at its next await. With `stoppable`, so does `Stop`,
/// unless the actor looks after that itself.
fn run_callback<A: Actor>(
    cell: &CellRef<Local<A>>,
    stoppable: bool,
    callback: Pin<&mut Option<impl Future<Output = crate::Result> + Send>>,
) -> impl Future<Output = ExitReason> + Send {
    let interrupted = move || {
        if cell.has(Command::Kill) {
            return Some(ExitReason::Killed);
        }
        let stop = stoppable && cell.has_any() && !cell.handles_stop();
        stop.then_some(ExitReason::Normal)
    };
    let mut caught = catch_unwind_in(callback, interrupted);
    poll_fn(move |cx| {
        Pin::new(&mut caught).poll(cx).map(|caught| match caught {
            Ok(Ok(())) => ExitReason::Normal,
            Ok(Err(error)) => failed_with(error),
            Err(reason) => reason,
        })
    })
}

/// Polls a future until it is ready, panics, or is interrupted, and drops it there; a panic becomes a reason. It stays where
/// the caller has it: as the argument of an async function it would take its memory twice, and once more for each layer.
fn catch_unwind_in<F: Future>(
    mut future: Pin<&mut Option<F>>,
    interrupted: impl Fn() -> Option<ExitReason> + Unpin,
) -> impl Future<Output = Result<F::Output, ExitReason>> + Unpin {
    poll_fn(move |cx| {
        let polled = catch(|| {
            let polled = match (interrupted(), future.as_mut().as_pin_mut()) {
                (Some(reason), _) => Poll::Ready(Err(reason)),
                (None, Some(future)) => future.poll(cx).map(Ok),
                (None, None) => unreachable!("invariant: it is not polled after it was ready"),
            };
            if polled.is_ready() {
                future.set(None);
            }
            polled
        });
        polled.unwrap_or_else(|panic| {
            // What the panic has left of it.
            drop(catch_unwind(|| future.set(None)));
            Poll::Ready(Err(ExitReason::Failed(panic.into())))
        })
    })
}

/// Closes the mailbox, turns what is left into dead letters, and adds up what happened to all messages.
pub(crate) fn drain_to_dead_letters<A: Actor>(inbox: &mut Inbox<Local<A>>, tells_itself: bool) {
    let cell = inbox.cell().clone();
    let (system, taken) = (cell.system(), inbox.taken());
    system.add_handled(inbox.handled());
    system.dead_letters.add(DeadLetterReason::Expired, inbox.expired());
    system.dead_letters.add(DeadLetterReason::Failed, taken - inbox.handled() - inbox.expired());
    let mut unreported = Unreported::default();
    inbox.drain(|envelope| {
        let message = envelope.type_name();
        system.dead_letters.record(DeadLetter { to: cell.id(), message, reason: DeadLetterReason::Stopped });
        // Who asked is told; who told is not. A `Down` has no sender.
        if !envelope.is_ask() && !tells_itself && message != type_name::<Down>() {
            unreported.add(message);
        }
    });
    if unreported.count > 0 {
        system.dead_letters.say(&unreported, cell.id(), type_name::<A>(), &cell.name());
    }
}
