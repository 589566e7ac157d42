//! Futures of tasks and of time are dropped at every moment of their lives.

use super::{Moment, at_every_moment, at_every_real_moment, now};
use posse::runtime::Handle;
use posse::sync::{CancellationToken, oneshot};
use posse::task::{self, AbortOnDropHandle, JoinMap, JoinSet, LocalSet, TaskScope, TaskTracker, coop};
use posse::time::{DelayQueue, Instant, interval_at, sleep_until, timeout, timeout_at};
use posse::{ms, secs};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn advance(seconds: u64) {
    assert!(Handle::current().advance(secs(seconds)));
}

/// No timer is left in the runtime.
fn assert_no_timers(moment: Moment) {
    assert_eq!(Handle::current().metrics().num_timers(), 0, "{moment:?}");
}

/// Counts those that were dropped.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

struct CountDrop(Drops);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drops {
    fn guard(&self) -> CountDrop {
        CountDrop(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn join_handle() {
    at_every_moment(async |moment| {
        let (send, receive) = oneshot::channel();
        let mut handle = task::spawn(receive);
        let joined = moment.cut(&mut handle, || assert_eq!(send.send(7), Ok(()))).await;
        let ended = joined.is_some();
        // The output is had once, whenever.
        let output = match joined {
            Some(output) => output,
            None => handle.await,
        };
        assert_eq!(output.unwrap(), Ok(7), "{moment:?}");
        ended
    });
}

#[test]
fn abort_on_drop_handle() {
    at_every_moment(async |moment| {
        let drops = Drops::default();
        let (guard, (send, receive)) = (drops.guard(), oneshot::channel());
        let handle = AbortOnDropHandle::new(task::spawn(async move {
            let _guard = guard;
            receive.await
        }));
        let joined = moment.cut(handle, || _ = send.send(7)).await;
        assert_eq!(drops.count(), 1, "{moment:?}: the task outlives its handle");
        joined.is_some_and(|joined| joined.unwrap() == Ok(7))
    });
}

#[test]
fn join_set_join_next() {
    at_every_moment(async |moment| {
        let mut set = JoinSet::new();
        let (send, receive) = oneshot::channel();
        let (other, late) = (set.spawn(receive), set.spawn(async { pending().await }));
        let joined = moment.cut(set.join_next(), || assert_eq!(send.send(7), Ok(()))).await;
        let ended = joined.is_some();
        assert_eq!(set.len(), if ended { 1 } else { 2 }, "{moment:?}");
        let joined = match joined {
            Some(joined) => joined,
            None => set.join_next().await,
        };
        assert_eq!((joined.unwrap().unwrap(), other.is_finished()), (Ok(7), true), "{moment:?}");
        late.abort();
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        ended
    });
}

#[test]
fn join_set_join_next_with_id() {
    at_every_moment(async |moment| {
        let mut set = JoinSet::new();
        let (send, receive) = oneshot::channel();
        let id = set.spawn(receive).id();
        let joined = moment.cut(set.join_next_with_id(), || assert_eq!(send.send(7), Ok(()))).await;
        let ended = joined.is_some();
        let joined = match joined {
            Some(joined) => joined,
            None => set.join_next_with_id().await,
        };
        assert_eq!(joined.unwrap().unwrap(), (id, Ok(7)), "{moment:?}");
        ended
    });
}

#[test]
fn join_set_join_all() {
    at_every_moment(async |moment| {
        let drops = Drops::default();
        let mut set = JoinSet::new();
        let (send, receive) = oneshot::channel();
        let guards = [drops.guard(), drops.guard()];
        let [first, second] = guards;
        set.spawn(async move {
            let _guard = first;
            receive.await.unwrap_or(0)
        });
        set.spawn(async move {
            let _guard = second;
            2
        });
        let joined = moment.cut(set.join_all(), || _ = send.send(1)).await;
        // What is not joined is aborted.
        assert_eq!((drops.count(), Handle::current().alive_tasks()), (2, 0), "{moment:?}");
        joined.is_some_and(|joined| joined.iter().sum::<i32>() == 3)
    });
}

#[test]
fn join_set_shutdown() {
    at_every_moment(async |moment| {
        let drops = Drops::default();
        let mut set = JoinSet::new();
        for _ in 0..3 {
            let guard = drops.guard();
            set.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
        }
        let ended = moment.cut(set.shutdown(), || ()).await.is_some();
        assert!(!ended || (set.is_empty() && drops.count() == 3), "{moment:?}");
        set.shutdown().await;
        assert_eq!((set.len(), drops.count()), (0, 3), "{moment:?}");
        ended
    });
}

#[test]
fn join_map_join_next() {
    at_every_moment(async |moment| {
        let mut map = JoinMap::new();
        let (send, receive) = oneshot::channel();
        // Another task had the key: its end is passed over, and the wait goes on.
        map.spawn("key", async { pending().await });
        map.spawn("key", receive);
        let joined = moment.cut(map.join_next(), || assert_eq!(send.send(7), Ok(()))).await;
        let ended = joined.is_some();
        let joined = match joined {
            Some(joined) => joined,
            None => map.join_next().await,
        };
        let (key, output) = joined.unwrap();
        assert_eq!((key, output.unwrap(), map.join_next().await.is_none()), ("key", Ok(7), true), "{moment:?}");
        ended
    });
}

#[test]
fn join_map_shutdown() {
    at_every_moment(async |moment| {
        let drops = Drops::default();
        let mut map = JoinMap::new();
        for key in 0..3 {
            let guard = drops.guard();
            map.spawn(key, async move {
                let _guard = guard;
                pending::<()>().await;
            });
        }
        let ended = moment.cut(map.shutdown(), || ()).await.is_some();
        map.shutdown().await;
        assert_eq!((map.len(), drops.count(), Handle::current().alive_tasks()), (0, 3, 0), "{moment:?}");
        ended
    });
}

#[test]
fn task_tracker_wait() {
    at_every_moment(async |moment| {
        let tracker = TaskTracker::new();
        tracker.close();
        let token = tracker.token();
        let waited = moment.cut(tracker.wait(), || drop(token)).await;
        tracker.wait().await;
        waited.is_some()
    });
}

#[test]
fn task_tracker_track_future() {
    at_every_moment(async |moment| {
        let tracker = TaskTracker::new();
        let (send, receive) = oneshot::channel();
        let tracked = tracker.track_future(receive);
        assert_eq!(tracker.len(), 1);
        let output = moment.cut(tracked, || _ = send.send(7)).await;
        assert!(tracker.is_empty(), "{moment:?}: it is counted though it is gone");
        output == Some(Ok(7))
    });
}

/// A scope with a task that ends when it is asked, and one that does not.
fn scope(drops: &Drops) -> TaskScope<u8> {
    let mut scope = TaskScope::new();
    let (asked, stubborn) = (drops.guard(), drops.guard());
    scope.spawn(|stop| async move {
        let _guard = asked;
        stop.cancelled().await;
        1
    });
    scope.spawn(|_| async move {
        let _guard = stubborn;
        pending().await
    });
    scope
}

#[test]
fn task_scope_shutdown() {
    at_every_moment(async |moment| {
        let drops = Drops::default();
        let scope = scope(&drops);
        let token = scope.token().clone();
        let end = moment.cut(scope.shutdown(secs(5)), || advance(5)).await;
        let end = end.map(|end| (end.outputs, end.aborted));
        assert!(end.is_none() || end == Some((vec![1], 1)), "{moment:?}: {end:?}");
        assert!(token.is_cancelled());
        assert_eq!((drops.count(), Handle::current().alive_tasks()), (2, 0), "{moment:?}: it outlives its scope");
        assert_no_timers(moment);
        end.is_some()
    });
}

#[test]
fn task_scope_join_all() {
    at_every_moment(async |moment| {
        let drops = Drops::default();
        let mut scope = scope(&drops);
        let (fail, fails) = oneshot::channel::<()>();
        scope.spawn(|_| async move {
            let _ = fails.await;
            panic!("on purpose");
        });
        // It fails, and those that are left are ended at once.
        let joined = moment.cut(scope.join_all(ms(0)), || drop(fail)).await;
        assert_eq!((drops.count(), Handle::current().alive_tasks()), (2, 0), "{moment:?}: it outlives its scope");
        assert_no_timers(moment);
        joined.is_some_and(|joined| joined.is_err_and(|error| error.is_panic()))
    });
}

#[test]
fn task_scope_join_next() {
    at_every_moment(async |moment| {
        let mut scope = TaskScope::new();
        let (send, receive) = oneshot::channel();
        scope.spawn(|_| receive);
        let joined = moment.cut(scope.join_next(), || assert_eq!(send.send(7), Ok(()))).await;
        let ended = joined.is_some();
        let joined = match joined {
            Some(joined) => joined,
            None => scope.join_next().await,
        };
        assert_eq!((joined.unwrap().unwrap(), scope.is_empty()), (Ok(7), true), "{moment:?}");
        ended
    });
}

#[test]
fn run_until_cancelled() {
    at_every_moment(async |moment| {
        let (token, drops) = (CancellationToken::new(), Drops::default());
        let guard = drops.guard();
        let runs = token.run_until_cancelled(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let ended = moment.cut(runs, || token.cancel()).await;
        assert_eq!((ended.is_none_or(|output| output.is_none()), drops.count()), (true, 1), "{moment:?}");
        ended.is_some()
    });
}

#[test]
fn a_future_with_a_budget_of_its_own_or_none() {
    at_every_moment(async |moment| {
        let (send, mut receive) = oneshot::channel();
        let received = moment.cut(coop::cooperative(&mut receive), || assert_eq!(send.send(1), Ok(()))).await;
        assert_eq!(received.map_or_else(|| receive.try_recv().ok(), Result::ok), Some(1), "{moment:?}");
        let (send, mut receive) = oneshot::channel();
        let taken = moment.cut(task::unconstrained(&mut receive), || assert_eq!(send.send(2), Ok(()))).await;
        assert_eq!(taken.map_or_else(|| receive.try_recv().ok(), Result::ok), Some(2), "{moment:?}");
        assert!(coop::has_budget_remaining());
        let yielded = moment.cut(task::yield_now(), || ()).await;
        let spent = moment.cut(task::consume_budget(), || ()).await;
        assert!(yielded.is_none() || spent.is_some());
        taken.is_some() && received.is_some()
    });
}

#[test]
fn sleeping() {
    at_every_moment(async |moment| {
        let slept = moment.cut(sleep_until(Instant::now() + secs(5)), || advance(5)).await;
        assert_no_timers(moment);
        slept.is_some()
    });
}

#[test]
fn a_timeout_of_what_is_late() {
    at_every_moment(async |moment| {
        let drops = Drops::default();
        let guard = drops.guard();
        let late = async move {
            let _guard = guard;
            pending::<()>().await;
        };
        let limited = moment.cut(timeout(secs(5), late), || advance(5)).await;
        assert_eq!(drops.count(), 1, "{moment:?}");
        assert_no_timers(moment);
        limited.is_some_and(|limited| limited.is_err())
    });
}

#[test]
fn a_timeout_of_what_is_in_time() {
    at_every_moment(async |moment| {
        let (send, mut receive) = oneshot::channel();
        let limit = Instant::now() + secs(5);
        let limited = moment.cut(timeout_at(limit, &mut receive), || assert_eq!(send.send(7), Ok(()))).await;
        assert_no_timers(moment);
        let ended = limited.is_some();
        let value = limited.map_or_else(|| receive.try_recv().ok(), |limited| limited.unwrap().ok());
        assert_eq!(value, Some(7), "{moment:?}");
        ended
    });
}

#[test]
fn interval_tick() {
    at_every_moment(async |moment| {
        let start = Instant::now() + secs(5);
        let mut ticks = interval_at(start, secs(5));
        let ticked = moment.cut(ticks.tick(), || advance(5)).await;
        // No tick is lost and none comes twice.
        let next = now(ticks.tick()).await;
        assert_eq!(
            (ticked, next),
            if ticked.is_some() { (Some(start), None) } else { (None, Some(start)) },
            "{moment:?}"
        );
        drop(ticks);
        assert_no_timers(moment);
        ticked.is_some()
    });
}

#[test]
fn delay_queue_next() {
    at_every_moment(async |moment| {
        let mut queue = DelayQueue::new();
        queue.insert("value", secs(5));
        queue.insert("later", secs(50));
        let came = moment.cut(queue.next(), || advance(5)).await.map(|expired| expired.unwrap().into_inner());
        let left = now(queue.next()).await.flatten().map(|expired| expired.into_inner());
        assert_eq!(came.or(left), Some("value"), "{moment:?}");
        assert_eq!((came.and(left), queue.len()), (None, 1), "{moment:?}");
        drop(queue);
        assert_no_timers(moment);
        came.is_some()
    });
}

posse::task_local! {
    static NUMBER: u8;
}

#[test]
fn a_scope_of_a_task_local_value() {
    at_every_moment(async |moment| {
        let (send, receive) = oneshot::channel::<()>();
        let seen = Arc::new(AtomicUsize::new(0));
        let guard = OnDrop(seen.clone());
        let scoped = NUMBER.scope(7, async move {
            let _guard = guard;
            receive.await.is_ok() && NUMBER.get() == 7
        });
        let output = moment.cut(scoped, || _ = send.send(())).await;
        assert_eq!(seen.load(Ordering::SeqCst), 7, "{moment:?}: it is dropped outside of its scope");
        assert!(NUMBER.try_with(|_| ()).is_err(), "{moment:?}");
        output == Some(true)
    });
}

/// Writes down the value it sees when it is dropped.
struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(NUMBER.get().into(), Ordering::SeqCst);
    }
}

#[test]
fn several_at_once() {
    at_every_moment(async |moment| {
        let drops = Drops::default();
        let (send, mut receive) = oneshot::channel();
        let waits = async |guard: CountDrop| {
            let _guard = guard;
            pending::<Result<u8, u8>>().await
        };
        let selected = moment.cut(
            async {
                posse::select! {
                    value = &mut receive => value.ok(),
                    _ = waits(drops.guard()) => None,
                }
            },
            || assert_eq!(send.send(7), Ok(())),
        );
        let selected = selected.await;
        assert_eq!(selected.unwrap_or_else(|| receive.try_recv().ok()), Some(7), "{moment:?}");
        let before = drops.count();
        let (fail, fails) = oneshot::channel::<()>();
        let failed = moment.cut(
            async {
                let fails = async { fails.await.map_err(|_| 1u8) };
                posse::try_join!(fails, waits(drops.guard()))
            },
            || drop(fail),
        );
        let failed = failed.await;
        assert!(failed.is_none_or(|failed| failed == Err(1)));
        let joined = moment
            .cut(async { posse::join!(sleep_until(Instant::now() + secs(5)), task::yield_now()) }, || advance(5))
            .await;
        assert_no_timers(moment);
        assert!(before <= 1 && drops.count() <= 2, "{moment:?}");
        selected.is_some() && joined.is_some()
    });
}

#[test]
fn local_set() {
    at_every_moment(async |moment| {
        let (set, drops) = (LocalSet::new(), Drops::default());
        let (go, gone) = oneshot::channel::<()>();
        let guard = drops.guard();
        let task = set.spawn_local(async move {
            let _guard = guard;
            gone.await.is_ok()
        });
        let (first, second) = oneshot::channel();
        let ran = moment.cut(set.run_until(second), || _ = first.send(7)).await;
        assert!(ran.is_none_or(|output| output == Ok(7)));
        assert_eq!((drops.count(), task.is_finished()), (0, false), "{moment:?}: the tasks stay in the set");

        let mut set = set;
        let all = moment.cut(&mut set, || assert_eq!(go.send(()), Ok(()))).await;
        assert_eq!(all.is_some(), task.is_finished(), "{moment:?}");
        drop(set);
        assert_eq!(drops.count(), 1, "{moment:?}");
        assert_eq!(task.await.is_ok_and(|sent| sent), all.is_some(), "{moment:?}");
        ran.is_some() && all.is_some()
    });
}

#[test]
fn advancing_time() {
    at_every_moment(async |moment| {
        let start = Instant::now();
        let ended = moment.cut(posse::time::advance(secs(5)), || ()).await.is_some();
        // Turned at the first poll, and once.
        assert_eq!(start.elapsed(), if moment.begins() { secs(5) } else { secs(0) }, "{moment:?}");
        ended
    });
}

#[test]
fn real_blocking_closures() {
    at_every_real_moment(async |moment| {
        let (started, runs) = std::sync::mpsc::channel();
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let mut handle = task::spawn_blocking(move || {
            started.send(()).unwrap();
            let _ = finished.recv();
            7
        });
        runs.recv().unwrap();
        let output = moment.cut(&mut handle, || finish.send(()).unwrap()).await;
        let ended = output.is_some();
        // It goes on, and its output is had once, whenever.
        let output = match output {
            Some(output) => output,
            None => handle.await,
        };
        assert_eq!(output.unwrap(), 7, "{moment:?}");
        ended
    });
}
