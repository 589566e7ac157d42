//! What a runtime shows of its tasks.

use super::task_info::{TaskInfo, WaitsFor};
use crate::io::UdpSocket;
use crate::raw_task::{Id, TaskState};
use crate::runtime::{Builder, Handle, Runtime};
use crate::task;
use crate::time;
use std::future::pending;
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
