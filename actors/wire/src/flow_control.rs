//! Backpressure: whose messages take the room between two nodes, so that no actor takes more than its share.
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
    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }
}

/// How many messages wait for actors at the receiving node, by the bits of their keys.
pub(crate) type Backlogs = BTreeMap<u64, Load>;

/// Loads of the actors of one other node, as its sender knows them. Written by what is sent (`push`), by acknowledgements
/// (`arrived`) and when the connection breaks; read with each message that is to be sent.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    /// What each actor has not settled: in flight or in its backlog. An entry goes when that is nothing.
    actors: BTreeMap<u64, Load>,
    /// What the other side has not said to have arrived, in the order of sending. Messages in a row for one actor are one.
    in_flight: VecDeque<(u64, Load)>,
    /// What waits at the other side, as it said last. No entry is empty.
    backlogs: BTreeMap<u64, Load>,
    /// Their sum.
    backlog_total: Load,
}

impl Loads {
    /// A message is sent.
    pub(crate) fn push(&mut self, to: ActorKey, bytes: u64) {
        let (key, one) = (to.to_bits(), Load::one(bytes));
        self.actors.entry(key).or_default().add(one);
        match self.in_flight.back_mut() {
            Some((last, load)) if *last == key => load.add(one),
            _ => self.in_flight.push_back((key, one)),
        }
    }

    /// Returns what an actor has not settled.
    pub(crate) fn of(&self, to: ActorKey) -> Load {
        self.actors.get(&to.to_bits()).copied().unwrap_or_default()
    }

    /// The sum of all backlogs if these were the news.
    pub(crate) fn backlog_with(&self, changed: &Backlogs) -> Load {
        let mut sum = self.backlog_total;
        for (key, load) in changed {
            sum.sub(self.backlogs.get(key).copied().unwrap_or_default());
            sum.add(*load);
        }
        sum
    }

    /// More messages have arrived: some are in backlogs, the others settled.
    pub(crate) fn arrived(&mut self, mut arrived: Load, changed: &Backlogs) {
        for (key, load) in changed {
            let previous = if load.is_empty() { self.backlogs.remove(key) } else { self.backlogs.insert(*key, *load) };
            let previous = previous.unwrap_or_default();
            self.backlog_total.sub(previous);
            self.backlog_total.add(*load);
            self.actors.entry(*key).or_default().add(*load);
            self.subtract(*key, previous);
        }
        while let Some((key, load)) = self.in_flight.front_mut() {
            let key = *key;
            if arrived.messages < load.messages {
                // The last of them end within these.
                let part = Load { messages: arrived.messages, bytes: arrived.bytes.min(load.bytes) };
                load.sub(part);
                self.subtract(key, part);
                return;
            }
            let whole = *load;
            arrived.sub(whole);
            self.in_flight.pop_front();
            self.subtract(key, whole);
        }
    }

    fn subtract(&mut self, key: u64, by: Load) {
        let Some(load) = self.actors.get_mut(&key) else { return };
        load.sub(by);
        if load.messages == 0 {
            self.actors.remove(&key);
        }
    }

    /// The connection broke: of what was sent, all but the last messages is lost.
    pub(crate) fn connection_lost(&mut self, waiting: Load) {
        let none: Backlogs = self.backlogs.keys().map(|key| (*key, Load::default())).collect();
        let mut lost = Load::default();
        self.in_flight.iter().for_each(|(_, load)| lost.add(*load));
        lost.sub(waiting);
        self.arrived(lost, &none);
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

    fn backlog(slot: u32, load: Load) -> Backlogs {
        Backlogs::from([(key(slot).to_bits(), load)])
    }

    #[test]
    fn load_is_what_is_in_flight_and_in_the_backlog() {
        let mut loads = Loads::default();
        for (slot, bytes) in [(1, 10), (1, 20), (2, 30), (1, 40), (3, 50)] {
            loads.push(key(slot), bytes);
        }
        assert_eq!([1, 2, 3].map(|slot| loads.of(key(slot))), [load(3, 70), load(1, 30), load(1, 50)]);
        // Three have arrived; of those the second one is held.
        let told_now = backlog(1, load(1, 20));
        assert_eq!(loads.backlog_with(&told_now), load(1, 20));
        loads.arrived(load(3, 60), &told_now);
        assert_eq!([1, 2, 3].map(|slot| loads.of(key(slot))), [load(2, 60), load(0, 0), load(1, 50)]);
        // The held one is settled, and one more has arrived.
        loads.arrived(load(1, 40), &backlog(1, load(0, 0)));
        assert_eq!([1, 2, 3].map(|slot| loads.of(key(slot))), [load(0, 0), load(0, 0), load(1, 50)]);
        assert_eq!(loads.actors.len(), 1);
    }

    #[test]
    fn row_of_messages_that_arrives_in_part_keeps_the_rest() {
        let mut loads = Loads::default();
        (0..4).for_each(|n| loads.push(key(1), 10 + n));
        loads.arrived(load(2, 21), &Backlogs::new());
        assert_eq!((loads.of(key(1)), loads.in_flight.len()), (load(2, 25), 1));
        loads.arrived(load(2, 25), &Backlogs::new());
        assert_eq!((loads.of(key(1)), loads.in_flight.len(), loads.actors.len()), (load(0, 0), 0, 0));
    }

    #[test]
    fn broken_connection_leaves_the_load_of_what_waits() {
        let mut loads = Loads::default();
        (0..3).for_each(|_| loads.push(key(1), 10));
        (0..2).for_each(|_| loads.push(key(2), 10));
        loads.arrived(load(2, 20), &backlog(1, load(1, 10)));
        loads.connection_lost(load(1, 10));
        assert_eq!([1, 2].map(|slot| loads.of(key(slot))), [load(0, 0), load(1, 10)]);
        assert!(loads.backlogs.is_empty() && loads.backlog_total.is_empty());
        loads.arrived(load(1, 10), &Backlogs::new());
        assert!(loads.actors.is_empty() && loads.in_flight.is_empty());
    }

    #[test]
    fn liar_makes_no_load_less_than_nothing_and_leaves_none() {
        let mut loads = Loads::default();
        loads.push(key(1), 10);
        loads.arrived(load(0, 0), &backlog(7, load(2, 5)));
        loads.arrived(load(1, 3), &backlog(7, load(0, 9)));
        assert!(loads.actors.is_empty() && loads.backlogs.is_empty());
    }
}
