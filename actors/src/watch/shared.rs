//! Shared state of all references to an actor: its identity, its commands, its names, and its end.

use crate::id::{ActorId, ExitReason};
use crate::system::System;
use crate::watch::monitor::Monitors;
use posse_core::lock::Mutex;
use posse_core::sync::Notify;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// What is asked of an actor besides its messages. Never refused, seen before the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Command {
    Stop = 1,
    /// As `Stop`, by a parent: there will be no restart.
    Shutdown = 2,
    Kill = 4,
    /// Begin the next incarnation. For an actor that waits for its supervisor.
    Start = 8,
    /// End for good, for the reason that the last incarnation had. For an actor that waits for its supervisor.
    Release = 16,
    /// Its supervisor has said why it ended, for people. For an actor that waits for its supervisor.
    Said = 32,
}

/// What all references to an actor share.
#[derive(Debug)]
pub(crate) struct ActorShared {
    /// Never changes, also over restarts.
    id: ActorId,
    /// Of its runtime.
    system: Arc<System>,
    /// [`Command`]s as bits: set by any thread, looked at by the actor between messages and at its awaits.
    commands: AtomicU8,
    /// The actor looks at `Stop` itself: it serves its mailbox, or asked for `stopping`.
    handles_stop: AtomicBool,
    /// Who is told of its end.
    pub(crate) monitors: Arc<Monitors>,
    /// Notified once, after the end was accounted for; all that wait for it wake.
    exited: Notify,
    /// `None` once the actor has ended.
    names: Mutex<Option<Vec<Arc<str>>>>,
}

impl ActorShared {
    /// Of a new actor.
    pub(crate) fn new(system: Arc<System>) -> Self {
        Self {
            id: system.actor_started(),
            system,
            commands: AtomicU8::new(0),
            handles_stop: AtomicBool::new(false),
            monitors: Arc::default(),
            exited: Notify::new(),
            names: Mutex::new(Some(Vec::new())),
        }
    }

    pub(crate) fn id(&self) -> ActorId {
        self.id
    }

    pub(crate) fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// Release: partner is `has`. The caller wakes the cell.
    pub(crate) fn command(&self, command: Command) {
        if command == Command::Start {
            // What came before it was for the last incarnation, what comes after it is for the next.
            self.clear(Command::Stop);
            self.clear(Command::Kill);
            self.clear(Command::Said);
        }
        self.commands.fetch_or(command as u8, Ordering::Release);
    }

    pub(crate) fn has(&self, command: Command) -> bool {
        self.commands.load(Ordering::Acquire) & command as u8 != 0
    }

    /// Any signal that ends the serving of messages.
    #[inline]
    pub(crate) fn has_any(&self) -> bool {
        self.commands.load(Ordering::Acquire) != 0
    }

    pub(crate) fn clear(&self, command: Command) {
        self.commands.fetch_and(!(command as u8), Ordering::AcqRel);
    }

    pub(crate) fn set_handles_stop(&self) {
        self.handles_stop.store(true, Ordering::Release);
    }

    pub(crate) fn handles_stop(&self) -> bool {
        self.handles_stop.load(Ordering::Acquire)
    }

    pub(crate) fn ended(&self) -> Option<ExitReason> {
        self.monitors.ended()
    }

    /// Waits for the end. Who gives up waiting leaves nothing behind.
    pub(crate) async fn wait_exit(&self) -> ExitReason {
        loop {
            let finished = self.exited.notified();
            if let Some(reason) = self.ended() {
                return reason;
            }
            finished.await;
        }
    }

    /// Notes a name, to be given up at the end. False if that has come already.
    pub(crate) fn add_name(&self, name: Arc<str>) -> bool {
        match &mut *self.names.lock() {
            Some(names) => {
                names.push(name);
                true
            }
            None => false,
        }
    }

    /// The actor has given a name up.
    pub(crate) fn remove_name(&self, name: &str) {
        if let Some(names) = &mut *self.names.lock() {
            names.retain(|kept| **kept != *name);
        }
    }

    /// The first of its names, for people.
    pub(crate) fn name(&self) -> Arc<str> {
        let first = self.names.lock().as_ref().and_then(|names| names.first().cloned());
        first.unwrap_or_else(|| Arc::from("-"))
    }

    /// How many names it has.
    #[cfg(test)]
    pub(crate) fn names(&self) -> usize {
        self.names.lock().as_ref().map_or(0, Vec::len)
    }

    pub(crate) fn exit(&self, reason: &ExitReason) {
        let names = self.names.lock().take();
        for name in names.iter().flatten() {
            self.system.registry.remove(name, self.id);
        }
        self.system.actor_exited();
        self.monitors.fire(reason);
        self.exited.notify_waiters();
    }
}
