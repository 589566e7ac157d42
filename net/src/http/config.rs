//! The limits of an HTTP server.

use std::time::Duration;

/// What a server allows. Everything has a default that holds on an open network.
///
/// Besides these, a head has at most 100 fields and some 400 KiB in HTTP/1, 16 KiB in HTTP/2, where a connection has at most 200
/// requests at once. How long a handler may take and how large a body may be is the service's to say: a layer's, or axum's
/// `DefaultBodyLimit`.
///
/// # Examples
/// ```
/// use posse_net::http::Config;
/// use std::time::Duration;
///
/// let config = Config::new().max_connections(500).header_timeout(Duration::from_secs(5));
/// assert_eq!(config, Config::default().header_timeout(Duration::from_secs(5)).max_connections(500));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a configuration does nothing by itself"]
pub struct Config {
    pub(super) max_connections: usize,
    pub(super) header_timeout: Duration,
    pub(super) grace: Duration,
    pub(super) tells_peer: bool,
}

impl Config {
    /// The defaults.
    pub const fn new() -> Self {
        Self { max_connections: CONNECTIONS_MAX, header_timeout: HEADER_TIMEOUT, grace: GRACE, tells_peer: false }
    }

    /// Sets how many connections there may be at once; beyond, new ones wait in the system's queue. At least 1. Default: 10,000.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = if connections == 0 { 1 } else { connections };
        self
    }

    /// Sets how long a client may take to send the head of a request, from the moment that the server waits for it: it bounds the
    /// handshake, the first bytes, and how long a connection of HTTP/1 may be idle between two requests. HTTP/2 asks a silent client
    /// for a sign of life as often, and waits as long for it. Default: 30 s.
    pub const fn header_timeout(mut self, time: Duration) -> Self {
        self.header_timeout = time;
        self
    }

    /// Sets how long a graceful end waits for the requests that are being answered, before it cuts their connections. Default: 4 s,
    /// so that it fits into the time that an actor has to stop.
    pub const fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// Sets whether each request carries the address it came from as the extension [`PeerAddr`](super::PeerAddr). Default: no, as it
    /// costs two allocations a request.
    pub const fn peer_addr(mut self, tells: bool) -> Self {
        self.tells_peer = tells;
        self
    }

    /// Returns how long a graceful end waits.
    pub const fn get_grace(&self) -> Duration {
        self.grace
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// Connections at once. Guessed; the same as of a listener of actors.
const CONNECTIONS_MAX: usize = 10_000;

/// What hyper takes where it has a timer.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// A second less than an actor has to stop.
const GRACE: Duration = Duration::from_secs(4);
