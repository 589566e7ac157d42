//! Frames: a header of 16 bytes, extensions that flags announce, a body. Everything is little-endian.
//!
//! | offset | size | field | limit |
//! |---|---|---|---|
//! | 0 | 4 | `len` of the whole frame | 16 to the agreed maximum |
//! | 4 | 1 | `kind` | [`FrameKind`] |
//! | 5 | 1 | `flags` | [`Flags`], only agreed ones |
//! | 6 | 2 | `type_ix`: number of the type in the receiver's table | `FFFF` none |
//! | 8 | 8 | `to`: [`ActorKey`] | 0 for the node |
//! | 16 | .. | extensions, in the order of their flags | |
//! | .. | .. | body | |

use crate::ids::{ActorKey, CorrelationId};
use crate::types::TypeKey;
use bytes::{Buf, BufMut, BytesMut};
use std::fmt;

/// Bytes of the header without extensions.
pub(crate) const HEADER_BYTES: usize = 16;

/// Says in `type_ix` that the type is given in full, or that there is none.
pub(crate) const NO_INDEX: u16 = 0xffff;

/// From this kind on, a frame that is not known is skipped.
const SKIPPABLE: u8 = 0xc0;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)+) => {
        /// What a frame is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum FrameKind {
            $($(#[$doc])* $name = $value,)+
        }

        impl FrameKind {
            /// All kinds there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What a number stands for; `None` if for nothing.
            pub fn from_u8(kind: u8) -> Option<Self> {
                match kind {
                    $($value => Some(Self::$name),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A message without a reply.
    Tell = 0x01,
    /// A message with a reply.
    Ask = 0x02,
    /// The reply to an ask.
    Reply = 0x03,
    /// The news that there is no reply, and why.
    ReplyErr = 0x04,
    /// The asker has gone.
    Cancel = 0x05,
    /// Are you there?
    Ping = 0x20,
    /// I am.
    Pong = 0x21,
    /// Continues the table of types.
    Types = 0x26,
    /// Introduces a third node before it is first mentioned.
    NodeInfo = 0x27,
    /// The connection ends.
    GoAway = 0x28,
    /// The handshake is through on this side.
    Ready = 0x29,
    /// The connection is refused.
    Reject = 0x2b,
    /// How much waits for actors without room, before the ACK that counts it as arrived.
    Backlog = 0x2d,
    /// What was taken and refused since the connection began.
    Ack = 0x2e,
    /// Monitors an actor.
    Watch = 0x30,
    /// Ends a monitor.
    Unwatch = 0x31,
    /// A monitored actor has ended.
    Down = 0x32,
    /// Asks for a published name.
    Resolve = 0x39,
    /// Answers it.
    Resolved = 0x3a,
}

impl FrameKind {
    /// Answers and requests carry the number that matches them.
    fn needs_correlation(self) -> bool {
        use FrameKind::{Ask, Cancel, Down, Reply, ReplyErr, Resolve, Resolved, Unwatch, Watch};
        matches!(self, Ask | Reply | ReplyErr | Cancel | Watch | Unwatch | Down | Resolve | Resolved)
    }

    /// What the receiver settles. Messages have a type.
    pub(crate) fn is_message(self) -> bool {
        matches!(self, Self::Tell | Self::Ask)
    }

    /// Says something to the other node, rather than something about one connection or to be repeated on the next.
    pub(crate) fn outlives_connection(self) -> bool {
        use FrameKind::{Ask, Cancel, Down, NodeInfo, Reply, ReplyErr, Resolved, Tell};
        matches!(self, Tell | Ask | Reply | ReplyErr | Cancel | Down | NodeInfo | Resolved)
    }
}

/// Which extensions follow the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// The sender's [`ActorKey`], 8 bytes.
    pub const FROM: Self = Self(1);
    /// The [`CorrelationId`], 8 bytes.
    pub const CORRELATION: Self = Self(2);
    /// Milliseconds left for an answer, 4 bytes, and 4 zero bytes.
    pub const DEADLINE: Self = Self(4);
    /// The type in full: id and schema, 16 bytes.
    pub const TYPE: Self = Self(16);

    /// The extensions of this version. The others need a feature that is never agreed on.
    const AGREED: Self = Self(Self::FROM.0 | Self::CORRELATION.0 | Self::DEADLINE.0 | Self::TYPE.0);

    /// Returns true if all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets those of `other` too.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Bytes of the extensions.
    const fn bytes(self) -> usize {
        let mut bytes = 0;
        if self.has(Self::FROM) {
            bytes += 8;
        }
        if self.has(Self::CORRELATION) {
            bytes += 8;
        }
        if self.has(Self::DEADLINE) {
            bytes += 8;
        }
        if self.has(Self::TYPE) {
            bytes += 16;
        }
        bytes
    }
}

/// What a frame says before its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: FrameKind,
    /// The number of its type, or 65,535.
    pub type_ix: u16,
    /// Whom it is for.
    pub to: ActorKey,
    /// Who sent it, if that was said.
    pub from: Option<ActorKey>,
    /// What it answers or wants an answer to.
    pub correlation: Option<CorrelationId>,
    /// Milliseconds left for an answer.
    pub deadline_ms: Option<u32>,
    /// The type in full.
    pub type_key: Option<TypeKey>,
}

impl Header {
    /// A header without extensions.
    pub(crate) fn new(kind: FrameKind) -> Self {
        Self {
            kind,
            type_ix: NO_INDEX,
            to: ActorKey::NODE,
            from: None,
            correlation: None,
            deadline_ms: None,
            type_key: None,
        }
    }

    fn flags(&self) -> Flags {
        let mut flags = Flags::default();
        if self.from.is_some() {
            flags = flags.and(Flags::FROM);
        }
        if self.correlation.is_some() {
            flags = flags.and(Flags::CORRELATION);
        }
        if self.deadline_ms.is_some() {
            flags = flags.and(Flags::DEADLINE);
        }
        if self.type_key.is_some() {
            flags = flags.and(Flags::TYPE);
        }
        flags
    }

    /// Bytes of a frame with this header.
    #[inline]
    pub(crate) fn frame_bytes(&self, body: usize) -> usize {
        HEADER_BYTES + self.flags().bytes() + body
    }

    /// Writes a frame. The caller has checked its size against the agreed maximum.
    #[inline]
    pub(crate) fn write(&self, body: &[u8], out: &mut BytesMut) {
        let flags = self.flags();
        let bytes = HEADER_BYTES + flags.bytes() + body.len();
        out.reserve(bytes);
        let len = u32::try_from(bytes).expect("invariant: the size of a frame was checked");
        // In one piece: each part by itself looks for room again.
        let mut start = [0; HEADER_BYTES];
        start[..4].copy_from_slice(&len.to_le_bytes());
        (start[4], start[5]) = (self.kind as u8, flags.0);
        start[6..8].copy_from_slice(&self.type_ix.to_le_bytes());
        start[8..].copy_from_slice(&self.to.to_bits().to_le_bytes());
        out.extend_from_slice(&start);
        if let Some(from) = self.from {
            out.put_u64_le(from.to_bits());
        }
        if let Some(correlation) = self.correlation {
            out.put_u64_le(correlation.to_bits());
        }
        if let Some(deadline) = self.deadline_ms {
            out.put_u32_le(deadline);
            out.put_u32_le(0);
        }
        if let Some(key) = self.type_key {
            out.put_u64_le(key.id);
            out.put_u64_le(key.schema.unwrap_or(0));
        }
        out.extend_from_slice(body);
    }
}

/// A frame that breaks the rules. The connection it came over ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// Shorter than its header and extensions.
    TooShort(u32),
    /// Longer than agreed.
    TooLong(u32),
    /// An unknown kind, of those that must be known.
    UnknownKind(u8),
    /// An extension that was not agreed on.
    UnknownFlags(u8),
    /// A part that must be there is not, or one that must be zero is not.
    Malformed(&'static str),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(bytes) => write!(f, "a frame of {bytes} bytes cannot hold what it announces"),
            Self::TooLong(bytes) => write!(f, "a frame of {bytes} bytes is longer than agreed"),
            Self::UnknownKind(kind) => write!(f, "unknown kind of frame {kind:#04x}"),
            Self::UnknownFlags(flags) => write!(f, "unknown flags {flags:#04x}"),
            Self::Malformed(what) => write!(f, "malformed frame: {what}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// What the start of the input is.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Not a whole frame yet.
    Incomplete,
    /// A frame of a kind that may be skipped was skipped.
    Skipped,
    /// A frame: its header, its body, and its bytes in all.
    Frame(Header, BytesMut, u32),
}

/// Takes the next frame off the input. Nothing is allocated for a frame that has not arrived.
pub(crate) fn parse(input: &mut BytesMut, bytes_max: u32) -> Result<Parsed, FrameError> {
    let Some(start) = input.first_chunk::<HEADER_BYTES>() else {
        return match input.first_chunk::<4>() {
            Some(len) => check_length(u32::from_le_bytes(*len), bytes_max).map(|_| Parsed::Incomplete),
            None => Ok(Parsed::Incomplete),
        };
    };

    let mut start = &start[..];
    let bytes = start.get_u32_le();
    let len = check_length(bytes, bytes_max)?;
    let (kind, flags) = (start.get_u8(), Flags(start.get_u8()));
    let (type_ix, to) = (start.get_u16_le(), ActorKey::from_bits(start.get_u64_le()));

    // What breaks the rules is refused with the first 16 bytes, before anybody waits for the rest.
    let known = FrameKind::from_u8(kind);
    if known.is_none() && kind < SKIPPABLE {
        return Err(FrameError::UnknownKind(kind));
    }
    if known.is_some() && !Flags::AGREED.has(flags) {
        return Err(FrameError::UnknownFlags(flags.0));
    }
    if input.len() < len {
        return Ok(Parsed::Incomplete);
    }

    // From here on the frame is whole, and off the input whatever is wrong with it.
    let mut body = input.split_to(len);
    let Some(kind) = known else { return Ok(Parsed::Skipped) };
    if len < HEADER_BYTES + flags.bytes() {
        return Err(FrameError::TooShort(bytes));
    }
    body.advance(HEADER_BYTES);
    let mut header = Header { type_ix, to, ..Header::new(kind) };
    header.read_extensions(flags, &mut body)?;
    Ok(Parsed::Frame(header, body, bytes))
}

/// Returns the bytes of the frame that the input begins with, once it says so. [`Session::read_event`](crate::Session::read_event)
/// refuses one that is longer than agreed.
pub fn announced_bytes(input: &[u8]) -> Option<usize> {
    let bytes = u32::from_le_bytes(*input.first_chunk::<4>()?);
    usize::try_from(bytes).ok()
}

fn check_length(bytes: u32, bytes_max: u32) -> Result<usize, FrameError> {
    if bytes > bytes_max {
        return Err(FrameError::TooLong(bytes));
    }
    let len = usize::try_from(bytes).map_err(|_| FrameError::TooLong(bytes))?;
    if len < HEADER_BYTES { Err(FrameError::TooShort(bytes)) } else { Ok(len) }
}

impl Header {
    /// Reads what the flags announce; the caller has checked that it is there.
    fn read_extensions(&mut self, flags: Flags, body: &mut BytesMut) -> Result<(), FrameError> {
        if flags.has(Flags::FROM) {
            self.from = Some(ActorKey::from_bits(body.get_u64_le()));
        }
        if flags.has(Flags::CORRELATION) {
            self.correlation = Some(CorrelationId::from_bits(body.get_u64_le()));
        }
        if flags.has(Flags::DEADLINE) {
            self.deadline_ms = Some(body.get_u32_le());
            if body.get_u32_le() != 0 {
                return Err(FrameError::Malformed("the second half of a deadline is zero"));
            }
        }
        if flags.has(Flags::TYPE) {
            self.type_key = Some(TypeKey { id: body.get_u64_le(), schema: Some(body.get_u64_le()) });
        }

        // Which extensions go with which kind.
        if self.kind.needs_correlation() != self.correlation.is_some() {
            return Err(FrameError::Malformed("requests and answers have a correlation, and nothing else has"));
        }
        if self.type_key.is_some() && (self.type_ix != NO_INDEX || !self.kind.is_message()) {
            return Err(FrameError::Malformed("a message has one type, and nothing else has"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
