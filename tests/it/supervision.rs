//! Restarts: what survives, when they stop, how long they wait.

use crate::common::{Add, Break, Hang, Log, Worker, manual, settle};
use posse::prelude::*;
use posse::runtime::Handle;

#[posse::test]
async fn a_reference_and_the_mailbox_survive_a_restart_and_the_poison_is_not_replayed() {
    let log = Log::default();
    let supervisor = Supervisor::one_for_one().spawn();
    let recipe = log.clone();
    let worker = supervisor.add("a", move || Worker::new("a", &recipe)).await.unwrap();
    worker.ask(Add(5)).await.unwrap();
    worker.try_tell(Break).unwrap();
    for _ in 0..10 {
        worker.try_tell(Add(1)).unwrap();
    }
    assert_eq!(worker.ask(Add(0)).await, Ok(10));
    assert_eq!(posse::System::current().restarts(), 1);
    supervisor.stop().await;
    assert_eq!(log.take().iter().filter(|entry| *entry == "a started").count(), 2);
}

#[posse::test]
async fn too_many_restarts_end_the_supervisor_and_all_its_children() {
    let log = Log::default();
    let supervisor = Supervisor::one_for_one().limit(3, secs(60)).spawn();
    let fragile = supervisor.add("fragile", || Worker::new("f", &Log::default())).await.unwrap();
    let recipe = log.clone();
    let steady = supervisor.add("steady", move || Worker::new("s", &recipe)).await.unwrap();
    for _ in 0..4 {
        assert!(fragile.ask(Break).await.is_err());
        settle().await;
    }
    let reason = supervisor.closed().await;
    assert!(matches!(&reason, ExitReason::Failed(text) if text.contains("\"fragile\" needed more than 3 restarts")));
    assert!(!fragile.is_alive() && !steady.is_alive());
    assert_eq!(steady.closed().await, ExitReason::Shutdown);
}

#[test]
fn restarts_back_off_on_a_hand_turned_clock() {
    let runtime = manual();
    runtime.block_on(async {
        let log = Log::default();
        let backoff = Backoff::exponential(secs(2)..secs(60));
        let supervisor = Supervisor::one_for_one().limit(10, secs(3600)).backoff(backoff).spawn();
        let recipe = log.clone();
        let worker = supervisor.add("a", move || Worker::new("a", &recipe)).await.unwrap();
        settle().await;
        for wait in [2u64, 4, 8] {
            log.take();
            worker.tell(Break).await.unwrap();
            settle().await;
            Handle::current().advance(secs(wait) / 2 - ms(1));
            settle().await;
            assert!(!log.take().contains(&"a started".to_owned()), "before the least wait");
            Handle::current().advance(secs(wait));
            settle().await;
            assert_eq!(log.take(), ["a started"]);
        }
    });
}

#[posse::test]
async fn children_of_a_supervisor_end_in_reverse_order() {
    let log = Log::default();
    let supervisor = Supervisor::one_for_one().spawn();
    for name in ["first", "second", "third"] {
        let log = log.clone();
        supervisor.add(name, move || Worker::new(name, &log)).await.unwrap();
    }
    settle().await;
    log.take();
    supervisor.stop().await;
    let stopped: Vec<_> = log.take().iter().map(|entry| entry.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(stopped, ["third", "second", "first"]);
}

#[test]
fn a_child_that_does_not_end_in_time_is_killed() {
    let runtime = manual();
    runtime.block_on(async {
        let log = Log::default();
        let supervisor = Supervisor::one_for_one().spawn();
        let recipe = log.clone();
        let worker = supervisor.add("a", move || Worker::new("a", &recipe)).await.unwrap();
        worker.tell(Hang).await.unwrap();
        settle().await;
        let stopping = posse::task::spawn(async move { supervisor.stop().await });
        settle().await;
        assert!(worker.is_alive());
        Handle::current().advance(posse::SHUTDOWN_TIME);
        stopping.await.unwrap();
        assert_eq!(worker.closed().await, ExitReason::Killed);
        assert!(log.take().contains(&"a handler dropped".to_owned()));
    });
}

#[posse::test]
async fn one_for_all_starts_every_sibling_over_and_rest_for_one_the_younger() {
    for (supervisor, expected) in [
        (Supervisor::one_for_all(), vec!["a", "b", "c"]),
        (Supervisor::rest_for_one(), vec!["b", "c"]),
        (Supervisor::one_for_one(), vec!["b"]),
    ] {
        let log = Log::default();
        let supervisor = supervisor.spawn();
        let mut workers = Vec::new();
        for name in ["a", "b", "c"] {
            let log = log.clone();
            workers.push(supervisor.add(name, move || Worker::new(name, &log)).await.unwrap());
        }
        settle().await;
        log.take();
        assert!(workers[1].ask(Break).await.is_err());
        settle().await;
        let mut started: Vec<_> =
            log.take().into_iter().filter_map(|entry| entry.strip_suffix(" started").map(str::to_owned)).collect();
        started.sort();
        assert_eq!(started, expected);
        supervisor.stop().await;
    }
}

#[posse::test]
async fn a_transient_child_is_left_when_it_ends_as_it_should() {
    let supervisor = Supervisor::one_for_one().spawn();
    let worker = supervisor.add_with("a", Restart::Transient, || Worker::new("a", &Log::default())).await.unwrap();
    assert!(worker.ask(Break).await.is_err());
    assert_eq!(worker.ask(Add(1)).await, Ok(1));
    worker.stop();
    assert_eq!(worker.closed().await, ExitReason::Normal);
    supervisor.stop().await;
}

#[posse::test]
async fn a_supervisor_can_be_a_child() {
    let log = Log::default();
    let inner_log = log.clone();
    let outer = Supervisor::one_for_one()
        .child(
            "inner",
            posse::Nested(move || {
                let log = inner_log.clone();
                Supervisor::one_for_one().child("leaf", move || Worker::new("leaf", &log))
            }),
        )
        .spawn();
    settle().await;
    assert_eq!(log.take(), ["leaf started"]);
    outer.stop().await;
    assert_eq!(log.take(), ["leaf stopped: it came to its end"]);
    assert_eq!(posse::System::current().alive(), 0);
}
