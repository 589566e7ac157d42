//! References that work from anywhere: to an actor of this process without encoding a byte, to any other over its node.

use super::remote::{Remote, RemoteReply};
use super::target::{Nowhere, Pending, Reserve, Target, Waiter};
use crate::actor::Actor;
use crate::error::{SendReason, TellError};
use crate::id::{ActorId, ExitReason};
use crate::protocol::decode_limits::REFERENCE;
use crate::protocol::dispatch::{Endpoint, LocalCall, LocalEndpoint};
use crate::protocol::scope;
use crate::protocol::{Accepts, Protocol, ServedBy, Wire, protocol_id};
use crate::refs::ask::Ask;
use crate::refs::tell::Tell;
use crate::refs::{LocalRef, Recipient};
use crate::watch::monitor::{DownCallback, Monitor, Monitorable};
use posse_core::OnDrop;
use posse_core::mailbox::ReplyReceiver;
use posse_core::sync::oneshot;
use posse_wire::WireRef;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// What an [`ActorRef`] is inside; a protocol's type is made of it.
#[derive(Clone)]
pub struct RawRef(pub(crate) Repr);

#[derive(Clone)]
pub(crate) enum Repr {
    Local(Arc<dyn Endpoint>),
    Remote(Arc<dyn Remote>),
    /// An actor of this process that ended before the reference came back.
    Stale(WireRef),
    /// An actor of another node that is gone for good, or of which nothing is known: all is answered with `NodeDown`.
    Gone(WireRef),
}

impl RawRef {
    fn id(&self) -> ActorId {
        match &self.0 {
            Repr::Local(endpoint) => endpoint.shared().id(),
            Repr::Remote(remote) => remote.id(),
            Repr::Stale(wire) | Repr::Gone(wire) => ActorId::remote(wire.node, wire.key),
        }
    }
}

impl fmt::Debug for RawRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawRef({})", self.id())
    }
}

/// A reference to an actor that speaks protocol `P`, in this process or at another node.
///
/// It accepts exactly the messages of the protocol, which are also its methods, and can itself be part of a message.
/// It outlives restarts, and never keeps an actor alive. Made by [`LocalRef::share`] or
/// [`Node::whereis`](crate::cluster::Node::whereis).
///
/// # Delivery
/// At most once, and in the order of sending from one sender. To another node `Ok` from a tell means that the message is
/// on its way; what the other side refuses is counted with the node as a dead letter.
///
/// # Examples
/// ```
/// use posse::prelude::*;
///
/// #[posse::protocol]
/// pub trait Counting {
///     async fn add(n: u64) -> u64;
/// }
///
/// struct Tally(u64);
/// impl Actor for Tally {}
/// impl Handler<Add> for Tally {
///     async fn handle(&mut self, Add { n }: Add, _: &mut Context<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// posse::run(async {
///     let tally: ActorRef<Counting> = posse::spawn(|| Tally(0)).share();
///     assert_eq!(tally.add(5).await?, 5);
///     assert_eq!(tally.ask(Add { n: 5 }).within(secs(1)).await?, 10);
///     Ok(())
/// })?;
/// # posse::Result::Ok(())
/// ```
pub struct ActorRef<P: Protocol>(P);

impl<P: Protocol> ActorRef<P> {
    #[doc(hidden)]
    pub fn from_raw(raw: RawRef) -> Self {
        Self(P::from_raw(raw))
    }

    pub(crate) fn repr(&self) -> &Repr {
        &self.0.raw().0
    }

    /// Sends a message without a reply; waits while there is no room, here or on the way.
    ///
    /// # Errors
    /// [`TellError`] with the message.
    ///
    /// # Cancel safety
    /// A tell that is dropped was not sent, unless it was ready.
    pub fn tell<M: Wire>(&self, message: M) -> Tell<M, Self>
    where
        P: Accepts<M>,
    {
        Tell::new(self.clone(), message)
    }

    /// Sends a message without a reply and without waiting.
    ///
    /// # Errors
    /// [`TellError`] with the message.
    pub fn try_tell<M: Wire>(&self, message: M) -> Result<(), TellError<M>>
    where
        P: Accepts<M>,
    {
        self.try_tell_with(&mut Waiter::default(), message)
    }

    /// Sends a message and waits for the reply, at most 5 seconds unless [`Ask::within`] says otherwise.
    ///
    /// # Errors
    /// [`AskError`](crate::AskError).
    ///
    /// # Cancel safety
    /// An ask that is dropped is not handled any more, if work on it has not begun; another node is told so.
    pub fn ask<M: Wire>(&self, message: M) -> Ask<M, Self>
    where
        P: Accepts<M>,
    {
        Ask::new(self.clone(), message)
    }

    /// Returns a reference that only knows one type of message.
    pub fn recipient<M: Wire>(&self) -> Recipient<M>
    where
        P: Accepts<M>,
    {
        Recipient::new(Arc::new(self.clone()))
    }

    /// Returns the id of the actor, as seen from this process.
    pub fn id(&self) -> ActorId {
        self.0.raw().id()
    }

    /// Returns true if the actor lives in this process, or did.
    pub fn is_local(&self) -> bool {
        !matches!(self.repr(), Repr::Remote(_) | Repr::Gone(_))
    }

    /// Waits until the actor has ended for good, or its node is down, and returns why. [`ExitReason::TooManyMonitors`] says nothing
    /// about the actor: it is at another node, and there are as many monitors between the two as there may be.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn closed(&self) -> ExitReason {
        let (ended, end) = oneshot::channel();
        let monitor = self.watch(
            None,
            Box::new(move |reason| {
                // Its asker has gone.
                let _ = ended.send(reason.clone());
            }),
        );
        let _end = OnDrop::new(|| _ = monitor.cancel());
        end.await.unwrap_or(ExitReason::NodeDown)
    }
}

impl<A: Actor> LocalRef<A> {
    /// Returns a reference under a protocol, which may leave the process and accepts the protocol's messages alone.
    pub fn share<P: ServedBy<A>>(&self) -> ActorRef<P> {
        let endpoint = LocalEndpoint::<A, P> { actor: self.clone(), protocol: PhantomData };
        ActorRef::from_raw(RawRef(Repr::Local(Arc::new(endpoint))))
    }
}

impl<P: Protocol> Monitorable for ActorRef<P> {
    fn watch(&self, watcher: Option<ActorId>, notify: DownCallback) -> Monitor {
        match self.repr() {
            Repr::Local(endpoint) => Monitor::local(endpoint.shared(), notify),
            Repr::Remote(remote) => remote.monitor(watcher, notify),
            Repr::Stale(wire) => {
                notify(&ExitReason::NoSuchActor);
                Monitor::ended(ActorId::remote(wire.node, wire.key))
            }
            Repr::Gone(wire) => {
                notify(&ExitReason::NodeDown);
                Monitor::ended(ActorId::remote(wire.node, wire.key))
            }
        }
    }

    fn monitored(&self) -> ActorId {
        self.id()
    }

    fn is_over(&self) -> Box<dyn Fn() -> bool + Send> {
        match self.repr() {
            Repr::Local(endpoint) => {
                let endpoint = endpoint.clone();
                Box::new(move || endpoint.shared().ended().is_some())
            }
            Repr::Remote(remote) => remote.is_over(),
            Repr::Stale(_) | Repr::Gone(_) => Box::new(|| true),
        }
    }
}

/// Hands a message to an actor of this process; nothing is encoded or allocated on the way.
fn call_local<P: Accepts<M>, M: Wire>(
    endpoint: &dyn Endpoint,
    waiter: &mut Waiter,
    message: M,
    wants_reply: bool,
) -> Result<Option<ReplyReceiver<M::Reply>>, TellError<M>> {
    let place = std::mem::take(&mut waiter.local);
    let mut op = LocalCall { message: Some(message), wants_reply, waiter: place, refused: None, reply: None };
    endpoint.local(P::INDEX, &mut op);
    waiter.local = op.waiter;
    match op.refused {
        Some(refused) => Err(refused),
        None => Ok(op.reply),
    }
}

impl<P: Accepts<M>, M: Wire> Target<M> for ActorRef<P> {
    fn try_tell_with(&self, waiter: &mut Waiter, message: M) -> Result<(), TellError<M>> {
        match self.repr() {
            Repr::Local(endpoint) => call_local::<P, M>(&**endpoint, waiter, message, false).map(drop),
            Repr::Remote(remote) => remote.tell(waiter, &message).map_err(|reason| TellError::new(reason, message)),
            Repr::Stale(_) => Err(TellError::new(SendReason::NoSuchActor, message)),
            Repr::Gone(_) => Err(TellError::new(SendReason::NodeDown, message)),
        }
    }

    fn try_ask_with(
        &self,
        waiter: &mut Waiter,
        message: M,
        within: Duration,
    ) -> Result<Pending<M::Reply>, TellError<M>> {
        match self.repr() {
            Repr::Local(endpoint) => match call_local::<P, M>(&**endpoint, waiter, message, true)? {
                Some(reply) => Ok(Pending::Local(reply)),
                None => unreachable!("invariant: what was not refused has a reply"),
            },
            Repr::Remote(remote) => match RemoteReply::ask(&**remote, waiter, &message, within) {
                Ok(reply) => Ok(Pending::Remote(reply)),
                Err(reason) => Err(TellError::new(reason, message)),
            },
            Repr::Stale(_) => Err(TellError::new(SendReason::NoSuchActor, message)),
            Repr::Gone(_) => Err(TellError::new(SendReason::NodeDown, message)),
        }
    }

    fn reserve(&self) -> &dyn Reserve {
        match self.repr() {
            Repr::Local(endpoint) => endpoint.reserve(),
            Repr::Remote(remote) => remote.reserve(),
            Repr::Stale(_) | Repr::Gone(_) => &Nowhere,
        }
    }
}

impl<P: Protocol> Deref for ActorRef<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0
    }
}

impl<P: Protocol> Clone for ActorRef<P> {
    fn clone(&self) -> Self {
        Self::from_raw(self.0.raw().clone())
    }
}

impl<P: Protocol> PartialEq for ActorRef<P> {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl<P: Protocol> Eq for ActorRef<P> {}

impl<P: Protocol> Hash for ActorRef<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<P: Protocol> fmt::Debug for ActorRef<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef<{}>({})", P::NAME, self.id())
    }
}

/// Only as part of a message that goes to another node; anywhere else it is an error that says so.
impl<P: Protocol> Serialize for ActorRef<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wire = scope::export(self.repr()).map_err(serde::ser::Error::custom)?;
        wire.to_words().serialize(serializer)
    }
}

/// Only as part of a message that comes from another node; anywhere else it is an error that says so.
impl<'de, P: Protocol> Deserialize<'de> for ActorRef<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Under this name what it takes besides its words is charged, see `decode_limits`.
        deserializer.deserialize_tuple_struct(REFERENCE, 4, Words(PhantomData))
    }
}

/// Reads the words of a reference, and finds what they lead to.
struct Words<P>(PhantomData<P>);

impl<'de, P: Protocol> Visitor<'de> for Words<P> {
    type Value = ActorRef<P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the four words of a reference")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<ActorRef<P>, A::Error> {
        let mut words = [0; 4];
        for (read, word) in words.iter_mut().enumerate() {
            *word = access.next_element()?.ok_or_else(|| A::Error::invalid_length(read, &self))?;
        }
        let repr = scope::import(WireRef::from_words(words), protocol_id::<P>()).map_err(A::Error::custom)?;
        Ok(ActorRef::from_raw(RawRef(repr)))
    }
}
