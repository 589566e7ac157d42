//! Publish and subscribe: one actor that knows who listens to what.

use super::connection::Connection;
use super::resp::Reply;
use bytes::Bytes;
use posse::prelude::*;
use posse::sync::mpsc;
use std::collections::BTreeMap;

/// Messages that wait for a slow subscriber, before it is disconnected.
pub const BACKLOG_MAX: usize = 1_024;

#[derive(Default)]
pub struct Topics(BTreeMap<Bytes, BTreeMap<ActorId, Subscriber>>);

struct Subscriber {
    connection: LocalRef<Connection>,
    messages: mpsc::Sender<Reply>,
}

#[derive(Message)]
#[message(reply = ())]
pub struct Subscribe {
    pub topic: Bytes,
    pub connection: LocalRef<Connection>,
    pub messages: mpsc::Sender<Reply>,
}

#[derive(Message)]
pub struct Unsubscribe {
    pub topic: Bytes,
    pub connection: ActorId,
}

/// Answered with how many it was sent to.
#[derive(Message)]
#[message(reply = i64)]
pub struct Publish {
    pub topic: Bytes,
    pub text: Bytes,
}

impl Actor for Topics {}

impl Handler<Subscribe> for Topics {
    async fn handle(&mut self, Subscribe { topic, connection, messages }: Subscribe, _: &mut Context<Self>) {
        self.0.entry(topic).or_default().insert(connection.id(), Subscriber { connection, messages });
    }
}

impl Handler<Unsubscribe> for Topics {
    async fn handle(&mut self, Unsubscribe { topic, connection }: Unsubscribe, _: &mut Context<Self>) {
        let Some(subscribers) = self.0.get_mut(&topic) else { return };
        subscribers.remove(&connection);
        if subscribers.is_empty() {
            self.0.remove(&topic);
        }
    }
}

impl Handler<Publish> for Topics {
    async fn handle(&mut self, Publish { topic, text }: Publish, _: &mut Context<Self>) -> i64 {
        let Some(subscribers) = self.0.get_mut(&topic) else { return 0 };
        let message = Reply::List(vec![Reply::text("message"), Reply::Bulk(topic), Reply::Bulk(text)]);
        subscribers.retain(|_, subscriber| {
            let is_sent = subscriber.messages.try_send(message.clone()).is_ok();
            // A subscriber that does not read must not hold up the others, nor miss messages without knowing.
            if !is_sent {
                subscriber.connection.stop();
            }
            is_sent
        });
        subscribers.len() as i64
    }
}
