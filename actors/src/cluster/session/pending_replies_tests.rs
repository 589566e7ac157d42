//! Replies that are owed, without a network: sent once when they are ready, dropped when the other node waits no more.

use super::*;
use crate::cluster::events::DownReason;
use crate::cluster::remote::RemoteActor;
use crate::cluster::session::peer::tests::{in_runtime, other, request};
use crate::protocol::scope;
use crate::refs::actor_ref::Repr;
use crate::refs::remote::Remote;
use posse_core::sync::oneshot;
use posse_wire::{ActorKey, NodeId};
use std::future::{Future, pending, poll_fn};
use std::panic::panic_any;
use std::pin::pin;

/// Bytes of a reply of one byte: header, correlation, body.
const REPLY_BYTES: usize = 16 + 8 + 1;

type Reply = Result<Vec<u8>, AskError>;

fn owe(node: &Arc<NodeState>, peer: &Arc<Peer>, id: u32, reply: impl Future<Output = Reply> + Send + 'static) {
    peer.add_pending_reply(node, request(id), None, Box::pin(reply));
}

/// A reply that comes later.
fn later() -> (oneshot::Sender<()>, impl Future<Output = Reply> + Send) {
    let (ready, reply) = oneshot::channel();
    let reply = async move {
        let _ = reply.await;
        Ok(vec![1])
    };
    (ready, reply)
}

/// Owes a number of replies that come later; the senders are in their order.
fn owe_later(node: &Arc<NodeState>, peer: &Arc<Peer>, count: u32) -> Vec<oneshot::Sender<()>> {
    let owe_one = |id| {
        let (ready, reply) = later();
        owe(node, peer, id, reply);
        ready
    };
    (0..count).map(owe_one).collect()
}

/// A reply that never comes, and a sender that is closed once it was dropped.
fn never() -> (oneshot::Sender<()>, impl Future<Output = Reply> + Send) {
    let (kept, keeps) = oneshot::channel::<()>();
    let reply = async move {
        let _keeps = keeps;
        pending().await
    };
    (kept, reply)
}

/// Bytes that wait for the other node, and replies that are not ready.
fn waiting(peer: &Peer) -> (usize, usize) {
    (peer.with_session(|session| session.waiting_bytes()), peer.pending_reply_count())
}

/// Whether the writer was woken since the last time.
async fn is_woken(peer: &Peer) -> bool {
    let mut woken = pin!(peer.write_ready.notified());
    poll_fn(|cx| Poll::Ready(woken.as_mut().poll(cx).is_ready())).await
}

#[test]
fn reply_that_is_ready_waits_for_nobody() {
    in_runtime(async {
        let (node, peer) = other();
        owe(&node, &peer, 1, async { Ok(vec![1]) });
        assert_eq!(waiting(&peer), (REPLY_BYTES, 0));
    });
}

#[test]
fn replies_that_become_ready_together_wake_the_writer_once() {
    in_runtime(async {
        let (node, peer) = other();
        let senders = owe_later(&node, &peer, 3);
        peer.flush_replies(&node);
        assert_eq!((waiting(&peer), is_woken(&peer).await), ((0, 3), false));

        let mut senders = senders.into_iter();
        let mut ready = || assert!(senders.next().expect("there are three").send(()).is_ok());
        ready();
        assert!(is_woken(&peer).await);
        ready();
        assert!(!is_woken(&peer).await, "the writer knows that it has to look");
        peer.flush_replies(&node);
        assert_eq!(waiting(&peer), (2 * REPLY_BYTES, 1));
        ready();
        assert!(is_woken(&peer).await);
        peer.flush_replies(&node);
        assert_eq!(waiting(&peer), (3 * REPLY_BYTES, 0));
    });
}

#[test]
fn replies_that_become_ready_together_are_all_sent_at_once_however_many() {
    in_runtime(async {
        let (node, peer) = other();
        let senders = owe_later(&node, &peer, 1000);
        senders.into_iter().for_each(|sender| sender.send(()).unwrap());
        // More than a task does in one turn, were it its own work.
        peer.flush_replies(&node);
        assert_eq!(waiting(&peer), (1000 * REPLY_BYTES, 0));
        assert!(peer.pending_replies.ready.lock().is_empty());
    });
}

#[test]
fn reply_that_becomes_ready_while_it_is_looked_at_is_looked_at_again() {
    in_runtime(async {
        let (node, peer) = other();
        let (own, writer, mut is_ready) = (node.clone(), peer.clone(), false);
        let reply = poll_fn(move |cx| {
            if std::mem::replace(&mut is_ready, true) {
                return Poll::Ready(Ok(vec![1]));
            }
            cx.waker().wake_by_ref();
            // The writer was quick: the reply is not in the list yet.
            writer.flush_replies(&own);
            Poll::Pending
        });
        owe(&node, &peer, 1, reply);
        peer.flush_replies(&node);
        assert_eq!(waiting(&peer), (REPLY_BYTES, 0));
    });
}

#[test]
fn reply_that_nobody_waits_for_any_more_is_dropped() {
    in_runtime(async {
        let (node, peer) = other();
        let (first, reply) = never();
        owe(&node, &peer, 1, reply);
        assert!(!first.is_closed());
        let (second, reply) = never();
        owe(&node, &peer, 1, reply);
        assert!(first.is_closed() && !second.is_closed(), "a number that is used again stands for the latter ask");
        assert!(peer.cancel_reply(request(1)) && !peer.cancel_reply(request(1)));
        assert!(second.is_closed());

        let (waits, reply) = never();
        owe(&node, &peer, 2, reply);
        peer.mark_down(DownReason::Left);
        assert!(waits.is_closed());
        let (late, reply) = never();
        owe(&node, &peer, 3, reply);
        assert!(late.is_closed());
        assert_eq!(waiting(&peer), (0, 0));
    });
}

#[test]
fn reply_that_panics_is_an_error_whatever_it_panics_with() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("when it is dropped");
        }
    }
    in_runtime(async {
        let (node, peer) = other();
        owe(&node, &peer, 1, async { panic_any(Bomb) });
        // The code of the error, and no text.
        let (bytes, owed) = waiting(&peer);
        assert!(bytes > REPLY_BYTES - 1 && owed == 0, "{bytes}, {owed}");
    });
}

#[test]
fn third_node_that_a_reply_mentions_is_introduced_before_it() {
    in_runtime(async {
        let (node, peer) = other();
        let node_info = NodeInfo { node: NodeId::new("third", 1), name: "third".into(), address: "c:3".into() };
        let third: Arc<dyn Remote> =
            Arc::new(RemoteActor::new(Peer::new(&node, node_info, &[]), ActorKey { slot: 1, generation: 1 }, 7));
        let mentions = |third: Arc<dyn Remote>| async move {
            scope::export(&Repr::Remote(third)).map_err(|error| AskError::Encode(error.into()))?;
            Ok(vec![1])
        };
        owe(&node, &peer, 1, mentions(third.clone()));
        let (introduced, _) = waiting(&peer);
        assert!(introduced > REPLY_BYTES + 16, "{introduced}");
        owe(&node, &peer, 2, mentions(third));
        assert_eq!(waiting(&peer), (introduced + REPLY_BYTES, 0), "once is enough");
    });
}
