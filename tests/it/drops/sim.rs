//! Orders to a simulated world are dropped at every moment: one that was begun is carried out, and the next one finds the world as it is.

use super::Moment;
use posse::prelude::*;
use posse::sim::{Sim, SimMachine};
use posse::time::{Instant, sleep_until, timeout};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lets some of the world's time pass.
async fn pass(seconds: u64) {
    sleep_until(Instant::now() + secs(seconds)).await;
}

async fn host(sim: &Sim, name: &str) -> SimMachine {
    sim.host(name, async || pending().await).await
}

#[posse::test(sim, seeds = 3)]
async fn machines_end_and_start_as_they_were_told(sim: Sim) {
    let machine = host(&sim, "machine").await;
    for moment in Moment::by_polls(6) {
        for order in ["kill", "power_off", "stop"] {
            let ended = match order {
                "kill" => moment.cut(sim.kill(&machine), || ()).await,
                "power_off" => moment.cut(sim.power_off(&machine), || ()).await,
                _ => moment.cut(sim.stop(&machine), || ()).await,
            };
            assert!(ended.is_none() || !machine.is_up(), "{order} {moment:?}");
            if moment.begins() {
                sim.wait_for(secs(5), order, || !machine.is_up()).await;
            }
            assert_eq!(machine.is_up(), !moment.begins(), "{order} {moment:?}");
            sim.kill(&machine).await;

            // It comes up, and the start that comes after it is waited for as well.
            if order == "stop" {
                moment.cut(sim.restart_with_skew(&machine, posse::sim::Skew::default()), || ()).await;
            } else {
                moment.cut(sim.restart(&machine), || ()).await;
            }
            if moment.begins() {
                sim.wait_for(secs(5), "it starts", || machine.is_up()).await;
            }
            sim.restart(&machine).await;
            assert!(machine.is_up(), "{order} {moment:?}");
        }
    }
}

#[posse::test(sim, seeds = 3)]
async fn a_start_that_was_given_up_is_not_taken_for_the_next_one(sim: Sim) {
    let machine = sim.node("node").await;
    for moment in Moment::by_polls(6) {
        moment.cut(sim.restart(&machine), || ()).await;
        pass(1).await;
        sim.restart(&machine).await;
        assert!(machine.node().is_some(), "{moment:?}: its node has not started yet");
    }
}

#[posse::test(sim, seeds = 3)]
async fn what_runs_on_a_machine_runs_on(sim: Sim) {
    let machine = sim.node("node").await;
    let done = Arc::new(AtomicUsize::new(0));
    let mut expected = 0;
    for moment in Moment::by_polls(5) {
        let (by_run, by_node) = (done.clone(), done.clone());
        let work = async move {
            pass(1).await;
            by_run.fetch_add(1, Ordering::SeqCst);
        };
        moment.cut(machine.run(work), || ()).await;
        moment
            .cut(
                machine.with(move |_| async move {
                    pass(1).await;
                    by_node.fetch_add(1, Ordering::SeqCst);
                }),
                || (),
            )
            .await;
        expected += if moment.begins() { 2 } else { 0 };
        sim.wait_for(secs(5), "it ends", || done.load(Ordering::SeqCst) == expected).await;
        // Waiting has no effect.
        moment.cut(sim.wait_for(secs(5), "never", || false), || ()).await;
    }
}

#[posse::test(sim, seeds = 3)]
async fn a_fault_lasts_if_nobody_waits_for_its_end(sim: Sim) {
    for (number, moment) in Moment::by_polls(5).enumerate() {
        let listens = async || {
            let listener = TcpListener::bind("0.0.0.0:80").await?;
            loop {
                drop(listener.accept().await?);
            }
        };
        let (a, b) = (format!("a{number}"), format!("b{number}"));
        moment.cut(sim.node(&format!("x{number}")).into_future(), || ()).await;
        let (a, b) = (host(&sim, &a).await, sim.host(&b, listens).await);
        let ended = moment.cut(sim.partition([&a], [&b]).during(secs(1)), || ()).await.is_some();
        pass(2).await;
        let address = (b.ip(), 80);
        let reached = a.run(async move { timeout(secs(5), TcpStream::connect(address)).await });
        assert_eq!(reached.await.is_ok_and(|reached| reached.is_ok()), ended, "{moment:?}");
    }
}
