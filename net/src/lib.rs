//! Async TCP, UDP and Unix sockets, I/O traits and framing on the Posse runtime.
//!
//! The traits are those of `futures-io`, so streams fit everything that speaks them; the extension traits of [`io`] have
//! the method names that users of Tokio know.
//!
//! Features, none of them on by default: `tokio-io` puts Tokio's I/O traits on the sockets, `hyper` those of hyper, with an executor
//! and a timer for it, `http` is an HTTP server.
#![cfg_attr(not(feature = "hyper"), forbid(unsafe_code))]
#![deny(unsafe_code)]

mod accept_backoff;
mod addr;
pub mod codec;
mod compat;
pub mod fs;
mod halves;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "hyper")]
pub mod hyper;
pub mod io;
#[cfg(unix)]
pub mod process;
mod readiness;
pub mod tcp;
pub mod testing;
mod udp;
#[cfg(unix)]
pub mod unix;

pub use addr::{ToSocketAddrs, lookup_host};
/// Buffers that are cheap to share.
#[doc(inline)]
pub use bytes;
pub use posse_core::io::RecvMeta;
pub use tcp::listener::{Incoming, TcpListener};
pub use tcp::socket::TcpSocket;
pub use tcp::stream::TcpStream;
pub use udp::UdpSocket;
#[cfg(unix)]
pub use unix::{UnixDatagram, UnixListener, UnixStream};

/// The program of the package's README, compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
