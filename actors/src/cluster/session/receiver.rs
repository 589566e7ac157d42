//! What another node sends, given to the actors of this one. One slow actor never holds up the others: what its mailbox
//! has no room for is held here, in order, up to a bound. The other node is told of it, and sends that actor no more than
//! its share of the room between the two. Asks are held as well while too many replies wait to be read.

use super::connection::Disconnect;
use super::peer::{Peer, Requester};
use super::reasons::{ask_error, exit_reason};
use crate::cluster::state::NodeState;
use crate::cluster::wire_log::WireLog;
use crate::id::ExitReason;
use crate::protocol::dispatch::{DeliveryError, Endpoint};
use crate::protocol::scope;
use crate::refs::target::Waiter;
use crate::watch::monitor::DownCallback;
use posse_core::event;
use posse_core::time::Instant;
use posse_wire::{
    ActorKey, CloseReason, CorrelationId, Delivery, DownCode, Event, NodeConfig, RejectReason, ReplyCode, Resolution,
    TypeKey, WireRef,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Context;

/// A message on its way into a mailbox.
struct QueuedMessage {
    /// Whom it is for, by the protocol it came with.
    endpoint: Arc<dyn Endpoint>,
    to: ActorKey,
    type_key: TypeKey,
    body: Vec<u8>,
    frame_bytes: u32,
    ask: Option<(CorrelationId, Option<Instant>)>,
}

/// What waits because the mailbox of one actor is full.
struct Backlog {
    endpoint: Arc<dyn Endpoint>,
    waiter: Waiter,
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

pub(crate) struct Receiver {
    node: Arc<NodeState>,
    peer: Arc<Peer>,
    /// Of the connection: what belongs to a former one settles nothing.
    epoch: u64,
    /// By the number of the actor: it has one mailbox, whatever protocols it speaks.
    backlogs: BTreeMap<u64, Backlog>,
    /// Messages in all lines, and the bytes of their frames: what the other side may have unsettled, and no more.
    backlog_messages: usize,
    backlog_bytes: usize,
    /// Asks in all queues whose askers still wait. Filled with the queues; an ask leaves it when it is taken out, or with its
    /// CANCEL: so that needs no table of its own, which a peer could fill.
    backlog_asks: BTreeSet<CorrelationId>,
    /// For the session, in order.
    settlements: Vec<Settlement>,
    /// So many more asks may be begun.
    allowance: usize,
    /// Asks wait until more may be begun.
    asks_wait: bool,
}

/// What the other node is to know of a message.
enum Settlement {
    Held(ActorKey, u32),
    /// It was held until now.
    Released(ActorKey, u32),
    Settled(u32, Option<RejectReason>),
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
            allowance: 0,
            asks_wait: false,
        }
    }

    /// Says how many more asks may be begun.
    pub(crate) fn allow(&mut self, asks: usize) {
        self.allowance = asks;
    }

    /// True if asks wait until more may be begun.
    pub(crate) fn asks_wait(&self) -> bool {
        self.asks_wait
    }

    /// Acts upon what has arrived. Says what it means if the other side ended the connection.
    pub(crate) fn handle_events(&mut self, events: impl Iterator<Item = Event<Requester>>) -> Option<Disconnect> {
        let mut room = false;
        let mut end = None;
        for event in events {
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
                    end = Some(if code == CloseReason::Shutdown { Disconnect::Down } else { Disconnect::Broken });
                }
                // One ask less, which may have been what others waited for.
                Event::Reply(..) | Event::ReplyErr(..) => {
                    room = true;
                    self.handle_event(event);
                }
                event => self.handle_event(event),
            }
        }
        if room {
            self.peer.wake_senders();
        }
        end
    }

    /// Everything that is neither a message nor the end.
    fn handle_event(&mut self, event: Event<Requester>) {
        // Who asked may have left meanwhile: then nobody hears it.
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
            Event::NodeInfo(introduction) => self.node.learn_node(introduction),
            _ => {}
        }
    }

    /// An ask is given up, whether it was begun or is held.
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

    fn handle_message(&mut self, message: Delivery, ask: Option<(CorrelationId, Option<Instant>)>) {
        let Delivery { to, type_key, body, frame_bytes } = message;
        let id = ask.map(|(id, _)| id);
        let Some(endpoint) = self.node.exported(to) else {
            self.reject(frame_bytes, id, RejectReason::Stopped, ReplyCode::NoSuchActor, "");
            return;
        };
        let actor = endpoint.shared().id().number();
        let mut waiter = Waiter::default();
        let may_not_begin = ask.is_some() && self.allowance == 0;
        self.asks_wait |= may_not_begin;
        let outcome = match may_not_begin || self.backlogs.contains_key(&actor) {
            true => Outcome::Blocked,
            false => self.deliver(&endpoint, &mut waiter, type_key, &body, ask),
        };
        match outcome {
            Outcome::Accepted => self.settlements.push(Settlement::Settled(frame_bytes, None)),
            Outcome::Blocked if is_over_limit(self.backlog_messages, self.backlog_bytes, &self.node.config) => {
                endpoint.reserve().cancel_reserve(&mut waiter);
                self.reject(frame_bytes, id, RejectReason::Full, ReplyCode::Full, "");
            }
            Outcome::Blocked => {
                self.backlog_messages += 1;
                self.backlog_bytes += frame_bytes as usize;
                self.backlog_asks.extend(id);
                self.settlements.push(Settlement::Held(to, frame_bytes));
                let message =
                    QueuedMessage { endpoint: endpoint.clone(), to, type_key, body: body.to_vec(), frame_bytes, ask };
                let backlog =
                    self.backlogs.entry(actor).or_insert_with(|| Backlog { endpoint, waiter, queue: VecDeque::new() });
                backlog.queue.push_back(Queued::Message(message));
            }
            Outcome::Rejected(refused, code, text) => self.reject(frame_bytes, id, refused, code, &text),
        }
    }

    fn reject(
        &mut self,
        frame_bytes: u32,
        ask: Option<CorrelationId>,
        refused: RejectReason,
        code: ReplyCode,
        text: &str,
    ) {
        self.settlements.push(Settlement::Settled(frame_bytes, Some(refused)));
        if let Some(id) = ask {
            self.peer.update_session(|session| session.reply_err(id, code, text));
        }
    }

    /// Puts a message into the actor's mailbox, if there is room.
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

        // What has to be held is decoded when it is delivered, and not twice.
        if !endpoint.has_room(&waiter.local) {
            return Outcome::Blocked;
        }
        let (delivered, _) = scope::within(self.node.clone(), || match ask {
            Some((id, _)) => endpoint.ask(index, &mut waiter.local, body).map(|reply| Some((id, reply))),
            None => endpoint.tell(index, &mut waiter.local, body).map(|()| None),
        });
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

    /// Delivers what was held to mailboxes that have room again. True if anything was settled.
    pub(crate) fn poll_backlog(&mut self, cx: &mut Context<'_>) -> bool {
        self.asks_wait = false;
        if self.backlogs.is_empty() {
            return false;
        }
        let mut backlogs = std::mem::take(&mut self.backlogs);
        backlogs.retain(|_, backlog| self.deliver_backlog(backlog, cx));
        self.backlogs = backlogs;
        let settled = !self.settlements.is_empty();
        self.report_settled();
        settled
    }

    /// Delivers what waits for one actor, as far as there is room. False if nothing is left.
    fn deliver_backlog(&mut self, backlog: &mut Backlog, cx: &mut Context<'_>) -> bool {
        loop {
            // An ask that may not be begun yet takes no place in the mailbox from anybody.
            let front = backlog.queue.front();
            if self.allowance == 0 && matches!(front, Some(Queued::Message(message)) if message.ask.is_some()) {
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
                _ => self.deliver(endpoint, &mut backlog.waiter, *type_key, body, *ask),
            };
            if !matches!(outcome, Outcome::Blocked) {
                self.settlements.push(Settlement::Released(*to, *frame_bytes));
            }
            match outcome {
                Outcome::Blocked => {
                    self.backlog_asks.extend(id);
                    backlog.queue.push_front(Queued::Message(message));
                    continue;
                }
                Outcome::Accepted => self.settlements.push(Settlement::Settled(*frame_bytes, None)),
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

    /// Tells the session what became of the messages.
    pub(crate) fn report_settled(&mut self) {
        if self.settlements.is_empty() {
            return;
        }
        let (now, epoch) = (self.node.now(), self.epoch);
        let settlements = &mut self.settlements;
        let due = self.peer.with_session(|session| {
            for settlement in settlements.drain(..) {
                match settlement {
                    Settlement::Held(to, frame_bytes) => session.hold(epoch, to, frame_bytes, now),
                    Settlement::Released(to, frame_bytes) => session.release(epoch, to, frame_bytes),
                    Settlement::Settled(frame_bytes, refused) => session.settle(epoch, frame_bytes, refused, now),
                }
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
