//! How connections come about: dialling, accepting, the handshake, and doing it again when one breaks.

use super::converse::{self, Connection, End};
use super::core::{Admission, Core};
use super::events::DownReason;
use super::peer::Peer;
use crate::system::System;
use bytes::BytesMut;
use posse_core::event;
use posse_core::select;
use posse_core::time::{Instant, sleep, timeout};
use posse_net::io::AsyncWriteExt;
use posse_net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use posse_wire::{Agreeing, Connected, Goodbye, Greeting, HandshakeError, Introduced, NodeId, Role};
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
    /// This node has become another incarnation meanwhile: to be tried again.
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

/// Connects to where the program wants, and shakes hands. The connection is with the peer then.
pub(super) async fn dial(core: &Arc<Core>, addresses: &[SocketAddr]) -> Result<Arc<Peer>, ConnectError> {
    let dialling = async {
        let stream = connect_to(addresses).await?;
        shake_hands(core, stream, Role::Initiator, true).await
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
        let accepted = select! {
            biased;
            () = core.closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // What can be waited for the listener waits for itself; this may not pass, so it must not spin.
                event!(WARN, "posse::node", "a connection could not be accepted", reason = %error);
                core.closing.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                continue;
            }
        };
        let greeter = core.clone();
        let handshake = core.handle.spawn(async move {
            let limit = greeter.limits.handshake;
            let shaking = timeout(limit, shake_hands(&greeter, stream, Role::Acceptor, false)).await;
            if let Ok(Err(error)) = shaking {
                event!(DEBUG, "posse::node", "a connection did not come about", reason = %format_args!("{error:?}"));
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

/// `is_chosen`: the program wants to talk to whoever is there.
async fn shake_hands(
    core: &Arc<Core>,
    mut stream: TcpStream,
    role: Role,
    is_chosen: bool,
) -> Result<Arc<Peer>, ConnectError> {
    stream.set_nodelay(true)?;
    let mut input = BytesMut::with_capacity(GREETING_BYTES);
    let own = core.hello();
    let me = own.node();
    let (greeting, hello) = Greeting::new(role, own);
    stream.write_all(&hello).await?;

    let introduced = introduced(&greeting, &mut stream, &mut input).await?;
    let address = introduced.peer().address.clone();
    let peer = loop {
        match core.admit(introduced.peer(), role == Role::Acceptor) {
            Admission::Welcome(peer) => break peer,
            Admission::Wait(peer) => peer.until(|peer| !peer.is_accepting()).await,
            Admission::Refused(code, detail, text) => {
                refuse(introduced, &mut stream, &mut input, (code, detail, text)).await?;
                return Err(ConnectError::Refused(code, text));
            }
            Admission::Down(peer, weight) => {
                let last_words = (Goodbye::Quarantined, weight, "");
                let theirs = refuse(introduced, &mut stream, &mut input, last_words).await?;
                return Err(settle_quarantine(core, me, &peer, weight, theirs));
            }
        }
    };

    let mut attempt = Attempt(Some(peer.clone()), role);
    let connected = match agree(core, introduced, &mut stream, &mut input).await {
        Err(ConnectError::Handshake(HandshakeError::Rejected { code, detail, text })) => {
            say_refused("the other node", peer.name(), code, &text);
            let renewed = match code {
                Goodbye::Stale => core.is_stale(me.incarnation, detail),
                Goodbye::Quarantined => core.is_quarantined(me.incarnation, &peer, is_chosen),
                _ => false,
            };
            let rejected = HandshakeError::Rejected { code, detail, text };
            return Err(if renewed { ConnectError::Renewed } else { rejected.into() });
        }
        agreed => agreed?,
    };
    if !core.meet(&peer, &address, me.incarnation) {
        return Err(ConnectError::Renewed);
    }
    attempt.0 = None;
    peer.offer(Connection { stream, input, connected });
    peer.begin();
    core.joined.notify_waiters();
    Ok(peer)
}

/// Says why there will be no connection. Returns why the other side refuses it, if it does.
async fn refuse(
    introduced: Introduced,
    stream: &mut TcpStream,
    input: &mut BytesMut,
    (code, detail, text): (Goodbye, u64, &'static str),
) -> Result<Option<(Goodbye, u64)>, ConnectError> {
    say_refused("this node", &introduced.peer().name, code, text);
    let (mut agreeing, last_words) = introduced.refuse(code, detail, text);
    stream.write_all(&last_words).await?;
    stream.shutdown().await?;
    // Until it has closed it may not have read them, and not acted upon them.
    let hearing = async {
        let theirs = hear(&mut agreeing, stream, input).await;
        converse::hang_up(stream).await;
        theirs
    };
    Ok(timeout(converse::GOODBYE_TIME, hearing).await.ok().flatten())
}

/// Connections that meet each other are everyday; whoever is refused for another reason stays out.
fn say_refused(who: &str, name: &str, code: Goodbye, text: &str) {
    match code {
        Goodbye::Simultaneous | Goodbye::Already => event!(
            DEBUG, "posse::node", "a handshake was refused",
            node.name = %name, by = %who, reason = %code, detail = %text,
        ),
        _ => event!(
            WARN, "posse::node", "a handshake was refused",
            node.name = %name, by = %who, reason = %code, detail = %text,
        ),
    }
}

/// Why the other side refuses as well, if it does.
async fn hear(agreeing: &mut Agreeing, stream: &mut TcpStream, input: &mut BytesMut) -> Option<(Goodbye, u64)> {
    loop {
        match agreeing.read(input) {
            Ok(None) => more(stream, input).await.ok()?,
            Err(HandshakeError::Rejected { code, detail, .. }) => return Some((code, detail)),
            Ok(Some(_)) | Err(_) => return None,
        }
    }
}

/// This node has declared the other one down. If the other has done the same, the one of the two that is connected to fewer
/// nodes comes back as a new incarnation. What else the other has against this one is told.
fn settle_quarantine(
    core: &Core,
    me: NodeId,
    peer: &Peer,
    weight: u64,
    theirs: Option<(Goodbye, u64)>,
) -> ConnectError {
    let Some((code, detail)) = theirs else { return ConnectError::Refused(Goodbye::Quarantined, "") };
    let renewed = match code {
        Goodbye::Quarantined if (weight, me) < (detail, peer.id()) => core.is_quarantined(me.incarnation, peer, false),
        Goodbye::Quarantined => return ConnectError::Refused(code, ""),
        Goodbye::Stale => core.is_stale(me.incarnation, detail),
        _ => false,
    };
    if renewed { ConnectError::Renewed } else { HandshakeError::Rejected { code, detail, text: String::new() }.into() }
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
    System::of(&core.handle).audit.add_peer(&peer);
    let handle = core.handle.clone();
    let relation = Relation(peer);
    handle.spawn(async move {
        let reason = live(&core, &relation.0).await;
        relation.0.down(reason);
    });
}

/// However a relation ends, also by the end of the runtime: then the node is down, and everybody who waits is told.
struct Relation(Arc<Peer>);

impl Drop for Relation {
    fn drop(&mut self) {
        self.0.down(DownReason::Closed);
    }
}

async fn live(core: &Arc<Core>, peer: &Arc<Peer>) -> DownReason {
    let (mut patience, mut given_up) = (core.limits.grace, DownReason::Unreachable);
    loop {
        let connection = match reconnect(core, peer, patience).await {
            Ok(Some(connection)) => connection,
            Ok(None) => return given_up,
            Err(reason) => return reason,
        };
        let end = converse::run(core, peer, connection).await;
        peer.part();
        (patience, given_up) = match end {
            End::Down if core.closing.is_cancelled() => return DownReason::Closed,
            End::Down => return DownReason::Left,
            // Its kernel ended the connection, and nobody can ask at its address whether the process is gone as well. If it
            // lives it has seen the same, and is on its way.
            End::Closed if peer.address().is_empty() => {
                (core.limits.return_wait.min(core.limits.grace), DownReason::Died)
            }
            End::Closed | End::Broken => (core.limits.grace, DownReason::Unreachable),
        };
    }
}

/// Dials, or is dialled, until there is a connection. `None` if it takes longer than `patience`, an error if the node is
/// down.
async fn reconnect(core: &Arc<Core>, peer: &Arc<Peer>, patience: Duration) -> Result<Option<Connection>, DownReason> {
    let give_up = Instant::now() + patience;
    let mut attempts = 0u32;
    loop {
        if let Some(connection) = peer.take_offer() {
            return Ok(Some(connection));
        }
        if peer.is_down() || core.closing.is_cancelled() {
            return Err(DownReason::Closed);
        }
        if Instant::now() >= give_up {
            if !peer.is_accepting() {
                return Ok(None);
            }
            // It is at the door; the handshake has a time of its own.
            core.closing.run_until_cancelled(peer.until(|peer| !peer.is_accepting())).await;
            continue;
        }
        if let Some(failed) = attempts.checked_sub(1) {
            let pause = core.redial_backoff().wait(failed, core.handle.random_u64());
            let left = give_up.saturating_duration_since(Instant::now());
            let rest = timeout(pause.min(left), peer.until_offered());
            core.closing.run_until_cancelled(rest).await;
        }
        attempts = attempts.saturating_add(1);

        if peer.address().is_empty() {
            continue;
        }
        // Whoever dials us meanwhile is not kept waiting.
        select! {
            biased;
            () = core.closing.cancelled() => return Err(DownReason::Closed),
            () = peer.until_offered() => {}
            reached = reach(core, peer) => match redial(core, peer, reached).await {
                Redial::Offered => {}
                Redial::Failed => peer.stop_dialling(),
                Redial::Gone(reason) => return Err(reason),
            },
        }
    }
}

enum Redial {
    Offered,
    Failed,
    /// Nobody is there, or another node. Of one that was never met this says nothing: it may be elsewhere.
    Gone(DownReason),
}

/// Connects to where the other node listens. The relation is not reserved for it yet: as long as nobody answers, the other
/// node may reach us.
async fn reach(core: &Core, peer: &Peer) -> Result<TcpStream, ConnectError> {
    let connecting = async {
        let addresses = loopback(peer.address().as_str()).await?;
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
        let shaking = shake_hands(core, stream, Role::Initiator, false);
        timeout(core.limits.handshake, shaking).await.unwrap_or(Err(ConnectError::Timeout)).map(Some)
    };
    let shaken = select! {
        biased;
        () = core.closing.cancelled() => return Redial::Gone(DownReason::Closed),
        shaken = shaking => shaken,
    };
    match shaken {
        Ok(None) => Redial::Offered,
        Ok(Some(reached)) if reached.id() == peer.id() => Redial::Offered,
        Ok(_) => Redial::Gone(DownReason::Gone),
        Err(ConnectError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Redial::Gone(DownReason::Gone)
        }
        Err(ConnectError::Open(_)) => Redial::Gone(DownReason::Gone),
        Err(ConnectError::Handshake(HandshakeError::Rejected { code, .. })) => match code {
            Goodbye::Simultaneous | Goodbye::Already | Goodbye::Overloaded => Redial::Failed,
            code => Redial::Gone(DownReason::Refused(code)),
        },
        Err(ConnectError::Refused(code, _)) => match code {
            Goodbye::Simultaneous | Goodbye::Already | Goodbye::Overloaded => Redial::Failed,
            _ => Redial::Gone(DownReason::Gone),
        },
        Err(_) => Redial::Failed,
    }
}
