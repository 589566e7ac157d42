//! The service: a protocol, and an actor that speaks it.

use bytes::Bytes;
use posse::prelude::*;
use serde::{Deserialize, Serialize};

/// Sends back what it gets.
#[posse::protocol]
pub trait Echoing {
    /// Returns the payload.
    async fn echo(payload: Bytes) -> Echoed;
    /// Is told a payload that follows from its number, and checks it.
    async fn note(number: u64, payload: Bytes);
    /// Asks another actor, which may live anywhere, for an echo.
    async fn relay(to: ActorRef<Echoing>, payload: Bytes) -> Result<Echoed, AskError>;
    /// Returns what was handled so far.
    async fn count() -> Counts;
}

/// What comes back.
#[derive(Serialize, Deserialize)]
pub struct Echoed {
    pub payload: Bytes,
    /// Messages the actor has handled, this one included.
    pub handled: u64,
}

/// What an actor has handled.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Counts {
    pub handled: u64,
    /// Notes whose payload was not what it should be.
    pub corrupt: u64,
}

/// The payload of a number: 16 to 1,039 bytes.
pub fn payload(number: u64) -> Bytes {
    let bytes = 16 + (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as usize;
    let mut state = number | 1;
    let next = std::iter::repeat_with(move || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(number);
        (state >> 56) as u8
    });
    next.take(bytes).collect()
}

/// The actor.
#[derive(Default)]
pub struct Parrot(Counts);

impl Actor for Parrot {}

impl Handler<Echo> for Parrot {
    async fn handle(&mut self, Echo { payload }: Echo, _: &mut Context<Self>) -> Echoed {
        self.0.handled += 1;
        Echoed { payload, handled: self.0.handled }
    }
}

impl Handler<Note> for Parrot {
    async fn handle(&mut self, Note { number, payload }: Note, _: &mut Context<Self>) {
        self.0.handled += 1;
        self.0.corrupt += u64::from(payload != self::payload(number));
    }
}

impl Handler<Relay> for Parrot {
    async fn handle(&mut self, Relay { to, payload }: Relay, _: &mut Context<Self>) -> Result<Echoed, AskError> {
        self.0.handled += 1;
        to.echo(payload).await
    }
}

impl Handler<Count> for Parrot {
    async fn handle(&mut self, _: Count, _: &mut Context<Self>) -> Counts {
        self.0.handled += 1;
        self.0
    }
}
