//! The receiving half of a session: frames are taken off the input and understood.

use super::{Question, Session};
use crate::body::{self, Ack, DownBody, Farewell, Heartbeat, Introduction, Resolution};
use crate::code::{Refused, ReplyCode};
use crate::event::{Event, Inbound, Violation};
use crate::frame::{FrameError, Header, Kind, Parsed, parse};
use crate::handshake::add_types;
use crate::ids::CorrelationId;
use crate::limits::HELD_PER_FRAME_MAX;
use crate::types::TypeKey;
use bytes::BytesMut;
use std::time::Duration;

impl<T> Session<T> {
    /// Takes the next frame off the input and says what it was; `None` if there is no whole frame.
    ///
    /// # Errors
    /// [`Violation`]; the connection is to be closed, after [`leave`](Self::leave).
    pub fn next(&mut self, input: &mut BytesMut, now: Duration) -> Result<Option<Event<T>>, Violation> {
        loop {
            let Some(link) = self.link.as_mut() else { return Ok(None) };
            if self.overflown {
                return Err(Violation::Overflow);
            }
            let (header, body, frame_bytes) = match parse(input, link.bytes_max)? {
                Parsed::Incomplete => {
                    link.hear_part(input.len(), now);
                    return Ok(None);
                }
                Parsed::Skipped => {
                    link.partial_bytes = 0;
                    continue;
                }
                Parsed::Frame(header, body, bytes) => (header, body, bytes),
            };
            (link.heard, link.alive, link.partial_bytes) = (now, now, 0);
            if let Some(event) = self.understand(header, body, frame_bytes, now)? {
                return Ok(Some(event));
            }
        }
    }

    fn understand(
        &mut self,
        header: Header,
        body: BytesMut,
        frame_bytes: u32,
        now: Duration,
    ) -> Result<Option<Event<T>>, Violation> {
        let Some(link) = self.link.as_mut() else { return Ok(None) };
        let id = header.correlation.unwrap_or(CorrelationId { slot: 0, generation: 0 });
        Ok(match header.kind {
            Kind::Tell | Kind::Ask => return Ok(self.message(header, body, frame_bytes, now)),
            Kind::Reply => self.answered(id, header.kind)?.map(|token| Event::Reply(token, body)),
            Kind::ReplyErr => {
                let (code, text) = body::read_reply_err(&body)?;
                self.answered(id, header.kind)?.map(|token| Event::ReplyErr(token, code, text))
            }
            Kind::Cancel => Some(Event::Cancel(id)),
            Kind::Watch => Some(Event::Watch(id, header.to)),
            Kind::Unwatch => Some(Event::Unwatch(id)),
            Kind::Down => {
                let down = DownBody::read(&body)?;
                self.answered(id, header.kind)?.map(|token| Event::Down(token, down))
            }
            Kind::Resolve => {
                let (protocol, name) = body::read_resolve(&body)?;
                Some(Event::Resolve(id, protocol, name))
            }
            Kind::Resolved => {
                let resolution = Resolution::read(&body)?;
                self.answered(id, header.kind)?.map(|token| Event::Resolved(token, resolution))
            }
            Kind::NodeInfo => Some(Event::NodeInfo(Introduction::read(&body)?)),
            Kind::Ping => {
                link.pong = Some(Heartbeat::read(&body)?);
                None
            }
            Kind::Pong => {
                Heartbeat::read(&body)?;
                None
            }
            Kind::Types => {
                add_types(&mut self.peer_types, &body)?;
                None
            }
            Kind::Held => {
                for (key, load) in body::read_held(&body)? {
                    if !self.out.hold(key, load, self.limits.unsettled_max.saturating_add(HELD_PER_FRAME_MAX)) {
                        return Err(Violation::Ack);
                    }
                }
                None
            }
            Kind::Ack => {
                let settled = self.out.settle(Ack::read(&body)?);
                return if settled { Ok(Some(Event::Settled)) } else { Err(Violation::Ack) };
            }
            Kind::GoAway => {
                let Farewell { code, text, .. } = Farewell::read(&body)?;
                Some(Event::Goodbye(code, text))
            }
            Kind::Ready | Kind::Reject => {
                return Err(FrameError::Malformed("a part of the handshake comes too late").into());
            }
        })
    }

    /// A message whose number is not in our table is refused here.
    fn message(&mut self, header: Header, body: BytesMut, frame_bytes: u32, now: Duration) -> Option<Event<T>> {
        let by_index = || {
            let known = self.own_types.get(usize::from(header.type_ix))?;
            Some(TypeKey { id: known.id, schema: None })
        };
        let Some(type_key) = header.type_key.or_else(by_index) else {
            let epoch = self.epochs;
            self.settle(epoch, frame_bytes, Some(Refused::Unreadable), now);
            if let Some(id) = header.correlation {
                self.reply_err(id, ReplyCode::Incompatible, "");
            }
            return None;
        };
        let message = Inbound { to: header.to, type_key, body, frame_bytes };
        Some(match header.correlation {
            Some(id) => {
                let left = Duration::from_millis(u64::from(header.deadline_ms.unwrap_or(u32::MAX)));
                Event::Ask(message, id, left)
            }
            None => Event::Tell(message),
        })
    }

    /// The token of a question, if this is a kind of answer that it has. Answers that come too late find nothing.
    fn answered(&mut self, id: CorrelationId, kind: Kind) -> Result<Option<T>, Violation> {
        let Some((question, _)) = self.questions.get(id.slot, id.generation) else { return Ok(None) };
        let fits = match question {
            Question::Ask => matches!(kind, Kind::Reply | Kind::ReplyErr),
            Question::Watch(..) => kind == Kind::Down,
            Question::Resolve(..) => kind == Kind::Resolved,
        };
        if !fits {
            return Err(Violation::Answer);
        }
        if matches!(question, Question::Resolve(..)) {
            self.resolves -= 1;
        }
        Ok(self.questions.remove(id.slot, id.generation).map(|(_, token)| token))
    }
}
