//! Restarts: what survives, when they stop, how long they wait.

use crate::common::{Add, Break, Hang, Log, Worker, manual, settle};
use posse::prelude::*;
use posse::runtime::Handle;
use posse::sync::Notify;
use posse::{ChildError, ChildState, SpawnError, SupervisorRef};
use std::sync::Arc;

#[posse::test]
async fn a_reference_and_the_mailbox_survive_a_restart_and_the_poison_is_not_replayed() {
    let log = Log::default();
    let supervisor = Supervisor::one_for_one().spawn();
    let recipe = log.clone();
    let worker = supervisor.start_child(Spec::new(move || Worker::new("a", &recipe)).name("a")).await.unwrap();
    worker.ask(Add(5)).await.unwrap();
    worker.try_tell(Break).unwrap();
    for _ in 0..10 {
        worker.try_tell(Add(1)).unwrap();
    }
    assert_eq!(worker.ask(Add(0)).await, Ok(10));
    assert_eq!(posse::System::current().restarts(), 1);
    supervisor.shutdown().await;
    assert_eq!(log.take().iter().filter(|entry| *entry == "a started").count(), 2);
}

#[posse::test]
async fn too_many_restarts_end_the_supervisor_and_all_its_children() {
    let log = Log::default();
    let supervisor = Supervisor::one_for_one().restart_limit(3, secs(60)).spawn();
    let fragile =
        supervisor.start_child(Spec::new(|| Worker::new("f", &Log::default())).name("fragile")).await.unwrap();
    let recipe = log.clone();
    let steady = supervisor.start_child(Spec::new(move || Worker::new("s", &recipe)).name("steady")).await.unwrap();
    for _ in 0..4 {
        assert!(fragile.ask(Break).await.is_err());
        settle().await;
    }
    let reason = supervisor.closed().await;
    assert!(matches!(&reason, ExitReason::GaveUp(text) if text.contains("\"fragile\" needed more than 3 restarts")));
    assert!(!fragile.is_alive() && !steady.is_alive());
    assert_eq!(steady.closed().await, ExitReason::Shutdown);
}

#[test]
fn restarts_back_off_on_a_hand_turned_clock() {
    let runtime = manual();
    runtime.block_on(async {
        let log = Log::default();
        let backoff = Backoff::exponential(secs(2)..secs(60));
        let supervisor = Supervisor::one_for_one().restart_limit(10, secs(3600)).backoff(backoff).spawn();
        let recipe = log.clone();
        let worker = supervisor.start_child(Spec::new(move || Worker::new("a", &recipe)).name("a")).await.unwrap();
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
        supervisor.start_child(Spec::new(move || Worker::new(name, &log)).name(name)).await.unwrap();
    }
    settle().await;
    log.take();
    supervisor.shutdown().await;
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
        let worker = supervisor.start_child(Spec::new(move || Worker::new("a", &recipe)).name("a")).await.unwrap();
        worker.tell(Hang).await.unwrap();
        settle().await;
        let stopping = posse::task::spawn(async move { supervisor.shutdown().await });
        settle().await;
        assert!(worker.is_alive());
        Handle::current().advance(posse::DEFAULT_SHUTDOWN);
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
            workers.push(supervisor.start_child(Spec::new(move || Worker::new(name, &log)).name(name)).await.unwrap());
        }
        settle().await;
        log.take();
        assert!(workers[1].ask(Break).await.is_err());
        settle().await;
        let mut started: Vec<_> =
            log.take().into_iter().filter_map(|entry| entry.strip_suffix(" started").map(str::to_owned)).collect();
        started.sort();
        assert_eq!(started, expected);
        supervisor.shutdown().await;
    }
}

#[posse::test]
async fn a_transient_child_is_left_when_it_ends_as_it_should() {
    let supervisor = Supervisor::one_for_one().spawn();
    let worker = supervisor
        .start_child(Spec::new(|| Worker::new("a", &Log::default())).name("a").restart(Restart::Transient))
        .await
        .unwrap();
    assert!(worker.ask(Break).await.is_err());
    assert_eq!(worker.ask(Add(1)).await, Ok(1));
    worker.stop();
    assert_eq!(worker.closed().await, ExitReason::Normal);
    supervisor.shutdown().await;
}

#[posse::test]
async fn a_supervisor_can_be_a_child() {
    let log = Log::default();
    let inner_log = log.clone();
    let outer = Supervisor::one_for_one()
        .child(
            Spec::new(move || {
                let log = inner_log.clone();
                Supervisor::one_for_one().child(Spec::new(move || Worker::new("leaf", &log)).name("leaf"))
            })
            .name("inner"),
        )
        .spawn();
    settle().await;
    assert_eq!(log.take(), ["leaf started"]);
    outer.shutdown().await;
    assert_eq!(log.take(), ["leaf stopped: it was shut down"]);
    assert_eq!(posse::System::current().alive(), 0);
}

async fn children(supervisor: &SupervisorRef) -> Vec<(String, ChildState)> {
    let children = supervisor.which_children().await;
    children.into_iter().map(|child| (child.name.unwrap_or_default().to_string(), child.state)).collect()
}

/// Starts when it may, and well if it may.
struct Slow {
    name: &'static str,
    log: Log,
    gate: Arc<Notify>,
    well: bool,
}

impl Actor for Slow {
    async fn started(&mut self, _: &mut Context<Self>) -> posse::Result {
        self.log.add(format!("{} starts", self.name));
        self.gate.notified().await;
        self.log.add(format!("{} {}", self.name, if self.well { "is up" } else { "fails" }));
        if self.well { Ok(()) } else { Err(posse::Error::msg("no luck")) }
    }

    async fn stopped(&mut self, _: &ExitReason, _: &mut Context<Self>) {
        if self.well {
            self.log.add(format!("{} is down", self.name));
        }
    }
}

impl Handler<Break> for Slow {
    async fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("broken on purpose");
    }
}

#[posse::test]
async fn children_start_one_after_the_other_and_a_group_stops_in_reverse_before_it_starts_again() {
    let (log, gate) = (Log::default(), Arc::new(Notify::new()));
    let supervisor = Supervisor::one_for_all().spawn();
    let slow = |name| {
        let (log, gate) = (log.clone(), gate.clone());
        supervisor
            .start_child(Spec::new(move || Slow { name, log: log.clone(), gate: gate.clone(), well: true }).name(name))
    };
    let (mut a, mut b) = (std::pin::pin!(slow("a")), std::pin::pin!(slow("b")));
    let mut both = std::pin::pin!(async { (a.as_mut().await.unwrap(), b.as_mut().await.unwrap()) });
    // `b` is asked for before `a` has started.
    let (first, _) = {
        let gate = gate.clone();
        let opener = posse::task::spawn(async move {
            for _ in 0..2 {
                settle().await;
                gate.notify_one();
            }
        });
        let both = both.as_mut().await;
        opener.await.unwrap();
        both
    };
    assert_eq!(log.take(), ["a starts", "a is up", "b starts", "b is up"]);

    first.tell(Break).await.unwrap();
    settle().await;
    assert_eq!(log.take(), ["a is down", "b is down", "a starts"]);
    gate.notify_one();
    settle().await;
    assert_eq!(log.take(), ["a is up", "b starts"]);
    gate.notify_one();
    settle().await;
    let running = |name: &str| (name.to_owned(), ChildState::Running);
    assert_eq!(children(&supervisor).await, [running("a"), running("b")]);
    supervisor.shutdown().await;
}

#[posse::test]
async fn a_nested_supervisor_has_started_when_its_children_have() {
    let (log, gate) = (Log::default(), Arc::new(Notify::new()));
    let (inner_log, inner_gate, later_log) = (log.clone(), gate.clone(), log.clone());
    let supervisor = Supervisor::one_for_one()
        .child(
            Spec::new(move || {
                let (log, gate) = (inner_log.clone(), inner_gate.clone());
                let slow = move || Slow { name: "leaf", log: log.clone(), gate: gate.clone(), well: true };
                Supervisor::one_for_one().child(Spec::new(slow).name("leaf"))
            })
            .name("inner"),
        )
        .child(Spec::new(move || Worker::new("later", &later_log)).name("later"))
        .spawn();
    settle().await;
    assert_eq!(log.take(), ["leaf starts"]);
    gate.notify_one();
    settle().await;
    assert_eq!(log.take(), ["leaf is up", "later started"]);
    supervisor.shutdown().await;
}

#[posse::test]
async fn a_child_that_does_not_start_is_an_error_and_is_not_kept() {
    let gate = Arc::new(Notify::new());
    let supervisor = Supervisor::one_for_one().spawn();
    gate.notify_one();
    let slow = move || Slow { name: "a", log: Log::default(), gate: gate.clone(), well: false };
    let failed = supervisor.start_child(Spec::new(slow).name("a")).await.unwrap_err();
    assert_eq!(failed, SpawnError::Failed(ExitReason::Failed("no luck".into())));
    settle().await;
    assert_eq!(children(&supervisor).await, []);
    assert_eq!(posse::System::current().restarts(), 0);
    supervisor.shutdown().await;
}

#[posse::test]
async fn a_start_that_fails_again_and_again_ends_the_supervisor() {
    let gate = Arc::new(Notify::new());
    let (opener, log) = (gate.clone(), Log::default());
    let recipe = log.clone();
    let supervisor = Supervisor::one_for_one()
        .restart_limit(2, secs(60))
        .child(Spec::new(move || Slow { name: "a", log: recipe.clone(), gate: gate.clone(), well: false }).name("a"))
        .spawn();
    for _ in 0..3 {
        settle().await;
        opener.notify_one();
    }
    let reason = supervisor.closed().await;
    assert!(
        matches!(&reason, ExitReason::GaveUp(text) if text.ends_with("it did not start: it failed: no luck")),
        "{reason}"
    );
    assert_eq!(log.take().len(), 6);
}

#[posse::test]
async fn a_name_belongs_to_one_child() {
    let log = Log::default();
    let supervisor = Supervisor::one_for_one().spawn();
    let worker = || Worker::new("a", &Log::default());
    supervisor.start_child(Spec::new(worker).name("x")).await.unwrap();
    assert_eq!(supervisor.start_child(Spec::new(worker).name("x")).await.unwrap_err(), SpawnError::NameTaken);
    assert_eq!(children(&supervisor).await.len(), 1);
    supervisor.delete_child("x").await.unwrap();
    supervisor.start_child(Spec::new(worker).name("x")).await.unwrap();
    supervisor.shutdown().await;

    let recipe = log.clone();
    let twice = Supervisor::one_for_one()
        .child(Spec::new(move || Worker::new("a", &recipe)).name("x"))
        .child(Spec::new(worker).name("x"))
        .spawn();
    let reason = twice.closed().await;
    assert!(matches!(&reason, ExitReason::Failed(text) if text.contains("child \"x\"")), "{reason}");
    assert_eq!(log.take(), Vec::<String>::new());
}

#[posse::test]
async fn a_child_that_ended_for_good_is_forgotten() {
    let supervisor = Supervisor::one_for_one().spawn();
    for restart in [Restart::Temporary, Restart::Transient] {
        for _ in 0..100 {
            let worker = || Worker::new("a", &Log::default());
            let worker = supervisor.start_child(Spec::new(worker).name("x").restart(restart)).await.unwrap();
            worker.stop();
            worker.closed().await;
            settle().await;
        }
    }
    assert_eq!(children(&supervisor).await, []);
    // And so is one that was drained.
    let worker = supervisor.start_child(Spec::new(|| Worker::new("a", &Log::default())).name("x")).await.unwrap();
    worker.drain();
    assert_eq!(worker.closed().await, ExitReason::Normal);
    settle().await;
    assert_eq!(children(&supervisor).await, []);
    supervisor.shutdown().await;
}

#[posse::test]
async fn a_child_can_be_terminated_restarted_and_deleted() {
    let log = Log::default();
    let supervisor = Supervisor::one_for_one().spawn();
    let recipe = log.clone();
    let worker = supervisor.start_child(Spec::new(move || Worker::new("a", &recipe)).name("a")).await.unwrap();
    worker.ask(Add(1)).await.unwrap();

    // A restart keeps the reference and the mailbox.
    supervisor.restart_child("a").await.unwrap();
    assert_eq!(worker.ask(Add(1)).await, Ok(1));

    supervisor.terminate_child("a").await.unwrap();
    assert_eq!(worker.closed().await, ExitReason::Shutdown);
    let terminated = [("a".to_owned(), ChildState::Terminated)];
    assert_eq!(children(&supervisor).await, terminated);
    supervisor.terminate_child("a").await.unwrap();

    // It is another actor now.
    supervisor.restart_child("a").await.unwrap();
    let info = supervisor.which_children().await.remove(0);
    assert!(info.actor.is_some_and(|actor| actor != worker.id()) && info.state == ChildState::Running);

    supervisor.delete_child("a").await.unwrap();
    assert_eq!(supervisor.delete_child("a").await, Err(ChildError::NotFound));
    assert_eq!(supervisor.restart_child("a").await, Err(ChildError::NotFound));
    assert_eq!(log.take().iter().filter(|entry| *entry == "a started").count(), 3);
    supervisor.shutdown().await;
    assert_eq!(supervisor.terminate_child("a").await, Err(ChildError::ParentStopped));
    assert_eq!(posse::System::current().restarts(), 1);
}

/// Requests take effect in their order, as in OTP: what comes after a deletion finds no such child, once it has gone.
#[posse::test]
async fn of_requests_for_one_child_those_after_a_deletion_find_none() {
    let supervisor = Supervisor::one_for_one().spawn();
    for _ in 0..20 {
        let worker = Spec::new(|| Worker::new("a", &Log::default())).name("a");
        let worker = supervisor.start_child(worker).await.unwrap();
        let again = async {
            let answer = supervisor.delete_child("a").await;
            assert!(!worker.is_alive(), "it has gone by then");
            let next = Spec::new(|| Worker::new("b", &Log::default())).name("a");
            assert!(supervisor.start_child(next).await.is_ok(), "its name is free");
            answer
        };
        let answers = posse::join!(
            supervisor.terminate_child("a"),
            supervisor.delete_child("a"),
            supervisor.terminate_child("a"),
            supervisor.restart_child("a"),
            again,
        );
        let none = Err(ChildError::NotFound);
        assert_eq!(answers, (Ok(()), Ok(()), none.clone(), none.clone(), none));
        supervisor.delete_child("a").await.unwrap();
    }
    supervisor.shutdown().await;
}

/// Its second incarnation fails as soon as it has started.
struct Flaky(u32);

impl Actor for Flaky {
    async fn run(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        if self.0 == 2 { Err(posse::Error::msg("not yet")) } else { ctx.serve(self).await }
    }
}

impl Handler<Break> for Flaky {
    async fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("broken on purpose");
    }
}

#[test]
fn a_sibling_that_is_told_to_start_and_at_once_to_stop_does_both() {
    manual().block_on(async {
        let supervisor = Supervisor::one_for_all().spawn();
        let mut made = 0;
        let flaky = move || {
            made += 1;
            Flaky(made)
        };
        let flaky = supervisor.start_child(Spec::new(flaky).name("flaky")).await.unwrap();
        supervisor.start_child(Spec::new(|| Worker::new("a", &Log::default())).name("steady")).await.unwrap();
        flaky.tell(Break).await.unwrap();
        settle().await;
        // The clock stands still: nobody was waited for in vain.
        let running = |name: &str| (name.to_owned(), ChildState::Running);
        assert_eq!(children(&supervisor).await, [running("flaky"), running("steady")]);
        supervisor.shutdown().await;
    });
}
