//! Tokio's `task_abort`, `task_id`, `task_yield_now`, `join_handle_panic`, `rt_shutdown_err`, `task_panic`, and `abort_on_drop` of
//! `tokio_util`.

use crate::support::{OnDrop, Probe, blamed, manual, ms, now, ready, settle, several, single};
use posse_core::runtime::Handle;
use posse_core::sync::oneshot;
use posse_core::task::{self, AbortOnDropHandle, Id};
use posse_core::time::sleep;
use std::future::{Future, pending};
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// A task that never ends by itself, and what tells whether its future was dropped.
fn hangs() -> (impl Future<Output = ()> + Send + 'static, Arc<AtomicBool>) {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = dropped.clone();
    let guard = OnDrop(move || flag.store(true, Ordering::SeqCst));
    let future = async move {
        let _guard = guard;
        pending::<()>().await;
    };
    (future, dropped)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a thread that no runtime knows")]
fn a_task_is_aborted_from_anywhere_and_dropped_by_its_runtime() {
    single().block_on(async {
        let (future, dropped) = hangs();
        let runs_on = std::thread::current().id();
        let on = Arc::new(Mutex::new(None));
        let seen = on.clone();
        let task = task::spawn(async move {
            let _guard = OnDrop(move || *seen.lock().unwrap() = Some(std::thread::current().id()));
            future.await;
        });
        settle().await;
        let task = std::thread::spawn(move || {
            task.abort();
            task
        });
        let task = task.join().unwrap();
        assert!(!dropped.load(Ordering::SeqCst));
        assert!(task.await.unwrap_err().is_cancelled() && dropped.load(Ordering::SeqCst));
        assert_eq!(*on.lock().unwrap(), Some(runs_on));
    });
}

#[test]
fn a_sleeping_task_that_is_aborted_is_dropped_though_nobody_joins_it() {
    manual().block_on(async {
        let kept = Arc::new(());
        let weak = Arc::downgrade(&kept);
        let task = task::spawn(async move {
            let _kept = kept;
            sleep(ms(100_000)).await;
        });
        settle().await;
        task.abort();
        drop(task);
        settle().await;
        assert!(weak.upgrade().is_none());
        assert_eq!(Handle::current().metrics().num_timers(), 0);
    });
}

#[test]
fn a_future_that_panics_when_it_is_aborted_fails_its_joiner_alone() {
    single().block_on(async {
        for joins in [true, false] {
            let task = task::spawn(async {
                let _bomb = OnDrop(|| panic!("on purpose"));
                pending::<()>().await;
            });
            settle().await;
            task.abort();
            if joins {
                assert!(task.await.unwrap_err().is_panic());
            } else {
                drop(task);
                settle().await;
            }
        }
        assert_eq!(task::spawn(async { 5 }).await.unwrap(), 5);
    });
}

#[test]
fn an_output_whose_drop_panics_harms_nobody_who_drops_the_handle() {
    several().block_on(async {
        let task = task::spawn(async { OnDrop(|| panic!("on purpose")) });
        while !task.is_finished() {
            task::yield_now().await;
        }
        drop(task);
        assert_eq!(task::spawn(async { 5 }).await.unwrap(), 5);
    });
}

#[test]
fn a_task_that_completed_is_not_aborted_any_more() {
    single().block_on(async {
        let task = task::spawn(async { 5 });
        settle().await;
        task.abort();
        task.abort_handle().abort();
        assert_eq!((task.is_finished(), task.await.unwrap()), (true, 5));
        // Aborted before it was polled at all.
        let polled = Arc::new(AtomicBool::new(false));
        let seen = polled.clone();
        let task = task::spawn(async move { seen.store(true, Ordering::SeqCst) });
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled() && !polled.load(Ordering::SeqCst));
    });
}

#[test]
fn an_error_says_which_task_failed_and_how() {
    single().block_on(async {
        let text = task::spawn(async { panic!("text {}", 1234) });
        let constant = task::spawn(async { panic!("constant") });
        let other = task::spawn(async { panic_any(1234) });
        let cancelled = task::spawn(pending::<()>());
        cancelled.abort();
        let ids = [text.id(), constant.id(), other.id(), cancelled.id()];
        let errors = [
            text.await.unwrap_err(),
            constant.await.unwrap_err(),
            other.await.unwrap_err(),
            cancelled.await.unwrap_err(),
        ];
        let expected =
            ["panicked: text 1234", "panicked: constant", "panicked: a panic without a text", "was cancelled"];
        for ((error, id), expected) in errors.iter().zip(ids).zip(expected) {
            assert_eq!((error.id(), error.to_string()), (id, format!("task {id} {expected}")));
            assert_eq!(format!("{error:?}"), format!("JoinError({error})"));
        }
        let kinds: Vec<_> = errors.iter().map(|error| (error.is_panic(), error.is_cancelled())).collect();
        assert_eq!(kinds, [(true, false), (true, false), (true, false), (false, true)]);
        let payloads: Vec<_> = errors.into_iter().map(|error| error.try_into_panic()).collect();
        assert_eq!(payloads[2].as_ref().unwrap().downcast_ref(), Some(&1234));
        assert!(payloads[3].as_ref().unwrap_err().is_cancelled());
    });
}

#[test]
fn what_a_runtime_refuses_at_its_end_is_cancelled_at_once() {
    let runtime = single();
    let handle = runtime.handle().clone();
    let before = handle.spawn(pending::<()>());
    drop(runtime);
    let after = handle.spawn(pending::<()>());
    let blocking = handle.spawn_blocking(|| 5);
    assert!(ready(before).unwrap_err().is_cancelled() && ready(after).unwrap_err().is_cancelled());
    let error = ready(blocking).unwrap_err();
    assert!(error.is_cancelled() && error.to_string().ends_with("was cancelled"));
}

/// A future that ends after so many polls, and tells by which id it and its output are dropped.
struct Tells {
    polls: u64,
    future: Arc<Mutex<Vec<Option<Id>>>>,
    output: Arc<Mutex<Vec<Option<Id>>>>,
}

impl Future for Tells {
    type Output = OnDrop<Box<dyn FnMut() + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls > 0 {
            self.polls -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let output = self.output.clone();
        Poll::Ready(OnDrop(Box::new(move || output.lock().unwrap().push(task::try_id()))))
    }
}

impl Drop for Tells {
    fn drop(&mut self) {
        self.future.lock().unwrap().push(task::try_id());
    }
}

#[test]
fn a_task_has_its_id_while_its_future_is_dropped() {
    for runtime in [single(), several()] {
        runtime.block_on(async {
            let (future, output) = (Arc::default(), Arc::default());
            let tells = |polls| Tells { polls, future: Arc::clone(&future), output: Arc::clone(&output) };
            let ends = task::spawn(tells(1));
            let ended = ends.id();
            drop(ends.await.unwrap());
            assert_eq!(*future.lock().unwrap(), [Some(ended)]);
            let aborted = task::spawn(tells(u64::MAX));
            let id = aborted.id();
            aborted.abort();
            assert!(aborted.await.is_err());
            assert_eq!(*future.lock().unwrap(), [Some(ended), Some(id)]);
        });
    }
}

/// Tokio still names the task; here it has ended by then, and a task is named while it runs.
#[test]
fn an_output_nobody_wants_is_dropped_once_and_as_no_task() {
    single().block_on(async {
        for waits in [false, true] {
            let (future, output) = (Arc::default(), Arc::<Mutex<Vec<_>>>::default());
            let handle = task::spawn(Tells { polls: 1, future, output: output.clone() });
            if waits {
                settle().await;
                assert!(handle.is_finished() && output.lock().unwrap().is_empty());
            }
            drop(handle);
            settle().await;
            assert_eq!(*output.lock().unwrap(), [None]);
        }
    });
}

#[test]
fn ids_are_of_tasks_alone_and_of_each_one() {
    assert_eq!(task::try_id(), None);
    assert_eq!(blamed(|| _ = task::id()), file!());
    let runtime = several();
    assert_eq!(blamed(|| runtime.block_on(async { _ = task::id() })), file!());
    runtime.block_on(async {
        assert_eq!(task::try_id(), None);
        let tasks: Vec<_> = (0..100).map(|_| task::spawn(async { task::id() })).collect();
        let blocking = task::spawn_blocking(task::id);
        let mut ids = vec![blocking.id()];
        assert_eq!(blocking.await.unwrap(), ids[0]);
        for task in tasks {
            ids.push(task.id());
            assert_eq!(task.abort_handle().id(), task.id());
            assert_eq!(task.await.unwrap(), *ids.last().unwrap());
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 101);
    });
}

#[test]
fn yielding_is_waking_oneself_once_under_any_executor() {
    let mut yields = Probe::new(task::yield_now());
    assert!(yields.poll().is_pending());
    assert_eq!((yields.woken(), yields.poll()), (1, Poll::Ready(())));
}

#[test]
fn who_spawns_outside_of_a_runtime_is_blamed() {
    assert_eq!(blamed(|| drop(task::spawn(async {}))), file!());
    assert_eq!(blamed(|| drop(task::spawn_blocking(|| ()))), file!());
    assert_eq!(blamed(|| drop(Handle::current())), file!());
}

#[test]
fn a_handle_that_aborts_says_what_the_task_does() {
    single().block_on(async {
        let (future, dropped) = hangs();
        let task = AbortOnDropHandle::new(task::spawn(future));
        let abort = task.abort_handle();
        assert_eq!((task.is_finished(), abort.id()), (false, task.id()));
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled() && dropped.load(Ordering::SeqCst) && abort.is_finished());
        assert_eq!(AbortOnDropHandle::new(task::spawn(async { 5 })).await.unwrap(), 5);
        let (send, receive) = oneshot::channel();
        let detached = AbortOnDropHandle::new(task::spawn(receive)).detach();
        assert_eq!((send.send(6), detached.await.unwrap()), (Ok(()), Ok(6)));
    });
}

#[test]
fn a_joiner_is_woken_once_and_the_latest_of_them() {
    single().block_on(async {
        let (send, receive) = oneshot::channel();
        let mut task = task::spawn(receive);
        let (first, second) = (Probe::new(()), Probe::new(()));
        for probe in [&first, &second] {
            let waker = probe.waker();
            assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!((first.wakers(), second.wakers()), (0, 1));
        assert_eq!(send.send(1), Ok(()));
        settle().await;
        assert_eq!((first.woken(), second.woken()), (0, 1));
        assert!(matches!(now(&mut task), Poll::Ready(Ok(Ok(1)))));
        assert!(task.is_finished());
    });
}
