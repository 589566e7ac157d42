//! The limits of an HTTP server.

use std::time::Duration;

/// What a server allows. Everything has a default that holds on an open network.
///
/// What is not set here: a connection of HTTP/1 buffers at most some 400 KiB in each direction; one of HTTP/2 receives at most 1 MiB ahead of its
/// handlers and ends at the 21st request that is taken back before it was looked at (rapid reset), at a head in too many frames (CONTINUATION
/// flood), and at the 1,025th stream that breaks the protocol. How long a handler may take and how large a body may be is the service's
/// to say: [`TimeoutLayer`](super::TimeoutLayer), axum's `DefaultBodyLimit`.
///
/// A time of [`Duration::MAX`] is no limit.
///
/// # Examples
/// ```
/// use posse::http::Config;
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
    pub(super) body_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_headers: usize,
    pub(super) max_header_size: usize,
    pub(super) max_concurrent_streams: u32,
    pub(super) grace: Duration,
    pub(super) tells_peer: bool,
}

impl Config {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            max_connections: CONNECTIONS_MAX,
            header_timeout: HEADER_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            write_timeout: WRITE_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            max_headers: MAX_HEADERS,
            max_header_size: HEADER_SIZE_MAX,
            max_concurrent_streams: STREAMS_MAX,
            grace: GRACE,
            tells_peer: false,
        }
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

    /// Sets how long a client may send nothing of a body that its handler waits for; the handler's read then ends with an error of kind
    /// `TimedOut`, to which axum's extractors answer 400. A program whose clients keep streams open and say nothing for long, as those of gRPC may,
    /// sets it higher. Default: 30 s.
    pub const fn body_timeout(mut self, time: Duration) -> Self {
        self.body_timeout = time;
        self
    }

    /// Sets how long a client may take nothing of what it is sent; its connection is then cut. In HTTP/2 it counts while none of the
    /// streams moves. It holds for a connection that a handler has taken over too. Default: 60 s.
    pub const fn write_timeout(mut self, time: Duration) -> Self {
        self.write_timeout = time;
        self
    }

    /// Sets how long a connection of HTTP/2 may be open without a request; it is then ended by GOAWAY. In HTTP/1 that is the
    /// [`header_timeout`](Self::header_timeout). Default: 60 s.
    pub const fn idle_timeout(mut self, time: Duration) -> Self {
        self.idle_timeout = time;
        self
    }

    /// Sets how many fields the head of a request of HTTP/1 may have; to more the answer is 431. Any other number than the default costs an
    /// allocation a request. HTTP/2 counts 32 bytes of [`max_header_size`](Self::max_header_size) for each. Default: 100.
    pub const fn max_headers(mut self, fields: usize) -> Self {
        self.max_headers = fields;
        self
    }

    /// Sets how many bytes the head of a request may have; to more the answer is 431. Default: 32 KiB.
    pub const fn max_header_size(mut self, bytes: usize) -> Self {
        self.max_header_size = bytes;
        self
    }

    /// Sets how many requests a connection of HTTP/2 may have at once; those beyond are refused. At least 1. Default: 100.
    pub const fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_concurrent_streams = if streams == 0 { 1 } else { streams };
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

/// As long as for a head.
const BODY_TIMEOUT: Duration = HEADER_TIMEOUT;

/// What nginx takes: the system asks for more only when a good part of its buffer is free, which takes a slow client its time.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Guessed; between the seconds of servers of pages and the minutes of proxies.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What hyper keeps without an allocation.
pub(super) const MAX_HEADERS: usize = 100;

/// As much as the four buffers of 8 KiB that nginx takes.
const HEADER_SIZE_MAX: usize = 32 << 10;

/// The least that RFC 9113 recommends.
const STREAMS_MAX: u32 = 100;

/// A second less than an actor has to stop.
const GRACE: Duration = Duration::from_secs(4);
