//! Behaviour of the consuming end: messages taken out one by one, and what is counted.

use super::{Capacity, CellRef, Inbox, Receive, Receiver, ServeEnd, spawn};
use crate::runtime::{Builder, Handle};
use crate::task;
use crate::testing::{counting_waker, poll_with};
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

enum Probe {}

impl Receiver for Probe {
    type State = ();
    type Context = Inbox<Self>;
    type Shared = ();

    fn interrupted(_: &Inbox<Self>) -> bool {
        false
    }

    fn inbox(context: &mut Inbox<Self>) -> &mut Inbox<Self> {
        context
    }
}

impl Receive<u32> for Probe {
    type Reply = u32;

    async fn receive((): &mut (), _: &mut Inbox<Self>, turns: u32) -> u32 {
        for _ in 0..turns {
            task::yield_now().await;
        }
        turns
    }
}

/// Runs `consumer` as the life of a cell, and `test` beside it. Returns what `consumer` did.
fn with_cell<T, F>(
    capacity: Capacity,
    test: impl AsyncFnOnce(&CellRef<Probe>),
    consumer: impl FnOnce(Inbox<Probe>) -> F,
) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (send, receive) = crate::sync::oneshot::channel();
        let cell = spawn::<Probe, _>(&Handle::current(), capacity, (), |_, inbox| {
            let life = consumer(inbox);
            async move { drop(send.send(life.await)) }
        });
        test(&cell).await;
        cell.close();
        receive.await.expect("the cell came to its end")
    })
}

fn bounded(capacity: usize) -> Capacity {
    Capacity::Bounded(NonZeroUsize::new(capacity).expect("not zero"))
}

#[test]
fn messages_taken_one_by_one_come_in_order_until_the_closed_inbox_is_empty() {
    let test = async |cell: &CellRef<Probe>| {
        task::yield_now().await;
        cell.try_tell(0).unwrap();
        task::yield_now().await;
        cell.try_tell(0).unwrap();
        drop(cell.try_ask(0).unwrap());
    };
    let seen = with_cell(Capacity::Unbounded, test, |mut inbox| async move {
        let first = poll_fn(|cx| Poll::Ready(inbox.poll_recv(cx).is_pending())).await;
        assert!(first, "nothing has been sent, and the inbox is open");
        let mut seen = Vec::new();
        while let Some(envelope) = poll_fn(|cx| inbox.poll_recv(cx)).await {
            assert_eq!(envelope.type_name(), "u32");
            seen.push((envelope.is_ask(), envelope.is_cancelled()));
        }
        assert_eq!((inbox.taken(), inbox.handled(), inbox.expired()), (3, 0, 0));
        seen
    });
    assert_eq!(seen, [(false, false), (false, false), (true, true)]);
}

#[test]
fn room_of_what_was_taken_is_given_back_when_the_inbox_is_found_empty() {
    with_cell(
        bounded(100),
        async |cell| cell.try_tell(0).unwrap(),
        |mut inbox| async move {
            let cell = inbox.cell().clone();
            assert!(poll_fn(|cx| inbox.poll_recv(cx)).await.is_some());
            assert_eq!(cell.queued(), 1, "it is given back in batches");
            assert!(poll_fn(|cx| inbox.poll_recv(cx)).await.is_none());
            assert_eq!(cell.queued(), 0);
        },
    );
    with_cell(
        bounded(100),
        async |cell| cell.try_tell(0).unwrap(),
        |mut inbox| async move {
            assert!(inbox.try_recv().is_some());
            assert!(inbox.try_recv().is_none());
            assert_eq!(inbox.cell().queued(), 0);
        },
    );
}

#[test]
fn taking_messages_out_lets_others_run() {
    const MESSAGES: u32 = 10_000;
    let test = async |cell: &CellRef<Probe>| {
        for _ in 0..MESSAGES {
            cell.try_tell(0).unwrap();
        }
    };
    with_cell(Capacity::Unbounded, test, |mut inbox| async move {
        let others = Arc::new(AtomicBool::new(false));
        let neighbour = others.clone();
        drop(task::spawn(async move { neighbour.store(true, Ordering::Relaxed) }));
        for _ in 0..MESSAGES {
            assert!(poll_fn(|cx| inbox.poll_recv(cx)).await.is_some());
        }
        assert!(others.load(Ordering::Relaxed));
    });
}

#[test]
fn looking_into_an_empty_inbox_costs_no_budget() {
    let test = async |cell: &CellRef<Probe>| {
        while !cell.is_finished() {
            task::yield_now().await;
        }
    };
    with_cell(Capacity::Unbounded, test, |mut inbox| async move {
        let found = poll_fn(|cx| {
            for _ in 0..1000 {
                assert!(inbox.poll_recv(cx).is_pending());
            }
            inbox.cell().try_tell(0).unwrap();
            Poll::Ready(inbox.poll_recv(cx).is_ready())
        });
        assert!(found.await);
    });
}

#[test]
fn what_was_handled_taken_and_given_up_is_counted() {
    let test = async |cell: &CellRef<Probe>| {
        cell.try_tell(0).unwrap();
        cell.try_tell(3).unwrap();
        drop(cell.try_ask(0).unwrap());
        drop(cell.try_ask(3).unwrap());
        assert_eq!(cell.try_ask(2).unwrap().await, Ok(2));
    };
    let (served, counts) = with_cell(Capacity::Unbounded, test, |mut inbox| async move {
        let served = Inbox::<Probe>::serve(&mut (), &mut inbox).await;
        (served, [inbox.taken(), inbox.handled(), inbox.expired()])
    });
    assert_eq!(served, ServeEnd::Drained);
    assert_eq!(counts, [5, 3, 2]);
}

#[test]
fn room_is_given_back_as_soon_as_a_handler_that_waited_is_done() {
    let test = async |cell: &CellRef<Probe>| {
        let first = cell.try_ask(1).unwrap();
        cell.try_tell(1000).unwrap();
        let mut first = pin!(first);
        poll_fn(|cx| first.as_mut().poll(cx)).await.unwrap();
        task::yield_now().await;
        assert_eq!(cell.queued(), 1, "the room of the first message has been given back");
    };
    with_cell(bounded(100), test, |mut inbox| async move {
        Inbox::<Probe>::serve(&mut (), &mut inbox).await;
    });
}

/// Its producer has swapped the tail and was stopped before it wrote the link: no other thread will wake the consumer.
#[test]
fn a_message_whose_producer_is_not_done_is_looked_for_again() {
    let two = async |cell: &CellRef<Probe>| (0..2).for_each(|_| cell.try_tell(0).unwrap());
    with_cell(bounded(100), two, |mut inbox| async move {
        let (wakes, waker) = counting_waker();
        let hidden = inbox.cell().shared().queue.hide_second();
        assert!(inbox.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(wakes.count(), 1);
        inbox.cell().shared().queue.show_second(hidden);
        assert!(inbox.try_recv().is_some() && inbox.try_recv().is_some());
        assert!(matches!(inbox.poll_recv(&mut Context::from_waker(&waker)), Poll::Ready(None)));
        assert_eq!(wakes.count(), 1);
    });

    let three = async |cell: &CellRef<Probe>| (0..3).for_each(|_| cell.try_tell(0).unwrap());
    with_cell(bounded(100), three, |mut inbox| async move {
        let (mut state, (wakes, waker)) = ((), counting_waker());
        assert!(inbox.try_recv().is_some());
        let cell = inbox.cell().clone();
        let hidden = cell.shared().queue.hide_second();
        let mut serve = Box::pin(Inbox::<Probe>::serve(&mut state, &mut inbox));
        assert!(poll_with(serve.as_mut(), &waker).is_pending());
        assert_eq!((wakes.count(), cell.queued()), (1, 2), "the room of what was taken is given back");
        cell.shared().queue.show_second(hidden);
        assert_eq!(poll_with(serve.as_mut(), &waker), Poll::Ready(ServeEnd::Drained));
        assert_eq!((wakes.count(), cell.queued()), (1, 0));
    });
}
