//! Behaviour of cells on a running executor; the races are in the loom models.

use super::{Capacity, CellRef, Inbox, Receive, Receiver, ReplyError, Reservation, ServeEnd, TrySendError, spawn};
use crate::runtime::{Builder, Handle, Runtime};
use crate::task;
use crate::testing::{poll_with, waker_that_is_cloned};
use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

enum Log {}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    drops: AtomicUsize,
}

struct LogContext {
    inbox: Inbox<Log>,
}

impl Receiver for Log {
    type State = Vec<u64>;
    type Context = LogContext;
    type Shared = Shared;

    fn interrupted(context: &LogContext) -> bool {
        context.inbox.cell().stop.load(Ordering::Acquire)
    }

    fn inbox(context: &mut LogContext) -> &mut Inbox<Log> {
        &mut context.inbox
    }
}

struct Push(u64);
struct Get;
struct YieldThenPush(u64, [u64; 32]);
struct Fail;
struct Never(CellRef<Log>);

impl Receive<Push> for Log {
    type Reply = usize;

    async fn receive(log: &mut Vec<u64>, _: &mut LogContext, Push(n): Push) -> usize {
        log.push(n);
        log.len()
    }
}

impl Receive<Get> for Log {
    type Reply = Vec<u64>;

    async fn receive(log: &mut Vec<u64>, _: &mut LogContext, _: Get) -> Vec<u64> {
        log.clone()
    }
}

impl Receive<YieldThenPush> for Log {
    type Reply = u64;

    async fn receive(log: &mut Vec<u64>, _: &mut LogContext, YieldThenPush(n, padding): YieldThenPush) -> u64 {
        task::yield_now().await;
        log.push(n + padding.iter().sum::<u64>());
        task::yield_now().await;
        n
    }
}

impl Receive<Fail> for Log {
    type Reply = ();

    async fn receive(_: &mut Vec<u64>, _: &mut LogContext, _: Fail) {
        task::yield_now().await;
        panic!("on purpose");
    }
}

impl Receive<Never> for Log {
    type Reply = ();

    async fn receive(_: &mut Vec<u64>, _: &mut LogContext, never: Never) {
        let _count = CountDrop(never.0.clone());
        std::future::pending::<()>().await;
    }
}

struct CountDrop(CellRef<Log>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.drops.fetch_add(1, Ordering::AcqRel);
    }
}

fn bounded(capacity: usize) -> Capacity {
    Capacity::Bounded(NonZeroUsize::new(capacity).expect("not zero"))
}

fn log(capacity: Capacity) -> CellRef<Log> {
    spawn::<Log, _>(&Handle::current(), capacity, Shared::default(), |_, inbox| async move {
        let mut context = LogContext { inbox };
        Inbox::<Log>::serve(&mut Vec::new(), &mut context).await;
    })
}

fn single() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

#[test]
fn messages_are_handled_in_the_order_they_were_accepted() {
    single().block_on(async {
        let cell = log(Capacity::Unbounded);
        for n in 0..1000 {
            if n % 3 == 0 {
                assert!(cell.try_ask(YieldThenPush(n, [0; 32])).unwrap().await.is_ok());
            } else {
                cell.try_tell(Push(n)).unwrap();
            }
        }
        assert_eq!(cell.try_ask(Get).unwrap().await.unwrap(), (0..1000).collect::<Vec<_>>());
    });
}

#[test]
fn a_handler_that_waits_finishes_before_the_next_begins() {
    single().block_on(async {
        let cell = log(Capacity::Unbounded);
        let first = cell.try_ask(YieldThenPush(1, [1; 32])).unwrap();
        let second = cell.try_ask(Push(2)).unwrap();
        assert_eq!(second.await, Ok(2));
        assert_eq!(first.await, Ok(1));
        assert_eq!(cell.try_ask(Get).unwrap().await, Ok(vec![33, 2]));
    });
}

#[test]
fn an_ask_whose_asker_left_is_not_begun() {
    single().block_on(async {
        let cell = log(Capacity::Unbounded);
        drop(cell.try_ask(Push(1)).unwrap());
        cell.try_tell(Push(2)).unwrap();
        assert_eq!(cell.try_ask(Get).unwrap().await, Ok(vec![2]));
    });
}

/// The asker may be a task of another executor.
#[test]
fn an_askers_waker_that_panics_harms_no_cell() {
    struct BadWaker;
    impl Wake for BadWaker {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    single().block_on(async {
        let cell = log(Capacity::Unbounded);
        let mut reply = pin!(cell.try_ask(Push(1)).unwrap());
        assert!(reply.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(BadWaker)))).is_pending());
        assert_eq!(cell.try_ask(Get).unwrap().await, Ok(vec![1]));
        assert_eq!(reply.await, Ok(1));
    });
}

#[test]
fn a_panicking_handler_tells_its_asker_and_drops_what_is_queued() {
    single().block_on(async {
        let cell = log(Capacity::Unbounded);
        let failed = cell.try_ask(Fail).unwrap();
        let queued = cell.try_ask(Get).unwrap();
        assert_eq!(failed.await, Err(ReplyError::Crashed));
        assert_eq!(queued.await, Err(ReplyError::Stopped));
        assert!(matches!(cell.try_tell(Push(1)), Err(TrySendError::Closed(Push(1)))));
    });
}

#[test]
fn a_full_inbox_gives_the_message_back_and_those_who_wait_get_room() {
    single().block_on(async {
        let cell = log(bounded(1));
        cell.try_tell(Push(1)).unwrap();
        assert!(matches!(cell.try_tell(Push(3)), Err(TrySendError::Full(Push(3)))));

        let senders: Vec<_> = (10..20)
            .map(|n| {
                let cell = cell.clone();
                task::spawn(async move { send(&cell, n).await })
            })
            .collect();
        for sender in senders {
            assert!(sender.await.unwrap());
        }
        let expected: Vec<u64> = [1].into_iter().chain(10..20).collect();
        let mut log = ask_get(&cell).await;
        log.sort_unstable();
        assert_eq!(log, expected);
    });
}

async fn send(cell: &CellRef<Log>, n: u64) -> bool {
    let mut waiter = Reservation::default();
    let mut message = Some(Push(n));
    poll_fn(move |cx| {
        loop {
            match cell.try_tell_with(&mut waiter, message.take().expect("present")) {
                Ok(()) => return Poll::Ready(true),
                Err(TrySendError::Closed(_)) => return Poll::Ready(false),
                Err(TrySendError::Full(back)) => message = Some(back),
            }
            if cell.poll_reserve(&mut waiter, cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

async fn ask_get(cell: &CellRef<Log>) -> Vec<u64> {
    loop {
        if let Ok(reply) = cell.try_ask(Get) {
            return reply.await.expect("a reply");
        }
        task::yield_now().await;
    }
}

#[test]
fn closing_wakes_those_who_wait_for_room() {
    single().block_on(async {
        let cell = log(bounded(1));
        cell.try_tell(Push(1)).unwrap();
        let waiting = {
            let cell = cell.clone();
            task::spawn(async move {
                let mut waiter = Reservation::default();
                poll_fn(|cx| cell.poll_reserve(&mut waiter, cx)).await
            })
        };
        cell.close();
        assert!(!waiting.await.unwrap());
    });
}

#[test]
fn an_ask_whose_waker_could_not_be_cloned_is_answered_all_the_same() {
    single().block_on(async {
        let cell = log(bounded(1));
        let mut reply = cell.try_ask(Get).unwrap();
        for waker in [waker_that_is_cloned(|| panic!("on purpose")), waker_that_is_cloned(|| panic!("again"))] {
            assert!(catch_unwind(AssertUnwindSafe(|| poll_with(Pin::new(&mut reply), &waker))).is_err());
        }
        assert_eq!(reply.await.unwrap(), [0; 0]);
    });
}

#[test]
fn granted_room_that_is_given_up_goes_to_the_next() {
    single().block_on(async {
        let cell = log(bounded(1));
        cell.try_tell(Push(1)).unwrap();
        let mut first = Reservation::default();
        let mut second = Reservation::default();
        let (a, b) = poll_fn(|cx| {
            Poll::Ready((
                cell.poll_reserve(&mut first, cx).is_pending(),
                cell.poll_reserve(&mut second, cx).is_pending(),
            ))
        })
        .await;
        assert!(a && b);

        assert!(poll_fn(|cx| cell.poll_reserve(&mut first, cx)).await);
        cell.cancel_reserve(&mut first);
        assert!(poll_fn(|cx| cell.poll_reserve(&mut second, cx)).await);
        assert!(cell.try_tell_with(&mut second, Push(2)).is_ok());
    });
}

#[test]
fn a_reserved_message_is_accepted_by_a_full_inbox_in_order() {
    single().block_on(async {
        let cell = log(bounded(1));
        let reserved = cell.reserve_unbounded::<Push>();
        cell.try_tell(Push(1)).unwrap();
        assert_eq!(reserved.tell(Push(2)).map_err(|Push(n)| n), Ok(()));
        assert_eq!(ask_get(&cell).await, vec![1, 2]);
    });
}

#[test]
fn draining_handles_what_was_accepted_and_refuses_the_rest() {
    single().block_on(async {
        let (done, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (done2, served2) = (done.clone(), served.clone());
        let cell = spawn::<Log, _>(&Handle::current(), Capacity::Unbounded, Shared::default(), |_, inbox| async move {
            let mut context = LogContext { inbox };
            let end = Inbox::<Log>::serve(&mut Vec::new(), &mut context).await;
            served2.store(context.inbox.handled() as usize, Ordering::Release);
            done2.store(end == ServeEnd::Drained, Ordering::Release);
        });
        for n in 0..100 {
            cell.try_tell(Push(n)).unwrap();
        }
        cell.close();
        assert!(cell.try_tell(Push(100)).is_err());
        while !cell.is_finished() {
            task::yield_now().await;
        }
        assert!(done.load(Ordering::Acquire));
        assert_eq!(served.load(Ordering::Acquire), 100);
    });
}

#[test]
fn an_interrupted_cell_stops_between_messages() {
    single().block_on(async {
        let cell = log(Capacity::Unbounded);
        cell.try_tell(Push(1)).unwrap();
        cell.stop.store(true, Ordering::Release);
        cell.wake();
        let reply = cell.try_ask(Get).unwrap();
        assert_eq!(reply.await, Err(ReplyError::Stopped));
    });
}

#[test]
fn shutting_down_drops_a_waiting_handler_once_and_tells_its_asker() {
    let runtime = Runtime::new().expect("a runtime");
    let (cell, reply) = runtime.block_on(async {
        let cell = log(Capacity::Unbounded);
        let reply = cell.try_ask(Never(cell.clone())).unwrap();
        cell.try_tell(Push(1)).unwrap();
        (cell, reply)
    });
    drop(runtime);
    assert!(cell.drops.load(Ordering::Acquire) <= 1);
    let answer = single().block_on(reply);
    assert!(answer.is_err());
    assert!(cell.is_finished());
}

#[test]
fn many_senders_on_many_threads_lose_nothing_and_keep_their_order() {
    let runtime = Builder::new_multi_thread().worker_threads(4).build().expect("a runtime");
    runtime.block_on(async {
        for capacity in [bounded(16), Capacity::Unbounded] {
            let cell = log(capacity);
            let senders: Vec<_> = (0..8u64)
                .map(|sender| {
                    let cell = cell.clone();
                    task::spawn(async move {
                        for n in 0..2000 {
                            assert!(send(&cell, sender * 10_000 + n).await);
                        }
                    })
                })
                .collect();
            for sender in senders {
                sender.await.unwrap();
            }
            let log = ask_get(&cell).await;
            assert_eq!(log.len(), 16_000);
            for sender in 0..8u64 {
                let mine: Vec<u64> = log.iter().copied().filter(|n| n / 10_000 == sender).collect();
                assert!(mine.is_sorted() && mine.len() == 2000);
            }
        }
    });
}

#[test]
fn a_cell_built_on_a_runtime_that_is_gone_refuses_everything() {
    let runtime = Runtime::new().expect("a runtime");
    let handle = runtime.handle().clone();
    drop(runtime);
    let cell = spawn::<Log, _>(&handle, Capacity::Unbounded, Shared::default(), |_, inbox| async move {
        let mut context = LogContext { inbox };
        Inbox::<Log>::serve(&mut Vec::new(), &mut context).await;
    });
    assert!(cell.try_tell(Push(1)).is_err());
}

fn assert_send<T: Send>(_: &T) {}

#[test]
fn what_crosses_threads_is_send() {
    single().block_on(async {
        let cell = log(Capacity::Unbounded);
        assert_send(&cell);
        let reply = cell.try_ask(Get).unwrap();
        assert_send(&reply);
        assert_send(&async { send(&cell, 1).await });
        let _: &dyn Future<Output = Result<Vec<u64>, ReplyError>> = &reply;
    });
}
