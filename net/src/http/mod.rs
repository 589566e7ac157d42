//! An HTTP server, version 1 and 2, for any service of tower's kind: an axum router, a tonic service, a function.
//!
//! [`serve`] accepts connections and gives each a task of its own. Everything that a client decides has a limit ([`Config`]): how many
//! connections there are at once, how large a head is, how long the next head, the next byte of a body and the next byte taken of an
//! answer may be waited for, and how long the end waits for requests that are being answered. How long a handler may take is said by
//! [`TimeoutLayer`]. A service that panics answers 500; whatever panics is reported (`ERROR`, target `posse::http`), ends no more than
//! its connection, and disturbs no other. Time is the runtime's, so a server runs in a simulation as it is.
//!
//! ```
//! use posse::http::{self, Request, Response};
//! use posse::io::{AsyncReadExt, AsyncWriteExt};
//! use posse::net::{TcpListener, TcpStream};
//! use posse::sync::CancellationToken;
//! use std::convert::Infallible;
//!
//! # posse::runtime::Runtime::new().unwrap().block_on(async {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let mut client = TcpStream::connect(listener.local_addr()?).await?;
//! let hello = http::service_fn(|request: Request<http::Incoming>| async move {
//!     Ok::<_, Infallible>(Response::new(format!("hello {}", request.uri().path())))
//! });
//! let end = CancellationToken::new();
//! let ended = end.clone();
//! let server = posse::task::spawn(async move {
//!     http::serve(listener, hello).with_graceful_shutdown(async move { ended.cancelled().await }).await
//! });
//!
//! client.write_all(b"GET /you HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hello /you"));
//! end.cancel();
//! server.await.unwrap()?;
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

mod answer;
mod config;
mod connection;
mod incoming;
mod prefixed;
mod server;
mod service;
mod standstill;
mod timeout;
mod traffic;

pub use config::Config;
pub use hyper::{Request, Response, StatusCode};
pub use incoming::Incoming;
pub use server::{Handshake, Plain, Serve, serve};
pub use service::{HttpService, PeerAddr, ServiceFn, service_fn};
pub use timeout::{ResponseFuture, Timeout, TimeoutLayer};

/// Any error, as services and bodies have them.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
