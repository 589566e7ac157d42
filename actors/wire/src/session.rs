//! The relation between two incarnations of nodes: what is sent, what arrives, who waits for an answer.
//!
//! It outlives connections. All frames leave in one order, so a `Down` cannot overtake a message. Invariants: every
//! token that was taken in is given out once, with an answer, by [`Session::cancel`] or by [`Session::close`]; of what
//! the other side can cause, everything is bounded by [`Limits`].

use crate::body::{self, Ack, DownBody, Farewell, Heartbeat, Introduction, Resolution, write_coded, write_resolve};
use crate::code::{DownCode, Goodbye, Refused, ReplyCode};
use crate::event::{Event, Inbound, SendError, Violation};
use crate::frame::{FrameError, Header, Kind, Parsed, parse};
use crate::handshake::{Connected, add_types, write_all_types};
use crate::ids::{ActorKey, CorrelationId, NodeId};
use crate::limits::Limits;
use crate::outbox::{Counters, Outbox};
use crate::slab::Slab;
use crate::types::{Form, PeerTypes, TypeInfo, TypeKey};
use bytes::BytesMut;
use std::collections::BTreeSet;
use std::time::Duration;

/// Third nodes that are introduced once per connection; beyond, again with every mention. Guessed.
const INTRODUCED_MAX: usize = 65_536;

/// So many more bytes of a frame are a sign of life before it is whole: a large one may take longer than silence may. Who
/// sends less within the time of silence is as good as silent. Guessed.
const PROGRESS_BYTES: usize = 4096;

#[derive(Debug)]
enum Question {
    Ask,
    Watch(ActorKey),
    Resolve(u64, String),
}

/// What belongs to one connection.
#[derive(Debug)]
struct Link {
    epoch: u64,
    bytes_max: u32,
    /// A whole frame. Until the next one the other side is asked for signs of life, so that it hears ours.
    heard: Duration,
    /// A whole frame, or a part of one.
    alive: Duration,
    /// Bytes there were of an unfinished frame then.
    partial_bytes: usize,
    pinged: u64,
    pinged_at: Duration,
    pong: Option<Heartbeat>,
    /// What we have settled.
    ack: Ack,
    ack_told: Ack,
    ack_since: Option<Duration>,
    leaving: bool,
}

/// The relation of this node to another one.
#[derive(Debug)]
pub struct Session<T> {
    limits: Limits,
    own_types: Vec<TypeInfo>,
    peer_types: PeerTypes,
    peer_bytes_max: u32,
    link: Option<Link>,
    epochs: u64,
    out: Outbox,
    questions: Slab<(Question, T)>,
    introduced: BTreeSet<NodeId>,
    overflown: bool,
    closed: bool,
}

impl<T> Session<T> {
    /// Not connected yet. What is sent waits.
    pub fn new(limits: Limits, own_types: &[TypeInfo]) -> Self {
        Self {
            peer_bytes_max: limits.message_bytes_max,
            limits,
            own_types: own_types.to_vec(),
            peer_types: PeerTypes::default(),
            link: None,
            epochs: 0,
            out: Outbox::default(),
            questions: Slab::default(),
            introduced: BTreeSet::new(),
            overflown: false,
            closed: false,
        }
    }

    /// Takes over a connection and returns its number. Questions that wait are asked again.
    pub fn attach(&mut self, connected: Connected, now: Duration) -> u64 {
        self.detach();
        self.epochs += 1;
        self.peer_types = connected.types;
        self.peer_bytes_max = connected.peer.message_bytes_max.min(self.limits.message_bytes_max);
        self.link = Some(Link {
            epoch: self.epochs,
            bytes_max: self.limits.frame_bytes_max(),
            heard: now,
            alive: now,
            partial_bytes: 0,
            pinged: 0,
            pinged_at: now,
            pong: None,
            ack: Ack::default(),
            ack_told: Ack::default(),
            ack_since: None,
            leaving: false,
        });
        self.announce(connected.told);

        let mut again = Vec::new();
        for ((slot, generation), (question, _)) in self.questions.iter() {
            let id = CorrelationId { slot, generation };
            match question {
                Question::Ask => {}
                Question::Watch(to) => again.push((Header { to: *to, ..question_header(Kind::Watch, id) }, Vec::new())),
                Question::Resolve(protocol, name) => {
                    let mut body = Vec::new();
                    write_resolve(*protocol, name, &mut body);
                    again.push((question_header(Kind::Resolve, id), body));
                }
            }
        }
        again.into_iter().for_each(|(header, body)| self.push_exempt(&header, &body));
        self.epochs
    }

    /// The connection is gone. What was on its way is counted as lost.
    pub fn detach(&mut self) {
        if self.link.take().is_some() {
            self.out.cut();
            self.introduced.clear();
            self.overflown = false;
        }
    }

    /// Returns true while there is a connection.
    pub fn is_attached(&self) -> bool {
        self.link.is_some()
    }

    /// The other side is gone for good: everything waiting is lost, and all tokens come back.
    pub fn close(&mut self) -> Vec<T> {
        self.detach();
        self.closed = true;
        self.out.close();
        self.questions.drain().into_iter().map(|(_, (_, token))| token).collect()
    }

    /// What became of the messages to the other side.
    pub fn counters(&self) -> Counters {
        self.out.counters()
    }

    /// Makes more types known that this side receives.
    pub fn add_types(&mut self, types: &[TypeInfo]) {
        let told = self.own_types.len();
        self.own_types.extend_from_slice(types);
        if self.link.is_some() {
            self.announce(told);
        }
    }

    fn announce(&mut self, told: usize) {
        let mut frames = BytesMut::new();
        write_all_types(told, &self.own_types[told.min(self.own_types.len())..], &mut frames);
        while let Ok(Parsed::Frame(header, body, _)) = parse(&mut frames, u32::MAX) {
            self.push_exempt(&header, &body);
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn tell(&mut self, to: ActorKey, message: TypeInfo, body: &[u8]) -> Result<(), SendError> {
        let header = self.message_header(Kind::Tell, to, message, body)?;
        self.out.push_message(&header, body);
        Ok(())
    }

    /// Sends a message that wants a reply within a time. The token comes back with the reply.
    ///
    /// # Errors
    /// [`SendError`] with the token; nothing was sent.
    pub fn ask(
        &mut self,
        to: ActorKey,
        message: TypeInfo,
        body: &[u8],
        within: Duration,
        token: T,
    ) -> Result<CorrelationId, (SendError, T)> {
        let header = match self.message_header(Kind::Ask, to, message, body) {
            Ok(header) => header,
            Err(error) => return Err((error, token)),
        };
        let id = self.question(Question::Ask, token);
        let deadline_ms = Some(u32::try_from(within.as_millis()).unwrap_or(u32::MAX));
        self.out.push_message(&Header { correlation: Some(id), deadline_ms, ..header }, body);
        Ok(id)
    }

    /// Returns true if a message is not refused for want of room: the bound may be overstepped by one message.
    pub fn has_room(&self) -> bool {
        let (unsettled, unsettled_bytes) = self.out.unsettled();
        self.closed
            || (unsettled_bytes < self.limits.unsettled_bytes_max as u64
                && unsettled < self.limits.unsettled_max as u64
                && self.questions.len() < self.limits.asks_max)
    }

    fn message_header(
        &mut self,
        kind: Kind,
        to: ActorKey,
        message: TypeInfo,
        body: &[u8],
    ) -> Result<Header, SendError> {
        let header = self.check_message(kind, to, message, body);
        if matches!(header, Err(SendError::Closed | SendError::TooLarge | SendError::Incompatible)) {
            self.out.give_back();
        }
        header
    }

    fn check_message(&self, kind: Kind, to: ActorKey, message: TypeInfo, body: &[u8]) -> Result<Header, SendError> {
        if self.closed {
            return Err(SendError::Closed);
        }
        if body.len() > self.peer_bytes_max as usize {
            return Err(SendError::TooLarge);
        }
        if !self.has_room() {
            return Err(SendError::Full);
        }
        let header = Header { to, ..Header::new(kind) };
        match self.peer_types.form(message.id, message.schema) {
            Form::Index(type_ix) => Ok(Header { type_ix, ..header }),
            Form::Full => {
                Ok(Header { type_key: Some(TypeKey { id: message.id, schema: Some(message.schema) }), ..header })
            }
            Form::Incompatible => Err(SendError::Incompatible),
        }
    }

    fn question(&mut self, question: Question, token: T) -> CorrelationId {
        let (slot, generation) = self.questions.insert((question, token));
        CorrelationId { slot, generation }
    }

    /// Takes back a question. The other side is told, so that it can save itself the work.
    pub fn cancel(&mut self, id: CorrelationId) -> Option<T> {
        let (question, token) = self.questions.remove(id.slot, id.generation)?;
        match question {
            Question::Ask if self.link.is_some() => self.push_exempt(&question_header(Kind::Cancel, id), &[]),
            Question::Watch(to) => {
                self.push_exempt(&Header { to, ..question_header(Kind::Unwatch, id) }, &[]);
            }
            Question::Ask | Question::Resolve(..) => {}
        }
        Some(token)
    }

    /// Monitors an actor: the token comes back with its end.
    ///
    /// # Errors
    /// [`SendError::Full`] beyond [`Limits::monitors_max`] questions, [`SendError::Closed`].
    pub fn watch(&mut self, to: ActorKey, token: T) -> Result<CorrelationId, (SendError, T)> {
        if self.closed {
            return Err((SendError::Closed, token));
        }
        if self.questions.len() >= self.limits.monitors_max.saturating_add(self.limits.asks_max) {
            return Err((SendError::Full, token));
        }
        let id = self.question(Question::Watch(to), token);
        self.push_exempt(&Header { to, ..question_header(Kind::Watch, id) }, &[]);
        Ok(id)
    }

    /// Asks for a published name: the token comes back with the answer.
    ///
    /// # Errors
    /// [`SendError::TooLarge`] for a name of more than 255 bytes, [`SendError::Closed`].
    pub fn resolve(&mut self, protocol: u64, name: &str, token: T) -> Result<CorrelationId, (SendError, T)> {
        if self.closed {
            return Err((SendError::Closed, token));
        }
        if name.len() > crate::limits::NAME_BYTES_MAX {
            return Err((SendError::TooLarge, token));
        }
        let id = self.question(Question::Resolve(protocol, name.to_owned()), token);
        let mut body = Vec::new();
        write_resolve(protocol, name, &mut body);
        self.push_exempt(&question_header(Kind::Resolve, id), &body);
        Ok(id)
    }

    /// Introduces a third node, once per connection, before it is first mentioned.
    pub fn introduce(&mut self, node: &Introduction) {
        let known = self.introduced.contains(&node.node);
        if known || self.closed {
            return;
        }
        if self.introduced.len() < INTRODUCED_MAX {
            self.introduced.insert(node.node);
        }
        let mut body = Vec::new();
        node.write(&mut body);
        self.push_exempt(&Header::new(Kind::NodeInfo), &body);
    }

    /// Answers an ask.
    ///
    /// # Errors
    /// [`SendError::TooLarge`]: the caller answers with [`reply_err`](Self::reply_err).
    pub fn reply(&mut self, to: CorrelationId, body: &[u8]) -> Result<(), SendError> {
        if body.len() > self.peer_bytes_max as usize {
            return Err(SendError::TooLarge);
        }
        self.push_exempt(&question_header(Kind::Reply, to), body);
        Ok(())
    }

    /// Says that there is no reply to an ask.
    pub fn reply_err(&mut self, to: CorrelationId, code: ReplyCode, text: &str) {
        self.push_coded(Kind::ReplyErr, to, code.to_u16(), text);
    }

    /// Says that a monitored actor has ended.
    pub fn down(&mut self, to: CorrelationId, code: DownCode, text: &str) {
        self.push_coded(Kind::Down, to, code.to_u16(), text);
    }

    /// Answers a question for a name.
    pub fn resolved(&mut self, to: CorrelationId, answer: Resolution) {
        let mut body = Vec::new();
        answer.write(&mut body);
        self.push_exempt(&question_header(Kind::Resolved, to), &body);
    }

    fn push_coded(&mut self, kind: Kind, to: CorrelationId, code: u16, text: &str) {
        let mut body = Vec::new();
        write_coded(code, text, &mut body);
        self.push_exempt(&question_header(kind, to), &body);
    }

    fn push_exempt(&mut self, header: &Header, body: &[u8]) {
        if self.closed {
            return;
        }
        if self.out.exempt_bytes() + body.len() > self.limits.control_bytes_max {
            self.overflown = true;
            return;
        }
        self.out.push_exempt(header, body);
    }

    /// Counts a message of connection `epoch` as taken into a mailbox, or as refused.
    pub fn settle(&mut self, epoch: u64, frame_bytes: u32, refused: Option<Refused>, now: Duration) {
        let Some(link) = self.link.as_mut().filter(|link| link.epoch == epoch) else { return };
        link.ack.settled += 1;
        link.ack.bytes += u64::from(frame_bytes);
        if let Some(refused) = refused {
            link.ack.refused[refused as usize] += 1;
        }
        link.ack_since.get_or_insert(now);
    }

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
                    if input.len() >= link.partial_bytes + PROGRESS_BYTES {
                        (link.alive, link.partial_bytes) = (now, input.len());
                    }
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
            Question::Watch(_) => kind == Kind::Down,
            Question::Resolve(..) => kind == Kind::Resolved,
        };
        if !fits {
            return Err(Violation::Answer);
        }
        Ok(self.questions.remove(id.slot, id.generation).map(|(_, token)| token))
    }

    /// Returns the next bytes to write. Acknowledgements and signs of life ride along.
    pub fn output(&mut self, now: Duration) -> Option<BytesMut> {
        let ack_is_due = self.ack_is_due(now);
        let link = self.link.as_mut()?;
        let ping_is_due = now >= link.heard.max(link.pinged_at) + self.limits.heartbeat;
        if self.out.is_empty() && !ack_is_due && !ping_is_due && link.pong.is_none() {
            return None;
        }

        let mut bytes = self.out.take().unwrap_or_default();
        let mut body = Vec::new();
        if link.ack_since.take().is_some() {
            link.ack.write(&mut body);
            Header::new(Kind::Ack).write(&body, &mut bytes);
            link.ack_told = link.ack;
        }
        if let Some(beat) = link.pong.take() {
            body.clear();
            beat.write(&mut body);
            Header::new(Kind::Pong).write(&body, &mut bytes);
        }
        if ping_is_due {
            link.pinged += 1;
            link.pinged_at = now;
            body.clear();
            Heartbeat { time_ns: now.as_nanos() as u64, number: link.pinged }.write(&mut body);
            Header::new(Kind::Ping).write(&body, &mut bytes);
        }
        Some(bytes)
    }

    /// Says goodbye behind everything that waits. The connection is to be closed once that is written.
    pub fn leave(&mut self, code: Goodbye, text: &str) {
        let Some(link) = self.link.as_mut().filter(|link| !link.leaving) else { return };
        link.leaving = true;
        let mut body = Vec::new();
        Farewell { code, detail: 0, text: text.to_owned() }.write(&mut body);
        self.out.push_exempt(&Header::new(Kind::GoAway), &body);
    }

    /// Returns true after [`leave`](Self::leave).
    pub fn is_leaving(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.leaving)
    }

    /// Returns true if somebody waits for an answer.
    pub fn waits(&self) -> bool {
        !self.questions.is_empty()
    }

    /// Returns true if [`output`](Self::output) has an acknowledgement that cannot wait.
    pub fn ack_is_due(&self, now: Duration) -> bool {
        let Some(link) = &self.link else { return false };
        link.ack_since.is_some_and(|since| now >= since + self.limits.ack_delay)
            || link.ack.bytes - link.ack_told.bytes >= self.limits.unsettled_bytes_max as u64 / 4
            || link.ack.settled - link.ack_told.settled >= self.limits.unsettled_max as u64 / 4
    }

    /// Returns true if frames wait to be written.
    pub fn has_output(&self) -> bool {
        self.link.is_some() && !self.out.is_empty()
    }

    /// Gives back a buffer of [`output`](Self::output) after it was written.
    pub fn recycle(&mut self, bytes: BytesMut) {
        self.out.recycle(bytes);
    }

    /// When [`output`](Self::output) has something to say again though nothing happened, or the connection must end.
    pub fn deadline(&self) -> Option<Duration> {
        let link = self.link.as_ref()?;
        let ping = link.heard.max(link.pinged_at) + self.limits.heartbeat;
        let ack = link.ack_since.map_or(Duration::MAX, |since| since + self.limits.ack_delay);
        Some(ping.min(ack).min(link.alive + self.limits.silence_max))
    }

    /// Checks that the other side is still there.
    ///
    /// # Errors
    /// [`Violation::Silent`] or [`Violation::Overflow`]; the connection is to be closed.
    pub fn check(&self, now: Duration) -> Result<(), Violation> {
        let Some(link) = &self.link else { return Ok(()) };
        if self.overflown {
            return Err(Violation::Overflow);
        }
        if now >= link.alive + self.limits.silence_max { Err(Violation::Silent) } else { Ok(()) }
    }
}

fn question_header(kind: Kind, id: CorrelationId) -> Header {
    Header { correlation: Some(id), ..Header::new(kind) }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "answer_tests.rs"]
mod answer_tests;
