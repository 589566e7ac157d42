//! The far side: what a reference needs of an actor that is not in this process. The cluster implements it.
//!
//! Messages are encoded here, where their types are known; behind [`Remote`] all is bytes.

use super::target::{Reserve, Waiter};
use crate::error::{AskError, SendReason};
use crate::id::ActorId;
use crate::protocol::codec::{self, CodecError};
use crate::protocol::scope::{self, RefScope};
use crate::protocol::{MessageType, Wire};
use crate::watch::monitor::{DownCallback, Monitor};
use bytes::BytesMut;
use posse_core::sync::oneshot;
use posse_wire::{CorrelationId, NodeInfo, WireRef};
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// An actor that is not in this process.
pub(crate) trait Remote: Send + Sync {
    fn id(&self) -> ActorId;
    /// Its address, and its node, which the other side may not have met.
    fn export(&self) -> (WireRef, NodeInfo);
    /// Sends a message if there is room on the way, and no other sender waits for it before this one.
    fn tell(&self, waiter: &mut Waiter, message: &dyn Outgoing) -> Result<(), SendReason>;
    /// As `tell`. What comes of it goes into `reply`, once.
    fn ask(
        &self,
        waiter: &mut Waiter,
        message: &dyn Outgoing,
        within: Duration,
        reply: ReplySink,
    ) -> Result<Request, SendReason>;
    fn reserve(&self) -> &dyn Reserve;
    /// Calls `notify` once when the actor, or its node, is down; after what it has sent to `watcher`, if that is an actor.
    fn monitor(&self, watcher: Option<ActorId>, notify: DownCallback) -> Monitor;
    /// Tells later whether the node is down.
    fn is_over(&self) -> Box<dyn Fn() -> bool + Send>;
}

/// A message that can be written as bytes.
pub(crate) trait Outgoing {
    fn message_type(&self) -> MessageType;
    /// Appends the bytes. Within a scope.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;
}

impl<M: Wire> Outgoing for M {
    fn message_type(&self) -> MessageType {
        M::TYPE
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        codec::encode(self, out)
    }
}

/// Takes the encoded reply, or why there is none.
pub(crate) type ReplySink = oneshot::Sender<Result<BytesMut, AskError>>;

/// What keeps the requests of this process to a far side.
pub(crate) trait Requests: Send + Sync {
    /// False if the request was answered, or the answer is being given.
    fn cancel(&self, id: CorrelationId) -> bool;
    /// Where references in answers are read; `None` once the node of this process is gone.
    fn scope(&self) -> Option<Arc<dyn RefScope>>;
}

/// A request on its way.
pub(crate) struct Request {
    pub(crate) of: Arc<dyn Requests>,
    pub(crate) id: CorrelationId,
}

type Decode<R> = fn(Arc<dyn RefScope>, &[u8]) -> Result<R, AskError>;

fn decode<R: DeserializeOwned + 'static>(scope: Arc<dyn RefScope>, body: &[u8]) -> Result<R, AskError> {
    let (reply, _) = scope::within(scope, || codec::decode(body));
    reply.map_err(|error| AskError::Decode(error.to_string().into()))
}

/// The reply of an actor that is not in this process. Dropping it tells the far side that its asker has gone.
#[doc(hidden)]
pub struct RemoteReply<R> {
    reply: oneshot::Receiver<Result<BytesMut, AskError>>,
    /// `None` once there is an answer.
    request: Option<Request>,
    decode: Decode<R>,
}

impl<R: DeserializeOwned + 'static> RemoteReply<R> {
    /// Sends a message and returns its reply to be.
    pub(super) fn ask(
        remote: &dyn Remote,
        waiter: &mut Waiter,
        message: &dyn Outgoing,
        within: Duration,
    ) -> Result<Self, SendReason> {
        let (sink, reply) = oneshot::channel();
        let request = remote.ask(waiter, message, within, sink)?;
        Ok(Self { reply, request: Some(request), decode: decode::<R> })
    }
}

impl<R> Future for RemoteReply<R> {
    type Output = Result<R, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let answer = ready!(Pin::new(&mut this.reply).poll(cx));
        let request = this.request.take();
        let body = match answer {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Poll::Ready(Err(error)),
            Err(_) => return Poll::Ready(Err(AskError::NodeDown)),
        };
        Poll::Ready(match request.and_then(|request| request.of.scope()) {
            Some(scope) => (this.decode)(scope, &body),
            None => Err(AskError::NodeDown),
        })
    }
}

impl<R> Drop for RemoteReply<R> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            request.of.cancel(request.id);
        }
    }
}

impl<R> fmt::Debug for RemoteReply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteReply")
    }
}
