//! Tests of what a runtime shows of its tasks.

use super::task_info::{TaskInfo, WaitsFor};
use crate::io::UdpSocket;
use crate::raw_task::{Id, TaskState};
use crate::runtime::{Builder, Handle, Runtime};
use crate::task;
use crate::time;
use std::future::{Future, pending};
use std::net::Ipv4Addr;
use std::time::Duration;

fn current_thread() -> Runtime {
    Builder::new_current_thread().manual_clock().build().expect("a runtime")
}

fn info(id: Id) -> TaskInfo {
    Handle::current().tasks().into_iter().find(|task| task.id() == id).expect("the task is listed")
}

/// Lets all others run until they wait.
async fn settle() {
    for _ in 0..100 {
        task::yield_now().await;
    }
}

#[test]
fn a_task_is_listed_with_its_state_its_polls_and_where_it_comes_from() {
    current_thread().block_on(async {
        let line = line!() + 1;
        let waiting = task::Builder::new().name("waits").spawn(pending::<()>());
        let queued = info(waiting.id());
        assert_eq!((queued.state(), queued.poll_count(), queued.since_last_poll()), (TaskState::Queued, 0, None));

        settle().await;
        Handle::current().advance(Duration::from_secs(5));
        let waits = info(waiting.id());
        assert_eq!((waits.state(), waits.poll_count(), waits.name()), (TaskState::Waiting, 1, Some("waits")));
        assert_eq!(waits.since_last_poll().map(|age| age.as_secs()), Some(5));
        assert_eq!((waits.spawned_at().file(), waits.spawned_at().line()), (file!(), line));
        assert!(waits.type_name().contains("Pending"), "{}", waits.type_name());
        assert_eq!(waits.waits_for(), []);
        let text = waits.to_string();
        assert!(text.contains("\"waits\": waiting, polled 1 times, 5.0s ago, spawned at"), "{text}");
    });
}

#[test]
fn a_task_that_lists_itself_runs() {
    current_thread().block_on(async {
        let state = task::spawn(async { info(task::try_id().unwrap()).state() }).await.unwrap();
        assert_eq!(state, TaskState::Running);
    });
}

#[test]
fn tasks_say_whether_they_wait_for_a_timer_a_socket_or_a_task() {
    current_thread().block_on(async {
        let deadline = time::Instant::now() + Duration::from_secs(9);
        let sleeping = task::spawn(time::sleep_until(deadline));
        let sleeping_id = sleeping.id();
        let joining = task::spawn(sleeping);
        let reading = task::spawn(async {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            socket.read_io(|socket| socket.recv_from(&mut [0; 8])).await.map(|_| ())
        });
        settle().await;

        assert_eq!(info(sleeping_id).waits_for(), [WaitsFor::Timer(deadline)]);
        assert_eq!(info(joining.id()).waits_for(), [WaitsFor::Task(sleeping_id)]);
        assert_eq!(info(reading.id()).waits_for(), [WaitsFor::Socket]);
        assert!(info(reading.id()).to_string().contains("waiting for a socket"));
    });
}

/// Starts a task that waits, and compares what it says of itself.
async fn waits<F: Future<Output: Send + 'static> + Send + 'static>(future: F, expected: WaitsFor) {
    let task = task::spawn(future);
    settle().await;
    let listed = info(task.id());
    assert_eq!((listed.state(), listed.waits_for()), (TaskState::Waiting, &[expected][..]), "{listed}");
    assert!(listed.to_string().contains(&format!(": waiting for {expected}, polled")), "{listed}");
    task.abort();
}

#[test]
fn tasks_say_what_kind_of_thing_they_wait_for() {
    use crate::sync::{
        Barrier, CancellationToken, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, broadcast, mpsc, oneshot,
        watch,
    };
    use crate::task::{JoinSet, TaskTracker};

    current_thread().block_on(async {
        let (send, mut receive) = mpsc::channel::<u8>(1);
        let full = send.clone();
        waits(async move { receive.recv().await }, WaitsFor::Channel).await;
        let (_send, receive) = oneshot::channel::<u8>();
        waits(receive, WaitsFor::Channel).await;
        let (_send, mut receive) = watch::channel(0);
        waits(async move { receive.changed().await.is_ok() }, WaitsFor::Channel).await;
        let (_send, mut receive) = broadcast::channel::<u8>(1);
        waits(async move { receive.recv().await.is_ok() }, WaitsFor::Channel).await;
        let (send, _receive) = mpsc::channel(1);
        send.try_send(1).unwrap();
        waits(async move { send.send(2).await.is_ok() }, WaitsFor::Channel).await;
        drop(full);

        waits(async { Semaphore::new(0).acquire().await.is_ok() }, WaitsFor::Semaphore).await;
        let mutex = std::sync::Arc::new(Mutex::new(()));
        let held = mutex.clone().lock_owned().await;
        waits(async move { drop(mutex.lock().await) }, WaitsFor::Mutex).await;
        let lock = std::sync::Arc::new(RwLock::new(()));
        let read = lock.clone().read_owned().await;
        waits(async move { drop(lock.write().await) }, WaitsFor::RwLock).await;
        drop((held, read));
        waits(async { Barrier::new(2).wait().await.is_leader() }, WaitsFor::Barrier).await;
        waits(async { Notify::new().notified().await }, WaitsFor::Notify).await;
        waits(async { *SetOnce::<u8>::new().wait().await }, WaitsFor::Value).await;
        let cell = std::sync::Arc::new(OnceCell::<u8>::new());
        let making = cell.clone();
        let making = task::spawn(async move { *making.get_or_init(pending).await });
        settle().await;
        waits(async move { *cell.get_or_init(async || 1).await }, WaitsFor::Value).await;
        making.abort();
        waits(async { CancellationToken::new().cancelled().await }, WaitsFor::Cancellation).await;

        let mut set = JoinSet::new();
        set.spawn(pending::<()>());
        waits(async move { set.join_next().await.is_some() }, WaitsFor::Tasks).await;
        let tracker = TaskTracker::new();
        waits(async move { tracker.wait().await }, WaitsFor::Tasks).await;
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        waits(task::spawn_blocking(move || finished.recv()), WaitsFor::Blocking).await;
        drop(finish);
    });
}

#[test]
fn a_task_that_waits_for_several_things_says_all_and_those_of_its_last_poll_alone() {
    use crate::sync::{CancellationToken, Notify, mpsc};

    current_thread().block_on(async {
        let (send, mut receive) = mpsc::channel::<u8>(1);
        let stop = CancellationToken::new();
        let deadline = time::Instant::now() + Duration::from_secs(9);
        let task = task::spawn(async move {
            crate::select! {
                biased;
                _ = receive.recv() => {}
                () = stop.cancelled() => {}
                () = time::sleep_until(deadline) => {}
            }
            Notify::new().notified().await;
        });
        settle().await;
        let waits_for = info(task.id()).waits_for().to_vec();
        assert_eq!(waits_for, [WaitsFor::Channel, WaitsFor::Cancellation, WaitsFor::Timer(deadline)]);
        assert!(info(task.id()).to_string().contains("waiting for a channel or a cancellation or a timer"));
        send.try_send(1).unwrap();
        settle().await;
        assert_eq!(info(task.id()).waits_for(), [WaitsFor::Notify]);
        assert_eq!(info(task.id()).poll_count(), 2);
    });
}

#[test]
fn what_has_completed_is_not_listed_and_many_are_all_listed_in_order() {
    current_thread().block_on(async {
        task::spawn(async {}).await.unwrap();
        let ids: Vec<_> = (0..1000).map(|_| task::spawn(pending::<()>()).id()).collect();
        let listed: Vec<_> = Handle::current().tasks().iter().map(TaskInfo::id).collect();
        assert_eq!(listed, ids);
    });
}

#[test]
fn a_name_goes_with_its_task() {
    current_thread().block_on(async {
        task::Builder::new().name("short").spawn(async {}).await.unwrap();
        // In the place of the one before.
        let plain = task::spawn(pending::<()>());
        assert_eq!(info(plain.id()).name(), None);
    });
}
