//! How actors are started: names, room, time to stop, values that cannot be made again.

use crate::common::{Add, Break, Hang, Log, Worker, manual, settle};
use posse::prelude::*;
use posse::runtime::{Builder, Handle, TaskMeta};
use posse::{SpawnError, SupervisorRef, System};
use std::sync::{Arc, Mutex};

fn worker() -> Worker {
    Worker::new("a", &Log::default())
}

#[posse::test]
async fn a_name_is_had_from_the_start_and_free_after_the_end() {
    let system = System::current();
    let first = posse::spawn(Spec::new(worker).name("x"));
    assert_eq!(system.whereis("x"), Some(first.clone()));

    // Another one of that name does not start.
    assert_eq!(posse::try_spawn(Spec::new(worker).name("x")), Err(SpawnError::NameTaken));
    let second = posse::spawn(Spec::new(worker).name(String::from("x")));
    let reason = second.closed().await;
    assert!(matches!(&reason, ExitReason::Failed(text) if text.starts_with("\"x\": the name is taken")), "{reason}");
    assert_eq!(system.whereis("x"), Some(first.clone()));

    first.stop();
    first.closed().await;
    let third = posse::try_spawn(Spec::new(worker).name("x")).unwrap();
    assert_eq!(system.whereis("x"), Some(third.clone()));
    assert!(system.unregister("x", &third) && system.whereis::<Worker>("x").is_none());
}

#[test]
fn outside_of_a_runtime_nothing_is_spawned() {
    assert_eq!(posse::try_spawn(worker), Err(SpawnError::NoRuntime));
}

#[posse::test]
async fn a_supervised_child_keeps_its_name_over_restarts_and_waits_for_it() {
    let system = System::current();
    let stranger = posse::spawn(Spec::new(worker).name("x"));
    let backoff = Backoff::exponential(ms(1)..ms(1));
    let supervisor = Supervisor::one_for_one().restart_limit(usize::MAX, secs(1)).backoff(backoff);
    let supervisor = supervisor.child(Spec::new(worker).name("x")).spawn();
    assert_eq!(supervisor.start_child(Spec::new(worker).name("x")).await, Err(SpawnError::NameTaken));
    stranger.stop();
    stranger.closed().await;

    let child: LocalRef<Worker> = loop {
        match system.whereis("x") {
            Some(child) => break child,
            None => posse::task::yield_now().await,
        }
    };
    assert!(child.ask(Break).await.is_err());
    assert_eq!(child.ask(Add(1)).await, Ok(1));
    assert_eq!(system.whereis("x"), Some(child));
    supervisor.shutdown().await;
    assert_eq!(system.names(), 0);
}

#[posse::test]
async fn a_supervisor_in_a_tree_is_found_by_its_name() {
    let rooms = Spec::new(Supervisor::one_for_one).name("rooms");
    let tree = Supervisor::one_for_one().child(|| Supervisor::rest_for_one().child(worker)).child(rooms).spawn();
    while System::current().whereis::<Supervisor>("rooms").is_none() {
        settle().await;
    }
    let rooms: SupervisorRef = System::current().whereis("rooms").unwrap();
    let room = rooms.start_child(Spec::new(worker).capacity(1)).await.unwrap();
    assert_eq!(room.ask(Add(1)).await, Ok(1));
    let nested = rooms.start_child(Supervisor::one_for_all).await.unwrap();
    nested.start_child(worker).await.unwrap();
    assert_eq!(rooms.which_children().await.len(), 2);
    tree.shutdown().await;
    assert_eq!(System::current().alive(), 0);
}

#[posse::test]
async fn a_value_that_cannot_be_made_again_is_not_restarted() {
    let supervisor = Supervisor::one_for_one().spawn();
    let child = supervisor.start_child(Spec::once(worker()).restart(Restart::Permanent)).await.unwrap();
    assert!(child.ask(Break).await.is_err());
    assert!(matches!(child.closed().await, ExitReason::Failed(_)));
    settle().await;
    assert!(supervisor.is_alive() && supervisor.which_children().await.is_empty());
    supervisor.shutdown().await;
}

/// Has a child that takes its time.
struct Parent;
impl Actor for Parent {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        let child = ctx.spawn(Spec::new(worker).name("child").stop_within(secs(30)));
        child.try_tell(Hang)?;
        Ok(())
    }
}

#[test]
fn each_child_has_its_own_time_to_stop() {
    for supervised in [false, true] {
        manual().block_on(async {
            if supervised {
                let child = Spec::new(worker).name("child").stop_within(secs(30));
                let supervisor = Supervisor::one_for_one().child(child).spawn();
                settle().await;
                System::current().whereis::<Worker>("child").unwrap().try_tell(Hang).unwrap();
                settle().await;
                posse::task::spawn(async move { supervisor.shutdown().await });
            } else {
                let parent = posse::spawn(|| Parent);
                settle().await;
                parent.stop();
            }
            settle().await;
            let child: LocalRef<Worker> = System::current().whereis("child").unwrap();
            Handle::current().advance(secs(29));
            settle().await;
            assert!(child.is_alive());
            Handle::current().advance(secs(1));
            assert_eq!(child.closed().await, ExitReason::Killed);
        });
    }
}

#[posse::test]
async fn a_name_that_is_too_long_is_refused_however_the_actor_is_started() {
    let (longest, too_long) = ("n".repeat(255), "n".repeat(1 << 20));
    let named = posse::spawn(Spec::new(worker).name(longest.as_str()));
    assert_eq!(System::current().whereis(&longest), Some(named));
    assert_eq!(posse::try_spawn(Spec::new(worker).name(too_long.as_str())), Err(SpawnError::InvalidName));
    let supervisor = Supervisor::one_for_one().spawn();
    let child = supervisor.start_child(Spec::new(worker).name(too_long.as_str())).await;
    assert_eq!(child, Err(SpawnError::InvalidName));
    let supervisor = Supervisor::one_for_one().child(Spec::new(worker).name(too_long.as_str())).spawn();
    let reason = supervisor.closed().await.to_string();
    assert!(reason.contains("a name has 1 to 255 bytes") && reason.len() < 200, "{} bytes", reason.len());
    let reason = posse::spawn(Spec::new(worker).name(too_long)).closed().await.to_string();
    assert!(reason.contains("a name has 1 to 255 bytes") && reason.len() < 200, "{} bytes", reason.len());
}

#[test]
fn a_name_that_is_too_long_is_not_its_tasks_either() {
    let named = Arc::new(Mutex::new(Vec::new()));
    let names = named.clone();
    let on_spawn = move |task: &TaskMeta| names.lock().unwrap().extend(task.name().map(str::len));
    let runtime = Builder::new_current_thread().on_task_spawn(on_spawn).build().unwrap();
    runtime.block_on(async {
        for bytes in [0, 1, 255, 256] {
            posse::spawn(Spec::new(worker).name("n".repeat(bytes)));
        }
        let listed: Vec<_> = Handle::current().tasks().iter().filter_map(|task| task.name().map(str::len)).collect();
        assert_eq!((listed, &*named.lock().unwrap()), (vec![1, 255], &vec![1, 255]));
    });
}

/// Says which thread has run it.
#[derive(Message)]
#[message(reply = std::thread::ThreadId)]
struct Where;

impl Handler<Where> for Worker {
    async fn handle(&mut self, _: Where, _: &mut Context<Self>) -> std::thread::ThreadId {
        std::thread::current().id()
    }
}

#[test]
fn an_actor_stays_on_its_worker_over_restarts_and_one_for_no_worker_fails() {
    let runtime = posse::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let on_worker_1 = runtime.handle().spawn_pinned(1, async { std::thread::current().id() }).unwrap();
    runtime.block_on(async {
        let expected = on_worker_1.await.unwrap();
        let supervisor = Supervisor::one_for_one().restart_limit(100, secs(60)).backoff(Backoff::none()).spawn();
        let pinned = supervisor.start_child(Spec::new(worker).worker(1)).await.unwrap();
        for _ in 0..20 {
            for _ in 0..20 {
                assert_eq!(pinned.ask(Where).await, Ok(expected));
                // From another task, so perhaps from the other worker.
                let asker = pinned.clone();
                let asked = posse::task::spawn(async move { asker.ask(Where).await }).await;
                assert_eq!(asked.unwrap(), Ok(expected));
            }
            assert!(pinned.ask(Break).await.is_err());
        }
        let nowhere = posse::spawn(Spec::new(worker).worker(2));
        let reason = nowhere.closed().await;
        assert!(
            matches!(&reason, ExitReason::Failed(text) if text.contains("no worker 2: the runtime has 2")),
            "{reason}"
        );
        let error = supervisor.start_child(Spec::new(worker).worker(7)).await.unwrap_err();
        assert!(error.to_string().contains("no worker 7"), "{error}");
    });
}

/// A timer, a limit, a time to stop: `Duration::MAX` is none that ever comes.
struct Patient;

#[derive(Message)]
struct Tick;

impl Actor for Patient {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        ctx.send_after(std::time::Duration::MAX, Tick);
        ctx.send_every(std::time::Duration::MAX, || Tick);
        Ok(())
    }
}

impl Handler<Tick> for Patient {
    async fn handle(&mut self, _: Tick, _: &mut Context<Self>) {
        panic!("the end of time has come");
    }
}

impl Handler<Add> for Patient {
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        n
    }
}

#[posse::test]
async fn no_time_that_an_actor_is_given_is_too_long() {
    let most = std::time::Duration::MAX;
    let backoff = Backoff::exponential(ms(1)..most);
    let supervisor = Supervisor::one_for_one().restart_limit(2, most).backoff(backoff).spawn();
    let child = supervisor.start_child(Spec::new(|| Patient).stop_within(most)).await.unwrap();
    assert_eq!(child.ask(Add(3)).within(most).await, Ok(3));
    let broken = supervisor.start_child(Spec::new(worker).stop_within(most)).await.unwrap();
    assert!(broken.ask(Break).within(most).await.is_err());
    assert_eq!(broken.ask(Add(1)).within(most).await, Ok(1));
    supervisor.shutdown().await;
    assert_eq!(child.closed().await, ExitReason::Shutdown);
}
