//! The context, which an actor's callbacks get: itself, its children, its timers.

use crate::actor::Actor;
use crate::actor::children::Children;
use crate::actor::lifecycle::{self, Local};
use crate::actor::message::{Handler, Message};
use crate::actor::spec::{IntoSpec, Spec};
use crate::error::{Error, Result};
use crate::id::{ActorId, ExitReason};
use crate::refs::LocalRef;
use crate::system::System;
use crate::watch::monitor::{Down, Monitor, Monitorable};
use crate::watch::shared::Command;
use crate::watch::tracker::Tracker;
use posse_core::event;
use posse_core::mailbox::Inbox;
use posse_core::runtime::Handle;
use posse_core::task::AbortHandle;
use posse_core::time::{Sleep, interval_at};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What an actor's callbacks can reach. Everything here belongs to the one actor.
pub struct Context<A: Actor> {
    /// The actor's mailbox, and by it what all references share.
    pub(crate) inbox: Inbox<Local<A>>,
    /// Of the actor: its children and timers run there.
    runtime: Handle,
    /// Those it has spawned and that have not ended; ended with it.
    pub(crate) children: Children,
    /// Of `send_after` and `send_every`: aborted with the incarnation.
    timers: Tracker<AbortHandle>,
    /// Those it has set: cancelled with the incarnation that set them.
    monitors: Tracker<Monitor>,
    /// Serving ends after the message that is handled now, and the incarnation for this reason.
    pub(crate) leaving: Option<ExitReason>,
    /// Its messages come from its own house: those that its end drops are no loss to anybody. A supervisor's.
    pub(crate) tells_itself: bool,
    /// Its supervisor was about to start it again: people have heard of its failure.
    pub(crate) failure_was_said: bool,
    /// Its end was accounted for, which happens once.
    ended: bool,
}

impl<A: Actor> Context<A> {
    pub(crate) fn new(inbox: Inbox<Local<A>>, runtime: Handle) -> Self {
        Self {
            inbox,
            runtime,
            children: Children::default(),
            timers: Tracker::new(),
            monitors: Tracker::new(),
            leaving: None,
            tells_itself: false,
            failure_was_said: false,
            ended: false,
        }
    }

    /// The end of the actor, once: accounts for all its messages, then tells its monitors and those that wait.
    pub(crate) fn end(&mut self, reason: &ExitReason) {
        if !std::mem::replace(&mut self.ended, true) {
            lifecycle::drain_to_dead_letters(&mut self.inbox, self.tells_itself);
            // Those it watches need not keep its memory until they end.
            self.cancel_monitors();
            self.say_ended(reason);
            self.inbox.cell().exit(reason);
        }
    }

    /// There may be no monitor left to hear why: a failure is logged.
    fn say_ended(&self, reason: &ExitReason) {
        let cell = self.inbox.cell();
        match reason {
            ExitReason::Failed(text) if !self.failure_was_said => event!(
                ERROR, "posse::actor", "an actor failed",
                actor.id = %cell.id(), actor.type = %std::any::type_name::<A>(), actor.name = %cell.name(), reason = %text,
            ),
            _ => event!(
                DEBUG, "posse::actor", "an actor ended",
                actor.id = %cell.id(), actor.type = %std::any::type_name::<A>(), actor.name = %cell.name(), reason = %reason,
            ),
        }
    }

    /// Returns a reference to the actor itself.
    pub fn myself(&self) -> LocalRef<A> {
        LocalRef(self.inbox.cell().clone())
    }

    /// Returns the actor's id.
    pub fn id(&self) -> ActorId {
        self.inbox.cell().id()
    }

    /// Returns the system of all actors of this runtime.
    pub fn system(&self) -> &Arc<System> {
        self.inbox.cell().system()
    }

    /// Returns the runtime's handle.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Ends the actor after the message it handles now.
    pub fn stop(&mut self) {
        self.inbox.cell().command(Command::Stop);
    }

    /// Ends the actor once it has handled what is queued; later messages are refused.
    pub fn drain(&mut self) {
        self.inbox.cell().close();
    }

    /// Ends the actor as failed after the message it handles now. A supervisor decides whether it is restarted.
    pub fn fail(&mut self, error: impl Into<Error>) {
        self.leaving = Some(ExitReason::failed(error.into().chain()));
    }

    /// Handles messages until the actor is told to end. This is what `run` does by default.
    pub fn serve<'a>(&'a mut self, actor: &'a mut A) -> impl Future<Output = Result> + Send + 'a {
        self.inbox.cell().set_handles_stop();
        let mut serve = Inbox::<Local<A>>::serve(actor, self);
        // As an async block it would be twice in the memory of every actor: where it is made and where it is awaited.
        poll_fn(move |cx| Pin::new(&mut serve).poll(cx).map(|_| Ok(())))
    }

    /// Waits until the actor is asked to stop. For an actor in process style that wants to end in its own way: once it has
    /// called this, a stop no longer ends its `run` at the next await.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let cell = self.inbox.cell().clone();
        cell.set_handles_stop();
        // A signal wakes the actor's own task, in which this is awaited.
        poll_fn(move |_| if cell.has_any() || cell.is_closed() { Poll::Ready(()) } else { Poll::Pending })
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.leaving.is_some() || self.inbox.cell().has_any()
    }

    /// Starts a child that this actor owns: it ends with its parent. It is not restarted; that is a supervisor's work.
    #[track_caller]
    pub fn spawn<S: IntoSpec>(&mut self, child: S) -> LocalRef<S::Actor> {
        self.spawn_from(Location::caller(), child.into_spec())
    }

    /// As [`spawn`](Self::spawn), from this place in the code.
    pub(crate) fn spawn_from<C: Actor>(&mut self, place: &'static Location<'static>, spec: Spec<C>) -> LocalRef<C> {
        let stop_within = spec.stop_within;
        let (child, _) = lifecycle::start_from(place, &self.runtime, spec, None);
        self.children.add_child(child.child(stop_within));
        child
    }

    /// Returns how many children are alive.
    pub fn children(&self) -> usize {
        self.children.alive()
    }

    /// Watches another actor: a [`Down`] message comes exactly once when it has ended for good, after every message it
    /// sent before. If it has ended already the message comes at once. There is always room for it in the mailbox.
    ///
    /// An actor of another node is down with its node as well, after the messages of it that have arrived. Monitors between two nodes
    /// are bounded: with one more the message comes at once and says [`ExitReason::TooManyMonitors`], though the actor may live.
    ///
    /// # Restarts
    /// A restart is no end: of an actor whose supervisor starts it again no `Down` comes, since references to it stay good. Who asks
    /// it hears of the failure by [`AskError::Failed`](crate::AskError::Failed).
    ///
    /// A monitor ends with the incarnation that set it, as a timer does: an actor that monitors in `started` hears of an end once.
    pub fn monitor(&self, other: &impl Monitorable) -> Monitor
    where
        A: Handler<Down>,
    {
        let reserved = self.inbox.cell().reserve_unbounded::<Down>();
        let actor = other.monitored();
        let tracked = self.system().audit.monitor(|| other.is_over());
        let record = tracked.clone();
        self.monitors.add(|token| {
            let told = move |reason: &ExitReason| {
                // A watcher that has ended has no use for it.
                let accepted = reserved.tell(Down { actor, reason: reason.clone() }).is_ok();
                record.fired(accepted);
                drop(token);
            };
            other.watch(Some(self.id()), Box::new(told)).tracked(tracked)
        })
    }

    /// Tells the actor itself a message after a while. The timer ends with this incarnation of the actor.
    pub fn send_after<M: Message>(&mut self, delay: Duration, message: M) -> AbortHandle
    where
        A: Handler<M>,
    {
        let me = self.myself();
        // From now on, and not from when the task is first seen to.
        let time = Sleep::on(self.runtime.clone(), delay);
        self.timer(async move {
            time.await;
            let _ = me.tell(message).await;
        })
    }

    /// Tells the actor itself a message at every period, the first time after one. The timer ends with this incarnation.
    pub fn send_every<M: Message>(
        &mut self,
        period: Duration,
        mut message: impl FnMut() -> M + Send + 'static,
    ) -> AbortHandle
    where
        A: Handler<M>,
    {
        let me = self.myself();
        let start = posse_core::time::Instant::now() + period;
        self.timer(async move {
            // A mailbox without room holds the timer up, so ticks do not pile up in front of it.
            let mut ticks = interval_at(start, period);
            loop {
                ticks.tick().await;
                if me.tell(message()).await.is_err() {
                    return;
                }
            }
        })
    }

    fn timer(&mut self, future: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.timers.add(|token| {
            let timer = self.runtime.spawn(async move {
                let _token = token;
                future.await;
            });
            timer.abort_handle()
        })
    }

    /// What an incarnation has set ends with it.
    pub(crate) fn end_incarnation(&mut self) {
        self.cancel_timers();
        self.cancel_monitors();
    }

    fn cancel_monitors(&mut self) {
        for monitor in self.monitors.take() {
            monitor.cancel();
        }
    }

    fn cancel_timers(&mut self) {
        self.timers.take().into_iter().for_each(|timer| timer.abort());
    }
}

impl<A: Actor> Drop for Context<A> {
    fn drop(&mut self) {
        self.cancel_timers();
        self.children.kill();
        self.end(&ExitReason::Shutdown);
    }
}

impl<A: Actor> fmt::Debug for Context<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context<{}>({})", std::any::type_name::<A>(), self.id())
    }
}

#[cfg(test)]
mod tests;
