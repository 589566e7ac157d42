//! TCP in the simulated network: a handshake, two streams of bytes, an end of each, or a reset.
//!
//! A stream's bytes leave in order through its *pipe*; the pipe's head arrives, or is tried again while the way is cut.

use super::link::LinkState;
use super::{HostId, HostState, NetEvent, Socket, SocketId, State, hash_of};
use crate::sim::env::ChoiceKind;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};

/// The first pause before a segment is sent again, and the longest. Linux's.
const RETRY_MIN: u64 = 200_000_000;
const RETRY_MAX: u64 = 120_000_000_000;

/// After so long without getting through a connection is given up. Linux's.
const GIVE_UP: u64 = 924_000_000_000;

/// A request for a connection is repeated after 1, 2, 4 .. s, so often. Linux's.
const SYN_PAUSE: u64 = 1_000_000_000;
const SYN_RETRIES: u32 = 6;

/// Connections that wait to be accepted. Linux's default.
const BACKLOG_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    backlog: VecDeque<SocketId>,
}

#[derive(Debug)]
enum TcpState {
    /// Asked for, not answered yet.
    Connecting,
    Open,
    Failed,
}

#[derive(Debug)]
enum Chunk {
    Bytes(Vec<u8>),
    Fin,
}

/// What leaves a stream, in order.
#[derive(Debug, Default)]
struct Pipe {
    chunks: VecDeque<(u64, Chunk)>,
    delivery_scheduled: bool,
    /// Nothing arrives before what was sent earlier.
    last_arrival: u64,
    pause: u64,
    stuck_since: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Stream {
    local: SocketAddr,
    peer: SocketAddr,
    pub(super) remote_host: HostId,
    other: Option<SocketId>,
    tcp_state: TcpState,
    error: Option<ErrorKind>,
    inbox: VecDeque<u8>,
    fin_in: bool,
    read_shut: bool,
    out: Pipe,
    fin_out: bool,
    /// Bytes that may still be sent.
    room: usize,
    /// Bytes read whose room was not given back yet.
    consumed: usize,
    window_update_pending: bool,
    /// The process has a descriptor: it connected, or accepted, and has not closed.
    descriptor: bool,
    closed: bool,
    linger_zero: bool,
}

impl Stream {
    fn new(local: SocketAddr, peer: SocketAddr, remote_host: HostId, window: usize) -> Self {
        Self {
            local,
            peer,
            remote_host,
            other: None,
            tcp_state: TcpState::Connecting,
            error: None,
            inbox: VecDeque::new(),
            fin_in: false,
            read_shut: false,
            out: Pipe::default(),
            fin_out: false,
            room: window.max(1),
            consumed: 0,
            window_update_pending: false,
            descriptor: false,
            closed: false,
            linger_zero: false,
        }
    }

    pub(super) fn has_descriptor(&self) -> bool {
        self.descriptor
    }

    pub(super) fn take_error(&mut self) -> Option<ErrorKind> {
        self.error.take()
    }

    pub(super) fn set_linger_zero(&mut self, linger_zero: bool) {
        self.linger_zero = linger_zero;
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// `None` until it is connected.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        (!matches!(self.tcp_state, TcpState::Connecting)).then_some(self.peer)
    }
}

impl State {
    pub(super) fn stream(&self, id: SocketId) -> Option<&Stream> {
        match self.slot(id)?.socket.as_ref()? {
            Socket::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    fn stream_mut(&mut self, id: SocketId) -> Option<&mut Stream> {
        match self.slot_mut(id)?.socket.as_mut()? {
            Socket::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// Where a listener listens.
    pub(super) fn listening_address(&mut self, id: SocketId) -> io::Result<SocketAddr> {
        self.listener_mut(id).map(|listener| listener.address).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    pub(super) fn living_stream(&mut self, id: SocketId) -> io::Result<&mut Stream> {
        self.stream_mut(id).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    fn listener_mut(&mut self, id: SocketId) -> Option<&mut Listener> {
        match self.slot_mut(id)?.socket.as_mut()? {
            Socket::Listener(listener) => Some(listener),
            _ => None,
        }
    }

    pub(super) fn listen(&mut self, host: HostId, address: SocketAddr) -> io::Result<SocketId> {
        let address = self.local_address(host, address, false)?;
        let id = self.open(host, Socket::Listener(Listener { address, backlog: VecDeque::new() }))?;
        self.bound.insert((host, address.port(), false), id);
        self.note(host, || format!("listens on {address}"));
        Ok(id)
    }

    pub(super) fn connect(&mut self, host: HostId, to: SocketAddr) -> io::Result<SocketId> {
        let remote = self.host_at(to.ip(), host);
        let ip = if to.ip().is_loopback() && remote == Some(host) { to.ip() } else { self.hosts[host].ip.into() };
        let local = self.local_address(host, SocketAddr::new(ip, 0), false)?;
        // An address that no machine has is a way into the dark: as if it were its own machine, cut off.
        let Some(remote) = remote else { return Err(ErrorKind::NetworkUnreachable.into()) };
        let network = self.links.get(host, remote);
        let id = self.open(host, Socket::Stream(Box::new(Stream::new(local, to, remote, network.window))))?;
        if let Some(stream) = self.stream_mut(id) {
            stream.descriptor = true;
        }
        let at = self.now().saturating_add(network.draw_latency(&self.rng));
        self.schedule(at, NetEvent::Syn { from: id, to, attempt: 0 });
        Ok(id)
    }

    /// A request for a connection arrives.
    pub(super) fn syn(&mut self, from: SocketId, to: SocketAddr, attempt: u32) {
        let Some((host, remote)) = self.stream(from).map(|s| s.remote_host).zip(self.host_of(from)) else { return };
        let (client, server) = (remote, host);
        let network = self.links.get(client, server);
        let lost = self.rng.chance(ChoiceKind::Fault, network.connect_loss);
        let links = (self.link_state(client, server), self.link_state(server, client));
        if links.0 == LinkState::Held {
            return self.links.keep(client, server, NetEvent::Syn { from, to, attempt });
        }
        if lost || links.0 == LinkState::Partitioned || links.1 == LinkState::Partitioned {
            if attempt == SYN_RETRIES {
                return self.fail(from, ErrorKind::TimedOut);
            }
            let at = self.now() + (SYN_PAUSE << attempt);
            return self.schedule(at, NetEvent::Syn { from, to, attempt: attempt + 1 });
        }

        let refused =
            self.rng.chance(ChoiceKind::Fault, network.refuse) || self.hosts[server].host_state != HostState::Up;
        let listener = self.bound.get(&(server, to.port(), false)).copied().filter(|_| !refused);
        let back = self.now().saturating_add(self.links.get(server, client).draw_latency(&self.rng));
        let accepts = listener.filter(|&id| {
            let hears = |listener: &mut Listener| {
                listener.backlog.len() < BACKLOG_MAX
                    && (listener.address.ip() == to.ip() || listener.address.ip().is_unspecified())
            };
            self.listener_mut(id).is_some_and(hears)
        });
        if accepts.is_none() {
            return self.schedule(back, NetEvent::Reset { to: from, from: server });
        }
        let Some((local, window)) = self.stream(from).map(|stream| (stream.local, network.window)) else { return };
        let mut accepted = Stream::new(to, local, client, window);
        accepted.tcp_state = TcpState::Open;
        accepted.other = Some(from);
        let accepted = self.insert(server, Socket::Stream(Box::new(accepted)));
        self.schedule(back, NetEvent::SynAck { to: from, server: accepted });
    }

    /// The request was granted.
    pub(super) fn syn_ack(&mut self, to: SocketId, server: SocketId) {
        let Some(server_host) = self.host_of(server) else { return self.fail(to, ErrorKind::ConnectionRefused) };
        let Some(client) = self.host_of(to) else { return self.remove(server) };
        let port = match self.stream(to) {
            Some(Stream { tcp_state: TcpState::Connecting, peer, .. }) => peer.port(),
            _ => return self.remove(server),
        };
        let arrival = self.now().saturating_add(self.links.get(client, server_host).draw_latency(&self.rng));
        if let Some(stream) = self.stream_mut(to) {
            stream.tcp_state = TcpState::Open;
            stream.other = Some(server);
            stream.out.last_arrival = arrival;
        }
        self.set_ready(to, false, false, true, false);
        self.note(client, || format!("connected to port {port}"));
        match self.bound.get(&(server_host, port, false)).copied() {
            Some(listener) => self.schedule(arrival, NetEvent::Established { server, listener }),
            None => self.reset_both(server),
        }
    }

    /// The accepting side learns that the connection stands: it can be accepted.
    pub(super) fn established(&mut self, server: SocketId, listener: SocketId) {
        if self.stream(server).is_none() {
            return;
        }
        match self.listener_mut(listener) {
            Some(listening) => {
                listening.backlog.push_back(server);
                self.set_ready(listener, true, false, false, false);
            }
            None => self.reset_both(server),
        }
    }

    pub(super) fn accept(&mut self, listener: SocketId) -> io::Result<(SocketId, SocketAddr)> {
        let host = self.host_of(listener).ok_or(ErrorKind::NotConnected)?;
        if self.hosts[host].open >= self.hosts[host].descriptors_max {
            return Err(super::too_many_files());
        }
        let listening = self.listener_mut(listener).ok_or(ErrorKind::NotConnected)?;
        let id = listening.backlog.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let Some(stream) = self.stream_mut(id) else { return Err(ErrorKind::ConnectionAborted.into()) };
        stream.descriptor = true;
        let peer = stream.peer;
        self.hosts[host].open += 1;
        self.note(host, || format!("accepted {peer}"));
        Ok((id, peer))
    }

    pub(super) fn close_listener(&mut self, id: SocketId) {
        let waiting = self.listener_mut(id).map(|listener| std::mem::take(&mut listener.backlog));
        self.remove(id);
        waiting.into_iter().flatten().for_each(|stream| self.reset_both(stream));
    }

    pub(super) fn write(&mut self, id: SocketId, bytes: &[u8]) -> io::Result<usize> {
        let stream = self.living_stream(id)?;
        match stream.tcp_state {
            TcpState::Connecting => return Err(ErrorKind::NotConnected.into()),
            TcpState::Failed => return Err(stream.error.take().unwrap_or(ErrorKind::BrokenPipe).into()),
            TcpState::Open if stream.fin_out => return Err(ErrorKind::BrokenPipe.into()),
            TcpState::Open => {}
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        let n = bytes.len().min(stream.room);
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        stream.room -= n;
        let remote = stream.remote_host;
        let host = self.host_of(id).ok_or(ErrorKind::NotConnected)?;
        let network = self.links.get(host, remote);
        self.rng.note(ChoiceKind::Bytes, hash_of(&bytes[..n]));
        if self.rng.chance(ChoiceKind::Fault, network.reset) {
            self.note(host, || "a connection breaks".to_owned());
            self.fail(id, ErrorKind::ConnectionReset);
            return Err(ErrorKind::ConnectionReset.into());
        }

        let split = n > 1 && self.rng.chance(ChoiceKind::Chunk, network.rechunk);
        let first = if split { 1 + self.rng.below(ChoiceKind::Chunk, n - 1) } else { n };
        self.push(id, Chunk::Bytes(bytes[..first].to_vec()));
        if first < n {
            self.push(id, Chunk::Bytes(bytes[first..n].to_vec()));
        }
        Ok(n)
    }

    /// Puts a chunk on its way.
    fn push(&mut self, id: SocketId, chunk: Chunk) {
        let (Some(host), now) = (self.host_of(id), self.now()) else { return };
        let Some(remote) = self.stream(id).map(|stream| stream.remote_host) else { return };
        let network = self.links.get(host, remote);
        let size = match &chunk {
            Chunk::Bytes(bytes) => bytes.len(),
            Chunk::Fin => 0,
        };
        let draw_latency = network.draw_latency(&self.rng);
        let arrival = self.links.transmit_at(host, remote, size, now, network.bandwidth).saturating_add(draw_latency);
        let Some(stream) = self.stream_mut(id) else { return };
        let pipe = &mut stream.out;
        pipe.last_arrival = pipe.last_arrival.max(arrival);
        let at = pipe.last_arrival;
        pipe.chunks.push_back((at, chunk));
        if !std::mem::replace(&mut pipe.delivery_scheduled, true) {
            self.schedule(at, NetEvent::Deliver { from: id });
        }
    }

    /// The head of a pipe arrives, if the way is open.
    pub(super) fn deliver(&mut self, from: SocketId) {
        let (Some(host), Some(stream)) = (self.host_of(from), self.stream(from)) else { return };
        let (remote, other) = (stream.remote_host, stream.other);
        match self.link_state(host, remote) {
            LinkState::Up => {}
            LinkState::Held => return self.links.keep(host, remote, NetEvent::Deliver { from }),
            LinkState::Partitioned => return self.retransmit(from),
        }
        let Some(other) = other.filter(|&other| self.stream(other).is_some_and(|stream| !stream.closed)) else {
            return self.peer_gone(from, remote, host);
        };

        let now = self.now();
        let mut arrived = Vec::new();
        if let Some(stream) = self.stream_mut(from) {
            let pipe = &mut stream.out;
            (pipe.pause, pipe.stuck_since) = (0, None);
            while pipe.chunks.front().is_some_and(|(at, _)| *at <= now) {
                arrived.extend(pipe.chunks.pop_front().map(|(_, chunk)| chunk));
            }
        }
        arrived.into_iter().for_each(|chunk| self.arrive(other, chunk));
        self.schedule_next(from);
    }

    fn schedule_next(&mut self, from: SocketId) {
        let Some(stream) = self.stream_mut(from) else { return };
        match stream.out.chunks.front() {
            Some((at, _)) => {
                let at = *at;
                self.schedule(at, NetEvent::Deliver { from });
            }
            None => {
                stream.out.delivery_scheduled = false;
                if stream.closed {
                    self.remove(from);
                }
            }
        }
    }

    /// The way is cut: again after a pause, until it is given up.
    fn retransmit(&mut self, from: SocketId) {
        let now = self.now();
        let Some(stream) = self.stream_mut(from) else { return };
        let pipe = &mut stream.out;
        let since = *pipe.stuck_since.get_or_insert(now);
        pipe.pause = (pipe.pause * 2).clamp(RETRY_MIN, RETRY_MAX);
        let at = now + pipe.pause;
        if now - since > GIVE_UP {
            return self.fail(from, ErrorKind::TimedOut);
        }
        self.schedule(at, NetEvent::Deliver { from });
    }

    /// The other end is gone: a kernel that is there says so.
    fn peer_gone(&mut self, from: SocketId, remote: HostId, host: HostId) {
        let sent = self.stream_mut(from).map(|stream| std::mem::take(&mut stream.out));
        // An end without data behind it needs no answer.
        let data = sent.is_some_and(|pipe| pipe.chunks.iter().any(|(_, chunk)| matches!(chunk, Chunk::Bytes(_))));
        if data {
            let at = self.now().saturating_add(self.links.get(remote, host).draw_latency(&self.rng));
            self.schedule(at, NetEvent::Reset { to: from, from: remote });
        }
        self.schedule_next(from);
    }

    /// What came before anybody listened for events, as epoll tells it of a new descriptor: the end of an accepted
    /// connection may be there already, and comes only once.
    pub(super) fn replay_readiness(&mut self, id: SocketId) {
        let Some(stream) = self.stream(id) else { return };
        let failed = matches!(stream.tcp_state, TcpState::Failed);
        if stream.fin_in || failed {
            self.set_ready(id, true, true, failed, failed);
        }
    }

    fn arrive(&mut self, at: SocketId, chunk: Chunk) {
        let Some(stream) = self.stream_mut(at) else { return };
        match chunk {
            Chunk::Bytes(bytes) => {
                stream.inbox.extend(bytes);
                self.set_ready(at, true, false, false, false);
            }
            Chunk::Fin => {
                stream.fin_in = true;
                self.set_ready(at, true, true, false, false);
            }
        }
    }

    pub(super) fn read(&mut self, id: SocketId, buffer: &mut [u8], take: bool) -> io::Result<usize> {
        let stream = self.living_stream(id)?;
        if let TcpState::Failed = stream.tcp_state {
            return stream.error.take().map_or(Ok(0), |kind| Err(kind.into()));
        }
        if stream.read_shut {
            return Ok(0);
        }
        let n = buffer.len().min(stream.inbox.len());
        if n == 0 {
            return if stream.fin_in || buffer.is_empty() { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        for (to, from) in buffer.iter_mut().zip(&stream.inbox) {
            *to = *from;
        }
        if take {
            stream.inbox.drain(..n);
            stream.consumed += n;
            self.send_window_update(id);
        }
        Ok(n)
    }

    /// Tells the other end of what was read; several reads go with one word.
    fn send_window_update(&mut self, id: SocketId) {
        let (Some(host), Some(stream)) = (self.host_of(id), self.stream_mut(id)) else { return };
        if stream.window_update_pending {
            return;
        }
        stream.window_update_pending = true;
        let (remote, other) = (stream.remote_host, stream.other);
        let Some(other) = other else { return };
        let at = self.now().saturating_add(self.links.get(host, remote).draw_latency(&self.rng));
        self.schedule(at, NetEvent::WindowUpdate { to: other });
    }

    /// The other end has read.
    pub(super) fn window_update(&mut self, to: SocketId) {
        let (Some(host), Some(stream)) = (self.host_of(to), self.stream(to)) else { return };
        let (reader, reader_host) = (stream.other, stream.remote_host);
        match self.link_state(reader_host, host) {
            LinkState::Up => {}
            LinkState::Held => return self.links.keep(reader_host, host, NetEvent::WindowUpdate { to }),
            LinkState::Partitioned => {
                let at = self.now() + RETRY_MIN;
                return self.schedule(at, NetEvent::WindowUpdate { to });
            }
        }
        let read = reader.and_then(|reader| self.stream_mut(reader)).map_or(0, |reader| {
            reader.window_update_pending = false;
            std::mem::take(&mut reader.consumed)
        });
        if let Some(stream) = self.stream_mut(to) {
            stream.room += read;
            self.set_ready(to, false, false, true, false);
        }
    }

    pub(super) fn shutdown(&mut self, id: SocketId, how: Shutdown) -> io::Result<()> {
        let stream = self.living_stream(id)?;
        if !matches!(stream.tcp_state, TcpState::Open) {
            return Err(ErrorKind::NotConnected.into());
        }
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        stream.read_shut |= read;
        let fin = write && !stream.fin_out;
        stream.fin_out |= write;
        if fin {
            self.push(id, Chunk::Fin);
        }
        // A task that waits on this very end sees it too.
        self.set_ready(id, read, read, write, write);
        Ok(())
    }

    pub(super) fn close_stream(&mut self, id: SocketId) {
        let Some(host) = self.host_of(id) else { return };
        let Some(stream) = self.stream_mut(id) else { return };
        if std::mem::replace(&mut stream.closed, true) {
            return;
        }
        let descriptor = std::mem::replace(&mut stream.descriptor, false);
        let reset = !stream.inbox.is_empty() || stream.linger_zero;
        let (open, fin_out, remote, other) =
            (matches!(stream.tcp_state, TcpState::Open), stream.fin_out, stream.remote_host, stream.other);
        stream.fin_out = true;
        if descriptor {
            self.hosts[host].open -= 1;
        }
        if let Some(slot) = self.slot_mut(id) {
            slot.readiness = None;
        }
        if !open {
            return self.remove(id);
        }
        if reset {
            if let Some(other) = other {
                let at = self.now().saturating_add(self.links.get(host, remote).draw_latency(&self.rng));
                self.schedule(at, NetEvent::Reset { to: other, from: host });
            }
            return self.remove(id);
        }
        if !fin_out {
            self.push(id, Chunk::Fin);
        }
        let done = self.stream(id).is_some_and(|stream| stream.out.chunks.is_empty());
        if done {
            self.remove(id);
        }
    }

    pub(super) fn reset_arrives(&mut self, to: SocketId, from: HostId) {
        let (Some(host), Some(stream)) = (self.host_of(to), self.stream(to)) else { return };
        let kind = match stream.tcp_state {
            TcpState::Connecting => ErrorKind::ConnectionRefused,
            _ => ErrorKind::ConnectionReset,
        };
        match self.link_state(from, host) {
            LinkState::Up => self.fail(to, kind),
            // A reset that is lost is not sent again: the next segment causes another one.
            LinkState::Partitioned => {}
            LinkState::Held => self.links.keep(from, host, NetEvent::Reset { to, from }),
        }
    }

    /// Ends a stream on one side, with an error.
    pub(super) fn fail(&mut self, id: SocketId, kind: ErrorKind) {
        let Some(host) = self.host_of(id) else { return };
        let Some(stream) = self.stream_mut(id) else { return };
        if let TcpState::Failed = stream.tcp_state {
            return;
        }
        let (peer, closed) = (stream.peer, stream.closed);
        stream.tcp_state = TcpState::Failed;
        stream.error = Some(kind);
        stream.inbox.clear();
        stream.out = Pipe::default();
        self.note(host, || format!("the connection with {peer} ends: {kind}"));
        if closed {
            return self.remove(id);
        }
        self.set_ready(id, true, true, true, true);
    }

    fn reset_both(&mut self, id: SocketId) {
        let other = self.stream(id).and_then(|stream| stream.other);
        self.remove(id);
        if let Some(other) = other {
            self.fail(other, ErrorKind::ConnectionReset);
        }
    }
}
