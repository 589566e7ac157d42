//! The supervisor as an actor: it hears reports and commands, asks its plan what to do, and does it.
//!
//! No handler here waits for anything, so a child that is slow to start or to stop holds up only those whose turn is
//! after it.

use super::plan::{AfterExit, Decision, Key, Phase, Settings, Step};
use super::{ChildInfo, ChildSpec, ChildState, Supervisor};
use crate::actor::Actor;
use crate::actor::children::ChildRef;
use crate::actor::context::Context;
use crate::actor::lifecycle::{LifeEvent, Supervise, shortened};
use crate::actor::message::{Handler, Message};
use crate::error::{ChildError, SpawnError};
use crate::id::ExitReason;
use crate::refs::LocalRef;
use crate::system::registry;
use crate::watch::shared::Command;
use posse_core::event;
use posse_core::sync::oneshot;
use posse_core::time::Instant;
use std::sync::Arc;

/// What the supervisor knows of a child besides its place in the plan.
pub(super) struct Entry {
    spec: ChildSpec,
    /// Who waits until it has started. Filled by requests, emptied when that is known.
    starting: Vec<Waiting>,
    /// Who waits until it has ended for good, and what they are told then. Filled by requests, emptied at its end.
    ending: Vec<(Waiting, Result<(), ChildError>)>,
    /// Why it ended before it had started, if it did so and is not started again.
    unstarted: Option<ExitReason>,
}

/// Tells who asked for a start or an end what came of it.
type Waiting = oneshot::Sender<Result<(), ChildError>>;

/// Brings what comes of a start or an end, once that is known.
pub(super) type Outcome = oneshot::Receiver<Result<(), ChildError>>;

/// Starts another child.
pub(super) struct StartChild(pub(super) ChildSpec);

impl Message for StartChild {
    type Reply = Result<Outcome, SpawnError>;
}

/// Does something with the child of this name. `None` if there is none.
pub(super) struct ChildRequest(pub(super) Arc<str>, pub(super) ChildAction);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChildAction {
    Terminate,
    Delete,
    Restart,
}

impl Message for ChildRequest {
    type Reply = Option<Outcome>;
}

pub(super) struct WhichChildren;

impl Message for WhichChildren {
    type Reply = Vec<ChildInfo>;
}

/// What has become of a child.
struct Report {
    child: Key,
    event: LifeEvent,
}

impl Message for Report {
    type Reply = ();
}

/// Something of the plan is due.
struct Tick;

impl Message for Tick {
    type Reply = ();
}

/// Brings a child's reports before its supervisor.
struct Reporter {
    supervisor: LocalRef<Supervisor>,
    child: Key,
}

impl Supervise for Reporter {
    fn report(&self, event: LifeEvent) {
        // Never refused for want of room. A supervisor that takes no more messages ends its children itself.
        let accepted =
            self.supervisor.0.reserve_unbounded::<Report>().tell(Report { child: self.child, event }).is_ok();
        self.supervisor.0.system().audit.record_send(accepted);
    }
}

impl Actor for Supervisor {
    /// A supervisor has started when its children have.
    async fn started(&mut self, ctx: &mut Context<Self>) -> crate::Result {
        ctx.children.set_ordered();
        ctx.tells_itself = true;
        for spec in std::mem::take(&mut self.pending) {
            let name = spec.name.clone().unwrap_or_default();
            self.add(spec, false, ctx).map_err(|error| format!("child {:?}: {error}", shortened(&name)))?;
        }
        self.drive(ctx);
        if self.beginning {
            ctx.serve(self).await?;
        }
        // The children are up, and serving goes on in `run`.
        ctx.leaving.take_if(|reason| *reason == ExitReason::Normal);
        Ok(())
    }
}

impl Handler<Report> for Supervisor {
    async fn handle(&mut self, Report { child, event }: Report, ctx: &mut Context<Self>) {
        match event {
            LifeEvent::Started => {
                self.plan.started(child, Instant::now());
                self.answer_starting(child, &Ok(()));
            }
            LifeEvent::Ended { reason, drained } => self.child_ended(child, &reason, drained, ctx),
            LifeEvent::Exited => self.child_exited(child, ctx),
        }
        self.drive(ctx);
    }
}

impl Handler<Tick> for Supervisor {
    async fn handle(&mut self, _: Tick, ctx: &mut Context<Self>) {
        self.tick = None;
        self.drive(ctx);
    }
}

impl Handler<StartChild> for Supervisor {
    async fn handle(&mut self, StartChild(spec): StartChild, ctx: &mut Context<Self>) -> Result<Outcome, SpawnError> {
        if spec.name.as_ref().is_some_and(|name| ctx.system().registry.is_taken(name)) {
            return Err(SpawnError::NameTaken);
        }
        let key = self.add(spec, true, ctx)?;
        let (send, outcome) = oneshot::channel();
        self.children.entry(key).and_modify(|entry| entry.starting.push(send));
        self.drive(ctx);
        Ok(outcome)
    }
}

impl Handler<ChildRequest> for Supervisor {
    async fn handle(&mut self, ChildRequest(name, action): ChildRequest, ctx: &mut Context<Self>) -> Option<Outcome> {
        let key = *self.names.get(&name)?;
        let now = Instant::now();
        let (send, outcome) = oneshot::channel();
        let entry = self.children.get_mut(&key)?;
        // Requests take effect one after the other, as in OTP: to one that comes after a deletion there is no such child, and
        // it hears so when that is true.
        if self.plan.phase(key) == Some(Phase::Leaving(AfterExit::Delete)) {
            entry.ending.push((send, Err(ChildError::NotFound)));
            return Some(outcome);
        }
        match action {
            ChildAction::Restart => {
                self.answer_ending(key);
                self.plan.restart(key, now);
                self.children.entry(key).and_modify(|entry| entry.starting.push(send));
            }
            ChildAction::Terminate | ChildAction::Delete => {
                entry.ending.push((send, Ok(())));
                if action == ChildAction::Delete { self.plan.delete(key, now) } else { self.plan.terminate(key, now) }
            }
        }
        if self.plan.phase(key) == Some(Phase::Terminated) {
            self.answer_ending(key);
        }
        self.drive(ctx);
        Some(outcome)
    }
}

impl Handler<WhichChildren> for Supervisor {
    async fn handle(&mut self, _: WhichChildren, ctx: &mut Context<Self>) -> Vec<ChildInfo> {
        let children = self.children.iter();
        let info = children.map(|(&key, entry)| ChildInfo {
            name: entry.spec.name.clone(),
            type_name: entry.spec.type_name,
            restart: entry.spec.restart,
            actor: ctx.children.get(key).map(ChildRef::id),
            state: self.plan.phase(key).map_or(ChildState::Terminated, ChildState::from),
        });
        info.collect()
    }
}

impl From<Phase> for ChildState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Waiting => Self::Waiting,
            Phase::Starting => Self::Starting,
            Phase::Running => Self::Running,
            Phase::Stopping | Phase::Leaving(_) => Self::Stopping,
            Phase::Terminated => Self::Terminated,
        }
    }
}

impl Supervisor {
    /// Takes a child into the plan.
    fn add(
        &mut self,
        spec: ChildSpec,
        discard_unless_started: bool,
        ctx: &mut Context<Self>,
    ) -> Result<Key, SpawnError> {
        if spec.name.as_ref().is_some_and(|name| self.names.contains_key(name)) {
            return Err(SpawnError::NameTaken);
        }
        if spec.name.as_ref().is_some_and(|name| !registry::is_valid(name)) {
            return Err(SpawnError::InvalidName);
        }
        let key = ctx.children.next_key();
        self.plan.add(key, Settings { restart: spec.restart, stop_within: spec.stop_within, discard_unless_started });
        self.names.extend(spec.name.clone().map(|name| (name, key)));
        self.children.insert(key, Entry { spec, starting: Vec::new(), ending: Vec::new(), unstarted: None });
        Ok(key)
    }

    /// Does what the plan says, until it has nothing more to say.
    fn drive(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        while let Some(step) = self.plan.next_step(now) {
            match step {
                Step::Start(key) => self.start(key, ctx),
                Step::Stop(key) => command(key, Command::Stop, ctx),
                Step::Kill(key) => command(key, Command::Kill, ctx),
                Step::Shutdown(key) if ctx.children.get(key).is_none() => self.child_exited(key, ctx),
                Step::Shutdown(key) => command(key, Command::Shutdown, ctx),
                Step::Release(key) => command(key, Command::Release, ctx),
                Step::Forget(key) => self.forget(key),
            }
        }
        self.set_tick(now, ctx);

        if self.beginning && self.plan.is_settled() {
            self.beginning = false;
            // Ends the serving in `started`, if that is where this is.
            ctx.leaving.get_or_insert(ExitReason::Normal);
        }
    }

    fn start(&mut self, key: Key, ctx: &mut Context<Self>) {
        if ctx.children.get(key).is_some() {
            command(key, Command::Start, ctx);
            return;
        }
        let Some(entry) = self.children.get_mut(&key) else { return };
        let reporter = Reporter { supervisor: ctx.myself(), child: key };
        let child = (entry.spec.start)(ctx.runtime(), Arc::new(reporter));
        ctx.children.insert(key, child);
    }

    fn child_ended(&mut self, key: Key, reason: &ExitReason, drained: bool, ctx: &mut Context<Self>) {
        let unstarted = self.plan.phase(key) == Some(Phase::Starting);
        let decision = self.plan.ended(key, reason, drained, Instant::now(), ctx.runtime().random_u64());
        let Some(entry) = self.children.get_mut(&key) else { return };

        let me = ctx.id();
        let actor = ctx.children.get(key).map_or_else(|| "-".to_owned(), |child| child.id().to_string());
        let (child, r#type) = (entry.spec.name.as_deref().unwrap_or(entry.spec.type_name), entry.spec.type_name);
        let state = if unstarted { "starting" } else { "running" };
        // Below, as an event.
        if matches!(decision, Decision::Restart { .. } | Decision::Escalate) {
            command(key, Command::Said, ctx);
        }
        match decision {
            Decision::Restart { after } => event!(
                WARN, "posse::supervisor", "restarting a child",
                supervisor.id = %me, child.name = %child, child.state = %state, actor.id = %actor, actor.type = %r#type,
                reason = %reason; after = after.as_secs_f64(),
            ),
            Decision::Leave if reason.is_abnormal() => event!(
                WARN, "posse::supervisor", "a child ended and is not restarted",
                supervisor.id = %me, child.name = %child, child.state = %state, actor.id = %actor, actor.type = %r#type,
                reason = %reason,
            ),
            Decision::Escalate => {
                let (limit, period) = (self.plan.policy.limit, self.plan.policy.period);
                event!(
                    ERROR, "posse::supervisor", "a supervisor gives up",
                    supervisor.id = %me, child.name = %child, child.state = %state, actor.id = %actor,
                    actor.type = %r#type, reason = %reason; limit = limit, period = period.as_secs_f64(),
                );
                let what = if unstarted { "did not start" } else { "ended" };
                let text =
                    format!("{child:?} needed more than {limit} restarts within {period:?}; it {what}: {reason}");
                ctx.leaving = Some(ExitReason::GaveUp(text.into()));
            }
            Decision::Leave | Decision::Expected => {}
        }
        // Who starts it hears of that once its name is free again.
        if decision == Decision::Leave {
            entry.unstarted = unstarted.then(|| reason.clone());
        } else if unstarted {
            self.answer_starting(key, &Err(reason.clone()));
        }
    }

    fn child_exited(&mut self, key: Key, ctx: &mut Context<Self>) {
        ctx.children.remove(key);
        self.plan.exited(key);
        self.answer_ending(key);
        // Those that waited for a start that does not come any more.
        if matches!(self.plan.phase(key), None | Some(Phase::Terminated)) {
            let unstarted = self.children.get_mut(&key).and_then(|entry| entry.unstarted.take());
            self.answer_starting(key, &Err(unstarted.unwrap_or(ExitReason::Shutdown)));
        }
    }

    fn forget(&mut self, key: Key) {
        self.answer_ending(key);
        if let Some(entry) = self.children.remove(&key) {
            if let Some(name) = &entry.spec.name {
                self.names.remove(name);
            }
        }
    }

    /// Tells those who wait for a start what came of it.
    fn answer_starting(&mut self, key: Key, result: &Result<(), ExitReason>) {
        let result = result.clone().map_err(ChildError::Failed);
        let starting = self.children.get_mut(&key).map(|entry| std::mem::take(&mut entry.starting));
        for waiting in starting.into_iter().flatten() {
            let _ = waiting.send(result.clone());
        }
    }

    fn answer_ending(&mut self, key: Key) {
        let ending = self.children.get_mut(&key).map(|entry| std::mem::take(&mut entry.ending));
        for (waiting, answer) in ending.into_iter().flatten() {
            let _ = waiting.send(answer);
        }
    }

    /// Sees to it that a `Tick` comes in time. One that comes too early does no harm.
    fn set_tick(&mut self, now: Instant, ctx: &mut Context<Self>) {
        let Some(deadline) = self.plan.deadline() else { return };
        if self.tick.as_ref().is_some_and(|&(at, _)| at <= deadline) {
            return;
        }
        let tick = ctx.send_after(deadline.saturating_duration_since(now), Tick);
        if let Some((_, late)) = self.tick.replace((deadline, tick)) {
            late.abort();
        }
    }
}

fn command(key: Key, command: Command, ctx: &Context<Supervisor>) {
    if let Some(child) = ctx.children.get(key) {
        child.command(command);
    }
}
