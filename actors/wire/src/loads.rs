//! Whose messages take the room between two nodes, so that no actor takes more than its share.
//!
//! The share of an actor is as much as stays free for all others: a single one gets half of the room, two that are stuck a
//! third each, and some is always left (dynamic thresholds, Choudhury and Hahne, "Dynamic Queue Length Thresholds for
//! Shared-Memory Packet Switches", 1998). Invariant: an actor's load is what was sent to it and is neither settled nor lost;
//! an acknowledgement that is not true shifts loads from one actor to another, and makes none less than nothing.

use crate::ids::ActorKey;
use std::collections::{BTreeMap, VecDeque};

/// Messages, and the bytes of their frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Load {
    pub(crate) fn one(bytes: u64) -> Self {
        Self { messages: 1, bytes }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(crate) fn sub(&mut self, other: Self) {
        self.messages = self.messages.saturating_sub(other.messages);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }

    /// Returns true for no message, whatever its bytes.
    pub(crate) fn is_nothing(&self) -> bool {
        self.messages == 0
    }
}

/// How much is held for actors, by the bits of their keys, of those where that has changed.
pub(crate) type Told = BTreeMap<u64, Load>;

/// Loads of the actors of one other node.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    actors: BTreeMap<u64, Load>,
    /// What the other side has not said to have arrived, in the order of sending. Messages in a row for one actor are one.
    coming: VecDeque<(u64, Load)>,
    /// What the other side holds, as it said last.
    held: BTreeMap<u64, Load>,
    held_in_all: Load,
}

impl Loads {
    /// A message is sent.
    pub(crate) fn push(&mut self, to: ActorKey, bytes: u64) {
        let (key, one) = (to.to_bits(), Load::one(bytes));
        self.actors.entry(key).or_default().add(one);
        match self.coming.back_mut() {
            Some((last, load)) if *last == key => load.add(one),
            _ => self.coming.push_back((key, one)),
        }
    }

    /// Returns what an actor has not settled.
    pub(crate) fn of(&self, to: ActorKey) -> Load {
        self.actors.get(&to.to_bits()).copied().unwrap_or_default()
    }

    /// What was held in all if this were told.
    pub(crate) fn held_with(&self, told: &Told) -> Load {
        let mut sum = self.held_in_all;
        for (key, load) in told {
            sum.sub(self.held.get(key).copied().unwrap_or_default());
            sum.add(*load);
        }
        sum
    }

    /// So many more messages, of so many bytes, have arrived; some are held, the others settled.
    pub(crate) fn arrived(&mut self, mut arrived: Load, told: &Told) {
        for (key, load) in told {
            let former = if load.is_nothing() { self.held.remove(key) } else { self.held.insert(*key, *load) };
            let former = former.unwrap_or_default();
            self.held_in_all.sub(former);
            self.held_in_all.add(*load);
            self.actors.entry(*key).or_default().add(*load);
            self.relieve(*key, former);
        }
        while let Some((key, load)) = self.coming.front_mut() {
            let key = *key;
            if arrived.messages < load.messages {
                // The last of them end within these.
                let part = Load { messages: arrived.messages, bytes: arrived.bytes.min(load.bytes) };
                load.sub(part);
                self.relieve(key, part);
                return;
            }
            let whole = *load;
            arrived.sub(whole);
            self.coming.pop_front();
            self.relieve(key, whole);
        }
    }

    fn relieve(&mut self, key: u64, by: Load) {
        let Some(load) = self.actors.get_mut(&key) else { return };
        load.sub(by);
        if load.messages == 0 {
            self.actors.remove(&key);
        }
    }

    /// The connection broke: of what was sent, all but the last messages is lost.
    pub(crate) fn connection_lost(&mut self, waiting: Load) {
        let held: Told = self.held.keys().map(|key| (*key, Load::default())).collect();
        let mut coming = Load::default();
        self.coming.iter().for_each(|(_, load)| coming.add(*load));
        coming.sub(waiting);
        self.arrived(coming, &held);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> ActorKey {
        ActorKey { slot, generation: 1 }
    }

    fn load(messages: u64, bytes: u64) -> Load {
        Load { messages, bytes }
    }

    fn told(slot: u32, load: Load) -> Told {
        Told::from([(key(slot).to_bits(), load)])
    }

    #[test]
    fn load_is_what_is_coming_and_what_is_held() {
        let mut loads = Loads::default();
        for (slot, bytes) in [(1, 10), (1, 20), (2, 30), (1, 40), (3, 50)] {
            loads.push(key(slot), bytes);
        }
        assert_eq!([1, 2, 3].map(|slot| loads.of(key(slot))), [load(3, 70), load(1, 30), load(1, 50)]);
        // Three have arrived; of those the second one is held.
        let told_now = told(1, load(1, 20));
        assert_eq!(loads.held_with(&told_now), load(1, 20));
        loads.arrived(load(3, 60), &told_now);
        assert_eq!([1, 2, 3].map(|slot| loads.of(key(slot))), [load(2, 60), load(0, 0), load(1, 50)]);
        // The held one is settled, and one more has arrived.
        loads.arrived(load(1, 40), &told(1, load(0, 0)));
        assert_eq!([1, 2, 3].map(|slot| loads.of(key(slot))), [load(0, 0), load(0, 0), load(1, 50)]);
        assert_eq!(loads.actors.len(), 1);
    }

    #[test]
    fn row_of_messages_that_arrives_in_part_keeps_the_rest() {
        let mut loads = Loads::default();
        (0..4).for_each(|n| loads.push(key(1), 10 + n));
        loads.arrived(load(2, 21), &Told::new());
        assert_eq!((loads.of(key(1)), loads.coming.len()), (load(2, 25), 1));
        loads.arrived(load(2, 25), &Told::new());
        assert_eq!((loads.of(key(1)), loads.coming.len(), loads.actors.len()), (load(0, 0), 0, 0));
    }

    #[test]
    fn broken_connection_leaves_the_load_of_what_waits() {
        let mut loads = Loads::default();
        (0..3).for_each(|_| loads.push(key(1), 10));
        (0..2).for_each(|_| loads.push(key(2), 10));
        loads.arrived(load(2, 20), &told(1, load(1, 10)));
        loads.connection_lost(load(1, 10));
        assert_eq!([1, 2].map(|slot| loads.of(key(slot))), [load(0, 0), load(1, 10)]);
        assert!(loads.held.is_empty() && loads.held_in_all.is_nothing());
        loads.arrived(load(1, 10), &Told::new());
        assert!(loads.actors.is_empty() && loads.coming.is_empty());
    }

    #[test]
    fn liar_makes_no_load_less_than_nothing_and_leaves_none() {
        let mut loads = Loads::default();
        loads.push(key(1), 10);
        loads.arrived(load(0, 0), &told(7, load(2, 5)));
        loads.arrived(load(1, 3), &told(7, load(0, 9)));
        assert!(loads.actors.is_empty() && loads.held.is_empty());
    }
}
