//! Signals of Unix, any of them, as streams.

use super::{Awaited, Signals};
use signal_hook::consts;
use std::fmt;
use std::io;
use std::task::{Context, Poll};

/// Which signal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalKind(i32);

macro_rules! kinds {
    ($($name:ident $signal:ident, $doc:literal;)*) => {
        impl SignalKind {
            $(
                #[doc = $doc]
                pub const fn $name() -> Self {
                    Self(consts::$signal)
                }
            )*
        }

        impl fmt::Debug for SignalKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $(consts::$signal => f.write_str(stringify!($signal)),)*
                    other => write!(f, "SignalKind({other})"),
                }
            }
        }
    };
}

kinds! {
    alarm SIGALRM, "SIGALRM: a timer of the system has run out. By default it ends the process.";
    child SIGCHLD, "SIGCHLD: a child process has stopped or ended. By default nothing happens.";
    hangup SIGHUP, "SIGHUP: the terminal is gone; by custom, read the settings again. By default it ends the process.";
    interrupt SIGINT, "SIGINT: ctrl-c. By default it ends the process.";
    io SIGIO, "SIGIO: a descriptor is ready. By default it ends the process.";
    pipe SIGPIPE, "SIGPIPE: a pipe without a reader was written to. Rust programs ignore it from their start on.";
    quit SIGQUIT, "SIGQUIT: ctrl-\\. By default it ends the process and leaves an image of it.";
    terminate SIGTERM, "SIGTERM: a request to end. By default it ends the process.";
    user_defined1 SIGUSR1, "SIGUSR1: what the program makes of it. By default it ends the process.";
    user_defined2 SIGUSR2, "SIGUSR2: what the program makes of it. By default it ends the process.";
    window_change SIGWINCH, "SIGWINCH: the terminal has another size. By default nothing happens.";
}

impl SignalKind {
    /// A signal by its number.
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn as_raw_value(self) -> i32 {
        self.0
    }
}

impl From<i32> for SignalKind {
    fn from(number: i32) -> Self {
        Self(number)
    }
}

impl From<SignalKind> for i32 {
    fn from(kind: SignalKind) -> Self {
        kind.0
    }
}

/// Listens to a signal, from this call on. Its default action does not come back, also after the stream is dropped.
///
/// # Errors
/// `InvalidInput` for a signal that cannot be listened to (SIGKILL, SIGSTOP, SIGILL, SIGFPE, SIGSEGV) or does not exist; an
/// error outside of a runtime.
///
/// # Examples
/// ```no_run
/// use posse::signal::unix::{SignalKind, signal};
///
/// # posse::runtime::Runtime::new().unwrap().block_on(async {
/// let mut hangups = signal(SignalKind::hangup())?;
/// while hangups.recv().await.is_some() {
///     // Read the settings again.
/// }
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    if consts::FORBIDDEN.contains(&kind.0) {
        let text = format!("{kind:?} cannot be listened to");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    match Awaited::new(&[kind.0]) {
        Awaited::Os(signals) => Ok(Signal { source: Source::Os(signals?) }),
        Awaited::Simulated(signals, seen) => Ok(Signal { source: Source::Simulated(Box::pin(wait(signals, seen))) }),
    }
}

/// A signal as a stream; see [`signal`]. Signals that come while none is taken are one.
#[derive(Debug)]
pub struct Signal {
    source: Source,
}

enum Source {
    Os(Signals),
    /// What waits for the next one, and comes back with how many there were.
    Simulated(std::pin::Pin<Box<dyn Future<Output = Delivered> + Send + Sync>>),
}

impl Signal {
    /// Waits for the signal. It never returns `None` as long as the runtime lives.
    ///
    /// # Cancel safety
    /// No signal is lost.
    pub async fn recv(&mut self) -> Option<()> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Polls for the signal; `None` if the runtime has ended.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        match &mut self.source {
            // As many as have come are one.
            Source::Os(signals) => signals.pipe.poll_read(cx, &mut [0; 64]).map(Result::ok).map(|read| read.map(drop)),
            Source::Simulated(next) => {
                let (signals, seen) = std::task::ready!(next.as_mut().poll(cx));
                *next = Box::pin(wait(signals, seen));
                Poll::Ready(Some(()))
            }
        }
    }
}

type Delivered = (std::sync::Arc<super::simulated::Signals>, u64);

async fn wait(signals: std::sync::Arc<super::simulated::Signals>, seen: u64) -> Delivered {
    signals.next(seen).await;
    let seen = signals.seen();
    (signals, seen)
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(signals) => signals.fmt(f),
            Self::Simulated(_) => f.write_str("Simulated"),
        }
    }
}
