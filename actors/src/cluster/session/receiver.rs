//! Delivery of what another node sends to the actors of this one. One slow actor never holds up the others: what its mailbox
//! has no room for waits here, in its *backlog*, in order and up to a bound. The other node is told of it, and sends that actor no more than
//! its share of the room between the two. Asks wait as well while too many replies wait to be read.

use super::peer::{Peer, Requester};
use super::reasons::{ask_error, exit_reason};
use crate::cluster::events::DisconnectReason;
use crate::cluster::state::NodeState;
use crate::cluster::wire_log::WireLog;
use crate::id::ExitReason;
use crate::protocol::dispatch::{DeliveryError, Endpoint};
use crate::protocol::scope;
use crate::refs::target::Waiter;
use crate::watch::monitor::DownCallback;
use posse_core::event;
use posse_core::task::yield_now;
use posse_core::time::Instant;
use posse_wire::{
    ActorKey, CorrelationId, Delivery, DownCode, Event, NodeConfig, RejectReason, ReplyCode, Resolution, TypeKey,
    WireRef,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How often others get their turn before what an actor has no room for is held for long, and read past. Guessed: some ten microseconds if
/// no other runs, in which an actor that is not slow makes room again.
const TURNS_MAX: usize = 128;

/// A message on its way into a mailbox.
struct QueuedMessage {
    /// Whom it is for, by the protocol it came with.
    endpoint: Arc<dyn Endpoint>,
    /// The actor's key, by which it is settled.
    to: ActorKey,
    /// Which message it is.
    type_key: TypeKey,
    /// Encoded: it is decoded when there is room.
    body: Vec<u8>,
    /// The length of its frame, by which both sides account for it.
    frame_bytes: u32,
    /// With which request it is answered, and when its asker gives up; `None` for a tell.
    ask: Option<(CorrelationId, Option<Instant>)>,
}

/// What waits because the mailbox of one actor is full.
struct Backlog {
    endpoint: Arc<dyn Endpoint>,
    /// Its place among those that wait for room in the mailbox.
    waiter: Waiter,
    /// Begins with a message: ends at the front are told at once.
    queue: VecDeque<Queued>,
}

enum Queued {
    Message(QueuedMessage),
    /// What the actor monitored has ended, after the messages before.
    Down(DownCallback, ExitReason),
}

impl Backlog {
    /// Tells of all ends at the front of the queue. True if nothing is left.
    fn deliver_downs(&mut self) -> bool {
        while let Some(Queued::Down(..)) = self.queue.front() {
            if let Some(Queued::Down(notify, reason)) = self.queue.pop_front() {
                notify(&reason);
            }
        }
        self.queue.is_empty()
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.endpoint.reserve().cancel_reserve(&mut self.waiter);
        // The connection is gone, and with it the messages; a monitor fires all the same.
        for item in self.queue.drain(..) {
            if let Queued::Down(notify, reason) = item {
                notify(&reason);
            }
        }
    }
}

/// The receiving half of one connection: its read loop alone owns it and calls it.
pub(crate) struct Receiver {
    node: Arc<NodeState>,
    peer: Arc<Peer>,
    /// Of the connection: what belongs to a previous one settles nothing.
    epoch: u64,
    /// By the number of the actor: it has one mailbox, whatever protocols it speaks. Filled by `handle_message`, emptied by
    /// `poll_backlog`; none is empty.
    backlogs: BTreeMap<u64, Backlog>,
    /// Messages in all backlogs, and the bytes of their frames: what the other side may have unsettled, and no more.
    backlog_messages: usize,
    backlog_bytes: usize,
    /// Asks in all queues whose askers still wait. Filled with the queues; an ask leaves it when it is taken out, or with its
    /// CANCEL: so that needs no table of its own, which a peer could fill.
    backlog_asks: BTreeSet<CorrelationId>,
    /// For the session, in order. Filled by deliveries, emptied by `report_settled` at the end of each batch.
    settlements: Vec<Settlement>,
    /// Messages that were taken into mailboxes, and the bytes of their frames: for the session as well.
    taken: (u64, u64),
    /// Whom the last message was for, of those that are handled together: the next one mostly is for the same.
    last: Option<(ActorKey, Arc<dyn Endpoint>)>,
    /// How many more asks may be begun. Set by the session before each batch, counted down by deliveries.
    allowance: usize,
    /// Asks wait until more may be begun. Set by deliveries, reset by `poll_backlog`, read by the read loop before it sleeps.
    asks_wait: bool,
    /// No actor has been slow since there was no backlog.
    is_patient: bool,
}

/// What the other node is to know of a message.
enum Settlement {
    Queued(ActorKey, u32),
    /// It waited until now.
    Dequeued(ActorKey, u32),
    Rejected(u32, RejectReason),
}

/// Why a message did not get into a mailbox, if it did not.
enum Outcome {
    Accepted,
    /// The mailbox is full, or no more asks may be begun.
    Blocked,
    Rejected(RejectReason, ReplyCode, String),
}

impl Receiver {
    pub(crate) fn new(node: Arc<NodeState>, peer: Arc<Peer>, epoch: u64) -> Self {
        Self {
            node,
            peer,
            epoch,
            backlogs: BTreeMap::new(),
            backlog_messages: 0,
            backlog_bytes: 0,
            backlog_asks: BTreeSet::new(),
            settlements: Vec::new(),
            taken: (0, 0),
            last: None,
            allowance: 0,
            asks_wait: false,
            is_patient: true,
        }
    }

    /// Says how many more asks may be begun.
    pub(crate) fn allow(&mut self, asks: usize) {
        self.allowance = asks;
    }

    fn has_backlog(&self) -> bool {
        !self.backlogs.is_empty()
    }

    /// True if asks wait until more may be begun.
    pub(crate) fn asks_wait(&self) -> bool {
        self.asks_wait
    }

    /// Acts upon what has arrived. Says why if the other side ended the connection.
    pub(crate) fn handle_events(&mut self, events: impl Iterator<Item = Event<Requester>>) -> Option<DisconnectReason> {
        let mut room = false;
        let mut end = None;
        // What is heard between messages is no part of any, and outside of the scope in which they are read.
        let mut reading = None;
        for event in events {
            if matches!(event, Event::Tell(_) | Event::Ask(..)) {
                reading.get_or_insert_with(|| scope::enter(self.node.clone()));
            } else {
                reading = None;
            }
            match event {
                Event::Tell(message) => self.handle_message(message, None),
                Event::Ask(message, id, left) => {
                    let deadline = Instant::now().checked_add(left);
                    self.handle_message(message, Some((id, deadline)));
                }
                Event::Settled => room = true,
                Event::GoAway(code, text) => {
                    event!(
                        INFO, "posse::node", "the other node ends the connection",
                        node.id = %self.peer.id(), node.name = %self.peer.name(), reason = %code, detail = %text,
                    );
                    end = Some(DisconnectReason::ClosedByPeer { code, detail: text.into() });
                }
                // One ask less, which may have been what others waited for.
                Event::Reply(..) | Event::ReplyErr(..) => {
                    room = true;
                    self.handle_event(event);
                }
                event => self.handle_event(event),
            }
        }
        drop(reading);
        self.last = None;
        if room {
            self.peer.wake_senders();
        }
        end
    }

    /// Everything that is neither a message nor the end.
    fn handle_event(&mut self, event: Event<Requester>) {
        // Who asked may have left meanwhile: then no one hears it.
        match event {
            Event::Reply(Requester::Ask(asker), body) => drop(asker.send(Ok(body))),
            Event::ReplyErr(Requester::Ask(asker), code, text) => drop(asker.send(Err(ask_error(code, text)))),
            Event::Down(Requester::Monitor(notify, watcher), down) => {
                let reason = exit_reason(down);
                match watcher.and_then(|watcher| self.backlogs.get_mut(&watcher)) {
                    Some(backlog) => backlog.queue.push_back(Queued::Down(notify, reason)),
                    None => notify(&reason),
                }
            }
            Event::Resolved(Requester::Resolve(asker), answer) => drop(asker.send(Some(answer))),
            Event::Cancel(id) => self.cancel_ask(id),
            Event::Watch(id, to) => self.add_monitor(id, to),
            Event::Unwatch(id) => self.peer.remove_remote_monitor(id),
            Event::Resolve(id, protocol, name) => {
                let answer = match self.node.whereis(&name, protocol) {
                    Ok((_, key)) => Resolution::Found(WireRef { node: self.node.id(), key, protocol }),
                    Err(answer) => answer,
                };
                self.peer.update_session(|session| session.resolved(id, answer));
            }
            Event::NodeInfo(node_info) => self.node.learn_node(node_info),
            _ => {}
        }
    }

    /// An ask is given up, whether it was begun or waits in a backlog.
    fn cancel_ask(&mut self, id: CorrelationId) {
        if !self.peer.cancel_reply(id) {
            self.backlog_asks.remove(&id);
        }
    }

    /// One too many is refused, and costs no more: the other side's bound may be a higher one.
    fn add_monitor(&mut self, id: CorrelationId, to: ActorKey) {
        let refused = match self.node.exported(to) {
            Some(endpoint) if self.peer.remote_monitor_count() < self.node.config.monitors_bound() => {
                return self.peer.add_remote_monitor(id, endpoint.shared());
            }
            Some(_) => DownCode::TooManyMonitors,
            None => DownCode::NoSuchActor,
        };
        self.peer.update_session(|session| session.down(id, refused, ""));
    }

    /// In the scope in which it is read.
    fn handle_message(&mut self, message: Delivery, ask: Option<(CorrelationId, Option<Instant>)>) {
        let Delivery { to, type_key, body, frame_bytes } = message;
        let id = ask.map(|(id, _)| id);
        // Messages in a row for one actor look it up once.
        let last = self.last.take().filter(|(key, _)| *key == to).map(|(_, endpoint)| endpoint);
        let Some(endpoint) = last.or_else(|| self.node.exported(to)) else {
            self.reject(frame_bytes, id, RejectReason::Stopped, ReplyCode::NoSuchActor, "");
            return;
        };
        let mut waiter = Waiter::default();
        // It goes behind what waits for the same actor already, so that the messages of an actor stay in order.
        let may_not_begin = ask.is_some() && self.allowance == 0;
        self.asks_wait |= may_not_begin;
        let outcome = match may_not_begin || self.has_backlog_for(&endpoint) {
            true => Outcome::Blocked,
            false => self.deliver(&endpoint, &mut waiter, type_key, &body, ask),
        };
        match outcome {
            Outcome::Accepted => self.count_taken(frame_bytes),
            Outcome::Blocked if is_over_limit(self.backlog_messages, self.backlog_bytes, &self.node.config) => {
                // A sender that keeps to the bounds does not come here.
                endpoint.reserve().cancel_reserve(&mut waiter);
                self.reject(frame_bytes, id, RejectReason::Full, ReplyCode::Full, "");
            }
            Outcome::Blocked => {
                self.backlog_messages += 1;
                self.backlog_bytes += frame_bytes as usize;
                self.backlog_asks.extend(id);
                self.settlements.push(Settlement::Queued(to, frame_bytes));
                // The bytes are copied: a slice would keep the whole buffer that it was read into.
                let message =
                    QueuedMessage { endpoint: endpoint.clone(), to, type_key, body: body.to_vec(), frame_bytes, ask };
                let new = || Backlog { endpoint: endpoint.clone(), waiter, queue: VecDeque::new() };
                let backlog = self.backlogs.entry(endpoint.shared().id().number()).or_insert_with(new);
                backlog.queue.push_back(Queued::Message(message));
            }
            Outcome::Rejected(refused, code, text) => self.reject(frame_bytes, id, refused, code, &text),
        }
        self.last = Some((to, endpoint));
    }

    fn has_backlog_for(&self, endpoint: &Arc<dyn Endpoint>) -> bool {
        self.has_backlog() && self.backlogs.contains_key(&endpoint.shared().id().number())
    }

    fn count_taken(&mut self, frame_bytes: u32) {
        let (messages, bytes) = &mut self.taken;
        *messages += 1;
        *bytes += u64::from(frame_bytes);
    }

    fn reject(
        &mut self,
        frame_bytes: u32,
        ask: Option<CorrelationId>,
        refused: RejectReason,
        code: ReplyCode,
        text: &str,
    ) {
        self.settlements.push(Settlement::Rejected(frame_bytes, refused));
        if let Some(id) = ask {
            self.peer.update_session(|session| session.reply_err(id, code, text));
        }
    }

    /// Puts a message into the actor's mailbox, if there is room. In the scope in which it is read.
    fn deliver(
        &mut self,
        endpoint: &Arc<dyn Endpoint>,
        waiter: &mut Waiter,
        type_key: TypeKey,
        body: &[u8],
        ask: Option<(CorrelationId, Option<Instant>)>,
    ) -> Outcome {
        let known = endpoint.messages().iter().enumerate().find(|(_, message)| message.id == type_key.id);
        let Some((index, _)) =
            known.filter(|(_, message)| type_key.schema.is_none_or(|theirs| theirs == message.schema))
        else {
            return Outcome::Rejected(RejectReason::Unreadable, ReplyCode::Incompatible, String::new());
        };
        if ask.is_some_and(|(_, deadline)| deadline.is_some_and(|deadline| Instant::now() >= deadline)) {
            return Outcome::Rejected(RejectReason::Expired, ReplyCode::Expired, String::new());
        }

        // A message that has to wait is decoded when it is delivered, and not twice.
        if !endpoint.has_room(&waiter.local) {
            return Outcome::Blocked;
        }
        let delivered = match ask {
            Some((id, _)) => endpoint.ask(index, &mut waiter.local, body).map(|reply| Some((id, reply))),
            None => endpoint.tell(index, &mut waiter.local, body).map(|()| None),
        };
        if delivered.is_ok() {
            let between = (self.peer.id(), self.peer.own());
            WireLog::of(&self.node.handle).taken(between, || self.node.export(endpoint).key, type_key.id, body);
        }
        match delivered {
            Ok(None) => Outcome::Accepted,
            Ok(Some((id, reply))) => {
                self.allowance = self.allowance.saturating_sub(1);
                let expires = ask.and_then(|(_, deadline)| deadline).map(Instant::since_origin);
                self.peer.add_pending_reply(&self.node, id, expires, reply);
                Outcome::Accepted
            }
            Err(DeliveryError::Full) => Outcome::Blocked,
            Err(DeliveryError::Stopped) => Outcome::Rejected(RejectReason::Stopped, ReplyCode::Stopped, String::new()),
            Err(DeliveryError::Decode(text)) => Outcome::Rejected(RejectReason::Unreadable, ReplyCode::Decode, text),
        }
    }

    /// Has actors whose mailboxes have become full handle what is in them. Those that are slow, or wait for something, are not waited for: what
    /// comes for them stays in their backlogs until they have room, and others are served meanwhile.
    pub(crate) async fn let_actors_catch_up(&mut self) {
        let mut turns = 0;
        while self.has_backlog() && self.is_patient {
            yield_now().await;
            let has_delivered = poll_fn(|cx| Poll::Ready(self.poll_backlog(cx))).await;
            turns = if has_delivered { 0 } else { turns + 1 };
            self.is_patient = turns < TURNS_MAX && !self.asks_wait;
        }
        self.is_patient |= !self.has_backlog();
    }

    /// Delivers from backlogs to mailboxes that have room again. True if anything was settled.
    pub(crate) fn poll_backlog(&mut self, cx: &mut Context<'_>) -> bool {
        self.asks_wait = false;
        if self.backlogs.is_empty() {
            return false;
        }
        let mut backlogs = std::mem::take(&mut self.backlogs);
        backlogs.retain(|_, backlog| self.deliver_backlog(backlog, cx));
        self.backlogs = backlogs;
        let settled = self.has_settled();
        self.report_settled();
        settled
    }

    /// Delivers what waits for one actor, as far as there is room. False if nothing is left.
    fn deliver_backlog(&mut self, backlog: &mut Backlog, cx: &mut Context<'_>) -> bool {
        loop {
            // An ask that may not be begun yet takes no place in the mailbox from anybody. Nor is one refused, which may be too late
            // by now, while many answers wait: hundreds in a row would find no room.
            let front = backlog.queue.front();
            let is_ask = matches!(front, Some(Queued::Message(message)) if message.ask.is_some());
            if is_ask && (self.allowance == 0 || self.peer.with_session(|session| session.is_crowded())) {
                backlog.endpoint.reserve().cancel_reserve(&mut backlog.waiter);
                self.asks_wait = true;
                return true;
            }
            // While it is its turn, several go in without a place in the line for each.
            if !backlog.endpoint.has_room(&backlog.waiter.local)
                && backlog.endpoint.reserve().poll_reserve(&mut backlog.waiter, cx).is_pending()
            {
                return true;
            }
            // `deliver_downs` leaves a message at the front, or the line is gone.
            let Some(Queued::Message(message)) = backlog.queue.pop_front() else { return false };
            let QueuedMessage { endpoint, to, type_key, body, frame_bytes, ask } = &message;
            let id = ask.map(|(id, _)| id);
            let outcome = match ask {
                Some((id, _)) if !self.backlog_asks.remove(id) => {
                    Outcome::Rejected(RejectReason::Expired, ReplyCode::Expired, String::new())
                }
                _ => {
                    let _reading = scope::enter(self.node.clone());
                    self.deliver(endpoint, &mut backlog.waiter, *type_key, body, *ask)
                }
            };
            if !matches!(outcome, Outcome::Blocked) {
                self.settlements.push(Settlement::Dequeued(*to, *frame_bytes));
            }
            match outcome {
                Outcome::Blocked => {
                    self.backlog_asks.extend(id);
                    backlog.queue.push_front(Queued::Message(message));
                    continue;
                }
                Outcome::Accepted => self.count_taken(*frame_bytes),
                Outcome::Rejected(refused, code, text) => {
                    self.reject(*frame_bytes, id, refused, code, &text);
                }
            }
            self.backlog_messages -= 1;
            self.backlog_bytes -= *frame_bytes as usize;
            if backlog.deliver_downs() {
                return false;
            }
        }
    }

    fn has_settled(&self) -> bool {
        !self.settlements.is_empty() || self.taken.0 > 0
    }

    /// Tells the session what became of the messages.
    pub(crate) fn report_settled(&mut self) {
        if !self.has_settled() {
            return;
        }
        let (now, epoch) = (self.node.now(), self.epoch);
        let (messages, bytes) = std::mem::take(&mut self.taken);
        let settlements = &mut self.settlements;
        let due = self.peer.with_session(|session| {
            for settlement in settlements.drain(..) {
                match settlement {
                    Settlement::Queued(to, frame_bytes) => session.add_backlog(epoch, to, frame_bytes, now),
                    Settlement::Dequeued(to, frame_bytes) => session.remove_backlog(epoch, to, frame_bytes),
                    Settlement::Rejected(frame_bytes, reason) => session.settle(epoch, frame_bytes, Some(reason), now),
                }
            }
            if messages > 0 {
                session.settle_taken(epoch, messages, bytes, now);
            }
            session.ack_is_due(now)
        });
        // Late is allowed: the timer of the connection sees to it.
        if due && !posse_core::buggify(0.2) {
            self.peer.write_ready.notify_one();
        }
    }
}

/// The rule by which the other side looks at what it has unsettled, so one that keeps to it is never refused here.
fn is_over_limit(count: usize, bytes: usize, config: &NodeConfig) -> bool {
    count >= config.unsettled_max || bytes >= config.unsettled_bytes_max
}

#[cfg(test)]
#[path = "receiver_tests.rs"]
mod tests;
