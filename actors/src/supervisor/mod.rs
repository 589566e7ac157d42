//! Supervisors: actors that start other actors, restart them when they fail, and end with them.

mod policy;

pub use policy::{Backoff, Restart, Strategy};

use crate::actor::Actor;
use crate::cell::{self, Child, Guardian, Options, Recipe, SHUTDOWN_TIME, Signal, Verdict};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::ExitReason;
use crate::message::{Handler, Message};
use crate::refs::LocalRef;
use policy::{Decision, End, Policy};
use posse_core::runtime::{Handle, Runtime};
use posse_core::signal;
use posse_core::time::Instant;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Restarts within the period before a supervisor gives up, unless it is said otherwise. OTP's default is 1 in 5 s, kameo's
/// and Ergo's 5 in 5 s.
const LIMIT: (usize, Duration) = (5, Duration::from_secs(5));

/// Builds a supervisor. Children start in the order given and end in reverse.
///
/// # Examples
/// ```
/// use posse::prelude::*;
///
/// struct Fragile;
/// impl Actor for Fragile {}
///
/// #[derive(Message)]
/// struct Break;
/// impl Handler<Break> for Fragile {
///     async fn handle(&mut self, _: Break, _: &mut Context<Self>) {
///         panic!("on purpose");
///     }
/// }
///
/// #[derive(Message)]
/// #[message(reply = &'static str)]
/// struct Greet;
/// impl Handler<Greet> for Fragile {
///     async fn handle(&mut self, _: Greet, _: &mut Context<Self>) -> &'static str {
///         "hello"
///     }
/// }
///
/// posse::run(async {
///     let supervisor = Supervisor::one_for_one().spawn();
///     let fragile = supervisor.add("fragile", || Fragile).await?;
///     assert!(fragile.ask(Break).await.is_err());
///     assert_eq!(fragile.ask(Greet).await?, "hello");
///     Ok(())
/// })?;
/// # posse::Result::Ok(())
/// ```
#[must_use = "a supervisor does nothing until it is spawned"]
pub struct Supervisor {
    policy: Policy,
    children: Vec<Spec>,
}

/// A child that has not been started.
struct Spec {
    name: String,
    restart: Restart,
    start: StartChild,
}

type StartChild = Box<dyn FnOnce(&Handle, Options) -> Child + Send>;

/// What can be a child of a supervisor: a recipe for an actor, a [`Listener`](crate::Listener) or a recipe for one, another
/// [`Supervisor`] by [`Nested`](crate::Nested).
pub trait IntoChild<Kind>: Send + 'static {
    #[doc(hidden)]
    fn into_start(self) -> StartFn;
}

/// How a child is started. Opaque.
#[doc(hidden)]
pub struct StartFn(StartChild);

impl StartFn {
    pub(crate) fn new<A: Actor>(recipe: impl FnMut() -> A + Send + 'static) -> Self {
        Self(Box::new(move |handle, options| cell::start(handle, options, Recipe::Again(Box::new(recipe))).child()))
    }
}

impl<A: Actor, F: FnMut() -> A + Send + 'static> IntoChild<(A,)> for F {
    fn into_start(self) -> StartFn {
        StartFn::new(self)
    }
}

impl Supervisor {
    fn with(strategy: Strategy) -> Self {
        let (limit, period) = LIMIT;
        Self { policy: Policy { strategy, limit, period, backoff: Backoff::none() }, children: Vec::new() }
    }

    /// A child that fails starts over alone.
    pub fn one_for_one() -> Self {
        Self::with(Strategy::OneForOne)
    }

    /// When a child starts over, so do all its siblings.
    pub fn one_for_all() -> Self {
        Self::with(Strategy::OneForAll)
    }

    /// When a child starts over, so do the siblings started after it.
    pub fn rest_for_one() -> Self {
        Self::with(Strategy::RestForOne)
    }

    /// Sets how many restarts within how long are too many; then the supervisor fails. Default: more than 5 in 5 s.
    pub fn limit(mut self, restarts: usize, period: Duration) -> Self {
        (self.policy.limit, self.policy.period) = (restarts, period);
        self
    }

    /// Sets how long to wait before a restart. Default: not at all.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.policy.backoff = backoff;
        self
    }

    /// Adds a child that is always restarted.
    pub fn child<Kind>(self, name: impl Into<String>, child: impl IntoChild<Kind>) -> Self {
        self.child_with(name, Restart::Permanent, child)
    }

    /// Adds a child and says when it is restarted.
    pub fn child_with<Kind>(mut self, name: impl Into<String>, restart: Restart, child: impl IntoChild<Kind>) -> Self {
        self.children.push(Spec { name: name.into(), restart, start: child.into_start().0 });
        self
    }

    /// Starts the supervisor and its children in the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn(self) -> SupervisorRef {
        let supervising = Supervising::new(self);
        SupervisorRef(cell::start(&Handle::current(), Options::default(), Recipe::Once(Some(supervising))))
    }

    /// Runs a program that is this supervisor: builds a runtime, starts the children, and ends them in order at ctrl-c or
    /// SIGTERM.
    ///
    /// # Errors
    /// If the runtime cannot be built, or the supervisor fails.
    pub fn main(self) -> Result {
        let runtime = Runtime::new()?;
        runtime.block_on(async move {
            let signalled = signal::shutdown();
            let supervisor = self.spawn();
            let (mut signalled, mut closed) = (pin!(signalled), pin!(supervisor.0.closed()));
            let ended = poll_fn(|cx| {
                if let Poll::Ready(reason) = closed.as_mut().poll(cx) {
                    return Poll::Ready(Ok(Some(reason)));
                }
                signalled.as_mut().poll(cx).map(|result| result.map(|()| None))
            });
            match ended.await? {
                Some(reason) if reason.is_abnormal() => Err(Error::msg(format!("the supervisor ended: {reason}"))),
                Some(_) => Ok(()),
                None => {
                    supervisor.stop().await;
                    Ok(())
                }
            }
        })
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.children.iter().map(|spec| &spec.name).collect();
        f.debug_struct("Supervisor").field("policy", &self.policy).field("children", &names).finish()
    }
}

/// A reference to a running supervisor.
#[derive(Clone, Debug)]
pub struct SupervisorRef(LocalRef<Supervising>);

impl SupervisorRef {
    /// Starts another child, which is always restarted, and returns a reference that outlives its restarts.
    ///
    /// # Errors
    /// If the supervisor has ended.
    pub async fn add<A: Actor>(
        &self,
        name: impl Into<String>,
        recipe: impl FnMut() -> A + Send + 'static,
    ) -> Result<LocalRef<A>> {
        self.add_with(name, Restart::Permanent, recipe).await
    }

    /// Starts another child and says when it is restarted.
    ///
    /// # Errors
    /// If the supervisor has ended.
    pub async fn add_with<A: Actor>(
        &self,
        name: impl Into<String>,
        restart: Restart,
        recipe: impl FnMut() -> A + Send + 'static,
    ) -> Result<LocalRef<A>> {
        let (send, receive) = std::sync::mpsc::channel();
        let start: StartChild = Box::new(move |handle, options| {
            let child = cell::start(handle, options, Recipe::Again(Box::new(recipe)));
            // The receiver waits for the reply to this very message.
            let _ = send.send(child.clone());
            child.child()
        });
        self.0.ask(Add(Spec { name: name.into(), restart, start })).await?;
        Ok(receive.try_recv()?)
    }

    /// Ends the children in reverse order, then the supervisor, and waits for it.
    pub async fn stop(&self) {
        let child = self.0.child();
        child.signal(Signal::Shutdown);
        child.end(SHUTDOWN_TIME.saturating_mul(4)).await;
    }

    /// Waits until the supervisor has ended, and returns why.
    pub async fn closed(&self) -> ExitReason {
        self.0.closed().await
    }

    /// Returns true until the supervisor has ended.
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }
}

/// The actor of a supervisor that is itself a child.
pub(crate) fn nested(supervisor: Supervisor) -> Supervising {
    Supervising::new(supervisor)
}

/// The supervising actor.
pub(crate) struct Supervising {
    policy: Policy,
    pending: Vec<Spec>,
    children: Vec<(String, Restart)>,
    history: VecDeque<Instant>,
}

impl Supervising {
    fn new(supervisor: Supervisor) -> Self {
        Self { policy: supervisor.policy, pending: supervisor.children, children: Vec::new(), history: VecDeque::new() }
    }

    fn start(&mut self, spec: Spec, ctx: &mut Context<Self>) {
        let guardian = Watcher { supervisor: ctx.me(), index: self.children.len() };
        let options = Options { guardian: Some(Arc::new(guardian)), ..Options::default() };
        self.children.push((spec.name, spec.restart));
        let child = (spec.start)(ctx.runtime(), options);
        ctx.adopt_in_order(child);
    }
}

impl Actor for Supervising {
    async fn started(&mut self, ctx: &mut Context<Self>) -> Result {
        ctx.children_ordered = true;
        for spec in std::mem::take(&mut self.pending) {
            self.start(spec, ctx);
        }
        Ok(())
    }
}

/// Starts another child.
struct Add(Spec);

impl Message for Add {
    type Reply = ();
}

impl Handler<Add> for Supervising {
    async fn handle(&mut self, Add(spec): Add, ctx: &mut Context<Self>) {
        self.start(spec, ctx);
    }
}

/// A child has ended and waits for the verdict.
struct Ended {
    index: usize,
    reason: ExitReason,
}

impl Message for Ended {
    type Reply = Verdict;
}

impl Handler<Ended> for Supervising {
    async fn handle(&mut self, ended: Ended, ctx: &mut Context<Self>) -> Verdict {
        let Some((name, restart)) = self.children.get(ended.index) else { return Verdict::Leave };
        let random = ctx.runtime().random_u64();
        let end = End { restart: *restart, reason: &ended.reason, child: ended.index, children: self.children.len() };
        let decision = self.policy.decide(&end, &mut self.history, Instant::now(), random);
        match decision {
            Decision::Leave => Verdict::Leave,
            Decision::Escalate => {
                let (limit, period) = (self.policy.limit, self.policy.period);
                let text = format!("{name:?} needed more than {limit} restarts within {period:?}; {}", ended.reason);
                ctx.fail(Error::msg(text));
                Verdict::Leave
            }
            Decision::Restart { after, others } => {
                let after_s = after.as_secs_f64();
                posse_core::event!(
                    WARN, "posse::supervisor", "restarting a child",
                    child.name = %name, reason = %ended.reason; after = after_s,
                );
                for index in others.filter(|&index| index != ended.index) {
                    if let Some(sibling) = ctx.child_list().get(index) {
                        sibling.signal(Signal::Restart);
                    }
                }
                Verdict::Restart { after }
            }
        }
    }
}

/// Brings the end of a child before its supervisor.
struct Watcher {
    supervisor: LocalRef<Supervising>,
    index: usize,
}

impl Guardian for Watcher {
    fn ended(&self, reason: ExitReason) -> Pin<Box<dyn Future<Output = Verdict> + Send>> {
        let ask = self.supervisor.ask(Ended { index: self.index, reason });
        Box::pin(async move { ask.within(Duration::MAX).await.unwrap_or(Verdict::Leave) })
    }
}
