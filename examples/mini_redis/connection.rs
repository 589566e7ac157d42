//! A connection: reads all requests that have come, asks each shard once for what they want of it, and answers in order.

use super::command::{Apart, Command};
use super::resp::{self, Malformed, Reply};
use super::shard::{Batch, Operation, SHARDS, Save, Shard};
use super::topics::{BACKLOG_MAX, Publish, Subscribe, Topics, Unsubscribe};
use bytes::{Bytes, BytesMut};
use posse::prelude::*;
use posse::sync::mpsc;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

/// Bytes that are made room for before each read.
const READ: usize = 64 * 1024;

pub struct Connection {
    stream: TcpStream,
    input: BytesMut,
    output: Vec<u8>,
    topics: BTreeSet<Bytes>,
    messages: (mpsc::Sender<Reply>, mpsc::Receiver<Reply>),
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        let (input, output) = (BytesMut::with_capacity(READ), Vec::new());
        Self { stream, input, output, topics: BTreeSet::new(), messages: mpsc::channel(BACKLOG_MAX) }
    }

    /// Waits for requests, and meanwhile for what is published.
    async fn wait(&mut self) -> std::io::Result<Event> {
        self.input.reserve(READ);
        let mut reading = pin!(self.stream.read_buf(&mut self.input));
        poll_fn(|cx| match reading.as_mut().poll(cx) {
            Poll::Ready(read) => Poll::Ready(read.map(Event::Read)),
            // It never ends, as this end of the channel holds the other one too.
            Poll::Pending => self.messages.1.poll_recv(cx).map(|message| Ok(Event::Published(message))),
        })
        .await
    }

    /// Answers all requests that are there as a whole.
    async fn answer(&mut self, house: &House, me: &LocalRef<Self>) -> posse::Result<Flow> {
        let mut plan = Plan::default();
        loop {
            let command = match resp::take(&mut self.input) {
                Ok(None) => break,
                Ok(Some(words)) => Command::parse(words),
                Err(Malformed(what)) => {
                    plan.carry_out(house, &mut self.output).await?;
                    Reply::error(format_args!("Protocol error: {what}")).encode(&mut self.output);
                    return Ok(Flow::End);
                }
            };
            if let Some(apart) = plan.add(command) {
                std::mem::take(&mut plan).carry_out(house, &mut self.output).await?;
                if self.act(apart, house, me).await? == Flow::End {
                    return Ok(Flow::End);
                }
            }
        }
        plan.carry_out(house, &mut self.output).await?;
        Ok(Flow::Goes)
    }

    async fn act(&mut self, command: Apart, house: &House, me: &LocalRef<Self>) -> posse::Result<Flow> {
        let reply = match command {
            Apart::Publish { topic, text } => Reply::Integer(house.topics.ask(Publish { topic, text }).await?),
            Apart::Save { waits } => house.save(waits).await?,
            Apart::Info => house.info().await?,
            Apart::Subscribe(topics) => return self.subscribe(topics, house, me).await,
            Apart::Unsubscribe(topics) => return self.unsubscribe(topics, house, me).await,
            Apart::Quit => {
                Reply::Status("OK").encode(&mut self.output);
                return Ok(Flow::End);
            }
        };
        reply.encode(&mut self.output);
        Ok(Flow::Goes)
    }

    async fn subscribe(&mut self, topics: Vec<Bytes>, house: &House, me: &LocalRef<Self>) -> posse::Result<Flow> {
        for topic in topics {
            self.topics.insert(topic.clone());
            let messages = self.messages.0.clone();
            house.topics.ask(Subscribe { topic: topic.clone(), connection: me.clone(), messages }).await?;
            self.say("subscribe", Reply::Bulk(topic));
        }
        Ok(Flow::Goes)
    }

    async fn unsubscribe(&mut self, topics: Vec<Bytes>, house: &House, me: &LocalRef<Self>) -> posse::Result<Flow> {
        let topics = if topics.is_empty() { self.topics.iter().cloned().collect() } else { topics };
        if topics.is_empty() {
            self.say("unsubscribe", Reply::Nil);
        }
        for topic in topics {
            self.topics.remove(&topic);
            house.topics.tell(Unsubscribe { topic: topic.clone(), connection: me.id() }).await?;
            self.say("unsubscribe", Reply::Bulk(topic));
        }
        Ok(Flow::Goes)
    }

    fn say(&mut self, what: &str, topic: Reply) {
        let count = Reply::Integer(self.topics.len() as i64);
        Reply::List(vec![Reply::text(what), topic, count]).encode(&mut self.output);
    }
}

enum Event {
    Read(usize),
    Published(Option<Reply>),
}

#[derive(PartialEq, Eq)]
enum Flow {
    Goes,
    End,
}

impl Actor for Connection {
    async fn run(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        let (house, me) = (House::find()?, ctx.myself());
        // An answer must not wait until the client has acknowledged the one before.
        self.stream.set_nodelay(true)?;
        loop {
            let flow = match self.wait().await? {
                Event::Read(0) | Event::Published(None) => return Ok(()),
                Event::Read(_) => self.answer(&house, &me).await?,
                Event::Published(Some(message)) => {
                    message.encode(&mut self.output);
                    Flow::Goes
                }
            };
            self.stream.write_all(&self.output).await?;
            self.output.clear();
            if flow == Flow::End {
                return Ok(());
            }
        }
    }

    async fn stopped(&mut self, _: &ExitReason, ctx: &mut Context<Self>) {
        let Ok(house) = House::find() else { return };
        for topic in std::mem::take(&mut self.topics) {
            // If the topics are gone, so are the subscriptions.
            let _ = house.topics.tell(Unsubscribe { topic, connection: ctx.id() }).await;
        }
    }
}

/// The others: references survive the restarts of whom they lead to.
struct House {
    shards: Vec<LocalRef<Shard>>,
    topics: LocalRef<Topics>,
}

impl House {
    fn find() -> posse::Result<Self> {
        let system = System::current();
        let shards: Option<_> = (0..SHARDS).map(|index| system.whereis(&Shard::name(index))).collect();
        let topics = system.whereis("topics");
        Ok(Self { shards: shards.ok_or("no shards")?, topics: topics.ok_or("no topics")? })
    }

    async fn save(&self, waits: bool) -> posse::Result<Reply> {
        for shard in &self.shards {
            if let Err(error) = shard.ask(Save { waits }).within(secs(30)).await? {
                return Ok(Reply::error(error));
            }
        }
        Ok(Reply::Status(if waits { "OK" } else { "Background saving started" }))
    }

    async fn info(&self) -> posse::Result<Reply> {
        let mut plan = Plan::default();
        plan.add(Command::Everywhere(|| Operation::Count));
        let keys = plan.replies(self).await?;
        let keys = if let [Reply::Integer(keys)] = keys[..] { keys } else { 0 };
        let system = System::current();
        Ok(Reply::text(format!(
            "# Server\r\nserver_name:mini_redis\r\nshards:{SHARDS}\r\n# Stats\r\nactors:{}\r\nmessages:{}\r\nrestarts:{}\r\n\
             # Keyspace\r\nkeys:{keys}\r\n",
            system.alive(),
            system.handled(),
            system.restarts(),
        )))
    }
}

/// What the requests of a batch want of each shard, and how their replies are put together.
#[derive(Default)]
struct Plan {
    operations: [Vec<Operation>; SHARDS],
    replies: Vec<Assembly>,
}

/// Where a reply comes from: the next replies of these shards.
enum Assembly {
    Now(Reply),
    One(usize),
    List(Vec<usize>),
    Sum(Vec<usize>),
    All(Vec<usize>),
}

impl Plan {
    /// Adds a request; gives back one that is not for the shards alone.
    fn add(&mut self, command: Command) -> Option<Apart> {
        let assembly = match command {
            Command::Now(reply) => Assembly::Now(reply),
            Command::One(operation) => Assembly::One(self.place(operation)),
            Command::List(operations) => Assembly::List(self.place_all(operations)),
            Command::Sum(operations) => Assembly::Sum(self.place_all(operations)),
            Command::All(operations) => Assembly::All(self.place_all(operations)),
            Command::Everywhere(operation) => {
                self.operations.iter_mut().for_each(|operations| operations.push(operation()));
                Assembly::Sum((0..SHARDS).collect())
            }
            Command::Apart(apart) => return Some(apart),
        };
        self.replies.push(assembly);
        None
    }

    fn place(&mut self, operation: Operation) -> usize {
        let shard = Shard::of(operation.key());
        self.operations[shard].push(operation);
        shard
    }

    fn place_all(&mut self, operations: Vec<Operation>) -> Vec<usize> {
        operations.into_iter().map(|operation| self.place(operation)).collect()
    }

    async fn carry_out(self, house: &House, output: &mut Vec<u8>) -> posse::Result {
        self.replies(house).await?.iter().for_each(|reply| reply.encode(output));
        Ok(())
    }

    /// Asks all shards at once and puts the replies together.
    async fn replies(self, house: &House) -> posse::Result<Vec<Reply>> {
        let asked: Vec<_> = self.operations.iter().map(|operations| !operations.is_empty()).collect();
        let batches = self.operations.into_iter().zip(&house.shards).filter(|(operations, _)| !operations.is_empty());
        let answers = join(batches.map(|(operations, shard)| shard.ask(Batch(operations))).collect()).await;
        let mut answers = answers.into_iter();
        let mut replies = Vec::with_capacity(SHARDS);
        for asked in asked {
            let of_this = if asked { answers.next().transpose()? } else { None };
            replies.push(of_this.unwrap_or_default().into_iter());
        }

        let mut next = |shard: usize| replies[shard].next().unwrap_or(Reply::Nil);
        let assembled = self.replies.into_iter().map(|assembly| match assembly {
            Assembly::Now(reply) => reply,
            Assembly::One(shard) => next(shard),
            Assembly::List(shards) => Reply::List(shards.into_iter().map(&mut next).collect()),
            Assembly::Sum(shards) => sum(shards.into_iter().map(&mut next).collect()),
            Assembly::All(shards) => shards.into_iter().map(&mut next).last().unwrap_or(Reply::Status("OK")),
        });
        Ok(assembled.collect())
    }
}

/// The sum of numbers; of what are none the first.
fn sum(replies: Vec<Reply>) -> Reply {
    let numbers: Option<Vec<i64>> =
        replies.iter().map(|reply| if let Reply::Integer(n) = reply { Some(*n) } else { None }).collect();
    numbers.map_or_else(|| replies[0].clone(), |numbers| Reply::Integer(numbers.iter().sum()))
}

/// Waits for all futures, which run at the same time.
async fn join<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut outputs: Vec<_> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(value) = Pin::new(future).poll(cx) {
                *output = Some(value);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
