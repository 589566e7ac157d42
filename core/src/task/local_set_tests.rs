//! Sets of tasks that stay on their thread.

use super::{LocalSet, spawn_local, yield_now};
use crate::runtime::{Builder, Handle, Runtime};
use crate::sync::{Notify, oneshot};
use crate::task::{self, coop};
use crate::time::sleep;
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Duration;

/// One of each flavor.
fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread().worker_threads(2)]
        .map(|builder| builder.build().expect("a runtime"))
}

/// Notes the thread that drops it, and cannot leave it.
struct NoteDrop(Rc<RefCell<Vec<(ThreadId, bool)>>>);

impl Drop for NoteDrop {
    fn drop(&mut self) {
        self.0.borrow_mut().push((thread::current().id(), Handle::try_current().is_ok()));
    }
}

#[test]
fn tasks_run_on_the_thread_of_the_set_in_any_runtime() {
    for runtime in runtimes() {
        let set = LocalSet::new();
        let this = thread::current().id();
        let sum = set.block_on(&runtime, async {
            let sum = Rc::new(Cell::new(0));
            let tasks: Vec<_> = (0..200)
                .map(|n| {
                    let sum = sum.clone();
                    spawn_local(async move {
                        sleep(Duration::from_millis(n % 3)).await;
                        assert_eq!(thread::current().id(), this);
                        sum.set(sum.get() + n);
                        spawn_local(async move { Rc::new(task::id()) }).await.unwrap()
                    })
                })
                .collect();
            for task in tasks {
                let (id, inner) = (task.id(), task.await.unwrap());
                assert!(*inner > id);
            }
            sum.get()
        });
        assert_eq!((sum, set.len()), (19_900, 0));
    }
}

#[test]
fn a_task_is_woken_from_other_threads_and_by_tasks_of_the_runtime() {
    for runtime in runtimes() {
        let set = LocalSet::new();
        set.block_on(&runtime, async {
            for _ in 0..100 {
                let (sender, receiver) = oneshot::channel();
                let local = spawn_local(async move { Rc::new(receiver.await.unwrap()) });
                let send = thread_or_task(move || sender.send(7).expect("the task waits"));
                assert_eq!(*local.await.unwrap(), 7);
                send.await.unwrap();
            }
        });
    }
}

/// Runs something on another thread; in turn on one of the blocking pool and by a task.
fn thread_or_task(f: impl FnOnce() + Send + 'static) -> task::JoinHandle<()> {
    if Handle::current().random_u64() % 2 == 0 { task::spawn_blocking(f) } else { task::spawn(async { f() }) }
}

#[test]
fn a_set_that_is_awaited_ends_when_its_last_task_does() {
    for runtime in runtimes() {
        let order = Rc::new(RefCell::new(Vec::new()));
        runtime.block_on(async {
            let set = LocalSet::new();
            let notes = order.clone();
            set.spawn_local(async move {
                notes.borrow_mut().push("first");
                spawn_local(async move {
                    sleep(Duration::from_millis(1)).await;
                    notes.borrow_mut().push("last");
                });
            });
            set.await;
        });
        assert_eq!(*order.borrow(), ["first", "last"]);
    }
}

#[test]
fn an_aborted_task_is_dropped_on_the_thread_of_the_set() {
    for runtime in runtimes() {
        let set = LocalSet::new();
        let drops = Rc::new(RefCell::new(Vec::new()));
        let guard = NoteDrop(drops.clone());
        set.block_on(&runtime, async {
            let task = spawn_local(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            yield_now().await;
            let abort = task.abort_handle();
            task::spawn_blocking(move || abort.abort()).await.unwrap();
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert_eq!(*drops.borrow(), [(thread::current().id(), true)]);
        assert!(set.is_empty());
    }
}

#[test]
fn a_panic_ends_its_task_alone() {
    let runtime = &runtimes()[0];
    let set = LocalSet::new();
    set.block_on(runtime, async {
        assert!(spawn_local(async { panic!("on purpose") }).await.unwrap_err().is_panic());
        assert_eq!(*spawn_local(async { Rc::new(1) }).await.unwrap(), 1);
    });
}

#[test]
fn dropping_the_set_drops_its_tasks_here_and_late_wakes_do_nothing() {
    let runtime = &runtimes()[1];
    let drops = Rc::new(RefCell::new(Vec::new()));
    let set = LocalSet::new();
    let wake = Arc::new(Notify::new());
    let (wakes, guard) = (wake.clone(), NoteDrop(drops.clone()));
    let tasks = set.block_on(runtime, async {
        let notified = spawn_local(async move {
            let _guard = guard;
            wakes.notified().await;
        });
        let never_polled = NoteDrop(drops.clone());
        yield_now().await;
        (notified, spawn_local(async move { drop(never_polled) }))
    });
    // One of them is queued, the other is woken now.
    wake.notify_one();
    drop(set);
    assert_eq!(*drops.borrow(), [(thread::current().id(), true); 2]);
    let ((first, second), wakes) = (tasks, wake);
    wakes.notify_one();
    assert!(runtime.block_on(first).unwrap_err().is_cancelled());
    assert!(runtime.block_on(second).unwrap_err().is_cancelled());
}

#[test]
fn a_task_that_spawns_while_its_set_is_dropped_is_refused() {
    struct SpawnOnDrop(Rc<Cell<bool>>);

    impl Drop for SpawnOnDrop {
        fn drop(&mut self) {
            let spawned = spawn_local(async { unreachable!("the set is gone") });
            self.0.set(spawned.is_finished());
        }
    }

    let runtime = &runtimes()[0];
    let was_refused = Rc::new(Cell::new(false));
    let guard = SpawnOnDrop(was_refused.clone());
    let set = LocalSet::new();
    runtime.block_on(async {
        set.spawn_local(async move {
            let _guard = guard;
            pending::<()>().await;
        });
    });
    drop(set);
    assert!(was_refused.get());
}

#[test]
fn tasks_have_budgets_and_the_set_lets_the_runtime_have_its_turn() {
    let runtime = &runtimes()[0];
    let set = LocalSet::new();
    set.block_on(runtime, async {
        let (stop, stopped) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        for _ in 0..2 {
            let (stop, stopped) = (stop.clone(), stopped.clone());
            spawn_local(async move {
                while !stop.get() {
                    // Never waits for anything.
                    coop::cooperative(std::future::ready(())).await;
                }
                stopped.set(stopped.get() + 1);
            });
        }
        // A task of the runtime, and one of the set behind the busy ones.
        task::spawn(async {}).await.unwrap();
        spawn_local(async move { stop.set(true) }).await.unwrap();
        while stopped.get() < 2 {
            yield_now().await;
        }
    });
}

#[test]
fn two_who_poll_the_same_set_may_leave_in_any_order() {
    for runtime in runtimes() {
        let set = LocalSet::new();
        runtime.block_on(async {
            let (sender, receiver) = oneshot::channel();
            let waits = set.spawn_local(async move { receiver.await.unwrap() });
            let long = set.run_until(async { waits.await.unwrap() });
            let short = set.run_until(async {
                yield_now().await;
                yield_now().await;
            });
            let ((), five) = crate::join!(
                async {
                    short.await;
                    task::spawn_blocking(move || sender.send(5)).await.unwrap().unwrap();
                },
                long
            );
            assert_eq!(five, 5);
        });
    }
}

#[test]
fn outside_of_a_set_or_a_runtime_the_panic_says_what_is_missing() {
    let outside = |f: &dyn Fn()| {
        let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("a panic");
        task::panic_message(payload)
    };
    assert!(outside(&|| drop(spawn_local(async {}))).contains("LocalSet"));
    assert!(outside(&|| drop(LocalSet::new().spawn_local(async {}))).contains("no Posse runtime"));
}
