//! One worker: what it runs next, when it steals, how it goes to sleep. The loop is a step function.
//!
//! The same steps run in three places: a thread of their own (multi-thread), the thread inside `block_on`
//! (current-thread), and many logical workers on one thread (simulation). Nothing here starts a thread.

use super::counters::Counters;
use super::current;
use super::host::Host;
use super::idle::Activity;
use super::inbox::Inbox;
use super::local::{LocalQueue, Seat};
use super::policy::SchedulePolicy;
use super::queue::Local;
use super::{Intervals, Shared};
use crate::loom::sync::atomic::Ordering;
use crate::raw_task::poll_record::PollStart;
use crate::raw_task::{Runnable, TaskRef};
use crate::rng::Rng;
use crate::time::driver::{Instant, Timers};
use std::rc::Rc;
use std::time::Duration;

/// Steps between two looks at the injector, the driver and the timers while local work lasts. Prime, so that it does
/// not fall in step with a workload; 61 is what the field uses, the figure itself was not tuned.
pub(crate) const MAINTENANCE_INTERVAL: u32 = 61;

/// Most tasks taken over from the injector in one maintenance. Measured: with 512, 1,000 injected tasks beside a
/// ping-pong pair wait 0.95 ms at p99, with 32 2.9 ms.
const INJECTED_MAX: usize = 512;

/// What a step did.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A task ran.
    Ran,
    /// Nothing to do: the worker should sleep.
    Idle,
    /// A task has taken the worker away: the thread must leave it alone.
    Lost,
}

/// A worker on its way to the thread that will run it.
#[derive(Debug)]
pub(crate) struct WorkerParts<H> {
    runtime: H,
    index: usize,
    queue: Local,
    policy: SchedulePolicy,
    due: Due,
}

/// At which steps a worker looks at what a busy one would otherwise forget.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// The earlier of the two.
    next: u32,
    /// The step at which it looks at timers and the driver.
    maintenance: u32,
    /// The step at which it looks at the injector.
    injector: u32,
}

impl Due {
    fn after(ticks: u32, intervals: Intervals) -> Self {
        let maintenance = ticks.wrapping_add(intervals.maintenance);
        let injector = ticks.wrapping_add(intervals.injector);
        let mut due = Self { next: ticks, maintenance, injector };
        due.set_next(ticks);
        due
    }

    /// After both were set to what is not before `tick`.
    fn set_next(&mut self, tick: u32) {
        self.next = tick.wrapping_add(self.maintenance.wrapping_sub(tick).min(self.injector.wrapping_sub(tick)));
    }
}

/// Whether a step that is due has come. Steps are counted modulo 2^32.
#[inline]
fn has_come(due: u32, tick: u32) -> bool {
    tick.wrapping_sub(due) <= u32::MAX / 2
}

impl<H: Host> WorkerParts<H> {
    /// A worker that a task takes away from its thread. The seed is that of its random choices.
    pub(crate) fn taken(runtime: H, index: usize, queue: Local, seed: u64) -> Self {
        Self::new(runtime, index, queue, SchedulePolicy::Production(Rng::new(seed)))
    }

    fn new(runtime: H, index: usize, queue: Local, policy: SchedulePolicy) -> Self {
        let shared = runtime.shared();
        let due = Due::after(shared.remotes[index].front.ticks.get(), shared.intervals);
        Self { runtime, index, queue, policy, due }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn into_queue(self) -> Local {
        self.queue
    }

    pub(crate) fn into_worker(self) -> Worker<H> {
        let Self { runtime, index, queue, policy, due } = self;
        let shared = runtime.shared();
        let local = LocalQueue::new(index, shared.flavor, queue, shared.remotes[index].front.clone());
        let local = Rc::new(local);
        Worker { runtime, local, policy, lifo_polls: 0, activity: Activity::Running, poll_start: PollStart::NONE, due }
    }
}

#[derive(Debug)]
pub(crate) struct Worker<H> {
    /// Keeps the runtime alive while the worker runs.
    runtime: H,
    /// Lent to the context while the worker is entered, so that code which wakes a task finds it.
    local: Rc<LocalQueue>,
    /// Draws the free choices; the worker alone has it.
    policy: SchedulePolicy,
    /// Runs of the LIFO slot's task since the queue was last popped.
    lifo_polls: u8,
    /// What `Idle` counts this worker as.
    activity: Activity,
    /// The last look at the clock, for the tasks.
    poll_start: PollStart,
    /// The steps at which it looks around next; the watchdog brings them nearer by moving its `ticks`.
    due: Due,
}

impl<H: Host> Worker<H> {
    pub(crate) fn new(runtime: H, index: usize, queue: Local, policy: SchedulePolicy) -> Self {
        WorkerParts::new(runtime, index, queue, policy).into_worker()
    }

    /// Takes the worker apart, so that it can cross to another thread. It must not be entered.
    pub(crate) fn into_parts(mut self) -> WorkerParts<H> {
        self.reset_activity();
        // `enter` has dropped its clone when it returned, so this is the only one.
        let local = Rc::try_unwrap(self.local).expect("invariant: no code is inside a worker that moves");
        WorkerParts {
            runtime: self.runtime,
            index: local.index,
            queue: local.into_queue(),
            policy: self.policy,
            due: self.due,
        }
    }

    /// Runs `f` with this worker as the one that running code reaches.
    pub(crate) fn enter<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        if !self.local.with(|seat| seat.front.counters.busy.is_running()) {
            let now = self.look_at_clock();
            self.count(|counters| counters.busy.begin(now));
        }
        // References of its own, because `f` gets the worker itself.
        let local = self.local.clone();
        let runtime = self.runtime.clone();
        runtime.drive(|| current::enter(runtime.shared(), &local, || f(self)))
    }

    /// Gives back what the worker is counted as, before it leaves its thread or after a panic: a searcher that is gone would keep every pusher
    /// from waking another one, for ever.
    pub(crate) fn reset_activity(&mut self) {
        if self.activity == Activity::Asleep {
            self.count(|counters| counters.unparked(self.now(), false));
        }
        if self.activity.reset(&self.runtime.shared().idle, self.local.index) {
            self.shared().wake_one();
        }
        self.count(|counters| counters.busy.end(self.now()));
    }

    /// The life of a worker on a thread of its own, until the runtime shuts down.
    pub(crate) fn run(&mut self) {
        while self.shared().is_open() {
            match self.step() {
                Step::Ran => {}
                Step::Idle => self.park(),
                Step::Lost => return,
            }
        }
    }

    /// Runs one task if there is any to be had.
    pub(crate) fn step(&mut self) -> Step {
        // Shows the watchdog that the worker came back, and is the clock of what is due: one number for both.
        let tick = self.local.with(|seat| seat.front.ticks.advance());
        if has_come(self.due.next, tick) {
            if !self.maintain(tick) {
                return Step::Lost;
            }
            if self.run_pinned_between(tick) {
                return Step::Ran;
            }
        }

        // Its own work first, then that of others.
        let task = match self.next_local() {
            Some(task) => Some(task),
            None if self.run_pinned() => return Step::Ran,
            None => self.search(),
        };
        let Some(task) = task else { return Step::Idle };
        // A task that woke itself goes behind its neighbours.
        if let Some(woken) = self.poll(task) {
            self.local.with(|seat| seat.queue.push(woken));
        }
        Step::Ran
    }

    /// Polls a task once, which is returned if it was woken meanwhile.
    #[inline]
    fn poll(&mut self, task: Runnable) -> Option<Runnable> {
        // The last searcher passes the search on before it works: there may be more.
        if self.activity.stop_searching(&self.runtime.shared().idle) {
            self.shared().wake_one();
        }
        // One visit to the front for all that a poll writes there: the count, and for the watchdog which task it is.
        let is_watched = self.local.with(|seat| {
            let front = &*seat.front;
            front.counters.polls.add(1);
            front.polled.store(task.header().owned.load(Ordering::Relaxed), Ordering::Relaxed);
            front.is_watched
        });
        if is_watched { self.run_watched(task) } else { task.run(self.poll_start) }
    }

    /// Where maintenance is due: runs one pinned task, if any waits, and sees to it that the next one comes after one task of the queue.
    fn run_pinned_between(&mut self, tick: u32) -> bool {
        let ran = self.run_pinned();
        if ran && !self.inbox().is_empty() {
            self.due.next = tick.wrapping_add(2);
        }
        ran
    }

    /// Runs one task that is pinned to this worker. False if none waits.
    #[inline]
    fn run_pinned(&mut self) -> bool {
        if self.inbox().is_empty() {
            return false;
        }
        self.run_next_pinned()
    }

    #[cold]
    fn run_next_pinned(&mut self) -> bool {
        let Some(task) = self.inbox().pop() else { return false };
        if let Some(woken) = self.poll(task) {
            // A thread that has lost its worker meanwhile hands its task on.
            if self.local.is_lost() {
                self.local.with(|seat| seat.queue.push(woken));
            } else {
                self.inbox().push(woken);
            }
        }
        true
    }

    /// Whether tasks wait for it: those that others may take, and those that only it may.
    fn has_own_tasks(&self) -> bool {
        !self.local.is_empty() || !self.inbox().is_empty()
    }

    fn inbox(&self) -> &Inbox<Runnable> {
        &self.shared().remotes[self.local.index].inbox
    }

    /// Runs a task as [`step`](Self::step) does, and does beside what the builder asked for.
    #[cold]
    fn run_watched(&self, task: Runnable) -> Option<Runnable> {
        match self.shared().task_hooks() {
            Some(hooks) => hooks.around_poll(self.shared(), task, |task| self.run_measured(task)),
            None => self.run_measured(task),
        }
    }

    fn run_measured(&self, task: Runnable) -> Option<Runnable> {
        let front = self.local.with(|seat| seat.front.clone());
        let Some(histograms) = &front.histograms else { return task.run(self.poll_start) };
        // A look at the clock of its own: that of the step may be as old as the last maintenance.
        let begin = self.now();
        if let (Some(histogram), Some(at)) = (&histograms.schedule_latency, task.header().polls().scheduled()) {
            histogram.record(begin.saturating_duration_since(Instant(at)));
        }

        let woken = task.run(PollStart::new(self.local.index, begin.0));
        let end = self.now();
        // Unless the worker, which alone writes there, went to another thread meanwhile.
        if let (Some(histogram), false) = (&histograms.poll_time, self.local.is_lost()) {
            histogram.record(end.saturating_duration_since(begin));
        }
        if let (Some(_), Some(woken)) = (&histograms.schedule_latency, &woken) {
            woken.header().polls().set_scheduled(end.0);
        }
        woken
    }

    /// Looks at what a busy worker would otherwise forget: timers, the driver, tasks from outside. False if the worker is this thread's no
    /// more.
    fn maintain(&mut self, tick: u32) -> bool {
        if self.local.is_lost() {
            return false;
        }
        // Each has an interval of its own; both are taken from this step, so a late one does not bring the next nearer.
        let Intervals { maintenance, injector } = self.shared().intervals;
        if has_come(self.due.maintenance, tick) {
            self.due.maintenance = tick.wrapping_add(maintenance);
            self.look_outside();
        }
        if has_come(self.due.injector, tick) {
            self.due.injector = tick.wrapping_add(injector);
            // A simulation draws at each step instead.
            if self.policy.has_intervals() {
                self.refill_from_injector();
            }
        }
        self.due.set_next(tick);
        true
    }

    /// Fires the timers that are due, and asks the driver for events.
    pub(crate) fn look_outside(&mut self) {
        let now = self.look_at_clock();
        // The watchdog found a shard late whose worker is stuck: the worker that comes by first fires all of them.
        if self.timers().take_overdue() {
            self.fire_all_timers(now);
        } else {
            self.fire_timers(now);
        }
        self.shared().poll_driver();
    }

    fn next_local(&mut self) -> Option<Runnable> {
        if self.policy.injector_first() {
            self.refill_from_injector();
        }

        // The task woken last is warm in the cache, but may not starve the queue.
        let (policy, lifo_polls) = (&mut self.policy, &mut self.lifo_polls);
        self.local.with(|seat| {
            if let Some(task) = seat.front.lifo.take() {
                if policy.lifo_first(*lifo_polls, seat.queue.is_empty()) {
                    *lifo_polls = lifo_polls.saturating_add(1);
                    return Some(task);
                }
                // Its turn is over: it goes to the back, where others may steal it too.
                seat.queue.push(task);
            }

            *lifo_polls = 0;
            seat.queue.pop()
        })
    }

    /// Moves a fair share of the injected tasks to the local queue.
    fn refill_from_injector(&mut self) {
        let shared = self.shared();
        if shared.injector.is_empty() {
            return;
        }
        // Bounded, so that a flood from outside does not keep it from its own tasks.
        let mut moved = 0;
        let max = if crate::buggify(0.1) { 1 } else { INJECTED_MAX };
        self.local.with(|Seat { queue, front, .. }| {
            while moved < max {
                // Others may steal from the queue meanwhile: what has come is told by its growth, and is one at least.
                let before = queue.len();
                let Some(task) = shared.injector.pop_into(queue) else { break };
                queue.push(task);
                moved += queue.len().saturating_sub(before).max(1);
            }
            front.counters.injected.add(moved as u64);
        });
        if moved > 1 {
            shared.wake_one();
        }
    }

    /// Looks for work elsewhere: the injector, then the other workers.
    fn search(&mut self) -> Option<Runnable> {
        let shared = self.runtime.shared();
        // A batch of the injector; what is more than one task is worth another worker.
        if let Some(task) = self.pop_injected() {
            if !self.local.with(|seat| seat.queue.is_empty()) {
                shared.wake_one();
            }
            return Some(task);
        }

        // Then the neighbours, if not enough others look at them already.
        let workers = shared.remotes.len();
        if workers < 2 {
            return None;
        }
        if !self.activity.start_searching(&shared.idle) {
            return None;
        }
        // From a random victim on, so that thieves spread; tasks may have come into the injector meanwhile.
        let first = self.policy.victim(workers);
        (0..workers)
            .map(|offset| (first + offset) % workers)
            .filter(|&victim| victim != self.local.index)
            .find_map(|victim| self.steal_from(victim))
            .or_else(|| self.pop_injected())
    }

    /// Moves a batch of injected tasks to the local queue, which is empty, and returns one more.
    fn pop_injected(&self) -> Option<Runnable> {
        self.local.with(|Seat { queue, front, .. }| {
            let task = self.shared().injector.pop_into(queue)?;
            front.counters.injected.add(1 + queue.len() as u64);
            Some(task)
        })
    }

    /// Moves up to half of another worker's tasks to the local queue, which is empty, and returns one of them.
    fn steal_from(&self, victim: usize) -> Option<Runnable> {
        self.local.with(|Seat { queue, front, .. }| {
            let task = self.shared().remotes[victim].stealer.steal_into(queue)?;
            front.counters.steals.add(1 + queue.len() as u64);
            front.counters.steal_operations.add(1);
            Some(task)
        })
    }

    /// Sleeps until there may be something to do.
    pub(crate) fn park(&mut self) {
        if let Some(hooks) = &self.shared().thread_hooks {
            hooks.park();
            // It was the last to look at its own queue, and the hook may have put a task there.
            if self.has_own_tasks() {
                return hooks.unpark();
            }
        }
        let asleep_since = self.transition_to_parked();
        let for_all = self.sleep(asleep_since);
        let now = self.transition_from_parked();
        if let Some(hooks) = &self.shared().thread_hooks {
            hooks.unpark();
        }
        if for_all {
            self.fire_all_timers(now);
        } else {
            self.fire_timers(now);
        }
    }

    /// Sleeps in the driver if it is free, for all workers: until there are events, or the earliest deadline of all shards.
    /// Else until its own timers are due. True if it slept for all.
    fn sleep(&self, now: Instant) -> bool {
        let (shared, timers) = (self.shared(), self.timers());
        let parker = &shared.remotes[self.local.index].parker;
        let Some(mut driver) = shared.try_driver() else {
            parker.park(self.time_to(timers.next_deadline(self.local.index), now));
            return false;
        };

        // From here on who sets a timer from outside knows until when this worker sleeps.
        let (_attending, earliest) = timers.attend();
        // Closures of the blocking pool may be about to do something; each says when it has ended, by a token.
        let jump = earliest.filter(|_| shared.clock.jumps() && !self.runtime.has_outside_work());
        let was_unparked = parker.park_in_driver(|may_block| {
            let timeout = if may_block && jump.is_none() { self.time_to(earliest, now) } else { Some(Duration::ZERO) };
            shared.turn(&mut driver, timeout);
        });
        // What the turn has woken runs first, at the time that it is.
        if let Some(deadline) = jump.filter(|_| !was_unparked && !self.has_own_tasks()) {
            shared.clock.advance(deadline.saturating_duration_since(shared.now()));
        }
        true
    }

    /// Announces that the worker sleeps, and returns since when.
    fn transition_to_parked(&mut self) -> Instant {
        let now = self.now();
        self.count(|counters| counters.parked(now));
        let nobody_searches = self.activity.transition_to_parked(&self.runtime.shared().idle, self.local.index);

        // Work may have been pushed after this worker looked and before it was counted as asleep.
        if nobody_searches && self.shared().has_work() {
            self.shared().wake_one();
        }
        now
    }

    fn transition_from_parked(&mut self) -> Instant {
        self.activity.transition_from_parked(&self.runtime.shared().idle, self.local.index);
        let now = self.look_at_clock();
        let was_woken = self.activity == Activity::Searching;
        self.count(|counters| counters.unparked(now, was_woken));
        now
    }

    fn count(&self, f: impl FnOnce(&Counters)) {
        self.local.with(|seat| f(&seat.front.counters));
    }

    /// Returns the time, which the next tasks get as that of their polls.
    fn look_at_clock(&mut self) -> Instant {
        let now = self.now();
        self.poll_start = PollStart::new(self.local.index, now.0);
        now
    }

    pub(crate) fn now(&self) -> Instant {
        self.runtime.shared().now()
    }

    fn fire_timers(&self, now: Instant) {
        self.timers().fire(self.local.index, now);
    }

    fn fire_all_timers(&self, now: Instant) {
        self.timers().fire_all(now);
    }

    /// `None`: no timer, or a manual clock, whose `advance` fires them.
    fn time_to(&self, deadline: Option<Instant>, now: Instant) -> Option<Duration> {
        let deadline = deadline.filter(|_| !self.shared().clock.is_manual())?;
        Some(deadline.saturating_duration_since(now))
    }

    /// Whether a logical worker could take a step, without waiting for the clock.
    #[cfg(feature = "sim")]
    pub(crate) fn is_runnable(&self) -> bool {
        self.activity != Activity::Asleep
            || self.shared().remotes[self.local.index].parker.has_token()
            || self.shared().io().is_needed()
    }

    /// One step of a logical worker, which only notes that it sleeps.
    #[cfg(feature = "sim")]
    pub(crate) fn logical_step(&mut self) {
        if self.activity == Activity::Asleep {
            self.shared().remotes[self.local.index].parker.take_token();
            self.shared().poll_driver();
            let now = self.transition_from_parked();
            self.fire_all_timers(now);
        }
        if self.step() == Step::Idle {
            self.transition_to_parked();
        }
    }

    /// Drops the futures of the tasks in this worker's queue, and of those that this wakes, until there are none. Called
    /// once, when the runtime ends.
    pub(crate) fn drop_queued(&mut self) {
        // A destructor may wake others, which land here as well.
        while self.has_own_tasks() {
            let next = self.local.with(|seat| seat.front.lifo.take().or_else(|| seat.queue.pop()));
            let next = next.or_else(|| self.inbox().pop());
            next.into_iter().for_each(|task| self.shared().cancel_unrun(task));
        }
    }

    /// Whether a task has taken the worker away from this thread, which then only has to hand on that task and to leave.
    pub(crate) fn is_lost(&self) -> bool {
        self.local.is_lost()
    }

    /// What a thread does that has lost its worker, after the poll in which it did.
    pub(crate) fn hand_on(self) {
        if let Some((task, woken)) = self.local.leftover() {
            hand_on(&self.runtime, &task, woken);
        }
    }

    /// The worker is no more: gives back what it is counted as. Its queue must be empty.
    pub(crate) fn into_runtime(mut self) -> H {
        debug_assert!(self.local.is_empty(), "a worker ends with tasks in its queue");
        // From here on it neither searches nor sleeps: no pusher counts on it.
        self.reset_activity();
        self.runtime
    }

    pub(crate) fn runtime(&self) -> &H {
        &self.runtime
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.runtime.shared()
    }

    fn timers(&self) -> &Timers {
        &self.runtime.shared().timers
    }
}

/// Hands on a task that this thread has polled without a worker, and that was woken in that poll if there is a `Runnable`: it is another worker's now.
pub(crate) fn hand_on(runtime: &impl Host, task: &TaskRef, woken: Option<Runnable>) {
    let Some(woken) = woken else { return };
    if runtime.shared().is_open() {
        return runtime.shared().requeue(woken);
    }
    // No other thread has it to run. The one that drops all tasks may see it too; the state word gives it to one of the two.
    runtime.drive(|| runtime.shared().shut_down(task));
}
