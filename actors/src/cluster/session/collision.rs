//! Which of two connections between the same two nodes stays, if both connect at once. As BGP resolves a collision (RFC 4271,
//! section 6.8), by the ids of the two; here the connection of the smaller one stays, unless the other one is further.

use posse_wire::CloseReason;

/// Where the relation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerPhase {
    /// No connection, and none is being made.
    Disconnected,
    /// We connect, and do not know yet who answers.
    Connecting,
    /// The other node has accepted us, and the handshake goes on.
    HandshakeOut,
    /// The other node connected, was accepted, and the handshake goes on.
    HandshakeIn,
    Connected,
    Down,
}

/// What becomes of a connection whose other side has introduced itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Collision {
    /// The handshake goes on.
    Accept,
    /// Another connection between the two is being made, and it is not clear yet which one stays: to be asked again.
    Wait,
    Reject(CloseReason),
}

/// Decides about a connection, with a peer of this phase. `inbound`: the other node connected to us.
pub(crate) fn resolve_collision(phase: PeerPhase, inbound: bool, we_are_smaller: bool) -> Collision {
    use PeerPhase::{Connected, Connecting, Disconnected, Down, HandshakeIn, HandshakeOut};
    match (phase, inbound) {
        (Disconnected, _) | (Connecting, false) => Collision::Accept,
        (Connecting, true) if !we_are_smaller => Collision::Accept,
        (HandshakeIn, false) if we_are_smaller => Collision::Wait,
        (Connecting | HandshakeOut, _) | (HandshakeIn, false) => Collision::Reject(CloseReason::Simultaneous),
        (HandshakeIn | Connected, _) => Collision::Reject(CloseReason::AlreadyConnected),
        (Down, _) => Collision::Reject(CloseReason::Quarantined),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_connections_that_meet_one_stays() {
        use Collision::{Accept, Reject, Wait};
        let (simultaneous, already) = (|| Reject(CloseReason::Simultaneous), || Reject(CloseReason::AlreadyConnected));
        // By who connected and who is smaller: we and we, we and they, they and we, they and they.
        let table = [
            (PeerPhase::Disconnected, [Accept, Accept, Accept, Accept]),
            (PeerPhase::Connecting, [Accept, Accept, simultaneous(), Accept]),
            (PeerPhase::HandshakeOut, [simultaneous(), simultaneous(), simultaneous(), simultaneous()]),
            (PeerPhase::HandshakeIn, [Wait, simultaneous(), already(), already()]),
            (PeerPhase::Connected, [already(), already(), already(), already()]),
            (PeerPhase::Down, [(); 4].map(|()| Reject(CloseReason::Quarantined))),
        ];
        for (phase, expected) in table {
            let cases = [(false, true), (false, false), (true, true), (true, false)];
            let decided = cases.map(|(inbound, smaller)| resolve_collision(phase, inbound, smaller));
            assert_eq!(decided, expected, "{phase:?}");
        }
    }
}
