//! The receiving half of a session: frames are taken off the input and understood.

use super::{PendingRequest, Session};
use crate::body::{self, Ack, DownBody, GoAwayBody, Heartbeat, NodeInfo, Resolution};
use crate::code::{RejectReason, ReplyCode};
use crate::config::BACKLOGS_PER_FRAME_MAX;
use crate::event::{Delivery, Event, ProtocolError};
use crate::frame::{FrameError, FrameKind, Header, Parsed, parse};
use crate::handshake::add_types;
use crate::ids::CorrelationId;
use crate::types::TypeKey;
use bytes::BytesMut;
use std::time::Duration;

impl<T> Session<T> {
    /// Takes the next frame off the input and says what it was; `None` if there is no whole frame.
    ///
    /// # Errors
    /// [`ProtocolError`]; the connection is to be closed, after [`close`](Self::close).
    pub fn read_event(&mut self, input: &mut BytesMut, now: Duration) -> Result<Option<Event<T>>, ProtocolError> {
        loop {
            let Some(connection) = self.connection.as_mut() else { return Ok(None) };
            // What was answered could not be queued: nothing more is taken in that would have to be.
            if self.control_overflow {
                return Err(ProtocolError::ControlOverflow);
            }
            let (header, body, frame_bytes) = match parse(input, connection.bytes_max)? {
                Parsed::Incomplete => {
                    connection.on_partial_frame(input.len(), now);
                    return Ok(None);
                }
                Parsed::Skipped => {
                    connection.partial_bytes = 0;
                    continue;
                }
                Parsed::Frame(header, body, bytes) => (header, body, bytes),
            };
            (connection.last_frame_at, connection.last_progress_at, connection.partial_bytes) = (now, now, 0);
            if let Some(event) = self.handle_frame(header, body, frame_bytes, now)? {
                return Ok(Some(event));
            }
        }
    }

    fn handle_frame(
        &mut self,
        header: Header,
        body: BytesMut,
        frame_bytes: u32,
        now: Duration,
    ) -> Result<Option<Event<T>>, ProtocolError> {
        let Some(connection) = self.connection.as_mut() else { return Ok(None) };
        let id = header.correlation.unwrap_or(CorrelationId { slot: 0, generation: 0 });
        Ok(match header.kind {
            FrameKind::Tell | FrameKind::Ask => return Ok(self.message(header, body, frame_bytes, now)),
            FrameKind::Reply => self.take_request(id, header.kind)?.map(|token| Event::Reply(token, body)),
            FrameKind::ReplyErr => {
                let (code, text) = body::read_reply_err(&body)?;
                self.take_request(id, header.kind)?.map(|token| Event::ReplyErr(token, code, text))
            }
            FrameKind::Cancel => Some(Event::Cancel(id)),
            FrameKind::Watch => Some(Event::Watch(id, header.to)),
            FrameKind::Unwatch => Some(Event::Unwatch(id)),
            FrameKind::Down => {
                let down = DownBody::read(&body)?;
                self.take_request(id, header.kind)?.map(|token| Event::Down(token, down))
            }
            FrameKind::Resolve => {
                let (protocol, name) = body::read_resolve(&body)?;
                Some(Event::Resolve(id, protocol, name))
            }
            FrameKind::Resolved => {
                let resolution = Resolution::read(&body)?;
                self.take_request(id, header.kind)?.map(|token| Event::Resolved(token, resolution))
            }
            FrameKind::NodeInfo => Some(Event::NodeInfo(NodeInfo::read(&body)?)),
            // Of several only the last is answered, so pings take no memory.
            FrameKind::Ping => {
                connection.pending_pong = Some(Heartbeat::read(&body)?);
                None
            }
            FrameKind::Pong => {
                Heartbeat::read(&body)?;
                None
            }
            FrameKind::Types => {
                add_types(&mut self.peer_types, &body)?;
                None
            }
            FrameKind::Backlog => {
                // A true backlog is of messages that are unsettled, so there are no more actors than these.
                for (key, load) in body::read_backlogs(&body)? {
                    if !self.out.set_backlog(
                        key,
                        load,
                        self.config.unsettled_max.saturating_add(BACKLOGS_PER_FRAME_MAX),
                    ) {
                        return Err(ProtocolError::Ack);
                    }
                }
                None
            }
            FrameKind::Ack => {
                let settled = self.out.settle(Ack::read(&body)?);
                return if settled { Ok(Some(Event::Settled)) } else { Err(ProtocolError::Ack) };
            }
            FrameKind::GoAway => {
                let GoAwayBody { code, text, .. } = GoAwayBody::read(&body)?;
                Some(Event::GoAway(code, text))
            }
            // The handshake has read the ones that count.
            FrameKind::Ready | FrameKind::Reject => {
                return Err(FrameError::Malformed("a part of the handshake comes too late").into());
            }
        })
    }

    /// A message whose number is not in our table is rejected here.
    fn message(&mut self, header: Header, body: BytesMut, frame_bytes: u32, now: Duration) -> Option<Event<T>> {
        let by_index = || {
            let known = self.own_types.get(usize::from(header.type_ix))?;
            Some(TypeKey { id: known.id, schema: None })
        };
        // The number may be of a table that was told, or invented: it costs that message, and not the connection.
        let Some(type_key) = header.type_key.or_else(by_index) else {
            let epoch = self.epochs;
            self.settle(epoch, frame_bytes, Some(RejectReason::Unreadable), now);
            if let Some(id) = header.correlation {
                self.reply_err(id, ReplyCode::Incompatible, "");
            }
            return None;
        };
        let message = Delivery { to: header.to, type_key, body, frame_bytes };
        Some(match header.correlation {
            Some(id) => {
                let left = Duration::from_millis(u64::from(header.deadline_ms.unwrap_or(u32::MAX)));
                Event::Ask(message, id, left)
            }
            None => Event::Tell(message),
        })
    }

    /// The token of a request, if this is a kind of answer that it has. Answers that come too late find nothing.
    fn take_request(&mut self, id: CorrelationId, kind: FrameKind) -> Result<Option<T>, ProtocolError> {
        let Some((request, _)) = self.requests.get(id.slot, id.generation) else { return Ok(None) };
        let fits = match request {
            PendingRequest::Ask => matches!(kind, FrameKind::Reply | FrameKind::ReplyErr),
            PendingRequest::Watch(..) => kind == FrameKind::Down,
            PendingRequest::Resolve(..) => kind == FrameKind::Resolved,
        };
        if !fits {
            return Err(ProtocolError::Answer);
        }
        Ok(self.remove_request(id).map(|(_, token)| token))
    }
}
