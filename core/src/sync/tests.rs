//! Behaviour of the primitives on a running executor.

use super::*;
use crate::runtime::{Builder, Runtime};
use crate::task;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn single() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

#[test]
fn a_value_comes_once_and_a_dropped_sender_is_an_error() {
    single().block_on(async {
        let (send, receive) = oneshot::channel();
        assert!(send.send(5).is_ok());
        assert_eq!(receive.await, Ok(5));
        let (send, receive) = oneshot::channel::<()>();
        drop(send);
        assert_eq!(receive.await, Err(oneshot::RecvError));
        let (send, receive) = oneshot::channel();
        drop(receive);
        assert_eq!(send.send(7), Err(7));
    });
}

#[test]
fn a_channel_keeps_order_and_bound_and_gives_back() {
    single().block_on(async {
        let (send, mut receive) = mpsc::channel(2);
        assert!(send.try_send(1).is_ok() && send.try_send(2).is_ok());
        assert!(matches!(send.try_send(3), Err(mpsc::TrySendError::Full(3))));
        let waiting = {
            let send = send.clone();
            task::spawn(async move { send.send(3).await.is_ok() })
        };
        task::yield_now().await;
        assert_eq!((receive.recv().await, receive.recv().await, receive.recv().await), (Some(1), Some(2), Some(3)));
        assert!(waiting.await.expect("no panic"));
        receive.close();
        assert!(matches!(send.try_send(4), Err(mpsc::TrySendError::Closed(4))));
        assert_eq!(receive.recv().await, None);
    });
}

#[test]
fn many_senders_lose_nothing() {
    let runtime = Builder::new_multi_thread().worker_threads(3).build().expect("a runtime");
    runtime.block_on(async {
        let (send, mut receive) = mpsc::channel(8);
        for sender in 0..8u64 {
            let send = send.clone();
            task::spawn(async move {
                for n in 0..1000 {
                    send.send(sender * 1000 + n).await.expect("open");
                }
            });
        }
        drop(send);
        let mut seen = Vec::new();
        while let Some(n) = receive.recv().await {
            seen.push(n);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..8000).collect::<Vec<_>>());
    });
}

#[test]
fn permits_go_to_who_asked_first_and_a_dropped_wait_passes_them_on() {
    single().block_on(async {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.acquire().await.expect("open");
        let many = {
            let semaphore = semaphore.clone();
            task::spawn(async move { semaphore.acquire_many(2).await.map(SemaphorePermit::forget) })
        };
        task::yield_now().await;
        let one = {
            let semaphore = semaphore.clone();
            task::spawn(async move { semaphore.acquire().await.map(SemaphorePermit::forget) })
        };
        task::yield_now().await;
        drop(held);
        task::yield_now().await;
        assert!(!many.is_finished() && !one.is_finished(), "the second overtook the first");
        many.abort();
        assert!(many.await.is_err());
        assert_eq!(one.await.expect("no panic"), Ok(()));
        semaphore.close();
        assert!(semaphore.acquire().await.is_err());
    });
}

#[test]
fn a_notification_is_kept_once_and_all_waiters_are_notified() {
    single().block_on(async {
        let notify = Arc::new(Notify::new());
        notify.notify_one();
        notify.notify_one();
        notify.notified().await;
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let notify = notify.clone();
                task::spawn(async move { notify.notified().await })
            })
            .collect();
        for _ in 0..5 {
            task::yield_now().await;
        }
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        notify.notify_waiters();
        for waiter in waiters {
            waiter.await.expect("no panic");
        }
        let before = notify.notified();
        notify.notify_waiters();
        before.await;
    });
}

#[test]
fn a_mutex_is_held_across_awaits_by_one() {
    let runtime = Builder::new_multi_thread().worker_threads(3).build().expect("a runtime");
    runtime.block_on(async {
        let total = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let total = total.clone();
                task::spawn(async move {
                    let mut guard = total.lock().await;
                    let before = *guard;
                    task::yield_now().await;
                    *guard = before + 1;
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        assert_eq!(*total.lock().await, 50);
        let held = total.clone().lock_owned().await;
        assert!(total.try_lock().is_err());
        drop(held);
        assert!(total.try_lock().is_ok());
    });
}

#[test]
fn cancelling_reaches_children_and_not_parents() {
    single().block_on(async {
        let root = CancellationToken::new();
        let mut deepest = root.child_token();
        let mut chain = vec![deepest.clone()];
        for _ in 0..10_000 {
            deepest = deepest.child_token();
            chain.push(deepest.clone());
        }
        let sibling = root.child_token();
        sibling.cancel();
        assert!(!root.is_cancelled());
        let guard = root.clone().drop_guard();
        assert_eq!(root.run_until_cancelled(async { 5 }).await, Some(5));
        drop(guard);
        deepest.cancelled().await;
        assert_eq!(deepest.run_until_cancelled(std::future::pending::<()>()).await, None);
        assert!(root.child_token().is_cancelled());
    });
}

/// Far more operations than any budget has units.
const OPERATIONS: u32 = 100_000;

/// Asserts that a task in which an operation is always ready lets its neighbour run.
fn lets_others_run<F: Future + Send>(name: &str, mut operation: impl FnMut() -> F + Send + 'static) {
    let runtime = single();
    let others = Arc::new(AtomicBool::new(false));
    let (greedy, neighbour) = (others.clone(), others.clone());
    let greedy = runtime.spawn(async move {
        for _ in 0..OPERATIONS {
            if greedy.load(Ordering::Relaxed) {
                return;
            }
            operation().await;
        }
    });
    drop(runtime.spawn(async move { neighbour.store(true, Ordering::Relaxed) }));
    runtime.block_on(greedy).expect("the task ended well");
    assert!(others.load(Ordering::Relaxed), "{name} does not take part in the budget");
}

#[test]
fn every_primitive_that_is_always_ready_yields_in_the_end() {
    let mutex = Arc::new(Mutex::new(0));
    lets_others_run("lock", move || {
        let mutex = mutex.clone();
        async move { *mutex.lock().await += 1 }
    });
    let mutex = Arc::new(Mutex::new(0));
    lets_others_run("lock_owned", move || {
        let mutex = mutex.clone();
        async move { *mutex.lock_owned().await += 1 }
    });
    let semaphore = Arc::new(Semaphore::new(1));
    lets_others_run("acquire", move || {
        let semaphore = semaphore.clone();
        async move { drop(semaphore.acquire().await) }
    });
    let notify = Arc::new(Notify::new());
    lets_others_run("notified", move || {
        notify.notify_one();
        let notify = notify.clone();
        async move { notify.notified().await }
    });
    let token = CancellationToken::new();
    token.cancel();
    lets_others_run("cancelled", move || token.clone().cancelled());
    lets_others_run("oneshot", || {
        let (send, receive) = oneshot::channel();
        assert!(send.send(()).is_ok());
        receive
    });
    let (send, receive) = mpsc::channel(usize::try_from(OPERATIONS).expect("it fits"));
    let (send, receive) = (Arc::new(send), Arc::new(Mutex::new(receive)));
    let sender = send.clone();
    lets_others_run("send", move || {
        let sender = sender.clone();
        async move { sender.send(()).await.expect("the receiver is there") }
    });
    while send.try_send(()).is_ok() {}
    lets_others_run("recv", move || {
        let receive = receive.clone();
        async move { receive.try_lock().expect("the only receiver").recv().await }
    });
    let (last, receive) = mpsc::channel::<()>(1);
    drop(last);
    let receive = Arc::new(Mutex::new(receive));
    lets_others_run("recv at the end", move || {
        let receive = receive.clone();
        async move { receive.try_lock().expect("the only receiver").recv().await }
    });
    lets_others_run("a budget of one's own", || std::future::poll_fn(task::poll_budget));
}

#[test]
fn a_future_that_spends_the_budget_hides_neither_a_token_nor_a_deadline() {
    let runtime = Builder::new_current_thread().manual_clock().build().expect("a runtime");
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let token = CancellationToken::new();
        let cancel = token.clone();
        drop(task::spawn(async move { cancel.cancel() }));
        let notify = Notify::new();
        let spend = async {
            loop {
                notify.notify_one();
                notify.notified().await;
            }
        };
        assert_eq!(token.run_until_cancelled(spend).await, None::<()>);

        drop(task::spawn(async move { handle.advance(std::time::Duration::from_secs(1)) }));
        let spend = async {
            loop {
                notify.notify_one();
                notify.notified().await;
            }
        };
        assert!(crate::time::timeout(std::time::Duration::from_secs(1), spend).await.is_err());
    });
}
