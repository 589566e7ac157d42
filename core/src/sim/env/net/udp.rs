//! UDP in the simulated network: datagrams that may get lost, doubled, delayed or damaged.

use super::link::{LinkState, draw};
use super::{HostId, Net, NetEvent, Socket, SocketId, State, hash_of};
use crate::sim::env::ChoiceKind;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// Datagrams a socket holds; what arrives beyond is lost, as with a kernel's buffer of 200 KiB.
const INBOX_MAX: usize = 256;

/// The largest datagram.
const DATAGRAM_MAX: usize = 65_507;

#[derive(Debug)]
pub(super) struct Udp {
    pub(super) address: SocketAddr,
    connected: Option<SocketAddr>,
    inbox: VecDeque<(Vec<u8>, SocketAddr)>,
}

impl State {
    pub(super) fn bind_udp(&mut self, host: HostId, address: SocketAddr) -> io::Result<SocketId> {
        let address = self.local_address(host, address, true)?;
        let id = self.open(host, Socket::Udp(Udp { address, connected: None, inbox: VecDeque::new() }))?;
        self.bound.insert((host, address.port(), true), id);
        Ok(id)
    }

    fn udp(&mut self, id: SocketId) -> io::Result<&mut Udp> {
        match self.slot_mut(id).and_then(|slot| slot.socket.as_mut()) {
            Some(Socket::Udp(udp)) => Ok(udp),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn send_datagram(&mut self, id: SocketId, to: Option<SocketAddr>, bytes: &[u8]) -> io::Result<usize> {
        let udp = self.udp(id)?;
        let to = to.or(udp.connected).ok_or(ErrorKind::NotConnected)?;
        if bytes.len() > DATAGRAM_MAX {
            return Err(io::Error::from_raw_os_error(90));
        }
        let mut from = udp.address;
        let host = self.host_of(id).ok_or(ErrorKind::NotConnected)?;
        if from.ip().is_unspecified() {
            from.set_ip(self.hosts[host].ip.into());
        }
        self.rng.note(ChoiceKind::Bytes, hash_of(bytes));
        let Some(remote) = self.host_at(to.ip(), host) else { return Err(ErrorKind::NetworkUnreachable.into()) };
        let network = self.links.get(host, remote);
        let copies = 1 + usize::from(self.rng.chance(ChoiceKind::Fault, network.udp_duplicate));
        for _ in 0..copies {
            if self.rng.chance(ChoiceKind::Fault, network.udp_loss) {
                continue;
            }
            let mut bytes = bytes.to_vec();
            if !bytes.is_empty() && self.rng.chance(ChoiceKind::Fault, network.udp_corrupt) {
                let bit = self.rng.below(ChoiceKind::Fault, bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let mut draw_latency = network.draw_latency(&self.rng);
            if self.rng.chance(ChoiceKind::Fault, network.udp_reorder) {
                let detour = network.latency.end..network.latency.end.saturating_mul(8);
                draw_latency = draw_latency.saturating_add(draw(&self.rng, &detour));
            }
            let at = self
                .links
                .transmit_at(host, remote, bytes.len(), self.now(), network.bandwidth)
                .saturating_add(draw_latency);
            self.schedule(at, NetEvent::Datagram { from_host: host, from, to, bytes });
        }
        Ok(bytes.len())
    }

    pub(super) fn datagram_arrives(&mut self, from_host: HostId, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let Some(host) = self.host_at(to.ip(), from_host) else { return };
        match self.link_state(from_host, host) {
            LinkState::Up => {}
            LinkState::Partitioned => return,
            LinkState::Held => {
                return self.links.keep(from_host, host, NetEvent::Datagram { from_host, from, to, bytes });
            }
        }
        let Some(&id) = self.bound.get(&(host, to.port(), true)) else { return };
        let Ok(udp) = self.udp(id) else { return };
        let hears = udp.address.ip() == to.ip() || udp.address.ip().is_unspecified();
        if !hears || udp.connected.is_some_and(|connected| connected != from) || udp.inbox.len() == INBOX_MAX {
            return;
        }
        udp.inbox.push_back((bytes, from));
        self.set_ready(id, true, false, false, false);
    }

    fn receive(&mut self, id: SocketId, buffer: &mut [u8], take: bool) -> io::Result<(usize, SocketAddr)> {
        let udp = self.udp(id)?;
        let (bytes, from) = udp.inbox.front().ok_or(ErrorKind::WouldBlock)?;
        let n = bytes.len().min(buffer.len());
        buffer[..n].copy_from_slice(&bytes[..n]);
        let from = *from;
        if take {
            udp.inbox.pop_front();
        }
        Ok((n, from))
    }
}

/// A simulated UDP socket.
#[derive(Debug)]
pub(crate) struct SimUdp {
    net: Net,
    id: SocketId,
}

impl SimUdp {
    pub(super) fn new(net: Net, id: SocketId) -> Self {
        Self { net, id }
    }

    pub(crate) fn id(&self) -> SocketId {
        self.id
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<()> {
        self.net.0.lock().udp(self.id)?.connected = Some(address);
        Ok(())
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.net.0.lock().send_datagram(self.id, None, bytes)
    }

    pub(crate) fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.net.0.lock().send_datagram(self.id, Some(to), bytes)
    }

    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.net.0.lock().receive(self.id, buffer, true).map(|(n, _)| n)
    }

    pub(crate) fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.net.0.lock().receive(self.id, buffer, true)
    }

    pub(crate) fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.net.0.lock().receive(self.id, buffer, false)
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.net.0.lock().udp(self.id)?.address)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.net.0.lock().udp(self.id)?.connected.ok_or_else(|| ErrorKind::NotConnected.into())
    }
}
