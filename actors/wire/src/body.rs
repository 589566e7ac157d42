//! The bodies of control frames, laid out by hand so that no codec can ever break a handshake. Each has its table.

use crate::code::{CloseReason, DownCode, RejectReason, ReplyCode};
use crate::config::{ADDRESS_BYTES_MAX, BACKLOGS_PER_FRAME_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};
use crate::flow_control::Load;
use crate::frame::FrameError;
use crate::ids::{ActorKey, NodeId, WireRef};
use crate::types::TypeInfo;
use bytes::{Buf, BufMut};

/// Cuts a text to what a frame may carry, at the boundary of a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn malformed<E>(what: &'static str) -> impl Fn(E) -> FrameError {
    move |_| FrameError::Malformed(what)
}

fn utf8(bytes: &[u8], bytes_max: usize) -> Result<String, FrameError> {
    if bytes.len() > bytes_max {
        return Err(FrameError::Malformed("a text is too long"));
    }
    let text = std::str::from_utf8(bytes).map_err(malformed("a text is not UTF-8"))?;
    Ok(text.to_owned())
}

fn array<const N: usize>(body: &mut &[u8], what: &'static str) -> Result<[u8; N], FrameError> {
    let (first, rest) = body.split_first_chunk::<N>().ok_or(FrameError::Malformed(what))?;
    *body = rest;
    Ok(*first)
}

fn expect_end(body: &[u8]) -> Result<(), FrameError> {
    if body.is_empty() { Ok(()) } else { Err(FrameError::Malformed("bytes after the end of a body")) }
}

/// A code with a text: REPLY_ERR and DOWN.
///
/// | offset | size | field | limit |
/// |---|---|---|---|
/// | 0 | 2 | code | |
/// | 2 | .. | text, UTF-8 | 1,024 |
pub(crate) fn write_coded(code: u16, text: &str, out: &mut Vec<u8>) {
    out.put_u16_le(code);
    out.put_slice(cut(text, TEXT_BYTES_MAX).as_bytes());
}

fn read_coded(mut body: &[u8]) -> Result<(u16, String), FrameError> {
    let code = body.try_get_u16_le().map_err(malformed("a code has two bytes"))?;
    Ok((code, utf8(body, TEXT_BYTES_MAX)?))
}

pub(crate) fn read_reply_err(body: &[u8]) -> Result<(ReplyCode, String), FrameError> {
    let (code, text) = read_coded(body)?;
    Ok((ReplyCode::from_u16(code), text))
}

/// Why a monitored actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownBody {
    /// The kind of end.
    pub code: DownCode,
    /// What there is to say about it; empty unless it failed.
    pub text: String,
}

impl DownBody {
    pub(crate) fn read(body: &[u8]) -> Result<Self, FrameError> {
        let (code, text) = read_coded(body)?;
        Ok(Self { code: DownCode::from_u16(code), text })
    }
}

/// The last words of a connection: GOAWAY and REJECT.
///
/// | offset | size | field | limit |
/// |---|---|---|---|
/// | 0 | 2 | code | |
/// | 2 | 6 | zero | |
/// | 8 | 8 | detail: with STALE the latest incarnation that is known, else 0 | |
/// | 16 | .. | text, UTF-8 | 1,024 |
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoAwayBody {
    pub(crate) code: CloseReason,
    pub(crate) detail: u64,
    pub(crate) text: String,
}

impl GoAwayBody {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put_u16_le(self.code.to_u16());
        out.put_bytes(0, 6);
        out.put_u64_le(self.detail);
        out.put_slice(cut(&self.text, TEXT_BYTES_MAX).as_bytes());
    }

    pub(crate) fn read(mut body: &[u8]) -> Result<Self, FrameError> {
        let start: [u8; 8] = array(&mut body, "GOAWAY has a code")?;
        if start[2..] != [0; 6] {
            return Err(FrameError::Malformed("the padding of GOAWAY is zero"));
        }
        let detail = body.try_get_u64_le().map_err(malformed("GOAWAY has a detail"))?;
        let code = CloseReason::from_u16(u16::from_le_bytes([start[0], start[1]]));
        Ok(Self { code, detail, text: utf8(body, TEXT_BYTES_MAX)? })
    }
}

/// What both sides settle on: READY.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 1 | version of the protocol |
/// | 1 | 1 | codec of messages |
/// | 2 | 6 | zero |
/// | 8 | 8 | features |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) version: u8,
    pub(crate) codec: u8,
    pub(crate) features: u64,
}

impl Ready {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put_u8(self.version);
        out.put_u8(self.codec);
        out.put_bytes(0, 6);
        out.put_u64_le(self.features);
    }

    pub(crate) fn read(body: &[u8]) -> Result<Self, FrameError> {
        let mut body = body;
        let start: [u8; 8] = array(&mut body, "READY has 16 bytes")?;
        let features = body.try_get_u64_le().map_err(malformed("READY has 16 bytes"))?;
        expect_end(body)?;
        if start[2..] != [0; 6] {
            return Err(FrameError::Malformed("the padding of READY is zero"));
        }
        Ok(Self { version: start[0], codec: start[1], features })
    }
}

/// What was settled since the connection began: ACK. All counts only grow.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | messages settled: taken into mailboxes, or rejected |
/// | 8 | 8 | bytes of their frames |
/// | 16 | 8 | rejected: no such actor, or it has ended |
/// | 24 | 8 | rejected: mailbox full |
/// | 32 | 8 | rejected: unreadable |
/// | 40 | 8 | rejected: deadline passed |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) settled: u64,
    pub(crate) bytes: u64,
    pub(crate) rejected: [u64; RejectReason::COUNT],
}

impl Ack {
    pub(crate) const BYTES: usize = 48;

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.settled);
        out.put_u64_le(self.bytes);
        self.rejected.iter().for_each(|count| out.put_u64_le(*count));
    }

    pub(crate) fn read(mut body: &[u8]) -> Result<Self, FrameError> {
        let mut next = || body.try_get_u64_le().map_err(malformed("ACK has 48 bytes"));
        let (settled, bytes) = (next()?, next()?);
        let rejected = [next()?, next()?, next()?, next()?];
        expect_end(body)?;
        Ok(Self { settled, bytes, rejected })
    }

    pub(crate) fn rejected_total(&self) -> Option<u64> {
        self.rejected.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count))
    }
}

/// What waits at the receiver for actors whose mailboxes have no room, of those where that has changed: BACKLOG. The ACK after it
/// counts it as arrived.
///
/// | offset | size | field | limit |
/// |---|---|---|---|
/// | 0 | 24 each | entries: key of the actor 8, messages u64, bytes of their frames u64 | 2,000 |
pub(crate) fn write_backlogs(backlogs: &[(ActorKey, Load)], out: &mut Vec<u8>) {
    for (key, load) in backlogs {
        out.put_u64_le(key.to_bits());
        out.put_u64_le(load.messages);
        out.put_u64_le(load.bytes);
    }
}

pub(crate) fn read_backlogs(mut body: &[u8]) -> Result<Vec<(ActorKey, Load)>, FrameError> {
    if body.len() % 24 != 0 || body.len() / 24 > BACKLOGS_PER_FRAME_MAX {
        return Err(FrameError::Malformed("an entry of BACKLOG has 24 bytes, and there are at most 2,000"));
    }
    let mut backlogs = Vec::with_capacity(body.len() / 24);
    while body.has_remaining() {
        let key = ActorKey::from_bits(body.get_u64_le());
        backlogs.push((key, Load { messages: body.get_u64_le(), bytes: body.get_u64_le() }));
    }
    Ok(backlogs)
}

/// A sign of life: PING, and PONG with the same body.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | nanoseconds of the sender's clock |
/// | 8 | 8 | number, from 1 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    pub(crate) time_ns: u64,
    pub(crate) number: u64,
}

impl Heartbeat {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.time_ns);
        out.put_u64_le(self.number);
    }

    pub(crate) fn read(mut body: &[u8]) -> Result<Self, FrameError> {
        let time_ns = body.try_get_u64_le().map_err(malformed("a heartbeat has 16 bytes"))?;
        let number = body.try_get_u64_le().map_err(malformed("a heartbeat has 16 bytes"))?;
        expect_end(body)?;
        Ok(Self { time_ns, number })
    }
}

/// A part of the table of types: TYPES. It continues where the previous part ended.
///
/// | offset | size | field | limit |
/// |---|---|---|---|
/// | 0 | 4 | number of the first entry | the count so far |
/// | 4 | 4 | entries in all, with those of later parts that are on their way | 65,535 |
/// | 8 | 16 each | entries: id, schema | 4,000 |
pub(crate) fn write_types(start: usize, total: usize, types: &[TypeInfo], out: &mut Vec<u8>) {
    out.put_u32_le(start as u32);
    out.put_u32_le(total as u32);
    for entry in types {
        out.put_u64_le(entry.id);
        out.put_u64_le(entry.schema);
    }
}

/// The first number, the announced total, and the entries.
pub(crate) fn read_types(mut body: &[u8]) -> Result<(u32, u32, Vec<TypeInfo>), FrameError> {
    let start = body.try_get_u32_le().map_err(malformed("TYPES has a start"))?;
    let total = body.try_get_u32_le().map_err(malformed("TYPES has a total"))?;
    if body.len() % TypeInfo::BYTES != 0 {
        return Err(FrameError::Malformed("an entry of TYPES has 16 bytes"));
    }
    let mut types = Vec::with_capacity(body.len() / TypeInfo::BYTES);
    while body.has_remaining() {
        types.push(TypeInfo { id: body.get_u64_le(), schema: body.get_u64_le() });
    }
    Ok((start, total, types))
}

/// Introduces a third node: NODE_INFO.
///
/// | offset | size | field | limit |
/// |---|---|---|---|
/// | 0 | 16 | [`NodeId`] | |
/// | 16 | 2 | bytes of the name | 255 |
/// | 18 | .. | name, UTF-8 | |
/// | .. | .. | address, UTF-8, perhaps empty | 255 |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Who it is.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where it listens; empty if nowhere.
    pub address: String,
}

impl NodeInfo {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let name = cut(&self.name, NAME_BYTES_MAX);
        out.put_slice(&self.node.to_bytes());
        out.put_u16_le(name.len() as u16);
        out.put_slice(name.as_bytes());
        out.put_slice(cut(&self.address, ADDRESS_BYTES_MAX).as_bytes());
    }

    pub(crate) fn read(mut body: &[u8]) -> Result<Self, FrameError> {
        let node = NodeId::from_bytes(array(&mut body, "NODE_INFO has a node")?);
        let len = body.try_get_u16_le().map_err(malformed("NODE_INFO has a name"))?;
        let (name, address) = body.split_at_checked(usize::from(len)).ok_or(FrameError::Malformed("a name is cut"))?;
        let (name, address) = (utf8(name, NAME_BYTES_MAX)?, utf8(address, ADDRESS_BYTES_MAX)?);
        if NodeId::new(&name, node.incarnation) != node {
            return Err(FrameError::Malformed("the id of a node does not match its name"));
        }
        Ok(Self { node, name, address })
    }
}

/// A lookup: RESOLVE.
///
/// | offset | size | field | limit |
/// |---|---|---|---|
/// | 0 | 8 | id of the protocol | |
/// | 8 | .. | name, UTF-8 | 255 |
pub(crate) fn write_resolve(protocol: u64, name: &str, out: &mut Vec<u8>) {
    out.put_u64_le(protocol);
    out.put_slice(name.as_bytes());
}

pub(crate) fn read_resolve(mut body: &[u8]) -> Result<(u64, String), FrameError> {
    let protocol = body.try_get_u64_le().map_err(malformed("RESOLVE has a protocol"))?;
    Ok((protocol, utf8(body, NAME_BYTES_MAX)?))
}

/// The answer to RESOLVE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The actor of the name.
    Found(WireRef),
    /// No actor has the name.
    NotFound,
    /// An actor has it that speaks another protocol.
    WrongProtocol,
}

impl Resolution {
    /// | offset | size | field |
    /// |---|---|---|
    /// | 0 | 2 | 0 found, 1 no actor has the name, 2 other protocol |
    /// | 2 | 6 | zero |
    /// | 8 | 32 | if found: [`WireRef`] |
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let code = match self {
            Self::Found(_) => 0,
            Self::NotFound => 1,
            Self::WrongProtocol => 2,
        };
        out.put_u16_le(code);
        out.put_bytes(0, 6);
        if let Self::Found(reference) = self {
            out.put_slice(&reference.to_bytes());
        }
    }

    pub(crate) fn read(mut body: &[u8]) -> Result<Self, FrameError> {
        let start: [u8; 8] = array(&mut body, "RESOLVED has a code")?;
        let resolution = match start {
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Found(WireRef::from_bytes(array(&mut body, "RESOLVED has a reference")?)),
            [1, 0, 0, 0, 0, 0, 0, 0] => Self::NotFound,
            [2, 0, 0, 0, 0, 0, 0, 0] => Self::WrongProtocol,
            _ => return Err(FrameError::Malformed("RESOLVED has a code of 0 to 2")),
        };
        expect_end(body)?;
        Ok(resolution)
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
