//! Many machines on one thread: who steps, what the time is, who lives.
//!
//! Every step takes a moment of the world's time; when no worker can step, time jumps to what happens next. Invariant: all
//! that happens follows from the seed and from the code that runs.

#[cfg(test)]
mod blocking_tests;
mod choose;
mod control;
#[cfg(test)]
mod net_tests;
mod stepper;
#[cfg(test)]
mod tests;

pub use choose::Policy;
pub use control::{Boot, Crash, MachineId, MachineSpec, WorldHandle};
pub use stepper::Stepper;

use super::env::clock::{MachineClock, WorldTime};
use super::env::net::{HostState, Net, Network};
use super::env::{ChoiceKind, SimContext, SimEnv, SimRng, Skew, Trace, event_log};
use crate::raw_task::Id;
use crate::raw_task::panic::{catch, panic_text};
use crate::rng::split;
use crate::runtime::Handle;
use crate::runtime::simulated_closures::LeftClosures;
use choose::{StepChooser, WorkerId};
use control::Command;
use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What a step takes of the world's time, in nanoseconds. Guessed: what a small handler takes.
const STEP: u64 = 500;

/// How long a process takes until it runs, in nanoseconds. Guessed.
const BOOT: std::ops::Range<u64> = 200_000..5_000_000;

/// A ready task that waits longer is starved. Specified.
const STARVATION_LIMIT: u64 = 1_000_000_000;

/// How often sleeping machines are searched for tasks that should run, in the world's time.
const AUDIT_INTERVAL: u64 = 100_000_000;

/// The machine that the test itself runs on.
const TEST: usize = 0;

/// Settings of a world.
#[derive(Clone, Debug)]
pub struct Options {
    /// Every choice follows from it.
    pub seed: u64,
    /// Who steps next.
    pub policy: Policy,
    /// How the network behaves.
    pub network: Network,
    /// Steps after which a run has failed. Default 20 millions.
    pub steps_max: u64,
    /// Whether points in production code misbehave now and then. Default true.
    pub buggify: bool,
    /// World time after which a run has failed. Default 24 hours.
    pub time_max: Duration,
}

impl Options {
    /// The defaults, with a seed. Every third seed runs by priorities.
    pub fn new(seed: u64) -> Self {
        let policy = if seed % 3 == 2 { Policy::Pct { changes: 3 } } else { Policy::Uniform };
        let (steps_max, time_max) = (20_000_000, Duration::from_secs(24 * 3600));
        Self { seed, policy, network: Network::default(), buggify: true, steps_max, time_max }
    }
}

/// Why a run failed.
pub enum Failure {
    /// The test panicked, with this.
    Panic(Box<dyn Any + Send>),
    /// The world itself found something.
    Found(String),
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic(payload) => write!(f, "Panic({})", panic_text(&**payload)),
            Self::Found(text) => write!(f, "Found({text})"),
        }
    }
}

/// When a machine is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// It runs, and has nothing to do at the moment.
    Idle,
    /// Its runtime has ended, everything in it was dropped.
    Ended,
}

/// Looks at a machine and says what is wrong, if anything.
pub type Oracle = Box<dyn Fn(&Handle, Checkpoint) -> Vec<String>>;

struct Machine {
    spec: MachineSpec,
    running: Option<Stepper>,
    paused: bool,
    slow: u32,
    /// A slow machine steps again then.
    free_at: u64,
    /// World time of its next timer.
    next_timer: u64,
    boots: u64,
    /// Since when a worker could have stepped.
    waits_since: Vec<Option<u64>>,
}

/// A world of machines.
pub struct World {
    options: Options,
    time: WorldTime,
    rng: SimRng,
    simulation: Arc<SimContext>,
    net: Net,
    chooser: StepChooser,
    machines: Vec<Machine>,
    control: WorldHandle,
    oracle: Oracle,
    found: Vec<String>,
    steps: u64,
    audited: u64,
    /// When the waiting tasks were last looked at, and which they were: machine, task, how often it was run.
    looked: u64,
    waiting: BTreeSet<(usize, Id, u64)>,
}

impl World {
    /// A world in which there is nothing yet but the machine that the test runs on.
    pub fn new(options: Options, oracle: Oracle) -> Self {
        let (time, rng) = (WorldTime::default(), SimRng::new(options.seed));
        let net = Net::new(time.clone(), rng.clone(), options.network.clone());
        let chooser = StepChooser::new(options.policy, &rng);
        let simulation = SimContext::new(rng.clone(), options.buggify);
        let control = WorldHandle::new(net.clone(), rng.clone());
        let mut world = Self {
            options,
            time,
            rng,
            simulation,
            net,
            chooser,
            machines: Vec::new(),
            control,
            oracle,
            found: Vec::new(),
            steps: 0,
            audited: 0,
            looked: 0,
            waiting: BTreeSet::new(),
        };
        let boot = Arc::new(|_: &Handle| {});
        world.add(MachineSpec { name: "test".to_owned(), workers: 1, skew: Skew::default(), boot });
        world
    }

    /// Runs a test to its end, then ends all machines.
    ///
    /// # Errors
    /// [`Failure`]
    pub fn run<F>(&mut self, test: impl FnOnce(WorldHandle) -> F) -> Result<F::Output, Failure>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let control = self.control.clone();
        crate::mailbox::turn::forget();
        event_log::capture(&self.net.clone(), || {
            let Some(handle) = self.control.handle(MachineId(TEST)) else {
                return Err(Failure::Found("the test's machine did not start".to_owned()));
            };
            // What the test does before its first await happens in the world as well, by its clock.
            let entered = handle.enter();
            let running = handle.spawn(test(control));
            drop(entered);
            while !running.is_finished() {
                self.step()?;
            }
            let mut running = pin!(running);
            let ended = match running.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(output)) => Ok(output),
                Poll::Ready(Err(error)) => match error.try_into_panic() {
                    Ok(payload) => Err(Failure::Panic(payload)),
                    Err(error) => Err(Failure::Found(error.to_string())),
                },
                Poll::Pending => Err(Failure::Found("the test's end was not seen".to_owned())),
            };
            let output = ended?;
            for machine in (0..self.machines.len()).rev() {
                self.end(machine, None);
            }
            self.take_failures()?;
            Ok(output)
        })
    }

    /// Whether anything was found wrong so far.
    fn take_failures(&mut self) -> Result<(), Failure> {
        self.found.extend(self.simulation.take_reports());
        if self.found.is_empty() { Ok(()) } else { Err(Failure::Found(self.found.join("\n"))) }
    }

    /// One step of one worker, or of time.
    fn step(&mut self) -> Result<(), Failure> {
        while let Some(command) = self.control.take_command() {
            self.execute(command);
        }
        self.take_failures()?;

        let now = self.time.now();
        if self.net.next_due().is_some_and(|due| due <= now) {
            self.net.advance();
        }
        if now - self.looked > STARVATION_LIMIT {
            self.look_for_starved(now)?;
        }
        let ready = self.ready(now)?;
        if ready.is_empty() {
            return self.advance_time(now);
        }

        let (machine, worker) = self.chooser.choose(&ready, &self.rng);
        self.step_worker(machine, worker);
        self.steps += 1;
        if self.steps > self.options.steps_max {
            return Err(Failure::Found(format!("the test has not ended after {} steps", self.options.steps_max)));
        }
        self.time.set(now + STEP);
        Ok(())
    }

    fn step_worker(&mut self, index: usize, worker: usize) {
        let machine = &mut self.machines[index];
        let Some(stepper) = &mut machine.running else { return };
        event_log::at(index, || stepper.step_worker(worker));
        let handle = stepper.handle();
        machine.next_timer = stepper.next_deadline().map_or(u64::MAX, |next| handle.clock().world_time_of(next));
        machine.waits_since[worker] = None;
        machine.free_at = self.time.now() + STEP * u64::from(machine.slow);
    }

    /// All workers that could take a step now.
    fn ready(&mut self, now: u64) -> Result<Vec<WorkerId>, Failure> {
        let mut ready = Vec::new();
        for (index, machine) in self.machines.iter_mut().enumerate() {
            let Some(stepper) = machine.running.as_ref().filter(|_| !machine.paused && machine.free_at <= now) else {
                continue;
            };
            let local = stepper.handle().clock().now();
            for worker in 0..stepper.workers() {
                if !stepper.is_ready(worker, local) {
                    machine.waits_since[worker] = None;
                    continue;
                }
                let since = *machine.waits_since[worker].get_or_insert(now);
                if now - since > STARVATION_LIMIT && machine.slow == 1 {
                    let name = &machine.spec.name;
                    return Err(Failure::Found(format!(
                        "worker {worker} of {name} was ready for a second and starved"
                    )));
                }
                ready.push((index, worker));
            }
        }
        Ok(ready)
    }

    /// No worker can step: on to what happens next.
    fn advance_time(&mut self, now: u64) -> Result<(), Failure> {
        if now - self.audited >= AUDIT_INTERVAL || self.audited == 0 {
            self.audited = now.max(1);
            self.audit()?;
        }
        let mut next = self.net.next_due().unwrap_or(u64::MAX);
        for machine in self.machines.iter().filter(|machine| machine.running.is_some() && !machine.paused) {
            let waits = machine.free_at > now;
            next = next.min(if waits { machine.free_at } else { machine.next_timer.max(now + 1) });
        }
        if next == u64::MAX {
            return Err(Failure::Found("nothing can happen any more, and the test has not ended".to_owned()));
        }
        if u128::from(next) > self.options.time_max.as_nanos() {
            return Err(Failure::Found(format!("the test has not ended after {:?}", self.options.time_max)));
        }
        self.rng.note(ChoiceKind::Time, next);
        self.time.set(next);
        Ok(())
    }

    /// A task that waited at the last look and was not run since is starved.
    fn look_for_starved(&mut self, now: u64) -> Result<(), Failure> {
        // While time jumped no worker waited; a pause is the machine's own affair.
        let jumped = now - self.looked > 2 * STARVATION_LIMIT;
        self.looked = now;
        let mut waiting = BTreeSet::new();
        for (index, machine) in self.machines.iter().enumerate() {
            let Some(stepper) = machine.running.as_ref().filter(|_| !machine.paused && machine.slow == 1) else {
                continue;
            };
            for (task, runs) in stepper.handle().shared().owned.runnable_tasks() {
                if self.waiting.contains(&(index, task, runs)) && !jumped {
                    let name = &machine.spec.name;
                    return Err(Failure::Found(format!("task {task} of {name} was ready for a second and starved")));
                }
                waiting.insert((index, task, runs));
            }
        }
        self.waiting = waiting;
        Ok(())
    }

    /// While no worker can step no task may wait to be run: it would never be.
    fn audit(&mut self) -> Result<(), Failure> {
        let now = self.time.now();
        for machine in self.machines.iter().filter(|machine| !machine.paused && machine.free_at <= now) {
            let Some(stepper) = &machine.running else { continue };
            let _entered = stepper.handle().enter();
            let name = &machine.spec.name;
            let wrong = (self.oracle)(stepper.handle(), Checkpoint::Idle);
            self.found.extend(wrong.into_iter().map(|text| format!("{name}: {text}")));
            if let Some((task, _)) = stepper.handle().shared().owned.runnable_tasks().first() {
                return Err(Failure::Found(format!(
                    "task {task} of {name} is ready, and all workers sleep: a wake-up was lost"
                )));
            }
        }
        self.take_failures()
    }

    fn execute(&mut self, command: Command) {
        // Who asked may have ended meanwhile.
        match command {
            Command::Add(spec, reply) => drop(reply.send(self.add(spec))),
            Command::End(machine, crash, reply) => {
                self.end(machine, crash);
                let _ = reply.send(());
            }
            Command::Start(machine, skew, reply) => {
                self.end(machine, Some(Crash::Kill));
                if let Some(skew) = skew {
                    self.machines[machine].spec.skew = skew;
                }
                self.start(machine);
                let _ = reply.send(());
            }
            Command::Pause(machine, paused) => {
                self.net.note(machine, || if paused { "paused" } else { "goes on" }.to_owned());
                self.machines[machine].paused = paused;
                // Who cannot step does not starve.
                self.machines[machine].waits_since.fill(None);
            }
            Command::Slow(machine, factor) => {
                self.machines[machine].slow = factor.max(1);
                self.machines[machine].waits_since.fill(None);
            }
            Command::Signal(machine) => {
                if let Some(stepper) = &self.machines[machine].running {
                    self.net.note(machine, || "SIGTERM".to_owned());
                    #[cfg(unix)]
                    stepper.handle().extension(crate::signal::simulated::Signals::default).deliver();
                }
            }
        }
    }

    fn add(&mut self, spec: MachineSpec) -> MachineId {
        let machine = self.net.add_host(&spec.name);
        let waits_since = vec![None; spec.workers.max(1)];
        self.machines.push(Machine {
            spec,
            running: None,
            paused: false,
            slow: 1,
            free_at: 0,
            next_timer: u64::MAX,
            boots: 0,
            waits_since,
        });
        self.start(machine);
        MachineId(machine)
    }

    fn start(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        let seed = split(self.options.seed, 1 + ((index as u64) << 32) + machine.boots);
        machine.boots += 1;
        machine.paused = false;
        let clock = MachineClock::new(self.time.clone(), machine.spec.skew);
        let simulated = SimEnv { simulation: self.simulation.clone(), machine: Some((clock, self.net.port(index))) };
        match Stepper::with(machine.spec.workers.max(1), seed, simulated) {
            Ok(stepper) => {
                self.net.start_host(index);
                let boots = machine.boots;
                self.net.note(index, || format!("starts, incarnation {boots}"));
                let handle = stepper.handle().clone();
                self.control.set_handle(index, Some(handle.clone()));
                machine.running = Some(stepper);
                machine.next_timer = u64::MAX;
                machine.waits_since.fill(None);
                // A process takes its time to start. The test is there from the beginning.
                if index != TEST {
                    machine.free_at = self.time.now() + self.rng.between(ChoiceKind::Latency, BOOT.start, BOOT.end);
                }
                let _entered = handle.enter();
                event_log::at(index, || (machine.spec.boot)(&handle));
            }
            Err(error) => self.found.push(format!("machine {} did not start: {error}", machine.spec.name)),
        }
    }

    /// Ends a machine: without a word, or in order.
    fn end(&mut self, index: usize, crash: Option<Crash>) {
        let Some(stepper) = self.machines[index].running.take() else {
            if let Some(crash) = crash {
                self.net.end_host(index, crash.host_state());
            }
            return;
        };
        self.net.note(index, || crash.map_or("ends in order".to_owned(), |crash| format!("dies: {crash:?}")));
        if let Some(crash) = crash {
            self.net.end_host(index, crash.host_state());
        }
        self.control.set_handle(index, None);
        let handle = stepper.handle().clone();
        // What is dropped may panic: that is no concern of the world's.
        drop(catch(|| event_log::at(index, || drop(stepper))));

        let name = self.machines[index].spec.name.clone();
        // What a closure holds that could not be unwound is not there to be dropped.
        let is_whole = handle.extension(LeftClosures::default).0.load(Ordering::Relaxed) == 0;
        let left = [
            ("tasks", handle.alive_tasks()),
            ("timers", handle.timers().len()),
            ("sockets", self.net.open_sockets(index)),
        ];
        for (what, count) in left.into_iter().filter(|(_, count)| *count > 0 && is_whole) {
            self.found.push(format!("{count} {what} of {name} were left when it had ended"));
        }
        let _entered = handle.enter();
        let wrong = (self.oracle)(&handle, Checkpoint::Ended);
        self.found.extend(wrong.into_iter().map(|text| format!("{name}: {text}")));
        if crash.is_none() {
            self.net.end_host(index, HostState::ProcessDown);
        }
    }

    /// Returns everything that was decided.
    pub fn record(&self) -> Trace {
        self.rng.record()
    }

    /// Returns how much of the world's time has passed.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.time.now())
    }

    /// Returns how many steps were taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns what happened last at each machine.
    pub fn event_logs(&self) -> Vec<(String, Vec<(Duration, String)>)> {
        let names = self.machines.iter().enumerate();
        names.map(|(index, machine)| (machine.spec.name.clone(), self.net.event_log(index))).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for index in (0..self.machines.len()).rev() {
            self.end(index, Some(Crash::Kill));
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.options.seed).field("machines", &self.machines.len()).finish()
    }
}
