//! Signals that ask a program to end, as futures on the reactor.
//!
//! The first use of a signal replaces its default action for the whole process: from then on it no longer kills. A signal
//! counts from the call of the function on, not from the first poll of its future.
//!
//! On Unix alone. Elsewhere there is no such module, and ctrl-c does what the system does with it.

pub mod unix;

use crate::io::SignalPipe;
use crate::runtime::Handle;
#[cfg(feature = "sim")]
use crate::sim::signal::DeliveredSignals;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;

/// Completes at the next ctrl-c (SIGINT).
///
/// # Errors
/// If the handler cannot be installed; outside of a runtime.
///
/// # Cancel safety
/// Dropping the future gives up waiting; the signal's default action does not come back.
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> + Send + 'static {
    wait(Awaited::new(&[SIGINT]))
}

/// Completes at the next request to terminate (SIGTERM).
///
/// # Errors
/// If the handler cannot be installed; outside of a runtime.
///
/// # Cancel safety
/// As [`ctrl_c`].
pub fn terminate() -> impl Future<Output = io::Result<()>> + Send + 'static {
    wait(Awaited::new(&[SIGTERM]))
}

/// Completes at the next ctrl-c or request to terminate, whichever comes first.
///
/// # Errors
/// If a handler cannot be installed; outside of a runtime.
///
/// # Cancel safety
/// As [`ctrl_c`].
pub fn shutdown() -> impl Future<Output = io::Result<()>> + Send + 'static {
    wait(Awaited::new(&[SIGINT, SIGTERM]))
}

async fn wait(awaited: Awaited) -> io::Result<()> {
    match awaited {
        Awaited::Os(signals) => signals?.next().await,
        #[cfg(feature = "sim")]
        Awaited::Simulated(signals, seen) => {
            signals.next(seen).await;
            Ok(())
        }
    }
}

/// Where the signal comes from.
enum Awaited {
    Os(io::Result<Signals>),
    #[cfg(feature = "sim")]
    Simulated(std::sync::Arc<DeliveredSignals>, u64),
}

impl Awaited {
    fn new(signals: &[i32]) -> Self {
        #[cfg(feature = "sim")]
        if crate::sim::net::HostNet::current().is_some() {
            let signals = Handle::current().extension(DeliveredSignals::default);
            let seen = signals.seen();
            return Self::Simulated(signals, seen);
        }
        Self::Os(Signals::new(signals))
    }
}

/// A pipe that the given signals write to.
#[derive(Debug)]
struct Signals {
    pipe: SignalPipe,
    ids: Vec<signal_hook::SigId>,
}

impl Signals {
    #[expect(clippy::disallowed_methods, reason = "a pipe from the handler to the reactor of the system")]
    fn new(signals: &[i32]) -> io::Result<Self> {
        Handle::try_current().map_err(io::Error::other)?;
        let (read, write) = UnixStream::pair()?;
        let mut this = Self { pipe: SignalPipe::from_std_unix(read)?, ids: Vec::new() };
        for &signal in signals {
            this.ids.push(signal_hook::low_level::pipe::register(signal, write.try_clone()?)?);
        }
        Ok(this)
    }

    async fn next(&self) -> io::Result<()> {
        let mut byte = [0];
        std::future::poll_fn(|cx| self.pipe.poll_read(cx, &mut byte)).await?;
        Ok(())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}
