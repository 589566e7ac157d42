//! The handshake: who the other side is, whether it is let in, and what is said to it otherwise.

use super::DialError;
use crate::cluster::session::connection::{self, Connection};
use crate::cluster::session::peer::Peer;
use crate::cluster::state::{Admission, NodeState};
use bytes::BytesMut;
use posse_core::time::timeout;
use posse_net::TcpStream;
use posse_net::io::AsyncWriteExt;
use posse_wire::{AwaitHello, AwaitReady, CloseReason, Established, HandshakeError, HelloReceived, NodeId, Role};
use std::io;
use std::sync::Arc;

/// Bytes that may arrive before a node has introduced itself.
const HELLO_BYTES: usize = 4096;

/// Frees the peer for another attempt unless the handshake succeeds.
struct HandshakeGuard(Option<Arc<Peer>>, Role);

impl Drop for HandshakeGuard {
    fn drop(&mut self) {
        if let Some(peer) = self.0.take() {
            peer.handshake_failed(self.1 == Role::Acceptor);
        }
    }
}

/// `is_chosen`: the program wants to talk to the node that is there, whichever it is.
pub(super) async fn handshake(
    node: &Arc<NodeState>,
    mut stream: TcpStream,
    role: Role,
    is_chosen: bool,
) -> Result<Arc<Peer>, DialError> {
    stream.set_nodelay(true)?;
    let mut input = BytesMut::with_capacity(HELLO_BYTES);
    let own = node.hello();
    let me = own.node();
    // The initiator speaks first; an acceptor's HELLO goes with its answer.
    let (greeting, hello) = AwaitHello::new(role, own);
    stream.write_all(&hello).await?;

    let hello_received = read_hello(&greeting, &mut stream, &mut input).await?;
    let address = hello_received.peer().address.clone();
    // Of two connections that meet one waits until it is known what becomes of the other.
    let peer = loop {
        match node.admit(hello_received.peer(), role == Role::Acceptor) {
            Admission::Accept(peer) => break peer,
            Admission::Wait(peer) => peer.wait_for(|status| !status.is_accepting()).await,
            Admission::Reject(code, detail, text) => {
                reject(node, hello_received, &mut stream, &mut input, (code, detail, text)).await?;
                return Err(DialError::Refused(code, text));
            }
            Admission::Down(peer, weight) => {
                let close_frame = (CloseReason::Quarantined, weight, "");
                let theirs = reject(node, hello_received, &mut stream, &mut input, close_frame).await?;
                return Err(resolve_quarantine(node, me, &peer, weight, theirs));
            }
        }
    };

    // The relation is reserved from here on: whatever ends this early gives it back.
    let mut guard = HandshakeGuard(Some(peer.clone()), role);
    let connected = match exchange_ready(node, hello_received, &mut stream, &mut input).await {
        Err(DialError::Handshake(HandshakeError::Rejected { code, detail, text })) => {
            node.refusals.say("the other node", peer.name(), code, &text);
            let renewed = match code {
                CloseReason::Stale => node.on_stale(me.incarnation, detail),
                CloseReason::Quarantined => node.on_quarantined(me.incarnation, &peer, is_chosen),
                _ => false,
            };
            let rejected = HandshakeError::Rejected { code, detail, text };
            return Err(if renewed { DialError::Renewed } else { rejected.into() });
        }
        agreed => agreed?,
    };
    // Only now it counts. In the meantime one of the two may have become another incarnation.
    if !node.meet(&peer, &address, me.incarnation) {
        return Err(DialError::Renewed);
    }
    guard.0 = None;
    peer.set_connection(Connection { stream, input, connected });
    peer.start();
    Ok(peer)
}

/// Says why there will be no connection. Returns why the other side refuses it, if it does.
async fn reject(
    node: &NodeState,
    hello_received: HelloReceived,
    stream: &mut TcpStream,
    input: &mut BytesMut,
    (code, detail, text): (CloseReason, u64, &'static str),
) -> Result<Option<(CloseReason, u64)>, DialError> {
    node.refusals.say("this node", &hello_received.peer().name, code, text);
    let (mut agreeing, close_frame) = hello_received.reject(code, detail, text);
    stream.write_all(&close_frame).await?;
    stream.shutdown().await?;
    // Until it has closed it may not have read them, and not acted upon them.
    let closing = async {
        let theirs = read_rejection(&mut agreeing, stream, input).await;
        connection::drain_until_eof(stream).await;
        theirs
    };
    Ok(timeout(connection::LINGER_TIME, closing).await.ok().flatten())
}

/// Why the other side refuses as well, if it does.
async fn read_rejection(
    agreeing: &mut AwaitReady,
    stream: &mut TcpStream,
    input: &mut BytesMut,
) -> Option<(CloseReason, u64)> {
    loop {
        match agreeing.read(input) {
            Ok(None) => read_more(stream, input).await.ok()?,
            Err(HandshakeError::Rejected { code, detail, .. }) => return Some((code, detail)),
            Ok(Some(_)) | Err(_) => return None,
        }
    }
}

/// This node has declared the other one down. If the other has done the same, the one of the two that is connected to fewer
/// nodes comes back as a new incarnation. What else the other has against this one is told.
fn resolve_quarantine(
    node: &NodeState,
    me: NodeId,
    peer: &Peer,
    weight: u64,
    theirs: Option<(CloseReason, u64)>,
) -> DialError {
    let Some((code, detail)) = theirs else { return DialError::Refused(CloseReason::Quarantined, "") };
    // Both sides compare the same two pairs, so exactly one of them begins anew.
    let renewed = match code {
        CloseReason::Quarantined if (weight, me) < (detail, peer.id()) => {
            node.on_quarantined(me.incarnation, peer, false)
        }
        CloseReason::Quarantined => return DialError::Refused(code, ""),
        CloseReason::Stale => node.on_stale(me.incarnation, detail),
        _ => false,
    };
    if renewed { DialError::Renewed } else { HandshakeError::Rejected { code, detail, text: String::new() }.into() }
}

async fn read_hello(
    greeting: &AwaitHello,
    stream: &mut TcpStream,
    input: &mut BytesMut,
) -> Result<HelloReceived, DialError> {
    loop {
        match greeting.read(input) {
            Ok(Some(hello_received)) => return Ok(hello_received),
            Ok(None) => read_more(stream, input).await?,
            Err(error) => {
                if let Some(close_frame) = greeting.reject_frame(&error) {
                    stream.write_all(&close_frame).await?;
                }
                return Err(error.into());
            }
        }
    }
}

async fn exchange_ready(
    node: &NodeState,
    hello_received: HelloReceived,
    stream: &mut TcpStream,
    input: &mut BytesMut,
) -> Result<Established, DialError> {
    let (mut agreeing, ready) = hello_received.accept(&node.types());
    stream.write_all(&ready).await?;
    loop {
        if let Some(connected) = agreeing.read(input)? {
            return Ok(connected);
        }
        read_more(stream, input).await?;
    }
}

async fn read_more(stream: &mut TcpStream, input: &mut BytesMut) -> Result<(), DialError> {
    input.reserve(HELLO_BYTES);
    match stream.read_buf(input).await? {
        0 => Err(DialError::Io(io::ErrorKind::UnexpectedEof.into())),
        _ => Ok(()),
    }
}
