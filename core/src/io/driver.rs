//! The reactor: waits for the operating system's events and hands them to those who wait.
//!
//! One thread at a time is inside [`Driver::turn`]; everything else goes through the shared [`IoHandle`].

use super::os;
use super::registration::Readiness;
use super::table::{Table, Token};
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The part that one thread at a time owns.
#[derive(Debug)]
pub(crate) struct Driver {
    events: os::EventQueue,
}

/// The part that all threads share.
#[derive(Clone, Debug)]
pub(crate) struct IoHandle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: os::Registry,
    table: Mutex<Table>,
    len: AtomicUsize,
    stale_events: AtomicU64,
}

impl Driver {
    pub(crate) fn new() -> io::Result<(Self, IoHandle)> {
        let (events, registry) = os::event_queue()?;
        let inner =
            Inner { registry, table: Mutex::default(), len: AtomicUsize::new(0), stale_events: AtomicU64::new(0) };
        Ok((Self { events }, IoHandle { inner: Arc::new(inner) }))
    }

    /// Waits for events, at most for `timeout`, and wakes those they are for. Returns the number of events.
    pub(crate) fn turn(&mut self, handle: &IoHandle, timeout: Option<Duration>) -> io::Result<usize> {
        let mut woken = Vec::new();
        let mut count = 0;
        let mut stale = 0;
        self.events.wait(timeout)?;

        let table = handle.table();
        for event in self.events.iter() {
            count += 1;
            match table.get(Token(event.token)) {
                Some(readiness) => readiness.set(&event, &mut woken),
                None => stale += 1,
            }
        }
        drop(table);

        if stale > 0 {
            handle.inner.stale_events.fetch_add(stale, Ordering::Relaxed);
        }
        woken.into_iter().for_each(std::task::Waker::wake);
        Ok(count)
    }
}

impl IoHandle {
    /// Ends a turn that is under way, or the next one.
    pub(crate) fn unpark(&self) {
        if let Err(error) = self.inner.registry.interrupt() {
            tracing::error!(%error, "could not interrupt the event queue");
        }
    }

    /// Number of registered sockets.
    pub(crate) fn len(&self) -> usize {
        self.inner.len.load(Ordering::Relaxed)
    }

    pub(super) fn register(&self, source: &mut impl os::Source, readiness: Readiness) -> io::Result<Registration> {
        let readiness = Arc::new(readiness);
        let token = self.table().insert(readiness.clone()).ok_or_else(|| io::Error::other("too many sockets"))?;
        if let Err(error) = self.inner.registry.register(source, token.0) {
            self.table().remove(token);
            return Err(error);
        }
        self.inner.len.fetch_add(1, Ordering::Relaxed);
        Ok(Registration { handle: self.clone(), token, readiness })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.inner.table.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// A socket's place in the reactor; given up when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    handle: IoHandle,
    token: Token,
    pub(super) readiness: Arc<Readiness>,
}

impl Registration {
    /// Takes the source out of the event queue. Its token becomes stale first, so that no late event finds it.
    pub(super) fn deregister(&self, source: &mut impl os::Source) {
        self.handle.table().remove(self.token);
        self.handle.inner.len.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = self.handle.inner.registry.deregister(source) {
            tracing::debug!(%error, "the event queue did not know a socket any more");
        }
    }
}
