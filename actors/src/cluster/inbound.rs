//! What another node sends, given to the actors of this one. One slow actor never holds up the others: what its mailbox
//! has no room for is held here, in order, up to a bound. The other node is told of it, and sends that actor no more than
//! its share of the room between the two. Asks are held as well while too many replies wait to be read.

use super::converse::End;
use super::core::Core;
use super::peer::{Answer, Peer};
use super::wire_log::WireLog;
use crate::error::AskError;
use crate::id::ExitReason;
use crate::protocol::dispatch::{DeliveryError, Endpoint};
use crate::protocol::scope;
use crate::refs::target::Waiter;
use crate::watch::monitor::DownCallback;
use posse_core::event;
use posse_core::time::Instant;
use posse_wire::{
    ActorKey, CorrelationId, DownBody, DownCode, Event, Goodbye, Inbound as Message, Limits, Refused, ReplyCode,
    Resolution, TypeKey, WireRef,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Context;

/// A message on its way into a mailbox.
struct Arrival {
    /// Whom it is for, by the protocol it came with.
    endpoint: Arc<dyn Endpoint>,
    to: ActorKey,
    type_key: TypeKey,
    body: Vec<u8>,
    frame_bytes: u32,
    ask: Option<(CorrelationId, Option<Instant>)>,
}

/// What waits because the mailbox of one actor is full.
struct Held {
    endpoint: Arc<dyn Endpoint>,
    waiter: Waiter,
    line: VecDeque<Item>,
}

enum Item {
    Message(Arrival),
    /// What the actor monitored has ended, after the messages before.
    Down(DownCallback, ExitReason),
}

impl Held {
    /// Tells of all ends at the front of the line. True if nothing is left.
    fn tell_ends(&mut self) -> bool {
        while let Some(Item::Down(..)) = self.line.front() {
            if let Some(Item::Down(notify, reason)) = self.line.pop_front() {
                notify(&reason);
            }
        }
        self.line.is_empty()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.endpoint.reserve().cancel_reserve(&mut self.waiter);
        // The connection is gone, and with it the messages; a monitor fires all the same.
        for item in self.line.drain(..) {
            if let Item::Down(notify, reason) = item {
                notify(&reason);
            }
        }
    }
}

pub(super) struct Inbound {
    core: Arc<Core>,
    peer: Arc<Peer>,
    /// Of the connection: what belongs to a former one settles nothing.
    epoch: u64,
    /// By the number of the actor: it has one mailbox, whatever protocols it speaks.
    held: BTreeMap<u64, Held>,
    /// Messages in all lines, and the bytes of their frames: what the other side may have unsettled, and no more.
    held_count: usize,
    held_bytes: usize,
    /// Asks whose askers have left, perhaps before they were let into a mailbox.
    cancelled: BTreeSet<CorrelationId>,
    /// For the session, in order.
    news: Vec<News>,
    /// So many more asks may be begun.
    allowance: usize,
    /// Asks wait until more may be begun.
    asks_wait: bool,
}

/// What the other node is to know of a message.
enum News {
    Held(ActorKey, u32),
    /// It was held until now.
    Released(ActorKey, u32),
    Settled(u32, Option<Refused>),
}

/// Why a message did not get into a mailbox, if it did not.
enum Fate {
    Taken,
    Wait,
    Refused(Refused, ReplyCode, String),
}

impl Inbound {
    pub(super) fn new(core: Arc<Core>, peer: Arc<Peer>, epoch: u64) -> Self {
        Self {
            core,
            peer,
            epoch,
            held: BTreeMap::new(),
            held_count: 0,
            held_bytes: 0,
            cancelled: BTreeSet::new(),
            news: Vec::new(),
            allowance: 0,
            asks_wait: false,
        }
    }

    /// Says how many more asks may be begun.
    pub(super) fn allow(&mut self, asks: usize) {
        self.allowance = asks;
    }

    /// True if asks wait until more may be begun.
    pub(super) fn asks_wait(&self) -> bool {
        self.asks_wait
    }

    /// Acts upon what has arrived. `Ok(Some(_))` if the other side ended the connection, `Err` if it has to be ended.
    pub(super) fn act(
        &mut self,
        events: impl Iterator<Item = Event<Answer>>,
    ) -> Result<Option<End>, (Goodbye, String)> {
        let mut room = false;
        let mut end = None;
        for event in events {
            match event {
                Event::Tell(message) => self.arrive(message, None),
                Event::Ask(message, id, left) => {
                    let deadline = Instant::now().checked_add(left);
                    self.arrive(message, Some((id, deadline)));
                }
                Event::Settled => room = true,
                Event::Goodbye(code, text) => {
                    event!(
                        INFO, "posse::node", "the other node ends the connection",
                        node.id = %self.peer.id(), node.name = %self.peer.name(), reason = %code, detail = %text,
                    );
                    end = Some(if code == Goodbye::Shutdown { End::Down } else { End::Broken });
                }
                Event::Watch(id, to) => self.watch(id, to)?,
                // One question less, which may have been what others waited for.
                Event::Reply(..) | Event::ReplyErr(..) | Event::Down(..) | Event::Resolved(..) => {
                    room = true;
                    self.answer(event);
                }
                event => self.answer(event),
            }
        }
        if room {
            self.peer.wake_line();
        }
        Ok(end)
    }

    /// Everything that is neither a message nor the end.
    fn answer(&mut self, event: Event<Answer>) {
        // Who asked may have left meanwhile: then nobody hears it.
        match event {
            Event::Reply(Answer::Ask(asker), body) => drop(asker.send(Ok(body))),
            Event::ReplyErr(Answer::Ask(asker), code, text) => drop(asker.send(Err(ask_error(code, text)))),
            Event::Down(Answer::Watch(notify, watcher), down) => {
                let reason = exit_reason(down);
                match watcher.and_then(|watcher| self.held.get_mut(&watcher)) {
                    Some(held) => held.line.push_back(Item::Down(notify, reason)),
                    None => notify(&reason),
                }
            }
            Event::Resolved(Answer::Resolve(asker), answer) => drop(asker.send(Some(answer))),
            Event::Cancel(id) => {
                let waits = !self.held.is_empty() && self.cancelled.len() < self.core.limits.unsettled_max;
                if !self.peer.forgive(id) && waits {
                    self.cancelled.insert(id);
                }
            }
            Event::Unwatch(id) => self.peer.unwatch(id),
            Event::Resolve(id, protocol, name) => {
                let answer = match self.core.find(&name, protocol) {
                    Ok((_, key)) => Resolution::Found(WireRef { node: self.core.id(), key, protocol }),
                    Err(answer) => answer,
                };
                self.peer.with_session(|session| session.resolved(id, answer));
            }
            Event::NodeInfo(introduction) => self.core.introduce(introduction),
            _ => {}
        }
    }

    fn watch(&mut self, id: CorrelationId, to: ActorKey) -> Result<(), (Goodbye, String)> {
        if self.peer.watcher_count() >= self.core.limits.monitors_max {
            return Err((Goodbye::Overloaded, "too many monitors".to_owned()));
        }
        match self.core.exported(to) {
            Some(endpoint) => self.peer.watched_by(id, endpoint.shared()),
            None => self.peer.with_session(|session| session.down(id, DownCode::NoSuchActor, "")),
        }
        Ok(())
    }

    fn arrive(&mut self, message: Message, ask: Option<(CorrelationId, Option<Instant>)>) {
        let Message { to, type_key, body, frame_bytes } = message;
        let id = ask.map(|(id, _)| id);
        let Some(endpoint) = self.core.exported(to) else {
            self.refuse(frame_bytes, id, Refused::Stopped, ReplyCode::NoSuchActor, "");
            return;
        };
        let actor = endpoint.shared().id().number();
        let mut waiter = Waiter::default();
        let may_not_begin = ask.is_some() && self.allowance == 0;
        self.asks_wait |= may_not_begin;
        let fate = match may_not_begin || self.held.contains_key(&actor) {
            true => Fate::Wait,
            false => self.deliver(&endpoint, &mut waiter, type_key, &body, ask),
        };
        match fate {
            Fate::Taken => self.news.push(News::Settled(frame_bytes, None)),
            Fate::Wait if is_too_much(self.held_count, self.held_bytes, &self.core.limits) => {
                endpoint.reserve().cancel_reserve(&mut waiter);
                self.refuse(frame_bytes, id, Refused::Full, ReplyCode::Full, "");
            }
            Fate::Wait => {
                self.held_count += 1;
                self.held_bytes += frame_bytes as usize;
                self.news.push(News::Held(to, frame_bytes));
                let arrival =
                    Arrival { endpoint: endpoint.clone(), to, type_key, body: body.to_vec(), frame_bytes, ask };
                let held = self.held.entry(actor).or_insert_with(|| Held { endpoint, waiter, line: VecDeque::new() });
                held.line.push_back(Item::Message(arrival));
            }
            Fate::Refused(refused, code, text) => self.refuse(frame_bytes, id, refused, code, &text),
        }
    }

    fn refuse(&mut self, frame_bytes: u32, ask: Option<CorrelationId>, refused: Refused, code: ReplyCode, text: &str) {
        self.news.push(News::Settled(frame_bytes, Some(refused)));
        if let Some(id) = ask {
            self.peer.with_session(|session| session.reply_err(id, code, text));
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
    ) -> Fate {
        let known = endpoint.messages().iter().enumerate().find(|(_, message)| message.id == type_key.id);
        let Some((index, _)) =
            known.filter(|(_, message)| type_key.schema.is_none_or(|theirs| theirs == message.schema))
        else {
            return Fate::Refused(Refused::Unreadable, ReplyCode::Incompatible, String::new());
        };
        if ask.is_some_and(|(_, deadline)| deadline.is_some_and(|deadline| Instant::now() >= deadline)) {
            return Fate::Refused(Refused::Expired, ReplyCode::Expired, String::new());
        }

        let (delivered, _) = scope::within(self.core.clone(), || match ask {
            Some((id, _)) => endpoint.ask(index, &mut waiter.local, body).map(|reply| Some((id, reply))),
            None => endpoint.tell(index, &mut waiter.local, body).map(|()| None),
        });
        if delivered.is_ok() {
            let between = (self.peer.id(), self.peer.own());
            WireLog::of(&self.core.handle).taken(between, || self.core.export(endpoint).key, type_key.id, body);
        }
        match delivered {
            Ok(None) => Fate::Taken,
            Ok(Some((id, reply))) => {
                self.allowance = self.allowance.saturating_sub(1);
                let expires = ask.and_then(|(_, deadline)| deadline).map(Instant::since_origin);
                self.peer.owe(&self.core, id, expires, reply);
                Fate::Taken
            }
            Err(DeliveryError::Full) => Fate::Wait,
            Err(DeliveryError::Stopped) => Fate::Refused(Refused::Stopped, ReplyCode::Stopped, String::new()),
            Err(DeliveryError::Decode(text)) => Fate::Refused(Refused::Unreadable, ReplyCode::Decode, text),
        }
    }

    /// Delivers what was held to mailboxes that have room again. True if anything was settled.
    pub(super) fn poll_held(&mut self, cx: &mut Context<'_>) -> bool {
        self.asks_wait = false;
        if self.held.is_empty() {
            return false;
        }
        let mut held = std::mem::take(&mut self.held);
        held.retain(|_, held| self.deliver_line(held, cx));
        self.held = held;
        if self.held.is_empty() {
            self.cancelled.clear();
        }
        let settled = !self.news.is_empty();
        self.settle();
        settled
    }

    /// Delivers what waits for one actor, as far as there is room. False if nothing is left.
    fn deliver_line(&mut self, held: &mut Held, cx: &mut Context<'_>) -> bool {
        loop {
            // An ask that may not be begun yet takes no place in the mailbox from anybody.
            let front = held.line.front();
            if self.allowance == 0 && matches!(front, Some(Item::Message(arrival)) if arrival.ask.is_some()) {
                held.endpoint.reserve().cancel_reserve(&mut held.waiter);
                self.asks_wait = true;
                return true;
            }
            if held.endpoint.reserve().poll_reserve(&mut held.waiter, cx).is_pending() {
                return true;
            }
            // `tell_ends` leaves a message at the front, or the line is gone.
            let Some(Item::Message(arrival)) = held.line.pop_front() else { return false };
            let Arrival { endpoint, to, type_key, body, frame_bytes, ask } = &arrival;
            let fate = match ask {
                Some((id, _)) if self.cancelled.remove(id) => {
                    Fate::Refused(Refused::Expired, ReplyCode::Expired, String::new())
                }
                _ => self.deliver(endpoint, &mut held.waiter, *type_key, body, *ask),
            };
            if !matches!(fate, Fate::Wait) {
                self.news.push(News::Released(*to, *frame_bytes));
            }
            match fate {
                Fate::Wait => {
                    held.line.push_front(Item::Message(arrival));
                    continue;
                }
                Fate::Taken => self.news.push(News::Settled(*frame_bytes, None)),
                Fate::Refused(refused, code, text) => {
                    self.refuse(*frame_bytes, ask.map(|(id, _)| id), refused, code, &text);
                }
            }
            self.held_count -= 1;
            self.held_bytes -= *frame_bytes as usize;
            if held.tell_ends() {
                return false;
            }
        }
    }

    /// Tells the session what became of the messages.
    pub(super) fn settle(&mut self) {
        if self.news.is_empty() {
            return;
        }
        let (now, epoch) = (self.core.now(), self.epoch);
        let news = &mut self.news;
        let due = self.peer.on_session(|session| {
            for news in news.drain(..) {
                match news {
                    News::Held(to, frame_bytes) => session.hold(epoch, to, frame_bytes, now),
                    News::Released(to, frame_bytes) => session.release(epoch, to, frame_bytes),
                    News::Settled(frame_bytes, refused) => session.settle(epoch, frame_bytes, refused, now),
                }
            }
            session.ack_is_due(now)
        });
        // Late is allowed: the timer of the connection sees to it.
        if due && !posse_core::buggify(0.2) {
            self.peer.output.notify_one();
        }
    }
}

/// The rule by which the other side looks at what it has unsettled, so one that keeps to it is never refused here.
fn is_too_much(count: usize, bytes: usize, limits: &Limits) -> bool {
    count >= limits.unsettled_max || bytes >= limits.unsettled_bytes_max
}

pub(super) fn ask_error(code: ReplyCode, text: String) -> AskError {
    match code {
        ReplyCode::Full => AskError::Full,
        ReplyCode::Stopped => AskError::Stopped,
        ReplyCode::NoSuchActor => AskError::NoSuchActor,
        ReplyCode::Crashed => AskError::Failed,
        ReplyCode::Expired => AskError::Timeout,
        ReplyCode::Incompatible => AskError::Incompatible,
        ReplyCode::Decode => AskError::Decode(text.into()),
        ReplyCode::Encode => AskError::Encode(text.into()),
        ReplyCode::Deadlock => AskError::Deadlock,
        _ => AskError::NoReply,
    }
}

pub(super) fn exit_reason(down: DownBody) -> ExitReason {
    match down.code {
        DownCode::Normal => ExitReason::Normal,
        DownCode::Shutdown => ExitReason::Shutdown,
        DownCode::Killed => ExitReason::Killed,
        DownCode::NodeDown => ExitReason::NodeDown,
        DownCode::NoSuchActor => ExitReason::NoSuchActor,
        _ => ExitReason::failed(down.text),
    }
}

#[cfg(test)]
#[path = "inbound_tests.rs"]
mod tests;
