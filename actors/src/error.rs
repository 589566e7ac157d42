//! Errors: one small type per operation. A message that was not taken comes back.
//!
//! [`Error`] is any error, for programs and for actors that only pass errors on. It is no `std::error::Error` itself, so
//! that everything that is one, and any text, converts into it with `?`.

use serde::{Deserialize, Serialize};
use std::error::Error as StdError;
use std::fmt;

/// The result of programs and actors; the error is any error.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Any error, with its chain of causes.
///
/// # Examples
/// ```
/// fn port(text: &str) -> posse::Result<u16> {
///     if text.is_empty() {
///         return Err("no port was given".into());
///     }
///     Ok(text.parse()?)
/// }
/// assert_eq!(port("7000").unwrap(), 7000);
/// assert_eq!(port("").unwrap_err().to_string(), "no port was given");
/// assert!(port("x").unwrap_err().downcast_ref::<std::num::ParseIntError>().is_some());
/// ```
pub struct Error(Box<dyn StdError + Send + Sync + 'static>);

impl Error {
    /// An error that is a text.
    pub fn msg(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// Returns the error inside.
    pub fn inner(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }

    /// Returns the error inside.
    pub fn into_inner(self) -> Box<dyn StdError + Send + Sync + 'static> {
        self.0
    }

    /// Returns the error inside if it is of type `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The text with all causes, at most `CAUSES_MAX` of them.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        for _ in 0..CAUSES_MAX {
            let Some(error) = cause else { break };
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// Causes that are shown. A chain longer than this is most likely a circle. Guessed.
const CAUSES_MAX: usize = 32;

impl<E: Into<Box<dyn StdError + Send + Sync + 'static>>> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Lets `?` pass it on where the error is a `Box<dyn Error>`.
impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        error.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

/// Why a message was not taken; it is given back.
///
/// It converts into [`Error`] and into boxed errors with `?`, whatever the message is; the message is dropped then.
///
/// # Examples
/// ```
/// use posse::prelude::*;
/// use std::cell::Cell;
///
/// struct Notes;
/// impl Actor for Notes {}
///
/// // Neither `Sync` nor `Debug`.
/// #[derive(Message)]
/// struct Note(Cell<u8>);
/// impl Handler<Note> for Notes {
///     async fn handle(&mut self, _: Note, _: &mut Context<Self>) {}
/// }
///
/// posse::run(async {
///     let notes = posse::spawn(|| Notes);
///     notes.tell(Note(Cell::new(1))).await?;
///
///     notes.kill();
///     notes.closed().await;
///     let refused = notes.try_tell(Note(Cell::new(2))).unwrap_err();
///     assert_eq!(refused.to_string(), "the actor has stopped");
///     assert_eq!(refused.into_message().0.get(), 2);
///     Ok(())
/// })?;
/// # posse::Result::Ok(())
/// ```
pub struct TellError<M> {
    /// Why it was not taken.
    pub reason: SendReason,
    /// The message.
    pub message: M,
}

impl<M> TellError<M> {
    pub(crate) fn new(reason: SendReason, message: M) -> Self {
        Self { reason, message }
    }

    /// Returns true if there was no room: nothing waits for it in `try_tell`, nor does an actor that tells itself.
    pub fn is_full(&self) -> bool {
        matches!(self.reason, SendReason::Full)
    }

    /// Returns the message.
    pub fn into_message(self) -> M {
        self.message
    }
}

impl<M> fmt::Display for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TellError<{}>({self})", std::any::type_name::<M>())
    }
}

/// Reasons for which a message is not taken: of a [`TellError`], and some of those of an [`AskError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendReason {
    /// The mailbox is full, or the way to the actor's node is: `try_tell` does not wait for room, nor does an actor that
    /// tells itself.
    Full,
    /// The actor has ended, or accepts nothing more.
    Stopped,
    /// No actor is at the address: it ended long ago, or never was.
    NoSuchActor,
    /// The actor's node is down.
    NodeDown,
    /// Encoded, the message is longer than the nodes allow.
    TooLarge,
    /// The actor's node defines this type of message in another way, or does not know it.
    Incompatible,
    /// The message could not be encoded; the text says why.
    Encode(Box<str>),
}

impl fmt::Display for SendReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the mailbox is full",
            Self::Stopped => "the actor has stopped",
            Self::NoSuchActor => "there is no such actor",
            Self::NodeDown => "the actor's node is down",
            Self::TooLarge => "encoded, the message is too large",
            Self::Incompatible => "the actor's node defines the message in another way or not at all",
            Self::Encode(why) => return write!(f, "could not be encoded: {why}"),
        })
    }
}

impl StdError for SendReason {}

/// Drops the message. From here on [`Error`] follows.
impl<M> From<TellError<M>> for Box<dyn StdError + Send + Sync> {
    fn from(error: TellError<M>) -> Self {
        error.reason.into()
    }
}

/// Drops the message.
impl<M> From<TellError<M>> for Box<dyn StdError> {
    fn from(error: TellError<M>) -> Self {
        error.reason.into()
    }
}

/// Why an ask got no reply.
///
/// It can be part of a reply, also of one that crosses the network. It holds no message: most of these happen to messages
/// that were taken. One that was not taken comes back by [`Ask::recover`](crate::Ask::recover).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AskError {
    /// Too many messages wait for the actor at its node. Here an ask waits for room until its deadline.
    Full,
    /// The actor ended before it began with the message, or accepts nothing more.
    Stopped,
    /// No actor is at the address: it ended long ago, or never was.
    NoSuchActor,
    /// The actor failed, or was killed, while it handled the message.
    Failed,
    /// The actor's node is down. The message may have been handled.
    NodeDown,
    /// The deadline passed. The message is not handled any more if work on it has not begun.
    Timeout,
    /// An actor asked itself from its own handler, which could never be answered.
    Deadlock,
    /// The actor's node says that there will be no reply, for a reason that this one does not know.
    NoReply,
    /// The actor's node defines this type of message in another way, or does not know it.
    Incompatible,
    /// Encoded, the message or its reply is longer than the nodes allow.
    TooLarge,
    /// The message or its reply could not be encoded; the text says why.
    Encode(Box<str>),
    /// The message or its reply could not be decoded; the text says why.
    Decode(Box<str>),
}

impl From<SendReason> for AskError {
    fn from(reason: SendReason) -> Self {
        match reason {
            SendReason::Full => Self::Full,
            SendReason::Stopped => Self::Stopped,
            SendReason::NoSuchActor => Self::NoSuchActor,
            SendReason::NodeDown => Self::NodeDown,
            SendReason::TooLarge => Self::TooLarge,
            SendReason::Incompatible => Self::Incompatible,
            SendReason::Encode(why) => Self::Encode(why),
        }
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => SendReason::Full.fmt(f),
            Self::Stopped => SendReason::Stopped.fmt(f),
            Self::NoSuchActor => SendReason::NoSuchActor.fmt(f),
            Self::NodeDown => SendReason::NodeDown.fmt(f),
            Self::TooLarge => SendReason::TooLarge.fmt(f),
            Self::Incompatible => SendReason::Incompatible.fmt(f),
            Self::Encode(why) => SendReason::Encode(why.clone()).fmt(f),
            Self::Failed => f.write_str("the actor failed while it handled the message"),
            Self::Timeout => f.write_str("no reply before the deadline"),
            Self::Deadlock => f.write_str("an actor that asks itself waits for itself for ever"),
            Self::NoReply => f.write_str("there will be no reply"),
            Self::Decode(why) => write!(f, "could not be decoded: {why}"),
        }
    }
}

impl StdError for AskError {}

/// Why an ask got no reply, and the message if it was not taken; see [`Ask::recover`](crate::Ask::recover).
///
/// With the message in hand it is certain that it was not handled, so asking again cannot make it happen twice. Without
/// it, it may have been handled, whatever the error.
///
/// It converts into [`AskError`], [`Error`] and boxed errors with `?`, whatever the message is.
pub struct FailedAsk<M> {
    error: AskError,
    message: Option<M>,
}

impl<M> FailedAsk<M> {
    pub(crate) fn new(error: AskError, message: Option<M>) -> Self {
        Self { error, message }
    }

    /// Returns why there was no reply.
    pub fn error(&self) -> &AskError {
        &self.error
    }

    /// Returns true if the message was not taken.
    pub fn is_recovered(&self) -> bool {
        self.message.is_some()
    }

    /// Returns the message if it was not taken.
    pub fn into_message(self) -> Option<M> {
        self.message
    }

    /// Returns both.
    pub fn into_parts(self) -> (AskError, Option<M>) {
        (self.error, self.message)
    }
}

impl<M> fmt::Display for FailedAsk<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<M> fmt::Debug for FailedAsk<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = std::any::type_name::<M>();
        write!(f, "FailedAsk<{message}>({:?}, recovered: {})", self.error, self.is_recovered())
    }
}

/// Drops the message.
impl<M> From<FailedAsk<M>> for AskError {
    fn from(failed: FailedAsk<M>) -> Self {
        failed.error
    }
}

/// Drops the message. From here on [`Error`] follows.
impl<M> From<FailedAsk<M>> for Box<dyn StdError + Send + Sync> {
    fn from(failed: FailedAsk<M>) -> Self {
        failed.error.into()
    }
}

/// Drops the message.
impl<M> From<FailedAsk<M>> for Box<dyn StdError> {
    fn from(failed: FailedAsk<M>) -> Self {
        failed.error.into()
    }
}

/// Why an actor was not given a name, at its runtime or at a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// A living actor has the name.
    Taken(crate::ActorId),
    /// The actor has ended.
    Stopped,
    /// A name has 1 to 255 bytes.
    InvalidName,
    /// The actor is one of another node; it is registered there.
    NotLocal,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(by) => write!(f, "the name is taken by actor {by}"),
            Self::Stopped => SendReason::Stopped.fmt(f),
            Self::InvalidName => INVALID_NAME.fmt(f),
            Self::NotLocal => f.write_str("only an actor of this process can be registered"),
        }
    }
}

impl StdError for RegisterError {}

const INVALID_NAME: &str = "a name has 1 to 255 bytes";

/// Why an actor was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// There is no runtime here.
    NoRuntime,
    /// The parent has ended, or is about to.
    ParentStopped,
    /// Another child of the parent, or another living actor of the runtime, has this name.
    NameTaken,
    /// A name has 1 to 255 bytes.
    InvalidName,
    /// The actor ended before it had started, for this reason.
    Failed(crate::ExitReason),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime => f.write_str("there is no runtime here"),
            Self::ParentStopped => f.write_str("the parent has stopped"),
            Self::NameTaken => f.write_str("the name is taken"),
            Self::InvalidName => INVALID_NAME.fmt(f),
            Self::Failed(reason) => write!(f, "the actor did not start: {reason}"),
        }
    }
}

impl StdError for SpawnError {}

/// Why nothing came of what was asked about a child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildError {
    /// The supervisor has ended, or is about to.
    ParentStopped,
    /// The supervisor has no child of this name.
    NotFound,
    /// The child ended before it had started, for this reason.
    Failed(crate::ExitReason),
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ParentStopped => f.write_str("the supervisor has stopped"),
            Self::NotFound => f.write_str("the supervisor has no child of this name"),
            Self::Failed(reason) => write!(f, "the child did not start: {reason}"),
        }
    }
}

impl StdError for ChildError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{ConnectError, ListenError, WhereisError};
    use std::cell::Cell;
    use std::net::SocketAddr;
    use std::rc::Rc;

    /// Neither `Send`, `Sync` nor `Debug`.
    struct Opaque(#[expect(dead_code, reason = "only its type matters")] Rc<Cell<u8>>);

    #[test]
    fn a_tell_error_converts_with_any_message() {
        fn plain() -> Result {
            Err(TellError::new(SendReason::Full, Opaque(Rc::default())))?
        }
        fn boxed() -> std::result::Result<(), Box<dyn StdError>> {
            Err(TellError::new(SendReason::Full, Opaque(Rc::default())))?
        }
        assert_eq!(plain().unwrap_err().to_string(), SendReason::Full.to_string());
        assert_eq!(boxed().unwrap_err().to_string(), SendReason::Full.to_string());
        let text = format!("{:?}", TellError::new(SendReason::Stopped, Opaque(Rc::default())));
        assert!(text.contains("Opaque") && text.contains("the actor has stopped"), "{text}");
    }

    #[test]
    fn an_error_shows_its_causes_when_debugged_and_only_itself_when_displayed() {
        let at = vec![SocketAddr::from(([127, 0, 0, 1], 7)), SocketAddr::from(([127, 0, 0, 1], 8))];
        let error = Error::from(ListenError::Bind { at, cause: std::io::Error::other("no such device") });
        assert_eq!(error.to_string(), "127.0.0.1:7 or 127.0.0.1:8 cannot be listened on");
        assert_eq!(format!("{error:?}"), "127.0.0.1:7 or 127.0.0.1:8 cannot be listened on: no such device");
        assert!(error.downcast_ref::<ListenError>().is_some());
    }

    #[test]
    fn an_error_passes_through_a_boxed_one() {
        fn inner() -> Result {
            Err("it broke")?
        }
        fn outer() -> std::result::Result<(), Box<dyn StdError>> {
            Ok(inner()?)
        }
        assert_eq!(outer().unwrap_err().to_string(), "it broke");
    }

    #[test]
    fn texts_are_lower_case_without_full_stop() {
        let texts = [
            SendReason::Incompatible.to_string(),
            SendReason::Encode("depth".into()).to_string(),
            AskError::Deadlock.to_string(),
            AskError::Decode("depth".into()).to_string(),
            WhereisError::WrongProtocol { name: "tally".into(), node: "a".into() }.to_string(),
            SpawnError::NameTaken.to_string(),
            SpawnError::InvalidName.to_string(),
            ConnectError::Handshake { at: Vec::new(), cause: "another cluster".into() }.to_string(),
        ];
        for text in texts {
            assert!(text.starts_with(char::is_lowercase) && !text.ends_with('.'), "{text}");
        }
    }
}
