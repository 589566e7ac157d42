//! A machine's way to the simulated network: what its runtime uses in place of the operating system.

use super::link::draw;
use super::sockets::{SimListener, SimStream, SimTcpSocket};
use super::udp::SimUdp;
use super::{EventSink, HostId, Net, SocketId};
use crate::sim::env::ChoiceKind;
use crate::util::socket_counts::SocketCounts;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

/// A machine's way to the network.
#[derive(Clone)]
pub(crate) struct HostNet {
    net: Net,
    host: HostId,
    pending: Arc<AtomicUsize>,
    counts: Arc<SocketCounts>,
}

impl HostNet {
    pub(super) fn new(net: Net, host: HostId, pending: Arc<AtomicUsize>) -> Self {
        Self { net, host, pending, counts: Arc::default() }
    }

    /// Events that wait to be taken.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Ordering::Acquire)
    }

    /// Takes all events and wakes those they are for. Returns how many there were.
    pub(crate) fn turn(&self) -> usize {
        let mut woken = Vec::new();
        let mut state = self.net.0.lock();
        let events = std::mem::take(&mut state.hosts[self.host].pending);
        self.pending.store(0, Ordering::Release);
        let count = events.len();
        state.spurious_wakeup(self.host, &mut woken);
        for (id, event) in events {
            if let Some(readiness) = state.slot(id).and_then(|slot| slot.readiness.as_ref()) {
                readiness.set_ready(event, &mut woken);
            }
        }
        drop(state);
        self.counts.add_ready(count);
        woken.into_iter().for_each(Waker::wake);
        count
    }

    pub(crate) fn counts(&self) -> &SocketCounts {
        &self.counts
    }

    pub(crate) fn attach(&self, id: SocketId, readiness: Arc<dyn EventSink>) {
        let mut state = self.net.0.lock();
        if let Some(slot) = state.slot_mut(id) {
            slot.readiness = Some(readiness);
            state.replay_readiness(id);
        }
        drop(state);
        self.counts.register();
    }

    pub(crate) fn close(&self, id: SocketId) {
        self.net.0.lock().close(id);
        self.counts.deregister();
    }

    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<SimListener> {
        let id = self.net.0.lock().listen(self.host, address)?;
        Ok(SimListener::new(self.net.clone(), id))
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<SimStream> {
        let id = self.net.0.lock().connect(self.host, address)?;
        Ok(SimStream::new(self.net.clone(), id))
    }

    pub(crate) fn bind_udp(&self, address: SocketAddr) -> io::Result<SimUdp> {
        let id = self.net.0.lock().bind_udp(self.host, address)?;
        Ok(SimUdp::new(self.net.clone(), id))
    }

    pub(crate) fn tcp_socket(&self) -> SimTcpSocket {
        SimTcpSocket::new(self.clone())
    }

    /// How long the answer to a question for a name takes, and whether there is none.
    pub(crate) fn draw_resolution(&self) -> (Duration, bool) {
        let state = self.net.0.lock();
        let network = state.links.get(self.host, usize::MAX);
        let takes = draw(&state.rng, &network.resolve);
        (Duration::from_nanos(takes), state.rng.chance(ChoiceKind::Fault, network.resolve_failure))
    }

    /// Finds the addresses of `host:port`: the names of the machines, and `localhost`.
    pub(crate) fn lookup(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = name.rsplit_once(':').ok_or(ErrorKind::InvalidInput)?;
        let port = port.parse().map_err(|_| ErrorKind::InvalidInput)?;
        let found = self.net.0.lock().hosts.iter().find(|known| known.name == host).map(|known| known.ip);
        let ip = match found {
            Some(ip) => ip,
            None if host == "localhost" => Ipv4Addr::LOCALHOST,
            None => return Err(io::Error::new(ErrorKind::NotFound, format!("no machine is called {host:?}"))),
        };
        Ok(vec![SocketAddr::new(IpAddr::V4(ip), port)])
    }
}

impl fmt::Debug for HostNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostNet").field("host", &self.host).field("pending", &self.pending()).finish()
    }
}
