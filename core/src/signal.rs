//! Signals that ask a program to end, as futures on the reactor.
//!
//! The first use of a signal replaces its default action for the whole process: from then on it no longer kills.

use crate::io::SignalPipe;
use crate::runtime::Handle;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io;
use std::os::unix::net::UnixStream;

/// Completes at the next ctrl-c (SIGINT).
///
/// # Errors
/// If the handler cannot be installed; outside of a runtime.
///
/// # Cancel safety
/// Dropping the future gives up waiting; the signal's default action does not come back.
pub async fn ctrl_c() -> io::Result<()> {
    Signals::new(&[SIGINT])?.next().await
}

/// Completes at the next request to terminate (SIGTERM).
///
/// # Errors
/// If the handler cannot be installed; outside of a runtime.
///
/// # Cancel safety
/// As [`ctrl_c`].
pub async fn terminate() -> io::Result<()> {
    Signals::new(&[SIGTERM])?.next().await
}

/// Completes at the next ctrl-c or request to terminate, whichever comes first.
///
/// # Errors
/// If a handler cannot be installed; outside of a runtime.
///
/// # Cancel safety
/// As [`ctrl_c`].
pub async fn shutdown() -> io::Result<()> {
    Signals::new(&[SIGINT, SIGTERM])?.next().await
}

/// A pipe that the given signals write to.
#[derive(Debug)]
struct Signals {
    pipe: SignalPipe,
    ids: Vec<signal_hook::SigId>,
}

impl Signals {
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
