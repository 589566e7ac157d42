//! QUIC by quinn on the Posse runtime.
//!
//! `server` and `client` take the place of `quinn::Endpoint::{server, client}`, which look for a runtime that quinn knows; they need the feature
//! `ring`, which is on by default. [`PosseRuntime`] is for `quinn::Endpoint::new`, also with other cryptography. Time is the runtime's clock. A
//! simulated network has no sockets of the system, so QUIC does not run on it.
//!
#![cfg_attr(feature = "ring", doc = "```")]
#![cfg_attr(not(feature = "ring"), doc = "```ignore")]
//! # posse::runtime::Runtime::new()?.block_on(async {
//! let endpoint = posse_quinn::client("127.0.0.1:0".parse().unwrap())?;
//! assert_ne!(endpoint.local_addr()?.port(), 0);
//! // endpoint.set_default_client_config(config);
//! // let connection = endpoint.connect(address, "localhost")?.await?;
//! # std::io::Result::Ok(()) })?;
//! # std::io::Result::Ok(())
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "ring")]
mod endpoint;
mod socket;

#[cfg(feature = "ring")]
pub use endpoint::{client, server};

use posse_core::runtime::Handle;
use posse_core::time::{Instant, Sleep};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime};
use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What quinn asks of a runtime.
///
/// # Examples
/// ```
/// use quinn::Runtime as _;
/// use posse_quinn::PosseRuntime;
///
/// posse::runtime::Runtime::new()?.block_on(async {
///     let runtime = PosseRuntime::new();
///     assert!(runtime.now() <= runtime.now());
/// });
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct PosseRuntime(Handle);

impl PosseRuntime {
    /// Uses the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[expect(clippy::new_without_default, reason = "it panics outside of a runtime")]
    #[track_caller]
    pub fn new() -> Self {
        Self::on(Handle::current())
    }

    /// Uses the runtime that is given.
    pub fn on(handle: Handle) -> Self {
        Self(handle)
    }
}

impl Runtime for PosseRuntime {
    fn new_timer(&self, deadline: std::time::Instant) -> Pin<Box<dyn AsyncTimer>> {
        let mut sleep = Sleep::on(self.0.clone(), Duration::ZERO);
        sleep.reset(Instant::from_std(deadline));
        Box::pin(Timer(sleep))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(self.0.spawn(future));
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let _entered = self.0.enter();
        Ok(Arc::new(socket::Socket::new(socket)?))
    }

    fn now(&self) -> std::time::Instant {
        self.0.now().into_std()
    }
}

#[derive(Debug)]
struct Timer(Sleep);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, deadline: std::time::Instant) {
        self.0.reset(Instant::from_std(deadline));
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}
