//! Links between two simulated machines: latency, loss, partitions.

use super::{HostId, NetEvent};
use crate::sim::env::{ChoiceKind, SimRng};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How a network behaves. All chances are from 0.0, never, to 1.0, always.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Network {
    /// How long a packet travels: any time in the range is as likely. Default 100 us to 2 ms.
    pub latency: Range<Duration>,
    /// How often a packet travels longer, up to [`slow_latency`](Self::slow_latency). Default 0.01.
    pub slow: f64,
    /// The longest that a slow packet travels. Default 50 ms.
    pub slow_latency: Duration,
    /// Bytes a second that a link carries in each direction; `None` for no bound. Default `None`.
    pub bandwidth: Option<u64>,
    /// Bytes of one connection that may be on their way or unread; a sender waits beyond. Default 64 KiB.
    pub window: usize,
    /// How often what was written at once arrives in pieces. Default 0.25.
    pub rechunk: f64,
    /// How often a connection breaks with a reset as something is sent. Default 0.
    pub reset: f64,
    /// How often a connection that is asked for is refused though a listener is there. Default 0.
    pub refuse: f64,
    /// How often the request for a connection gets lost; it is repeated as by a kernel, after 1 s, 2 s, 4 s .. Default 0.
    pub connect_loss: f64,
    /// How often a datagram gets lost. Default 0.
    pub udp_loss: f64,
    /// How often a datagram arrives twice. Default 0.
    pub udp_duplicate: f64,
    /// How often a datagram takes a detour and is overtaken. Default 0.
    pub udp_reorder: f64,
    /// How often a bit of a datagram is turned. Default 0.
    pub udp_corrupt: f64,
    /// How long finding the address of a name takes. Default 100 us to 1 ms.
    pub resolve: Range<Duration>,
    /// How often finding the address of a name fails for now. Default 0.
    pub resolve_failure: f64,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(100)..Duration::from_millis(2),
            slow: 0.01,
            slow_latency: Duration::from_millis(50),
            bandwidth: None,
            window: 64 * 1024,
            rechunk: 0.25,
            reset: 0.0,
            refuse: 0.0,
            connect_loss: 0.0,
            udp_loss: 0.0,
            udp_duplicate: 0.0,
            udp_reorder: 0.0,
            udp_corrupt: 0.0,
            resolve: Duration::from_micros(100)..Duration::from_millis(1),
            resolve_failure: 0.0,
        }
    }
}

impl Network {
    /// Draws how long a packet travels.
    pub(super) fn draw_latency(&self, rng: &SimRng) -> u64 {
        let most = if rng.chance(ChoiceKind::Fault, self.slow) { self.slow_latency } else { self.latency.end };
        draw(rng, &(self.latency.start..most))
    }
}

/// Draws a time in nanoseconds from a range.
pub(super) fn draw(rng: &SimRng, range: &Range<Duration>) -> u64 {
    rng.between(ChoiceKind::Latency, nanos(range.start), nanos(range.end))
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether something gets through now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    Up,
    /// It is lost.
    Partitioned,
    /// It is kept until the way is released.
    Held,
}

/// A direction between two machines.
type Pair = (HostId, HostId);

#[derive(Debug, Default)]
pub(super) struct Links {
    default: Arc<Network>,
    special: BTreeMap<Pair, Arc<Network>>,
    /// Several faults may partition the same link; it is up again when the last one is repaired.
    cuts: BTreeMap<Pair, u32>,
    holds: BTreeSet<Pair>,
    held: Vec<(Pair, NetEvent)>,
    /// Until when a link with a bandwidth is busy.
    busy: BTreeMap<Pair, u64>,
    loopback: Arc<Network>,
}

impl Links {
    pub(super) fn new(default: Network) -> Self {
        let loopback = Network {
            latency: Duration::from_micros(1)..Duration::from_micros(20),
            slow: 0.0,
            ..Network { bandwidth: None, reset: 0.0, refuse: 0.0, connect_loss: 0.0, ..default.clone() }
        };
        Self { default: Arc::new(default), loopback: Arc::new(loopback), ..Self::default() }
    }

    pub(super) fn set_default(&mut self, network: Network) {
        self.default = Arc::new(network);
    }

    pub(super) fn set(&mut self, from: HostId, to: HostId, network: &Arc<Network>) {
        self.special.insert((from, to), network.clone());
    }

    pub(super) fn get(&self, from: HostId, to: HostId) -> Arc<Network> {
        if from == to {
            return self.loopback.clone();
        }
        self.special.get(&(from, to)).unwrap_or(&self.default).clone()
    }

    pub(super) fn link_state(&self, from: HostId, to: HostId) -> LinkState {
        if from == to {
            return LinkState::Up;
        }
        match () {
            () if self.cuts.contains_key(&(from, to)) => LinkState::Partitioned,
            () if self.holds.contains(&(from, to)) => LinkState::Held,
            () => LinkState::Up,
        }
    }

    pub(super) fn partition(&mut self, from: HostId, to: HostId) {
        *self.cuts.entry((from, to)).or_default() += 1;
    }

    pub(super) fn repair(&mut self, from: HostId, to: HostId) {
        if let Some(count) = self.cuts.get_mut(&(from, to)) {
            *count -= 1;
            if *count == 0 {
                self.cuts.remove(&(from, to));
            }
        }
    }

    pub(super) fn hold(&mut self, from: HostId, to: HostId) {
        self.holds.insert((from, to));
    }

    /// Keeps what arrives on a way that is held.
    pub(super) fn keep(&mut self, from: HostId, to: HostId, what: NetEvent) {
        self.held.push(((from, to), what));
    }

    /// Opens a held way and gives out what was kept, in order.
    pub(super) fn release(&mut self, from: HostId, to: HostId) -> Vec<NetEvent> {
        self.holds.remove(&(from, to));
        let (released, kept) = std::mem::take(&mut self.held).into_iter().partition(|(pair, _)| *pair == (from, to));
        self.held = kept;
        let released: Vec<(Pair, NetEvent)> = released;
        released.into_iter().map(|(_, what)| what).collect()
    }

    /// When `bytes` have left, if they queue up behind what was sent before.
    pub(super) fn transmit_at(
        &mut self,
        from: HostId,
        to: HostId,
        bytes: usize,
        now: u64,
        bandwidth: Option<u64>,
    ) -> u64 {
        let Some(bandwidth) = bandwidth.filter(|_| from != to) else { return now };
        let busy = self.busy.entry((from, to)).or_default();
        let takes = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(bandwidth.max(1)));
        *busy = (*busy).max(now).saturating_add(u64::try_from(takes).unwrap_or(u64::MAX));
        *busy
    }
}
