//! The environment of a simulated machine, in place of the real one's: a clock, a network, and the random numbers that decide. Below the rooms that use them.

pub(crate) mod clock;
mod context;
pub(crate) mod event_log;
pub(crate) mod net;
mod rng;

pub use clock::Skew;
pub use context::SimContext;
pub use net::Network;
pub use rng::{ChoiceKind, Decision, Divergence, SimRng, Trace};

pub(crate) use clock::MachineClock;
pub(crate) use net::{HostNet, SimListener, SimStream, SimTcpSocket, SimUdp, SocketId};

use std::sync::Arc;

/// What all machines of a world share, as a runtime holds it.
pub(crate) type SimHandle = Arc<SimContext>;

/// What a simulation gives a runtime in place of the machine's own.
#[derive(Clone, Debug)]
pub(crate) struct SimEnv {
    pub(crate) simulation: SimHandle,
    /// The clock and the network; without them the runtime has a manual clock and the system's sockets.
    pub(crate) machine: Option<(MachineClock, HostNet)>,
}

impl SimEnv {
    pub(crate) fn simulation(&self) -> &SimHandle {
        &self.simulation
    }

    pub(crate) fn machine(&self) -> Option<(MachineClock, HostNet)> {
        self.machine.clone()
    }
}
