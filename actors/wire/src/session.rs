//! The relation between two incarnations of nodes: what is sent, what arrives, who waits for an answer.
//!
//! It outlives connections. All frames leave in one order, so a `Down` cannot overtake a message. Invariants: every
//! token that was taken in is given out once, with an answer, by [`Session::cancel`] or by [`Session::terminate`]; of what
//! the other side can cause, everything is bounded by [`NodeConfig`].

use crate::body::{GoAwayBody, NodeInfo, Resolution, write_coded, write_resolve};
use crate::code::{CloseReason, DownCode, RejectReason, ReplyCode};
use crate::concurrency_limit::ConcurrencyLimit;
use crate::config::{NAME_BYTES_MAX, NodeConfig, TYPES_MAX};
use crate::connection::{Closing, ConnectionState};
use crate::event::{ProtocolError, SendError};
use crate::flow_control::Load;
use crate::frame::{FrameKind, Header};
use crate::handshake::Established;
use crate::ids::{ActorKey, CorrelationId, NodeId};
use crate::send_queue::{Counters, SendQueue};
use crate::slab::Slab;
use crate::types::{PeerTypes, TypeEncoding, TypeInfo, TypeKey, announced};
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::time::Duration;

mod lookups;
mod receive;

use lookups::{Lookup, Lookups};

/// Bytes of a request that is no ask: its name, and what goes around it.
const REQUEST_BYTES_MAX: usize = NAME_BYTES_MAX + 64;

/// For how long the other side is taken to remember a third node, of which it remembers a limited number. Guessed.
const NODE_INFO_TIME: Duration = Duration::from_secs(10);

/// The number of a monitor is that of the segment that it waits in, or has left in. One that has left is asked again.
#[derive(Debug)]
enum PendingRequest {
    Ask,
    Watch(ActorKey, u64),
    Resolve(u64, String, Lookup),
}

/// The relation of this node to another one. `T` is a token that comes back with the answer to a request.
///
/// A session acts only when it is called. Its driver makes these calls, one at a time:
///
/// | when | call |
/// |---|---|
/// | a handshake has yielded [`Established`] | [`attach`](Self::attach), which returns the number of the connection, its *epoch* |
/// | the program sends, connected or not | [`tell`](Self::tell), [`ask`](Self::ask), [`watch`](Self::watch), [`resolve`](Self::resolve), [`cancel`](Self::cancel); after [`SendError::Full`] again with [`Event::Settled`](crate::Event::Settled) or an answer |
/// | bytes have arrived | [`read_event`](Self::read_event) until `None` |
/// | a message has arrived | [`settle`](Self::settle) once, with the connection's epoch; if it has to wait for its actor, [`add_backlog`](Self::add_backlog) and [`remove_backlog`](Self::remove_backlog) before |
/// | an ask, a monitor or a lookup is to be answered | [`reply`](Self::reply) or [`reply_err`](Self::reply_err), [`down`](Self::down), [`resolved`](Self::resolved) |
/// | [`has_output`](Self::has_output) or [`ack_is_due`](Self::ack_is_due) after any of these, and with each timeout | [`poll_transmit`](Self::poll_transmit) until `None`; each buffer goes back with [`recycle`](Self::recycle) once it is written |
/// | [`poll_timeout`](Self::poll_timeout) has come; it is asked for again after each call | [`handle_timeout`](Self::handle_timeout), then `poll_transmit` |
/// | this side ends the connection, after a [`ProtocolError`] or because the node leaves | [`close`](Self::close), `poll_transmit` until `None` |
/// | the connection is gone | [`return_unwritten`](Self::return_unwritten) with what was not written, then [`detach`](Self::detach) |
/// | the other node is down | [`terminate`](Self::terminate), once |
///
/// Otherwise: a message that is not settled takes its sender's room until the connection ends. Without `poll_transmit` the
/// other side gives the connection up after [`NodeConfig::max_idle_timeout`]; without `handle_timeout` this side never does.
/// What is neither recycled nor returned is lost, and counted so, when the connection ends. Calls with the epoch of an
/// earlier connection, and those after `terminate`, do nothing.
///
/// # Examples
/// ```
/// use bytes::BytesMut;
/// use posse_wire::{ActorKey, AwaitHello, Event, Hello, NodeConfig, Role, Session, TypeInfo};
/// use std::time::Duration;
///
/// type Asker = &'static str;
///
/// /// Everything that one side has to say reaches the other. A driver has a socket in between.
/// fn carry(from: &mut Session<Asker>, to: &mut Session<Asker>, now: Duration) -> Vec<Event<Asker>> {
///     let mut input = BytesMut::new();
///     while let Some(bytes) = from.poll_transmit(now) {
///         input.extend_from_slice(&bytes);
///         from.recycle(bytes);
///     }
///     let mut events = Vec::new();
///     while let Some(event) = to.read_event(&mut input, now).expect("no rule is broken") {
///         events.push(event);
///     }
///     events
/// }
///
/// let (now, config) = (Duration::ZERO, NodeConfig::default());
/// let add = TypeInfo { id: 1, schema: 1 };
/// let (mut alice, mut bob) = (Session::new(config.clone(), &[]), Session::new(config.clone(), &[add]));
/// # let (hello_a, mut to_bob) = AwaitHello::new(Role::Initiator, Hello::new("c", "alice", 1, "", &config)?);
/// # let (hello_b, _) = AwaitHello::new(Role::Acceptor, Hello::new("c", "bob", 1, "", &config)?);
/// # let (mut at_bob, mut to_alice) = hello_b.read(&mut to_bob)?.expect("all of it").accept(&[add]);
/// # let (mut at_alice, mut to_bob) = hello_a.read(&mut to_alice)?.expect("all of it").accept(&[]);
/// # let (for_alice, for_bob) = (at_alice.read(&mut to_alice)?.unwrap(), at_bob.read(&mut to_bob)?.unwrap());
/// // A handshake has gone before: see the documentation of the crate.
/// alice.attach(for_alice, now);
/// let epoch = bob.attach(for_bob, now);
///
/// alice.ask(ActorKey { slot: 7, generation: 1 }, add, b"5", Duration::from_secs(1), "asker").expect("there is room");
/// for event in carry(&mut alice, &mut bob, now) {
///     let Event::Ask(message, id, _) = event else { panic!("expected an ask") };
///     // It is in a mailbox, and answered.
///     bob.settle(epoch, message.frame_bytes, None, now);
///     bob.reply(id, b"6", None).expect("there is room");
/// }
/// // The acknowledgement rides along with the reply.
/// let answer = Event::Reply("asker", BytesMut::from(&b"6"[..]));
/// assert_eq!(carry(&mut bob, &mut alice, now), [answer, Event::Settled]);
/// assert_eq!((alice.counters().acked, alice.counters().unsettled), (1, 0));
///
/// // Nothing happens for a while: each side asks whether the other is there, and hears that it is.
/// let later = alice.poll_timeout().expect("it is connected");
/// assert_eq!(later, config.keep_alive_interval);
/// alice.handle_timeout(later).expect("it is not late");
/// assert!(carry(&mut alice, &mut bob, later).is_empty() && bob.has_output());
/// assert!(carry(&mut bob, &mut alice, later).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Session<T> {
    config: NodeConfig,
    /// Types that this side receives, in the order in which the other side numbers them. Grows with `add_types`.
    own_types: Vec<TypeInfo>,
    /// Types that the other side receives, from its handshake and its TYPES frames. Read with each message.
    peer_types: PeerTypes,
    /// The longest body that both sides take. Set by `attach`.
    peer_bytes_max: u32,
    /// From `attach` to `detach`.
    connection: Option<ConnectionState>,
    /// Connections so far: the number of the last one.
    epochs: u64,
    /// What waits to be written, for any connection, and the counters. Filled by whatever is sent, emptied by
    /// `poll_transmit`.
    out: SendQueue,
    /// How many asks of the other side may be begun. Fed by replies, read by `ask_allowance`.
    concurrency: ConcurrencyLimit,
    /// Requests without an answer, with their tokens. An answer, `cancel` or `terminate` takes one out.
    requests: Slab<(PendingRequest, T)>,
    /// Third nodes that the other side was told of, with the time of the last introduction. All are told again on the next
    /// connection, if anything waits that may mention them; else forgotten.
    node_infos_sent: BTreeMap<NodeId, (NodeInfo, Duration)>,
    /// Of the requests, the monitors, and the lookups of names. The rest are asks.
    watches: usize,
    lookups: Lookups,
    /// A control frame had no room: the connection is to end. Set by whatever answers, reset with the connection.
    control_overflow: bool,
    /// After `terminate`.
    closed: bool,
}

impl<T> Session<T> {
    /// Not connected yet. What is sent waits.
    pub fn new(config: NodeConfig, own_types: &[TypeInfo]) -> Self {
        Self {
            peer_bytes_max: config.message_bytes_max,
            concurrency: ConcurrencyLimit::new(config.reply_budget(), config.message_bytes_max as usize),
            config,
            own_types: announced(own_types).to_vec(),
            peer_types: PeerTypes::default(),
            connection: None,
            epochs: 0,
            out: SendQueue::default(),
            requests: Slab::default(),
            node_infos_sent: BTreeMap::new(),
            watches: 0,
            lookups: Lookups::default(),
            control_overflow: false,
            closed: false,
        }
    }

    /// Takes over a connection and returns its number. Requests whose frames may be lost are asked again, before what
    /// waits, and third nodes that it may mention are introduced again.
    pub fn attach(&mut self, connected: Established, now: Duration) -> u64 {
        self.detach();
        self.epochs += 1;
        self.peer_types = connected.types;
        self.peer_bytes_max = connected.peer.message_bytes_max.min(self.config.message_bytes_max);
        self.connection =
            Some(ConnectionState::new(self.epochs, self.config.frame_bytes_max(), connected.types_sent, now));
        self.retransmit_requests();
        self.epochs
    }

    fn retransmit_requests(&mut self) {
        let (mut frames, mut body) = (BytesMut::new(), Vec::new());
        // What waits may mention third nodes, and this connection was told of none yet.
        if self.out.has_before(u64::MAX) {
            for (node, _) in self.node_infos_sent.values() {
                body.clear();
                node.write(&mut body);
                Header::new(FrameKind::NodeInfo).write(&body, &mut frames);
            }
        } else {
            self.node_infos_sent.clear();
        }
        // Asks are not repeated: they may have been handled. A monitor and a lookup do no harm twice.
        for ((slot, generation), (request, _)) in self.requests.iter() {
            let id = CorrelationId { slot, generation };
            match request {
                PendingRequest::Watch(to, segment) if !self.out.is_queued(*segment) => {
                    Header { to: *to, ..request_header(FrameKind::Watch, id) }.write(&[], &mut frames);
                }
                PendingRequest::Resolve(protocol, name, Lookup::Sent(segment)) if !self.out.is_queued(*segment) => {
                    body.clear();
                    write_resolve(*protocol, name, &mut body);
                    request_header(FrameKind::Resolve, id).write(&body, &mut frames);
                }
                PendingRequest::Ask | PendingRequest::Watch(..) | PendingRequest::Resolve(..) => {}
            }
        }
        self.out.retransmit(frames);
    }

    /// Takes back what [`poll_transmit`](Self::poll_transmit) returned last and what was not, or only in part, written to
    /// connection `epoch` before it broke: frames of which no byte has left wait for the next one. To be called before
    /// [`detach`](Self::detach).
    pub fn return_unwritten(&mut self, epoch: u64, bytes: &[u8], written: usize) {
        if self.connection.as_ref().is_some_and(|connection| connection.epoch == epoch) {
            self.out.put_back(bytes, written);
        }
    }

    /// The connection is gone. What was on its way is counted as lost.
    pub fn detach(&mut self) {
        if self.connection.take().is_some() {
            self.out.connection_lost();
        }
        self.control_overflow = false;
    }

    /// Returns true while there is a connection.
    pub fn is_attached(&self) -> bool {
        self.connection.is_some()
    }

    /// The other side is gone for good: everything waiting is lost, and all tokens come back.
    pub fn terminate(&mut self) -> Vec<T> {
        self.detach();
        self.closed = true;
        self.out.close();
        // A node that is down may be remembered for long.
        (self.own_types, self.peer_types, self.node_infos_sent) = (Vec::new(), PeerTypes::default(), BTreeMap::new());
        (self.watches, self.lookups) = (0, Lookups::default());
        std::mem::take(&mut self.requests).drain().into_iter().map(|(_, (_, token))| token).collect()
    }

    /// What became of the messages to the other side.
    pub fn counters(&self) -> Counters {
        self.out.counters()
    }

    /// Makes more types known that this side receives. Those beyond 65,535 have no number, and are sent to it in full.
    pub fn add_types(&mut self, types: &[TypeInfo]) {
        if !self.closed {
            self.own_types.extend_from_slice(types);
            self.own_types.truncate(TYPES_MAX);
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn tell(&mut self, to: ActorKey, message: TypeInfo, body: &[u8]) -> Result<(), SendError> {
        let header = self.message_header(FrameKind::Tell, to, message, body)?;
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
        let header = match self.message_header(FrameKind::Ask, to, message, body) {
            Ok(header) => header,
            Err(error) => return Err((error, token)),
        };
        let id = self.insert_request(PendingRequest::Ask, token);
        let deadline_ms = Some(u32::try_from(within.as_millis()).unwrap_or(u32::MAX));
        self.out.push_message(&Header { correlation: Some(id), deadline_ms, ..header }, body);
        Ok(id)
    }

    /// Returns true if a message for an actor is not rejected for want of room: the bound may be overstepped by one message.
    /// An actor that does not settle what it is sent takes no more than what stays free for all others.
    pub fn has_room(&self, to: ActorKey) -> bool {
        let (unsettled, unsettled_bytes) = self.out.unsettled();
        let (max, bytes_max) = (self.config.unsettled_max as u64, self.config.unsettled_bytes_max as u64);
        let (free, free_bytes) = (max.saturating_sub(unsettled), bytes_max.saturating_sub(unsettled_bytes));
        if self.closed {
            return true;
        }
        if free == 0 || free_bytes == 0 || self.asks() >= self.config.asks_max {
            return false;
        }
        // One that had all of it would have its share still.
        if unsettled < free && unsettled_bytes < free_bytes {
            return true;
        }
        let Load { messages, bytes } = self.out.unsettled_by(to);
        messages < free && bytes < free_bytes
    }

    /// Asks that wait for their reply.
    fn asks(&self) -> usize {
        self.requests.len() - self.watches - self.lookups.len()
    }

    fn message_header(
        &mut self,
        kind: FrameKind,
        to: ActorKey,
        message: TypeInfo,
        body: &[u8],
    ) -> Result<Header, SendError> {
        let header = self.check_message(kind, to, message, body);
        if matches!(header, Err(SendError::Closed | SendError::TooLarge | SendError::Incompatible)) {
            self.out.count_returned();
        }
        header
    }

    fn check_message(
        &self,
        kind: FrameKind,
        to: ActorKey,
        message: TypeInfo,
        body: &[u8],
    ) -> Result<Header, SendError> {
        if self.closed {
            return Err(SendError::Closed);
        }
        if body.len() > self.peer_bytes_max as usize {
            return Err(SendError::TooLarge);
        }
        if !self.has_room(to) {
            return Err(SendError::Full);
        }
        let header = Header { to, ..Header::new(kind) };
        // The sender hears that the forms differ; nothing is sent that could only be refused.
        match self.peer_types.encoding(message.id, message.schema) {
            TypeEncoding::Index(type_ix) => Ok(Header { type_ix, ..header }),
            TypeEncoding::Full => {
                Ok(Header { type_key: Some(TypeKey { id: message.id, schema: Some(message.schema) }), ..header })
            }
            TypeEncoding::Incompatible => Err(SendError::Incompatible),
        }
    }

    fn insert_request(&mut self, request: PendingRequest, token: T) -> CorrelationId {
        let (slot, generation) = self.requests.insert((request, token));
        CorrelationId { slot, generation }
    }

    /// Takes back a request. The other side is told, so that it can save itself the work.
    pub fn cancel(&mut self, id: CorrelationId) -> Option<T> {
        let (request, token) = self.remove_request(id)?;
        match request {
            // It saves the other side work, and is not worth the connection.
            PendingRequest::Ask if self.has_control_room() => {
                self.push_control(&request_header(FrameKind::Cancel, id), &[]);
            }
            PendingRequest::Watch(to, _) => {
                self.push_control(&Header { to, ..request_header(FrameKind::Unwatch, id) }, &[]);
            }
            PendingRequest::Ask | PendingRequest::Resolve(..) => {}
        }
        Some(token)
    }

    fn remove_request(&mut self, id: CorrelationId) -> Option<(PendingRequest, T)> {
        let removed = self.requests.remove(id.slot, id.generation)?;
        match removed.0 {
            PendingRequest::Ask => {}
            PendingRequest::Watch(..) => self.watches -= 1,
            PendingRequest::Resolve(_, _, lookup) => {
                self.lookups.remove(lookup);
                self.send_lookups();
            }
        }
        Some(removed)
    }

    /// Monitors an actor: the token comes back with its end, or with [`DownCode::TooManyMonitors`] if the other side, whose bound may be
    /// a lower one, takes no more.
    ///
    /// # Errors
    /// [`SendError::Full`] beyond [`NodeConfig::monitors_bound`] monitors, or while frames that are not messages wait beyond
    /// their bound; [`SendError::Closed`].
    pub fn watch(&mut self, to: ActorKey, token: T) -> Result<CorrelationId, (SendError, T)> {
        if self.closed {
            return Err((SendError::Closed, token));
        }
        if self.watches >= self.config.monitors_bound() || !self.has_control_room() {
            return Err((SendError::Full, token));
        }
        self.watches += 1;
        let id = self.insert_request(PendingRequest::Watch(to, 0), token);
        let waits_in = self.push_control(&Header { to, ..request_header(FrameKind::Watch, id) }, &[]);
        if let Some((PendingRequest::Watch(_, segment), _)) = self.requests.get_mut(id.slot, id.generation) {
            *segment = waits_in;
        }
        Ok(id)
    }

    /// Introduces a third node before it is mentioned: on each connection for the first time, and again after some time, in
    /// case the other side has forgotten it.
    pub fn send_node_info(&mut self, node: &NodeInfo, now: Duration) {
        let is_fresh = |(_, at): &(NodeInfo, Duration)| now < at.saturating_add(NODE_INFO_TIME);
        if self.closed || self.node_infos_sent.get(&node.node).is_some_and(is_fresh) {
            return;
        }
        if self.node_infos_sent.len() < self.config.node_infos_bound() || self.node_infos_sent.contains_key(&node.node)
        {
            self.node_infos_sent.insert(node.node, (node.clone(), now));
        }
        let mut body = Vec::new();
        node.write(&mut body);
        self.push_control(&Header::new(FrameKind::NodeInfo), &body);
    }

    /// Returns how many more asks of the other side may be begun: with this many begun, its replies find room while it reads
    /// them. `asks_wait`: some wait to be begun.
    pub fn ask_allowance(&mut self, now: Duration, begun: usize, asks_wait: bool) -> usize {
        if !self.has_room_for_replies() {
            self.out.drop_expired(now);
        }
        let allowance = self.concurrency.allowance(now, begun, self.out.reply_bytes(), asks_wait);
        allowance.min(self.config.begun_bound().saturating_sub(begun))
    }

    /// Returns the bytes of answers and other frames besides messages that wait or are being written.
    pub fn waiting_bytes(&self) -> usize {
        self.out.reply_bytes() + self.out.control_bytes()
    }

    /// Returns the bytes of frames that are held for the other side: messages to it that are not settled, its messages that wait for
    /// their actors, and [`waiting_bytes`](Self::waiting_bytes). At most [`NodeConfig::peer_bytes_max`].
    pub fn held_bytes(&self) -> usize {
        let backlogs = self.connection.as_ref().map_or(0, ConnectionState::backlog_bytes);
        self.out.unsettled().1 as usize + backlogs as usize + self.waiting_bytes()
    }

    /// Returns true if as many frames wait besides messages and replies that they are better written before more is read: what is
    /// read may have to be answered, and beyond [`NodeConfig::control_bytes_max`] the connection ends.
    pub fn is_crowded(&self) -> bool {
        self.crowding_bytes() > 0
    }

    /// Returns their bytes if [`is_crowded`](Self::is_crowded), else 0.
    pub fn crowding_bytes(&self) -> usize {
        let bytes = self.out.control_bytes();
        if bytes > self.config.control_room() / 4 { bytes } else { 0 }
    }

    /// Returns true if asks that wait may be begun though no reply is read meanwhile: their number grows with time up to a bound.
    pub fn may_begin_later(&self, begun: usize) -> bool {
        self.has_room_for_replies() && begun < self.config.begun_bound()
    }

    /// Returns true unless too many replies wait for an ask to be begun.
    pub fn has_room_for_replies(&self) -> bool {
        self.out.reply_bytes() < self.config.reply_budget()
    }

    /// Answers an ask. A large reply is dropped if it still waits when `expires` has come.
    ///
    /// # Errors
    /// [`SendError::TooLarge`], and [`SendError::Full`] if the other side does not read the replies that wait for it: the
    /// caller answers with [`reply_err`](Self::reply_err).
    pub fn reply(&mut self, to: CorrelationId, body: &[u8], expires: Option<Duration>) -> Result<(), SendError> {
        if body.len() > self.peer_bytes_max as usize {
            return Err(SendError::TooLarge);
        }
        if self.closed {
            return Ok(());
        }
        self.concurrency.replied(body.len());
        let header = request_header(FrameKind::Reply, to);
        if self.out.reply_bytes() + header.frame_bytes(body.len()) > self.config.control_bytes_max {
            return Err(SendError::Full);
        }
        self.out.push_reply(&header, body, expires);
        Ok(())
    }

    /// Says that there is no reply to an ask.
    pub fn reply_err(&mut self, to: CorrelationId, code: ReplyCode, text: &str) {
        self.concurrency.replied(0);
        self.push_coded(FrameKind::ReplyErr, to, code.to_u16(), text);
    }

    /// Says that a monitored actor has ended.
    pub fn down(&mut self, to: CorrelationId, code: DownCode, text: &str) {
        self.push_coded(FrameKind::Down, to, code.to_u16(), text);
    }

    /// Answers a lookup.
    pub fn resolved(&mut self, to: CorrelationId, answer: Resolution) {
        let mut body = Vec::new();
        answer.write(&mut body);
        self.push_control(&request_header(FrameKind::Resolved, to), &body);
    }

    /// The text is left out if much waits already: it is the part that grows.
    fn push_coded(&mut self, kind: FrameKind, to: CorrelationId, code: u16, text: &str) {
        let text = if self.out.control_bytes() > self.config.control_room() / 2 { "" } else { text };
        let mut body = Vec::new();
        write_coded(code, text, &mut body);
        self.push_control(&request_header(kind, to), &body);
    }

    /// True unless what this side asks for, and could do without, would take the room of what it has to say.
    fn has_control_room(&self) -> bool {
        self.connection.is_none() || self.out.control_bytes() + REQUEST_BYTES_MAX <= self.config.control_room() / 2
    }

    /// Returns the number of the segment that the frame waits in, 0 if in none.
    fn push_control(&mut self, header: &Header, body: &[u8]) -> u64 {
        if self.closed {
            return 0;
        }
        if self.out.control_bytes() + body.len() > self.config.control_room() {
            // Without a connection what is not asked again is not needed: it saves the other side work.
            self.control_overflow = self.connection.is_some();
            return 0;
        }
        self.out.push_control(header, body)
    }

    /// A message of connection `epoch` has arrived, and waits until the actor has room: it counts as the actor's.
    pub fn add_backlog(&mut self, epoch: u64, to: ActorKey, frame_bytes: u32, now: Duration) {
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.epoch == epoch) else { return };
        connection.add_backlog(to, frame_bytes, now);
    }

    /// It waits no more. [`settle`](Self::settle) says what became of it.
    pub fn remove_backlog(&mut self, epoch: u64, to: ActorKey, frame_bytes: u32) {
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.epoch == epoch) else { return };
        connection.remove_backlog(to, frame_bytes);
    }

    /// Counts messages of connection `epoch` as taken into mailboxes, and the bytes of their frames.
    pub fn settle_taken(&mut self, epoch: u64, messages: u64, frame_bytes: u64, now: Duration) {
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.epoch == epoch) else { return };
        connection.settle_taken(messages, frame_bytes, now);
    }

    /// Counts a message of connection `epoch` as taken into a mailbox, or as rejected.
    pub fn settle(&mut self, epoch: u64, frame_bytes: u32, rejected: Option<RejectReason>, now: Duration) {
        let Some(connection) = self.connection.as_mut().filter(|connection| connection.epoch == epoch) else { return };
        connection.settle(frame_bytes, rejected, now);
    }

    /// Returns the next bytes to write. Acknowledgements and signs of life ride along, GOAWAY comes last.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<BytesMut> {
        // What was taken before has made room.
        self.send_lookups();
        let (ack_is_due, has_output) = (self.ack_is_due(now), self.has_output());
        let connection = self.connection.as_mut().filter(|connection| !matches!(connection.closing, Closing::Sent))?;
        let ping_is_due = now >= connection.ping_at(&self.config);
        if !has_output && !ack_is_due && !ping_is_due && connection.pending_pong.is_none() {
            return None;
        }

        let end = connection.closing.end();
        let mut bytes = self.out.take_before(end).unwrap_or_default();
        connection.write(&self.own_types, ping_is_due, now, &mut bytes);
        if !self.out.has_before(end) {
            connection.write_go_away(&mut bytes);
        }
        Some(bytes)
    }

    /// Ends the connection with GOAWAY. It is to be closed once that is written. With [`CloseReason::Shutdown`], after
    /// which there is no other connection, GOAWAY follows everything that waits; else that waits for the next one.
    pub fn close(&mut self, code: CloseReason, text: &str) {
        let Some(connection) = self.connection.as_mut().filter(|connection| matches!(connection.closing, Closing::No))
        else {
            return;
        };
        let end = if code == CloseReason::Shutdown { self.out.seal() } else { 0 };
        connection.closing = Closing::Pending(end, GoAwayBody { code, detail: 0, text: text.to_owned() });
    }

    /// Returns true after [`close`](Self::close).
    pub fn is_closing(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| !matches!(connection.closing, Closing::No))
    }

    /// Returns true if an answer is waited for.
    pub fn has_pending_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Returns true if [`poll_transmit`](Self::poll_transmit) has an acknowledgement that cannot wait.
    pub fn ack_is_due(&self, now: Duration) -> bool {
        let Some(connection) = &self.connection else { return false };
        connection.ack_is_due(&self.config, now)
    }

    /// Returns true if frames wait to be written.
    pub fn has_output(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| match connection.closing {
            Closing::No => {
                self.out.has_before(u64::MAX)
                    || connection.types_sent < self.own_types.len()
                    || connection.pending_pong.is_some()
            }
            Closing::Pending(..) => true,
            Closing::Sent => false,
        })
    }

    /// Gives back a buffer of [`poll_transmit`](Self::poll_transmit) after it was written.
    pub fn recycle(&mut self, bytes: BytesMut) {
        // Of a node that is down nothing is written any more.
        if !self.closed {
            self.out.recycle(bytes);
        }
    }

    /// When [`poll_transmit`](Self::poll_transmit) has something to say again though nothing happened, or the connection must end.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let connection = self.connection.as_ref()?;
        Some(connection.deadline(&self.config))
    }

    /// Checks that the other side is still there, and drops replies whose askers have gone.
    ///
    /// # Errors
    /// [`ProtocolError::IdleTimeout`] or [`ProtocolError::ControlOverflow`]; the connection is to be closed.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), ProtocolError> {
        self.out.drop_expired(now);
        let Some(connection) = &self.connection else { return Ok(()) };
        if self.control_overflow {
            return Err(ProtocolError::ControlOverflow);
        }
        let silence = self.config.max_idle_timeout;
        if now >= connection.idle_at(&self.config) { Err(ProtocolError::IdleTimeout(silence)) } else { Ok(()) }
    }

    /// This side does not read for now, for reasons of its own: that nothing is heard says nothing about the other side.
    pub fn reset_idle_timeout(&mut self, now: Duration) {
        if let Some(connection) = &mut self.connection {
            connection.last_progress_at = now;
        }
    }
}

fn request_header(kind: FrameKind, id: CorrelationId) -> Header {
    Header { correlation: Some(id), ..Header::new(kind) }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "answer_tests.rs"]
mod answer_tests;

#[cfg(test)]
#[path = "golden_tests.rs"]
mod golden_tests;
