//! Asks: on any thread, with nothing kept once they are over, and with the message when it was not taken.

use crate::common::{Add, Hang, Log, Worker, drive, elsewhere, join, manual, settle};
use posse::prelude::*;
use posse::protocol::Target;
use posse::{Ask, Message};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

fn worker(capacity: usize) -> LocalRef<Worker> {
    posse::spawn(Spec::new(|| Worker::new("a", &Log::default())).capacity(capacity))
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

#[test]
fn an_ask_outside_of_any_runtime_is_answered_or_ends_at_its_deadline() {
    manual().block_on(async {
        let worker = worker(4);
        assert_eq!(drive(elsewhere(worker.ask(Add(5)))).await, Ok(5));
        assert_eq!(drive(elsewhere(worker.recipient().ask(Add(5)))).await, Ok(10));

        assert_eq!(join(elsewhere(worker.ask(Hang).within(secs(2)))).await, Err(AskError::Timeout));
        for _ in 0..4 {
            worker.try_tell(Add(1)).unwrap();
        }
        assert_eq!(join(elsewhere(worker.ask(Add(5)))).await, Err(AskError::Timeout));
        worker.kill();
        assert_eq!(drive(elsewhere(worker.ask(Add(5)))).await, Err(AskError::Stopped));
    });
}

#[test]
fn an_ask_that_timed_out_keeps_no_room_however_long_it_is_kept() {
    let runtime = manual();
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let worker = worker(1);
        worker.try_tell(Add(1)).unwrap();
        let mut asks: Vec<_> = (0..3).map(|_| worker.ask(Add(100)).within(secs(1))).collect();
        for ask in &mut asks {
            assert!(poll_once(ask).await.is_pending());
        }
        handle.advance(secs(1));
        for ask in &mut asks {
            assert_eq!(poll_once(ask).await, Poll::Ready(Err(AskError::Timeout)));
        }

        settle().await;
        assert_eq!(worker.queued(), 0);
        worker.try_tell(Add(2)).unwrap();
        assert_eq!(worker.ask(Add(0)).await, Ok(3));
    });
}

#[test]
fn a_message_that_was_not_taken_comes_back_and_one_that_was_does_not() {
    async fn error<M: Message<Reply: std::fmt::Debug>, T: Target<M> + Unpin>(ask: Ask<M, T>) -> (AskError, Option<M>) {
        ask.recover().await.unwrap_err().into_parts()
    }
    let runtime = manual();
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let worker = worker(1);
        let taken = posse::task::spawn(error(worker.ask(Hang)));
        settle().await;
        worker.try_tell(Add(1)).unwrap();
        let waiting = posse::task::spawn(error(worker.ask(Add(7))));
        settle().await;
        handle.advance(secs(5));
        assert!(matches!(waiting.await.unwrap(), (AskError::Timeout, Some(Add(7)))));
        assert!(matches!(taken.await.unwrap(), (AskError::Timeout, None)));

        worker.kill();
        worker.closed().await;
        assert!(matches!(error(worker.ask(Add(8))).await, (AskError::Stopped, Some(Add(8)))));
        assert!(matches!(error(worker.recipient().ask(Add(9))).await, (AskError::Stopped, Some(Add(9)))));
    });
}

#[test]
fn an_ask_that_timed_out_is_not_begun_however_long_it_is_kept() {
    let runtime = manual();
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let worker = worker(4);
        let mut asks: Vec<_> = (0..4).map(|_| worker.ask(Add(100)).within(secs(1))).collect();
        for ask in &mut asks {
            assert!(poll_once(ask).await.is_pending());
        }
        handle.advance(secs(1));
        for ask in &mut asks {
            assert_eq!(poll_once(ask).await, Poll::Ready(Err(AskError::Timeout)));
        }
        assert_eq!(worker.ask(Add(0)).await, Ok(0));
    });
}

#[test]
fn a_task_that_waits_for_a_reply_or_for_room_says_so() {
    use posse::runtime::Handle;
    use posse::task::{Id, WaitsFor};

    let waits_for = |id: Id| -> Vec<WaitsFor> {
        let tasks = Handle::current().tasks();
        tasks.iter().find(|task| task.id() == id).unwrap().waits_for().to_vec()
    };
    manual().block_on(async {
        let worker = posse::spawn(Spec::new(|| Worker::new("w", &Log::default())).capacity(1));
        worker.try_tell(Hang).unwrap();
        settle().await;
        let (asker, teller) = (worker.clone(), worker);
        let asks = posse::task::spawn(async move { asker.ask(Add(1)).await });
        settle().await;
        let tells = posse::task::spawn(async move { teller.tell(Add(1)).await });
        settle().await;
        let of_ask = waits_for(asks.id());
        assert!(matches!(of_ask[..], [WaitsFor::Reply, WaitsFor::Timer(_)]), "{of_ask:?}");
        assert_eq!(waits_for(tells.id()), [WaitsFor::Mailbox]);
    });
}
