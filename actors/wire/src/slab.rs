//! A table whose keys are a slot and a generation: a key of something removed never finds its successor.
//!
//! Its own beside the core's, which has no generations: this crate depends on no other of the workspace.

/// A table with stable keys. Removing and inserting take constant time; freed slots are used again, the last freed first.
///
/// # Examples
/// ```
/// use posse_wire::Slab;
///
/// let mut names = Slab::default();
/// let (slot, generation) = names.insert("ada");
/// assert_eq!(names.remove(slot, generation), Some("ada"));
/// let again = names.insert("bob");
/// assert_eq!(again.0, slot);
/// assert_eq!(names.get(slot, generation), None);
/// ```
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Entry<T> {
    /// Of the value, or of the one that was here last. Starts with 1.
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    /// Puts a value into the table and returns its slot and generation. The generation is never 0.
    ///
    /// # Panics
    /// If it holds more than 4 billion values.
    pub fn insert(&mut self, value: T) -> (u32, u32) {
        self.len += 1;
        if let Some(slot) = self.free.pop() {
            let entry = &mut self.entries[slot as usize];
            entry.generation += 1;
            entry.value = Some(value);
            return (slot, entry.generation);
        }

        let slot = u32::try_from(self.entries.len()).expect("a table holds less than 2^32 values");
        self.entries.push(Entry { generation: 1, value: Some(value) });
        (slot, 1)
    }

    /// Returns the value of a key.
    pub fn get(&self, slot: u32, generation: u32) -> Option<&T> {
        let entry = self.entries.get(slot as usize)?;
        if entry.generation == generation { entry.value.as_ref() } else { None }
    }

    /// Returns the value of a key.
    pub fn get_mut(&mut self, slot: u32, generation: u32) -> Option<&mut T> {
        let entry = self.entries.get_mut(slot as usize)?;
        if entry.generation == generation { entry.value.as_mut() } else { None }
    }

    /// Takes the value of a key out of the table.
    pub fn remove(&mut self, slot: u32, generation: u32) -> Option<T> {
        let entry = self.entries.get_mut(slot as usize)?;
        if entry.generation != generation {
            return None;
        }
        let value = entry.value.take()?;
        self.len -= 1;
        // A slot whose generations are used up is never used again.
        if generation < u32::MAX {
            self.free.push(slot);
        }
        Some(value)
    }

    /// Goes through all values, by slot.
    pub fn iter(&self) -> impl Iterator<Item = ((u32, u32), &T)> {
        (0..).zip(&self.entries).filter_map(|(slot, entry)| Some(((slot, entry.generation), entry.value.as_ref()?)))
    }

    /// Goes through all values, by slot.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = ((u32, u32), &mut T)> {
        (0..).zip(&mut self.entries).filter_map(|(slot, entry)| Some(((slot, entry.generation), entry.value.as_mut()?)))
    }

    /// Takes all values out, by slot. Their keys stay used.
    pub fn drain(&mut self) -> Vec<((u32, u32), T)> {
        let keys: Vec<_> = self.iter().map(|(key, _)| key).collect();
        keys.into_iter().filter_map(|key| Some((key, self.remove(key.0, key.1)?))).collect()
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there are no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn freed_slot_is_used_again() {
        let mut slab = Slab::default();
        assert!(slab.is_empty());
        for n in 0..1000 {
            let (slot, generation) = slab.insert(n);
            assert!(!slab.is_empty());
            assert_eq!(slab.remove(slot, generation), Some(n));
        }
        assert_eq!((slab.entries.len(), slab.free.len(), slab.len(), slab.is_empty()), (1, 1, 0, true));
    }

    #[test]
    fn worn_out_slot_is_not_used_again() {
        let mut slab = Slab::default();
        slab.insert('a');
        slab.entries[0].generation = u32::MAX;
        assert_eq!(slab.remove(0, u32::MAX), Some('a'));
        assert_eq!(slab.insert('b'), (1, 1));
    }

    proptest! {
        #[test]
        fn key_finds_its_own_value_or_nothing(steps in prop::collection::vec(any::<(bool, prop::sample::Index)>(), 0..200)) {
            let mut slab = Slab::default();
            let mut keys: Vec<((u32, u32), Option<usize>)> = Vec::new();
            for (n, (insert, which)) in steps.into_iter().enumerate() {
                if insert || keys.is_empty() {
                    keys.push((slab.insert(n), Some(n)));
                } else {
                    let at = which.index(keys.len());
                    let ((slot, generation), value) = keys[at];
                    prop_assert_eq!(slab.remove(slot, generation), value);
                    keys[at].1 = None;
                }
                for ((slot, generation), value) in &keys {
                    prop_assert_eq!(slab.get(*slot, *generation), value.as_ref());
                    prop_assert_eq!(slab.get_mut(*slot, *generation).copied(), *value);
                }
                let mut live: Vec<_> = keys.iter().filter_map(|(key, value)| Some((*key, (*value)?))).collect();
                live.sort_unstable();
                prop_assert_eq!(slab.iter().map(|(key, value)| (key, *value)).collect::<Vec<_>>(), live.clone());
                prop_assert_eq!(slab.iter_mut().map(|(key, value)| (key, *value)).collect::<Vec<_>>(), live);
            }
            prop_assert_eq!(slab.len(), keys.iter().filter(|(_, value)| value.is_some()).count());
        }
    }
}
