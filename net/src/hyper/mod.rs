//! The runtime that hyper needs: an [`Executor`], a [`Timer`] on the runtime's clock, and [`Io`] for streams that are not ours.
//!
//! The sockets of this crate implement `hyper::rt::{Read, Write}` themselves and need no wrapper; hyper reads into its buffers
//! without their being filled with zeros first. Time is that of the runtime, so hyper's time-outs run on a manual clock and
//! in a simulation too.
//!
//! ```
//! use posse::hyper::{Executor, Timer};
//! use posse::net::{TcpListener, TcpStream};
//!
//! # posse::runtime::Runtime::new().unwrap().block_on(async {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let client = TcpStream::connect(listener.local_addr()?).await?;
//! let (server, _) = listener.accept().await?;
//!
//! // What `hyper::server::conn::{http1, http2}` and `hyper::client::conn` ask for.
//! fn fits<I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static>(_: I) {}
//! fits(client);
//! fits(server);
//! let (_executor, _timer) = (Executor::new(), Timer::new());
//! # std::io::Result::Ok(()) }).unwrap();
//! ```

mod io;
mod spare;
mod timer;

pub use io::Io;
pub(crate) use spare::Spare;
pub use timer::Timer;

use posse_core::runtime::Handle;
use std::future::Future;

/// Spawns hyper's futures on a runtime; HTTP/2 needs one.
///
/// # Examples
/// ```
/// use hyper::rt::Executor as _;
/// use posse::hyper::Executor;
/// use posse::io::AsyncReadExt;
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let (sent, received) = posse::sync::oneshot::channel();
/// Executor::new().execute(async move { drop(sent.send(7)) });
/// assert_eq!(received.await, Ok(7));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Executor(Handle);

impl Executor {
    /// Spawns on the current runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[expect(clippy::new_without_default, reason = "it panics outside of a runtime")]
    #[track_caller]
    pub fn new() -> Self {
        Self::on(Handle::current())
    }

    /// Spawns on the runtime that is given.
    pub fn on(handle: Handle) -> Self {
        Self(handle)
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.0.spawn(future));
    }
}
