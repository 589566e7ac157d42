//! From the first byte of a connection to the moment when messages may pass.
//!
//! Each stage is a type that only the one before yields: [`AwaitHello`] reads the other side's HELLO, [`HelloReceived`] holds
//! it until the node has decided, [`AwaitReady`] waits for READY, [`Established`] opens the way to a
//! [`Session`](crate::Session). Its driver puts one deadline over all of it:
//! [`NodeConfig::handshake_timeout`](crate::NodeConfig::handshake_timeout).
//!
//! ```text
//! initiator                         acceptor
//! preamble, HELLO  ───────────────▶
//!                  ◀───────────────  preamble, HELLO, then REJECT or TYPES.. and READY
//! TYPES.., READY   ───────────────▶
//! ```

use crate::body::{GoAwayBody, Ready, read_types, write_types};
use crate::code::CloseReason;
use crate::config::{HANDSHAKE_FRAME_BYTES_MAX, TYPES_MAX, TYPES_PER_FRAME_MAX, VERSION};
use crate::error::HandshakeError;
use crate::frame::{FrameError, FrameKind, Header, Parsed, parse};
use crate::hello::{CODEC, Hello};
use crate::types::{PeerTypes, TypeInfo, announced};
use bytes::BytesMut;

/// Which side of a connection a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It connected.
    Initiator,
    /// It accepted.
    Acceptor,
}

/// Waits for the other side's introduction.
#[derive(Debug)]
pub struct AwaitHello {
    role: Role,
    own: Hello,
}

impl AwaitHello {
    /// Begins a connection. The bytes are to be sent at once; an acceptor has none.
    pub fn new(role: Role, own: Hello) -> (Self, BytesMut) {
        let mut out = BytesMut::new();
        if role == Role::Initiator {
            own.write(&mut out);
        }
        (Self { role, own }, out)
    }

    /// Takes the introduction off the input; `None` if it has not arrived in full.
    ///
    /// # Errors
    /// [`HandshakeError`]; the connection is to be closed. [`reject_frame`](Self::reject_frame) may say why to the other side.
    pub fn read(&self, input: &mut BytesMut) -> Result<Option<HelloReceived>, HandshakeError> {
        let Some(peer) = Hello::read(input)? else { return Ok(None) };
        if peer.cluster != self.own.cluster {
            return Err(HandshakeError::Cluster(peer.cluster));
        }
        Ok(Some(HelloReceived { role: self.role, own: self.own.clone(), peer }))
    }

    /// The last bytes to send before closing.
    pub fn reject_frame(&self, error: &HandshakeError) -> Option<BytesMut> {
        let code = error.close_reason()?;
        Some(reject(self.role, &self.own, code, 0, &error.to_string()))
    }
}

fn reject(role: Role, own: &Hello, code: CloseReason, detail: u64, text: &str) -> BytesMut {
    let mut out = BytesMut::new();
    if role == Role::Acceptor {
        own.write(&mut out);
    }
    let mut body = Vec::new();
    GoAwayBody { code, detail, text: text.to_owned() }.write(&mut body);
    Header::new(FrameKind::Reject).write(&body, &mut out);
    out
}

/// Knows who the other side says it is, and has not answered yet.
#[derive(Debug)]
pub struct HelloReceived {
    role: Role,
    own: Hello,
    peer: Hello,
}

impl HelloReceived {
    /// Who the other side is.
    pub fn peer(&self) -> &Hello {
        &self.peer
    }

    /// Goes on. The bytes are to be sent; `types` are those this side receives.
    pub fn accept(self, types: &[TypeInfo]) -> (AwaitReady, BytesMut) {
        let types = announced(types);
        let mut out = BytesMut::new();
        if self.role == Role::Acceptor {
            self.own.write(&mut out);
        }
        write_all_types(0, types, &mut out);
        let mut body = Vec::new();
        Ready { version: VERSION, codec: CODEC, features: 0 }.write(&mut body);
        Header::new(FrameKind::Ready).write(&body, &mut out);
        (AwaitReady { peer: self.peer, types: PeerTypes::default(), types_sent: types.len() }, out)
    }

    /// Ends it. The bytes are to be sent before closing; the other side may refuse as well, and says so meanwhile. `detail`
    /// matters with [`CloseReason::Stale`] and [`CloseReason::Quarantined`].
    pub fn reject(self, code: CloseReason, detail: u64, text: &str) -> (AwaitReady, BytesMut) {
        let last_words = reject(self.role, &self.own, code, detail, text);
        (AwaitReady { peer: self.peer, types: PeerTypes::default(), types_sent: 0 }, last_words)
    }
}

/// Writes a table of types, as many frames as it takes.
pub(crate) fn write_all_types(start: usize, types: &[TypeInfo], out: &mut BytesMut) {
    let total = start + types.len();
    for (n, part) in types.chunks(TYPES_PER_FRAME_MAX).enumerate() {
        let mut body = Vec::new();
        write_types(start + n * TYPES_PER_FRAME_MAX, total, part, &mut body);
        Header::new(FrameKind::Types).write(&body, out);
    }
}

/// Adds what a TYPES frame says to the table of the other side.
pub(crate) fn add_types(types: &mut PeerTypes, body: &[u8]) -> Result<(), FrameError> {
    let (start, total, part) = read_types(body)?;
    let count = types.count();
    if start as usize != count || total as usize > TYPES_MAX || count + part.len() > total as usize {
        return Err(FrameError::Malformed("a table of types has a gap, or too many entries"));
    }
    types.add(&part);
    Ok(())
}

/// Waits until the other side is ready.
#[derive(Debug)]
pub struct AwaitReady {
    peer: Hello,
    types: PeerTypes,
    types_sent: usize,
}

impl AwaitReady {
    /// Takes frames off the input until READY; `None` if that has not arrived. What follows it stays in the input.
    ///
    /// # Errors
    /// [`HandshakeError`]; the connection is to be closed.
    pub fn read(&mut self, input: &mut BytesMut) -> Result<Option<Established>, HandshakeError> {
        loop {
            let (header, body) = match parse(input, HANDSHAKE_FRAME_BYTES_MAX)? {
                Parsed::Incomplete => return Ok(None),
                Parsed::Skipped => continue,
                Parsed::Frame(header, body, _) => (header, body),
            };
            match header.kind {
                FrameKind::Types => add_types(&mut self.types, &body)?,
                FrameKind::Reject | FrameKind::GoAway => {
                    let GoAwayBody { code, detail, text } = GoAwayBody::read(&body)?;
                    return Err(HandshakeError::Rejected { code, detail, text });
                }
                FrameKind::Ready => {
                    let ready = Ready::read(&body)?;
                    if ready != (Ready { version: VERSION, codec: CODEC, features: 0 }) {
                        return Err(HandshakeError::Unsupported("the version, the codec or the features"));
                    }
                    let types = std::mem::take(&mut self.types);
                    return Ok(Some(Established { peer: self.peer.clone(), types, types_sent: self.types_sent }));
                }
                _ => return Err(HandshakeError::Malformed("a message before the handshake is through")),
            }
        }
    }
}

/// A connection over which messages may pass. Give it to [`Session::attach`](crate::Session::attach).
#[derive(Debug)]
pub struct Established {
    pub(crate) peer: Hello,
    pub(crate) types: PeerTypes,
    /// Entries of our own table that the other side knows.
    pub(crate) types_sent: usize,
}

impl Established {
    /// Who the other side is.
    pub fn peer(&self) -> &Hello {
        &self.peer
    }
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
