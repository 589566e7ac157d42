//! The specification of an actor: what makes it, and its settings. One [`Spec`] for every way to start one.

use crate::actor::Actor;
use crate::actor::lifecycle::{DEFAULT_CAPACITY, DEFAULT_SHUTDOWN, Recipe};
use posse_core::mailbox::Capacity;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// How an actor is started: a recipe that makes it, and its settings. OTP calls it a child specification.
///
/// Whatever starts an actor takes one: [`spawn`](crate::spawn), [`Context::spawn`](crate::Context::spawn),
/// [`Supervisor::child`](crate::Supervisor::child), [`start_child`](crate::SupervisorRef::start_child) of a running supervisor,
/// [`Listener::serve`](crate::Listener::serve). A closure alone is one too, with the default settings.
///
/// # Examples
/// ```
/// use posse::prelude::*;
///
/// struct Device(u64);
/// impl Actor for Device {}
///
/// posse::run(async {
///     let plain = posse::spawn(|| Device(1));
///     let device = posse::spawn(Spec::new(|| Device(7)).name("device/7").capacity(64).stop_within(secs(30)));
///     assert_eq!(posse::System::current().whereis("device/7"), Some(device));
///     plain.stop();
///     Ok(())
/// })?;
/// # posse::Result::Ok(())
/// ```
#[must_use = "a specification starts nothing by itself"]
pub struct Spec<A: Actor> {
    pub(crate) recipe: Recipe<A>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) capacity: Capacity,
    pub(crate) restart: Restart,
    pub(crate) stop_within: Duration,
    pub(crate) worker: Option<usize>,
}

impl<A: Actor> Spec<A> {
    /// An actor from a recipe, which is called for the first start and for each restart. It clones what it needs each time.
    pub fn new(recipe: impl FnMut() -> A + Send + 'static) -> Self {
        Self::from_recipe(Recipe::Again(Box::new(recipe)))
    }

    /// An actor from a value that cannot be made again, such as one that owns a socket. It is never restarted, whatever
    /// [`restart`](Self::restart) says.
    pub fn once(actor: A) -> Self {
        Self::from_recipe(Recipe::Once(Some(actor)))
    }

    fn from_recipe(recipe: Recipe<A>) -> Self {
        let capacity = Capacity::Bounded(NonZeroUsize::new(DEFAULT_CAPACITY).unwrap_or(NonZeroUsize::MIN));
        Self { recipe, name: None, capacity, restart: Restart::default(), stop_within: DEFAULT_SHUTDOWN, worker: None }
    }

    /// Sets the actor's name, under which [`System::whereis`](crate::System::whereis) finds it until it has ended for good. By
    /// it a supervisor's children are told apart. If another living actor of the runtime has the name, or it has not
    /// 1 to 255 bytes, this one does not start. Default: none.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets how many messages the mailbox holds, at least one. Default: 1,024.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = Capacity::Bounded(NonZeroUsize::new(messages).unwrap_or(NonZeroUsize::MIN));
        self
    }

    /// Lets the mailbox hold as many messages as there are. Nothing slows a sender down then.
    pub fn unbounded(mut self) -> Self {
        self.capacity = Capacity::Unbounded;
        self
    }

    /// Sets when a supervisor restarts the actor. Only a supervisor restarts actors. Default: [`Restart::Permanent`].
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how long the actor may take to stop when its parent ends it, before it is killed. Default: 5 s.
    pub fn stop_within(mut self, time: Duration) -> Self {
        self.stop_within = time;
        self
    }

    /// Pins the actor to one worker of its runtime, counted from 0: no other one ever runs it. What that costs:
    /// [`task::Builder::spawn_pinned`](crate::task::Builder::spawn_pinned). Its tasks and children go where those of any actor go.
    ///
    /// An actor for a worker that the runtime does not have does not start: it fails, and the reason names the worker.
    /// [`Handle::workers`](crate::runtime::Handle::workers) says how many there are. Default: none, whichever worker is free runs it.
    ///
    /// # Examples
    /// ```
    /// use posse::prelude::*;
    ///
    /// struct Shard(usize);
    /// impl Actor for Shard {}
    ///
    /// posse::run(async {
    ///     let workers = posse::runtime::Handle::current().workers();
    ///     let shards: Vec<_> = (0..workers).map(|n| posse::spawn(Spec::new(move || Shard(n)).worker(n))).collect();
    ///     shards[0].stop();
    ///     Ok(())
    /// })?;
    /// # posse::Result::Ok(())
    /// ```
    pub fn worker(mut self, index: usize) -> Self {
        self.worker = Some(index);
        self
    }

    /// When a supervisor restarts it; a value that cannot be made again never is.
    pub(crate) fn effective_restart(&self) -> Restart {
        if matches!(self.recipe, Recipe::Once(_)) { Restart::Temporary } else { self.restart }
    }
}

impl<A: Actor> fmt::Debug for Spec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("actor", &std::any::type_name::<A>())
            .field("name", &self.name)
            .field("capacity", &self.capacity)
            .field("restart", &self.effective_restart())
            .field("stop_within", &self.stop_within)
            .field("worker", &self.worker)
            .finish()
    }
}

/// When a child starts over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Always. The default.
    #[default]
    Permanent,
    /// After it failed or was killed.
    Transient,
    /// Never.
    Temporary,
}

/// What an actor can be started from: a closure that makes it, or a [`Spec`].
///
/// A supervisor is an actor, so a closure that returns a [`Supervisor`](crate::Supervisor) is one as well, and
/// [`Listener::serve`](crate::Listener::serve) returns a `Spec`.
#[diagnostic::on_unimplemented(
    message = "an actor cannot be started from `{Self}`",
    label = "neither a closure that makes an actor again and again, nor a `Spec`",
    note = "write a closure that makes the actor, also after each failure: `|| Counter(0)`; it clones what it needs each time",
    note = "if the actor cannot be made again, as it owns a socket or the like: `Spec::once(actor)`",
    note = "a future is no actor, it is a task: `posse::task::spawn(future)`"
)]
pub trait IntoSpec: Send + 'static {
    /// The actor.
    type Actor: Actor;

    /// Returns the specification.
    fn into_spec(self) -> Spec<Self::Actor>;
}

impl<A: Actor> IntoSpec for Spec<A> {
    type Actor = A;

    fn into_spec(self) -> Spec<A> {
        self
    }
}

impl<F> IntoSpec for F
where
    F: Factory + Send + 'static,
    F::Made: Actor,
{
    type Actor = F::Made;

    fn into_spec(mut self) -> Spec<F::Made> {
        Spec::new(move || self.make())
    }
}

/// A closure that makes something again and again. A trait of its own, so that the compiler can say what is wrong in words
/// about actors.
#[doc(hidden)]
pub trait Factory {
    type Made;
    fn make(&mut self) -> Self::Made;
}

#[diagnostic::do_not_recommend]
impl<T, F: FnMut() -> T> Factory for F {
    type Made = T;

    fn make(&mut self) -> T {
        self()
    }
}

/// What serves one connection: an actor, or a [`Spec`] with it.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a connection cannot be served by `{Self}`",
    label = "neither an actor nor a `Spec`",
    note = "return an actor from the closure, or `Spec::once(actor)` with settings"
)]
pub trait Serves {
    type Actor: Actor;
    fn into_spec(self) -> Spec<Self::Actor>;
}

impl<A: Actor> Serves for A {
    type Actor = A;

    fn into_spec(self) -> Spec<A> {
        Spec::once(self)
    }
}

impl<A: Actor> Serves for Spec<A> {
    type Actor = A;

    fn into_spec(self) -> Spec<A> {
        self
    }
}
