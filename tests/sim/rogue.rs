//! A node made by hand, the one role of all hostile and hand-made peers: it gets in as any node does, then says what it
//! likes. With its session it speaks as an honest node; [`Rogue::send`] says one thing, frame by frame, with the vocabulary
//! of the protocol; [`Rogue::script`] draws what to say from the seed.

use crate::probe::{Probing, message, until_closed};
use bytes::BytesMut;
use posse::cluster::NodeConfig;
use posse::prelude::*;
use posse::sim::Sim;
use posse::time::timeout;
use posse_wire::{ActorKey, AwaitHello, Event, FrameKind, Hello, Resolution, Role, Session, TypeInfo, fnv1a64};
use std::net::SocketAddr;
use std::time::Duration;

/// A frame, made by hand. Nothing about it needs to be true.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: FrameKind,
    pub type_ix: u16,
    pub to: ActorKey,
    pub correlation: Option<u64>,
    pub deadline_ms: Option<u32>,
    pub body: Vec<u8>,
}

impl Frame {
    pub fn new(kind: FrameKind) -> Self {
        Self { kind, type_ix: u16::MAX, to: ActorKey::NODE, correlation: None, deadline_ms: None, body: Vec::new() }
    }

    pub fn to(self, to: ActorKey) -> Self {
        Self { to, ..self }
    }

    pub fn correlation(self, correlation: u64) -> Self {
        Self { correlation: Some(correlation), ..self }
    }

    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// A body of little-endian words.
    pub fn words(self, words: impl IntoIterator<Item = u64>) -> Self {
        Self { body: words.into_iter().flat_map(u64::to_le_bytes).collect(), ..self }
    }

    pub fn and_body(mut self, more: &[u8]) -> Self {
        self.body.extend(more);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let flags = u8::from(self.correlation.is_some()) * 2 + u8::from(self.deadline_ms.is_some()) * 4;
        let len = 16 + 8 * usize::from(flags.count_ones() as u8) + self.body.len();
        let mut bytes = (len as u32).to_le_bytes().to_vec();
        bytes.extend([self.kind as u8, flags]);
        bytes.extend(self.type_ix.to_le_bytes());
        bytes.extend(self.to.slot.to_le_bytes());
        bytes.extend(self.to.generation.to_le_bytes());
        bytes.extend(self.correlation.iter().flat_map(|id| id.to_le_bytes()));
        bytes.extend(self.deadline_ms.iter().flat_map(|ms| u64::from(*ms).to_le_bytes()));
        bytes.extend(&self.body);
        bytes
    }
}

/// A node made by hand that is connected to another one.
pub struct Rogue {
    pub stream: TcpStream,
    input: BytesMut,
    pub session: Session<&'static str>,
    /// The probe of the node it talks to, if it has looked for it.
    pub probe: ActorKey,
}

/// Rogues have no clock: they never send a sign of life by themselves.
const NOW: Duration = Duration::ZERO;

impl Rogue {
    /// Gets in, and finds the probe.
    pub async fn enter(node: SocketAddr, name: &str) -> Self {
        let mut rogue = Self::join(node, name, 1).await;
        rogue.probe = rogue.find("Probing", "probe").await;
        rogue
    }

    /// Gets in as an incarnation of a node.
    pub async fn join(node: SocketAddr, name: &str, incarnation: u64) -> Self {
        let hello = Hello::new("default", name, incarnation, "", &NodeConfig::default()).unwrap();
        let stream = TcpStream::connect(node).await.unwrap();
        Self::shake_hands(stream, Role::Initiator, hello).await.unwrap()
    }

    /// The handshake on a connection, by either side. `None` if it is shown the door.
    pub async fn shake_hands(mut stream: TcpStream, role: Role, own: Hello) -> Option<Self> {
        let (greeting, bytes) = AwaitHello::new(role, own);
        stream.write_all(&bytes).await.ok()?;
        let mut input = BytesMut::new();
        let introduced = loop {
            if let Some(introduced) = greeting.read(&mut input).ok()? {
                break introduced;
            }
            more(&mut stream, &mut input).await?;
        };
        let (mut agreeing, ready) = introduced.accept(&[]);
        stream.write_all(&ready).await.ok()?;
        let connected = loop {
            if let Some(connected) = agreeing.read(&mut input).ok()? {
                break connected;
            }
            more(&mut stream, &mut input).await?;
        };
        let mut session = Session::new(NodeConfig::default(), &[]);
        session.attach(connected, NOW);
        Some(Self { stream, input, session, probe: ActorKey::NODE })
    }

    pub fn hello(name: &str) -> Hello {
        Hello::new("default", name, 1, "", &NodeConfig::default()).unwrap()
    }

    pub async fn flush(&mut self) {
        while let Some(bytes) = self.session.poll_transmit(NOW) {
            self.stream.write_all(&bytes).await.unwrap();
        }
    }

    /// The bytes of a message, which is not sent.
    pub fn frame(&mut self, info: TypeInfo, body: &[u8]) -> BytesMut {
        self.session.tell(self.probe, info, body).unwrap();
        self.session.poll_transmit(NOW).unwrap()
    }

    pub async fn next(&mut self) -> Event<&'static str> {
        self.flush().await;
        loop {
            match self.session.read_event(&mut self.input, NOW).unwrap() {
                Some(Event::Settled) => {}
                Some(event) => return event,
                None => more(&mut self.stream, &mut self.input).await.expect("closed"),
            }
        }
    }

    pub async fn find(&mut self, protocol: &str, name: &str) -> ActorKey {
        self.session.resolve(fnv1a64(protocol.as_bytes()), name, "where").unwrap();
        let Event::Resolved(_, Resolution::Found(found)) = self.next().await else { panic!("not found") };
        found.key
    }

    /// Reads to the end, which has to come within a time.
    pub async fn ends(&mut self, within: Duration) -> Vec<u8> {
        until_closed(&mut self.stream, within).await
    }

    /// Says one thing. False if nobody listens any more.
    pub async fn send(&mut self, frame: &Frame) -> bool {
        self.send_bytes(&frame.bytes()).await
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        timeout(ms(50), self.stream.write_all(bytes)).await.is_ok_and(|written| written.is_ok())
    }

    /// Takes what there is to read within a time, and draws no conclusions. False if the connection has ended.
    pub async fn read_for(&mut self, time: Duration) -> bool {
        let reading = async {
            while self.stream.read_buf(&mut self.input).await.is_ok_and(|read| read > 0) {
                self.input.clear();
            }
        };
        timeout(time, reading).await.is_err()
    }

    /// Something to say: true or not, but in the words of the protocol.
    pub fn draw(&self, sim: &Sim) -> Frame {
        let id = sim.random_below(4) as u64 | 1 << 32;
        // Zeros are a short time, a short list and an empty text.
        let text = |len| vec![0; len];
        let number = || 1_u64 << sim.random_below(64);
        match sim.random_below(17) {
            0 => Frame::new(FrameKind::Reply).correlation(id).body(text(8)),
            1 => Frame::new(FrameKind::ReplyErr).correlation(id).body([sim.random_below(20) as u8, 0]),
            2 => Frame::new(FrameKind::Down).correlation(id).body([sim.random_below(9) as u8, 0]),
            3 => Frame::new(FrameKind::Resolved).correlation(id).body([1, 0, 0, 0, 0, 0, 0, 0]),
            4 => Frame::new(FrameKind::Watch).correlation(number()).to(self.probe),
            5 => Frame::new(FrameKind::Unwatch).correlation(id),
            6 => Frame::new(FrameKind::Cancel).correlation(id),
            7 => Frame::new(FrameKind::Ping).words([number(), number()]),
            8 => Frame::new(FrameKind::Pong).words([number(), number()]),
            9 => Frame::new(FrameKind::Resolve).correlation(number()).body(text(8 + sim.random_below(50))),
            10 => Frame::new(FrameKind::Backlog).words([number(), number(), number()]),
            11 => Frame::new(FrameKind::Ack).words([0, 0, 0, 0, 0, 0]),
            12 => Frame::new(FrameKind::NodeInfo).words([number(), number()]).and_body(&[1, 0, b'n', b'x', b':', b'1']),
            13 => Frame {
                type_ix: sim.random_below(20) as u16,
                ..Frame::new(FrameKind::Tell).to(self.probe).body(text(8))
            },
            14 => self.ask("give", &(sim.random_below(100_000) as u64).to_le_bytes(), number()),
            15 => self.ask("slow", &(sim.random_below(3000) as u64).to_le_bytes(), number()),
            _ => self.tell_nobody(sim.random_below(9) as u64),
        }
    }

    /// A message for somebody who was never there.
    pub fn tell_nobody(&self, to: u64) -> Frame {
        Frame::new(FrameKind::Tell).to(ActorKey { slot: to as u32, generation: 1 })
    }

    /// An ask of the probe, with its type in the receiver's table guessed.
    pub fn ask(&self, name: &str, body: &[u8], correlation: u64) -> Frame {
        let info = message(name);
        let at = <Probing as posse::protocol::Protocol>::MESSAGES.iter().position(|message| message.id == info.id);
        let ask = Frame::new(FrameKind::Ask).to(self.probe).correlation(correlation).body(body);
        Frame { type_ix: at.unwrap_or(0) as u16, deadline_ms: Some(1000), ..ask }
    }

    /// Says so many things, reading what comes back only now and then. Ends early if it is shown the door.
    pub async fn script(&mut self, sim: &Sim, count: usize) {
        let reads = sim.random_below(2) == 0;
        for _ in 0..count {
            let frame = self.draw(sim);
            if !self.send(&frame).await || (reads && !self.read_for(ms(1)).await) {
                return;
            }
        }
    }
}

async fn more(stream: &mut TcpStream, input: &mut BytesMut) -> Option<()> {
    stream.read_buf(input).await.ok().filter(|read| *read > 0).map(|_| ())
}
