//! Tests of what the watchdog notices, with the time of its looks given to it.

use super::watchdog::Watchdog;
use crate::lock::Mutex;
use crate::runtime::{Builder, Handle, Runtime};
use crate::task::{self, TaskInfo};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

/// A runtime, and a watchdog with a threshold of 10 ms that looks when it is told.
fn watched() -> (Runtime, Arc<Eye>) {
    let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
    let watchdog = Watchdog::new(runtime.handle().clone(), Duration::from_millis(10));
    let eye = Eye { watchdog: Mutex::new(watchdog), runtime: runtime.handle().clone() };
    (runtime, Arc::new(eye))
}

struct Eye {
    watchdog: Mutex<Watchdog<Handle>>,
    runtime: Handle,
}

impl Eye {
    /// Looks `millis` milliseconds after the start. Returns how many slow polls were counted so far.
    fn look(&self, millis: u64) -> u64 {
        let mut watchdog = self.watchdog.lock();
        let _ = watchdog.check_workers();
        watchdog.check_polls(self.runtime.now() + Duration::from_millis(millis));
        self.runtime.metrics().slow_poll_count()
    }

    fn slow_tasks(&self) -> Vec<TaskInfo> {
        self.runtime.tasks().into_iter().filter(TaskInfo::is_slow).collect()
    }
}

#[test]
fn a_poll_is_counted_once_when_it_has_lasted_for_the_threshold() {
    let (runtime, eye) = watched();
    let counts = runtime.block_on(async {
        task::spawn(async move { [0, 5, 9, 10, 15, 100].map(|millis| eye.look(millis)) }).await.unwrap()
    });
    assert_eq!(counts, [0, 0, 0, 1, 1, 1]);
}

#[test]
fn each_slow_poll_counts_and_its_task_is_marked_and_goes_by_its_name() {
    let (runtime, eye) = watched();
    let watched = eye.clone();
    runtime.block_on(async {
        let stuck = async move {
            assert_eq!([0, 10].map(|millis| watched.look(millis)), [0, 1]);
            task::yield_now().await;
            assert_eq!([20, 30].map(|millis| watched.look(millis)), [1, 2]);
        };
        let task = task::Builder::new().name("stuck").spawn(async move {
            stuck.await;
            pending::<()>().await;
        });
        while eye.look(40) < 2 {
            task::yield_now().await;
        }
        let slow = eye.slow_tasks();
        assert_eq!((slow.len(), slow[0].id(), slow[0].name()), (1, task.id(), Some("stuck")));
    });
}

#[test]
fn a_task_that_comes_back_in_time_is_not_counted_however_often_it_runs() {
    let (runtime, eye) = watched();
    runtime.block_on(async {
        task::spawn(async move {
            for millis in 0..50 {
                assert_eq!(eye.look(millis), 0);
                task::yield_now().await;
            }
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_worker_that_stands_still_is_hurried_once_however_long_it_does() {
    let (runtime, eye) = watched();
    let ticks = || runtime.handle().shared().remotes[0].front.ticks.get();
    runtime.block_on(task::yield_now());
    eye.look(0);
    let hurried = ticks();
    (1..100).for_each(|millis| _ = eye.look(millis));
    assert_eq!(ticks(), hurried);
}

#[test]
fn a_worker_without_a_poll_is_not_slow_though_it_stands_still() {
    let (runtime, eye) = watched();
    runtime.block_on(async {
        // The place of the first task, which was polled last, is then that of the second, which only waits.
        task::spawn(async {}).await.unwrap();
        let _waits = task::spawn(pending::<()>());
        assert_eq!([0, 50, 100].map(|millis| eye.look(millis)), [0, 0, 0]);
    });
    assert_eq!([200, 300].map(|millis| eye.look(millis)), [0, 0]);
    assert!(eye.slow_tasks().is_empty());
}
