//! A hostile peer as a role: it gets in as any node does, then says what it likes, frame by frame, with the vocabulary of the
//! protocol. [`Liar::send`] says one thing; [`Liar::script`] draws what to say from the seed.

use crate::probe::{Probing, Rogue, echo, find, id_of, idle, message, moment, server, state};
use bytes::BytesMut;
use posse::cluster::PeerState;
use posse::prelude::*;
use posse::sim::Sim;
use posse::time::{sleep, timeout};
use posse_wire::{ActorKey, Kind};
use std::net::SocketAddr;
use std::time::Duration;

/// A frame, made by hand. Nothing about it needs to be true.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: Kind,
    pub type_ix: u16,
    pub to: ActorKey,
    pub correlation: Option<u64>,
    pub deadline_ms: Option<u32>,
    pub body: Vec<u8>,
}

impl Frame {
    pub fn new(kind: Kind) -> Self {
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

    fn and_body(mut self, more: &[u8]) -> Self {
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

/// A node that lies. It reads what it is sent unless it is told not to, and draws no conclusions.
pub struct Liar {
    pub stream: TcpStream,
    /// The probe of the node it talks to.
    pub probe: ActorKey,
    input: BytesMut,
}

impl Liar {
    pub async fn enter(node: SocketAddr, name: &str) -> Self {
        let rogue = Rogue::enter(node, name).await;
        Self { stream: rogue.stream, probe: rogue.probe, input: BytesMut::new() }
    }

    /// Says one thing. False if nobody listens any more.
    pub async fn send(&mut self, frame: &Frame) -> bool {
        let bytes = frame.bytes();
        timeout(ms(50), self.stream.write_all(&bytes)).await.is_ok_and(|written| written.is_ok())
    }

    /// Takes what there is to read within a time. False if the connection has ended.
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
            0 => Frame::new(Kind::Reply).correlation(id).body(text(8)),
            1 => Frame::new(Kind::ReplyErr).correlation(id).body([sim.random_below(20) as u8, 0]),
            2 => Frame::new(Kind::Down).correlation(id).body([sim.random_below(9) as u8, 0]),
            3 => Frame::new(Kind::Resolved).correlation(id).body([1, 0, 0, 0, 0, 0, 0, 0]),
            4 => Frame::new(Kind::Watch).correlation(number()).to(self.probe),
            5 => Frame::new(Kind::Unwatch).correlation(id),
            6 => Frame::new(Kind::Cancel).correlation(id),
            7 => Frame::new(Kind::Ping).words([number(), number()]),
            8 => Frame::new(Kind::Pong).words([number(), number()]),
            9 => Frame::new(Kind::Resolve).correlation(number()).body(text(8 + sim.random_below(50))),
            10 => Frame::new(Kind::Held).words([number(), number(), number()]),
            11 => Frame::new(Kind::Ack).words([0, 0, 0, 0, 0, 0]),
            12 => Frame::new(Kind::NodeInfo).words([number(), number()]).and_body(&[1, 0, b'n', b'x', b':', b'1']),
            13 => Frame { type_ix: sim.random_below(20) as u16, ..Frame::new(Kind::Tell).to(self.probe).body(text(8)) },
            14 => self.ask("give", &(sim.random_below(100_000) as u64).to_le_bytes(), number()),
            15 => self.ask("slow", &(sim.random_below(3000) as u64).to_le_bytes(), number()),
            _ => Frame::new(Kind::Tell).to(ActorKey { slot: sim.random_below(9) as u32, generation: 1 }),
        }
    }

    /// An ask of the probe, with its type in the receiver's table guessed.
    fn ask(&self, name: &str, body: &[u8], correlation: u64) -> Frame {
        let info = message(name);
        let at = <Probing as posse::protocol::Protocol>::MESSAGES.iter().position(|message| message.id == info.id);
        let ask = Frame::new(Kind::Ask).to(self.probe).correlation(correlation).body(body);
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

/// Whatever a liar says, in whatever order, whether it reads the answers or not: honest nodes talk to each other as if it
/// were not there.
#[posse::test(sim, seeds = 40)]
async fn liar_harms_nobody_else(sim: Sim) {
    let (a, b, host) = (server(&sim, "a").await, sim.node("b").await, idle(&sim, "host").await);
    let probe = find(&b, &a).await;
    let (address, dice) = (a.address(), sim.clone());
    let lying = host.spawn(async move {
        for n in 0..3 {
            let mut liar = Liar::enter(address, &format!("liar{n}")).await;
            liar.script(&dice, 100).await;
        }
    });
    for _ in 0..20 {
        // The probe may be busy for what liars asked of it before: 3 s for each ask in its turn at most.
        assert_eq!(echo(&b, &probe, secs(1000)).await.unwrap(), "there?");
        sleep(moment(&sim, 50)).await;
        assert_eq!(state(&b, id_of(&a)), Some(PeerState::Connected));
    }
    lying.abort();
}
