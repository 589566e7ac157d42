//! How connections come about: dialling, accepting, the handshake, and doing it again when one breaks.

use super::converse::{self, Connection, End};
use super::core::{Admission, Core};
use super::peer::Peer;
use super::{First, race};
use bytes::BytesMut;
use posse_core::time::{Instant, sleep, timeout};
use posse_net::io::AsyncWriteExt;
use posse_net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use posse_wire::{Connected, Goodbye, Greeting, HandshakeError, Introduced, Role};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that may arrive before a node has introduced itself.
const GREETING_BYTES: usize = 4096;

/// The pause after a connection could not be accepted. Guessed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// It could not be reached.
    Io(io::Error),
    /// It could be reached from other machines.
    Open(SocketAddr),
    /// It is not one to talk to.
    Handshake(HandshakeError),
    /// Some node knew a later incarnation of this one, which has taken the next: to be tried again.
    Renewed,
    /// We refused it.
    Refused(Goodbye, &'static str),
    /// It took too long.
    Timeout,
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<HandshakeError> for ConnectError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

/// The addresses of a name, all of them on this machine: without credentials nobody else may command the actors.
pub(super) async fn loopback(address: impl ToSocketAddrs) -> Result<Vec<SocketAddr>, ConnectError> {
    let addresses = lookup_host(address).await?;
    match addresses.iter().find(|address| !address.ip().is_loopback()) {
        Some(open) => Err(ConnectError::Open(*open)),
        None => Ok(addresses),
    }
}

/// Connects and shakes hands. The connection is with the peer then.
pub(super) async fn dial(core: &Arc<Core>, addresses: &[SocketAddr]) -> Result<Arc<Peer>, ConnectError> {
    let dialling = async {
        let stream = connect_to(addresses).await?;
        shake_hands(core, stream, Role::Initiator).await
    };
    timeout(core.limits.handshake, dialling).await.unwrap_or(Err(ConnectError::Timeout))
}

async fn connect_to(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in addresses {
        match TcpStream::connect(*address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The listener of a node. The node knows when it is closed, however that comes about: then its address is free.
pub(super) struct Listening {
    core: Arc<Core>,
    listener: Option<TcpListener>,
}

impl Listening {
    pub(super) fn new(core: Arc<Core>, listener: TcpListener) -> Self {
        Self { core, listener: Some(listener) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.listener = None;
        self.core.deaf.cancel();
    }
}

/// Accepts connections until the node closes.
pub(super) async fn accept(listening: Listening) {
    let core = &listening.core;
    let Some(listener) = &listening.listener else { return };
    loop {
        let stream = match race(core.closing.cancelled(), listener.accept()).await {
            First::Left(()) => return,
            First::Right(Ok((stream, _))) => stream,
            First::Right(Err(error)) => {
                // What can be waited for the listener waits for itself; this may not pass, so it must not spin.
                tracing::warn!(%error, "a connection could not be accepted");
                race(core.closing.cancelled(), sleep(ACCEPT_PAUSE)).await;
                continue;
            }
        };
        let greeter = core.clone();
        let handshake = core.handle.spawn(async move {
            let limit = greeter.limits.handshake;
            let shaking = timeout(limit, shake_hands(&greeter, stream, Role::Acceptor)).await;
            if let Ok(Err(error)) = shaking {
                tracing::debug!(?error, "a connection was refused");
            }
        });
        core.half_open(handshake.abort_handle());
    }
}

/// Frees the peer for another attempt unless the handshake succeeds.
struct Attempt(Option<Arc<Peer>>, Role);

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(peer) = self.0.take() {
            peer.abandon(self.1 == Role::Acceptor);
        }
    }
}

async fn shake_hands(core: &Arc<Core>, mut stream: TcpStream, role: Role) -> Result<Arc<Peer>, ConnectError> {
    stream.set_nodelay(true)?;
    let mut input = BytesMut::with_capacity(GREETING_BYTES);
    let own = core.hello();
    let incarnation = own.incarnation;
    let (greeting, hello) = Greeting::new(role, own);
    stream.write_all(&hello).await?;

    let introduced = introduced(&greeting, &mut stream, &mut input).await?;
    let peer = loop {
        match core.admit(introduced.peer(), role == Role::Acceptor) {
            Admission::Welcome(peer) => break peer,
            Admission::Wait(peer) => peer.until(|peer| !peer.is_accepting()).await,
            Admission::Refused(code, detail, text) => {
                let last_words = introduced.refuse(code, detail, text);
                stream.write_all(&last_words).await?;
                // Until it has closed it may not have read them, and not acted upon them.
                stream.shutdown().await?;
                let _ = timeout(converse::GOODBYE_TIME, converse::hang_up(&stream)).await;
                return Err(ConnectError::Refused(code, text));
            }
        }
    };

    let mut attempt = Attempt(Some(peer.clone()), role);
    let connected = match agree(core, introduced, &mut stream, &mut input).await {
        Err(ConnectError::Handshake(HandshakeError::Rejected { code: Goodbye::Stale, detail, .. }))
            if core.renew(detail) =>
        {
            tracing::info!(seen = detail, "this node's clock went back: it takes a later incarnation");
            return Err(ConnectError::Renewed);
        }
        agreed => agreed?,
    };
    if !core.bind(incarnation) {
        return Err(ConnectError::Renewed);
    }
    attempt.0 = None;
    peer.offer(Connection { stream, input, connected });
    core.joined.notify_waiters();
    Ok(peer)
}

async fn introduced(
    greeting: &Greeting,
    stream: &mut TcpStream,
    input: &mut BytesMut,
) -> Result<Introduced, ConnectError> {
    loop {
        match greeting.read(input) {
            Ok(Some(introduced)) => return Ok(introduced),
            Ok(None) => more(stream, input).await?,
            Err(error) => {
                if let Some(last_words) = greeting.refusal(&error) {
                    stream.write_all(&last_words).await?;
                }
                return Err(error.into());
            }
        }
    }
}

async fn agree(
    core: &Core,
    introduced: Introduced,
    stream: &mut TcpStream,
    input: &mut BytesMut,
) -> Result<Connected, ConnectError> {
    let (mut agreeing, ready) = introduced.admit(&core.types());
    stream.write_all(&ready).await?;
    loop {
        if let Some(connected) = agreeing.read(input)? {
            return Ok(connected);
        }
        more(stream, input).await?;
    }
}

async fn more(stream: &mut TcpStream, input: &mut BytesMut) -> Result<(), ConnectError> {
    input.reserve(GREETING_BYTES);
    match stream.read_buf(input).await? {
        0 => Err(ConnectError::Io(io::ErrorKind::UnexpectedEof.into())),
        _ => Ok(()),
    }
}

/// Starts the life of a relation: connection after connection, until the node is down.
pub(super) fn begin(core: Arc<Core>, peer: Arc<Peer>) {
    #[cfg(feature = "sim")]
    crate::system::System::of(&core.handle).ledger.add_peer(&peer);
    let handle = core.handle.clone();
    let relation = Relation(peer);
    handle.spawn(async move {
        live(&core, &relation.0).await;
    });
}

/// However a relation ends, also by the end of the runtime: then the node is down, and everybody who waits is told.
struct Relation(Arc<Peer>);

impl Drop for Relation {
    fn drop(&mut self) {
        self.0.down();
    }
}

async fn live(core: &Arc<Core>, peer: &Arc<Peer>) {
    wait_for_need(core, peer).await;
    let mut patience = core.limits.grace;
    while let Some(connection) = reconnect(core, peer, patience).await {
        let end = converse::run(core, peer, connection).await;
        peer.part();
        patience = match end {
            End::Down => return,
            // Its kernel ended the connection, and nobody can ask at its address whether the process is gone as well. If it
            // lives it has seen the same, and is on its way.
            End::Closed if peer.address().is_empty() => core.limits.return_wait.min(core.limits.grace),
            End::Closed | End::Broken => core.limits.grace,
        };
    }
}

/// A relation that begins with a mention waits until something is to be sent.
async fn wait_for_need(core: &Core, peer: &Peer) {
    loop {
        let needed = peer.on_session(|session| session.counters().unsettled > 0 || session.waits());
        if needed || peer.has_offer() || peer.is_down() || core.closing.is_cancelled() {
            return;
        }
        race(core.closing.cancelled(), race(peer.until_offered(), peer.wanted.notified())).await;
    }
}

/// Dials, or is dialled, until there is a connection. `None` if the node is down.
async fn reconnect(core: &Arc<Core>, peer: &Arc<Peer>, patience: Duration) -> Option<Connection> {
    let give_up = Instant::now() + patience;
    let mut pause = Duration::ZERO;
    loop {
        if let Some(connection) = peer.take_offer() {
            return Some(connection);
        }
        if peer.is_down() || core.closing.is_cancelled() || Instant::now() >= give_up {
            return None;
        }
        if !pause.is_zero() {
            // Half of a pause is left to chance, so that many nodes do not dial at once.
            let jittered = pause / 2 + pause.mul_f64((core.handle.random_u64() % 1024) as f64 / 2048.0);
            let left = give_up.saturating_duration_since(Instant::now());
            let rest = race(peer.until_offered(), sleep(jittered.min(left)));
            race(core.closing.cancelled(), rest).await;
        }
        pause = (pause * 2).clamp(core.limits.redial_min, core.limits.redial_max);

        if peer.address().is_empty() {
            continue;
        }
        // Whoever dials us meanwhile is not kept waiting.
        match race(core.closing.cancelled(), race(peer.until_offered(), reach(core, peer))).await {
            First::Left(()) => return None,
            First::Right(First::Left(())) => {}
            First::Right(First::Right(reached)) => match redial(core, peer, reached).await {
                Redial::Offered => {}
                Redial::Failed => peer.abandon(false),
                Redial::Gone => return None,
            },
        }
    }
}

enum Redial {
    Offered,
    Failed,
    /// Nobody is there, or another incarnation.
    Gone,
}

/// Connects to where the other node listens. The relation is not reserved for it yet: as long as nobody answers, the other
/// node may reach us.
async fn reach(core: &Core, peer: &Peer) -> Result<TcpStream, ConnectError> {
    let connecting = async {
        let addresses = loopback(peer.address()).await?;
        Ok(connect_to(&addresses).await?)
    };
    timeout(core.limits.redial_wait, connecting).await.unwrap_or(Err(ConnectError::Timeout))
}

async fn redial(core: &Arc<Core>, peer: &Arc<Peer>, reached: Result<TcpStream, ConnectError>) -> Redial {
    let shaking = async {
        let stream = reached?;
        if !peer.begin_dialling() {
            // The other node was quicker.
            return Ok(None);
        }
        let shaking = shake_hands(core, stream, Role::Initiator);
        timeout(core.limits.handshake, shaking).await.unwrap_or(Err(ConnectError::Timeout)).map(Some)
    };
    let shaken = match race(core.closing.cancelled(), shaking).await {
        First::Left(()) => return Redial::Gone,
        First::Right(Ok(None)) => return Redial::Offered,
        First::Right(Ok(Some(reached))) => Ok(reached),
        First::Right(Err(error)) => Err(error),
    };
    match shaken {
        Ok(reached) if reached.id() == peer.id() => Redial::Offered,
        Ok(_) => Redial::Gone,
        Err(ConnectError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Redial::Gone,
        Err(ConnectError::Open(_)) => Redial::Gone,
        Err(ConnectError::Handshake(HandshakeError::Rejected { code, .. }) | ConnectError::Refused(code, _)) => {
            match code {
                Goodbye::Simultaneous | Goodbye::Already | Goodbye::Overloaded => Redial::Failed,
                _ => Redial::Gone,
            }
        }
        Err(_) => Redial::Failed,
    }
}
