//! Tokio's `macros_select`, `macros_join`, `macros_try_join` and `macros_pin`.

use crate::support::{OnDrop, Probe, now, single};
use posse_core::runtime::Builder;
use posse_core::sync::{mpsc, oneshot};
use posse_core::{join, pin, select, task, try_join};
use std::future::{Future, IntoFuture, Ready, pending, poll_fn, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

async fn one() -> usize {
    1
}

#[test]
fn a_branch_is_any_expression_with_or_without_block_and_comma() {
    single().block_on(async {
        assert_eq!(select! { n = async { 1 } => n, }, 1);
        assert_eq!(select! { n = async { 1 } => n }, 1);
        assert_eq!(select! { n = async { 1 } => { n } }, 1);
        assert_eq!(select! { n = one() => n, }, 1);
        let future = one();
        assert_eq!(select! { n = future => n }, 1);
        assert_eq!(select! { else => 1, }, 1);
        assert_eq!(select! { biased; else => 1 }, 1);
        assert_eq!(select! { () = &mut ready(()) => 1 }, 1);
        assert_eq!(select! { n = async { select! { n = one() => n } } => n }, 1);
        let mut seen = 0;
        for _ in 0..100 {
            seen |= select! { n = async { 1 } => n, n = async { 2 } => n };
        }
        assert_eq!(seen, 3);
    });
}

#[test]
fn bindings_of_all_kinds_may_be_used_and_changed() {
    single().block_on(async {
        let text = || async { Some("1".to_owned()) };
        select! { Some(mut n) = text() => { n.push('2'); assert_eq!(n, "12"); } }
        select! { Some(ref n) = text() => assert_eq!(*n, "1") }
        select! { Some(ref mut n) = text() => { n.push('2'); assert_eq!(*n, "12"); } }
        select! { mut n = async { 1 } => { n += 1; assert_eq!(n, 2); } }
    });
}

#[test]
fn futures_that_share_a_borrow_of_what_their_handlers_change() {
    async fn borrows(_: &mut i32) {}
    async fn waits(_: &mut i32) {
        pending::<()>().await;
    }
    single().block_on(async {
        let mut value = 234;
        select! {
            () = borrows(&mut value) => value += 1,
            () = async {} => value += 5,
        }
        assert!(value > 234);
        let before = value;
        select! {
            biased;
            () = waits(&mut value) => {}
            Some(()) = async { None } => {}
            () = async {} => value += 1,
            else => value += 100,
        }
        assert_eq!(value, before + 1);
        select! {
            Some(()) = async { None } => {}
            else => borrows(&mut value).await,
        }
    });
}

#[test]
fn streams_are_taken_until_both_have_ended() {
    single().block_on(async {
        let ((send, mut first), (other, mut second)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let task = task::spawn(async move {
            for n in 0..3 {
                assert!(send.send(n).is_ok());
                task::yield_now().await;
                assert!(other.send(n + 10).is_ok());
            }
        });
        let mut seen = Vec::new();
        loop {
            select! {
                Some(n) = first.recv() => seen.push(n),
                Some(n) = second.recv() => seen.push(n),
                else => break,
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 10, 11, 12]);
        task.await.unwrap();
    });
}

#[test]
fn a_future_that_was_not_ready_may_be_gone_on_with() {
    single().block_on(async {
        let ((send, mut receive), (other, mut late)) = (oneshot::channel(), oneshot::channel());
        assert_eq!(send.send(1), Ok(()));
        select! {
            n = &mut receive => assert_eq!(n, Ok(1)),
            _ = &mut late => unreachable!(),
        }
        assert_eq!(other.send(2), Ok(()));
        // One that is over is kept out by its condition.
        let done = true;
        select! {
            _ = &mut receive, if !done => unreachable!(),
            n = &mut late => assert_eq!(n, Ok(2)),
        }
    });
}

#[test]
fn an_order_that_is_written_is_kept_to_and_a_later_branch_may_win() {
    single().block_on(async {
        let (send, mut receive) = oneshot::channel::<()>();
        assert_eq!(select! { biased; _ = &mut receive => 0, n = one() => n, () = async { unreachable!() } => 2 }, 1);
        assert_eq!(send.send(()), Ok(()));
        assert_eq!(select! { biased; _ = &mut receive => 0, n = one() => n }, 0);
        let (send, receive) = oneshot::channel::<()>();
        let task = task::spawn(async move {
            select! { biased; _ = receive => 1, () = pending() => 2 }
        });
        task::yield_now().await;
        drop(send);
        assert_eq!(task.await.unwrap(), 1);
    });
}

#[test]
fn the_same_seed_draws_the_same_branches() {
    let draw = |builder: Builder| {
        builder.seed(99).build().unwrap().block_on(async {
            let mut drawn = Vec::new();
            for _ in 0..50 {
                drawn.push(select! { () = async {} => 0, () = async {} => 1, () = async {} => 2, () = async {} => 3 });
            }
            drawn
        })
    };
    assert_eq!(draw(Builder::new_current_thread()), draw(Builder::new_current_thread()));
    let several = || Builder::new_multi_thread().worker_threads(1);
    assert_eq!(draw(several()), draw(several()));
}

/// Something that becomes a future.
struct Becomes(u8);

impl IntoFuture for Becomes {
    type Output = u8;
    type IntoFuture = Ready<u8>;

    fn into_future(self) -> Ready<u8> {
        ready(self.0)
    }
}

#[test]
fn what_becomes_a_future_is_taken_as_one() {
    single().block_on(async {
        assert_eq!(select! { n = Becomes(1) => n }, 1);
        assert_eq!(join!(Becomes(1), Becomes(2)), (1, 2));
        assert_eq!(join!(biased; Becomes(1)), (1,));
    });
}

/// With no unit left a leaf says that it is not ready, whatever it has; the branch behind it would win wrongly.
#[test]
fn a_select_waits_for_a_fresh_budget() {
    single().block_on(async {
        let (send, mut receive) = mpsc::unbounded_channel();
        for n in 0..1000 {
            assert!(send.send(n).is_ok());
            let taken = select! {
                biased;
                taken = receive.recv() => taken,
                () = async {} => None,
            };
            assert_eq!(taken, Some(n));
        }
        let spends = || {
            Probe::new(async {
                select! { biased; () = task::consume_budget() => {} () = async {} => unreachable!() }
            })
        };
        let polls = poll_fn(|_| Poll::Ready((0..1000).take_while(|_| spends().poll().is_ready()).count()));
        task::yield_now().await;
        assert!((1..1000).contains(&polls.await));
        task::yield_now().await;
    });
}

#[test]
fn a_future_that_panics_leaves_by_the_select() {
    let panicked = std::panic::catch_unwind(|| {
        single().block_on(async {
            select! {
                () = poll_fn(|_| -> Poll<()> { panic!("on purpose") }) => {}
                () = pending() => {}
            }
        });
    });
    assert!(panicked.is_err());
}

/// A future that is polled again after it was ready panics, so each of these is polled no more than it may.
#[test]
fn all_are_joined_each_polled_until_it_is_ready() {
    struct Once(u8, bool);

    impl Future for Once {
        type Output = u8;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u8> {
            assert!(!self.1, "polled after it was ready");
            if self.0 == 0 {
                self.1 = true;
                return Poll::Ready(7);
            }
            self.0 -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }

    single().block_on(async {
        assert_eq!(join!(Once(0, false), Once(3, false), Once(1, false)), (7, 7, 7));
        assert_eq!(join!(async { 1 },), (1,));
        assert_eq!(join!(async { 1 }, async { 2 },), (1, 2));
        join!();
        let _: Result<(), u8> = try_join!();
        assert_eq!(try_join!(async { Ok::<_, u8>(1) },), Ok((1,)));
        assert_eq!(try_join!(async { Ok::<_, u8>(1) }, async { Ok(2) },), Ok((1, 2)));
        assert_eq!(try_join!(biased; async { Ok::<_, u8>(1) }, async { Ok(2) }), Ok((1, 2)));
    });
}

#[test]
fn an_error_drops_the_others_at_once() {
    let dropped = std::cell::Cell::new(0);
    let waits = || async {
        let _guard = OnDrop(|| dropped.set(dropped.get() + 1));
        pending::<Result<u8, &str>>().await
    };
    assert_eq!(now(async { try_join!(waits(), async { Err::<u8, _>("no") }, waits()) }), Poll::Ready(Err("no")));
    assert!((1..=2).contains(&dropped.get()));
}

#[test]
fn no_future_of_a_join_starves_the_others() {
    single().block_on(async {
        let greedy = |count: usize| async move {
            for _ in 0..count {
                task::consume_budget().await;
            }
        };
        let polled = std::cell::Cell::new(0);
        let counts = || async {
            for _ in 0..3 {
                task::consume_budget().await;
                polled.set(polled.get() + 1);
            }
            polled.get()
        };
        let (_, done) = join!(greedy(10_000), async {
            let done = counts().await;
            // The other one has only begun.
            done
        });
        assert_eq!(done, 3);
        let both = try_join!(
            async {
                greedy(10_000).await;
                Ok::<_, u8>(())
            },
            async { Ok(counts().await) }
        );
        assert_eq!(both.map(|(_, done)| done), Ok(6));
    });
}

#[test]
fn several_values_are_pinned_at_once() {
    single().block_on(async {
        pin! {
            let first = async { 1 };
            let second = async { 2 };
        }
        let third = async { 3 };
        let fourth = async { 4 };
        pin!(third, fourth);
        assert_eq!((first.as_mut().await, second.await, third.await, fourth.await), (1, 2, 3, 4));
    });
}

/// The macros are as large as what they hold, and not several times that.
#[test]
fn macros_take_little_more_room_than_their_futures() {
    async fn large() {
        let buffer = [0u8; 1000];
        pending::<()>().await;
        std::hint::black_box(buffer);
    }
    let one = size_of_val(&large());
    assert!(
        size_of_val(&async {
            select! { () = large() => {} () = large() => {} }
        }) < 2 * one + 200
    );
    assert!(size_of_val(&async { join!(large(), large()) }) < 2 * one + 200);
    assert!(
        size_of_val(&async {
            try_join!(async {
                large().await;
                Ok::<_, u8>(())
            })
        }) < 2 * one + 200
    );
}
