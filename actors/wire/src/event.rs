//! Events that a session reports to its driver.

use crate::body::{DownBody, NodeInfo, Resolution};
use crate::code::{CloseReason, ReplyCode};
use crate::frame::FrameError;
use crate::ids::{ActorKey, CorrelationId};
use crate::types::TypeKey;
use bytes::BytesMut;
use std::fmt;
use std::time::Duration;

/// A message that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Whom it is for.
    pub to: ActorKey,
    /// What it is.
    pub type_key: TypeKey,
    /// Its bytes.
    pub body: BytesMut,
    /// To be given to [`Session::settle`](crate::Session::settle).
    pub frame_bytes: u32,
}

/// What has arrived. `T` is what was given with the request.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<T> {
    /// A message without a reply.
    Tell(Delivery),
    /// A message with a reply, and the time that is left for it.
    Ask(Delivery, CorrelationId, Duration),
    /// The asker has gone.
    Cancel(CorrelationId),
    /// The reply to an ask.
    Reply(T, BytesMut),
    /// There is no reply to an ask.
    ReplyErr(T, ReplyCode, String),
    /// The other side monitors an actor.
    Watch(CorrelationId, ActorKey),
    /// It no longer does.
    Unwatch(CorrelationId),
    /// A monitored actor has ended.
    Down(T, DownBody),
    /// A lookup of a name and its protocol.
    Resolve(CorrelationId, u64, String),
    /// The answer to one.
    Resolved(T, Resolution),
    /// A third node, before it is first mentioned.
    NodeInfo(NodeInfo),
    /// Room has become free.
    Settled,
    /// The other side ends the connection.
    GoAway(CloseReason, String),
}

/// Why a connection must end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame broke the rules.
    Frame(FrameError),
    /// An acknowledgement of what was not sent, or one that shrinks.
    Ack,
    /// No frame came for so long.
    IdleTimeout(Duration),
    /// The other side takes too little of what it is owed.
    ControlOverflow,
    /// A request was answered with what is no answer to it.
    Answer,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => write!(f, "{error}"),
            Self::Ack => f.write_str("an acknowledgement of what was not sent"),
            Self::IdleTimeout(time) => write!(f, "no frame for {time:?}"),
            Self::ControlOverflow => f.write_str("too many answers wait to be taken"),
            Self::Answer => f.write_str("an answer of another kind than the request has"),
        }
    }
}

impl std::error::Error for ProtocolError {}

impl From<FrameError> for ProtocolError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// As much as is allowed waits or is on its way; [`Event::Settled`] says when there is room.
    Full,
    /// Longer than one of the two sides allows.
    TooLarge,
    /// The other side has another form of the message.
    Incompatible,
    /// The other side is gone for good.
    Closed,
}
