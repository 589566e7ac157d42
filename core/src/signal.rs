//! Signals that ask a program to end, as futures on the reactor.
//!
//! The first use of a signal replaces its default action for the whole process: from then on it no longer kills. A signal
//! counts from the call of the function on, not from the first poll of its future.
//!
//! On Unix alone. Elsewhere there is no such module, and ctrl-c does what the system does with it.

pub mod unix;

use crate::io::SignalPipe;
use crate::runtime::Handle;
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
        Awaited::Simulated(signals, seen) => {
            signals.next(seen).await;
            Ok(())
        }
    }
}

/// Where the signal comes from.
enum Awaited {
    Os(io::Result<Signals>),
    Simulated(std::sync::Arc<simulated::Signals>, u64),
}

impl Awaited {
    fn new(signals: &[i32]) -> Self {
        if crate::sim::env::HostNet::current().is_some() {
            let signals = Handle::current().extension(simulated::Signals::default);
            let seen = signals.seen();
            return Self::Simulated(signals, seen);
        }
        Self::Os(Signals::new(signals))
    }
}

/// A simulated machine has no signals of the system: its world delivers them, each as all of them.
pub(crate) mod simulated {
    use crate::sync::Notify;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    pub(crate) struct Signals {
        delivered: AtomicU64,
        notify: Notify,
    }

    impl Signals {
        #[cfg(feature = "sim")]
        pub(crate) fn deliver(&self) {
            self.delivered.fetch_add(1, Ordering::AcqRel);
            self.notify.notify_waiters();
        }

        pub(super) fn seen(&self) -> u64 {
            self.delivered.load(Ordering::Acquire)
        }

        pub(super) async fn next(&self, seen: u64) {
            loop {
                let notified = self.notify.notified();
                if self.seen() != seen {
                    return;
                }
                notified.await;
            }
        }
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
