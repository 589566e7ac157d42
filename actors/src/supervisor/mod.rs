//! Supervisors: actors that start other actors, restart them when they fail, and end with them.
//!
//! The supervisor drives: its children run when they are told to and report what becomes of them. `policy.rs` and `plan.rs`
//! decide, `acting.rs` acts.

mod acting;
mod plan;
mod policy;

pub use policy::{Backoff, Restart, Strategy};

use crate::actor::Actor;
use crate::cell::{self, Options, Recipe, SHUTDOWN_TIME, Signal};
use crate::children::Child;
use crate::error::{ChildError, Error, Result, SpawnError};
use crate::exit::{ActorId, ExitReason};
use crate::refs::LocalRef;
use acting::{Change, Entry, StartChild, ToChild, WhichChildren};
use plan::{Key, Plan};
use policy::Policy;
use posse_core::runtime::{Handle, Runtime};
use posse_core::signal;
use posse_core::task::AbortHandle;
use posse_core::time::Instant;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
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
    plan: Plan,
    /// Children that were added before the supervisor started.
    pending: Vec<Spec>,
    children: BTreeMap<Key, Entry>,
    names: BTreeMap<Arc<str>, Key>,
    /// Comes when the plan has something to do.
    tick: Option<(Instant, AbortHandle)>,
    /// The children have not all been up yet.
    beginning: bool,
}

/// A child that has not been started.
struct Spec {
    name: Arc<str>,
    restart: Restart,
    stop_within: Duration,
    type_name: &'static str,
    start: StartCell,
}

/// Starts a cell for the child: the first one, or another one after it was terminated.
type StartCell = Box<dyn FnMut(&Handle, Options) -> Child + Send>;

/// Where the recipe of a child is while no cell has it.
type Shelf<A> = Arc<Mutex<Option<Box<dyn FnMut() -> A + Send>>>>;

/// A recipe in the hands of a cell. It goes back to its shelf when the cell has ended.
struct Lent<A> {
    recipe: Option<Box<dyn FnMut() -> A + Send>>,
    shelf: Shelf<A>,
}

impl<A: Actor> Lent<A> {
    fn recipe(shelf: &Shelf<A>) -> Recipe<A> {
        let recipe = lock(shelf).take();
        let mut lent = Self { recipe, shelf: shelf.clone() };
        if lent.recipe.is_none() {
            return Recipe::Once(None);
        }
        Recipe::Again(Box::new(move || lent.recipe.as_mut().map(|recipe| recipe()).expect("invariant: it was there")))
    }
}

impl<A> Drop for Lent<A> {
    fn drop(&mut self) {
        *lock(&self.shelf) = self.recipe.take();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// What can be a child of a supervisor: a recipe for an actor, a [`Listener`](crate::Listener) or a recipe for one, another
/// [`Supervisor`] by [`Nested`](crate::Nested).
pub trait IntoChild<Kind>: Send + 'static {
    #[doc(hidden)]
    fn into_start(self) -> StartFn;
}

/// How a child is started. Opaque.
#[doc(hidden)]
pub struct StartFn {
    start: StartCell,
    type_name: &'static str,
}

impl StartFn {
    pub(crate) fn new<A: Actor>(recipe: impl FnMut() -> A + Send + 'static) -> Self {
        Self::telling(recipe, |_| {})
    }

    /// Calls `started` with each cell that it starts.
    fn telling<A: Actor>(
        recipe: impl FnMut() -> A + Send + 'static,
        mut told: impl FnMut(LocalRef<A>) + Send + 'static,
    ) -> Self {
        let shelf: Shelf<A> = Arc::new(Mutex::new(Some(Box::new(recipe))));
        let start = move |handle: &Handle, options: Options| {
            let actor = cell::start(handle, options, Lent::recipe(&shelf));
            told(actor.clone());
            actor.child(SHUTDOWN_TIME)
        };
        Self { start: Box::new(start), type_name: cell::name_of::<A>() }
    }

    fn named(self, name: impl Into<String>, restart: Restart) -> Spec {
        let Self { start, type_name } = self;
        Spec { name: name.into().into(), restart, stop_within: SHUTDOWN_TIME, type_name, start }
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
        Self {
            plan: Plan::new(Policy { strategy, limit, period, backoff: Backoff::none() }),
            pending: Vec::new(),
            children: BTreeMap::new(),
            names: BTreeMap::new(),
            tick: None,
            beginning: true,
        }
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

    /// Sets how many restarts there may be within a period; with one more the supervisor gives up. Default: 5 in 5 s.
    /// `usize::MAX` is no limit. The times of the last restarts are kept, 16 bytes each, never more than the limit.
    pub fn limit(mut self, restarts: usize, period: Duration) -> Self {
        (self.plan.policy.limit, self.plan.policy.period) = (restarts, period);
        self
    }

    /// Sets how long a child waits before its restart. Default: not at all. Each child has its own wait.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.plan.policy.backoff = backoff;
        self
    }

    /// Adds a child that is always restarted.
    pub fn child<Kind>(self, name: impl Into<String>, child: impl IntoChild<Kind>) -> Self {
        self.child_with(name, Restart::Permanent, child)
    }

    /// Adds a child and says when it is restarted.
    pub fn child_with<Kind>(mut self, name: impl Into<String>, restart: Restart, child: impl IntoChild<Kind>) -> Self {
        self.pending.push(child.into_start().named(name, restart));
        self
    }

    /// Starts the supervisor and its children in the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn(self) -> SupervisorRef {
        SupervisorRef(cell::start(&Handle::current(), Options::default(), Recipe::Once(Some(self))))
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
        let names: Vec<_> = self.pending.iter().map(|spec| &spec.name).chain(self.names.keys()).collect();
        f.debug_struct("Supervisor").field("policy", &self.plan.policy).field("children", &names).finish()
    }
}

/// A reference to a running supervisor.
#[derive(Clone, Debug)]
pub struct SupervisorRef(LocalRef<Supervisor>);

impl SupervisorRef {
    /// Starts another child, which is always restarted, waits until it has started, and returns a reference that outlives its
    /// restarts.
    ///
    /// # Errors
    /// If the child does not start, its name is taken, or the supervisor has ended.
    ///
    /// # Cancel safety
    /// If this is dropped half-way the child may have been started.
    pub async fn add<A: Actor>(
        &self,
        name: impl Into<String>,
        recipe: impl FnMut() -> A + Send + 'static,
    ) -> std::result::Result<LocalRef<A>, SpawnError> {
        self.add_with(name, Restart::Permanent, recipe).await
    }

    /// Starts another child and says when it is restarted.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_with<A: Actor>(
        &self,
        name: impl Into<String>,
        restart: Restart,
        recipe: impl FnMut() -> A + Send + 'static,
    ) -> std::result::Result<LocalRef<A>, SpawnError> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let told = move |actor| drop(send.try_send(actor));
        let spec = StartFn::telling(recipe, told).named(name, restart);
        let asked = self.0.ask(StartChild(spec)).within(Duration::MAX).await;
        let outcome = asked.map_err(|_| SpawnError::ParentStopped)??;
        outcome.await.map_err(|_| SpawnError::ParentStopped)?.map_err(SpawnError::Failed)?;
        receive.try_recv().map_err(|_| SpawnError::ParentStopped)
    }

    /// Ends a child for good, waits for it, and keeps its specification for [`restart_child`](Self::restart_child). A temporary
    /// child is forgotten.
    ///
    /// # Errors
    /// If there is no such child, or the supervisor has ended.
    ///
    /// # Cancel safety
    /// If this is dropped half-way the child may end all the same.
    pub async fn terminate_child(&self, name: &str) -> std::result::Result<(), ChildError> {
        self.to_child(name, Change::Terminate).await
    }

    /// Ends a child for good, unless that has been done, waits for it, and forgets it. Its name is free then.
    ///
    /// # Errors
    /// If there is no such child, or the supervisor has ended.
    ///
    /// # Cancel safety
    /// If this is dropped half-way the child may end all the same.
    pub async fn delete_child(&self, name: &str) -> std::result::Result<(), ChildError> {
        self.to_child(name, Change::Delete).await
    }

    /// Starts a child again, and waits until it has started. One that runs is stopped first, and its references and its
    /// mailbox survive; one that waits for a restart does not wait any longer; one that was terminated starts as a new actor.
    /// It does not count as a restart.
    ///
    /// # Errors
    /// If there is no such child, it does not start, or the supervisor has ended.
    ///
    /// # Cancel safety
    /// If this is dropped half-way the child may start again all the same.
    pub async fn restart_child(&self, name: &str) -> std::result::Result<(), ChildError> {
        self.to_child(name, Change::Restart).await
    }

    async fn to_child(&self, name: &str, change: Change) -> std::result::Result<(), ChildError> {
        let asked = self.0.ask(ToChild(name.into(), change)).within(Duration::MAX).await;
        let outcome = asked.map_err(|_| ChildError::ParentStopped)?.ok_or(ChildError::NotFound)?;
        outcome.await.map_err(|_| ChildError::ParentStopped)?.map_err(ChildError::Failed)
    }

    /// Returns the children in the order of their start. None if the supervisor has ended.
    pub async fn which_children(&self) -> Vec<ChildInfo> {
        self.0.ask(WhichChildren).within(Duration::MAX).await.unwrap_or_default()
    }

    /// Ends the children in reverse order, then the supervisor, and waits for it.
    pub async fn stop(&self) {
        self.0.0.signal(Signal::Shutdown);
        self.0.0.wake();
        self.0.closed().await;
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

/// A child of a supervisor, as [`SupervisorRef::which_children`] sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its name.
    pub name: Arc<str>,
    /// The name of its type, for people.
    pub type_name: &'static str,
    /// When it is restarted.
    pub restart: Restart,
    /// Its id; `None` if it was terminated, or has not begun yet.
    pub actor: Option<ActorId>,
    /// Where it is in its life.
    pub state: ChildState,
}

/// Where a child is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildState {
    /// It waits for its turn to start, or for the time of its restart.
    Waiting,
    /// Its `started` has not returned yet.
    Starting,
    /// It runs.
    Running,
    /// It was asked to stop.
    Stopping,
    /// It was terminated and can be restarted.
    Terminated,
}
