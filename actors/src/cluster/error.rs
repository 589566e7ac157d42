//! Errors of nodes, one type per operation: to listen, to connect, to look for a name. What an error says names the address;
//! its cause is its [`source`](StdError::source).

use posse_wire::{CloseReason, ConfigError};
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a node did not start to listen.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// There is no runtime here.
    NoRuntime,
    /// A setting makes no sense.
    Config(ConfigError),
    /// The address is none, or its name could not be resolved.
    Resolve(io::Error),
    /// The address can be reached from other machines, and there are no credentials that keep strangers out.
    NotLoopback(SocketAddr),
    /// The addresses cannot be listened on.
    Bind {
        /// All that were tried.
        at: Vec<SocketAddr>,
        /// Why not on the last of them.
        cause: io::Error,
    },
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime => f.write_str(NO_RUNTIME),
            Self::Config(_) => f.write_str(CONFIG),
            Self::Resolve(_) => f.write_str(RESOLVE),
            Self::NotLoopback(address) => not_loopback(*address, f),
            Self::Bind { at, .. } => write!(f, "{} cannot be listened on", Addresses(at)),
        }
    }
}

impl StdError for ListenError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Config(cause) => Some(cause),
            Self::Resolve(cause) | Self::Bind { cause, .. } => Some(cause),
            Self::NoRuntime | Self::NotLoopback(_) => None,
        }
    }
}

/// Why a node did not reach another one. The first two are of a node that had to be started for that.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no runtime here.
    NoRuntime,
    /// A setting makes no sense.
    Config(ConfigError),
    /// The address is none, or its name could not be resolved.
    Resolve(io::Error),
    /// The address can be reached from other machines, and there are no credentials that keep strangers out.
    NotLoopback(SocketAddr),
    /// [`NodeConfig::peers_max`](super::NodeConfig::peers_max) addresses are joined already, this many.
    TooManyJoined(usize),
    /// No node can be connected to.
    Unreachable {
        /// All addresses that were tried.
        at: Vec<SocketAddr>,
        /// Why not at the last of them.
        cause: io::Error,
    },
    /// The node that is there was reached but is not one to talk to.
    Handshake {
        /// Where it is.
        at: Vec<SocketAddr>,
        /// Why not.
        cause: Box<dyn StdError + Send + Sync>,
    },
    /// The other node refuses this one, or this one it.
    Refused {
        /// Where it is.
        at: Vec<SocketAddr>,
        /// Why.
        code: CloseReason,
        /// The same in words, perhaps none.
        detail: Box<str>,
    },
    /// The other node did not answer in time.
    Timeout {
        /// Where it was looked for.
        at: Vec<SocketAddr>,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime => f.write_str(NO_RUNTIME),
            Self::Config(_) => f.write_str(CONFIG),
            Self::Resolve(_) => f.write_str(RESOLVE),
            Self::NotLoopback(address) => not_loopback(*address, f),
            Self::TooManyJoined(count) => write!(f, "{count} addresses are joined already: leave some"),
            Self::Unreachable { at, .. } => write!(f, "no node can be reached at {}", Addresses(at)),
            Self::Handshake { at, .. } => write!(f, "the handshake with {} failed", Addresses(at)),
            Self::Refused { at, detail, .. } => {
                write!(f, "refused at {}", Addresses(at))?;
                if detail.is_empty() { Ok(()) } else { write!(f, " ({detail})") }
            }
            Self::Timeout { at } => write!(f, "no node answered in time at {}", Addresses(at)),
        }
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Config(cause) => Some(cause),
            Self::Resolve(cause) | Self::Unreachable { cause, .. } => Some(cause),
            Self::Handshake { cause, .. } => Some(&**cause),
            Self::Refused { code, .. } => Some(code),
            Self::NoRuntime | Self::NotLoopback(_) | Self::TooManyJoined(_) | Self::Timeout { .. } => None,
        }
    }
}

const NO_RUNTIME: &str = "a node needs a runtime";
const CONFIG: &str = "a setting of the node makes no sense";
const RESOLVE: &str = "the address cannot be resolved";

fn not_loopback(address: SocketAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "{address} can be reached from other machines, and without credentials anybody could command the actors; \
         use a loopback address such as 127.0.0.1"
    )
}

/// Why a name did not lead to an actor. It says which name, and of the node that is the reason its name and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhereisError {
    /// No actor is registered under the name.
    NotFound {
        /// What was looked for.
        name: Box<str>,
    },
    /// The name belongs to an actor that speaks another protocol.
    WrongProtocol {
        /// What was looked for.
        name: Box<str>,
        /// The name of the node that has it.
        node: Box<str>,
    },
    /// No node that could be asked has an actor of the name, and a node that was asked, or that this one joined, is down.
    NodeDown {
        /// What was looked for.
        name: Box<str>,
        /// The name of the node that is down.
        node: Box<str>,
        /// Where it was; empty if it did not listen.
        at: Vec<SocketAddr>,
    },
    /// No node that could be asked has an actor of the name, and a node that this one joined refuses it.
    Refused {
        /// What was looked for.
        name: Box<str>,
        /// Where the node is.
        at: Vec<SocketAddr>,
        /// Why.
        code: CloseReason,
    },
    /// No node that could be asked has an actor of the name, and of some node as many names are asked already, 65,536, that this one
    /// was not.
    Overloaded {
        /// What was looked for.
        name: Box<str>,
        /// The name of that node.
        node: Box<str>,
    },
    /// No answer before the deadline.
    Timeout {
        /// What was looked for.
        name: Box<str>,
        /// The names of the nodes that did not answer.
        nodes: Vec<Box<str>>,
    },
}

impl fmt::Display for WhereisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name } => write!(f, "no actor is registered under the name `{name}`"),
            Self::WrongProtocol { name, node } => {
                write!(f, "the name `{name}` belongs to an actor of node `{node}` that speaks another protocol")
            }
            Self::NodeDown { name, node, at } if at.is_empty() => {
                write!(f, "node `{node}`, which may know the name `{name}`, is down")
            }
            Self::NodeDown { name, node, at } => {
                write!(f, "node `{node}` at {}, which may know the name `{name}`, is down", Addresses(at))
            }
            Self::Refused { name, at, .. } => {
                write!(f, "the node at {}, which may know the name `{name}`, refuses this one", Addresses(at))
            }
            Self::Overloaded { name, node } => {
                write!(f, "node `{node}` is asked for too many names to be asked for `{name}`")
            }
            Self::Timeout { name, nodes } => {
                write!(f, "no answer before the deadline about the name `{name}` from {}", nodes.join(", "))
            }
        }
    }
}

impl StdError for WhereisError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// Addresses as a text names them.
struct Addresses<'a>(&'a [SocketAddr]);

impl fmt::Display for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("nowhere"),
            [first, rest @ ..] => {
                write!(f, "{first}")?;
                rest.iter().try_for_each(|address| write!(f, " or {address}"))
            }
        }
    }
}
