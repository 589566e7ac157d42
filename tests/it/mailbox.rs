//! Bounds, deadlines, recipients, names.

use crate::common::{Add, Hang, Log, Worker, manual, settle};
use posse::prelude::*;
use posse::{RegisterError, System};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

#[posse::test]
async fn a_full_mailbox_returns_the_message_or_makes_the_sender_wait() {
    let worker = posse::spawn(Spec::new(|| Worker::new("a", &Log::default())).capacity(1));
    worker.try_tell(Add(1)).unwrap();
    assert!(matches!(worker.try_tell(Add(7)), Err(TellError { reason: SendReason::Full, message: Add(7) })));
    worker.tell(Add(2)).await.unwrap();
    assert_eq!(worker.ask(Add(0)).await, Ok(3));
}

/// A sender that waits for room and is dropped, before or after it was granted some, takes none with it.
async fn leaves_no_place<F: Future + Unpin>(granted_first: bool, send: impl FnOnce(LocalRef<Worker>) -> F) {
    let worker = posse::spawn(Spec::new(|| Worker::new("a", &Log::default())).capacity(1));
    worker.try_tell(Add(1)).unwrap();
    let mut sending = send(worker.clone());
    assert!(poll_once(&mut sending).await.is_pending());
    if granted_first {
        settle().await;
        assert!(
            matches!(worker.try_tell(Add(2)), Err(TellError { reason: SendReason::Full, .. })),
            "granted room was overtaken"
        );
    }
    drop(sending);
    settle().await;
    worker.try_tell(Add(3)).unwrap();
    assert_eq!(worker.ask(Add(0)).await, Ok(4));
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

#[posse::test]
async fn a_tell_or_ask_that_is_dropped_while_it_waits_leaves_the_line() {
    for granted_first in [false, true] {
        leaves_no_place(granted_first, |worker| worker.tell(Add(2))).await;
        leaves_no_place(granted_first, |worker| worker.ask(Add(2))).await;
    }
}

struct Selfish;
impl Actor for Selfish {}

#[derive(Message)]
#[message(reply = (bool, Result<u64, AskError>))]
struct TellYourself;

impl Handler<Add> for Selfish {
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        n
    }
}

impl Handler<TellYourself> for Selfish {
    async fn handle(&mut self, _: TellYourself, ctx: &mut Context<Self>) -> (bool, Result<u64, AskError>) {
        let me = ctx.myself();
        while me.try_tell(Add(1)).is_ok() {}
        let full = matches!(me.tell(Add(1)).await, Err(TellError { reason: SendReason::Full, .. }));
        (full, me.ask(Add(1)).await)
    }
}

#[posse::test]
async fn an_actor_never_waits_for_itself() {
    let selfish = posse::spawn(Spec::new(|| Selfish).capacity(4));
    assert_eq!(selfish.ask(TellYourself).await, Ok((true, Err(AskError::Deadlock))));
}

#[test]
fn an_ask_ends_at_its_deadline_and_the_message_is_not_handled_any_more() {
    let runtime = manual();
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let worker = posse::spawn(|| Worker::new("a", &Log::default()));
        let hanging = posse::task::spawn(worker.ask(Hang));
        settle().await;
        let waiting = posse::task::spawn(worker.ask(Add(100)).within(secs(2)));
        settle().await;
        handle.advance(secs(2));
        assert_eq!(waiting.await.unwrap(), Err(AskError::Timeout));
        handle.advance(secs(3));
        assert_eq!(hanging.await.unwrap(), Err(AskError::Timeout));
    });
}

#[posse::test]
async fn a_recipient_sends_without_knowing_the_actor() {
    let worker = posse::spawn(|| Worker::new("a", &Log::default()));
    let recipients: Vec<Recipient<Add>> = vec![worker.recipient(), posse::spawn(|| Selfish).recipient()];
    assert_eq!(recipients[0].ask(Add(4)).await, Ok(4));
    recipients[1].tell(Add(4)).await.unwrap();
    assert_eq!(recipients[1].ask(Add(9)).await, Ok(9));
}

#[posse::test]
async fn names_are_unique_and_end_with_their_actor() {
    let system = System::current();
    let first = posse::spawn(|| Worker::new("a", &Log::default()));
    let second = posse::spawn(|| Worker::new("b", &Log::default()));
    system.register("worker", &first).unwrap();
    assert_eq!(system.register("worker", &second), Err(RegisterError::Taken(first.id())));
    assert_eq!(system.whereis::<Worker>("worker"), Some(first.clone()));
    assert_eq!(system.whereis::<Selfish>("worker"), None);
    first.stop();
    first.closed().await;
    system.register("worker", &second).unwrap();
    assert_eq!(system.register("other", &first), Err(RegisterError::Stopped));
}

#[test]
fn a_sender_to_a_mailbox_that_always_has_room_lets_its_neighbours_run() {
    posse::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        let worker = posse::spawn(Spec::new(|| Worker::new("a", &Log::default())).unbounded());
        let greedy = posse::task::spawn(async move {
            for sent in 0..100_000 {
                worker.tell(Add(1)).await.unwrap();
                // The worker is the neighbour: when it has run the mailbox is shorter than what was sent.
                if worker.queued() < sent {
                    return true;
                }
            }
            false
        });
        assert!(greedy.await.unwrap(), "the sender starves the actor");
    });
}
