//! A node: one process, or one runtime, among those whose actors talk to each other.

use super::connect::DialError;
use super::connect::accept::{ListenerGuard, accept};
use super::connect::dial::{ResolveError, dial, resolve_loopback};
use super::connect::peer_task::spawn_peer_task;
use super::error::{ConnectError, ListenError, WhereisError};
use super::events::{NodeEvent, NodeEvents};
use super::remote::RemoteActor;
use super::session::peer::{Peer, Requester, Status};
use super::state::{Joined, NodeState};
use crate::error::RegisterError;
use crate::protocol::{Protocol, protocol_id};
use crate::refs::actor_ref::{ActorRef, RawRef, Repr};
use posse_core::runtime::Handle;
use posse_core::select;
use posse_core::sync::{CancellationToken, oneshot};
use posse_core::time::{sleep, timeout};
use posse_net::{TcpListener, ToSocketAddrs, lookup_host};
use posse_wire::{
    CloseReason, ConfigError, CorrelationId, Counters, HandshakeError, Hello, INCARNATION_MAX, NAME_BYTES_MAX,
    NodeConfig, NodeId, Resolution, SendError,
};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a name is looked for. Specified; the default deadline of an ask.
const WHEREIS_TIME: Duration = Duration::from_secs(5);

/// How long joining a node may take in all. Guessed.
const JOIN_TIME: Duration = Duration::from_secs(10);

/// How long a node that shuts down waits for its last words to be written. Specified, with room for what wakes late.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// A node of a cluster: what lets actors of this runtime be found by, and find, those of others.
///
/// Cloning is cheap. When the last clone is dropped the node leaves; its actors live on.
///
/// Nodes know each other by a name and an *incarnation*: a process that starts again under the same name is another node.
/// Today a node listens on, and connects to, loopback addresses only: there are no credentials yet that would keep
/// strangers out.
///
/// # Under a supervisor
/// A node is no actor. In a program that is a [`Supervisor`](crate::Supervisor) an actor opens it, and closes it when its turn to end comes:
/// ```no_run
/// # use posse::prelude::*;
/// # #[posse::protocol]
/// # pub trait Counting {
/// #     async fn add(n: u64) -> u64;
/// # }
/// # struct Tally(u64);
/// # impl Actor for Tally {}
/// # impl Handler<Add> for Tally {
/// #     async fn handle(&mut self, Add { n }: Add, _: &mut Context<Self>) -> u64 {
/// #         self.0 += n;
/// #         self.0
/// #     }
/// # }
/// struct Gate(Option<Node>);
/// impl Actor for Gate {
///     async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
///         let tally = ctx.system().whereis::<Tally>("tally").ok_or("there is no tally")?;
///         let node = Node::listen("127.0.0.1:7000").await?;
///         node.register("tally", tally.share::<Counting>()).await?;
///         self.0 = Some(node);
///         Ok(())
///     }
///     async fn stopped(&mut self, _: &ExitReason, _: &mut Context<Self>) {
///         if let Some(node) = self.0.take() {
///             node.shutdown().await;
///         }
///     }
/// }
/// Supervisor::rest_for_one().child(Spec::new(|| Tally(0)).name("tally")).child(|| Gate(None)).main()?;
/// # posse::Result::Ok(())
/// ```
/// A client's actor looks the name up in its `started`, not in its recipe: after a node was down its old reference answers `NodeDown`
/// for good, and a restart finds the new one.
///
/// # Examples
/// ```
/// use posse::prelude::*;
///
/// #[posse::protocol]
/// pub trait Counting {
///     async fn add(n: u64) -> u64;
/// }
///
/// #[derive(Default)]
/// struct Tally(u64);
/// impl Actor for Tally {}
/// impl Handler<Add> for Tally {
///     async fn handle(&mut self, Add { n }: Add, _: &mut Context<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// posse::run(async {
///     let server = Node::listen("127.0.0.1:0").await?;
///     server.register("tally", posse::spawn(Tally::default).share::<Counting>()).await?;
///
///     // Most of the time this is another process.
///     let client = Node::connect(server.local_addr().unwrap()).await?;
///     let tally: ActorRef<Counting> = client.whereis("tally").await?;
///     assert!(!tally.is_local());
///     assert_eq!(tally.add(5).await?, 5);
///     Ok(())
/// })?;
/// # posse::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    state: Arc<NodeState>,
    local_addr: Option<SocketAddr>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.state.close();
    }
}

/// Another node, as this one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Which incarnation it is.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where it listens; empty if nowhere.
    pub address: String,
    /// Whether it is there.
    pub state: PeerState,
    /// What became of the messages to it.
    pub counters: Counters,
}

/// Whether another node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// There is a connection.
    Connected,
    /// There is none; messages wait.
    Disconnected,
    /// It is gone for good.
    Down,
}

/// Settings of a node. Made by [`Node::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `listen` or `connect`"]
pub struct NodeBuilder {
    name: Option<String>,
    cluster: String,
    config: NodeConfig,
}

impl NodeBuilder {
    /// Names the node, 1 to 255 bytes. Default: a random name. Two living nodes of one cluster must not share a name.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Names the cluster, at most 64 bytes. Nodes of other clusters are refused. Default: `default`.
    pub fn cluster(mut self, cluster: &str) -> Self {
        self.cluster = cluster.to_owned();
        self
    }

    /// Sets bounds and times.
    pub fn config(mut self, config: NodeConfig) -> Self {
        self.config = config;
        self
    }

    /// Starts the node, and listens.
    ///
    /// # Errors
    /// [`ListenError`]: a setting that makes no sense, an address that can be reached from other machines or is taken.
    ///
    /// # Cancel safety
    /// Dropping the future starts no node, and frees the address.
    pub async fn listen(self, address: impl ToSocketAddrs) -> Result<Node, ListenError> {
        let handle = Handle::try_current().map_err(|_| ListenError::NoRuntime)?;
        let addresses = resolve_loopback(address).await.map_err(|error| match error {
            ResolveError::Io(cause) => ListenError::Resolve(cause),
            ResolveError::NotLoopback(address) => ListenError::NotLoopback(address),
        })?;
        let bound = match TcpListener::bind(&addresses[..]).await {
            Ok(listener) => listener.local_addr().map(|local_addr| (listener, local_addr)),
            Err(cause) => Err(cause),
        };
        let (listener, local_addr) = bound.map_err(|cause| ListenError::Bind { at: addresses, cause })?;
        let state = self.build(handle, &local_addr.to_string()).map_err(ListenError::Config)?;
        state.handle.spawn(accept(ListenerGuard::new(state.clone(), listener)));
        Ok(Node(Arc::new(Inner { state, local_addr: Some(local_addr) })))
    }

    /// Starts a node that does not listen, and joins another one.
    ///
    /// # Errors
    /// As [`Node::join`], and a setting that makes no sense.
    ///
    /// # Cancel safety
    /// Dropping the future ends the node that was to join.
    pub async fn connect(self, address: impl ToSocketAddrs) -> Result<Node, ConnectError> {
        let handle = Handle::try_current().map_err(|_| ConnectError::NoRuntime)?;
        let state = self.build(handle, "").map_err(ConnectError::Config)?;
        state.listener_closed.cancel();
        let node = Node(Arc::new(Inner { state, local_addr: None }));
        node.join(address).await?;
        Ok(node)
    }

    fn build(self, handle: Handle, address: &str) -> Result<Arc<NodeState>, ConfigError> {
        self.config.check()?;
        let name = self.name.unwrap_or_else(|| format!("node-{:016x}", handle.random_u64()));
        let clock = u64::try_from(handle.unix_time().as_micros()).unwrap_or(INCARNATION_MAX);
        let incarnation = clock.min(INCARNATION_MAX);
        let hello = Hello::new(&self.cluster, &name, incarnation, address, &self.config)?;
        Ok(NodeState::new(handle, hello, self.config, spawn_peer_task))
    }
}

impl Node {
    /// Returns the settings of a node to be.
    pub fn builder() -> NodeBuilder {
        NodeBuilder { name: None, cluster: "default".to_owned(), config: NodeConfig::default() }
    }

    /// Starts a node that listens; see [`NodeBuilder::listen`].
    ///
    /// # Errors
    /// [`ListenError`].
    ///
    /// # Cancel safety
    /// As [`NodeBuilder::listen`].
    pub async fn listen(address: impl ToSocketAddrs) -> Result<Self, ListenError> {
        Self::builder().listen(address).await
    }

    /// Starts a node that joins another one; see [`NodeBuilder::connect`].
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// As [`NodeBuilder::connect`].
    pub async fn connect(address: impl ToSocketAddrs) -> Result<Self, ConnectError> {
        Self::builder().connect(address).await
    }

    /// Connects to another node. When this returns, names of that node can be found.
    ///
    /// The address is kept until [`leave`](Self::leave): if the node goes down and another starts there, this one joins it by itself.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// A connection that has come about stays.
    pub async fn join(&self, address: impl ToSocketAddrs) -> Result<NodeId, ConnectError> {
        let node = &self.0.state;
        let addresses = resolve_loopback(address).await.map_err(|error| match error {
            ResolveError::Io(cause) => ConnectError::Resolve(cause),
            ResolveError::NotLoopback(address) => ConnectError::NotLoopback(address),
        })?;
        if !node.may_join(&addresses) {
            return Err(ConnectError::TooManyJoined(node.config.peers_max));
        }
        let joining = async {
            let mut was_stale = false;
            loop {
                match dial(node, &addresses).await {
                    Err(DialError::Renewed) => {}
                    // The other node was told, and takes a later incarnation unless others know it.
                    Err(DialError::Refused(CloseReason::Stale, _)) if !was_stale => was_stale = true,
                    Err(error) if is_collision(&error) => {
                        let connected = wait_peers(node, || connected_at(node, &addresses));
                        if let Ok(peer) = timeout(node.config.reconnect_min, connected).await {
                            return Ok(peer);
                        }
                    }
                    result => return result.map_err(|error| connect_error(error, &addresses)),
                }
            }
        };
        let joined = timeout(JOIN_TIME, joining).await;
        let peer = joined.unwrap_or(Err(ConnectError::Timeout { at: addresses.clone() }))?;
        let id = peer.id();
        if let Some(left) = node.begin_joined(&addresses) {
            node.handle.spawn(rejoin_loop(node.clone(), addresses, peer, left));
        }
        Ok(id)
    }

    /// Forgets an address that was joined: it is not dialled by itself any more once the node there is down, and names are not looked
    /// for there. What is connected stays so as long as it lasts. False if the address was not joined.
    ///
    /// # Errors
    /// If the address is none, or its name cannot be resolved.
    ///
    /// # Cancel safety
    /// Once the address is resolved it is done.
    ///
    /// # Examples
    /// ```
    /// use posse::prelude::*;
    ///
    /// # #[posse::main(crate = posse)]
    /// # async fn main() -> posse::Result {
    /// let (server, client) = (Node::listen("127.0.0.1:0").await?, Node::listen("127.0.0.1:0").await?);
    /// let address = server.local_addr().unwrap();
    /// client.join(address).await?;
    /// assert!(client.leave(address).await?);
    /// assert!(!client.leave(address).await?, "it was left already");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn leave(&self, address: impl ToSocketAddrs) -> io::Result<bool> {
        let addresses = lookup_host(address).await?;
        Ok(self.0.state.leave(&addresses))
    }

    /// Gives an actor of this process a name that other nodes find it by. The name ends with the actor.
    ///
    /// # Errors
    /// [`RegisterError`]: another living actor has the name, this one has ended or is one of another node, or the name is
    /// empty or longer than 255 bytes.
    ///
    /// # Cancel safety
    /// It does not wait: once polled it is done.
    pub async fn register<P: Protocol>(&self, name: &str, actor: ActorRef<P>) -> Result<(), RegisterError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(RegisterError::InvalidName);
        }
        match actor.repr() {
            Repr::Local(endpoint) => self.0.state.register(name, endpoint),
            Repr::Stale(_) => Err(RegisterError::Stopped),
            Repr::Remote(_) | Repr::Gone(_) => Err(RegisterError::NotLocal),
        }
    }

    /// Takes a name back. False if no actor had it.
    pub fn unregister(&self, name: &str) -> bool {
        self.0.state.exports.unregister(name)
    }

    /// Looks for a registered name, at this node first, then at all nodes it has met and that are not down, for up to 5 seconds.
    /// If several have it, the first answer counts. If all answer that they have not, it is not waited for: what may be registered
    /// later is to be looked for again.
    ///
    /// # Errors
    /// [`WhereisError`].
    ///
    /// # Cancel safety
    /// Dropping the future gives the answer up.
    pub async fn whereis<P: Protocol>(&self, name: &str) -> Result<ActorRef<P>, WhereisError> {
        let protocol = protocol_id::<P>();
        let node = &self.0.state;
        let is_other = match node.whereis(name, protocol) {
            Ok((endpoint, _)) => return Ok(ActorRef::from_raw(RawRef(Repr::Local(endpoint)))),
            Err(answer) => answer == Resolution::WrongProtocol,
        };
        // All nodes are asked at once; one that cannot be asked may have been the one that knows.
        let mut search = Search { name, failure: WhereisError::NotFound { name: name.into() }, lookups: Vec::new() };
        for peer in node.peers() {
            match Lookup::start(&peer, protocol, name) {
                Ok(lookup) => search.lookups.push(lookup),
                Err(SendError::Full) => {
                    search.failure = WhereisError::Overloaded { name: name.into(), node: peer.name().into() };
                }
                Err(_) => {}
            }
        }
        if is_other {
            search.failure = WhereisError::WrongProtocol { name: name.into(), node: self.name().into() };
        }
        // The first who has it ends the search, and takes the other lookups back.
        let found = match timeout(WHEREIS_TIME, poll_fn(|cx| search.poll(cx))).await {
            Ok(found) => found.map_err(|error| why_not_found(node, error))?,
            Err(_) => return Err(search.timeout()),
        };
        Ok(ActorRef::from_raw(RawRef(Repr::Remote(Arc::new(found)))))
    }

    /// Returns the id of this incarnation of the node.
    ///
    /// It changes when this node comes back as a new incarnation, because it was apart from another node for so long that
    /// it was declared down ([`NodeEvent::Renewed`](crate::cluster::NodeEvent)); and before the first connection, if another node has
    /// seen a later one because the clock went back.
    pub fn id(&self) -> NodeId {
        self.0.state.id()
    }

    /// Returns the name of the node.
    pub fn name(&self) -> &str {
        self.0.state.name()
    }

    /// Returns where the node listens.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local_addr
    }

    /// Returns the other nodes this one knows of, those that are down and the last 1,024 previous incarnations included.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.0.state.all_peers().iter().map(|peer| peer_info(peer)).collect()
    }

    /// Returns what happens between this node and others from now on: connections that come about and break, nodes that are
    /// down, a new incarnation of this one. As Erlang's `monitor_nodes`; any number of tasks may read.
    ///
    /// # Examples
    /// ```
    /// use posse::cluster::{DownReason, NodeEvent};
    /// use posse::prelude::*;
    ///
    /// posse::run(async {
    ///     let server = Node::listen("127.0.0.1:0").await?;
    ///     let mut events = server.events();
    ///     let client = Node::builder().name("client").connect(server.local_addr().unwrap()).await?;
    ///     assert!(matches!(events.next().await, Some(NodeEvent::Connected { name, .. }) if &*name == "client"));
    ///     client.shutdown().await;
    ///     let Some(NodeEvent::Disconnected { lost, reason, .. }) = events.next().await else { panic!("it has left") };
    ///     assert_eq!((lost, reason.to_string().as_str()), (0, "the other node ended it: the node shuts down"));
    ///     let Some(NodeEvent::Down { reason, .. }) = events.next().await else { panic!("it has left") };
    ///     assert_eq!(reason, DownReason::Left);
    ///     Ok(())
    /// })?;
    /// # posse::Result::Ok(())
    /// ```
    pub fn events(&self) -> NodeEvents {
        NodeEvents::new(self.0.state.clone())
    }

    /// Waits until `condition` holds for the other nodes, as [`peers`](Self::peers) returns them. It is asked now, and
    /// again whenever a node was met, a connection has come about or is gone, or a node is down.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    /// ```
    /// use posse::cluster::PeerState;
    /// use posse::prelude::*;
    ///
    /// posse::run(async {
    ///     let server = Node::listen("127.0.0.1:0").await?;
    ///     let client = Node::builder().name("client").connect(server.local_addr().unwrap()).await?;
    ///     let client_is = |state| move |peers: &[posse::cluster::PeerInfo]| {
    ///         peers.iter().any(|peer| peer.name == "client" && peer.state == state)
    ///     };
    ///     server.wait_for(client_is(PeerState::Connected)).await;
    ///     client.shutdown().await;
    ///     server.wait_for(client_is(PeerState::Down)).await;
    ///     Ok(())
    /// })?;
    /// # posse::Result::Ok(())
    /// ```
    pub async fn wait_for(&self, mut condition: impl FnMut(&[PeerInfo]) -> bool) {
        wait_peers(&self.0.state, || condition(&self.peers()).then_some(())).await;
    }

    /// Waits until another node is down, as Erlang's `monitor_node` does: it said goodbye, it refuses connections,
    /// another incarnation has taken its place, or it stayed away for [`NodeConfig::down_after`]. Completes at once for a node
    /// that this one does not know.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    /// ```
    /// use posse::prelude::*;
    ///
    /// posse::run(async {
    ///     let server = Node::listen("127.0.0.1:0").await?;
    ///     let client = Node::builder().connect(server.local_addr().unwrap()).await?;
    ///     let server_is_down = client.node_down(server.id());
    ///     server.shutdown().await;
    ///     server_is_down.await;
    ///     Ok(())
    /// })?;
    /// # posse::Result::Ok(())
    /// ```
    pub async fn node_down(&self, node: NodeId) {
        let relation = self.0.state.all_peers().into_iter().rfind(|peer| peer.id() == node);
        if let Some(peer) = relation {
            peer.wait_for(Status::is_down).await;
        }
    }

    /// Leaves: stops listening, writes what waits to be written, says goodbye, closes all connections. Takes at most 3
    /// seconds. The address it listened on is free when this returns.
    ///
    /// # Cancel safety
    /// Once polled the node leaves, also if the future is dropped; call it again to wait.
    pub async fn shutdown(&self) {
        let node = &self.0.state;
        node.close();
        let gone = async {
            node.listener_closed.cancelled().await;
            for peer in node.peers() {
                peer.wait_for(Status::is_down).await;
            }
        };
        // A node that does not take the last words does without them.
        let _ = timeout(SHUTDOWN_TIMEOUT, gone).await;
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}, {})", self.name(), self.id())
    }
}

fn peer_info(peer: &Peer) -> PeerInfo {
    let state = match () {
        () if peer.is_down() => PeerState::Down,
        () if peer.is_connected() => PeerState::Connected,
        () => PeerState::Disconnected,
    };
    PeerInfo {
        id: peer.id(),
        name: peer.name().to_owned(),
        address: peer.address().to_owned(),
        state,
        counters: peer.counters(),
    }
}

fn connect_error(error: DialError, at: &[SocketAddr]) -> ConnectError {
    let at = at.to_vec();
    match error {
        DialError::Io(cause) => ConnectError::Unreachable { at, cause },
        DialError::NotLoopback(address) => ConnectError::NotLoopback(address),
        DialError::Handshake(HandshakeError::Rejected { code, text, .. }) => {
            ConnectError::Refused { at, code, detail: text.into() }
        }
        DialError::Handshake(cause) => ConnectError::Handshake { at, cause: cause.into() },
        DialError::Refused(code, text) => ConnectError::Refused { at, code, detail: text.into() },
        // A node that becomes another incarnation tries again, for as long as there is time.
        DialError::Renewed | DialError::Timeout => ConnectError::Timeout { at },
    }
}

/// Another connection between the two nodes was quicker.
fn is_collision(error: &DialError) -> bool {
    matches!(
        error,
        DialError::Refused(CloseReason::AlreadyConnected | CloseReason::Simultaneous, "")
            | DialError::Handshake(HandshakeError::Rejected {
                code: CloseReason::AlreadyConnected | CloseReason::Simultaneous,
                ..
            })
    )
}

/// The node that listens there, if there is a connection.
fn connected_at(node: &NodeState, addresses: &[SocketAddr]) -> Option<Arc<Peer>> {
    node.peers().into_iter().find(|peer| peer.is_connected() && listens_at(peer, addresses))
}

/// Waits until `find` finds something; it looks whenever the relations to other nodes have changed.
async fn wait_peers<R>(node: &NodeState, mut find: impl FnMut() -> Option<R>) -> R {
    loop {
        let changed = node.peers_changed.notified();
        if let Some(found) = find() {
            return found;
        }
        changed.await;
    }
}

/// Joins the incarnation that comes after a node that went down.
async fn rejoin_loop(node: Arc<NodeState>, addresses: Vec<SocketAddr>, mut peer: Arc<Peer>, left: CancellationToken) {
    loop {
        // An address that was left is another one's business, should it be joined again.
        if left.run_until_cancelled(peer.wait_for(Status::is_down)).await.is_none() {
            return;
        }
        node.note_joined(&addresses, &left, Joined::Away);
        let mut attempt = 0u32;
        peer = loop {
            if left.is_cancelled() {
                return;
            }
            // It may have been quicker and joined us; it would refuse a second connection again and again.
            if let Some(next) = connected_at(&node, &addresses) {
                break next;
            }
            let dialled = select! {
                biased;
                () = left.cancelled() => return,
                dialled = dial(&node, &addresses) => dialled,
            };
            match dialled {
                Ok(next) => break next,
                Err(DialError::Renewed) => attempt = 0,
                Err(error) => note_rejection(&node, &addresses, &left, &error),
            }
            let pause = node.reconnect_backoff().wait(attempt, node.handle.random_u64());
            left.run_until_cancelled(sleep(pause)).await;
            attempt = attempt.saturating_add(1);
        };
        node.note_joined(&addresses, &left, Joined::There);
    }
}

/// A node that is refused stays out until something changes. It is said once, not with every attempt.
fn note_rejection(node: &NodeState, addresses: &[SocketAddr], left: &CancellationToken, error: &DialError) {
    let (DialError::Handshake(HandshakeError::Rejected { code, .. }) | DialError::Refused(code, _)) = error else {
        return;
    };
    if is_collision(error) {
        return;
    }
    let code = *code;
    if node.note_joined(addresses, left, Joined::Refused(code)) != Some(Joined::Refused(code)) {
        node.events.push(NodeEvent::Refused { at: addresses.to_vec(), code });
    }
}

/// No actor has the name. If that may be because a node is missing, it says so.
fn why_not_found(node: &NodeState, error: WhereisError) -> WhereisError {
    match (error, node.misses()) {
        (WhereisError::NotFound { name } | WhereisError::NodeDown { name, .. }, Some((at, Joined::Refused(code)))) => {
            WhereisError::Refused { name, at, code }
        }
        (WhereisError::NotFound { name }, Some((at, Joined::Away))) => {
            let peers = node.peers();
            let node = peers.iter().find(|peer| listens_at(peer, &at)).map_or("", |peer| peer.name()).into();
            WhereisError::NodeDown { name, node, at }
        }
        (error, _) => error,
    }
}

fn listens_at(peer: &Peer, addresses: &[SocketAddr]) -> bool {
    peer.address().parse().is_ok_and(|address| addresses.contains(&address))
}

/// A lookup on its way.
struct Lookup {
    /// The node that is asked.
    peer: Arc<Peer>,
    /// Of the request, by which it is cancelled.
    id: CorrelationId,
    /// `None` in it if the node is down.
    reply: oneshot::Receiver<Option<Resolution>>,
    /// The request is over: there is nothing to cancel.
    has_replied: bool,
}

impl Lookup {
    fn start(peer: &Arc<Peer>, protocol: u64, name: &str) -> Result<Self, SendError> {
        let (asker, reply) = oneshot::channel();
        let id = peer.update_session(|session| session.resolve(protocol, name, Requester::Resolve(asker)));
        let id = id.map_err(|(error, _)| error)?;
        Ok(Self { peer: peer.clone(), id, reply, has_replied: false })
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        if !self.has_replied {
            self.peer.update_session(|session| session.cancel(self.id));
            self.peer.wake_senders();
        }
    }
}

/// A name that is looked for at many nodes.
struct Search<'n> {
    name: &'n str,
    lookups: Vec<Lookup>,
    /// Why no actor has it, as far as is known.
    failure: WhereisError,
}

impl Search<'_> {
    /// The first actor that has the name. If none has it, why.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<RemoteActor, WhereisError>> {
        let (mut found, name, failure) = (None, self.name, &mut self.failure);
        self.lookups.retain_mut(|lookup| {
            // Each answer takes its lookup out, and at most changes what the search fails with in the end.
            let Poll::Ready(reply) = Pin::new(&mut lookup.reply).poll(cx) else { return true };
            lookup.has_replied = true;
            let peer = &lookup.peer;
            match reply {
                Ok(Some(Resolution::Found(wire))) if wire.node == peer.id() => {
                    found = Some(RemoteActor::new(peer.clone(), wire.key, wire.protocol));
                }
                Ok(Some(Resolution::WrongProtocol)) => {
                    *failure = WhereisError::WrongProtocol { name: name.into(), node: peer.name().into() };
                }
                Ok(None) if matches!(failure, WhereisError::NotFound { .. }) => {
                    let at = peer.address().parse().into_iter().collect();
                    *failure = WhereisError::NodeDown { name: name.into(), node: peer.name().into(), at };
                }
                _ => {}
            }
            false
        });
        match found {
            Some(found) => Poll::Ready(Ok(found)),
            None if self.lookups.is_empty() => Poll::Ready(Err(self.failure.clone())),
            None => Poll::Pending,
        }
    }

    fn timeout(&self) -> WhereisError {
        let nodes = self.lookups.iter().map(|lookup| lookup.peer.name().into()).collect();
        WhereisError::Timeout { name: self.name.into(), nodes }
    }
}
