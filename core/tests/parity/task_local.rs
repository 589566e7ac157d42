//! Tokio's `task_local`, `coop_budget` and what `rt_common` asks of the budget.

use crate::support::{panics, settle, several, single};
use posse_core::sync::mpsc;
use posse_core::task::{self, coop};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

posse_core::task_local! {
    static NUMBER: u32;
    /// Whom it is for.
    pub static WHO: String;
}

#[test]
fn each_task_has_its_own_value() {
    several().block_on(async {
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                task::spawn(NUMBER.scope(n, async move {
                    for _ in 0..5 {
                        assert_eq!(NUMBER.get(), n);
                        NUMBER.with(|number| assert_eq!((*number, NUMBER.get()), (n, n)));
                        task::yield_now().await;
                    }
                    // Who is spawned has none.
                    task::spawn(async { NUMBER.try_with(|_| ()).is_err() }).await.unwrap()
                }))
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap());
        }
        assert!(NUMBER.try_with(|_| ()).is_err() && WHO.try_with(|_| ()).is_err());
    });
}

#[test]
fn scopes_nest_and_come_back() {
    single().block_on(WHO.scope("outer".to_owned(), async {
        assert_eq!(WHO.get(), "outer");
        let inner = WHO.scope("inner".to_owned(), async {
            task::yield_now().await;
            (WHO.get(), NUMBER.sync_scope(5, || NUMBER.get()))
        });
        assert_eq!((inner.await, WHO.get()), (("inner".to_owned(), 5), "outer".to_owned()));
        panics(|| WHO.sync_scope("broken".to_owned(), || panic!("on purpose")));
        assert_eq!(WHO.get(), "outer");
    }));
}

/// Ends at once or never, and tells the value it sees when it is dropped.
struct Tells(bool, Arc<Mutex<Vec<u32>>>);

impl Future for Tells {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Tells {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(NUMBER.get());
    }
}

#[test]
fn the_value_is_there_while_the_future_is_dropped() {
    single().block_on(async {
        let seen = Arc::default();
        task::spawn(NUMBER.scope(1, Tells(true, Arc::clone(&seen)))).await.unwrap();
        let aborted = task::spawn(NUMBER.scope(2, Tells(false, Arc::clone(&seen))));
        settle().await;
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        drop(NUMBER.scope(3, Tells(false, Arc::clone(&seen))));
        assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
    });
    // At the end of the runtime as well.
    let seen = single().block_on(async {
        let seen = Arc::<Mutex<Vec<u32>>>::default();
        drop(task::spawn(NUMBER.scope(4, Tells(false, seen.clone()))));
        settle().await;
        seen
    });
    assert_eq!(*seen.lock().unwrap(), [4]);
}

#[test]
fn a_value_that_was_taken_is_there_no_more() {
    single().block_on(async {
        let mut scope = pin!(NUMBER.scope(1, async { NUMBER.try_with(|_| ()).is_err() }));
        assert_eq!((scope.as_mut().take_value(), scope.as_mut().take_value()), (Some(1), None));
        assert!(scope.await);
        let mut scope = pin!(NUMBER.scope(2, async {}));
        scope.as_mut().await;
        assert_eq!(scope.take_value(), Some(2));
    });
}

#[test]
fn no_value_outside_of_a_scope_is_a_panic_that_says_so() {
    for asks in [|| _ = NUMBER.get(), || NUMBER.with(|_| ())] {
        let text = task::panic_message(panics(asks));
        assert!(text.contains("task-local value is not set"), "{text}");
        assert_eq!(crate::support::blamed(asks), file!());
    }
}

#[test]
fn a_poll_has_a_budget_in_tasks_and_in_the_root() {
    for in_task in [false, true] {
        let polls = async {
            let (send, mut receive) = mpsc::unbounded_channel();
            (0..1000).for_each(|n| assert!(send.send(n).is_ok()));
            let mut taken = 0;
            poll_fn(|cx| {
                assert!(coop::has_budget_remaining());
                taken = (0..1000).take_while(|_| receive.poll_recv(cx).is_ready()).count();
                assert!(!coop::has_budget_remaining());
                Poll::Ready(())
            })
            .await;
            // It was woken for the rest.
            task::yield_now().await;
            poll_fn(|cx| Poll::Ready(receive.poll_recv(cx).is_ready())).await && (1..1000).contains(&taken)
        };
        let runtime = single();
        assert!(if in_task { runtime.block_on(runtime.spawn(polls)).unwrap() } else { runtime.block_on(polls) });
    }
}

#[test]
fn an_unconstrained_future_takes_what_there_is() {
    single().block_on(async {
        let (send, mut receive) = mpsc::unbounded_channel();
        (0..1000).for_each(|n| assert!(send.send(n).is_ok()));
        task::unconstrained(poll_fn(|cx| {
            assert!((0..1000).all(|n| receive.poll_recv(cx) == Poll::Ready(Some(n))));
            Poll::Ready(())
        }))
        .await;
        let done = poll_fn(|cx| {
            let mut spends = pin!(async {
                for _ in 0..1000 {
                    task::consume_budget().await;
                }
            });
            Poll::Ready(spends.as_mut().poll(cx).is_ready())
        });
        assert!(!done.await);
        task::yield_now().await;
        assert!(coop::has_budget_remaining());
    });
}
