//! The tracker, what an actor keeps of others: an entry goes with whichever of the two ends first, so neither keeps the other.
//!
//! The actor has the [`Tracker`]; the other side holds the entry's [`Token`], whose drop removes the entry. Nothing of an
//! entry is dropped under the lock.

use posse_core::lock::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

/// Entries in the order they were made. Costs nothing until there is one.
pub(crate) struct Tracker<T>(OnceLock<Arc<Entries<T>>>);

struct Entries<T>(Mutex<State<T>>);

struct State<T> {
    next: u64,
    /// `None` while the value is being made.
    values: BTreeMap<u64, Option<T>>,
}

impl<T> Entries<T> {}

impl<T: Clone> Tracker<T> {
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Makes an entry and returns its value. `make` gives the token to the other side, which may drop it at any time, even before this returns.
    pub(crate) fn add(&self, make: impl FnOnce(Token<T>) -> T) -> T {
        let entries = self.0.get_or_init(|| Arc::new(Entries(Mutex::new(State { next: 0, values: BTreeMap::new() }))));
        let mut state = entries.0.lock();
        let key = state.next;
        state.next += 1;
        state.values.insert(key, None);
        drop(state);

        let value = make(Token { entries: Arc::downgrade(entries), key });
        if let Some(place) = entries.0.lock().values.get_mut(&key) {
            *place = Some(value.clone());
        }
        value
    }
}

impl<T> Tracker<T> {
    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        self.0.get().map_or(0, |entries| entries.0.lock().values.len())
    }

    /// Takes all entries out, in the order they were made.
    pub(crate) fn take(&self) -> Vec<T> {
        let Some(entries) = self.0.get() else { return Vec::new() };
        let taken = std::mem::take(&mut entries.0.lock().values);
        taken.into_values().flatten().collect()
    }
}

impl<T> fmt::Debug for Tracker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").field("len", &self.len()).finish()
    }
}

/// The other side of an entry: dropping it removes the entry.
pub(crate) struct Token<T> {
    entries: Weak<Entries<T>>,
    key: u64,
}

impl<T> Drop for Token<T> {
    fn drop(&mut self) {
        let Some(entries) = self.entries.upgrade() else { return };
        let removed = entries.0.lock().values.remove(&self.key);
        drop(removed);
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("key", &self.key).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_goes_with_its_token() {
        let tracker = Tracker::new();
        let mut tokens = Vec::new();
        for n in 0..3 {
            tracker.add(|token| {
                tokens.push(token);
                n
            });
        }
        tokens.remove(1);
        assert_eq!(tracker.len(), 2);
        assert_eq!(tracker.take(), [0, 2]);
        drop(tokens);
        assert_eq!(tracker.len(), 0);
    }

    #[test]
    fn an_entry_whose_token_is_dropped_at_once_does_not_stay() {
        let tracker = Tracker::new();
        tracker.add(drop);
        assert_eq!(tracker.len(), 0);
    }

    #[test]
    fn a_value_may_use_the_tracker_when_it_is_dropped() {
        #[derive(Clone)]
        struct Looks(Arc<Tracker<Looks>>);
        impl Drop for Looks {
            fn drop(&mut self) {
                self.0.len();
            }
        }
        let tracker = Arc::new(Tracker::new());
        let mut kept = None;
        for keep in [false, true] {
            let looks = Looks(tracker.clone());
            tracker.add(|token| {
                kept = Some(token).filter(|_| keep);
                looks
            });
        }
        drop(kept);
        assert_eq!(tracker.len(), 0);
    }
}
