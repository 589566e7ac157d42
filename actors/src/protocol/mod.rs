//! Protocols: which messages cross the network, under which stable names, and how an actor takes them.
//!
//! A protocol is a type that lists messages; `#[posse::protocol]` writes it from a trait. What an actor does with the
//! messages is a table that the compiler builds where the actor is shared; there is no registry, and nothing runs before
//! `main`. Programs name what is here only in bounds of generic code, or to write by hand what the macros write.

pub(crate) mod codec;
pub(crate) mod decode_limits;
pub(crate) mod dispatch;

pub use crate::actor::message::HandledBy;
pub use crate::refs::actor_ref::RawRef;
pub use crate::refs::target::Target;
pub use crate::watch::monitor::Monitorable;
pub(crate) mod scope;

use crate::actor::Actor;
use crate::actor::message::Message;
use dispatch::HandlerEntry;
use posse_wire::fnv1a64;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What can be written as bytes and read again in another process. Everything that serde can do is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot leave this process",
    label = "this would have to cross the network",
    note = "derive `Serialize` and `Deserialize` on it, or send it to a `LocalRef`",
    note = "a `LocalRef` stays in its process: send what `.share::<Protocol>()` returns, an `ActorRef<Protocol>`"
)]
pub trait Portable: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Portable for T {}

/// A message that may leave the process: it has a name that stays the same in every program that knows it.
///
/// `#[derive(Message)]` with `#[message(name = "..")]` implements it, and so does `#[posse::protocol]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no name that other processes know it by",
    label = "this message cannot be part of a protocol",
    note = "write `#[message(name = \"area/what\")]` beside its `#[derive(Message, Serialize, Deserialize)]`"
)]
pub trait Wire: Message<Reply: Portable> + Portable {
    /// How both sides recognise it.
    const TYPE: MessageType;
}

/// How both sides of a connection recognise a type of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageType {
    /// The name it was declared with.
    pub name: &'static str,
    /// Hash of the name.
    pub id: u64,
    /// Hash of names and types of the fields, of the reply, and of the version.
    pub schema: u64,
}

impl MessageType {
    /// A type with a name, a text that changes with its layout, and a version.
    pub const fn new(name: &'static str, layout: &str, version: u64) -> Self {
        let schema = fnv1a64(layout.as_bytes()) ^ version.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { name, id: fnv1a64(name.as_bytes()), schema }
    }
}

/// A list of messages: the typed network interface of actors. Written by `#[posse::protocol]`.
pub trait Protocol: Sized + Send + Sync + 'static {
    /// Its name, the same in every program.
    const NAME: &'static str;
    /// Its messages.
    const MESSAGES: &'static [MessageType];

    #[doc(hidden)]
    fn from_raw(raw: RawRef) -> Self;
    #[doc(hidden)]
    fn raw(&self) -> &RawRef;
}

/// The hash of a protocol's name.
pub(crate) const fn protocol_id<P: Protocol>() -> u64 {
    fnv1a64(P::NAME.as_bytes())
}

/// Says that a message belongs to a protocol.
#[diagnostic::on_unimplemented(
    message = "`{M}` is not a message of the protocol `{Self}`",
    label = "the protocol does not list this message"
)]
pub trait Accepts<M: Wire>: Protocol {
    /// Its place in [`Protocol::MESSAGES`].
    #[doc(hidden)]
    const INDEX: usize;
}

/// Says that an actor handles every message of a protocol.
#[diagnostic::on_unimplemented(
    message = "`{A}` does not handle every message of the protocol `{Self}`",
    label = "this actor cannot be shared under the protocol"
)]
pub trait ServedBy<A: Actor>: Protocol {
    /// How, in the order of [`Protocol::MESSAGES`].
    #[doc(hidden)]
    const HANDLERS: &'static [HandlerEntry<A>];
}

/// Fails to compile if two messages of a protocol have the same id.
#[doc(hidden)]
pub const fn assert_distinct(messages: &[MessageType]) {
    let mut i = 0;
    while i < messages.len() {
        let mut j = i + 1;
        while j < messages.len() {
            assert!(messages[i].id != messages[j].id, "two messages of a protocol have the same name, or the same id");
            j += 1;
        }
        i += 1;
    }
}
