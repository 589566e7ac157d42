//! Values in numbered slots that are used again, in constant time. What tells a previous owner of a slot from the present one, if that is needed,
//! is the user's.

/// Marks the last of the vacant slots.
const NONE: usize = usize::MAX;

#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// The slot to use next, which names the one after it; `NONE` if all are taken.
    vacant: usize,
    /// Slots that are taken.
    len: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Taken(T),
    /// With the vacant slot that comes next.
    Vacant(usize),
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), vacant: NONE, len: 0 }
    }
}

impl<T> Slab<T> {
    /// Values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Slots there are, taken and vacant.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Where the next value goes.
    pub(crate) fn next_index(&self) -> usize {
        if self.vacant == NONE { self.slots.len() } else { self.vacant }
    }

    /// Puts a value into a slot and returns which.
    #[inline]
    pub(crate) fn insert(&mut self, value: T) -> usize {
        self.len += 1;
        let index = self.next_index();
        match self.slots.get_mut(index) {
            Some(slot) => {
                if let Slot::Vacant(next) = *slot {
                    self.vacant = next;
                }
                *slot = Slot::Taken(value);
            }
            None => self.slots.push(Slot::Taken(value)),
        }
        index
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        match self.slots.get(index) {
            Some(Slot::Taken(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        match self.slots.get_mut(index) {
            Some(Slot::Taken(value)) => Some(value),
            _ => None,
        }
    }

    /// Empties a slot.
    #[inline]
    pub(crate) fn remove(&mut self, index: usize) -> Option<T> {
        let slot = self.slots.get_mut(index).filter(|slot| matches!(slot, Slot::Taken(_)))?;
        let Slot::Taken(value) = std::mem::replace(slot, Slot::Vacant(self.vacant)) else { return None };
        self.vacant = index;
        self.len -= 1;
        Some(value)
    }

    /// The values, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.slots.len()).filter_map(|index| self.get(index))
    }

    /// Gives memory back if no value is left, but for some slots.
    pub(crate) fn shrink_if_empty(&mut self, kept: usize) {
        if self.len == 0 {
            self.slots.clear();
            self.slots.shrink_to(kept);
            self.vacant = NONE;
        }
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again_the_last_one_left_first() {
        let mut slab = Slab::default();
        assert_eq!(["a", "b", "c"].map(|value| slab.insert(value)), [0, 1, 2]);
        assert_eq!((slab.remove(0), slab.remove(2), slab.remove(2)), (Some("a"), Some("c"), None));
        assert_eq!((slab.len(), slab.slots(), slab.next_index()), (1, 3, 2));
        assert_eq!(["d", "e", "f"].map(|value| slab.insert(value)), [2, 0, 3]);
        assert_eq!(slab.iter().copied().collect::<Vec<_>>(), ["e", "b", "d", "f"]);
        assert_eq!(slab.get(2), Some(&"d"));
        assert_eq!(slab.get_mut(9), None);
    }

    #[test]
    fn an_empty_slab_gives_its_slots_back_and_a_used_one_does_not() {
        let mut slab = Slab::default();
        (0..100).for_each(|n| _ = slab.insert(n));
        (1..100).for_each(|index| _ = slab.remove(index));
        slab.shrink_if_empty(8);
        assert_eq!((slab.len(), slab.slots()), (1, 100));
        slab.remove(0);
        slab.shrink_if_empty(8);
        assert_eq!((slab.slots(), slab.next_index()), (0, 0));
        assert!(slab.slots.capacity() <= 8);
    }
}
