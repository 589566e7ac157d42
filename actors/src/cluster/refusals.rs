//! Handshakes that were refused, as they are logged: a node that is refused tries again and again, which must not fill the log.

use crate::system::throttle::Throttle;
use posse_core::event;
use posse_core::lock::Mutex;
use posse_core::time::Instant;
use posse_wire::CloseReason;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two events about the same node and reason. Guessed.
const PERIOD: Duration = Duration::from_secs(10);

/// Events a second about all of them together: strangers may claim a new name each time. Guessed.
const SAID_PER_SECOND: u32 = 16;

/// Nodes and reasons that are told apart. Guessed.
const KEPT_MAX: usize = 256;

/// The refusals of one node, in either direction.
#[derive(Debug)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Debug)]
struct State {
    /// By what the other node calls itself, and why. With one too many the one that was said the longest ago goes, and what
    /// it has counted is said with the next one of any node.
    by_node: BTreeMap<(String, u16), Throttle>,
    all: Throttle,
}

impl Default for Refusals {
    fn default() -> Self {
        let all = Throttle::new(SAID_PER_SECOND, Duration::from_secs(1));
        Self(Mutex::new(State { by_node: BTreeMap::new(), all }))
    }
}

impl Refusals {
    /// Says that a handshake with a node was refused, by whom and why, at once or together with the next one.
    pub(super) fn say(&self, by: &str, name: &str, code: CloseReason, text: &str) {
        // Connections that meet each other are everyday; a node that is refused for another reason stays out.
        if matches!(code, CloseReason::Simultaneous | CloseReason::AlreadyConnected) {
            event!(
                DEBUG, "posse::node", "a handshake was refused, as there is another connection",
                node.name = %name, by = %by, reason = %code, detail = %text,
            );
            return;
        }
        let admitted = self.0.lock().admit(name, code, Instant::now());
        if let Some(unsaid) = admitted {
            event!(
                WARN, "posse::node", "a handshake was refused",
                node.name = %name, by = %by, reason = %code, detail = %text; unsaid = unsaid,
            );
        }
    }
}

impl State {
    /// If it may be said: how many were not said before it.
    fn admit(&mut self, name: &str, code: CloseReason, now: Instant) -> Option<u64> {
        let key = (name.to_owned(), code.to_u16());
        if !self.by_node.contains_key(&key) && self.by_node.len() >= KEPT_MAX {
            let oldest = self.by_node.iter().min_by_key(|(_, throttle)| throttle.began());
            let oldest = oldest.map(|(key, _)| key.clone());
            let forgotten = oldest.and_then(|key| self.by_node.remove(&key));
            self.all.defer(forgotten.map_or(0, |throttle| throttle.unsaid()));
        }
        let of_node = self.by_node.entry(key).or_insert_with(|| Throttle::new(1, PERIOD));
        let unsaid = of_node.admit(now, 1)?;
        self.all.admit(now, 1 + unsaid).map(|others| unsaid + others)
    }
}

/// What was not said yet is said at last.
impl Drop for Refusals {
    fn drop(&mut self) {
        let state = self.0.get_mut();
        let unsaid = state.all.unsaid() + state.by_node.values().map(Throttle::unsaid).sum::<u64>();
        if unsaid > 0 {
            event!(WARN, "posse::node", "handshakes were refused"; unsaid = unsaid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_and_reason_is_said_once_in_a_while_and_every_refusal_is_counted() {
        let refusals = Refusals::default();
        let mut state = refusals.0.lock();
        let start = Instant::now();
        let (stale, down) = (CloseReason::Stale, CloseReason::Quarantined);
        assert_eq!(state.admit("a", stale, start), Some(0));
        assert!((0..100).all(|_| state.admit("a", stale, start).is_none()));
        assert_eq!((state.admit("a", down, start), state.admit("b", stale, start)), (Some(0), Some(0)));
        assert_eq!(state.admit("a", stale, start + PERIOD), Some(100));
        assert_eq!(state.admit("a", stale, start + PERIOD), None);
    }

    #[test]
    fn new_names_without_end_are_neither_all_said_nor_all_remembered() {
        let refusals = Refusals::default();
        let mut state = refusals.0.lock();
        let start = Instant::now();
        let said = (0..10_000).filter_map(|n| state.admit(&format!("n{n}"), CloseReason::Stale, start)).count();
        assert_eq!((said, state.by_node.len()), (SAID_PER_SECOND as usize, KEPT_MAX));
        let second = start + Duration::from_secs(1);
        assert_eq!(state.admit("last", CloseReason::Stale, second), Some(10_000 - u64::from(SAID_PER_SECOND)));
    }
}
