//! Order from one actor to another between nodes, when the mailbox of the second is full.

use posse::DeadLetterReason;
use posse::prelude::*;
use posse::sync::oneshot;

#[posse::protocol]
pub trait Hearing {
    async fn hear(n: u64);
    async fn confirm(n: u64) -> u64;
}

/// A second way to the same mailbox.
#[posse::protocol]
pub trait Listening {
    async fn listen(n: u64);
}

#[posse::protocol]
pub trait Speaking {
    /// Says numbers, and ends.
    async fn speak(to: ActorRef<Hearing>, also: ActorRef<Listening>, numbers: u64);
}

struct Speaker;
impl Actor for Speaker {}

impl Handler<Speak> for Speaker {
    async fn handle(&mut self, Speak { to, also, numbers }: Speak, ctx: &mut Context<Self>) {
        for n in 0..numbers {
            let told =
                if n % 3 == 0 { also.tell(Listen { n }).await.is_ok() } else { to.tell(Hear { n }).await.is_ok() };
            assert!(told);
        }
        ctx.stop();
    }
}

/// Notes what it hears; `None` is the end of what it monitors.
#[derive(Default)]
struct Listener(Vec<Option<u64>>);
impl Actor for Listener {}

impl Handler<Hear> for Listener {
    async fn handle(&mut self, Hear { n }: Hear, _: &mut Context<Self>) {
        self.0.push(Some(n));
    }
}

impl Handler<Confirm> for Listener {
    async fn handle(&mut self, Confirm { n }: Confirm, _: &mut Context<Self>) -> u64 {
        self.0.push(Some(n));
        n
    }
}

impl Handler<Listen> for Listener {
    async fn handle(&mut self, Listen { n }: Listen, _: &mut Context<Self>) {
        self.0.push(Some(n));
    }
}

impl Handler<Down> for Listener {
    async fn handle(&mut self, down: Down, _: &mut Context<Self>) {
        assert_eq!(down.reason, ExitReason::Normal);
        self.0.push(None);
    }
}

#[derive(Message)]
struct Attend(ActorRef<Speaking>);

impl Handler<Attend> for Listener {
    async fn handle(&mut self, Attend(speaker): Attend, ctx: &mut Context<Self>) {
        ctx.monitor(&speaker);
    }
}

#[derive(Message)]
struct BeBusy(oneshot::Receiver<()>);

impl Handler<BeBusy> for Listener {
    async fn handle(&mut self, BeBusy(until): BeBusy, _: &mut Context<Self>) {
        until.await.unwrap();
    }
}

#[derive(Message)]
#[message(reply = Vec<Option<u64>>)]
struct Heard;

impl Handler<Heard> for Listener {
    async fn handle(&mut self, _: Heard, _: &mut Context<Self>) -> Vec<Option<u64>> {
        self.0.clone()
    }
}

/// A speaker at one node, and at another a listener that monitors it and is busy, with room for two messages.
struct Stage {
    server: Node,
    client: Node,
    local: LocalRef<Speaker>,
    speaker: ActorRef<Speaking>,
    listener: LocalRef<Listener>,
    free: oneshot::Sender<()>,
}

async fn busy_listener() -> Stage {
    let server = Node::listen("127.0.0.1:0").await.unwrap();
    let local = posse::spawn(|| Speaker);
    server.register("speaker", local.share::<Speaking>()).await.unwrap();
    let client = Node::connect(server.local_addr().unwrap()).await.unwrap();
    let speaker: ActorRef<Speaking> = client.whereis("speaker").await.unwrap();
    let listener = posse::spawn(Spec::new(Listener::default).capacity(2));
    listener.ask(Attend(speaker.clone())).await.unwrap();

    let (free, busy) = oneshot::channel();
    listener.tell(BeBusy(busy)).await.unwrap();
    Stage { server, client, local, speaker, listener, free }
}

#[posse::test]
async fn a_full_mailbox_changes_neither_the_order_of_messages_nor_that_down_comes_last() {
    const NUMBERS: u64 = 100;
    let Stage { server: _server, client: _client, local, speaker, listener, free } = busy_listener().await;
    let speak = Speak { to: listener.share(), also: listener.share(), numbers: NUMBERS };
    speaker.tell(speak).await.unwrap();
    local.closed().await;
    // A monitor without a mailbox is told as soon as the word arrives: by then the other one has arrived as well.
    assert_ne!(speaker.closed().await, ExitReason::NodeDown);
    free.send(()).unwrap();

    let mut heard = Vec::new();
    while heard.last() != Some(&None) {
        heard = listener.ask(Heard).await.unwrap();
    }
    let expected: Vec<_> = (0..NUMBERS).map(Some).chain([None]).collect();
    assert_eq!(heard, expected);
    assert_eq!(posse::System::current().dead_letters().count(DeadLetterReason::Stopped), 0);
}

#[posse::test]
async fn a_monitor_whose_word_waits_behind_messages_fires_once_when_the_connection_ends() {
    let Stage { server, client, local: _local, speaker, listener, free } = busy_listener().await;
    speaker.tell(Speak { to: listener.share(), also: listener.share(), numbers: 100 }).await.unwrap();
    assert_ne!(speaker.closed().await, ExitReason::NodeDown);
    // What had no room is lost with the connection, and counted so by who sent it.
    server.shutdown().await;
    client.node_down(server.id()).await;
    free.send(()).unwrap();

    let mut heard = Vec::new();
    while heard.last() != Some(&None) {
        heard = listener.ask(Heard).await.unwrap();
    }
    assert_eq!(heard.iter().filter(|heard| heard.is_none()).count(), 1);
    let numbers: Vec<_> = heard.iter().flatten().copied().collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
}

#[posse::test]
async fn an_ask_that_is_dropped_while_it_waits_for_a_full_mailbox_is_not_handled() {
    let server = Node::listen("127.0.0.1:0").await.unwrap();
    let listener = posse::spawn(Spec::new(Listener::default).capacity(2));
    server.register("listener", listener.share::<Hearing>()).await.unwrap();
    server.register("other", posse::spawn(Listener::default).share::<Hearing>()).await.unwrap();
    let client = Node::connect(server.local_addr().unwrap()).await.unwrap();
    let far: ActorRef<Hearing> = client.whereis("listener").await.unwrap();
    let other: ActorRef<Hearing> = client.whereis("other").await.unwrap();

    let (free, busy) = oneshot::channel();
    listener.tell(BeBusy(busy)).await.unwrap();
    let asks: Vec<_> = (0..20).map(|n| posse::task::spawn(far.confirm(n))).collect();
    while client.peers()[0].counters.accepted < 20 {
        posse::task::yield_now().await;
    }
    // All frames go one way in one order: what was sent before has arrived when the other actor answers.
    other.confirm(0).await.unwrap();
    for ask in asks {
        ask.abort();
        assert!(ask.await.is_err());
    }
    other.confirm(0).await.unwrap();
    free.send(()).unwrap();
    assert_eq!(far.confirm(20).await, Ok(20));
    assert_eq!(listener.ask(Heard).await.unwrap(), [Some(20)]);
}
