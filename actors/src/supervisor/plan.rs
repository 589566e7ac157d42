//! The plan of a supervisor, pure: what happened to its children goes in, the next steps come out.
//!
//! One plan knows the phase of every child. What happens changes phases; [`Plan::next_step`] says what follows from them.
//! An *ordered restart* terminates several children in reverse order and then starts them in order, the next one when the one before has
//! started, as OTP's supervisors do for `one_for_all` and `rest_for_one`. It is also how a supervisor begins: with nothing to terminate.
//!
//! Invariants: a child is told to start only when it is down, and to stop only when it is up. A `Start` is followed by
//! [`Plan::started`] or [`Plan::ended`], a `Stop` by `ended`, a `Shutdown` or `Release` by [`Plan::exited`].

use super::policy::{Policy, Strategy};
use crate::actor::spec::Restart;
use crate::id::ExitReason;
use posse_core::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A child's place in the order of start.
pub(crate) type Key = u64;

/// What the supervisor is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Run the child from its beginning.
    Start(Key),
    /// Ask the child to end its run. `Kill` follows if it takes too long.
    Stop(Key),
    Kill(Key),
    /// Ask the child to end for good, whatever it does. `Kill` follows if it takes too long.
    Shutdown(Key),
    /// Let a child that is down end for good, for the reason it had.
    Release(Key),
    /// Forget a child that has ended for good.
    Forget(Key),
}

/// What the end of a child's run means.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It was asked to.
    Expected,
    /// It ends for good.
    Leave,
    /// It starts again, after a time.
    Restart { after: Duration },
    /// It is to start again, which is one restart too many: the supervisor fails.
    Escalate,
}

/// What is known of a child from the beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) restart: Restart,
    /// How long it may take to stop before it is killed.
    pub(crate) stop_within: Duration,
    /// It was added while the supervisor ran, and has not started yet: if that fails its specification is discarded, as with OTP's
    /// `start_child`.
    pub(crate) discard_unless_started: bool,
}

/// Where a child is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Down; it starts in its turn, or at its time.
    Waiting,
    Starting,
    Running,
    /// Asked to end its run; the next one follows.
    Stopping,
    /// Asked to end for good.
    Leaving(AfterExit),
    /// Ended for good, its specification is kept.
    Terminated,
}

/// What follows once a child has ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterExit {
    /// It begins anew.
    Restart,
    /// Its specification stays, so it can be started again by its name: OTP's `terminate_child`.
    KeepSpec,
    /// It is forgotten: OTP's `delete_child`.
    Delete,
}

#[derive(Debug)]
struct Child {
    settings: Settings,
    phase: Phase,
    /// Restarts since it last ran for a period.
    attempts: u32,
    up_since: Option<Instant>,
    /// Its entry in `timers`: when a waiting child starts, when a stopping one is killed.
    timer: Option<Instant>,
}

/// Children from `from` on are terminated in reverse order, then started in order.
#[derive(Debug)]
struct OrderedRestart {
    from: Key,
    /// The child whose turn it is. Those beyond it are down already, or up already, as the stage says.
    cursor: Key,
    stage: Stage,
    /// The end of the backoff, before the first of them starts again.
    until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Terminate,
    Backoff,
    Start,
}

/// The children of one supervisor, and what is to be done about them.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) policy: Policy,
    children: BTreeMap<Key, Child>,
    timers: BTreeSet<(Instant, Key)>,
    /// Times of the last restarts.
    history: VecDeque<Instant>,
    ordered_restart: Option<OrderedRestart>,
    steps: VecDeque<Step>,
}

impl Plan {
    /// A plan that begins by starting, in order, the children that are added before its first step.
    pub(crate) fn new(policy: Policy) -> Self {
        let ordered = OrderedRestart { from: 0, cursor: 0, stage: Stage::Start, until: None };
        Self {
            policy,
            children: BTreeMap::new(),
            timers: BTreeSet::new(),
            history: VecDeque::new(),
            ordered_restart: Some(ordered),
            steps: VecDeque::new(),
        }
    }

    /// Adds a child, to be started in its turn. Its key is larger than all before.
    pub(crate) fn add(&mut self, key: Key, settings: Settings) {
        debug_assert!(self.children.last_key_value().is_none_or(|(&last, _)| last < key));
        let child = Child { settings, phase: Phase::Waiting, attempts: 0, up_since: None, timer: None };
        self.children.insert(key, child);
        if self.ordered_restart.is_none() && self.policy.strategy != Strategy::OneForOne {
            self.ordered_restart = Some(OrderedRestart { from: key, cursor: key, stage: Stage::Start, until: None });
        }
        self.begin(key);
    }

    /// A child runs: its `started` has returned.
    pub(crate) fn started(&mut self, key: Key, now: Instant) {
        let Some(child) = self.children.get_mut(&key) else { return };
        child.settings.discard_unless_started = false;
        if child.phase == Phase::Starting {
            child.phase = Phase::Running;
            child.up_since = Some(now);
        }
    }

    /// A child's run has ended, before or after it was up. One that has drained its mailbox cannot run again.
    pub(crate) fn ended(
        &mut self,
        key: Key,
        reason: &ExitReason,
        drained: bool,
        now: Instant,
        random: u64,
    ) -> Decision {
        let Some(child) = self.children.get_mut(&key) else { return Decision::Expected };
        match child.phase {
            Phase::Stopping if drained => {
                self.release(key);
                Decision::Expected
            }
            Phase::Stopping => {
                self.down(key);
                self.begin(key);
                Decision::Expected
            }
            Phase::Starting | Phase::Running => {
                if child.settings.discard_unless_started || drained || !child.settings.restart.wants(reason) {
                    self.release(key);
                    return Decision::Leave;
                }
                self.failed(key, now, random)
            }
            // It was asked to end for good while it ended.
            Phase::Waiting | Phase::Leaving(_) | Phase::Terminated => {
                self.set_timer(key, None);
                Decision::Expected
            }
        }
    }

    /// A child has ended for good.
    pub(crate) fn exited(&mut self, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        match child.phase {
            Phase::Leaving(AfterExit::KeepSpec) => {
                child.phase = Phase::Terminated;
                self.set_timer(key, None);
            }
            Phase::Leaving(AfterExit::Restart) => {
                self.down(key);
                self.begin(key);
            }
            _ => self.forget(key),
        }
    }

    /// Ends a child for good; unless it is temporary it can be restarted.
    pub(crate) fn terminate(&mut self, key: Key, now: Instant) {
        let temporary = self.children.get(&key).is_some_and(|child| child.settings.restart == Restart::Temporary);
        self.end(key, if temporary { AfterExit::Delete } else { AfterExit::KeepSpec }, now);
    }

    /// Ends a child for good and forgets it.
    pub(crate) fn delete(&mut self, key: Key, now: Instant) {
        self.end(key, AfterExit::Delete, now);
    }

    fn end(&mut self, key: Key, then: AfterExit, now: Instant) {
        let Some(child) = self.children.get_mut(&key) else { return };
        match child.phase {
            // It has ended: only what is known of it changes.
            Phase::Terminated if then == AfterExit::Delete => self.forget(key),
            Phase::Terminated => {}
            Phase::Leaving(_) => child.phase = Phase::Leaving(then),
            phase @ (Phase::Waiting | Phase::Starting | Phase::Running | Phase::Stopping) => {
                child.phase = Phase::Leaving(then);
                if phase == Phase::Waiting {
                    self.set_timer(key, None)
                } else {
                    self.set_kill_timer(key, now)
                }
                self.steps.push_back(Step::Shutdown(key));
            }
        }
    }

    /// Starts a child again that runs, waits, or was terminated.
    pub(crate) fn restart(&mut self, key: Key, now: Instant) {
        let Some(child) = self.children.get_mut(&key) else { return };
        match child.phase {
            Phase::Starting | Phase::Stopping => {}
            Phase::Running => self.stop(key, now),
            Phase::Leaving(_) => child.phase = Phase::Leaving(AfterExit::Restart),
            Phase::Waiting | Phase::Terminated => {
                self.down(key);
                self.begin(key);
            }
        }
    }

    /// Returns what is to be done now, one step after the other, until there is none.
    pub(crate) fn next_step(&mut self, now: Instant) -> Option<Step> {
        if self.steps.is_empty() {
            self.fire_timers(now);
            self.advance(now);
        }
        self.steps.pop_front()
    }

    /// Returns when there is something to be done, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|&(at, _)| at);
        let ordered = self.ordered_restart.as_ref().filter(|ordered| ordered.stage == Stage::Backoff);
        timer.into_iter().chain(ordered.and_then(|ordered| ordered.until)).min()
    }

    /// Returns true unless children go down or up in their order.
    pub(crate) fn is_settled(&self) -> bool {
        self.ordered_restart.is_none()
    }

    pub(crate) fn phase(&self, key: Key) -> Option<Phase> {
        self.children.get(&key).map(|child| child.phase)
    }

    /// A child that was not asked to ends, and is to run again.
    fn failed(&mut self, key: Key, now: Instant, random: u64) -> Decision {
        self.down(key);
        // It only went before it was asked to.
        if self.ordered_restart.as_ref().is_some_and(|ordered| ordered.stage == Stage::Terminate && key >= ordered.from)
        {
            return Decision::Expected;
        }
        if !self.policy.admits(&mut self.history, now) {
            self.steps.clear();
            self.ordered_restart = None;
            return Decision::Escalate;
        }

        let Some(child) = self.children.get_mut(&key) else { return Decision::Expected };
        if child.up_since.take().is_some_and(|up| now - up >= self.policy.period) {
            child.attempts = 0;
        }
        let after = self.policy.backoff.wait(child.attempts, random);
        child.attempts = child.attempts.saturating_add(1);

        let from = match self.policy.strategy {
            Strategy::OneForOne => {
                self.start_at(key, now.saturating_add(after), now);
                return Decision::Restart { after };
            }
            Strategy::OneForAll => 0,
            Strategy::RestForOne => key,
        };
        let (mut from, mut until) = (from, Some(now.saturating_add(after)));
        // Those that were still to be started in order are terminated with the others.
        if let Some(ordered) = &self.ordered_restart {
            from = from.min(if ordered.stage == Stage::Start { ordered.cursor } else { ordered.from });
            until = until.max(ordered.until);
        }
        self.ordered_restart = Some(OrderedRestart { from, cursor: Key::MAX, stage: Stage::Terminate, until });
        Decision::Restart { after }
    }

    /// Takes the ordered restart as far as it goes without waiting.
    fn advance(&mut self, now: Instant) {
        while let Some(ordered) = &mut self.ordered_restart {
            match ordered.stage {
                Stage::Terminate => {
                    // The youngest that is not down yet; what is above the cursor was seen to already.
                    let mut above = self.children.range(ordered.from..=ordered.cursor).rev();
                    let up = above.find(|(_, child)| !matches!(child.phase, Phase::Waiting | Phase::Terminated));
                    let Some((&key, child)) = up else {
                        ordered.stage = Stage::Backoff;
                        continue;
                    };
                    ordered.cursor = key;
                    // It was told to stop, and the next one is told when it has.
                    if !matches!(child.phase, Phase::Starting | Phase::Running) {
                        return;
                    }
                    // OTP does not start temporary children again.
                    let temporary =
                        child.settings.restart == Restart::Temporary && !child.settings.discard_unless_started;
                    if temporary { self.delete(key, now) } else { self.stop(key, now) }
                }
                Stage::Backoff if ordered.until.is_some_and(|until| now < until) => return,
                Stage::Backoff => (ordered.stage, ordered.cursor) = (Stage::Start, ordered.from),
                Stage::Start => {
                    // The oldest that does not run: the others wait until it does, or has left for good.
                    let down = |phase| {
                        let stopping = matches!(phase, Phase::Stopping | Phase::Leaving(AfterExit::Restart));
                        stopping || matches!(phase, Phase::Waiting | Phase::Starting)
                    };
                    let next = self.children.range(ordered.cursor..).find(|(_, child)| down(child.phase));
                    let Some((&key, child)) = next else {
                        self.ordered_restart = None;
                        return;
                    };
                    ordered.cursor = key;
                    // It starts already, or has a backoff of its own.
                    if child.phase != Phase::Waiting || child.timer.is_some() {
                        return;
                    }
                    self.start(key);
                }
            }
        }
    }

    /// Starts a waiting child, unless an ordered restart will do so.
    fn begin(&mut self, key: Key) {
        let is_concerned =
            |ordered: &OrderedRestart| key >= if ordered.stage == Stage::Start { ordered.cursor } else { ordered.from };
        if !self.ordered_restart.as_ref().is_some_and(is_concerned) {
            self.start(key);
        }
    }

    fn start(&mut self, key: Key) {
        self.set_timer(key, None);
        self.set_phase(key, Phase::Starting);
        self.steps.push_back(Step::Start(key));
    }

    fn start_at(&mut self, key: Key, at: Instant, now: Instant) {
        if at <= now { self.start(key) } else { self.set_timer(key, Some(at)) }
    }

    fn stop(&mut self, key: Key, now: Instant) {
        self.set_kill_timer(key, now);
        self.set_phase(key, Phase::Stopping);
        self.steps.push_back(Step::Stop(key));
    }

    fn release(&mut self, key: Key) {
        self.set_timer(key, None);
        self.set_phase(key, Phase::Leaving(AfterExit::Delete));
        self.steps.push_back(Step::Release(key));
    }

    fn down(&mut self, key: Key) {
        self.set_timer(key, None);
        self.set_phase(key, Phase::Waiting);
    }

    fn forget(&mut self, key: Key) {
        self.set_timer(key, None);
        self.children.remove(&key);
        self.steps.push_back(Step::Forget(key));
    }

    fn set_phase(&mut self, key: Key, phase: Phase) {
        if let Some(child) = self.children.get_mut(&key) {
            child.phase = phase;
        }
    }

    fn set_kill_timer(&mut self, key: Key, now: Instant) {
        let within = self.children.get(&key).map_or(Duration::ZERO, |child| child.settings.stop_within);
        self.set_timer(key, now.checked_add(within));
    }

    fn set_timer(&mut self, key: Key, at: Option<Instant>) {
        let Some(child) = self.children.get_mut(&key) else { return };
        if let Some(previous) = std::mem::replace(&mut child.timer, at) {
            self.timers.remove(&(previous, key));
        }
        self.timers.extend(at.map(|at| (at, key)));
    }

    fn fire_timers(&mut self, now: Instant) {
        while let Some(&(at, key)) = self.timers.first().filter(|(at, _)| *at <= now) {
            debug_assert!(at <= now);
            self.set_timer(key, None);
            match self.phase(key) {
                Some(Phase::Waiting) => self.start(key),
                Some(Phase::Stopping | Phase::Leaving(_)) => self.steps.push_back(Step::Kill(key)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
