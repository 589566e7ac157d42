//! Death watch: a monitor tells its owner once that an actor has ended.

use crate::id::{ActorId, ExitReason};
use crate::system::audit::TrackedMonitor;
use crate::watch::shared::ActorShared;
use posse_core::lock::Mutex;
use posse_wire::CorrelationId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Says that a monitored actor has ended, or is not monitored: [`ExitReason::TooManyMonitors`]. It comes after every message that
/// actor sent before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// Which actor.
    pub actor: ActorId,
    /// Why.
    pub reason: ExitReason,
}

pub(crate) type DownCallback = Box<dyn FnOnce(&ExitReason) + Send>;

/// Those who want to know when an actor ends.
#[derive(Default)]
pub(crate) struct Monitors(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    waiting: BTreeMap<u64, DownCallback>,
    ended: Option<ExitReason>,
}

impl Monitors {
    /// Adds a monitor. If the actor has ended it is told at once.
    pub(crate) fn add(&self, notify: DownCallback) -> u64 {
        let mut state = self.0.lock();
        let key = state.next;
        state.next += 1;
        match state.ended.clone() {
            Some(reason) => {
                drop(state);
                notify(&reason);
            }
            None => {
                state.waiting.insert(key, notify);
            }
        }
        key
    }

    /// Takes a monitor off the list. False if it was told already.
    pub(crate) fn remove(&self, key: u64) -> bool {
        let removed = self.0.lock().waiting.remove(&key);
        removed.is_some()
    }

    /// The actor has ended: tells each monitor, once, in the order they came.
    pub(crate) fn fire(&self, reason: &ExitReason) {
        let mut state = self.0.lock();
        state.ended.get_or_insert_with(|| reason.clone());
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(|notify| notify(reason));
    }

    /// How many want to know.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().waiting.len()
    }

    pub(crate) fn ended(&self) -> Option<ExitReason> {
        self.0.lock().ended.clone()
    }
}

impl fmt::Debug for Monitors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitors").field("waiting", &self.0.lock().waiting.len()).finish()
    }
}

/// What can be monitored: [`LocalRef`](crate::LocalRef) and [`ActorRef`](crate::ActorRef).
pub trait Monitorable {
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn watch(&self, watcher: Option<ActorId>, notify: DownCallback) -> Monitor;
    #[doc(hidden)]
    fn monitored(&self) -> ActorId;
    /// Tells later whether the actor, or its node, has ended.
    #[doc(hidden)]
    fn is_over(&self) -> Box<dyn Fn() -> bool + Send>;
}

/// A monitor that was set; see [`Context::monitor`](crate::Context::monitor). Dropping it does not end it.
#[derive(Clone, Debug)]
pub struct Monitor {
    actor: ActorId,
    set: Registration,
    /// Registration by the actor that monitors, if it is one; the simulation checks that each monitor fires once.
    record: TrackedMonitor,
}

/// What keeps the monitors of this process on actors of a far side.
pub(crate) trait Demonitor: fmt::Debug + Send + Sync {
    /// False if it has fired, or is about to.
    fn demonitor(&self, id: CorrelationId) -> bool;
}

#[derive(Clone, Debug)]
enum Registration {
    Local(Arc<Monitors>, u64),
    Remote(Arc<dyn Demonitor>, CorrelationId),
    Ended,
}

impl Monitor {
    fn new(actor: ActorId, set: Registration) -> Self {
        Self { actor, set, record: TrackedMonitor::default() }
    }

    pub(crate) fn tracked(self, record: TrackedMonitor) -> Self {
        Self { record, ..self }
    }

    pub(crate) fn local(shared: &ActorShared, notify: DownCallback) -> Self {
        let watched = shared.monitors.clone();
        let key = watched.add(notify);
        Self::new(shared.id(), Registration::Local(watched, key))
    }

    pub(crate) fn remote(actor: ActorId, at: Arc<dyn Demonitor>, id: CorrelationId) -> Self {
        Self::new(actor, Registration::Remote(at, id))
    }

    pub(crate) fn ended(actor: ActorId) -> Self {
        Self::new(actor, Registration::Ended)
    }

    /// Returns whom it watches.
    pub fn actor(&self) -> ActorId {
        self.actor
    }

    /// Ends the monitor: no `Down` comes if this returns true; if false it is on its way or was handled.
    pub fn cancel(self) -> bool {
        let cancelled = match self.set {
            Registration::Local(watched, key) => watched.remove(key),
            Registration::Remote(at, id) => at.demonitor(id),
            Registration::Ended => false,
        };
        if cancelled {
            self.record.cancelled();
        }
        cancelled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn somebody_taken_off_the_list_is_not_told_and_somebody_told_cannot_be_taken_off() {
        let (monitors, told) = (Monitors::default(), Arc::new(AtomicUsize::new(0)));
        let notify = || {
            let told = told.clone();
            Box::new(move |_: &ExitReason| {
                told.fetch_add(1, Ordering::AcqRel);
            })
        };
        let keys = [(); 2].map(|()| monitors.add(notify()));
        assert!(monitors.remove(keys[0]));
        assert!(!monitors.remove(keys[0]));
        monitors.fire(&ExitReason::Normal);
        assert!(!monitors.remove(keys[1]));
        assert_eq!(told.load(Ordering::Acquire), 1);

        // A monitor that comes later is told at once, and why it really ended.
        monitors.fire(&ExitReason::Killed);
        monitors.add(Box::new(|reason| assert_eq!(*reason, ExitReason::Normal)));
        monitors.add(notify());
        assert_eq!(told.load(Ordering::Acquire), 2);
    }

    #[test]
    fn who_is_told_may_use_the_list() {
        let monitors = Arc::new(Monitors::default());
        for ended in [false, true] {
            let list = monitors.clone();
            monitors.add(Box::new(move |_| {
                list.add(Box::new(|_| {}));
                assert!(!list.remove(u64::MAX));
            }));
            if !ended {
                monitors.fire(&ExitReason::Normal);
            }
        }
    }
}
