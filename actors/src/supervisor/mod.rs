//! Supervisors: actors that start other actors, restart them when they fail, and end with them.
//!
//! The supervisor drives: its children run when they are told to and report what becomes of them. `policy.rs` and `plan.rs`
//! decide, `actor.rs` acts.

mod actor;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod listener;
mod plan;
mod policy;

pub use crate::actor::spec::Restart;
pub use policy::Backoff;

use crate::actor::Actor;
use crate::actor::children::ChildRef;
use crate::actor::lifecycle::{self, Recipe, Supervise};
use crate::actor::spec::{IntoSpec, Spec};
use crate::error::{ChildError, Error, Result, SpawnError};
use crate::id::ActorId;
use crate::refs::LocalRef;
use crate::watch::shared::Command;
use actor::{ChildAction, ChildRequest, Entry, StartChild, WhichChildren};
use plan::{Key, Plan};
use policy::{Policy, Strategy};
use posse_core::lock::Mutex;
use posse_core::runtime::{Handle, Runtime};
use posse_core::task::AbortHandle;
use posse_core::time::Instant;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
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
///     let fragile = supervisor.start_child(|| Fragile).await?;
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
    pending: Vec<ChildSpec>,
    children: BTreeMap<Key, Entry>,
    names: BTreeMap<Arc<str>, Key>,
    /// Comes when the plan has something to do.
    tick: Option<(Instant, AbortHandle)>,
    /// The children have not all been up yet.
    beginning: bool,
}

/// A child's specification, whatever its type.
struct ChildSpec {
    name: Option<Arc<str>>,
    restart: Restart,
    stop_within: Duration,
    type_name: &'static str,
    start: StartCell,
}

/// Starts a cell for the child: the first one, or another one after it was terminated.
type StartCell = Box<dyn FnMut(&Handle, Arc<dyn Supervise>) -> ChildRef + Send>;

impl ChildSpec {
    /// A child from this place in the code. Hands `started` each cell that it starts.
    fn new<A: Actor>(
        place: &'static Location<'static>,
        spec: Spec<A>,
        mut started: impl FnMut(LocalRef<A>) + Send + 'static,
    ) -> Self {
        let (name, stop_within, restart) = (spec.name.clone(), spec.stop_within, spec.effective_restart());
        let (cell_name, capacity, worker) = (name.clone(), spec.capacity, spec.worker);
        let shelf: Shelf<A> = Arc::new(Mutex::new(Some(spec.recipe)));
        let start = move |handle: &Handle, supervisor: Arc<dyn Supervise>| {
            let recipe = Lent::recipe(&shelf);
            let spec = Spec { recipe, name: cell_name.clone(), capacity, restart, stop_within, worker };
            let (actor, _) = lifecycle::start_from(place, handle, spec, Some(supervisor));
            started(actor.clone());
            actor.child(stop_within)
        };
        Self { name, restart, stop_within, type_name: std::any::type_name::<A>(), start: Box::new(start) }
    }
}

/// Where the recipe of a child is while no cell has it.
type Shelf<A> = Arc<Mutex<Option<Recipe<A>>>>;

/// A recipe in the hands of a cell. It goes back to its shelf when the cell has ended.
struct Lent<A> {
    recipe: Option<Box<dyn FnMut() -> A + Send>>,
    shelf: Shelf<A>,
}

impl<A: Actor> Lent<A> {
    fn recipe(shelf: &Shelf<A>) -> Recipe<A> {
        let recipe = match shelf.lock().take() {
            Some(Recipe::Again(recipe)) => recipe,
            Some(once) => return once,
            None => return Recipe::Once(None),
        };
        let mut lent = Self { recipe: Some(recipe), shelf: shelf.clone() };
        Recipe::Again(Box::new(move || match &mut lent.recipe {
            Some(recipe) => recipe(),
            None => unreachable!("invariant: it goes back when this is dropped"),
        }))
    }
}

impl<A> Drop for Lent<A> {
    fn drop(&mut self) {
        *self.shelf.lock() = self.recipe.take().map(Recipe::Again);
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
    pub fn restart_limit(mut self, restarts: usize, period: Duration) -> Self {
        (self.plan.policy.limit, self.plan.policy.period) = (restarts, period);
        self
    }

    /// Sets how long a child waits before its restart. Default: not at all. Each child has its own wait, which is the least again
    /// once the child has run for the period of the limit.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.plan.policy.backoff = backoff;
        self
    }

    /// Adds a child: a closure that makes an actor, also another supervisor, or a [`Spec`], as [`Listener`](crate::Listener) is.
    /// If two children have one name the supervisor does not start.
    #[track_caller]
    pub fn child(mut self, child: impl IntoSpec) -> Self {
        self.pending.push(ChildSpec::new(Location::caller(), child.into_spec(), |_| {}));
        self
    }

    /// Starts the supervisor and its children in the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn(self) -> SupervisorRef {
        lifecycle::start(&Handle::current(), Spec::once(self))
    }

    /// Runs a program that is this supervisor: builds a runtime, and does what [`run_until_shutdown`](Self::run_until_shutdown) does.
    ///
    /// # Errors
    /// If the runtime cannot be built, or the supervisor fails.
    #[track_caller]
    pub fn main(self) -> Result {
        Runtime::new()?.block_on(self.run_until_shutdown())
    }

    /// Starts the children in the current runtime, and ends them in reverse order at ctrl-c or SIGTERM: the end of an `async fn main`
    /// that has more to do before its tree. It returns once all of them have ended, as [`SupervisorRef::shutdown`] does: each has the time of its
    /// [`Spec::stop_within`], by default 5 seconds. Elsewhere than on Unix there are no such signals: there it runs until the
    /// supervisor ends.
    ///
    /// From the first poll on ctrl-c and SIGTERM no longer end the process by themselves.
    ///
    /// # Errors
    /// If signals cannot be waited for, or the supervisor fails.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Cancel safety
    /// If this is dropped the supervisor is asked to end, and is not waited for.
    ///
    /// # Examples
    /// ```no_run
    /// use posse::prelude::*;
    ///
    /// struct Echo(TcpStream);
    /// impl Actor for Echo {
    ///     async fn run(&mut self, _: &mut Context<Self>) -> posse::Result {
    ///         let (mut read, mut write) = self.0.split();
    ///         io::copy(&mut read, &mut write).await?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// #[posse::main]
    /// async fn main() -> posse::Result {
    ///     let address = posse::fs::read_to_string("address").await?;
    ///     Supervisor::one_for_one().child(Listener::tcp(address.trim()).serve(Echo)).run_until_shutdown().await?;
    ///     println!("every connection is closed");
    ///     Ok(())
    /// }
    /// ```
    #[track_caller]
    pub fn run_until_shutdown(self) -> impl Future<Output = Result> + Send {
        // Not an async function: that would have no caller.
        let place = Location::caller();
        async move {
            let signalled = end_requested();
            let (supervisor, _) = lifecycle::start_from(place, &Handle::current(), Spec::once(self), None);
            let supervisor = EndedOnDrop(supervisor);
            let (mut signalled, mut closed) = (pin!(signalled), pin!(supervisor.0.closed()));
            let ended = poll_fn(|cx| {
                if let Poll::Ready(reason) = closed.as_mut().poll(cx) {
                    return Poll::Ready(Ok(Some(reason)));
                }
                signalled.as_mut().poll(cx).map(|result| result.map(|()| None))
            });
            let ended = ended.await;
            supervisor.0.shutdown().await;
            match ended? {
                Some(reason) if reason.is_abnormal() => Err(Error::msg(format!("the supervisor ended: {reason}"))),
                Some(_) | None => Ok(()),
            }
        }
    }
}

/// A tree that only the future refers to that runs it.
struct EndedOnDrop(SupervisorRef);

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        self.0.ask_to_shut_down();
    }
}

/// Completes when the system asks the program to end.
fn end_requested() -> impl Future<Output = std::io::Result<()>> {
    #[cfg(unix)]
    return posse_core::signal::shutdown();
    #[cfg(not(unix))]
    return std::future::pending();
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = self.pending.len() + self.children.len();
        f.debug_struct("Supervisor").field("policy", &self.plan.policy).field("children", &children).finish()
    }
}

/// A reference to a running supervisor. Wherever a supervisor is started, this is what comes of it, so one inside of a tree is
/// found by its name.
///
/// # Examples
/// ```
/// use posse::prelude::*;
/// use posse::{SupervisorRef, System};
///
/// struct Room;
/// impl Actor for Room {}
///
/// posse::run(async {
///     let tree = Supervisor::one_for_one().child(Spec::new(|| Supervisor::one_for_one()).name("rooms")).spawn();
///     assert_eq!(tree.which_children().await.len(), 1);
///
///     let rooms: SupervisorRef = System::current().whereis("rooms").ok_or("no rooms")?;
///     let room = rooms.start_child(Spec::new(|| Room).name("room/1")).await?;
///     assert_eq!(System::current().whereis("room/1"), Some(room));
///     rooms.delete_child("room/1").await?;
///     tree.shutdown().await;
///     Ok(())
/// })?;
/// # posse::Result::Ok(())
/// ```
pub type SupervisorRef = LocalRef<Supervisor>;

impl LocalRef<Supervisor> {
    /// Starts another child, waits until it has started, and returns a reference that outlives its restarts.
    ///
    /// # Errors
    /// If the child does not start, its name is taken, or the supervisor has ended. The child is not kept then.
    ///
    /// # Cancel safety
    /// The order is given when it is first polled, as soon as the supervisor's mailbox has room. After that the child is started and kept, also if the
    /// future is dropped: find it by [`which_children`](Self::which_children), or by its name.
    #[track_caller]
    pub fn start_child<S: IntoSpec>(
        &self,
        child: S,
    ) -> impl Future<Output = std::result::Result<LocalRef<S::Actor>, SpawnError>> + Send {
        // Not an async function: that would have no caller.
        let place = Location::caller();
        async move {
            let (send, receive) = std::sync::mpsc::sync_channel(1);
            let spec = ChildSpec::new(place, child.into_spec(), move |actor| drop(send.try_send(actor)));
            let asked = self.ask(StartChild(spec)).within(Duration::MAX).await;
            let outcome = asked.map_err(|_| SpawnError::ParentStopped)??;
            match outcome.await {
                Ok(Ok(())) => {}
                Ok(Err(ChildError::Failed(reason))) => return Err(SpawnError::Failed(reason)),
                Ok(Err(_)) | Err(_) => return Err(SpawnError::ParentStopped),
            }
            receive.try_recv().map_err(|_| SpawnError::ParentStopped)
        }
    }

    /// Ends a child for good, waits for it, and keeps its specification for [`restart_child`](Self::restart_child). A temporary
    /// child is forgotten.
    ///
    /// # Errors
    /// If there is no such child, or the supervisor has ended.
    ///
    /// # Cancel safety
    /// As [`start_child`](Self::start_child): once the order is given the child ends, also if the future is dropped.
    pub async fn terminate_child(&self, name: &str) -> std::result::Result<(), ChildError> {
        self.request_child(name, ChildAction::Terminate).await
    }

    /// Ends a child for good, unless that has been done, waits for it, and forgets it. Its name is free then.
    ///
    /// Of several that delete it at once one succeeds. Whatever comes after a deletion finds no such child, as in OTP.
    ///
    /// # Errors
    /// If there is no such child, or the supervisor has ended.
    ///
    /// # Cancel safety
    /// As [`start_child`](Self::start_child): once the order is given the child ends, also if the future is dropped.
    pub async fn delete_child(&self, name: &str) -> std::result::Result<(), ChildError> {
        self.request_child(name, ChildAction::Delete).await
    }

    /// Starts a child again, and waits until it has started. One that runs is stopped first, and its references and its
    /// mailbox survive; one that waits for a restart does not wait any longer; one that was terminated starts as a new actor.
    /// It does not count as a restart.
    ///
    /// # Errors
    /// If there is no such child, it does not start, or the supervisor has ended.
    ///
    /// # Cancel safety
    /// As [`start_child`](Self::start_child): once the order is given the child starts again, also if the future is dropped.
    pub async fn restart_child(&self, name: &str) -> std::result::Result<(), ChildError> {
        self.request_child(name, ChildAction::Restart).await
    }

    async fn request_child(&self, name: &str, action: ChildAction) -> std::result::Result<(), ChildError> {
        let asked = self.ask(ChildRequest(name.into(), action)).within(Duration::MAX).await;
        let outcome = asked.map_err(|_| ChildError::ParentStopped)?.ok_or(ChildError::NotFound)?;
        outcome.await.map_err(|_| ChildError::ParentStopped)?
    }

    /// Returns the children in the order of their start: an empty list if the supervisor has ended.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn which_children(&self) -> Vec<ChildInfo> {
        self.ask(WhichChildren).within(Duration::MAX).await.unwrap_or_default()
    }

    /// Ends the children in reverse order, then the supervisor, and waits for it. One that is itself a child is not restarted.
    ///
    /// # Cancel safety
    /// Once polled everything ends, also if the future is dropped.
    pub async fn shutdown(&self) {
        self.ask_to_shut_down();
        self.closed().await;
    }

    fn ask_to_shut_down(&self) {
        self.0.command(Command::Shutdown);
        self.0.wake();
    }
}

/// A child of a supervisor, as [`SupervisorRef::which_children`] sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
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

#[cfg(test)]
mod tests;
