//! References to actors of other nodes: what they send is encoded here and queued in the session.

use super::core::Core;
use super::peer::{Answer, Peer};
use super::room::Place;
use crate::error::{AskError, TellError};
use crate::id::{ActorId, ExitReason};
use crate::protocol::Wire;
use crate::protocol::codec;
use crate::watch::monitor::{Monitor, Notify};
use bytes::BytesMut;
use posse_core::runtime::Handle;
use posse_core::sync::oneshot;
use posse_wire::{ActorKey, CorrelationId, Introduction, SendError, Session, TypeInfo, WireRef};
use serde::Serialize;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Buffers up to this size are kept for the next message. Guessed.
const SCRATCH_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An actor of another node.
#[derive(Clone)]
pub(crate) struct RemoteRef {
    peer: Arc<Peer>,
    key: ActorKey,
    protocol: u64,
}

fn type_info<M: Wire>() -> TypeInfo {
    TypeInfo { id: M::TYPE.id, schema: M::TYPE.schema }
}

/// Encodes a value into a buffer that is used again, and hands it to `send` with the nodes to introduce.
pub(super) fn encoded<T: Serialize + 'static, R>(
    core: &Arc<Core>,
    value: &T,
    send: impl FnOnce(&[u8], Vec<Introduction>) -> R,
) -> Result<R, codec::CodecError> {
    let mut body = SCRATCH.take();
    body.clear();
    let (result, mentioned) = codec::within(core, || codec::encode(value, &mut body));
    let result = result.map(|()| send(&body, mentioned));
    if body.capacity() <= SCRATCH_BYTES_MAX {
        SCRATCH.set(body);
    }
    result
}

/// Says who the third nodes of a message are, before it.
pub(super) fn introduce<T>(core: &Core, session: &mut Session<T>, mentioned: &[Introduction]) {
    if !mentioned.is_empty() {
        let now = core.now();
        mentioned.iter().for_each(|node| session.introduce(node, now));
    }
}

impl RemoteRef {
    pub(crate) fn new(peer: Arc<Peer>, key: ActorKey, protocol: u64) -> Self {
        Self { peer, key, protocol }
    }

    pub(crate) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// The runtime of this process's node; `None` once that node is gone.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        self.peer.core().map(|core| core.handle.clone())
    }

    pub(crate) fn wire(&self) -> WireRef {
        WireRef { node: self.peer.id(), key: self.key, protocol: self.protocol }
    }

    pub(crate) fn id(&self) -> ActorId {
        ActorId::remote(self.peer.id(), self.key)
    }

    pub(crate) fn tell<M: Wire>(&self, place: &mut Place, message: M) -> Result<(), TellError<M>> {
        let Some(core) = self.peer.core() else { return Err(TellError::NodeDown(message)) };
        if !self.peer.may_send(place, self.key) {
            return Err(TellError::Full(message));
        }
        let sent = encoded(&core, &message, |body, mentioned| {
            let result = self.peer.with_session(|session| {
                introduce(&core, session, &mentioned);
                session.tell(self.key, type_info::<M>(), body)
            });
            #[cfg(feature = "sim")]
            self.log::<M>(&core, result.is_ok(), body);
            result
        });
        match sent {
            Ok(Ok(())) => {
                self.leave_line(place);
                Ok(())
            }
            Ok(Err(error)) => Err(refused(error, message)),
            Err(error) => Err(TellError::Encode(message, error.to_string().into())),
        }
    }

    pub(crate) fn ask<M: Wire>(
        &self,
        place: &mut Place,
        message: M,
        within: Duration,
    ) -> Result<RemoteReply<M::Reply>, TellError<M>> {
        let Some(core) = self.peer.core() else { return Err(TellError::NodeDown(message)) };
        if !self.peer.may_send(place, self.key) {
            return Err(TellError::Full(message));
        }
        let (answer, reply) = oneshot::channel();
        let sent = encoded(&core, &message, |body, mentioned| {
            let result = self.peer.with_session(|session| {
                introduce(&core, session, &mentioned);
                session.ask(self.key, type_info::<M>(), body, within, Answer::Ask(answer))
            });
            #[cfg(feature = "sim")]
            self.log::<M>(&core, result.is_ok(), body);
            result
        });
        match sent {
            Ok(Ok(id)) => {
                self.leave_line(place);
                Ok(RemoteReply {
                    reply,
                    question: Some(Question { peer: self.peer.clone(), id }),
                    decode: decode_reply::<M::Reply>,
                })
            }
            Ok(Err((error, _))) => Err(refused(error, message)),
            Err(error) => Err(TellError::Encode(message, error.to_string().into())),
        }
    }

    #[cfg(feature = "sim")]
    fn log<M: Wire>(&self, core: &Core, accepted: bool, body: &[u8]) {
        if let Some(log) = crate::sim::WireLog::of(&core.handle).filter(|_| accepted) {
            log.sent(self.peer.own(), self.peer.id(), self.key, M::TYPE.id, body);
        }
    }

    pub(crate) fn poll_room(&self, place: &mut Place, cx: &mut Context<'_>) -> Poll<()> {
        self.peer.poll_room(place, self.key, cx)
    }

    pub(crate) fn leave_line(&self, place: &mut Place) {
        self.peer.leave_line(place, self.key);
    }

    pub(crate) fn watch(&self, watcher: Option<ActorId>, notify: Notify) -> Monitor {
        let watcher = watcher.map(|watcher| watcher.number());
        match self.peer.with_session(|session| session.watch(self.key, Answer::Watch(notify, watcher))) {
            Ok(id) => Monitor::remote(self.id(), RemoteMonitor(Question { peer: self.peer.clone(), id })),
            Err((_, answer)) => {
                if let Answer::Watch(notify, _) = answer {
                    notify(&ExitReason::NodeDown);
                }
                Monitor::ended(self.id())
            }
        }
    }
}

fn refused<M>(error: SendError, message: M) -> TellError<M> {
    match error {
        SendError::Full => TellError::Full(message),
        SendError::TooLarge => TellError::TooLarge(message),
        SendError::Incompatible => TellError::Incompatible(message),
        SendError::Closed => TellError::NodeDown(message),
    }
}

/// Something asked of another node.
#[derive(Clone)]
struct Question {
    peer: Arc<Peer>,
    id: CorrelationId,
}

impl Question {
    /// False if it was answered, or the answer is being given.
    fn cancel(&self) -> bool {
        let answer = self.peer.with_session(|session| session.cancel(self.id));
        // One question less: that may have been what others waited for.
        self.peer.wake_line();
        answer.is_some()
    }
}

type Decode<R> = fn(&Arc<Core>, &[u8]) -> Result<R, AskError>;

fn decode_reply<R: serde::de::DeserializeOwned + 'static>(core: &Arc<Core>, body: &[u8]) -> Result<R, AskError> {
    let (reply, _) = codec::within(core, || codec::decode(body));
    reply.map_err(|error| AskError::Decode(error.to_string().into()))
}

/// The reply of an actor of another node. Dropping it tells that node that nobody waits.
#[doc(hidden)]
pub struct RemoteReply<R> {
    reply: oneshot::Receiver<Result<BytesMut, AskError>>,
    question: Option<Question>,
    decode: Decode<R>,
}

impl<R> Future for RemoteReply<R> {
    type Output = Result<R, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let answer = ready!(Pin::new(&mut this.reply).poll(cx));
        let question = this.question.take();
        let body = match answer {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Poll::Ready(Err(error)),
            Err(_) => return Poll::Ready(Err(AskError::NodeDown)),
        };
        Poll::Ready(match question.and_then(|question| question.peer.core()) {
            Some(core) => (this.decode)(&core, &body),
            None => Err(AskError::NodeDown),
        })
    }
}

impl<R> Drop for RemoteReply<R> {
    fn drop(&mut self) {
        if let Some(question) = self.question.take() {
            question.cancel();
        }
    }
}

impl<R> fmt::Debug for RemoteReply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteReply")
    }
}

/// A monitor on an actor of another node.
#[doc(hidden)]
#[derive(Clone)]
pub struct RemoteMonitor(Question);

impl RemoteMonitor {
    pub(crate) fn cancel(&self) -> bool {
        self.0.cancel()
    }
}

impl fmt::Debug for RemoteMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteMonitor")
    }
}
