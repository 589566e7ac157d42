//! Accepting: connections of other nodes, each with a task of its own until it has introduced itself.

use super::handshake::handshake;
use crate::cluster::state::NodeState;
use posse_core::event;
use posse_core::select;
use posse_core::time::{sleep, timeout};
use posse_net::TcpListener;
use posse_wire::Role;
use std::sync::Arc;
use std::time::Duration;

/// The pause after a connection could not be accepted. Guessed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// When there are no descriptors left, connections that have not introduced themselves for so long are closed. An honest one
/// needs a few round trips. Guessed.
const INTRODUCTION_TIME: Duration = Duration::from_millis(250);

/// The listener of a node. The node knows when it is closed, however that comes about: then its address is free.
pub(crate) struct ListenerGuard {
    node: Arc<NodeState>,
    listener: Option<TcpListener>,
}

impl ListenerGuard {
    pub(crate) fn new(node: Arc<NodeState>, listener: TcpListener) -> Self {
        Self { node, listener: Some(listener) }
    }
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        self.listener = None;
        self.node.listener_closed.cancel();
    }
}

/// Accepts connections until the node closes.
pub(crate) async fn accept(guard: ListenerGuard) {
    let node = &guard.node;
    let Some(listener) = &guard.listener else { return };
    loop {
        let accepted = select! {
            biased;
            () = node.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
            () = listener.exhausted() => {
                node.close_half_open(INTRODUCTION_TIME);
                continue;
            }
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // What can be waited for the listener waits for itself; this may not pass, so it must not spin.
                event!(WARN, "posse::node", "a connection could not be accepted", reason = %error);
                node.shutdown.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                continue;
            }
        };
        let greeting_node = node.clone();
        let task = node.handle.spawn(async move {
            let limit = greeting_node.config.handshake_timeout;
            let shaking = timeout(limit, handshake(&greeting_node, stream, Role::Acceptor, false)).await;
            if let Ok(Err(error)) = shaking {
                event!(DEBUG, "posse::node", "a connection did not come about", reason = %format_args!("{error:?}"));
            }
        });
        node.track_handshake(task.abort_handle());
    }
}
