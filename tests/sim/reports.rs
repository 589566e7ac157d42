//! What a failure says: the seed, the time, the assertion, what happened last, and how to see it again.

use crate::probe::{Probing, find, server};
use posse::prelude::*;
use posse::sim::{Options, Sim, Test, run, run_seed};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// The text that a simulated test fails with.
fn failure<F, Fut>(seeds: u64, body: F) -> String
where
    F: Fn(Sim) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let test = Test { name: "a_crate::area::a_test", seeds };
    let panic = catch_unwind(AssertUnwindSafe(|| run(test, body))).expect_err("the test fails");
    panic.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn a_failure_names_seed_time_assertion_events_and_the_command_that_repeats_it() {
    let text = failure(5, |sim| async move {
        let (a, b) = (server(&sim, "a").await, sim.node("b").await);
        find(&b, &a).await;
        posse::time::sleep(secs(90)).await;
        sim.kill(&a).await;
        assert_eq!(1 + 1, 3, "sums are wrong");
    });
    for part in [
        "seed 0 failed after 90.",
        "sums are wrong",
        "  a\n",
        "dies: Kill",
        "connected node.id=",
        "POSSE_SIM_SEED=0 cargo test area::a_test -- --exact",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn two_runs_of_a_seed_that_differ_are_found_with_the_first_decision_that_does() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let text = failure(5, |_| async move {
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        for _ in 0..run {
            posse::task::yield_now().await;
        }
        posse::time::sleep(ms(run + 1)).await;
    });
    assert!(text.contains("two runs of this seed differ at 0.0"), "{text}");
    assert!(text.contains("the first run decided Some("), "{text}");
}

#[test]
fn what_led_to_a_difference_is_told_of_both_runs() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let text = failure(1, |sim| async move {
        let machine = sim.host("a", || async { Ok(()) }).await;
        posse::time::sleep(secs(7)).await;
        sim.pause(&machine);
        posse::time::sleep(ms(1 + RUNS.fetch_add(1, Ordering::Relaxed))).await;
        sim.resume(&machine);
        posse::time::sleep(secs(7)).await;
        sim.kill(&machine).await;
    });
    assert!(text.contains("differ at 7.0"), "{text}");
    let (_, runs) = text.split_once("two more runs, until then. In one ").expect("two more runs");
    let (one, other) = runs.split_once("in the other ").expect("two of them");
    assert!(one.contains("7.0") && other.contains("7.0"), "{text}");
    assert!(!text.contains("dies: Kill"), "what came later is not part of it: {text}");
}

#[test]
fn a_seed_that_fails_fails_in_the_same_way_to_the_byte() {
    let flaky = |sim: Sim| async move {
        let (a, b) = (server(&sim, "a").await, sim.node("b").await);
        let tester: ActorRef<Probing> = find(&b, &a).await;
        let pause = ms(sim.random_below(3000) as u64);
        posse::time::sleep(pause).await;
        sim.kill(&a).await;
        let answer = b.run(async move { tester.echo(String::new()).await }).await;
        assert_ne!(answer, Err(AskError::NodeDown), "after {pause:?}");
    };
    let (first, second) = (run_seed(Options::new(3), &flaky), run_seed(Options::new(3), &flaky));
    assert!(first.failure.is_some());
    assert_eq!(first.failure, second.failure);
    assert_eq!(first.record, second.record);
    assert_ne!(first.record, run_seed(Options::new(4), &flaky).record);
}

#[test]
fn a_program_that_fails_fails_the_test() {
    let text = failure(1, |sim| async move {
        sim.host("worker", || async { Err("no disk".into()) }).await;
        posse::time::sleep(secs(1)).await;
    });
    assert!(text.contains("the program of worker failed: no disk"), "{text}");
}

#[test]
fn a_deadlock_and_an_endless_loop_fail_instead_of_hanging() {
    let dead = failure(1, |_| std::future::pending());
    assert!(dead.contains("nothing can happen any more"), "{dead}");

    let mut options = Options::new(1);
    options.steps_max = 10_000;
    let report = run_seed(options, &|sim: Sim| async move {
        while sim.elapsed() < secs(3600) {
            posse::task::yield_now().await;
        }
    });
    assert!(report.failure.is_some_and(|text| text.contains("after 10000 steps")));
}
