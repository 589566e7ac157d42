//! The simulated network: machines, their sockets, and what is on its way between them.
//!
//! One queue of events in the order of their time; [`Net::advance`] lets them happen. Nothing here runs user code: events
//! for sockets wait at their machine until one of its workers takes them, as it would take them from the kernel.
//!
//! TCP never loses or reorders a byte; it is late, it breaks, or it is silent. What is sent over a way that is cut is sent
//! again with growing pauses, as a kernel does, and gives up after a quarter of an hour.

mod host;
mod link;
mod sockets;
mod tcp;
mod udp;

pub(crate) use host::HostNet;
pub use link::Network;
pub(crate) use sockets::{SimListener, SimStream, SimTcpSocket};
pub(crate) use udp::SimUdp;

use super::clock::WorldTime;
use super::{ChoiceKind, SimRng};
use crate::lock::Mutex;
use link::{LinkState, Links};
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;
use tcp::{Listener, Stream};
use udp::Udp;

/// Ports that are given out when the caller asks for none.
const EPHEMERAL: std::ops::Range<u16> = 49_152..65_535;

/// Events of a machine that are kept for a report.
const EVENT_LOG_MAX: usize = 40;

/// Names a machine.
pub(crate) type HostId = usize;

/// Names a simulated socket. A stale one names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SocketId {
    index: u32,
    generation: u32,
}

/// What a socket has become ready for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketEvent {
    pub(crate) read: bool,
    pub(crate) read_closed: bool,
    pub(crate) write: bool,
    pub(crate) write_closed: bool,
}

/// Hears of the events of one socket, for those who wait for it. They are woken after the call.
pub(crate) trait EventSink: Send + Sync {
    fn set_ready(&self, event: SocketEvent, woken: &mut Vec<Waker>);
}

/// Whether anybody is there to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostState {
    Up,
    /// The process is gone, its kernel answers for it.
    ProcessDown,
    /// The machine is gone: nothing answers.
    PoweredOff,
}

/// What arrives, or is due.
#[derive(Debug)]
enum NetEvent {
    Syn {
        from: SocketId,
        to: SocketAddr,
        attempt: u32,
    },
    SynAck {
        to: SocketId,
        server: SocketId,
    },
    Established {
        server: SocketId,
        listener: SocketId,
    },
    /// The next chunk from a stream to its other end.
    Deliver {
        from: SocketId,
    },
    /// The other end has read: there is room again.
    WindowUpdate {
        to: SocketId,
    },
    Reset {
        to: SocketId,
        from: HostId,
    },
    Datagram {
        from_host: HostId,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
}

struct Scheduled {
    at: u64,
    order: u64,
    what: NetEvent,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The earliest is the greatest, as the heap gives out the greatest.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// A machine's part of the network.
struct Host {
    name: String,
    ip: Ipv4Addr,
    host_state: HostState,
    next_port: u16,
    /// Events its workers have not taken yet.
    pending: VecDeque<(SocketId, SocketEvent)>,
    pending_len: Arc<AtomicUsize>,
    descriptors_max: usize,
    open: usize,
    event_log: VecDeque<(u64, String)>,
}

#[derive(Debug)]
enum Socket {
    Listener(Listener),
    Stream(Box<Stream>),
    Udp(Udp),
}

/// A place for one socket after another. It outlives them, for its generation's sake, so it is none of `util::slab`'s.
struct Slot {
    /// Tells the socket from those that were here before.
    generation: u32,
    host: HostId,
    /// `None` in a free one.
    socket: Option<Socket>,
    readiness: Option<Arc<dyn EventSink>>,
}

/// The network of one simulation; clones are the same one.
#[derive(Clone)]
pub(crate) struct Net(Arc<Mutex<State>>);

struct State {
    time: WorldTime,
    rng: SimRng,
    links: Links,
    hosts: Vec<Host>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    bound: BTreeMap<(HostId, u16, bool), SocketId>,
    due: BinaryHeap<Scheduled>,
    order: u64,
}

impl Net {
    pub(crate) fn new(time: WorldTime, rng: SimRng, network: Network) -> Self {
        Self(Arc::new(Mutex::new(State {
            time,
            rng,
            links: Links::new(network),
            hosts: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            bound: BTreeMap::new(),
            due: BinaryHeap::new(),
            order: 0,
        })))
    }

    /// Adds a machine, which is up.
    pub(crate) fn add_host(&self, name: &str) -> HostId {
        let mut state = self.0.lock();
        let id = state.hosts.len();
        state.hosts.push(Host {
            name: name.to_owned(),
            ip: host_ip(id),
            host_state: HostState::Up,
            next_port: EPHEMERAL.start,
            pending: VecDeque::new(),
            pending_len: Arc::default(),
            descriptors_max: usize::MAX,
            open: 0,
            event_log: VecDeque::new(),
        });
        id
    }

    /// The way of a machine's runtime to the network.
    pub(crate) fn port(&self, host: HostId) -> HostNet {
        let pending = self.0.lock().hosts[host].pending_len.clone();
        HostNet::new(self.clone(), host, pending)
    }

    pub(crate) fn ip(&self, host: HostId) -> Ipv4Addr {
        self.0.lock().hosts[host].ip
    }

    /// How much of the world's time has passed.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.lock().now())
    }

    /// When the next thing happens.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.0.lock().due.peek().map(|due| due.at)
    }

    /// Lets happen what is due by now.
    pub(crate) fn advance(&self) {
        let mut state = self.0.lock();
        let now = state.now();
        while state.due.peek().is_some_and(|due| due.at <= now) {
            let Some(Scheduled { what, .. }) = state.due.pop() else { return };
            state.dispatch(what);
        }
    }

    /// The process of a machine ends without a word; its kernel closes its sockets, or the machine goes with it.
    pub(crate) fn end_host(&self, host: HostId, host_state: HostState) {
        let mut state = self.0.lock();
        for id in state.sockets_of(host) {
            match host_state {
                HostState::PoweredOff => state.remove(id),
                HostState::Up | HostState::ProcessDown => state.close(id),
            }
        }
        state.hosts[host].host_state = host_state;
        state.hosts[host].pending.clear();
        state.hosts[host].pending_len.store(0, Ordering::Release);
    }

    pub(crate) fn start_host(&self, host: HostId) {
        self.0.lock().hosts[host].host_state = HostState::Up;
    }

    /// Descriptors a machine's process has open.
    pub(crate) fn open_sockets(&self, host: HostId) -> usize {
        self.0.lock().hosts[host].open
    }

    pub(crate) fn set_descriptors_max(&self, host: HostId, max: usize) {
        self.0.lock().hosts[host].descriptors_max = max;
    }

    pub(crate) fn set_network(&self, network: Network) {
        self.0.lock().links.set_default(network);
    }

    pub(crate) fn set_link(&self, from: HostId, to: HostId, network: &Arc<Network>) {
        self.0.lock().links.set(from, to, network);
    }

    pub(crate) fn partition(&self, from: HostId, to: HostId) {
        self.0.lock().links.partition(from, to);
    }

    pub(crate) fn repair(&self, from: HostId, to: HostId) {
        self.0.lock().links.repair(from, to);
    }

    pub(crate) fn hold(&self, from: HostId, to: HostId) {
        self.0.lock().links.hold(from, to);
    }

    pub(crate) fn release(&self, from: HostId, to: HostId) {
        let mut state = self.0.lock();
        let now = state.now();
        for what in state.links.release(from, to) {
            state.schedule(now, what);
        }
    }

    /// Breaks every connection between two machines with a reset on both sides.
    pub(crate) fn reset_between(&self, a: HostId, b: HostId) {
        let mut state = self.0.lock();
        for id in state.sockets_of(a).into_iter().chain(state.sockets_of(b)) {
            let host = state.slots[id.index as usize].host;
            let other = if host == a { b } else { a };
            if state.stream(id).is_some_and(|stream| stream.remote_host == other) {
                state.fail(id, std::io::ErrorKind::ConnectionReset);
            }
        }
    }

    /// Notes something for the report.
    pub(crate) fn note(&self, host: HostId, text: impl FnOnce() -> String) {
        self.0.lock().note(host, text);
    }

    /// Notes what became of the link between two machines.
    pub(crate) fn note_link(&self, from: HostId, to: HostId, what: &str) {
        let mut state = self.0.lock();
        let name = state.hosts[to].name.clone();
        state.note(from, || format!("the link to {name} is {what}"));
    }

    /// What happened last at a machine, with the world's time.
    pub(crate) fn event_log(&self, host: HostId) -> Vec<(Duration, String)> {
        let state = self.0.lock();
        state.hosts[host].event_log.iter().map(|(at, text)| (Duration::from_nanos(*at), text.clone())).collect()
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Net").field("hosts", &state.hosts.len()).field("due", &state.due.len()).finish()
    }
}

/// Loopback addresses of their own for every machine: nodes that have no credentials yet may use them.
fn host_ip(host: HostId) -> Ipv4Addr {
    let number = host as u32 + 1;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number)
}

impl State {
    fn now(&self) -> u64 {
        self.time.now()
    }

    fn note(&mut self, host: HostId, text: impl FnOnce() -> String) {
        let now = self.now();
        let event_log = &mut self.hosts[host].event_log;
        if event_log.len() == EVENT_LOG_MAX {
            event_log.pop_front();
        }
        event_log.push_back((now, text()));
    }

    fn schedule(&mut self, at: u64, what: NetEvent) {
        self.order += 1;
        self.due.push(Scheduled { at, order: self.order, what });
    }

    fn dispatch(&mut self, what: NetEvent) {
        match what {
            NetEvent::Syn { from, to, attempt } => self.syn(from, to, attempt),
            NetEvent::SynAck { to, server } => self.syn_ack(to, server),
            NetEvent::Established { server, listener } => self.established(server, listener),
            NetEvent::Deliver { from } => self.deliver(from),
            NetEvent::WindowUpdate { to } => self.window_update(to),
            NetEvent::Reset { to, from } => self.reset_arrives(to, from),
            NetEvent::Datagram { from_host, from, to, bytes } => self.datagram_arrives(from_host, from, to, bytes),
        }
    }

    /// Who has an address, as seen from a machine.
    fn host_at(&self, ip: IpAddr, from: HostId) -> Option<HostId> {
        let IpAddr::V4(ip) = ip else { return None };
        if ip == Ipv4Addr::LOCALHOST || ip.is_unspecified() {
            return Some(from);
        }
        self.hosts.iter().position(|host| host.ip == ip)
    }

    /// An address to bind to: the machine's own, any, or loopback, with a free port if none is named.
    fn local_address(&mut self, host: HostId, address: SocketAddr, udp: bool) -> std::io::Result<SocketAddr> {
        if self.host_at(address.ip(), host) != Some(host) {
            return Err(std::io::ErrorKind::AddrNotAvailable.into());
        }
        if address.port() != 0 {
            if self.bound.contains_key(&(host, address.port(), udp)) {
                return Err(std::io::ErrorKind::AddrInUse.into());
            }
            return Ok(address);
        }
        for _ in EPHEMERAL {
            let port = self.hosts[host].next_port;
            self.hosts[host].next_port = if port + 1 < EPHEMERAL.end { port + 1 } else { EPHEMERAL.start };
            if !self.bound.contains_key(&(host, port, udp)) {
                return Ok(SocketAddr::new(address.ip(), port));
            }
        }
        Err(std::io::ErrorKind::AddrInUse.into())
    }

    /// A new descriptor of a machine's process.
    fn open(&mut self, host: HostId, socket: Socket) -> std::io::Result<SocketId> {
        if self.hosts[host].host_state != HostState::Up {
            return Err(std::io::ErrorKind::NetworkDown.into());
        }
        if self.hosts[host].open >= self.hosts[host].descriptors_max {
            return Err(too_many_files());
        }
        self.hosts[host].open += 1;
        Ok(self.insert(host, socket))
    }

    /// A socket that no process has a descriptor for yet.
    fn insert(&mut self, host: HostId, socket: Socket) -> SocketId {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, host, socket: None, readiness: None });
                (self.slots.len() - 1) as u32
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.host = host;
        slot.socket = Some(socket);
        SocketId { index, generation: slot.generation }
    }

    fn slot(&self, id: SocketId) -> Option<&Slot> {
        self.slots.get(id.index as usize).filter(|slot| slot.generation == id.generation)
    }

    fn slot_mut(&mut self, id: SocketId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)
    }

    fn host_of(&self, id: SocketId) -> Option<HostId> {
        self.slot(id).map(|slot| slot.host)
    }

    fn sockets_of(&self, host: HostId) -> Vec<SocketId> {
        let living = self.slots.iter().enumerate().filter(|(_, slot)| slot.host == host && slot.socket.is_some());
        living.map(|(index, slot)| SocketId { index: index as u32, generation: slot.generation }).collect()
    }

    /// Forgets a socket, silently.
    fn remove(&mut self, id: SocketId) {
        let Some(slot) = self.slot_mut(id) else { return };
        let Some(socket) = slot.socket.take() else { return };
        slot.generation = slot.generation.wrapping_add(1);
        slot.readiness = None;
        let host = slot.host;
        self.free.push(id.index);
        let (port, descriptor) = match &socket {
            Socket::Listener(listener) => (Some((listener.address.port(), false)), true),
            Socket::Stream(stream) => (None, stream.has_descriptor()),
            Socket::Udp(udp) => (Some((udp.address.port(), true)), true),
        };
        if descriptor {
            self.hosts[host].open -= 1;
        }
        if let Some((port, udp)) = port {
            self.bound.remove(&(host, port, udp));
        }
    }

    /// The process gives a socket up.
    fn close(&mut self, id: SocketId) {
        match self.slot(id).and_then(|slot| slot.socket.as_ref()) {
            Some(Socket::Listener(_)) => self.close_listener(id),
            Some(Socket::Stream(_)) => self.close_stream(id),
            Some(Socket::Udp(_)) => self.remove(id),
            None => {}
        }
    }

    /// Tells a socket's process what has become possible; it hears when one of its workers looks.
    fn set_ready(&mut self, id: SocketId, read: bool, read_closed: bool, write: bool, write_closed: bool) {
        let Some(host) = self.host_of(id) else { return };
        let host = &mut self.hosts[host];
        host.pending.push_back((id, SocketEvent { read, read_closed, write, write_closed }));
        host.pending_len.store(host.pending.len(), Ordering::Release);
    }

    /// A kernel may say that a socket is ready though it is not.
    fn spurious_wakeup(&self, host: HostId, woken: &mut Vec<Waker>) {
        if !self.rng.chance(ChoiceKind::Fault, 0.02) {
            return;
        }
        let spurious = SocketEvent { read: true, write: true, ..SocketEvent::default() };
        let chosen = &self.slots[self.rng.below(ChoiceKind::Fault, self.slots.len())];
        if let Some(readiness) = chosen.readiness.as_ref().filter(|_| chosen.host == host) {
            readiness.set_ready(spurious, woken);
        }
    }

    /// Whether something gets from one machine to another now.
    fn link_state(&self, from: HostId, to: HostId) -> LinkState {
        if self.hosts[to].host_state == HostState::PoweredOff {
            LinkState::Partitioned
        } else {
            self.links.link_state(from, to)
        }
    }
}

/// What the kernel says when a process has no descriptor left (EMFILE).
fn too_many_files() -> std::io::Error {
    std::io::Error::from_raw_os_error(24)
}

/// A cheap hash of bytes, for comparing runs.
fn hash_of(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
    }
    hash
}
