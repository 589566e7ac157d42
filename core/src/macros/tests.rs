//! Behaviour of the macros: which branch is taken, in which order, what is dropped when, and what may be written.

use crate::runtime::{Builder, Runtime};
use crate::sync::{mpsc, oneshot};
use crate::task;
use crate::{join, pin, select, try_join};
use std::cell::{Cell, RefCell};
use std::future::{Ready, pending, poll_fn, ready};
use std::task::Poll;

fn single() -> Runtime {
    Builder::new_current_thread().seed(1).build().expect("a runtime")
}

fn block_on<F: Future>(future: F) -> F::Output {
    single().block_on(future)
}

#[test]
fn the_first_that_is_ready_gives_the_value() {
    block_on(async {
        let (send, receive) = oneshot::channel();
        assert!(send.send(5).is_ok());
        let value = select! {
            value = receive => value.map_or(0, |value| value + 1),
            () = pending() => 0,
        };
        assert_eq!(value, 6);
        assert_eq!(select! { value = async { 7 } => { value } }, 7);
        assert_eq!(select! { biased; value = async { 8 } => value }, 8);
        assert_eq!(select! { else => 9 }, 9);
    });
}

#[test]
fn a_condition_may_look_at_what_an_earlier_branch_borrows() {
    block_on(async {
        let mut values = vec![1];
        let taken = select! {
            biased;
            value = async { values.pop() }, if !values.is_empty() => value,
            _ = pending::<()>(), if values.len() < 10 => None,
        };
        assert_eq!((taken, values.len()), (Some(1), 0));
    });
}

#[test]
fn a_branch_whose_pattern_does_not_match_is_disabled() {
    block_on(async {
        let value = select! {
            Some(value) = async { None::<u8> } => value,
            Ok(mut value) | Err(mut value) = async { task::yield_now().await; Ok::<u8, u8>(1) } => {
                value += 1;
                value
            }
        };
        assert_eq!(value, 2);
        let value = select! {
            Some(_) = async { None::<u8> } => "value",
            (3..=5, ..) = async { (2, 0) } => "range",
            else => "else",
        };
        assert_eq!(value, "else");
    });
}

#[test]
fn a_branch_whose_condition_is_false_is_not_made() {
    block_on(async {
        let nothing: Option<Ready<u8>> = None;
        let value = select! {
            value = nothing.clone().unwrap(), if nothing.is_some() => value,
            value = ready(2), if nothing.is_none() => { value }
            value = ready(3), if false => { value },
            else => 4,
        };
        assert_eq!(value, 2);
    });
}

#[test]
#[should_panic(expected = "all branches of `select!` are disabled")]
fn without_a_branch_that_is_left_and_without_else_it_panics() {
    block_on(async {
        select! {
            Some(()) = async { None } => {}
        }
    });
}

#[test]
fn the_order_is_the_written_one_if_biased_and_else_fair_and_repeatable() {
    let draw = |seed| {
        let runtime = Builder::new_current_thread().seed(seed).build().expect("a runtime");
        runtime.block_on(async {
            let mut order = Vec::new();
            for _ in 0..100 {
                order.push(select! { () = ready(()) => 0, () = ready(()) => 1, () = ready(()) => 2 });
                assert_eq!(select! { biased; () = ready(()) => 0, () = ready(()) => 1 }, 0);
            }
            order
        })
    };
    let order = draw(5);
    assert!((0..3).all(|branch| order.iter().filter(|taken| **taken == branch).count() > 15), "{order:?}");
    assert_eq!(order, draw(5));
    assert_ne!(order, draw(6));
}

struct CountDrop<'a>(&'a Cell<u8>);

impl Drop for CountDrop<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn the_other_futures_are_dropped_before_the_handler_runs() {
    block_on(async {
        let dropped = Cell::new(0);
        let waits = async |guard: CountDrop<'_>| {
            pending::<()>().await;
            drop(guard);
        };
        select! {
            () = waits(CountDrop(&dropped)) => {}
            () = ready(()) => assert_eq!(dropped.get(), 2),
            () = waits(CountDrop(&dropped)) => {}
        }

        // So a handler may use what the futures borrowed.
        let (send, mut receive) = mpsc::channel(2);
        let mut seen = Vec::new();
        assert!(send.try_send(1).is_ok() && send.try_send(2).is_ok());
        select! {
            first = receive.recv() => seen.extend([first, receive.recv().await]),
            _ = async { seen.clear(); pending::<()>().await } => {}
        }
        assert_eq!(seen, [Some(1), Some(2)]);
    });
}

#[test]
fn a_future_that_did_not_match_is_dropped_and_the_others_go_on() {
    block_on(async {
        let dropped = Cell::new(0);
        let ends = async |guard: CountDrop<'_>| {
            let _guard = guard;
            None::<u8>
        };
        let seen = select! {
            biased;
            Some(_) = ends(CountDrop(&dropped)) => 0,
            seen = async { task::yield_now().await; dropped.get() } => seen,
        };
        assert_eq!(seen, 1);
    });
}

#[test]
fn handlers_may_leave_loops_and_functions() {
    async fn first_error(receive: &mut mpsc::Receiver<Result<u8, String>>) -> Result<u8, String> {
        let mut sum = 0;
        'all: loop {
            select! {
                Some(value) = receive.recv() => {
                    let value = value?;
                    if value == 0 {
                        continue;
                    }
                    if value > 100 {
                        break 'all;
                    }
                    sum += value;
                }
                else => return Ok(sum),
            }
        }
        Err("too much".to_owned())
    }

    block_on(async {
        for (values, expected) in [
            (vec![Ok(1), Ok(0), Ok(2)], Ok(3)),
            (vec![Ok(1), Err("broken".to_owned())], Err("broken".to_owned())),
            (vec![Ok(101)], Err("too much".to_owned())),
        ] {
            let (send, mut receive) = mpsc::channel(3);
            values.into_iter().for_each(|value| assert!(send.try_send(value).is_ok()));
            drop(send);
            assert_eq!(first_error(&mut receive).await, expected);
        }
    });
}

#[test]
fn a_future_from_outside_of_a_loop_goes_on() {
    block_on(async {
        let steps = Cell::new(0);
        let work = async {
            for _ in 0..3 {
                steps.set(steps.get() + 1);
                task::yield_now().await;
            }
            "done"
        };
        pin!(work);
        pin! {
            let never = pending::<()>();
        }
        let mut turns = 0;
        let text = loop {
            select! {
                biased;
                text = &mut work => break text,
                () = &mut never => unreachable!(),
                () = task::yield_now() => turns += 1,
            }
        };
        assert_eq!((text, steps.get(), turns), ("done", 3, 1));
    });
}

#[test]
fn selects_nest_and_run_in_tasks_on_several_threads() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.block_on(async {
        let task = task::spawn(async {
            select! {
                value = async { select! { value = async { 1 } => value + 1, () = pending() => 0 } } => {
                    select! { other = ready(3) => other + value }
                }
                () = pending() => 0,
            }
        });
        assert_eq!(task.await.unwrap(), 5);
    });
}

#[test]
fn there_may_be_many_branches() {
    macro_rules! many {
        ($($number:literal)*) => {
            select! {
                $(value @ 0..=99 = ready($number), if $number == wanted() => value,)*
                else => 99,
            }
        };
    }
    thread_local!(static WANTED: Cell<i32> = const { Cell::new(0) });
    fn wanted() -> i32 {
        WANTED.get()
    }

    block_on(async {
        for number in [0, 17, 31] {
            WANTED.set(number);
            let value = many!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
            assert_eq!(value, number);
        }
    });
}

#[test]
fn all_are_waited_for_at_once() {
    block_on(async {
        let (send, receive) = oneshot::channel();
        let outputs = join!(
            async { receive.await.unwrap_or(0) },
            async {
                task::yield_now().await;
                send.send(5).is_ok()
            },
            ready("three"),
        );
        assert_eq!(outputs, (5, true, "three"));
        assert_eq!(join!(async { 1 }), (1,));
        assert_eq!(join!(biased; async { 1 }, async { 2 }), (1, 2));
        join!();
    });
}

#[test]
fn each_poll_of_a_join_begins_with_the_next_future_unless_biased() {
    block_on(async {
        let order = RefCell::new(Vec::new());
        let says = async |name: u8| {
            for _ in 0..3 {
                order.borrow_mut().push(name);
                task::yield_now().await;
            }
        };
        join!(says(1), says(2), says(3));
        assert_eq!(order.take(), [1, 2, 3, 2, 3, 1, 3, 1, 2]);
        join!(biased; says(1), says(2));
        assert_eq!(order.take(), [1, 2, 1, 2, 1, 2]);
    });
}

#[test]
fn a_future_that_is_done_is_dropped_before_the_others_end() {
    block_on(async {
        let dropped = Cell::new(0);
        let guard = CountDrop(&dropped);
        join!(async move { drop(guard) }, async {
            task::yield_now().await;
            assert_eq!(dropped.get(), 1);
        });
    });
}

#[test]
fn the_first_error_ends_the_wait() {
    block_on(async {
        let good = try_join!(async { Ok::<_, u8>(1) }, async {
            task::yield_now().await;
            Ok("two")
        });
        assert_eq!(good, Ok((1, "two")));
        let polls = Cell::new(0);
        let waits = poll_fn(|_| {
            polls.set(polls.get() + 1);
            Poll::<Result<u8, u8>>::Pending
        });
        assert_eq!(try_join!(waits, async { Err::<u8, _>(3) }), Err(3));
        assert_eq!(polls.get(), 1);
        assert_eq!(try_join!(biased; async { Err::<u8, _>(1) }, async { Err::<u8, _>(2) }), Err(1));
    });
}
