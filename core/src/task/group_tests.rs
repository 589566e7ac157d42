//! Behaviour of groups of tasks, of values that belong to tasks, and of the budget's edges.

use super::*;
use crate::runtime::{Builder, Handle, Runtime};
use crate::sync::{CancellationToken, oneshot};
use crate::testing::{counting_waker, poll_with};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

fn manual() -> Runtime {
    Builder::new_current_thread().manual_clock().build().expect("a runtime")
}

async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

/// Counts when it is dropped.
struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A task that never ends by itself, and the count of those that were dropped.
fn hangs(dropped: &Arc<AtomicUsize>) -> impl Future<Output = u8> + Send + 'static {
    let guard = CountDrop(dropped.clone());
    async move {
        let _guard = guard;
        pending().await
    }
}

/// Tasks in a line, each kept by the one before it. The drops of all of them do not fit a stack inside of each other.
const LINE: usize = 20_000;

type Line = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The task that `after` others come after; `next` keeps the next one and waits for it.
fn line(after: usize, dropped: Arc<AtomicUsize>, next: fn(Line) -> Line) -> Line {
    Box::pin(async move {
        let _guard = CountDrop(dropped.clone());
        if after == 0 {
            return pending().await;
        }
        next(line(after - 1, dropped, next)).await;
    })
}

/// Drops the first of a line when all wait, and runs until none is left.
fn drop_a_line(next: fn(Line) -> Line) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let runtime = manual();
    runtime.block_on(async {
        let first = AbortOnDropHandle::new(spawn(line(LINE - 1, dropped.clone(), next)));
        while runtime.handle().alive_tasks() < LINE {
            yield_now().await;
        }
        settle().await;
        drop(first);
        while runtime.handle().alive_tasks() > 0 {
            yield_now().await;
        }
    });
    assert_eq!(dropped.load(Ordering::SeqCst), LINE);
}

#[test]
fn a_line_of_tasks_that_keep_each_other_is_dropped_one_by_one() {
    drop_a_line(|next| {
        Box::pin(async move {
            let mut set = JoinSet::new();
            set.spawn(next);
            set.join_next().await;
        })
    });
    drop_a_line(|next| {
        Box::pin(async move {
            let mut map = JoinMap::new();
            map.spawn(0, next);
            map.join_next().await;
        })
    });
    drop_a_line(|next| {
        Box::pin(async move {
            let _ = AbortOnDropHandle::new(spawn(next)).await;
        })
    });
}

/// The output of each is the handle of the one before.
#[test]
fn a_line_of_outputs_that_are_handles_is_dropped_in_a_loop() {
    struct Output(
        #[expect(dead_code, reason = "it is dropped")] Option<JoinHandle<Output>>,
        #[expect(dead_code, reason = "it is dropped")] CountDrop,
    );
    let dropped = Arc::new(AtomicUsize::new(0));
    manual().block_on(async {
        let mut last = None;
        for _ in 0..LINE {
            let output = Output(last.take(), CountDrop(dropped.clone()));
            last = Some(spawn(async { output }));
            yield_now().await;
        }
        drop(last);
        assert_eq!(dropped.load(Ordering::SeqCst), LINE);
    });
}

#[test]
fn tasks_of_a_set_are_joined_in_the_order_they_end() {
    manual().block_on(async {
        let mut set = JoinSet::new();
        let (first, second) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        for (n, receive) in [(1, first.1), (2, second.1)] {
            set.spawn(async move {
                let _ = receive.await;
                n
            });
        }
        assert_eq!((set.len(), set.try_join_next().is_none()), (2, true));
        assert!(second.0.send(()).is_ok());
        assert_eq!(set.join_next().await.unwrap().unwrap(), 2);
        let (wakes, waker) = counting_waker();
        {
            let mut next = pin!(set.join_next());
            assert!(poll_with(next.as_mut(), &waker).is_pending());
            assert!(first.0.send(()).is_ok());
            settle().await;
            assert_eq!(wakes.count(), 1);
        }
        // Nothing was lost with the future.
        assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
        assert!(set.join_next().await.is_none() && set.is_empty());
    });
}

#[test]
fn a_set_says_which_task_failed_and_how() {
    manual().block_on(async {
        let mut set = JoinSet::new();
        let broken = set.spawn(async { panic!("on purpose") });
        let good = set.spawn_blocking(|| 5);
        let aborted = set.spawn(pending());
        aborted.abort();
        let mut seen = 0;
        while let Some(joined) = set.join_next_with_id().await {
            seen += 1;
            match joined {
                Ok((id, output)) => assert_eq!((id, output), (good.id(), 5)),
                Err(error) if error.is_panic() => assert_eq!(error.id(), broken.id()),
                Err(error) => assert_eq!((error.id(), error.is_cancelled()), (aborted.id(), true)),
            }
        }
        assert_eq!(seen, 3);
        let all: JoinSet<u8> = (1..=3u8).map(|n| async move { n }).collect();
        assert_eq!(all.join_all().await.iter().sum::<u8>(), 6);
    });
}

#[test]
fn a_set_aborts_what_it_holds_unless_it_is_detached() {
    manual().block_on(async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut set = JoinSet::new();
        (0..3).for_each(|_| drop(set.spawn(hangs(&dropped))));
        set.shutdown().await;
        assert_eq!((dropped.load(Ordering::SeqCst), set.len()), (3, 0));

        drop(set.spawn(hangs(&dropped)));
        drop(set);
        settle().await;
        assert_eq!(dropped.load(Ordering::SeqCst), 4);

        let mut set = JoinSet::new();
        let task = set.spawn(hangs(&dropped));
        set.detach_all();
        drop(set);
        settle().await;
        assert_eq!(dropped.load(Ordering::SeqCst), 4);
        task.abort();
        settle().await;
        assert_eq!((dropped.load(Ordering::SeqCst), Handle::current().alive_tasks()), (5, 0));
    });
}

#[test]
fn many_tasks_of_a_set_on_several_threads() {
    let runtime = Builder::new_multi_thread().worker_threads(3).build().expect("a runtime");
    runtime.block_on(async {
        let mut set = JoinSet::new();
        for n in 0..2000u64 {
            set.spawn(async move {
                yield_now().await;
                n
            });
        }
        let mut sum = 0;
        while let Some(n) = set.join_next().await {
            sum += n.unwrap();
        }
        assert_eq!(sum, 1999 * 1000);
    });
}

#[test]
fn a_map_of_tasks_knows_them_by_key() {
    manual().block_on(async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut map = JoinMap::new();
        map.spawn("a", hangs(&dropped));
        map.spawn("a", async { 1 });
        map.spawn_blocking("b", || 2);
        map.spawn("c", hangs(&dropped));
        assert_eq!((map.len(), map.keys().copied().collect::<Vec<_>>()), (3, vec!["a", "b", "c"]));
        map.abort_matching(|key| *key > "b");
        assert!(!map.abort(&"d"));
        let mut ended = Vec::new();
        while let Some((key, output)) = map.join_next().await {
            ended.push((key, output.ok()));
        }
        ended.sort_unstable();
        assert_eq!(ended, [("a", Some(1)), ("b", Some(2)), ("c", None)]);
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
        map.spawn("e", hangs(&dropped));
        assert!(map.contains_key(&"e"));
        map.shutdown().await;
        assert!(map.is_empty() && dropped.load(Ordering::SeqCst) == 3);
    });
}

#[test]
fn a_map_gives_without_waiting_what_has_ended_and_not_what_was_replaced() {
    manual().block_on(async {
        let mut map = JoinMap::new();
        assert!(map.try_join_next().is_none());
        let (release, waits) = oneshot::channel::<()>();
        map.spawn("replaced", async { 1 });
        map.spawn("replaced", async { 2 });
        map.spawn("late", async move {
            waits.await.unwrap();
            3
        });
        settle().await;

        let (key, output) = map.try_join_next().expect("one has ended");
        assert_eq!((key, output.unwrap()), ("replaced", 2));
        assert!(map.try_join_next().is_none() && map.contains_key(&"late"));
        release.send(()).unwrap();
        settle().await;
        let (key, output) = map.try_join_next().expect("the other one too");
        assert_eq!((key, output.unwrap(), map.len()), ("late", 3, 0));
    });
}

#[test]
fn a_tracker_waits_for_its_tasks_once_it_is_closed() {
    manual().block_on(async {
        let tracker = TaskTracker::new();
        let (go, gone) = oneshot::channel::<()>();
        let task = tracker.spawn(async move { gone.await.is_ok() });
        let (token, unpolled) = (tracker.token(), tracker.track_future(async {}));
        assert_eq!(tracker.len(), 3);
        let blocking = tracker.spawn_blocking(|| ());
        let (wakes, waker) = counting_waker();
        let mut waits = Box::pin(tracker.wait());
        assert!(poll_with(waits.as_mut(), &waker).is_pending());
        assert!(go.send(()).is_ok() && task.await.unwrap());
        // It counts until its closure is gone, so the task it wakes was woken before.
        blocking.await.unwrap();
        drop((token.clone(), token, unpolled));
        assert!(tracker.is_empty());
        assert!(poll_with(waits.as_mut(), &waker).is_pending(), "it is open");
        let before = wakes.count();
        assert!(tracker.close() && !tracker.close() && tracker.is_closed());
        assert!(wakes.count() > before && poll_with(waits.as_mut(), &waker).is_ready());
        assert!(tracker.reopen() && !tracker.reopen());
    });
}

#[test]
fn a_handle_that_aborts_when_dropped_does_so_unless_it_is_detached() {
    manual().block_on(async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let task = AbortOnDropHandle::new(spawn(hangs(&dropped)));
        settle().await;
        assert!(!task.is_finished());
        drop(task);
        settle().await;
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        let handle = AbortOnDropHandle::new(spawn(hangs(&dropped))).detach();
        settle().await;
        assert!(!handle.is_finished());
        handle.abort();
        assert!(handle.await.is_err());
        assert_eq!(AbortOnDropHandle::new(spawn(async { 1 })).await.unwrap(), 1);
    });
}

#[test]
fn a_scope_asks_first_and_uses_force_after_the_grace() {
    manual().block_on(async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let parent = CancellationToken::new();
        let mut scope = TaskScope::with_token(&parent);
        scope.spawn(|stop| async move {
            stop.cancelled().await;
            1
        });
        let stubborn = hangs(&dropped);
        scope.spawn(|_| stubborn);
        scope.spawn(|_| async { panic!("on purpose") });
        let grace = Duration::from_secs(5);
        let ending = spawn(scope.shutdown(grace));
        settle().await;
        assert!(!ending.is_finished() && dropped.load(Ordering::SeqCst) == 0);
        Handle::current().advance(grace);
        let end = ending.await.unwrap();
        assert_eq!((end.outputs, end.errors.len(), end.aborted), (vec![1], 1, 1));
        assert!(end.errors[0].is_panic());
        assert_eq!((dropped.load(Ordering::SeqCst), Handle::current().alive_tasks()), (1, 0));
        assert!(!parent.is_cancelled());
    });
}

#[test]
fn a_scope_leaves_nothing_behind_however_it_ends() {
    manual().block_on(async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let parent = CancellationToken::new();
        let mut scope = TaskScope::with_token(&parent);
        let task = hangs(&dropped);
        scope.spawn(|_| task);
        let token = scope.token().clone();
        drop(scope);
        settle().await;
        assert_eq!((token.is_cancelled(), dropped.load(Ordering::SeqCst)), (true, 1));

        // The first failure ends the others.
        let mut scope = TaskScope::new();
        scope.spawn(|stop| async move { stop.cancelled().await });
        scope.spawn(|_| async { panic!("on purpose") });
        assert!(scope.join_all(Duration::MAX).await.unwrap_err().is_panic());

        let mut scope = TaskScope::with_token(&parent);
        scope.spawn(|stop| async move { stop.cancelled().await });
        parent.cancel();
        assert_eq!(scope.join_all(Duration::ZERO).await.unwrap().len(), 1);
        assert_eq!(Handle::current().alive_tasks(), 0);
    });
}

crate::task_local! {
    static NUMBER: u32;
    pub(crate) static OTHER: String
}

#[test]
fn a_task_local_value_is_there_in_its_scope_alone() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                spawn(NUMBER.scope(n, async move {
                    for _ in 0..10 {
                        assert_eq!(NUMBER.get(), n);
                        yield_now().await;
                        let inner = NUMBER.scope(
                            n + 1,
                            OTHER.scope("text".to_owned(), async {
                                yield_now().await;
                                (NUMBER.get(), OTHER.with(String::len))
                            }),
                        );
                        assert_eq!(inner.await, (n + 1, 4));
                    }
                    assert_eq!(NUMBER.sync_scope(99, || NUMBER.get()), 99);
                    NUMBER.get()
                }))
            })
            .collect();
        for (task, n) in tasks.into_iter().zip(0..) {
            assert_eq!(task.await.unwrap(), n);
        }
        assert_eq!(NUMBER.try_with(|_| ()), Err(AccessError));
    });
}

#[test]
fn a_task_local_value_survives_a_panic_and_reaches_destructors() {
    struct Looks(Arc<AtomicUsize>);

    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.store(NUMBER.try_with(|n| *n as usize).unwrap_or(0), Ordering::SeqCst);
        }
    }

    let seen = Arc::new(AtomicUsize::new(0));
    for polls in 0..2 {
        let looks = Looks(seen.clone());
        let mut scoped = Box::pin(NUMBER.scope(7, async move {
            let _looks = looks;
            pending::<()>().await;
        }));
        (0..polls).for_each(|_| assert!(poll_with(scoped.as_mut(), std::task::Waker::noop()).is_pending()));
        drop(scoped);
        assert_eq!(seen.swap(0, Ordering::SeqCst), 7);
    }

    NUMBER.sync_scope(1, || {
        let broken = std::panic::catch_unwind(|| NUMBER.sync_scope(2, || panic!("on purpose")));
        assert_eq!((broken.is_err(), NUMBER.get()), (true, 1));
        let nested = std::panic::catch_unwind(|| NUMBER.with(|_| NUMBER.sync_scope(3, || ())));
        assert_eq!((nested.is_err(), NUMBER.get()), (true, 1));
    });
    let mut scoped = pin!(NUMBER.scope(5, async {}));
    assert_eq!((scoped.as_mut().take_value(), scoped.take_value()), (Some(5), None));
}

#[test]
fn the_budget_is_seen_left_alone_and_spent_by_whom_it_should() {
    manual().block_on(async {
        spawn(async {
            assert!(coop::has_budget_remaining());
            let others = Arc::new(AtomicUsize::new(0));
            let seen = others.clone();
            drop(spawn(async move { seen.store(1, Ordering::SeqCst) }));
            unconstrained(async {
                for _ in 0..10_000 {
                    consume_budget().await;
                }
            })
            .await;
            assert_eq!(others.load(Ordering::SeqCst), 0, "it never yielded");
            let mut spent = 0;
            while coop::has_budget_remaining() {
                coop::cooperative(poll_fn(|_| Poll::Ready(()))).await;
                spent += 1;
            }
            assert!(spent > 0 && others.load(Ordering::SeqCst) == 0);
            consume_budget().await;
            assert_eq!(others.load(Ordering::SeqCst), 1, "without budget it lets the others run");
            assert_eq!(Some(id()), try_id());
        })
        .await
        .unwrap();
        assert!(coop::has_budget_remaining(), "outside of a task there is no limit");
    });
}

#[test]
fn a_map_tells_tasks_of_several_runtimes_apart() {
    // Each runtime counts its tasks from the beginning.
    let [one, other] = [(); 2].map(|()| Builder::new_multi_thread().worker_threads(1).build().expect("a runtime"));
    let mut map = JoinMap::new();
    map.spawn_on("one", async { "one" }, one.handle());
    map.spawn_on("other", async { "other" }, other.handle());
    let mut joined: Vec<_> =
        one.block_on(async { [map.join_next().await.unwrap(), map.join_next().await.unwrap()] }).into();
    joined.sort_by_key(|(key, _)| *key);
    assert!(matches!(joined[..], [("one", Ok("one")), ("other", Ok("other"))]), "{joined:?}");
    assert!(map.is_empty());
}

#[test]
fn what_a_cooperative_future_has_spent_stays_spent_though_it_waits() {
    manual().block_on(async {
        let spend = |cx: &mut Context<'_>| coop::poll_proceed(cx).map(coop::Progress::made_progress);
        let spends_all = coop::cooperative(poll_fn(|cx| {
            while coop::has_budget_remaining() {
                assert!(spend(cx).is_ready());
            }
            Poll::<()>::Pending
        }));
        let mut spends_all = pin!(spends_all);
        poll_fn(|cx| {
            assert!(spends_all.as_mut().poll(cx).is_pending());
            // Its own unit alone came back.
            assert!(spend(cx).is_ready());
            assert!(!coop::has_budget_remaining());
            Poll::Ready(())
        })
        .await;
    });
}
