//! The reactor: waits for the operating system's events and hands them to those who wait.
//!
//! One thread at a time is inside [`Driver::turn`]; everything else goes through the shared [`IoHandle`].
//!
//! This folder and `os` lie below the scheduler, which turns the driver; the sockets beside it stand on the runtime.

mod datagrams;
pub(in crate::io) mod interest;
pub(in crate::io) mod raw_socket;
pub(in crate::io) mod readiness;
mod registrations;

pub use datagrams::RecvMeta;

pub(crate) use crate::io::os::EVENTS_MAX;

use self::raw_socket::{RawSocket, not_simulated};
use self::readiness::Readiness;
use self::registrations::{Registrations, Token};
use crate::io::os;
use crate::lock::Mutex;
use crate::raw_task::Id;
use crate::raw_task::panic::wake_all;
use crate::raw_task::waker::task_of;
use crate::sim::env::HostNet;
use crate::util::socket_counts::SocketCounts;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

/// Wakers that memory is kept for from turn to turn: those of a full batch of events, by default, with one waiter each.
const WAKERS_KEPT_MAX: usize = 1024;

/// The part that one thread at a time owns.
#[derive(Debug)]
pub(crate) enum Driver {
    /// The wakers are those of one turn; between turns there are none, and only their memory is kept.
    Os(os::EventQueue, Vec<Waker>),
    Simulated(HostNet),
}

/// The part that all threads share.
#[derive(Clone, Debug)]
pub(crate) enum IoHandle {
    Os(Arc<Inner>),
    Simulated(HostNet),
}

#[derive(Debug)]
pub(crate) struct Inner {
    /// Adds and removes sockets in the operating system's queue, and interrupts a turn, from any thread.
    registry: os::Registry,
    /// Who waits for which token. A turn reads it, a socket's beginning and end change it; no waker is called under its lock.
    registrations: Mutex<Registrations>,
    /// Sockets that came and went; by these a worker knows without a lock whether a turn would do anything.
    counts: SocketCounts,
    /// Events whose socket was gone; counted by turns.
    stale_events: AtomicU64,
}

impl Driver {
    /// A turn takes up to this many events of the operating system at once, at least 1.
    pub(crate) fn new(events_max: usize) -> io::Result<(Self, IoHandle)> {
        let (events, registry) = os::event_queue(events_max)?;
        let inner = Inner {
            registry,
            registrations: Mutex::default(),
            counts: SocketCounts::default(),
            stale_events: AtomicU64::new(0),
        };
        Ok((Self::Os(events, Vec::new()), IoHandle::Os(Arc::new(inner))))
    }

    /// Waits for events, at most for `timeout`, and wakes those they are for. Returns the number of events.
    pub(crate) fn turn(&mut self, handle: &IoHandle, timeout: Option<Duration>) -> io::Result<usize> {
        match (self, handle) {
            (Self::Os(events, woken), IoHandle::Os(inner)) => inner.turn(events, woken, timeout),
            (_, IoHandle::Simulated(host)) => Ok(host.turn()),
            (Self::Simulated(host), _) => Ok(host.turn()),
        }
    }
}

impl From<HostNet> for Driver {
    fn from(host: HostNet) -> Self {
        Self::Simulated(host)
    }
}

impl From<HostNet> for IoHandle {
    fn from(host: HostNet) -> Self {
        Self::Simulated(host)
    }
}

impl Inner {
    fn turn(
        &self,
        events: &mut os::EventQueue,
        woken: &mut Vec<Waker>,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let mut count = 0;
        let mut stale = 0;
        events.wait(timeout)?;

        // One lock for all events of a turn; wakers are only collected under it.
        let registrations = self.registrations.lock();
        for event in events.iter() {
            count += 1;
            match registrations.get(Token(event.token)) {
                Some(readiness) => readiness.set_readiness(&event, woken),
                None => stale += 1,
            }
        }
        drop(registrations);

        if stale > 0 {
            self.stale_events.fetch_add(stale, Ordering::Relaxed);
        }
        self.counts.add_ready(count);
        wake_all(woken.drain(..));
        woken.shrink_to(WAKERS_KEPT_MAX);
        Ok(count)
    }

    fn end(&self) {
        let mut woken = Vec::new();
        self.registrations.lock().end().for_each(|readiness| readiness.end(&mut woken));
        wake_all(woken);
    }

    fn register(&self, source: Option<&mut dyn os::Source>, readiness: &Arc<Readiness>) -> io::Result<Token> {
        let source = source.ok_or_else(|| io::Error::other("a simulated socket in a runtime that is not simulated"))?;
        let token = self
            .registrations
            .lock()
            .insert(readiness.clone())
            .ok_or_else(|| io::Error::other("too many sockets, or the runtime has shut down"))?;
        // In the list first: an event may come before this call returns, and must find it.
        if let Err(error) = self.registry.register(source, token.0) {
            self.registrations.lock().remove(token);
            return Err(error);
        }
        self.counts.register();
        Ok(token)
    }

    /// The token becomes stale first, so that no late event finds it.
    fn deregister(&self, source: Option<&mut dyn os::Source>, token: Token) {
        self.registrations.lock().remove(token);
        self.counts.deregister();
        let Some(source) = source else { return };
        if let Err(error) = self.registry.deregister(source) {
            crate::event!(DEBUG, "posse::runtime", "the event queue did not know a socket any more", reason = %error);
        }
    }
}

impl IoHandle {
    /// Ends a turn that is under way, or the next one.
    pub(crate) fn unpark(&self) {
        match self {
            Self::Os(inner) => {
                if let Err(error) = inner.registry.wake() {
                    crate::event!(ERROR, "posse::runtime", "could not interrupt the event queue", reason = %error);
                }
            }
            // No thread blocks in a simulated driver.
            Self::Simulated(_) => {}
        }
    }

    /// The driver asks for events no more: each task that waits for one is woken, and gets an error.
    pub(crate) fn end(&self) {
        match self {
            Self::Os(inner) => inner.end(),
            // The simulated network knows when a machine is dead.
            Self::Simulated(_) => {}
        }
    }

    /// False if a turn would do nothing: no socket is registered or, in a simulation, no event waits.
    pub(crate) fn is_needed(&self) -> bool {
        match self {
            Self::Os(inner) => inner.counts.len() > 0,
            Self::Simulated(host) => host.pending() > 0,
        }
    }

    /// Shows each task that waits for a socket of the operating system. `f` runs under a lock.
    pub(crate) fn for_each_task(&self, mut f: impl FnMut(Id)) {
        match self {
            Self::Os(inner) => {
                // Out of the list first: each has a lock of its own, and turns of the driver need that of the list.
                let sockets: Vec<_> = inner.registrations.lock().iter().cloned().collect();
                sockets
                    .iter()
                    .for_each(|socket| socket.for_each_waker(|waker| task_of(waker).into_iter().for_each(&mut f)));
            }
            Self::Simulated(_) => {}
        }
    }

    pub(crate) fn counts(&self) -> &SocketCounts {
        match self {
            Self::Os(inner) => &inner.counts,
            Self::Simulated(host) => host.counts(),
        }
    }

    /// The way to the simulated network, if the runtime has one.
    #[cfg(feature = "sim")]
    pub(crate) fn host(&self) -> Option<HostNet> {
        match self {
            Self::Os(_) => None,
            Self::Simulated(host) => Some(host.clone()),
        }
    }

    pub(super) fn register(&self, source: &mut impl RawSocket, readiness: Readiness) -> io::Result<Registration> {
        let readiness = Arc::new(readiness);
        let token = match self {
            Self::Os(inner) => inner.register(source.os(), &readiness)?,
            Self::Simulated(host) => {
                let Some(id) = source.simulated() else { return not_simulated("sockets of the system") };
                host.attach(id, readiness.clone());
                Token(0)
            }
        };
        Ok(Registration { handle: self.clone(), token, readiness })
    }
}

/// A socket's place in the reactor; given up when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    /// The driver that the socket belongs to.
    handle: IoHandle,
    /// Its name there; 0 in a simulation, which goes by the socket's own.
    token: Token,
    /// Shared with the list of registrations: the driver raises it, the socket's futures take it down and wait in it.
    pub(super) readiness: Arc<Readiness>,
}

impl Registration {
    /// Takes the source out of the reactor.
    pub(super) fn deregister(&self, source: &mut impl RawSocket) {
        match &self.handle {
            IoHandle::Os(inner) => inner.deregister(source.os(), self.token),
            IoHandle::Simulated(host) => {
                if let Some(id) = source.simulated() {
                    host.close(id);
                }
            }
        }
    }
}
