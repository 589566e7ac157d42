//! Running a test over many seeds, twice each, and saying how to repeat a failure.

use super::{Sim, audit};
use posse_core::sim::{Failure, Options, Trace, World};
use posse_core::task::{catch, panic_message};
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// Names the environment variable that chooses one seed.
const SEED_VARIABLE: &str = "POSSE_SIM_SEED";

/// Names the environment variable that sets how many seeds are run.
const SEEDS_VARIABLE: &str = "POSSE_SIM_SEEDS";

/// Seeds unless the test says otherwise.
const SEEDS: u64 = 100;

/// A simulated test: what `#[posse::test(sim)]` writes down.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Its full path, beginning with the crate.
    pub name: &'static str,
    /// How many seeds it is run with; 0 for the default of 100.
    pub seeds: u64,
}

/// What a simulated test returns: nothing, or a result.
pub trait TestResult: Send + 'static {
    /// Why it failed, if it did.
    fn failure(self) -> Option<String>;
}

impl TestResult for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<T: Send + 'static, E: fmt::Debug + Send + 'static> TestResult for Result<T, E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| format!("{error:?}"))
    }
}

/// What a run of one seed came to.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How much of the world's time passed.
    pub elapsed: Duration,
    /// How many steps all workers took.
    pub steps: u64,
    /// Every decision.
    pub record: Trace,
    /// What went wrong, if anything, with what happened last at each machine.
    pub failure: Option<String>,
    /// What happened last at each machine.
    pub event_logs: String,
}

/// Runs a test with all its seeds, each twice.
///
/// # Panics
/// With a report if a seed fails, or if its two runs differ.
pub fn run<F, Fut>(test: Test, body: F)
where
    F: Fn(Sim) -> Fut,
    Fut: Future<Output: TestResult> + Send + 'static,
{
    let count = match number(SEEDS_VARIABLE) {
        Some(count) => count,
        None if test.seeds == 0 => SEEDS,
        None => test.seeds,
    };
    let seeds = match number(SEED_VARIABLE) {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    };
    for seed in seeds {
        let first = run_seed(Options::new(seed), &body);
        // A run that does not follow from its seed could not be repeated when it fails.
        let problem = match &first.failure {
            Some(failure) => Some(failure.clone()),
            None => {
                let second = run_seed(Options::new(seed), &body);
                difference(seed, &first.record, &second.record, &body)
            }
        };
        if let Some(problem) = problem {
            panic!("{}", describe(&test, &first, &problem));
        }
    }
}

/// Runs one seed of a test once.
pub fn run_seed<F, Fut>(options: Options, body: &F) -> Report
where
    F: Fn(Sim) -> Fut,
    Fut: Future<Output: TestResult> + Send + 'static,
{
    let seed = options.seed;
    let mut world = World::new(options, Box::new(audit::machine));
    let run = catch(|| {
        world.run(|control| {
            let sim = Sim::new(control);
            let test = body(sim);
            async move { test.await.failure() }
        })
    });
    let failure = match run {
        Ok(Ok(None)) => None,
        Ok(Ok(Some(text)) | Err(Failure::Found(text))) | Err(text) => Some(text),
        Ok(Err(Failure::Panic(payload))) => Some(panic_message(payload)),
    };
    let event_logs = event_logs(&world);
    let failure = failure.map(|text| format!("{text}\n{event_logs}"));
    Report { seed, elapsed: world.elapsed(), steps: world.steps(), record: world.record(), failure, event_logs }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    match text.trim().parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} is {text:?}, which is not a number"),
    }
}

/// Where two runs of a seed differ, if they do, and what led there, by two more that end with the moment in which they did.
fn difference<F, Fut>(seed: u64, first: &Trace, second: &Trace, body: &F) -> Option<String>
where
    F: Fn(Sim) -> Fut,
    Fut: Future<Output: TestResult> + Send + 'static,
{
    let divergence = first.differs_from(second)?;
    let again = || {
        let mut options = Options::new(seed);
        options.time_max = divergence.at;
        run_seed(options, body).event_logs
    };
    Some(format!(
        "two runs of this seed differ at {:.6} s of virtual time: after {} decisions that were the same the first run decided {:?}, the second {:?}. \
         Something does not follow from the seed: most often the order of a `HashMap` or `HashSet` (a `BTreeMap` has one), else \
         the system's clock or random numbers, or a thread\n\
         two more runs, until then. In one {}in the other {}",
        divergence.at.as_secs_f64(),
        divergence.index,
        divergence.first,
        divergence.second,
        again(),
        again()
    ))
}

fn event_logs(world: &World) -> String {
    let mut text = String::from("what happened last, by machine:\n");
    for (name, event_log) in world.event_logs() {
        text.push_str(&format!("  {name}\n"));
        for (at, what) in event_log {
            text.push_str(&format!("    {:>14.6} s  {what}\n", at.as_secs_f64()));
        }
    }
    text
}

/// The whole story of a failure, with the command that repeats it.
fn describe(test: &Test, report: &Report, problem: &str) -> String {
    // The test harness knows a test by its path within the crate.
    let path = test.name.split_once("::").map_or(test.name, |(_, path)| path);
    let (seed, elapsed, steps) = (report.seed, report.elapsed.as_secs_f64(), report.steps);
    format!(
        "seed {seed} failed after {elapsed:.6} s of virtual time and {steps} steps: {problem}\n\
         to see it again: {SEED_VARIABLE}={seed} cargo test {path} -- --exact --nocapture"
    )
}
