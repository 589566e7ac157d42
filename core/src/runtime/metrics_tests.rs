//! Tests of what a runtime counts of itself.

use super::{Builder, Handle, Histogram, HistogramConfig, Runtime, RuntimeMetrics};
use crate::task::{self, coop};
use crate::time;
use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::mpsc::channel;
use std::time::Duration;

fn current_thread() -> (Runtime, RuntimeMetrics) {
    let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
    let metrics = runtime.handle().metrics();
    (runtime, metrics)
}

#[test]
fn polls_and_tasks_are_counted_one_by_one() {
    let (runtime, metrics) = current_thread();
    runtime.block_on(async {
        let yielding = task::spawn(async { (task::yield_now().await, task::yield_now().await) });
        assert_eq!(metrics.num_alive_tasks(), 1);
        assert_eq!(metrics.worker_local_queue_depth(0), 1);
        yielding.await.unwrap();
    });
    assert_eq!((metrics.worker_poll_count(0), metrics.spawned_tasks_count(), metrics.num_alive_tasks()), (3, 1, 0));
}

#[test]
fn a_task_that_never_waits_is_counted_for_each_poll_that_its_budget_ends() {
    let (runtime, metrics) = current_thread();
    runtime.block_on(async {
        task::spawn(async {
            for _ in 0..300 {
                poll_fn(coop::poll_spend).await;
            }
        })
        .await
        .unwrap();
    });
    // 128 units for each poll: 300 take three polls, two of which were ended by force.
    assert_eq!((metrics.budget_forced_yield_count(), metrics.worker_poll_count(0)), (2, 3));
}

#[test]
fn busy_time_is_that_of_the_runtimes_clock_inside_block_on() {
    let (runtime, metrics) = current_thread();
    runtime.handle().advance(Duration::from_secs(5));
    runtime.block_on(async {
        runtime.handle().advance(Duration::from_secs(2));
        assert_eq!(metrics.worker_total_busy_duration(0), Duration::from_secs(2));
    });
    runtime.handle().advance(Duration::from_secs(7));
    assert_eq!(metrics.worker_total_busy_duration(0), Duration::from_secs(2));
}

#[test]
fn a_sleep_and_what_wakes_the_worker_are_counted() {
    let (runtime, metrics) = current_thread();
    let (sender, receiver) = crate::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let asleep = metrics.clone();
        scope.spawn(move || {
            while asleep.worker_park_unpark_count(0) != 1 {
                std::thread::yield_now();
            }
            sender.send(()).unwrap();
        });
        runtime.block_on(async { task::spawn(receiver).await.unwrap().unwrap() });
    });
    assert_eq!((metrics.worker_park_count(0), metrics.worker_park_unpark_count(0)), (1, 2));
    assert_eq!((metrics.worker_wake_count(0), metrics.remote_schedule_count()), (1, 1));
}

#[test]
fn timers_are_counted_until_they_fire_or_are_dropped() {
    let (runtime, metrics) = current_thread();
    runtime.block_on(async {
        let sleeping = task::spawn(time::sleep(Duration::from_secs(1)));
        let dropped = task::spawn(time::sleep(Duration::from_secs(9)));
        while metrics.num_timers() < 2 {
            task::yield_now().await;
        }
        dropped.abort();
        assert!(dropped.await.is_err());
        assert_eq!(metrics.num_timers(), 1);
        runtime.handle().advance(Duration::from_secs(1));
        sleeping.await.unwrap();
        assert_eq!(metrics.num_timers(), 0);
    });
}

#[test]
fn sockets_are_counted_and_so_are_their_events() {
    let (runtime, metrics) = current_thread();
    runtime.block_on(async {
        let socket = crate::io::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        assert_eq!((metrics.io_driver_fd_registered_count(), metrics.io_driver_fd_deregistered_count()), (1, 0));
        drop(socket);
        assert_eq!((metrics.io_driver_fd_registered_count(), metrics.io_driver_fd_deregistered_count()), (1, 1));
    });
}

#[test]
fn the_blocking_pool_shows_its_threads_and_its_queue() {
    let runtime = Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let metrics = runtime.handle().metrics();
    let (begun, wait_until_begun) = channel();
    let (end, wait_for_end) = channel::<()>();
    let first = runtime.spawn_blocking(move || {
        begun.send(()).unwrap();
        wait_for_end.recv().unwrap();
    });
    wait_until_begun.recv().unwrap();
    let second = runtime.spawn_blocking(|| {});
    let counts =
        || (metrics.num_blocking_threads(), metrics.num_idle_blocking_threads(), metrics.blocking_queue_depth());
    assert_eq!(counts(), (1, 0, 1));
    end.send(()).unwrap();
    runtime.block_on(async { (first.await.unwrap(), second.await.unwrap()) });
    assert_eq!(metrics.blocking_queue_depth(), 0);
}

#[test]
fn what_a_worker_steals_is_counted() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let metrics = runtime.handle().metrics();
    let (ran, wait_for_run) = channel();
    // The task stays in its poll until another worker has run what it queued, which only stealing or the watchdog can do.
    runtime
        .block_on(runtime.spawn(async move {
            for _ in 0..3 {
                let ran = ran.clone();
                task::spawn(async move { ran.send(()).unwrap() });
            }
            (0..3).for_each(|_| wait_for_run.recv().unwrap());
        }))
        .unwrap();
    let all = |of: &dyn Fn(usize) -> u64| (0..2).map(of).sum::<u64>();
    let stolen = all(&|worker| metrics.worker_steal_count(worker));
    let overflow = all(&|worker| metrics.worker_overflow_count(worker));
    assert!(stolen + overflow >= 3, "{stolen} stolen, {overflow} overflows");
    assert!(all(&|worker| metrics.worker_steal_operations(worker)) <= stolen);
}

#[test]
#[should_panic(expected = "no worker 1: the runtime has 1")]
fn a_worker_that_is_not_there_is_named() {
    let (_runtime, metrics) = current_thread();
    metrics.worker_poll_count(1);
}

#[test]
fn all_figures_are_printed() {
    let (runtime, metrics) = current_thread();
    runtime.block_on(async { task::spawn(async {}).await.unwrap() });
    let expected = "tasks: 0 alive, 1 spawned, 0 queued for all workers, 0 forced yields\n\
                    blocking pool: 0 threads, 0 idle, 0 closures queued\n\
                    timers: 0\n\
                    sockets: 0 registered, 0 events\n\
                    worker 0: 1 polls, 0 slow, busy 0ns, 0 queued, 0 steals of 0 tasks, 0 sleeps, 0 wakes, 0 overflows";
    assert_eq!(metrics.to_string(), expected);
}

#[test]
fn polls_and_waits_are_measured_if_that_was_asked_for() {
    let (runtime, metrics) = current_thread();
    assert!(metrics.poll_time_histogram().is_none() && metrics.schedule_latency_histogram().is_none());
    drop(runtime);

    let config = HistogramConfig::default().max(Duration::from_secs(100)).steps(1);
    let builder = Builder::new_current_thread().manual_clock();
    let runtime = builder.poll_time_histogram(config.clone()).schedule_latency_histogram(config).build().unwrap();
    let metrics = runtime.handle().metrics();
    runtime.block_on(async {
        let advance = |seconds| _ = Handle::current().advance(Duration::from_secs(seconds));
        // It waits for 4 s, takes 2 s, wakes itself, waits for nothing, takes nothing.
        let task = task::spawn(async move {
            advance(2);
            task::yield_now().await;
        });
        advance(4);
        task.await.unwrap();
    });
    let seconds = |histogram: Histogram| -> Vec<(u64, u64)> {
        let filled = histogram.buckets().filter(|(_, count)| *count > 0);
        filled.map(|(range, count)| (range.end.as_secs(), count)).collect()
    };
    // The buckets of 2 s and 4 s end at 2.1 and 4.2 s.
    assert_eq!(seconds(metrics.poll_time_histogram().unwrap()), [(0, 1), (2, 1)]);
    assert_eq!(seconds(metrics.schedule_latency_histogram().unwrap()), [(0, 1), (4, 1)]);
    assert_eq!(metrics.worker_poll_time_histogram(0).unwrap().count(), 2);
}

#[test]
fn a_histogram_that_cannot_be_is_an_error_of_the_builder() {
    let config = HistogramConfig::default().steps(0);
    let error = Builder::new_current_thread().poll_time_histogram(config).build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_task_that_was_joined_is_alive_no_more() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    for _ in 0..1000 {
        runtime.block_on(runtime.spawn(async {})).unwrap();
        assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    }
}
