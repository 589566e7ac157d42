//! The life of a relation to one other node, as one task: connection after connection, until the node is down.

use super::DialError;
use super::dial::{connect_tcp, resolve_loopback};
use super::handshake::handshake;
use crate::cluster::events::{DisconnectReason, DownReason};
use crate::cluster::session::connection::{self, Connection};
use crate::cluster::session::peer::Peer;
use crate::cluster::state::NodeState;
use crate::system::System;
use posse_core::OnDrop;
use posse_core::select;
use posse_core::time::{Instant, timeout};
use posse_net::TcpStream;
use posse_wire::{CloseReason, HandshakeError, Role};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Starts the life of a relation: connection after connection, until the node is down.
pub(crate) fn spawn_peer_task(node: Arc<NodeState>, peer: Arc<Peer>) {
    System::of(&node.handle).audit.add_peer(&peer);
    let handle = node.handle.clone();
    // However the relation ends, also by the end of the runtime: then the node is down, and all that wait are told.
    let end = OnDrop::new({
        let peer = peer.clone();
        move || peer.mark_down(DownReason::Closed)
    });
    handle.spawn(async move {
        let _end = end;
        let reason = peer_task(&node, &peer).await;
        peer.mark_down(reason);
    });
}

async fn peer_task(node: &Arc<NodeState>, peer: &Arc<Peer>) -> DownReason {
    let (mut down_after, mut down_reason) = (node.config.down_after, DownReason::Unreachable);
    loop {
        let connection = match reconnect(node, peer, down_after).await {
            Ok(Some(connection)) => connection,
            Ok(None) => return down_reason,
            Err(reason) => return reason,
        };
        let end = connection::run(node, peer, connection).await;
        peer.on_disconnect(end.clone());
        (down_after, down_reason) = match end {
            // The other node, or this one, is gone for good.
            DisconnectReason::ClosedByPeer { code: CloseReason::Shutdown, .. }
            | DisconnectReason::LocallyClosed { code: CloseReason::Shutdown, .. } => {
                return if node.shutdown.is_cancelled() { DownReason::Closed } else { DownReason::Left };
            }
            // Its kernel ended the connection, and this node cannot ask at its address whether the process is gone as well. If it
            // lives it has seen the same, and is on its way.
            DisconnectReason::Closed | DisconnectReason::Failed(_) if peer.address().is_empty() => {
                (node.config.return_timeout.min(node.config.down_after), DownReason::Died)
            }
            _ => (node.config.down_after, DownReason::Unreachable),
        };
    }
}

/// Dials, or is dialled, until there is a connection. `None` if it takes longer than `down_after`, an error if the node is
/// down.
async fn reconnect(
    node: &Arc<NodeState>,
    peer: &Arc<Peer>,
    down_after: Duration,
) -> Result<Option<Connection>, DownReason> {
    let down_at = Instant::now() + down_after;
    let mut attempts = 0u32;
    loop {
        if let Some(connection) = peer.take_connection() {
            return Ok(Some(connection));
        }
        if peer.is_down() || node.shutdown.is_cancelled() {
            return Err(DownReason::Closed);
        }
        if Instant::now() >= down_at {
            if !peer.is_accepting() {
                return Ok(None);
            }
            // It is at the door; the handshake has a time of its own.
            node.shutdown.run_until_cancelled(peer.wait_for(|status| !status.is_accepting())).await;
            continue;
        }
        if let Some(failed) = attempts.checked_sub(1) {
            let pause = node.reconnect_backoff().wait(failed, node.handle.random_u64());
            let left = down_at.saturating_duration_since(Instant::now());
            let rest = timeout(pause.min(left), peer.wait_connection());
            node.shutdown.run_until_cancelled(rest).await;
        }
        attempts = attempts.saturating_add(1);

        if peer.address().is_empty() {
            continue;
        }
        // A node that dials this one meanwhile is not kept waiting.
        select! {
            biased;
            () = node.shutdown.cancelled() => return Err(DownReason::Closed),
            () = peer.wait_connection() => {}
            reached = connect_again(node, peer) => match reconnect_once(node, peer, reached).await {
                Attempt::Connected => {}
                Attempt::Failed => peer.connect_failed(),
                Attempt::Gone(reason) => return Err(reason),
            },
        }
    }
}

/// What came of an attempt to connect again.
enum Attempt {
    Connected,
    Failed,
    /// No node is there, or another one. Of one that was never met this says nothing: it may be elsewhere.
    Gone(DownReason),
}

/// Connects to where the other node listens. The relation is not reserved for it yet: as long as no answer comes, the other
/// node may reach us.
async fn connect_again(node: &NodeState, peer: &Peer) -> Result<TcpStream, DialError> {
    let connecting = async {
        let addresses = resolve_loopback(peer.address().as_str()).await?;
        Ok(connect_tcp(&addresses).await?)
    };
    timeout(node.config.connect_timeout, connecting).await.unwrap_or(Err(DialError::Timeout))
}

async fn reconnect_once(node: &Arc<NodeState>, peer: &Arc<Peer>, reached: Result<TcpStream, DialError>) -> Attempt {
    let shaking = async {
        let stream = reached?;
        if !peer.try_start_connect() {
            // The other node was quicker.
            return Ok(None);
        }
        let shaking = handshake(node, stream, Role::Initiator, false);
        timeout(node.config.handshake_timeout, shaking).await.unwrap_or(Err(DialError::Timeout)).map(Some)
    };
    let shaken = select! {
        biased;
        () = node.shutdown.cancelled() => return Attempt::Gone(DownReason::Closed),
        shaken = shaking => shaken,
    };
    match shaken {
        Ok(None) => Attempt::Connected,
        Ok(Some(reached)) if reached.id() == peer.id() => Attempt::Connected,
        Ok(_) => Attempt::Gone(DownReason::Gone),
        Err(DialError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Attempt::Gone(DownReason::Gone)
        }
        Err(DialError::NotLoopback(_)) => Attempt::Gone(DownReason::Gone),
        Err(DialError::Handshake(HandshakeError::Rejected { code, .. })) => match code {
            CloseReason::Simultaneous | CloseReason::AlreadyConnected | CloseReason::Overloaded => Attempt::Failed,
            code => Attempt::Gone(DownReason::Refused(code)),
        },
        Err(DialError::Refused(code, _)) => match code {
            CloseReason::Simultaneous | CloseReason::AlreadyConnected | CloseReason::Overloaded => Attempt::Failed,
            _ => Attempt::Gone(DownReason::Gone),
        },
        Err(_) => Attempt::Failed,
    }
}
