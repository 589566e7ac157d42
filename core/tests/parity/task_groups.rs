//! Tokio's `task_join_set`; `task_join_map` and `task_tracker` of `tokio_util`.

use crate::support::{OnDrop, Probe, blamed, manual, ms, now, ready, settle, single};
use posse_core::runtime::Handle;
use posse_core::sync::oneshot;
use posse_core::task::{self, JoinMap, JoinSet, TaskTracker};
use posse_core::time::sleep;
use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// Turns the clock until the future is ready.
async fn through_time<F: Future>(future: F) -> F::Output {
    let mut future = Probe::new(future);
    loop {
        if let Poll::Ready(output) = future.poll() {
            return output;
        }
        settle().await;
        Handle::current().advance(ms(1));
        settle().await;
    }
}

/// Ends after so many milliseconds.
async fn after(time: u64) -> u64 {
    sleep(ms(time)).await;
    time
}

#[test]
fn a_set_is_used_again_after_it_was_detached_and_after_all_were_joined() {
    manual().block_on(async {
        let mut set = JoinSet::new();
        for n in 0..10 {
            set.spawn(after(n));
            assert_eq!(set.len(), usize::try_from(n).unwrap() + 1);
        }
        set.detach_all();
        assert_eq!((set.len(), set.is_empty(), set.join_next().await.is_none()), (0, true, true));
        for _ in 0..2 {
            (0..10).for_each(|n| drop(set.spawn(after(n))));
            for n in 0..10 {
                // In the order they end.
                assert_eq!(through_time(set.join_next()).await.unwrap().unwrap(), n);
            }
            assert!(set.join_next().await.is_none());
        }
        let mut map = JoinMap::new();
        (0..10).for_each(|n| map.spawn(n, after(n)));
        map.detach_all();
        assert_eq!((map.len(), map.join_next().await.is_none()), (0, true));
        for _ in 0..2 {
            (0..10).for_each(|n| map.spawn(n, after(n)));
            for n in 0..10 {
                let (key, output) = through_time(map.join_next()).await.unwrap();
                assert_eq!((key, output.unwrap(), map.contains_key(&n)), (n, n, false));
            }
            assert!(map.join_next().await.is_none() && map.keys().next().is_none());
        }
    });
}

#[test]
fn tasks_come_and_go_in_turn() {
    single().block_on(async {
        let (mut set, mut map) = (JoinSet::new(), JoinMap::new());
        set.spawn(async {});
        map.spawn(0, async {});
        for n in 1..=16 {
            set.spawn(async {});
            map.spawn(n, async {});
            assert_eq!((set.len(), map.len()), (2, 2));
            set.join_next().await.unwrap().unwrap();
            map.join_next().await.unwrap().1.unwrap();
            assert_eq!((set.len(), map.len()), (1, 1));
        }
    });
}

#[test]
fn tasks_are_aborted_one_by_one_and_together() {
    manual().block_on(async {
        let (mut set, mut map) = (JoinSet::new(), JoinMap::new());
        for n in 0..16 {
            let abort = set.spawn(after(n));
            map.spawn(n, after(n));
            if n % 2 == 1 {
                abort.abort();
                assert!(map.abort(&n));
            }
        }
        let mut seen = [0, 0];
        while let Some(joined) = through_time(set.join_next()).await {
            seen[usize::from(joined.is_err())] += 1;
            assert!(joined.map_or_else(|error| error.is_cancelled(), |n| n % 2 == 0));
        }
        while let Some((key, joined)) = through_time(map.join_next()).await {
            assert!(joined.map_or_else(|error| error.is_cancelled() && key % 2 == 1, |n| n % 2 == 0 && n == key));
        }
        assert_eq!(seen, [8, 8]);

        // Those that have ended are not aborted any more, and all are still to be joined.
        for n in 0..10 {
            let time = if n < 5 { 1 } else { 1_000_000 };
            set.spawn(after(time));
            map.spawn(n, after(time));
        }
        settle().await;
        Handle::current().advance(ms(1));
        settle().await;
        set.abort_all();
        map.abort_all();
        assert_eq!((set.len(), map.len()), (10, 10));
        let (mut good, mut keys) = (0, Vec::new());
        while let Some(joined) = set.join_next().await {
            good += usize::from(joined.is_ok());
        }
        while let Some((key, joined)) = map.join_next().await {
            assert_eq!(joined.is_ok(), key < 5);
            keys.push(key);
        }
        keys.sort_unstable();
        assert_eq!((good, keys), (5, (0..10).collect::<Vec<_>>()));
    });
}

#[test]
fn tasks_of_a_runtime_that_is_gone_are_cancelled() {
    let (mut set, mut map) = (JoinSet::new(), JoinMap::new());
    let gone = single();
    set.spawn_on(async { 1 }, gone.handle());
    map.spawn_on("key", async { 1 }, gone.handle());
    drop(gone);
    single().block_on(async {
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        let (key, joined) = map.join_next().await.unwrap();
        assert!(key == "key" && joined.unwrap_err().is_cancelled());
    });
}

#[test]
fn the_first_panic_ends_a_join_of_all_and_the_others_with_it() {
    manual().block_on(async {
        let mut set = JoinSet::new();
        let (send, mut receive) = oneshot::channel::<()>();
        set.spawn(async move {
            sleep(ms(20)).await;
            drop(send);
        });
        set.spawn(async {
            sleep(ms(10)).await;
            panic!("on purpose");
        });
        let task = task::spawn(set.join_all());
        let error = through_time(task).await.unwrap_err();
        assert!(error.is_panic() && error.to_string().contains("on purpose"));
        settle().await;
        // It was aborted before its time: nothing had been dropped by then.
        assert!(matches!(receive.try_recv(), Err(oneshot::TryRecvError::Closed)));
        assert_eq!(Handle::current().metrics().num_timers(), 0);
    });
}

#[test]
fn joining_takes_part_in_the_budget_and_trying_does_not() {
    single().block_on(async {
        let (mut set, mut map) = (JoinSet::new(), JoinMap::new());
        for n in 0..1000 {
            set.spawn(async {});
            map.spawn(n, async {});
        }
        while Handle::current().alive_tasks() > 0 {
            task::yield_now().await;
        }
        let (mut joined, mut waits) = (0, 0);
        loop {
            match now(set.join_next()) {
                Poll::Ready(Some(_)) => joined += 1,
                Poll::Ready(None) => break,
                Poll::Pending => {
                    waits += 1;
                    task::yield_now().await;
                }
            }
        }
        assert!(joined == 1000 && waits >= 1);
        task::yield_now().await;
        let (mut joined, mut waits) = (0, 0);
        loop {
            match now(map.join_next()) {
                Poll::Ready(Some(_)) => joined += 1,
                Poll::Ready(None) => break,
                Poll::Pending => {
                    waits += 1;
                    task::yield_now().await;
                }
            }
        }
        assert!(joined == 1000 && waits >= 1);

        set.extend((0..1000).map(|_| async {}));
        while Handle::current().alive_tasks() > 0 {
            task::yield_now().await;
        }
        assert_eq!(std::iter::from_fn(|| set.try_join_next_with_id()).count(), 1000);
    });
}

#[test]
fn trying_joins_what_has_ended_with_its_id() {
    single().block_on(async {
        let mut set = JoinSet::new();
        assert!(set.try_join_next().is_none());
        let (send, receive) = oneshot::channel();
        let id = set.spawn(receive).id();
        settle().await;
        assert!(set.try_join_next().is_none() && set.try_join_next_with_id().is_none());
        assert_eq!(send.send(5), Ok(()));
        assert!(set.try_join_next().is_none(), "the task has not run");
        settle().await;
        let (joined, output) = set.try_join_next_with_id().unwrap().unwrap();
        assert_eq!((joined, output, set.len()), (id, Ok(5), 0));
        // Who waits keeps waiting while somebody else tries.
        let (send, receive) = oneshot::channel();
        set.spawn(receive);
        let waits = Probe::new(());
        let waker = waits.waker();
        assert!(set.poll_join_next(&mut std::task::Context::from_waker(&waker)).is_pending());
        assert!(set.try_join_next().is_none());
        assert_eq!(send.send(6), Ok(()));
        settle().await;
        assert_eq!(waits.woken(), 1);
        assert_eq!(set.join_next().await.unwrap().unwrap(), Ok(6));
    });
}

#[test]
fn a_set_is_not_woken_without_reason() {
    single().block_on(async {
        let mut set = JoinSet::new();
        let (send, receive) = oneshot::channel();
        set.spawn(receive);
        set.spawn(async {
            pending::<()>().await;
            Ok(0)
        });
        let waits = Probe::new(());
        let waker = waits.waker();
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(set.poll_join_next(&mut cx).is_pending());
        settle().await;
        assert_eq!(waits.woken(), 0);
        assert_eq!(send.send(1), Ok(()));
        settle().await;
        assert_eq!(waits.woken(), 1);
        assert!(matches!(set.poll_join_next(&mut cx), Poll::Ready(Some(Ok(Ok(1))))));
        assert!(set.poll_join_next(&mut cx).is_pending());
    });
}

#[test]
fn a_key_that_is_used_again_is_the_new_tasks() {
    manual().block_on(async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let guard = |n: u64| {
            let dropped = dropped.clone();
            async move {
                let _guard = OnDrop(move || _ = dropped.fetch_add(1, Ordering::SeqCst));
                sleep(ms(n)).await;
                n
            }
        };
        // The former still runs.
        let mut map = JoinMap::new();
        map.spawn("key", guard(1000));
        settle().await;
        map.spawn("key", guard(5));
        assert_eq!(map.len(), 1);
        let (key, output) = through_time(map.join_next()).await.unwrap();
        assert_eq!((key, output.unwrap(), map.join_next().await.is_none()), ("key", 5, true));
        assert_eq!(dropped.load(Ordering::SeqCst), 2);

        // The former has ended and was not joined.
        map.spawn("key", async { 1 });
        settle().await;
        map.spawn("key", async { 2 });
        let (key, output) = map.join_next().await.unwrap();
        assert_eq!((key, output.unwrap(), map.join_next().await.is_none()), ("key", 2, true));

        // The key goes with the map.
        let key = Arc::new("key");
        let mut map = JoinMap::new();
        map.spawn(key.clone(), async {});
        map.spawn(key.clone(), async {});
        settle().await;
        assert!(map.contains_key(&key));
        drop(map);
        assert_eq!(Arc::strong_count(&key), 1);
    });
}

#[test]
fn who_spawns_into_a_group_outside_of_a_runtime_is_blamed() {
    assert_eq!(blamed(|| drop(JoinSet::new().spawn(async {}))), file!());
    assert_eq!(blamed(|| drop(JoinSet::new().spawn_blocking(|| ()))), file!());
    assert_eq!(blamed(|| JoinMap::new().spawn(1, async {})), file!());
    assert_eq!(blamed(|| JoinMap::new().spawn_blocking(1, || ())), file!());
    assert_eq!(blamed(|| drop(TaskTracker::new().spawn(async {}))), file!());
    assert_eq!(blamed(|| drop(TaskTracker::new().spawn_blocking(|| ()))), file!());
}

#[test]
fn a_tracker_that_is_closed_and_empty_is_waited_for_no_longer() {
    let tracker = TaskTracker::new();
    assert!(!tracker.is_closed() && tracker.is_empty() && now(tracker.wait()).is_pending());
    assert!(tracker.close() && tracker.is_closed());
    ready(tracker.wait());
    let tokens: Vec<_> = (1..=5)
        .map(|n| {
            let token = tracker.token();
            assert_eq!((tracker.len(), tracker.is_empty()), (n, false));
            token
        })
        .collect();
    let mut waiting: Vec<_> = (0..20).map(|_| Probe::new(tracker.wait())).collect();
    assert!(waiting.iter_mut().all(|waits| waits.poll().is_pending()));
    drop(tokens);
    assert!(waiting.iter_mut().all(|waits| waits.woken() == 1 && waits.poll().is_ready()));
}

#[test]
fn a_tracker_may_be_closed_at_any_moment_of_the_end() {
    for closed_after in 0..=5 {
        let tracker = TaskTracker::new();
        let tokens: Vec<_> = (0..5).map(|_| tracker.token()).collect();
        let mut waits = Probe::new(tracker.wait());
        for (n, token) in tokens.into_iter().enumerate() {
            if n == closed_after {
                tracker.close();
            }
            assert!(waits.poll().is_pending());
            drop(token);
        }
        if closed_after == 5 {
            assert!(waits.poll().is_pending());
            tracker.close();
        }
        assert!(waits.woken() >= 1 && waits.poll().is_ready());
    }
}

/// Tokio ends a wait that began before a moment at which the tracker was closed and empty, though it is neither now. Here `wait` says
/// what is so when it returns.
#[test]
fn a_wait_ends_when_the_tracker_is_closed_and_empty_and_not_because_it_was() {
    let tracker = TaskTracker::new();
    tracker.close();
    let token = tracker.token();
    let mut waits = Probe::new(tracker.wait());
    assert!(waits.poll().is_pending());
    drop(token);
    let other = tracker.token();
    assert_eq!((waits.woken(), waits.poll()), (1, Poll::Pending));
    drop(other);
    assert_eq!((waits.woken(), waits.poll()), (1, Poll::Ready(())));
    let mut waits = Probe::new(tracker.wait());
    tracker.reopen();
    assert!(waits.poll().is_pending());
    tracker.close();
    assert!(waits.poll().is_ready());
}

#[test]
fn tasks_may_be_started_in_a_tracker_that_is_closed() {
    single().block_on(async {
        let tracker = TaskTracker::new();
        tracker.close();
        let (send, receive) = oneshot::channel::<()>();
        let task = tracker.spawn(receive);
        let mut waits = Probe::new(tracker.wait());
        assert!(waits.poll().is_pending());
        drop(send);
        assert!(task.await.unwrap().is_err() && waits.poll().is_ready());
        // An aborted task has ended as well.
        let task = tracker.spawn(pending::<()>());
        assert_eq!(tracker.len(), 1);
        task.abort();
        tracker.wait().await;
        assert!(task.await.unwrap_err().is_cancelled());
    });
}
