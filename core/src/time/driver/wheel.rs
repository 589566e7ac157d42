//! A hierarchical timer wheel as pure data: no clock, no lock, no waker; `now` is an argument.
//!
//! Six levels of 64 slots; a slot of the finest level is one tick, each further level 64 times coarser. An entry sits in
//! the level of the highest bit in which its tick differs from the current one, and moves down as time passes.
//! Insert, cancel and fire are O(1) amortised. Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987.
//!
//! Invariants: entries of one slot form a doubly linked list through the slab; a set bit in `occupied` is a slot that is
//! not empty. A timer never fires before its deadline, and at the first `fire` after it.
//!
//! The slab is its own and not `util::slab`'s: a free entry is linked by the same `next`, and keeps the generation that tells
//! its next timer from the last.

/// Nanoseconds of one tick, 2^16 = 65.5 us. Specified: lateness of 150 us at the median.
const TICK_SHIFT: u32 = 16;
const LEVELS: usize = 6;
const SLOTS: usize = 64;
const SLOT_BITS: u32 = 6;
const NONE: u32 = u32::MAX;

/// Names a timer in a wheel. A stale key is recognised by its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Entry<T> {
    /// `None` in a free entry.
    value: Option<T>,
    /// The tick at which it fires.
    deadline: u64,
    /// How often the entry was used: a key of an earlier use finds nothing.
    generation: u32,
    /// In a free entry: the next free one.
    next: u32,
    /// The one before it in its slot's list; `NONE` for the first.
    previous: u32,
    /// The list it is in.
    slot: u16,
}

#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// Timers and free entries; they name each other by index.
    entries: Vec<Entry<T>>,
    /// The free entry to use next.
    free: u32,
    /// The first timer of each slot, level by level.
    heads: Box<[u32]>,
    /// A bit for each slot of a level that is not empty.
    occupied: [u64; LEVELS],
    /// The tick up to which everything has fired.
    tick: u64,
    /// Timers there are.
    len: usize,
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        let heads = vec![NONE; LEVELS * SLOTS].into_boxed_slice();
        Self { entries: Vec::new(), free: NONE, heads, occupied: [0; LEVELS], tick: 0, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns deadline and value of each timer, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.entries.iter().filter_map(|entry| Some((entry.deadline, entry.value.as_ref()?)))
    }

    /// Adds a timer. A deadline in the past fires at the next `fire`.
    #[inline]
    pub(crate) fn insert(&mut self, deadline: u64, value: T) -> Key {
        let index = match self.entries.get(self.free as usize) {
            Some(entry) => {
                let index = self.free;
                self.free = entry.next;
                index
            }
            None => {
                let entry = Entry { value: None, deadline: 0, generation: 0, next: NONE, previous: NONE, slot: 0 };
                self.entries.push(entry);
                (self.entries.len() - 1) as u32
            }
        };

        let entry = &mut self.entries[index as usize];
        entry.value = Some(value);
        entry.deadline = deadline;
        let generation = entry.generation;
        self.link(index);
        self.len += 1;
        Key { index, generation }
    }

    /// Removes a timer; `None` if it has fired or was removed.
    #[inline]
    pub(crate) fn cancel(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        self.unlink(key.index);
        self.release(key.index)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation == key.generation { entry.value.as_mut() } else { None }
    }

    /// Removes every timer that is due at `now` and gives it to `fired`, earlier ticks first.
    pub(crate) fn fire(&mut self, now: u64, mut fired: impl FnMut(T)) {
        let target = now >> TICK_SHIFT;
        // Within the current tick some may not be due yet; they are put back when the slot has been gone through.
        let mut not_due = Vec::new();
        while let Some((tick, level, slot)) = self.next_slot() {
            if tick > target {
                break;
            }
            // Time comes to the slot, and the whole of its list leaves it: to fire, or for slots that are finer as seen from here.
            self.tick = self.tick.max(tick);
            let mut index = std::mem::replace(&mut self.heads[level * SLOTS + slot], NONE);
            self.occupied[level] &= !(1 << slot);
            while index != NONE {
                let Entry { next, deadline, .. } = self.entries[index as usize];
                if deadline <= now {
                    if let Some(value) = self.release(index) {
                        fired(value);
                    }
                } else if deadline >> TICK_SHIFT > self.tick {
                    self.link(index);
                } else {
                    not_due.push(index);
                }
                index = next;
            }
        }
        self.tick = self.tick.max(target);
        not_due.into_iter().for_each(|index| self.link(index));
    }

    /// When `fire` next has something to do, never after the earliest deadline: exact within the finest level's reach,
    /// else the start of a coarser slot.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let (tick, level, slot) = self.next_slot()?;
        if level > 0 {
            return Some(tick << TICK_SHIFT);
        }

        // Within one tick the list is in no order.
        let mut earliest = u64::MAX;
        let mut index = self.heads[slot];
        while let Some(entry) = self.entries.get(index as usize) {
            earliest = earliest.min(entry.deadline);
            index = entry.next;
        }
        Some(earliest)
    }

    /// The earliest occupied slot: its first tick, level and index.
    fn next_slot(&self) -> Option<(u64, usize, usize)> {
        (0..LEVELS)
            .filter(|&level| self.occupied[level] != 0)
            .map(|level| {
                let shift = SLOT_BITS * level as u32;
                let position = self.tick >> shift;
                let current = (position % SLOTS as u64) as u32;
                // The bits in the order in which time comes to them: the first that is set is the next slot of this level.
                let distance = self.occupied[level].rotate_right(current).trailing_zeros();
                let slot = (current + distance) as usize % SLOTS;
                (((position + u64::from(distance)) << shift).max(self.tick), level, slot)
            })
            .min()
    }

    fn link(&mut self, index: u32) {
        let due = (self.entries[index as usize].deadline >> TICK_SHIFT).max(self.tick);
        let (level, slot) = self.level_and_slot(due);
        let head = level * SLOTS + slot;
        let next = std::mem::replace(&mut self.heads[head], index);
        self.occupied[level] |= 1 << slot;

        let entry = &mut self.entries[index as usize];
        entry.slot = head as u16;
        entry.previous = NONE;
        entry.next = next;
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = index;
        }
    }

    /// Beyond the reach of the wheel a timer waits in the farthest slot and is placed again when that comes up.
    fn level_and_slot(&self, due: u64) -> (usize, usize) {
        let reach = 1u64 << (SLOT_BITS * LEVELS as u32);
        let due = due.min(self.tick + reach - reach / SLOTS as u64);
        // The level whose digit, of six bits each, is the highest in which the two ticks differ.
        let differing = (due ^ self.tick) | 1;
        let level = ((63 - differing.leading_zeros()) / SLOT_BITS) as usize;
        let level = level.min(LEVELS - 1);
        (level, ((due >> (SLOT_BITS * level as u32)) % SLOTS as u64) as usize)
    }

    #[inline]
    fn unlink(&mut self, index: u32) {
        // The first of a list is named by the head of its slot, each other by the one before it.
        let Entry { next, previous, slot, .. } = self.entries[index as usize];
        match self.entries.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => {
                self.heads[slot as usize] = next;
                if next == NONE {
                    self.occupied[slot as usize / SLOTS] &= !(1 << (slot as usize % SLOTS));
                }
            }
        }
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = previous;
        }
    }

    #[inline]
    fn release(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        let value = entry.value.take();
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = self.free;
        self.free = index;
        self.len -= 1;
        value
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64),
        Cancel(usize),
        Advance(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let time = prop_oneof![0u64..1 << 20, 0u64..1 << 34, 0u64..1 << 54];
        prop_oneof![
            4 => time.clone().prop_map(Op::Insert),
            2 => any::<usize>().prop_map(Op::Cancel),
            3 => time.prop_map(Op::Advance),
        ]
    }

    proptest! {
        #[test]
        fn fires_what_a_sorted_map_would(ops in proptest::collection::vec(op(), 1..200)) {
            let mut wheel = Wheel::new();
            let mut model = BTreeMap::new();
            let mut keys = Vec::new();
            let mut now = 0u64;
            for (id, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Insert(after) => {
                        keys.push((id, wheel.insert(now + after, id)));
                        model.insert(id, now + after);
                    }
                    Op::Cancel(pick) if !keys.is_empty() => {
                        let (id, key) = keys.swap_remove(pick % keys.len());
                        prop_assert_eq!(wheel.cancel(key).is_some(), model.remove(&id).is_some());
                    }
                    Op::Cancel(_) => {}
                    Op::Advance(by) => {
                        now += by;
                        let mut fired = Vec::new();
                        wheel.fire(now, |id| fired.push(id));
                        for id in fired {
                            let deadline = model.remove(&id);
                            prop_assert!(deadline.is_some_and(|deadline| deadline <= now), "early or twice");
                        }
                        prop_assert!(model.values().all(|&deadline| deadline > now), "missed");
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                let earliest = model.values().min().copied();
                prop_assert_eq!(wheel.next_deadline().is_some(), earliest.is_some());
                if let (Some(next), Some(earliest)) = (wheel.next_deadline(), earliest) {
                    prop_assert!(next <= earliest, "the owner would sleep too long");
                }
            }
        }
    }

    #[test]
    fn a_stale_key_cancels_nothing() {
        let mut wheel = Wheel::new();
        let key = wheel.insert(10, 'a');
        wheel.fire(1 << 20, drop);
        let other = wheel.insert(2 << 20, 'b');
        assert_eq!(wheel.cancel(key), None);
        assert_eq!(wheel.cancel(other), Some('b'));
    }

    #[test]
    fn entries_are_used_again() {
        let mut wheel = Wheel::new();
        for deadline in 0..1000 {
            let key = wheel.insert(deadline, 'a');
            assert_eq!(wheel.cancel(key), Some('a'));
            wheel.insert(deadline, 'b');
            wheel.fire(deadline, drop);
        }
        assert_eq!(wheel.entries.len(), 1);
    }
}
